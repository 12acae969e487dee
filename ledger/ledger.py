"""The ledger: the record of a run, in one SQLite file with one writer and any number of readers.

It holds no graphs, no settings and no secrets: texts arrive with the keys already removed.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage
from typing import Any, Literal, NamedTuple, Self

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    NullPool,
    Select,
    create_engine,
    event,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)

from ledger.tables import NOT_DONE, VERSION, calls, results, samples, texts
from ledger.texts import join_prompt, resolve, resolve_json
from ledger.upgrade import OLDEST, create, upgrade
from samples.formats import recorded_sample
from samples.sample import Sample

Status = Literal["done", "failed", "skipped"]

SKIPPED = ""
"""The mode of a skipped sample's only result: it is skipped in all modes."""

DISK_FULL_BELOW = 1_000_000
"""Free bytes on a disk below which SQLite's "I/O error" means that the disk is full."""

BATCH = 500
"""Samples read at a time."""


class LedgerError(Exception):
    """The ledger cannot be read or written. The message says why and what to do."""


class Unwritable(Exception):
    """One addition cannot be written, for what it holds; the ledger itself is fine."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a sample in a mode."""

    mode: str
    status: Status
    reason: str | None
    """Why it was skipped, or what failed."""
    accepted_rounds: int
    exchanges: int
    """Exchanges that were worked on."""
    original_tokens: int
    """An estimate over those exchanges, like `final_tokens`."""
    final_tokens: int
    contradictions: int
    """Rounds in which the two orders named opposite winners."""
    outcome: list[dict[str, Any]]
    """An `ExchangeResult` for each exchange that was worked on."""
    finished: float
    """Unix time."""
    failure_kind: str | None = None
    """The key of the failure's kind."""


SampleResults = tuple[Sample, dict[str, Result]]
"""A finished sample, and its results by mode."""


class RecordedReply(NamedTuple):
    """The outcome of a recorded call."""

    reply: str
    failure_kind: str | None
    failure: str | None


class FinishedSet:
    """The positions and modes that have a result, one byte each: a million take a megabyte."""

    def __init__(self) -> None:
        self._marks: dict[str, bytearray] = {}
        self._count = 0

    def add(self, position: int, mode: str) -> None:
        """Add a result."""
        marks = self._marks.setdefault(mode, bytearray())
        if position >= len(marks):
            marks.extend(bytes(max(position + 1, 2 * len(marks)) - len(marks)))
        self._count += not marks[position]
        marks[position] = 1

    def __contains__(self, key: tuple[int, str]) -> bool:
        position, mode = key
        marks = self._marks.get(mode, b"")
        return position < len(marks) and bool(marks[position])

    def __len__(self) -> int:
        return self._count


