"""The one writer of a ledger.

What is added is written by a thread of its own, which puts everything that arrives while it writes into its
next transaction. `add_*` return when that transaction is on disk, so nothing that was reported done is lost
when the process or the machine dies.
"""

import asyncio
import json
import queue
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy import Connection, Insert, insert

from ledger.ledger import Ledger, LedgerError, Result, reported
from ledger.tables import calls, results, samples
from models.call import CallRecord
from samples.sample import Sample

_ADD_CALL = insert(calls)
_ADD_SAMPLE = insert(samples).prefix_with("OR IGNORE")
_ADD_RESULT = insert(results).prefix_with("OR REPLACE")

_Rows = list[tuple[Insert, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Entry:
    rows: _Rows
    written: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Adds to a ledger. Use it as an async context manager; leaving it writes what is left.

    After a failure (the disk is full, say) nothing more is written and every addition raises the
    `LedgerError` that tells of it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger writer")

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entries.put(None)
        await asyncio.to_thread(self._thread.join)

    async def add_call(self, record: CallRecord) -> None:
        """Puts the record of a call on disk.

        Raises:
            LedgerError: it could not be written.
        """
        call = record.call
        row = {
            "sample": call.sample,
            "mode": call.mode,
            "exchange": call.exchange,
            "round": call.round,
            "step": call.step,
            "request": record.request,
            "model": record.model,
            "messages": _json(record.messages),
            "reply": record.reply,
            "finish_reason": record.finish_reason,
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "cached_tokens": record.cached_tokens,
            "started": record.started,
            "latency": record.latency,
            "attempts": record.attempts,
            "failure": record.failure,
        }
        await self._add([(_ADD_CALL, row)])

    async def add_result(self, sample: Sample, result: Result) -> None:
        """Puts a sample's result on disk, with the record it was read from.

        An earlier result in the same mode is replaced.

        Raises:
            LedgerError: it could not be written.
        """
        record = {
            "position": sample.position,
            "id": sample.id,
            "format": sample.format,
            "record": _json(sample.record),
        }
        row = asdict(result) | {"position": sample.position, "outcome": _json(result.outcome)}
        await self._add([(_ADD_SAMPLE, record), (_ADD_RESULT, row)])

    async def _add(self, rows: _Rows) -> None:
        loop = asyncio.get_running_loop()
        entry = _Entry(rows, loop.create_future(), loop)
        self._entries.put(entry)
        await entry.written

    def _write(self) -> None:
        failure: LedgerError | None = None
        with self._ledger.engine.connect() as connection:
            more = True
            while more:
                batch = [self._entries.get()]
                while not self._entries.empty():
                    batch.append(self._entries.get())
                entries = [entry for entry in batch if entry is not None]
                more = len(entries) == len(batch)
                if not entries:
                    continue
                failure = failure or self._commit(connection, entries)
                entries[0].loop.call_soon_threadsafe(_settle, entries, failure)

    def _commit(self, connection: Connection, entries: list[_Entry]) -> LedgerError | None:
        statements: dict[Insert, list[dict[str, Any]]] = defaultdict(list)
        for entry in entries:
            for statement, row in entry.rows:
                statements[statement].append(row)
        try:
            with reported(self._ledger.path), connection.begin():
                for statement, rows in statements.items():
                    connection.execute(statement, rows)
        except LedgerError as error:
            return error
        except Exception as error:
            # Whatever it is, those who wait for this entry must hear of it.
            return LedgerError(f"the ledger {self._ledger.path} cannot be written: {error!r}")
        return None


def _settle(entries: list[_Entry], failure: LedgerError | None) -> None:
    for entry in entries:
        if entry.written.done():  # its task was cancelled
            continue
        if failure is None:
            entry.written.set_result(None)
        else:
            entry.written.set_exception(failure)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # Half a surrogate pair, which JSON can carry and UTF-8 cannot, is kept as its escape.
    return text if _encodes(text) else json.dumps(value)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
