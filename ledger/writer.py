"""The writer of a ledger.

A thread writes all additions; those that arrive during a transaction share the next one. `add_*` return when
the transaction is on disk, so nothing that was reported done is lost if the process or the machine dies.
"""

import asyncio
import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Connection

from ledger.encoding import STATEMENTS, Encoder, Row, TableName, Value
from ledger.ledger import Ledger, LedgerError, Result, Unwritable, ledger_errors
from ledger.texts import TextIds
from models.call import CallRecord
from samples.sample import Sample

Addition = CallRecord | tuple[Sample, Result] | Sequence[Row]
"""A call, a result, or rows that were encoded elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    additions: Sequence[Addition]
    written: asyncio.Future[dict[int, Unwritable]]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Adds to a ledger. Use it as an async context manager; leaving it writes what is left.

    After a failure, such as a full disk, nothing more is written and every addition raises the same
    `LedgerError`. What cannot be written for what it holds fails alone.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self.text_ids = TextIds(ledger.last_text_id())
        """For encoders elsewhere."""
        self._ids = iter(self.text_ids)
        self._encoder = Encoder(self._ids)
        self._file: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._write, name="ledger writer")

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entries.put(None)
        await asyncio.to_thread(self._thread.join)

    async def add_call(self, record: CallRecord) -> None:
        """Write the record of a call to disk.

        Raises:
            Unwritable: this one cannot be written.
            LedgerError: nothing can be written.
        """
        await self.add(record)

    async def add_result(self, sample: Sample, result: Result) -> None:
        """Write a sample's result to disk with its record, replacing an earlier result in the same mode.

        Raises:
            Unwritable: this one cannot be written.
            LedgerError: nothing can be written.
        """
        await self.add((sample, result))

    async def add(self, addition: Addition) -> None:
        """Write something to disk.

        Raises:
            Unwritable: this one cannot be written.
            LedgerError: nothing can be written.
        """
        if failed := await self.add_all([addition]):
            raise failed[0]

    def add_all(self, additions: Sequence[Addition]) -> asyncio.Future[dict[int, Unwritable]]:
        """Begin to write several additions to disk. When they are there the future has those that cannot be
        written, by their index; where nothing can be written, a LedgerError."""
        loop = asyncio.get_running_loop()
        entry = _Entry(additions, loop.create_future(), loop)
        self._entries.put(entry)
        return entry.written

    def _write(self) -> None:
        failure: LedgerError | Unwritable | None = None
        with ExitStack() as until_done:
            try:
                with ledger_errors(self._ledger.path):
                    connection = until_done.enter_context(self._ledger.engine.connect())
                    self._file = _file(self._ledger.path)
            except LedgerError as error:
                failure = error
            more = True
            while more:
                batch = [self._entries.get()]
                while not self._entries.empty():
                    batch.append(self._entries.get())
                entries = [entry for entry in batch if entry is not None]
                more = len(entries) == len(batch)
                if not entries:
                    continue
                failed: dict[_Entry, dict[int, Unwritable]] = {}
                additions = [addition for entry in entries for addition in entry.additions]
                failure = failure or self._commit(connection, additions)
                if isinstance(failure, Unwritable):
                    failure = self._commit_singly(connection, entries, failed)
                entries[0].loop.call_soon_threadsafe(_settle, entries, failure, failed)

    def _commit_singly(
        self, connection: Connection, entries: list[_Entry], failed: dict[_Entry, dict[int, Unwritable]]
    ) -> LedgerError | None:
        """Write entries of which something cannot be written; note what `failed`."""
        for entry in entries:
            for number, addition in enumerate(entry.additions):
                # What was stored with one that failed is gone.
                self._encoder = Encoder(self._ids)
                failure = self._commit_texts(connection, addition) or self._commit(connection, [addition])
                if isinstance(failure, Unwritable):
                    failed.setdefault(entry, {})[number] = failure
                elif failure:
                    return failure
        self._encoder = Encoder(self._ids)
        return None

    def _commit_texts(self, connection: Connection, addition: Addition) -> LedgerError | Unwritable | None:
        """Write the texts of rows that were encoded elsewhere: other rows from there may refer to them."""
        if not isinstance(addition, list):
            return None
        found = [row for row in addition if row[0] == "texts"]
        addition[:] = [row for row in addition if row[0] != "texts"]
        return self._commit(connection, [found])

    def _commit(
        self, connection: Connection, additions: Sequence[Addition]
    ) -> LedgerError | Unwritable | None:
        try:
            if _file(self._ledger.path) != self._file:
                # SQLite would keep writing to a file that can no longer be found.
                return LedgerError(
                    f"the ledger {self._ledger.path} was moved or deleted while the run wrote to it: "
                    "put it back, and the same command resumes the run"
                )
            rows: dict[TableName, list[tuple[Value, ...]]] = {table: [] for table in STATEMENTS}
            for addition in additions:
                for table, values in self._rows(addition):
                    rows[table].append(values)
            with ledger_errors(self._ledger.path), connection.begin():
                for table, some in rows.items():
                    if some:
                        connection.exec_driver_sql(STATEMENTS[table], some)
        except LedgerError as error:
            return error
        except Exception as error:
            # Whatever it is, the tasks that wait for these entries must receive it.
            return Unwritable(f"it cannot be recorded: {one_line(error)}")
        return None

    def _rows(self, addition: Addition) -> Sequence[Row]:
        match addition:
            case CallRecord():
                return self._encoder.call(addition)
            case Sample() as sample, Result() as result:
                return self._encoder.result(sample, result)
        return addition


def _file(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at a path; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _settle(
    entries: list[_Entry], failure: LedgerError | None, failed: Mapping[_Entry, dict[int, Unwritable]]
) -> None:
    for entry in entries:
        if entry.written.done():  # its task was cancelled
            continue
        if failure:
            entry.written.set_exception(failure)
        else:
            entry.written.set_result(failed.get(entry, {}))


def one_line(error: Exception) -> str:
    """Return an error without the statement and the values that SQLAlchemy adds."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
