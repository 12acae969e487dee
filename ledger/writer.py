"""The writer of a ledger.

A thread writes all additions; those that arrive during a transaction share the next one. `add_*` return when
the transaction is on disk, so nothing that was reported done is lost if the process or the machine dies.
"""

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Insert, insert

from ledger.ledger import Ledger, LedgerError, Result, Unwritable, ledger_errors
from ledger.tables import calls, results, samples, texts
from ledger.texts import TextStore, json_text
from models.call import CallRecord
from samples.sample import Sample

_ADD_CALL = insert(calls)
_ADD_SAMPLE = insert(samples).prefix_with("OR IGNORE")
_ADD_RESULT = insert(results).prefix_with("OR REPLACE")
_ADD_TEXT = insert(texts)

_CALL_FIELDS = ("sample", "mode", "exchange", "round", "step", "asked", "shortened_to")
_RECORD_FIELDS = (
    *("request", "model", "finish_reason", "input_tokens", "output_tokens", "cached_tokens"),
    *("started", "latency", "attempts", "failure_kind", "failure", "code", "service_tier"),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    addition: CallRecord | tuple[Sample, Result]
    written: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Adds to a ledger. Use it as an async context manager; leaving it writes what is left.

    After a failure, such as a full disk, nothing more is written and every addition raises the same
    `LedgerError`. What cannot be written for what it holds fails alone.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._texts = TextStore(ledger.last_text_id())
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
        await self._add(record)

    async def add_result(self, sample: Sample, result: Result) -> None:
        """Write a sample's result to disk with its record, replacing an earlier result in the same mode.

        Raises:
            Unwritable: this one cannot be written.
            LedgerError: nothing can be written.
        """
        await self._add((sample, result))

    async def _add(self, addition: CallRecord | tuple[Sample, Result]) -> None:
        loop = asyncio.get_running_loop()
        entry = _Entry(addition, loop.create_future(), loop)
        self._entries.put(entry)
        await entry.written

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
                failed: dict[_Entry, Unwritable] = {}
                failure = failure or self._commit(connection, entries)
                if isinstance(failure, Unwritable):
                    failure = self._commit_singly(connection, entries, failed)
                entries[0].loop.call_soon_threadsafe(_settle, entries, failure, failed)

    def _commit_singly(
        self, connection: Connection, entries: list[_Entry], failed: dict[_Entry, Unwritable]
    ) -> LedgerError | None:
        """Write entries of which some cannot be written; note which ones `failed`."""
        for entry in entries:
            # What was stored with an entry that failed is gone.
            self._texts = TextStore(self._ledger.last_text_id())
            failure = self._commit(connection, [entry])
            if isinstance(failure, Unwritable):
                failed[entry] = failure
            elif failure:
                return failure
        self._texts = TextStore(self._ledger.last_text_id())
        return None

    def _commit(self, connection: Connection, entries: list[_Entry]) -> LedgerError | Unwritable | None:
        try:
            if _file(self._ledger.path) != self._file:
                # SQLite would keep writing to a file that can no longer be found.
                return LedgerError(
                    f"the ledger {self._ledger.path} was moved or deleted while the run wrote to it: "
                    "put it back, and the same command resumes the run"
                )
            rows: dict[Insert, list[dict[str, Any]]] = defaultdict(list)
            for entry in entries:
                for statement, row in self._rows(entry.addition):
                    rows[statement].append(row)
            rows[_ADD_TEXT], self._texts.new_rows = self._texts.new_rows, []
            with ledger_errors(self._ledger.path), connection.begin():
                for statement, some in rows.items():
                    if some:
                        connection.execute(statement, some)
        except LedgerError as error:
            return error
        except Exception as error:
            # Whatever it is, the tasks that wait for these entries must receive it.
            return Unwritable(f"it cannot be recorded: {_one_line(error)}")
        return None

    def _rows(self, addition: CallRecord | tuple[Sample, Result]) -> list[tuple[Insert, dict[str, Any]]]:
        if isinstance(addition, CallRecord):
            return [(_ADD_CALL, self._call_row(addition))]
        sample, result = addition
        put = self._texts.put
        record = {
            "position": sample.position,
            "id": sample.id,
            "format": sample.read_as,
            "record": json_text(put(sample.read, sample.id)),
        }
        # `asdict` would copy every text of the outcome.
        row = {field.name: getattr(result, field.name) for field in fields(result)}
        row |= {"position": sample.position, "outcome": json_text(put(result.outcome, sample.id))}
        self._texts.forget(sample.id)
        return [(_ADD_SAMPLE, record), (_ADD_RESULT, row)]

    def _call_row(self, record: CallRecord) -> dict[str, Any]:
        call = record.call
        row = {name: getattr(call, name) for name in _CALL_FIELDS}
        row |= {name: getattr(record, name) for name in _RECORD_FIELDS}
        messages, put = self._texts.put_prompt(record.messages, call.parts, call.sample), self._texts.put
        row |= {"messages": json_text(messages), "reply": put(record.reply, call.sample)}
        return row | {"thoughts": put(record.thoughts, call.sample) if record.thoughts else None}


def _file(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at a path; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _settle(entries: list[_Entry], failure: LedgerError | None, failed: Mapping[_Entry, Unwritable]) -> None:
    for entry in entries:
        if entry.written.done():  # its task was cancelled
            continue
        if error := failed.get(entry, failure):
            entry.written.set_exception(error)
        else:
            entry.written.set_result(None)


def _one_line(error: Exception) -> str:
    """Return an error without the statement and the values that SQLAlchemy adds."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
