"""Layouts: under which names data sets keep requests and responses, and how a layout is recognized.

A layout is either a list of turns in one field, or fields for the request, its response and what belongs to
them (`Columns`). Known ones have a name; `columns_layout` makes one for any other. Sources: TRL, "Dataset
formats and types"; LLaMA-Factory, `data/README.md`; ms-swift, "Custom dataset"; the cards of the data sets.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from samples.fields import (
    field_names,
    is_missing,
    join_distinct,
    optional_input,
    optional_text,
    response_text,
)
from samples.preferences import (
    REJECTED,
    SIDES,
    Side,
    is_of_side,
    is_ranked,
    label_of,
    lacks_side,
    other_of,
    rejected_field,
    side_fields,
    transcript,
    what_would_do,
)
from samples.sample import DataError
from samples.text_lists import are_several, is_texts, texts_in_turn, turns_by_texts
from samples.thoughts import is_of_rater, thoughts_beside
from samples.turns import Turn, is_one_turn, names_of, role_of, turn_of, turns_in, unpack


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
}
"""The layouts of turns in one list, and its field."""

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
_LATER = ("instruction-completion", "question-completion", "query-answer", "src-tgt")
"""Layouts that are meant only where no other is: they became known after the others."""
_LABELS = ("label", "kto_tag")
EMPTY_SIDE = "an empty {} side"
"""Why preference records are skipped that no trainer could use."""
_PREFERENCE, _KTO, _COLUMNS = "preference", "kto", "columns"


def columns_layout(given: Mapping[str, str]) -> str:
    """Return the name of a layout with these fields: request, response, input, system, history, id.

    Raises:
        DataError: an unknown part is named, or the request or the response is not.
    """
    known = [field.name for field in fields(Columns)]
    if unknown := [name for name in given if name not in known]:
        raise DataError(f"unknown part {unknown[0]!r} in --columns; parts are {', '.join(known)}")
    if missing := [name for name in ("request", "response") if not given.get(name)]:
        raise DataError(f"--columns needs {missing[0]}=COLUMN")
    return f"{_COLUMNS} {json.dumps({name: given[name] for name in known if given.get(name)})}"


def preference_layout(record: Mapping[str, Any], side: Side, layout: str | None) -> str | None:
    """Return the name of the layout for one side of preference records like this one; None if it is none.

    `layout` is that of the record without a preference, for records with a label of their own (KTO).
    """
    if side_fields(record) or (layout and (rejected_field(record) or has_ranking(record, layout))):
        return f"{_PREFERENCE} {side}"
    if layout and label_of(record) is not None:
        return f"{_KTO} {side} {layout}"
    return None


def has_ranking(record: Mapping[str, Any], layout: str) -> bool:
    """Return whether the response of a record is a list of two, the better one first."""
    columns = COLUMNS.get(layout)
    return columns is not None and (
        isinstance(record.get(columns.request), str) and is_ranked(record.get(columns.response))
    )


def describe(layout: str) -> str:
    """Describe the records of a layout for display, such as "dolly records"."""
    kind, _, rest = layout.partition(" ")
    match kind:
        case "columns":
            return f"records of {', '.join(f'{part}={name}' for part, name in json.loads(rest).items())}"
        case "preference":
            return f"preference records (the {rest} side)"
        case "kto":
            side, _, base = rest.partition(" ")
            return f"labeled {base} records (the {side} ones)"
        case _:
            return f"{layout} records"


def candidates(record: Mapping[str, Any]) -> list[str]:
    """Return the layouts that a record may have.

    If there are several, null fields do not count: every row of a Parquet file has every column.
    """
    # Fields of these names may be anything; the lists that were read first are refused if they are not lists.
    others = {
        LISTS[name]
        for name in ("conversation", "ultrachat")
        if not _is_list(record.get(LISTS[name]), (str,) if name == "ultrachat" else (str, dict))
    }
    names = {name for name in record if name not in others}
    found = _fitting(names)
    if len(found) > 1:
        # In a table null is an empty text.
        found = (
            _fitting({name for name in names if not is_missing(record[name]) and record[name] != ""}) or found
        )
    if len(found) > 1:
        found = [name for name in found if name not in LISTS or unpack(record.get(LISTS[name]))] or found
    return found


def unnamed_turns(record: Mapping[str, Any]) -> str:
    """Return the field that holds turns under a name of no layout; empty if none does."""
    for name, value in record.items():
        items = (unpack(value) or ([], None))[0]
        if items and isinstance(items[0], dict) and names_of(items[0])[0] in items[0]:
            return name
    return ""


def _is_list(value: Any, of: tuple[type, ...]) -> bool:
    unpacked = unpack(value)
    items = unpacked[0][:1] if unpacked else []
    return bool(items) and isinstance(items[0], of)


def _fitting(names: set[str]) -> list[str]:
    lists = [name for name, field in LISTS.items() if field in names]
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
    return lists + found


def columns_of(layout: str, record: Mapping[str, Any]) -> Columns | None:
    """Return the fields of a layout; None if it is a list of turns, or has the name of none."""
    kind, _, rest = layout.partition(" ")
    match kind:
        case "columns":
            return Columns(**json.loads(rest))
        case "preference":
            return _preference_columns(record, rest)
        case "kto":
            return columns_of(rest.partition(" ")[2], record)
        case _:
            return COLUMNS.get(layout)


def id_field(layout: str) -> str:
    """Return the name of the field with the record's id."""
    kind, _, rest = layout.partition(" ")
    return str(json.loads(rest).get("id", "id")) if kind == _COLUMNS else "id"


