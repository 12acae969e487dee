"""Calls and results as rows of the ledger's tables.

Encoding is most of what a call costs in the ledger, so workers do it where they are: their rows are written
as they come.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Literal

from sqlalchemy import Table

from ledger.ledger import Result
from ledger.tables import calls, results, samples, texts
from ledger.texts import TextStore, json_text
from models.call import CallRecord
from samples.sample import Sample

Value = str | int | float | None
TableName = Literal["samples", "results", "calls", "texts"]
Row = tuple[TableName, tuple[Value, ...]]
"""A table, and the values of its columns in their order; of calls and results without `number`."""

_CALL_FIELDS = ("sample", "mode", "exchange", "round", "step", "asked", "shortened_to")
_RECORD_FIELDS = (
    *("request", "model", "finish_reason", "input_tokens", "output_tokens", "cached_tokens"),
    *("started", "latency", "attempts", "failure_kind", "failure", "code", "service_tier"),
)
_CALL_COLUMNS = (*_CALL_FIELDS, *_RECORD_FIELDS, "messages", "reply", "thoughts")
_RESULT_FIELDS = tuple(field.name for field in fields(Result) if field.name != "outcome")
_RESULT_COLUMNS = ("position", *_RESULT_FIELDS, "outcome")


def _insert(table: Table, columns: tuple[str, ...], conflict: str = "") -> str:
    names, values = ", ".join(columns), ", ".join("?" * len(columns))
    return f"INSERT {conflict} INTO {table.name} ({names}) VALUES ({values})"  # noqa: S608 - our own names


STATEMENTS: dict[TableName, str] = {
    "samples": _insert(samples, ("position", "id", "format", "record"), "OR IGNORE"),
    "results": _insert(results, _RESULT_COLUMNS, "OR REPLACE"),
    "calls": _insert(calls, _CALL_COLUMNS),
    "texts": _insert(texts, ("id", "sample", "text")),
}
"""What writes the rows of each table, in the order in which they are written."""


class Encoder:
    """Turns what happened into rows, each text once. `ids` are those of its texts."""

    def __init__(self, ids: Iterator[int]) -> None:
        self._texts = TextStore(ids)

    def call(self, record: CallRecord) -> list[Row]:
        """Return the rows of a call."""
        call, put = record.call, self._texts.put
        messages = self._texts.put_prompt(record.messages, call.parts, call.sample)
        values = (
            *(getattr(call, name) for name in _CALL_FIELDS),
            *(getattr(record, name) for name in _RECORD_FIELDS),
            json_text(messages),
            put(record.reply, call.sample),
            put(record.thoughts, call.sample) if record.thoughts else None,
        )
        return [("calls", values), *self._new_texts()]

    def result(self, sample: Sample, result: Result) -> list[Row]:
        """Return the rows of a sample's result and of its record."""
        put = self._texts.put
        record = json_text(put(sample.read, sample.id))
        # `asdict` would copy every text of the outcome.
        values = (getattr(result, name) for name in _RESULT_FIELDS)
        outcome = json_text(put(result.outcome, sample.id))
        self._texts.forget(sample.id)
        return [
            ("samples", (sample.position, sample.id, sample.read_as, record)),
            ("results", (sample.position, *values, outcome)),
            *self._new_texts(),
        ]

    def _new_texts(self) -> Iterator[Row]:
        new, self._texts.new_rows = self._texts.new_rows, []
        return (("texts", row) for row in new)
