"""References: answers known to be right, which a field of a record or of a response's turn holds.

The field may be inside others: `reward_model.ground_truth`. Its value is a text or a number, or a list of
them, each of which is right; of anything else the JSON counts. Objects and lists may be JSON in a text, as
tables have them, except lists of several numbers: an answer such as [1, 2] is written so too.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from samples.bounds import load_if_json
from samples.fields import Parsed, Place, is_encodable, is_missing
from samples.layout_fields import columns_of, parts_of
from samples.layouts import describe
from samples.nested import unpack
from samples.sample import DataError


def with_references(parsed: Parsed, record: Mapping[str, Any], field: str) -> Parsed:
    """Return the parts of a record with the references in a field.

    A turn's own field is about its response, the record's about the last one.
    """
    exchanges = []
    for number, (exchange, place) in enumerate(zip(parsed.exchanges, parsed.responses, strict=True), 1):
        turn = _at(record, place[:-1]) if len(place) > 1 else None
        references = reference_texts(_value(turn, field)) if isinstance(turn, Mapping) else ()
        if number == len(parsed.exchanges):
            references = references or reference_texts(_value(record, field))
        exchanges.append(replace(exchange, references=references))
    return replace(parsed, exchanges=tuple(exchanges))


def has_reference(parsed: Parsed) -> bool:
    """Return whether an exchange that is worked on has a reference."""
    return any(exchange.references and not exchange.fixed for exchange in parsed.exchanges)


def fields_of_turn(record: Mapping[str, Any], place: Place) -> list[str]:
    """Return the fields of a response's turn besides its text; none if it is a field of the record."""
    turn = _at(record, place[:-1]) if len(place) > 1 else None
    return [name for name in turn if name != place[-1]] if isinstance(turn, Mapping) else []


def refuse_part(field: str, layout: str, record: Mapping[str, Any]) -> None:
    """Raise DataError where a field holds what is asked; the response's own is one that others may see."""
    columns = columns_of(layout, record)
    if field in parts_of(layout, record) and not (columns and field == columns.response):
        raise DataError(f'--reference {field}: in {describe(layout)}, all agents see "{field}"')


def reference_texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a reference; none if there is none, or it cannot be sent to a model."""
    loaded = load_if_json(value)
    if _are_answers(loaded) and (len(loaded) < 2 or any(isinstance(each, str) for each in loaded)):
        value = loaded
    if _are_answers(value):
        texts = [text for each in value for text in reference_texts(each)]
        return tuple(dict.fromkeys(texts))
    if is_missing(value):
        return ()
    match value:
        case str():
            text = value.strip()
        case float() if value.is_integer() and abs(value) < 1e15:
            text = str(int(value))  # a column of numbers with gaps has only such
        case _:
            try:
                text = json.dumps(value, ensure_ascii=False, default=str)
            except (ValueError, RecursionError):  # a number of thousands of digits, or a deep nest
                return ()
    return (text,) if text and is_encodable(text) else ()


def _are_answers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(v, str | int | float) or v is None for v in value
    )


def _value(record: Mapping[str, Any], field: str) -> Any:
    if field in record:
        return record[field]
    name, dot, rest = field.partition(".")
    inner = load_if_json(record.get(name)) if dot else None
    return _value(inner, rest) if isinstance(inner, Mapping) else None


def _at(value: Any, place: Place) -> Any:
    for step in place:
        if isinstance(step, int):
            unpacked = unpack(value)
            value = unpacked[0][step] if unpacked else None
        else:
            value = value[step]
    return value
