"""Which fields of a record its layout has for what, also where that is one side of a preference."""

import json
from collections.abc import Mapping
from typing import Any

from samples.fields import is_empty, is_missing
from samples.layouts import (
    COLUMNS,
    KTO,
    LISTS,
    OTHER_SYSTEM_FIELDS,
    PREFERENCE,
    Columns,
    base_of,
    candidates,
    has_ranking,
    id_field,
    side_of,
    system_fields,
)
from samples.nested import transcript, unpack
from samples.preferences import LABELS, REJECTED, SIDES, is_of_side, other_of, rejected_field, side_fields
from samples.turn_names import names_of, role_of
from samples.turns import value_turns
from samples.unread_parts import with_unread_parts

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
    return columns.parts() if columns else (LISTS.get(base, ""), *systems_of(base, record))


def systems_of(layout: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields with the system prompt of a layout of turns in one list."""
    known = system_fields(layout)
    others = [name for name in known if name in OTHER_SYSTEM_FIELDS]
    if not any(name in record for name in others):
        return known
    turns = (unpack(record.get(LISTS.get(layout, ""))) or ([], None))[0]
    first = turns[0] if turns and isinstance(turns[0], dict) else {}
    begins = role_of(str(first.get(names_of(first)[0]))) == "system"
    named = tuple(name for name in known if name not in others)
    if begins or not all(is_empty(record.get(name)) for name in named):
        return named
    return (*named, *[name for name in others if isinstance(record.get(name), str)][:1])


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
    systems = (*OTHER_SYSTEM_FIELDS, *system_fields("gemini"))
    system = next((name for name in systems if name in present), "system")
    response = side_fields(record).get(side) or (side if side in record else "")
    if not response:
        base = _base(record)
        if side == "rejected" and not has_ranking(record, base):
            response = next((name for name in REJECTED if name in present), REJECTED[0])
        elif base in COLUMNS:
            return with_unread_parts(COLUMNS[base], record)
        else:
            request, response = "", LISTS.get(base, side)
    if not request and not transcript(record.get(response)):
        named = (name for name in ("context_messages", "context") if name in present)
        request = next((name for name in named if _is_request(record[name], name)), "")
        if not request and (base := _base(record)) in COLUMNS:
            request = COLUMNS[base].request
    second = "input" if request == "instruction" and not is_empty(record.get("input")) else ""
    return with_unread_parts(Columns(request, response, second, system, "history"), record)


def _is_request(value: Any, field: str) -> bool:
    return isinstance(value, str) or value_turns(value, field) is not None


def _base(record: Mapping[str, Any]) -> str:
    """Return the layout of a record's own response; empty if it has none, or may have several."""
    found = candidates(record)
    return found[0] if len(found) == 1 else ""