class Ledger:
    """A run's ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Connections to a file are cheap; a pool would only keep files open. None of them creates the file:
        # a new, empty one would hide that a ledger was moved away.
        self.engine: Engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        event.listen(self.engine, "connect", _configure)

    @classmethod
    def create(cls, path: Path, mode: int = 0o600) -> Self:
        """Create an empty ledger. If that is interrupted there is none, see `exists`.

        SQLite gives the files next to it its mode.

        Raises:
            LedgerError: it cannot be written there.
        """
        ledger = cls(path)
        with ledger_errors(path):
            path.touch(mode, exist_ok=False)
        with ledger_errors(path), ledger.engine.connect() as connection:
            # Texts of a few kilobytes waste less of a large page: 2.8 KiB a call instead of 4.5.
            connection.exec_driver_sql("PRAGMA page_size = 16384")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            create(connection)
        return ledger

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Whether there is a ledger, or another file that must not be overwritten.

        Raises:
            LedgerError: it is broken.
        """
        # In this order: another process may start to create a ledger between the two checks.
        with ledger_errors(path):
            is_there = path.exists()
        if not is_there:
            return False
        return not path.is_file() or cls(path)._version() is not None

    @classmethod
    def open(cls, path: Path, *, upgrades: bool = True) -> Self:
        """Open the ledger of a run, and upgrade it if an older version of the program created it.

        Args:
            path: its file.
            upgrades: whether it may be changed; otherwise that of an older version cannot be read.

        Raises:
            LedgerError: there is none, it is broken, it cannot be upgraded, or its version is unknown.
        """
        with ledger_errors(path):
            is_there = path.is_file()
        if not is_there:
            raise LedgerError(f"{path.parent} is not a run: it has no {path.name}")
        ledger = cls(path)
        version = ledger._version()
        if version is None:
            raise LedgerError(
                f"{path.parent} is not a run yet: creating its ledger is in progress or was interrupted"
            )
        if OLDEST <= version < VERSION:
            if not upgrades:
                raise LedgerError("of an earlier version of coevol: opening it upgrades it")
            version = ledger._upgrade(version)
        if version != VERSION:
            raise LedgerError(
                f"{path} was written by another version of coevol: "
                f"its tables have version {version}, this one reads {VERSION}"
            )
        return ledger

    def _version(self) -> int | None:
        """Return the version of the tables; None if creating them was not finished."""
        with self.reading() as connection:
            version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        return version if version or tables else None

    def _upgrade(self, version: int) -> int:
        if not os.access(self.path.parent, os.W_OK):
            raise LedgerError(
                f"{self.path} must be upgraded from version {version} to {VERSION}, but its folder is "
                "read-only: make it writable, or look at a copy"
            )
        with self.reading() as connection:
            return upgrade(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Connect for reading.

        Raises:
            LedgerError: from the block, if the file cannot be read.
        """
        with ledger_errors(self.path), self.engine.connect() as connection:
            yield connection

    def rows(self, query: Executable, **values: object) -> Sequence[Any]:
        """Return the rows of a query with these values."""
        with self.reading() as connection:
            return connection.execute(query, values).all()

    def scalar(self, query: Executable, **values: object) -> Any:
        """Return the first column of a query's first row; None if there is no row."""
        with self.reading() as connection:
            return connection.execute(query, values).scalar()

    def attach(self, connection: Connection, name: str) -> None:
        """Make the ledger's tables readable under a name in a connection to another database.

        Raises:
            LedgerError: the file cannot be read.
        """
        with ledger_errors(self.path):
            connection.exec_driver_sql(f"ATTACH ? AS {name}", (_uri(self.path, "ro"),))

    def finished(self, *, except_failed: bool = False) -> FinishedSet:
        """Return which results there are; `except_failed` leaves out the failed ones."""
        query = select(results.c.position, results.c.mode)
        if except_failed:
            query = query.where(results.c.status != "failed")
        found = FinishedSet()
        with self.reading() as connection:
            for position, mode in connection.execution_options(yield_per=10_000).execute(query):
                found.add(position, mode)
        return found

    def replies(self, sample: str, mode: str) -> dict[tuple[int, int, str, int, str], RecordedReply]:
        """Return the recorded replies of a sample in a mode, by exchange, round, step, how often it was asked
        by then, and request.

        If the same request was made several times, the last reply counts.
        """
        key = (calls.c.exchange, calls.c.round, calls.c.step, calls.c.asked, calls.c.request)
        query = (
            select(*key, calls.c.reply, calls.c.failure_kind, calls.c.failure)
            .where(calls.c.sample == sample, calls.c.mode == mode)
            .order_by(calls.c.number)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
            replies = resolve(connection, [row.reply for row in rows])
        return {
            (row.exchange, row.round, row.step, row.asked, row.request): RecordedReply(
                reply, row.failure_kind, row.failure
            )
            for row, reply in zip(rows, replies, strict=True)
        }

    def last_text_id(self) -> int:
        """Return the highest id in `texts`, or 0."""
        return self.scalar(select(func.max(texts.c.id))) or 0

    def last_call(self) -> int:
        """Return the number of the last recorded call, or 0."""
        return self.scalar(select(func.max(calls.c.number))) or 0

    def has_calls(self) -> bool:
        """Whether any call is recorded."""
        return self.last_call() > 0

    def has_results(self) -> bool:
        """Whether any sample was finished; skipped ones do not count."""
        query = select(results.c.position).where(results.c.status != "skipped").limit(1)
        return self.scalar(query) is not None

    def finished_in(self, mode: str) -> int:
        """Return how many samples were finished in a mode."""
        query = text("SELECT coalesce(sum(results), 0) FROM result_totals WHERE mode = :mode")
        return int(self.scalar(query, mode=mode))

    def judged_rounds(self) -> tuple[int, int]:
        """Return how many rounds were judged, and in how many of them no verdict could be read."""
        unread = "CASE WHEN forward = 'unreadable' AND reversed = 'unreadable' THEN rounds END"
        query = f"SELECT coalesce(sum(rounds), 0), coalesce(sum({unread}), 0) FROM round_totals"  # noqa: S608
        ((rounds, unreadable),) = self.rows(text(query))
        return rounds, unreadable

    def one_sided_rounds(self) -> tuple[int, int, int]:
        """Return in how many judged rounds both orders could be read, and in how many of these both preferred
        the response that was shown first, and the one that was shown second."""
        first = "forward = 'current' AND reversed = 'draft'"
        second = "forward = 'draft' AND reversed = 'current'"
        query = (
            f"SELECT coalesce(sum(rounds), 0), coalesce(sum(CASE WHEN {first} THEN rounds END), 0), "  # noqa: S608
            f"coalesce(sum(CASE WHEN {second} THEN rounds END), 0) FROM round_totals "
            "WHERE forward <> 'unreadable' AND reversed NOT IN ('unreadable', 'not asked')"
        )
        ((readable, shown_first, shown_second),) = self.rows(text(query))
        return readable, shown_first, shown_second

    def judged_by_panels(self) -> Iterator[str]:
        """Yield the outcomes, as JSON, of results with judgments of a panel."""
        panels = "SELECT count(DISTINCT model) FROM call_totals WHERE step = 'judge_forward'"
        if self.scalar(text(panels)) < 2:
            return
        query = text("SELECT outcome FROM results WHERE instr(outcome, '\"panel\"')")
        with self.reading() as connection:
            for (outcome,) in connection.execution_options(yield_per=1000).execute(query):
                yield outcome

    def endings(self) -> tuple[int, dict[str, int]]:
        """Return how many exchanges ended without a failure, and how many of them kept their response, by
        ending."""
        query = text(
            "SELECT ending, sum(exchanges), sum(CASE WHEN accepted_rounds = 0 THEN exchanges ELSE 0 END) "
            "FROM exchange_totals WHERE ending <> 'failed' GROUP BY ending"
        )
        rows = self.rows(query)
        return sum(ended for _, ended, _ in rows), {ending: kept for ending, _, kept in rows}

    def last_unusable(self, kinds: Collection[str], steps: Collection[str], most: int) -> Sequence[Any]:
        """Return step, kind and message of the last exchanges' last calls, where these failed with one of
        `kinds` in one of `steps`; at most so many, the newest first."""
        later = calls.alias()
        same = [later.c[name] == calls.c[name] for name in ("sample", "mode", "exchange")]
        query = (
            select(calls.c.step, calls.c.failure_kind, calls.c.failure)
            .where(calls.c.failure_kind.in_(kinds), calls.c.step.in_(steps))
            .where(~exists().where(*same, later.c.number > calls.c.number))
            .order_by(calls.c.number.desc())
            .limit(most)
        )
        return self.rows(query)

    def last_failed_call(self) -> tuple[str | None, str] | None:
        """Return the kind and the message of the last call that failed; None if none did.

        All calls after it are read.
        """
        query = select(calls.c.failure_kind, calls.c.failure).where(calls.c.failure.is_not(None))
        found = self.rows(query.order_by(calls.c.number.desc()).limit(1))
        return (found[0][0], found[0][1]) if found else None

    def failures(self) -> Iterator[tuple[str | None, str]]:
        """Yield the kind and the message of each failed result."""
        query = text(f"SELECT failure_kind, reason FROM results WHERE {NOT_DONE} AND status = 'failed'")  # noqa: S608
        with self.reading() as connection:
            for kind, reason in connection.execution_options(yield_per=1000).execute(query):
                yield kind, reason or ""

    def samples(self) -> Iterator[SampleResults]:
        """Yield the samples that are finished in some mode, in the data's order.

        A skipped sample has one result, under `SKIPPED`.
        """
        last = -1
        # Each batch is a read of its own, so that no reader blocks the writer.
        while batch := self._samples(samples.c.position > last):
            yield from batch
            last = batch[-1][0].position

    def sample(self, sample_id: str) -> SampleResults | None:
        """Return a finished sample; None if there is none with this id."""
        return next(iter(self._samples(samples.c.id == sample_id)), None)

    def samples_at(self, positions: Collection[int]) -> list[SampleResults]:
        """Return the finished samples at these positions, at most `BATCH` of them."""
        return self._samples(samples.c.position.in_(positions))

    def samples_with(self, ids: Collection[str]) -> list[SampleResults]:
        """Return the finished samples with these ids, at most `BATCH` of them."""
        return self._samples(samples.c.id.in_(ids))

    def _samples(self, condition: ColumnElement[bool]) -> list[SampleResults]:
        some = select(samples).where(condition).order_by(samples.c.position).limit(BATCH).subquery()
        query = (
            select(some, results)
            .join(results, some.c.position == results.c.position)
            .order_by(some.c.position, results.c.mode)
        )
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            records = resolve_json(connection, [row[some.c.record] for row in rows])
            outcomes = resolve_json(connection, [row[results.c.outcome] for row in rows])
        found: dict[int, SampleResults] = {}
        for row, record, outcome in zip(rows, records, outcomes, strict=True):
            position, form = row[some.c.position], row[some.c.format]
            if position not in found:
                sample = recorded_sample(position, row[some.c.id], record, form)
                if row[results.c.mode] == SKIPPED:  # which may depend on the run's settings
                    sample = replace(sample, exchanges=(), skip=row[results.c.reason])
                elif any(done["exchange"] >= len(sample.exchanges) for done in outcome):
                    raise LedgerError(
                        f"the run took the record of sample {sample.id} for another conversation than this "
                        "version of coevol: read it with the version in run.json, or begin a new run"
                    )
                elif any(done["original"] != sample.exchanges[done["exchange"]].response for done in outcome):
                    sample = recorded_sample(position, sample.id, record, form, "text")
                found[position] = sample, {}
            result = Result(outcome=outcome, **{column.name: row[column] for column in _RESULT_COLUMNS})
            found[position][1][result.mode] = result
        return list(found.values())

    def ids(self, limit: int) -> list[str]:
        """Return the ids of the first finished samples, at most `limit`."""
        query = select(samples.c.id).order_by(samples.c.position).limit(limit)
        return [row[0] for row in self.rows(query)]

    def calls(self, sample_id: str) -> list[dict[str, Any]]:
        """Return the calls of a sample as rows of the table, in the order in which they finished.

        `messages` is a list of {role, content}.
        """
        return self._calls(select(calls).where(calls.c.sample == sample_id))

    def all_calls(self) -> Iterator[dict[str, Any]]:
        """Yield all recorded calls, as `calls` returns them."""
        last = 0
        while batch := self._calls(select(calls).where(calls.c.number > last).limit(BATCH)):
            yield from batch
            last = batch[-1]["number"]

    def _calls(self, query: Select[Any]) -> list[dict[str, Any]]:
        query = query.order_by(calls.c.number)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            prompts = resolve_json(connection, [row["messages"] for row in rows])
            replies = resolve(connection, [row["reply"] for row in rows])
            thoughts = resolve(connection, [row["thoughts"] or "" for row in rows])
        return [
            {**row, "messages": join_prompt(messages), "reply": reply, "thoughts": thought or None}
            for row, messages, reply, thought in zip(rows, prompts, replies, thoughts, strict=True)
        ]


_RESULT_COLUMNS = [column for column in results.c if column.name not in ("position", "outcome")]


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into a `LedgerError` that says what to do."""
    try:
        yield
    except (DataError, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError):
        raise  # the values, not the file
    except DatabaseError as error:
        cause = str(error.orig if isinstance(error.orig, sqlite3.Error) else error)
        with suppress(OSError):
            if "disk I/O" in cause and disk_usage(path.parent).free < DISK_FULL_BELOW:
                cause = "database or disk is full"
        advice = next((f": {advice}" for part, advice in _ADVICE.items() if part in cause), "")
        raise LedgerError(f"the ledger {path} cannot be used: {cause}{advice}") from None
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be used: {error.strerror}") from None


_ADVICE = {
    "disk is full": "free some space, and the same command resumes the run",
    "is locked": "another program holds it; close that, and the same command resumes the run",
    "malformed": "it is damaged; restore a copy if there is one, or start the run in another folder",
    "not a database": "it is damaged or not a ledger; restore a copy if there is one",
    "unable to open": "make sure that the folder exists and is writable",
    "readonly": "make the folder and the file writable",
}
"""What to do about an error, by a part of SQLite's message."""


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(_uri(path, "rw"), uri=True, check_same_thread=False)


def _uri(path: Path, access: Literal["ro", "rw"]) -> str:
    # Readers and writers share two files next to the ledger. In a read-only folder SQLite cannot create them,
    # and where they do not exist there is no writer: the file can be read as immutable.
    immutable = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return f"{path.absolute().as_uri()}?mode={access}{'&immutable=1' if immutable else ''}"


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    # Every commit waits for the disk, and a reader waits for the writer rather than fail.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")