def base_of(layout: str) -> str:
    """Return the layout of a record without its label."""
    return layout.split(" ", 2)[2] if layout.startswith(f"{_KTO} ") else layout


def own_reason(record: Mapping[str, Any], layout: str) -> str | None:
    """Return why a record is not worked on in its layout whatever its turns are; None if it may be."""
    kind, _, rest = layout.partition(" ")
    if kind == _PREFERENCE and lacks_side(record, other_of(rest)):
        return EMPTY_SIDE.format(other_of(rest))
    if kind == _PREFERENCE and (several := several_on_side(record, rest)):
        return several
    if kind != _KTO:
        return None
    side = rest.partition(" ")[0]
    label = label_of(record)
    if label is None:
        return "no label that is true or false"
    return None if label == (side == "chosen") else f"labeled as not {side}"


def read_turns(record: Mapping[str, Any], layout: str) -> list[Turn]:
    """Return the turns of a record.

    Raises:
        DataError: a field is missing or has the wrong type.
    """
    turns = _turns(record, layout)
    known = parts_of(layout, record)
    if side_of(layout):
        known += (*filter(is_of_rater, record),)
    if around := thoughts_beside(record, known):
        last = next((n for n in reversed(range(len(turns))) if turns[n].role == "assistant"), None)
        if last is not None:
            thoughts = join_distinct((turns[last].thoughts, around))
            turns[last] = replace(turns[last], thoughts=thoughts)
    return turns


