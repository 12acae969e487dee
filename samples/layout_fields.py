"""Which fields of a record its layout has for what, also where that is one side of a preference."""

import json
from collections.abc import Mapping
from typing import Any

from samples.fields import is_missing
from samples.layouts import (
    COLUMNS,
    KTO,
    LISTS,
    PREFERENCE,
    Columns,
    base_of,
    candidates,
    has_ranking,
    id_field,
    side_of,
    system_fields,
)
from samples.nested import transcript
from samples.preferences import LABELS, REJECTED, SIDES, is_of_side, other_of, rejected_field, side_fields
from samples.turns import value_turns

_OF_REQUEST = ("generationConfig", "generation_config")
"""Fields of Gemini's records that set what is asked for."""


def columns_of(layout: str, record: Mapping[str, Any]) -> Columns | None:
    """Return the fields of a layout; None if it is a list of turns, or has the name of none."""
    kind, _, rest = layout.partition(" ")
    match kind:
        case "columns":
            return Columns(**json.loads(rest))
        case "preference":
            return columns_of_side(record, rest)
        case "kto":
            return columns_of(rest.partition(" ")[2], record)
        case _:
            return COLUMNS.get(layout)


def parts_of(layout: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields that hold the conversation of a record in its layout."""
    columns = columns_of(layout, record)
    base = base_of(layout)
    return columns.parts() if columns else (LISTS.get(base, ""), *system_fields(base))


def own_fields(layout: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return all fields of a record that its layout defines."""
    names = (*parts_of(layout, record), id_field(layout), "id")
    if layout.startswith(PREFERENCE):
        return (*names, *SIDES, *side_fields(record).values(), *REJECTED)
    if layout.startswith(KTO) or layout == "src-tgt":
        names += LABELS
    return (*names, *_OF_REQUEST) if base_of(layout) == "gemini" else names


def other_side(layout: str, record: Mapping[str, Any]) -> str | None:
    """Return the layout of the other side of a preference record; None if the record is none."""
    side = side_of(layout)
    if side and (side_fields(record) or rejected_field(record) or has_ranking(record, _base(record))):
        return f"{PREFERENCE} {other_of(side)}"
    return f"{PREFERENCE} rejected" if not side and rejected_field(record) else None


def fields_of_other_side(layout: str, record: Mapping[str, Any]) -> list[str]:
    """Return the fields of a preference record that only its other side has."""
    if (other := other_side(layout, record)) is None:
        return []
    side = side_of(other)
    mine, columns = parts_of(layout, record), columns_of(other, record)
    theirs = columns.response if columns else ""
    return [name for name in record if name not in mine and (name == theirs or is_of_side(name, side))]


def columns_of_side(record: Mapping[str, Any], side: str) -> Columns:
    """Return the fields of a preference record: where its request is differs."""
    present = [name for name in record if not is_missing(record[name])]
    requests = (
        "prompt",
        "conversations",
        "messages",
        "instruction",
        "question",
        "query",
        "input",
        "conversation",
        "contents",
    )
    request = next((name for name in requests if name in present), "")
    systems = ("system_prompt", *system_fields("gemini"))
    system = next((name for name in systems if name in present), "system")
    response = side_fields(record).get(side) or (side if side in record else "")
    if not response:
        base = _base(record)
        if side == "rejected" and not has_ranking(record, base):
            response = next((name for name in REJECTED if name in present), REJECTED[0])
        elif base in COLUMNS:
            return COLUMNS[base]
        else:
            request, response = "", LISTS.get(base, side)
    if not request and not transcript(record.get(response)):
        named = (name for name in ("context_messages", "context") if name in present)
        request = next((name for name in named if _is_request(record[name], name)), "")
    return Columns(request, response, "input" if request == "instruction" else "", system, "history")


def _is_request(value: Any, field: str) -> bool:
    return isinstance(value, str) or value_turns(value, field) is not None


def _base(record: Mapping[str, Any]) -> str:
    """Return the layout of a record's own response; empty if it has none, or may have several."""
    found = candidates(record)
    return found[0] if len(found) == 1 else ""
