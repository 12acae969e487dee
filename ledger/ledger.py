"""The ledger: what a run knows. One SQLite file, one writer, any number of readers.

What it does not know: graphs, settings, secrets (texts come here with the keys already taken out).
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, select
from sqlalchemy.exc import DatabaseError

from ledger.tables import VERSION, calls, metadata, results, samples
from samples.formats import parse_record
from samples.sample import Sample

Status = Literal["done", "failed", "skipped"]

SKIPPED = ""
"""The mode of a skipped sample's only result: it is skipped in all modes."""


class LedgerError(Exception):
    """The ledger cannot be read or written. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a sample in a mode.

    `outcome` has an entry for each exchange that was worked on. Token counts are estimates over those
    exchanges; `finished` is a Unix time.
    """

    mode: str
    status: Status
    reason: str | None
    accepted_rounds: int
    exchanges: int
    original_tokens: int
    final_tokens: int
    outcome: list[dict[str, Any]]
    finished: float


class Ledger:
    """A run's ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Connections to a file are cheap; one kept open in a pool would only hold files open.
        self.engine: Engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        event.listen(self.engine, "connect", _configure)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, empty ledger.

        Raises:
            LedgerError: it cannot be written there.
        """
        ledger = cls(path)
        with reported(path):
            with ledger.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            with ledger.engine.begin() as connection:
                metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        return ledger

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger of a run.

        Raises:
            LedgerError: there is none, it is broken, or another version of the program wrote it.
        """
        if not path.is_file():
            raise LedgerError(f"{path.parent} is not a run: it has no {path.name}")
        ledger = cls(path)
        with ledger.reading() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version != VERSION:
            raise LedgerError(
                f"{path} was written by another version of coevol: "
                f"its tables have version {version}, this one reads {VERSION}"
            )
        return ledger

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for looking, at one moment of the run.

        Raises:
            LedgerError: from the block, where the file cannot be read.
        """
        with reported(self.path), self.engine.connect() as connection:
            yield connection

    def finished(self, *, but_failed: bool = False) -> set[tuple[int, str]]:
        """The position and mode of each result there is; `but_failed` leaves out the failed ones."""
        query = select(results.c.position, results.c.mode)
        if but_failed:
            query = query.where(results.c.status != "failed")
        with self.reading() as connection:
            return {(position, mode) for position, mode in connection.execute(query)}

    def replies(self, sample: str, mode: str) -> dict[tuple[int, int, str, str], str]:
        """The replies on file for a sample in a mode, by exchange, round, step and request.

        Calls that failed are not among them.
        """
        address = (calls.c.exchange, calls.c.round, calls.c.step, calls.c.request)
        query = select(*address, calls.c.reply).where(
            calls.c.sample == sample, calls.c.mode == mode, calls.c.failure.is_(None)
        )
        with self.reading() as connection:
            rows = connection.execute(query)
            return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}

    def has_calls(self) -> bool:
        """Whether any call is on file."""
        with self.reading() as connection:
            return connection.execute(select(calls.c.number).limit(1)).first() is not None

    def samples(self) -> Iterator[tuple[Sample, dict[str, Result]]]:
        """Each sample that is finished in some mode, with its results by mode, in the data's order.

        A skipped sample has one result, under `SKIPPED`.
        """
        query = select(samples, results).join(results, samples.c.position == results.c.position)
        query = query.order_by(samples.c.position, results.c.mode)
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=500).execute(query)
            sample: Sample | None = None
            by_mode: dict[str, Result] = {}
            for row in rows.mappings():
                if sample is None or sample.position != row[samples.c.position]:
                    if sample is not None:
                        yield sample, by_mode
                    sample, by_mode = _sample(row), {}
                by_mode[row[results.c.mode]] = _result(row)
            if sample is not None:
                yield sample, by_mode

    def sample(self, sample_id: str) -> tuple[Sample, dict[str, Result]] | None:
        """One finished sample and its results by mode; None where there is none of that id."""
        query = select(samples, results).join(results, samples.c.position == results.c.position)
        with self.reading() as connection:
            rows = connection.execute(query.where(samples.c.id == sample_id)).mappings().all()
        if not rows:
            return None
        return _sample(rows[0]), {row[results.c.mode]: _result(row) for row in rows}

    def ids(self, most: int) -> list[str]:
        """The ids of the first finished samples, `most` of them."""
        with self.reading() as connection:
            query = select(samples.c.id).order_by(samples.c.position).limit(most)
            return list(connection.scalars(query))

    def calls(self, sample_id: str) -> list[dict[str, Any]]:
        """The calls of a sample as rows of the table, `messages` as a list, in the order they finished."""
        query = select(calls).where(calls.c.sample == sample_id).order_by(calls.c.number)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [dict(row) | {"messages": json.loads(row["messages"])} for row in rows]


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turns what SQLite says into a `LedgerError` that a person can act on."""
    try:
        yield
    except DatabaseError as error:
        cause = error.orig if isinstance(error.orig, sqlite3.Error) else error
        raise LedgerError(f"the ledger {path} cannot be used: {cause}") from None


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    # Every commit waits for the disk, and a reader waits for the writer rather than fail.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")


def _sample(row: Any) -> Sample:
    record = json.loads(row[samples.c.record])
    parsed = parse_record(record, row[samples.c.format])
    return Sample(
        position=row[samples.c.position],
        id=row[samples.c.id],
        format=row[samples.c.format],
        record=record,
        system=parsed.system,
        exchanges=parsed.exchanges,
        skip=parsed.skip,
    )


def _result(row: Any) -> Result:
    return Result(
        mode=row[results.c.mode],
        status=row[results.c.status],
        reason=row[results.c.reason],
        accepted_rounds=row[results.c.accepted_rounds],
        exchanges=row[results.c.exchanges],
        original_tokens=row[results.c.original_tokens],
        final_tokens=row[results.c.final_tokens],
        outcome=json.loads(row[results.c.outcome]),
        finished=row[results.c.finished],
    )