def parts_of(layout: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields that hold the conversation of a record in its layout."""
    columns = columns_of(layout, record)
    return columns.parts() if columns else (LISTS.get(base_of(layout), ""), "system")


def own_fields(layout: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return all fields of a record that its layout defines."""
    names = (*parts_of(layout, record), id_field(layout), "id")
    if layout.startswith(_PREFERENCE):
        return (*names, *SIDES, *side_fields(record).values(), *REJECTED)
    return (*names, *_LABELS) if layout.startswith(_KTO) or layout == "src-tgt" else names


def side_of(layout: str) -> str:
    """Return which side of preference records is worked on; empty for other records."""
    kind, _, rest = layout.partition(" ")
    return rest if kind == _PREFERENCE else ""


def other_side(layout: str, record: Mapping[str, Any]) -> str | None:
    """Return the layout of the other side of a preference record; None if the record is none."""
    side = side_of(layout)
    if side and (side_fields(record) or rejected_field(record) or has_ranking(record, _base(record))):
        return f"{_PREFERENCE} {other_of(side)}"
    return f"{_PREFERENCE} rejected" if not side and rejected_field(record) else None


def fields_of_other_side(layout: str, record: Mapping[str, Any]) -> list[str]:
    """Return the fields of a preference record that only its other side has."""
    if (other := other_side(layout, record)) is None:
        return []
    side = side_of(other)
    mine, columns = parts_of(layout, record), columns_of(other, record)
    theirs = columns.response if columns else ""
    return [name for name in record if name not in mine and (name == theirs or is_of_side(name, side))]


def names_taken(to: str, record: Mapping[str, Any]) -> set[str]:
    """Return the names that other fields must not have in a record of the format `to`.

    They are its own, and those by which it could be taken for another one.
    """
    lists = {field for field in LISTS.values() if _may_be_turns(record, field)}
    if to == "alpaca":
        return {*COLUMNS["alpaca"].parts(), "system_prompt", *lists}
    return {LISTS[to], "system", "instruction", *lists}


def _may_be_turns(record: Mapping[str, Any], field: str) -> bool:
    return field in ("conversations", "messages") or _is_list(record.get(field), (str, dict))


def _turns(record: Mapping[str, Any], layout: str) -> list[Turn]:
    base = base_of(layout)
    if (field := LISTS.get(base)) is not None:
        return _of_list(record, base, field)
    columns = columns_of(base, record)
    if columns is None:
        raise DataError(f"unknown format {base!r}")
    turns = _of_columns(record, base, columns)
    if base.startswith(_PREFERENCE) and not any(turn.role == "user" for turn in turns):
        raise DataError(
            "expected a preference record with a request (in a field such as prompt, as turns, or as Human: "
            f"and Assistant: in both texts), found {field_names(record)}"
        )
    return turns


def _of_list(record: Mapping[str, Any], layout: str, field: str) -> list[Turn]:
    if field not in record:
        names = {"sharegpt": "a ShareGPT record", "messages": "an OpenAI-style record"}
        expected = names.get(layout, f"a record of the format {layout}")
        raise DataError(f'expected {expected} with "{field}", found {field_names(record)}')
    turns = turns_in(record[field], field)
    return [*_system(record, "system"), *turns] if layout != "ultrachat" else turns


def _of_columns(record: Mapping[str, Any], layout: str, columns: Columns) -> list[Turn]:
    needed = [name for name in (columns.request, columns.response) if name]
    if not all(name in record for name in needed):
        what = "an Alpaca record" if layout == "alpaca" else "a record"
        expected = " and ".join(f'"{name}"' for name in needed)
        raise DataError(f"expected {what} with {expected}, found {field_names(record)}")
    side = side_of(layout)
    system, earlier = _system(record, columns.system), _history(record, columns.history)
    marks = "label" if layout == "src-tgt" else ""
    if not side and (turns := turns_by_texts(record, columns.request, columns.response, marks)):
        return system + earlier + turns
    asked = _request(record, columns, side)
    if side:
        # What came before is that of both sides.
        earlier = [replace(turn, fixed=True) for turn in earlier]
        while asked and asked[-1].role == "assistant":
            asked.pop()  # the request is all but the response
    answered = _response(record, columns, side, asked)
    spoken = [turn for turn in answered if turn.role != "system"]
    if spoken and spoken[0].role == "user":
        # The response repeats its request, as in TRL's preference data without a prompt of its own.
        return system + answered
    return system + earlier + asked + answered


def _last_request(turns: list[Turn]) -> str:
    return next((turn.text or "" for turn in reversed(turns) if turn.role == "user"), "")


def several_on_side(record: Mapping[str, Any], side: str) -> str:
    """Say what would do where the side to work on may have several responses; empty where it has not."""
    columns = _preference_columns(record, side)
    value = record.get(columns.response)
    if not (is_of_side(columns.response, side) and is_texts(value)):
        return ""
    request = _last_request(_request(record, columns, side))
    return what_would_do([columns.response]) if are_several(value, request) else ""


def _request(record: Mapping[str, Any], columns: Columns, side: str) -> list[Turn]:
    if not columns.request:
        return []
    second = optional_input(record, columns.input) if columns.input else ""
    if (turns := _list_or_turn(record[columns.request], columns.request, side)) is not None:
        if second:
            turns.append(Turn("user", "user", second, None, (columns.input,)))
        return [replace(turn, fixed=True) for turn in turns]
    text = optional_text(record, columns.request)
    if not text.strip():
        text, second = second, ""  # some records hold the whole request in `input`
    return [Turn("user", "user", text, None, (columns.request,), input=second)]


def _response(record: Mapping[str, Any], columns: Columns, side: str, asked: list[Turn]) -> list[Turn]:
    """Return the turns of a response; all responses in it but the last one stay as they are."""
    field = columns.response
    value = record[field]
    if side and is_of_side(field, side) and is_texts(value):
        turns: list[Turn] | None = texts_in_turn(value, field, side, _last_request(asked))
    else:
        turns = _list_or_turn(value, field, side)
    if turns is None and side and not columns.request and (unpacked := transcript(value)):
        turns = [turn_of(each, (field, n), n) for n, each in enumerate(unpacked[0])]
    if turns is not None:
        last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=0)
        return [replace(turn, fixed=True) if n < last else turn for n, turn in enumerate(turns)]
    if is_missing(value):
        return []
    if side and is_ranked(value):
        place = (field, SIDES.index(side))
        return [Turn("assistant", "assistant", value[place[1]], None, place)]
    return [Turn("assistant", "assistant", response_text(record, field), None, (field,))]


