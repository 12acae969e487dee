"""Layouts: under which names data sets keep requests and responses, and how a layout is recognized.

A layout is either a list of turns in one field, or fields for the request, its response and what belongs to
them (`Columns`). Known ones have a name; `columns_layout` makes one for any other. Sources: TRL, "Dataset
formats and types"; LLaMA-Factory, `data/README.md`; ms-swift, "Custom dataset"; Vertex AI, "Prepare
supervised fine-tuning data for Gemini models"; the cards of the data sets.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from samples.fields import is_missing
from samples.nested import turns_in_texts, unpack
from samples.preferences import Side, is_ranked, label_of, rejected_field, side_fields
from samples.sample import DataError
from samples.turn_names import names_of

PREFERENCE, KTO, NAMED = "preference", "kto", "columns"
"""How the names of layouts begin that say more: which side, which label, which fields."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the fields of a layout; empty where it has no such field."""

    request: str
    """A text; or the turns that lead to the response, whose own responses stay as they are."""
    response: str
    """A text, or one or more turns."""
    input: str = ""
    system: str = ""
    history: str = ""
    """Earlier exchanges, as pairs of request and response or as turns."""
    id: str = "id"

    def parts(self) -> tuple[str, ...]:
        """Return the fields that make up the conversation."""
        return tuple(filter(None, (self.system, self.history, self.request, self.input, self.response)))


LISTS: dict[str, str] = {
    "sharegpt": "conversations",
    "messages": "messages",
    "conversation": "conversation",
    "ultrachat": "data",
    "gemini": "contents",
}
"""The layouts of turns in one list, and its field."""

_SYSTEM_FIELDS = {"gemini": ("systemInstruction", "system_instruction", "system")}
"""Their fields for the system prompt, where these are not `system` and `OTHER_SYSTEM_FIELDS`."""

OTHER_SYSTEM_FIELDS = ("system_prompt", "system_message")
"""Names of a system prompt that count where `system` has none, and turns do not begin with one."""

COLUMNS: dict[str, Columns] = {
    "alpaca": Columns("instruction", "output", "input", "system", "history"),
    "alpaca-system-prompt": Columns("instruction", "output", "input", "system_prompt", "history"),
    "dolly": Columns("instruction", "response", "context", "system_prompt"),
    "instruction-response": Columns("instruction", "response", "input", "system", "history"),
    "instruction-completion": Columns("instruction", "completion", "input", "system", "history"),
    "distilabel": Columns("instruction", "generation", "", "system_prompt"),
    "orca": Columns("question", "response", "", "system_prompt"),
    "prompt-completion": Columns("prompt", "completion", "", "system", "history"),
    "prompt-response": Columns("prompt", "response", "", "system", "history"),
    "query-response": Columns("query", "response", "", "system", "history"),
    "question-answer": Columns("question", "answer", "", "system", "history"),
    "question-completion": Columns("question", "completion", "", "system", "history"),
    "question-solution": Columns("question", "solution", "", "system", "history"),
    "query-answer": Columns("query", "answer", "", "system", "history"),
    "problem-solution": Columns("problem", "solution"),
    "firefly": Columns("input", "target"),
    "input-output": Columns("input", "output", "", "system", "history"),
    "inputs-targets": Columns("inputs", "targets"),
    "src-tgt": Columns("src", "tgt", "", "system"),
}
"""The layouts with a field for each part."""

LAYOUTS = (*dict.fromkeys(("alpaca", *LISTS, *COLUMNS)),)
"""The names of all known layouts."""

# What must be there as well for a layout to be meant, and which layouts it is then meant instead of.
_MEANT_BY = {
    "dolly": ("context", ("instruction-response",)),
    "alpaca-system-prompt": ("system_prompt", ("alpaca",)),
}
_LATER = (
    *("instruction-completion", "question-completion", "question-solution", "query-answer", "src-tgt"),
    "gemini",
)
"""Layouts that are meant only where no other is: they became known after the others."""


def columns_layout(given: Mapping[str, str]) -> str:
    """Return the name of a layout with these fields: request, response, input, system, history, id.

    Raises:
        DataError: an unknown part is named, the request or the response is not, or a field is named for two.
    """
    known = [field.name for field in fields(Columns)]
    if unknown := [name for name in given if name not in known]:
        raise DataError(f"unknown part {unknown[0]!r} in --columns; parts are {', '.join(known)}")
    if missing := [name for name in ("request", "response") if not given.get(name)]:
        raise DataError(f"--columns needs {missing[0]}=COLUMN")
    parts: dict[str, str] = {}
    for part, name in given.items():
        if part != "id" and name and (other := parts.setdefault(name, part)) != part:
            raise DataError(f"--columns has {name!r} for {other} and for {part}; name another field for one")
    return f"{NAMED} {json.dumps({name: given[name] for name in known if given.get(name)})}"


def preference_layout(record: Mapping[str, Any], side: Side, layout: str | None) -> str | None:
    """Return the name of the layout for one side of preference records like this one; None if it is none.

    `layout` is that of the record without a preference, for records with a label of their own (KTO).
    """
    if side_fields(record) or (layout and (rejected_field(record) or has_ranking(record, layout))):
        return f"{PREFERENCE} {side}"
    if layout and label_of(record) is not None:
        return f"{KTO} {side} {layout}"
    return None


