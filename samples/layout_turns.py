"""How a record of any layout is read as turns."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from samples.bounds import load_json
from samples.fields import (
    field_names,
    is_missing,
    join_distinct,
    optional_input,
    optional_text,
    response_text,
)
from samples.layout_fields import columns_of, columns_of_side, parts_of, systems_of
from samples.layouts import KTO, LISTS, PREFERENCE, Columns, base_of, side_of
from samples.marks import is_mark_name, marks_next_to
from samples.nested import transcript, unpack
from samples.preferences import (
    LABELS,
    SIDES,
    is_of_side,
    is_ranked,
    label_of,
    lacks_side,
    other_of,
    several_message,
)
from samples.sample import DataError
from samples.text_lists import are_several, is_texts, texts_in_turn, turns_by_texts
from samples.thoughts import is_of_rater, thoughts_next_to
from samples.turn_names import names_of
from samples.turns import Turn, turn_of, turns_in, value_turns

_EMPTY_SIDE = "an empty {} side"
"""Why preference records are skipped that no trainer could use."""

_SHORT = 12
"""Characters of a request with which both sides may begin by chance."""


def read_turns(record: Mapping[str, Any], layout: str) -> list[Turn]:
    """Return the turns of a record.

    Raises:
        DataError: a field is missing or has the wrong type.
    """
    turns = _turns(record, layout)
    known = parts_of(layout, record)
    for n in set().union(*_marks(record, layout, turns).values()):
        # Not under a name by which earlier versions knew marks on turns.
        source = {**(turns[n].source or {"content": turns[n].text}), "train_on_turn": False}
        turns[n] = replace(turns[n], fixed=True, source=source)
    if side_of(layout):
        known += (*filter(is_of_rater, record),)
    if around := thoughts_next_to(record, known):
        last = next((n for n in reversed(range(len(turns))) if turns[n].role == "assistant"), None)
        if last is not None:
            thoughts = join_distinct((turns[last].thoughts, around))
            turns[last] = replace(turns[last], thoughts=thoughts)
    return turns


def marking_fields(record: Mapping[str, Any], layout: str) -> list[str]:
    """Return the fields that say of each turn of a record whether it is learned from."""
    if not any(isinstance(record[name], list) for name in filter(is_mark_name, record)):
        return []
    return [name for name in _marks(record, layout, _turns(record, layout)) if isinstance(record[name], list)]


def _marks(record: Mapping[str, Any], layout: str, turns: list[Turn]) -> dict[str, set[int]]:
    known = {*parts_of(layout, record), *LABELS}
    return marks_next_to(record, known, [turn.role for turn in turns])


def own_reason(record: Mapping[str, Any], layout: str) -> str | None:
    """Return why a record is not worked on in its layout whatever its turns are; None if it may be."""
    kind, _, rest = layout.partition(" ")
    if kind == PREFERENCE and lacks_side(record, other_of(rest)):
        return _EMPTY_SIDE.format(other_of(rest))
    if kind == PREFERENCE and (several := several_on_side(record, rest)):
        return several
    if kind != KTO:
        return None
    side = rest.partition(" ")[0]
    label = label_of(record)
    if label is None:
        return "no label that is true or false"
    return None if label == (side == "chosen") else f"labeled as not {side}"


def several_on_side(record: Mapping[str, Any], side: str) -> str:
    """Say what would do where the side to work on may have several responses; empty where it has not."""
    columns = columns_of_side(record, side)
    value = record.get(columns.response)
    if not (is_of_side(columns.response, side) and is_texts(value)):
        return ""
    request = _last_request(_request(record, columns, side))
    return several_message([columns.response]) if are_several(value, request) else ""


def _turns(record: Mapping[str, Any], layout: str) -> list[Turn]:
    base = base_of(layout)
    if (field := LISTS.get(base)) is not None:
        return _of_list(record, base, field)
    columns = columns_of(base, record)
    if columns is None:
        raise DataError(f"unknown format {base!r}")
    turns = _of_columns(record, base, columns)
    if base.startswith(PREFERENCE) and not any(turn.role == "user" for turn in turns):
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
    return [*(turn for name in systems_of(layout, record) for turn in _system(record, name)), *turns]


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


def _request(record: Mapping[str, Any], columns: Columns, side: str) -> list[Turn]:
    if not columns.request:
        return []
    second = optional_input(record, columns.input) if columns.input else ""
    if (turns := value_turns(record[columns.request], columns.request, side)) is not None:
        if second:
            turns.append(Turn("user", "user", second, None, (columns.input,)))
        return [replace(turn, fixed=True) for turn in turns]
    text = optional_text(record, columns.request)
    if not text.strip():
        text, second = second, ""  # some records hold the whole request in `input`
    return [Turn("user", "user", text, None, (columns.request,), input=second)]


def _last_request(turns: list[Turn]) -> str:
    return next((turn.text or "" for turn in reversed(turns) if turn.role == "user"), "")


def _response(record: Mapping[str, Any], columns: Columns, side: str, asked: list[Turn]) -> list[Turn]:
    """Return the turns of a response; all responses in it but the last one stay as they are."""
    field = columns.response
    value = record[field]
    if side and is_of_side(field, side) and is_texts(value):
        turns: list[Turn] | None = texts_in_turn(value, field, side, _last_request(asked))
    else:
        turns = value_turns(value, field, side)
    prompt = _repeated(record, columns, side, asked) if side and turns is None else ""
    unpacked = transcript(value) if turns is None and side and not prompt else None
    # Next to a request, a text that begins with an answer may be one.
    if unpacked and (not columns.request or unpacked[0][0]["role"] == "human"):
        turns = [turn_of(each, (field, n), n) for n, each in enumerate(unpacked[0])]
    if turns is not None:
        last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=0)
        return [replace(turn, fixed=True) if n < last else turn for n, turn in enumerate(turns)]
    if is_missing(value) or value == []:
        return []
    if side and is_ranked(value):
        place = (field, SIDES.index(side))
        return [Turn("assistant", "assistant", value[place[1]], None, place)]
    text = response_text(record, field)[len(prompt) :]
    return [Turn("assistant", "assistant", text, None, (field,))]


def repeated_prompt(record: Mapping[str, Any], layout: str) -> str:
    """Return the request, and the space behind it, with which one side of a preference record begins, if both
    do; it is no part of the response. Empty where they do not."""
    if not (side := side_of(layout)):
        return ""
    columns = columns_of_side(record, side)
    return _repeated(record, columns, side, _request(record, columns, side))


def _repeated(record: Mapping[str, Any], columns: Columns, side: str, asked: list[Turn]) -> str:
    other = columns_of_side(record, other_of(side)).response
    if len(asked) != 1 or other == columns.response:
        return ""
    request, found = asked[0].whole.strip(), []
    for text in (record.get(columns.response), record.get(other)):
        if len(request) < _SHORT or not isinstance(text, str):
            return ""
        end = len(text) - len(text.lstrip()) + len(request)
        rest = text[end:]
        is_apart = rest[:1].isspace() or not request[-1].isalnum()
        if text[:end].strip() != request or not is_apart or not rest.strip() or transcript(rest):
            return ""
        found.append(text[: len(text) - len(rest.lstrip())])
    return found[0]


def _system(record: Mapping[str, Any], field: str) -> list[Turn]:
    value = record.get(field) if field else None
    if value in ([], {}):
        return []
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        with suppress(ValueError):
            loaded = load_json(value)
            value = loaded if isinstance(loaded, dict) and "parts" in loaded else value
    if isinstance(value, dict):
        name = "parts" if "parts" in value else names_of(value)[1]
        if name in value:
            return _system_turn(value[name], name, field)
    if isinstance(value, list) and value and all(isinstance(each, dict) and "text" in each for each in value):
        text = join_distinct(optional_text(each, "text") for each in value)  # parts, as of a turn
    else:
        text = optional_text(record, field) if field else ""
    return [Turn("system", "system", text, None, (field,))] if text else []


def _system_turn(content: Any, name: str, field: str) -> list[Turn]:
    """Return a system prompt that is a turn, as Gemini's is; its role counts for nothing."""
    if is_missing(content) or not content:
        return []
    parts = [content] if isinstance(content, dict) else content
    turn = turn_of({"role": "system", name: parts}, (field,))
    return [turn] if turn.text or turn.obstacle else []


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
