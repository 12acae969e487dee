"""The ledger: what a run knows. One SQLite file, one writer, any number of readers.

What it does not know: graphs, settings, secrets (texts come here with the keys already taken out).
"""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any, Literal, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Engine, NullPool, Select, create_engine, event, func, select
from sqlalchemy.exc import DatabaseError

from ledger import totals
from ledger.tables import VERSION, VIEWS, calls, metadata, results, samples, texts
from ledger.texts import unfold, unfold_json, unfold_prompt
from ledger.upgrade import OLDEST, upgrade
from samples.formats import parse_record
from samples.sample import Format, Sample

Status = Literal["done", "failed", "skipped"]

SKIPPED = ""
"""The mode of a skipped sample's only result: it is skipped in all modes."""


LITTLE = 1_000_000
"""Bytes free on a disk below which SQLite's "I/O error" means that there was no room."""

PAGE = 500
"""Samples read at a time."""


class LedgerError(Exception):
    """The ledger cannot be read or written. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a sample in a mode."""

    mode: str
    status: Status
    reason: str | None
    """Why it was skipped, or what failed."""
    accepted_rounds: int
    exchanges: int
    """Those that were worked on."""
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


class RecordedReply(NamedTuple):
    """The outcome of a recorded call."""

    reply: str
    failure_kind: str | None
    failure: str | None


class Finished:
    """Positions and modes that have a result; a byte each, so that a million take a megabyte."""

    def __init__(self) -> None:
        self._marks: dict[str, bytearray] = {}
        self._count = 0

    def add(self, position: int, mode: str) -> None:
        """Take one in."""
        marks = self._marks.setdefault(mode, bytearray())
        if position >= len(marks):
            marks.extend(bytes(max(position + 1, 2 * len(marks)) - len(marks)))
        self._count += not marks[position]
        marks[position] = 1

    def __contains__(self, place: tuple[int, str]) -> bool:
        position, mode = place
        marks = self._marks.get(mode, b"")
        return position < len(marks) and bool(marks[position])

    def __len__(self) -> int:
        return self._count