def has_ranking(record: Mapping[str, Any], layout: str) -> bool:
    """Return whether the response of a record is a list of two, the better one first."""
    columns = COLUMNS.get(layout)
    return columns is not None and (
        isinstance(record.get(columns.request), str) and is_ranked(record.get(columns.response))
    )


_SHOWN = ("request", "input", "response")


def describe(layout: str) -> str:
    """Describe the records of a layout for display, such as "dolly records"."""
    kind, _, rest = layout.partition(" ")
    match kind:
        case "columns":
            parts = json.loads(rest).items()
            # What is read by its own name may not be there.
            named = [f"{part}={name}" for part, name in parts if part != name or part in _SHOWN]
            return f"records of {', '.join(named)}"
        case "preference":
            return f"preference records (the {rest} side)"
        case "kto":
            side, _, base = rest.partition(" ")
            return f"labeled {base} records (the {side} ones)"
        case _:
            return f"{layout} records"


def id_field(layout: str) -> str:
    """Return the name of the field with the record's id."""
    kind, _, rest = layout.partition(" ")
    return str(json.loads(rest).get("id", "id")) if kind == NAMED else "id"


def base_of(layout: str) -> str:
    """Return the layout of a record without its label."""
    return layout.split(" ", 2)[2] if layout.startswith(f"{KTO} ") else layout


def side_of(layout: str) -> str:
    """Return which side of preference records is worked on; empty for other records."""
    kind, _, rest = layout.partition(" ")
    return rest if kind == PREFERENCE else ""


def system_fields(layout: str) -> tuple[str, ...]:
    """Return the fields that may have the system prompt in a layout of turns in one list."""
    return _SYSTEM_FIELDS.get(layout, ("system", *OTHER_SYSTEM_FIELDS))


def candidates(record: Mapping[str, Any]) -> list[str]:
    """Return the layouts that a record may have.

    If there are several, null fields do not count: every row of a Parquet file has every column.
    """
    # Fields of these names may be anything; the lists that were read first are refused if they are not lists.
    is_turns = {
        "conversation": _is_list(record.get("conversation"), (str, dict)),
        "data": _is_list(record.get("data"), (str,)),
        "contents": _has_roles(record.get("contents")),
    }
    names = {name for name in record if is_turns.get(name, True)}
    found = _fitting(_without_bare_answer(record, names)) or _fitting(names)
    if len(found) > 1:
        # In a table null is an empty text.
        found = (
            _fitting({name for name in names if not is_missing(record[name]) and record[name] != ""}) or found
        )
    if len(found) > 1:
        found = [name for name in found if name not in LISTS or unpack(record.get(LISTS[name]))] or found
    return found


def _without_bare_answer(record: Mapping[str, Any], names: set[str]) -> set[str]:
    """Return the names of fields without `answer` where that is the result of a longer `solution`."""
    solution, answer = record.get("solution"), record.get("answer")
    if not isinstance(solution, str) or isinstance(answer, list | dict):
        return names
    return names - {"answer"} if len(solution) > len(str(answer)) else names


def unnamed_turns(record: Mapping[str, Any]) -> list[str]:
    """Return the fields that hold turns under a name of no layout."""
    return [name for name, value in record.items() if _has_roles(value)]


def _has_roles(value: Any) -> bool:
    """Return whether a value is a list of turns that say whose they are."""
    items = (unpack(value) or ([], None))[0]
    items = turns_in_texts(items) or items
    return bool(items) and isinstance(items[0], dict) and names_of(items[0])[0] in items[0]


def _is_list(value: Any, of: tuple[type, ...]) -> bool:
    unpacked = unpack(value)
    items = unpacked[0][:1] if unpacked else []
    return bool(items) and isinstance(items[0], of)


def _fitting(names: set[str]) -> list[str]:
    lists = [name for name, field in LISTS.items() if field in names and name not in _LATER]
    if lists and "instruction" not in names:
        return lists  # fields next to the list often repeat its first request
    found = [name for name, columns in COLUMNS.items() if {columns.request, columns.response} <= names]
    if "instruction" in names:
        # An input or a question next to it is only a part of the request.
        found = [name for name in found if COLUMNS[name].request == "instruction"] or ["alpaca"]
        if "output" in names:
            found = [name for name in found if COLUMNS[name].response == "output"]
    if len(found) > 1:
        found = [name for name in found if name not in _LATER]
    for name, (needed, instead) in _MEANT_BY.items():
        if name in found:
            unmeant = instead if needed in names else (name,)
            found = [other for other in found if other not in unmeant]
    return lists + found or [name for name, field in LISTS.items() if field in names]


def names_taken(to: str, record: Mapping[str, Any]) -> set[str]:
    """Return the names that other fields must not have in a record of the format `to`.

    They are its own, and those by which it could be taken for another one.
    """
    lists = {field for name, field in LISTS.items() if name not in _LATER and _may_be_turns(record, field)}
    if to == "alpaca":
        return {*COLUMNS["alpaca"].parts(), *OTHER_SYSTEM_FIELDS, *lists}
    return {LISTS[to], "system", *OTHER_SYSTEM_FIELDS, "instruction", *lists}


def _may_be_turns(record: Mapping[str, Any], field: str) -> bool:
    return field in ("conversations", "messages") or _is_list(record.get(field), (str, dict))