def _system(record: Mapping[str, Any], field: str) -> list[Turn]:
    value = record.get(field) if field else None
    if isinstance(value, list) and value and all(isinstance(each, dict) and "text" in each for each in value):
        text = join_distinct(optional_text(each, "text") for each in value)  # parts, as of a turn
    else:
        text = optional_text(record, field) if field else ""
    return [Turn("system", "system", text, None, (field,))] if text else []


def _history(record: Mapping[str, Any], field: str) -> list[Turn]:
    value = record.get(field) if field else None
    if is_missing(value) or value == "":
        return []
    unpacked = unpack(value)
    turns: list[Turn] = []
    for index, pair in enumerate(unpacked[0] if unpacked else [value]):
        match pair:
            case [str(request), str(response)] if unpacked:
                turns.append(Turn("user", "user", request, None, (field, index, 0)))
                turns.append(Turn("assistant", "assistant", response, None, (field, index, 1)))
            case dict() if unpacked:
                return turns_in(value, field)
            case _:
                reason = f'a "{field}" that is not a list of (request, response) pairs'
                turns.append(Turn(None, field, None, reason, (field,)))
    return turns


def _list_or_turn(value: Any, field: str, side: str = "") -> list[Turn] | None:
    """Return the turns of a value that is a list of turns, or one turn; None if it is anything else.

    On one side of a preference record a conversation is of any layout, and OpenAI's are in an object.
    """
    if side and isinstance(value, dict) and isinstance(value.get(LISTS["messages"]), list):
        turns = turns_in(value[LISTS["messages"]], LISTS["messages"])
        return [replace(turn, path=(field, *turn.path)) for turn in turns]
    if isinstance(value, dict) and isinstance(value.get(names_of(value)[0]), str):
        return [turn_of(value, (field,))]
    unpacked = unpack(value)
    if unpacked is None or not unpacked[0] or (not side and is_one_turn(value)):
        return None
    names = [item.get(names_of(item)[0]) if isinstance(item, dict) else None for item in unpacked[0]]
    if side and field in LISTS.values() and None in names:
        return turns_in(value, field)
    # A text may be JSON; it stands for turns only if all of them have known roles.
    if not all(isinstance(name, str) and (role_of(name) or not isinstance(value, str)) for name in names):
        return None
    return turns_in(value, field)


def _preference_columns(record: Mapping[str, Any], side: str) -> Columns:
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
    )
    request = next((name for name in requests if name in present), "")
    system = "system_prompt" if "system_prompt" in present else "system"
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
    return isinstance(value, str) or _list_or_turn(value, field) is not None


def _base(record: Mapping[str, Any]) -> str:
    """Return the layout of a record's own response; empty if it has none, or may have several."""
    found = candidates(record)
    return found[0] if len(found) == 1 else ""