class Ledger:
    """A run's ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Connections to a file are cheap; one kept open in a pool would only hold files open. None of them
        # makes the file: where a ledger was moved away, an empty one in its place would hide that.
        self.engine: Engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        event.listen(self.engine, "connect", _configure)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, empty ledger. Where making one was cut short there is none: see `exists`.

        Raises:
            LedgerError: it cannot be written there.
        """
        ledger = cls(path)
        with reported(path):
            path.touch()
        with reported(path), ledger.engine.connect() as connection:
            # Texts of a few kilobytes leave less of a large page empty: 2.8 KiB a call instead of 4.5.
            connection.exec_driver_sql("PRAGMA page_size = 16384")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # The driver would begin no transaction for these: all of it is there, or nothing.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            metadata.create_all(connection)
            for view in VIEWS:
                connection.exec_driver_sql(view)
            totals.create(connection)
            totals.create_accepted(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            connection.commit()
        return ledger

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Whether there is a ledger, or a file that is none of ours and is not to be written over.

        Raises:
            LedgerError: it is broken.
        """
        # In this order: between two looks a ledger may begin to be made.
        if not path.exists():
            return False
        return not path.is_file() or cls(path)._version() is not None

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger of a run; one that an older version of the program made is upgraded.

        Raises:
            LedgerError: there is none, it is broken, it cannot be upgraded, or another version of the program
                wrote it that this one knows nothing of.
        """
        if not path.is_file():
            raise LedgerError(f"{path.parent} is not a run: it has no {path.name}")
        ledger = cls(path)
        version = ledger._version()
        if version is None:
            raise LedgerError(f"{path.parent} is no run yet: its ledger is being made, or that was cut short")
        if OLDEST <= version < VERSION:
            version = ledger._upgraded(version)
        if version != VERSION:
            raise LedgerError(
                f"{path} was written by another version of coevol: "
                f"its tables have version {version}, this one reads {VERSION}"
            )
        return ledger

    def _version(self) -> int | None:
        """The version of the tables; None where the file has none, since making it was not finished."""
        with self.reading() as connection:
            version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        return version if version or tables else None

    def _upgraded(self, version: int) -> int:
        if not os.access(self.path.parent, os.W_OK):
            raise LedgerError(
                f"{self.path} was written by an older version of coevol and would have to be upgraded (its "
                f"tables from version {version} to {VERSION}), and its folder is read-only: "
                "make it writable, or look at a copy"
            )
        with self.reading() as connection:
            return upgrade(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for looking, at one moment of the run.

        Raises:
            LedgerError: from the block, where the file cannot be read.
        """
        with reported(self.path), self.engine.connect() as connection:
            yield connection

    def attach(self, connection: Connection, name: str) -> None:
        """Makes the ledger's tables readable under a name, in a connection to another database.

        Raises:
            LedgerError: the file cannot be read.
        """
        with reported(self.path):
            connection.exec_driver_sql(f"ATTACH ? AS {name}", (_place(self.path, "ro"),))

    def finished(self, *, but_failed: bool = False) -> Finished:
        """Which results there are; `but_failed` leaves out the failed ones."""
        query = select(results.c.position, results.c.mode)
        if but_failed:
            query = query.where(results.c.status != "failed")
        found = Finished()
        with self.reading() as connection:
            for position, mode in connection.execution_options(yield_per=10_000).execute(query):
                found.add(position, mode)
        return found

    def replies(self, sample: str, mode: str) -> dict[tuple[int, int, str, str], RecordedReply]:
        """What is on file for a sample in a mode, by exchange, round, step and request.

        Where the same was asked several times, it is the last answer.
        """
        address = (calls.c.exchange, calls.c.round, calls.c.step, calls.c.request)
        query = (
            select(*address, calls.c.reply, calls.c.failure_kind, calls.c.failure)
            .where(calls.c.sample == sample, calls.c.mode == mode)
            .order_by(calls.c.number)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
            replies = unfold(connection, [row.reply for row in rows])
        return {
            (row.exchange, row.round, row.step, row.request): RecordedReply(
                reply, row.failure_kind, row.failure
            )
            for row, reply in zip(rows, replies, strict=True)
        }

    def last_text(self) -> int:
        """The highest id in `texts`."""
        with self.reading() as connection:
            return connection.execute(select(func.max(texts.c.id))).scalar_one() or 0

    def last_call(self) -> int:
        """The number of the last call on file, 0 where there is none."""
        with self.reading() as connection:
            return connection.execute(select(func.max(calls.c.number))).scalar_one() or 0

    def has_calls(self) -> bool:
        """Whether any call is on file."""
        with self.reading() as connection:
            return connection.execute(select(calls.c.number).limit(1)).first() is not None

    def has_results(self) -> bool:
        """Whether any sample was worked on to its end; skipped ones were not."""
        query = select(results.c.position).where(results.c.status != "skipped").limit(1)
        with self.reading() as connection:
            return connection.execute(query).first() is not None

    def samples(self) -> Iterator[tuple[Sample, dict[str, Result]]]:
        """Each sample that is finished in some mode, with its results by mode, in the data's order.

        A skipped sample has one result, under `SKIPPED`.
        """
        last = -1
        # A page is read at a time, each in a moment of its own: no reader stands in the writer's way.
        while page := self._page(samples.c.position > last):
            yield from page
            last = page[-1][0].position

    def sample(self, sample_id: str) -> tuple[Sample, dict[str, Result]] | None:
        """One finished sample and its results by mode; None where there is none of that id."""
        return next(iter(self._page(samples.c.id == sample_id)), None)

    def at(self, positions: Collection[int]) -> list[tuple[Sample, dict[str, Result]]]:
        """The finished samples at these positions, at most `PAGE` of them, with their results by mode."""
        return self._page(samples.c.position.in_(positions))

    def named(self, ids: Collection[str]) -> list[tuple[Sample, dict[str, Result]]]:
        """The finished samples with these ids, at most `PAGE` of them, with their results by mode."""
        return self._page(samples.c.id.in_(ids))

    def _page(self, condition: ColumnElement[bool]) -> list[tuple[Sample, dict[str, Result]]]:
        some = select(samples).where(condition).order_by(samples.c.position).limit(PAGE).subquery()
        query = (
            select(some, results)
            .join(results, some.c.position == results.c.position)
            .order_by(some.c.position, results.c.mode)
        )
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            records = unfold_json(connection, [row[some.c.record] for row in rows])
            outcomes = unfold_json(connection, [row[results.c.outcome] for row in rows])
        page: dict[int, tuple[Sample, dict[str, Result]]] = {}
        for row, record, outcome in zip(rows, records, outcomes, strict=True):
            position = row[some.c.position]
            if position not in page:
                sample = _sample(position, row[some.c.id], row[some.c.format], record)
                page[position] = sample, {}
            page[position][1][row[results.c.mode]] = _result(row, outcome)
        return list(page.values())

    def ids(self, most: int) -> list[str]:
        """The ids of the first finished samples, `most` of them."""
        with self.reading() as connection:
            query = select(samples.c.id).order_by(samples.c.position).limit(most)
            return list(connection.scalars(query))

    def calls(self, sample_id: str) -> list[dict[str, Any]]:
        """The calls of a sample as rows of the table, `messages` as a list, in the order they finished."""
        return self._calls(select(calls).where(calls.c.sample == sample_id))

    def every_call(self) -> Iterator[dict[str, Any]]:
        """All calls on file, as `calls` gives them, as a stream."""
        last = 0
        while page := self._calls(select(calls).where(calls.c.number > last).limit(PAGE)):
            yield from page
            last = page[-1]["number"]

    def _calls(self, query: Select[Any]) -> list[dict[str, Any]]:
        query = query.order_by(calls.c.number)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            prompts = unfold_json(connection, [row["messages"] for row in rows])
            replies = unfold(connection, [row["reply"] for row in rows])
        return [
            {**row, "messages": unfold_prompt(messages), "reply": reply}
            for row, messages, reply in zip(rows, prompts, replies, strict=True)
        ]


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turns what SQLite says into a `LedgerError` that a person can act on."""
    try:
        yield
    except DatabaseError as error:
        cause = str(error.orig if isinstance(error.orig, sqlite3.Error) else error)
        with suppress(OSError):
            if "disk I/O" in cause and disk_usage(path.parent).free < LITTLE:
                cause = "database or disk is full"
        advice = next((f": {advice}" for words, advice in _ADVICE.items() if words in cause), "")
        raise LedgerError(f"the ledger {path} cannot be used: {cause}{advice}") from None
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be used: {error.strerror}") from None


_ADVICE = {
    "disk is full": "make room, and the same command goes on from there",
    "is locked": "another program holds it; close that, and the same command goes on from there",
    "malformed": "it is damaged; put a copy of it back if there is one, or begin the run in another folder",
    "not a database": "it is damaged or not a ledger; put a copy of it back if there is one",
    "unable to open": "see that the folder is there and may be written to",
    "readonly": "make the folder and the file writable",
}
"""What to do about it, by what SQLite says."""


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(_place(path, "rw"), uri=True, check_same_thread=False)


def _place(path: Path, access: Literal["ro", "rw"]) -> str:
    # Readers and writers share two files beside the ledger. In a folder that is read-only SQLite cannot make
    # them, and where there are none nobody writes: it may be read as it is.
    apart = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return f"{path.absolute().as_uri()}?mode={access}{'&immutable=1' if apart else ''}"


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    # Every commit waits for the disk, and a reader waits for the writer rather than fail.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")


def _sample(position: int, sample_id: str, form: Format, record: dict[str, Any]) -> Sample:
    parsed = parse_record(record, form)
    return Sample(position, sample_id, form, record, parsed.system, parsed.exchanges, parsed.skip)


def _result(row: Any, outcome: list[dict[str, Any]]) -> Result:
    return Result(
        mode=row[results.c.mode],
        status=row[results.c.status],
        reason=row[results.c.reason],
        accepted_rounds=row[results.c.accepted_rounds],
        exchanges=row[results.c.exchanges],
        original_tokens=row[results.c.original_tokens],
        final_tokens=row[results.c.final_tokens],
        contradictions=row[results.c.contradictions],
        outcome=outcome,
        finished=row[results.c.finished],
        failure_kind=row[results.c.failure_kind],
    )
