"""Lists within records, however they are written: as lists, as JSON in a text, as columns, as a transcript.

A list of turns may be a JSON string or, as Hugging Face's older `Sequence` has it, an object of lists; both
are read as the list that they stand for, and written back in the same way.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from samples.bounds import load_json
from samples.fields import Place, json_type
from samples.turn_names import names_of, pair_names, role_of

_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


def unpack(value: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    """Return a value as the list that it stands for, and how to write such a list in the same way.

    None if the value stands for no list.
    """
    match value:
        case list() | tuple():
            return list(value), lambda items: items
        case str() if value.lstrip()[:1] in ("[", "{"):
            try:
                loaded = load_json(value)
                inner = unpack(loaded)
            except (ValueError, RecursionError):
                return None
            if inner is None and (_is_turn(loaded) or (isinstance(loaded, dict) and pair_names(loaded))):
                inner = [loaded], lambda items: items[0]
            if inner is None:
                return None
            items, close = inner
            return items, lambda items: json.dumps(close(items), ensure_ascii=value.isascii())
        case dict() if value and all(isinstance(column, list | tuple) for column in value.values()):
            if len({len(column) for column in value.values()}) > 1:
                return None
            rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
            return rows, _as_columns
        case _:
            return None


def turns_in_texts(items: list[Any]) -> list[Any] | None:
    """Return a list in which turns are texts of JSON with these turns in place of the texts; None if it is no
    such list. At a turn's place in a record, `put` then finds it as the first item of its text."""
    if not any(isinstance(item, str) for item in items):
        return None
    loaded = []
    for item in items:
        turn = item
        if isinstance(item, str):
            if item.lstrip()[:1] != "{":
                return None
            try:
                turn = load_json(item)
            except (ValueError, RecursionError):
                return None
        role = turn.get(names_of(turn)[0]) if isinstance(turn, dict) else None
        if not isinstance(role, str) and not (isinstance(turn, dict) and pair_names(turn)):
            return None
        loaded.append(turn)
    return loaded


def is_one_turn(value: Any) -> bool:
    """Return whether a value is a text that is one turn as JSON."""
    unpacked = unpack(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else None
    return unpacked is not None and len(unpacked[0]) == 1


def _is_turn(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    role, content = names_of(value)
    return isinstance(value.get(role), str) and bool(role_of(value[role])) and content in value


def _as_columns(items: list[Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for item in items for name in item)
    return {name: [item.get(name) for item in items] for name in names}


def put(value: Any, path: Place, change: Callable[[Any], Any]) -> Any:
    """Return a copy of a value in which what is at a path is changed."""
    if not path:
        return change(value)
    first, *rest = path
    if isinstance(first, str):
        return {**value, first: put(value[first], tuple(rest), change)}
    unpacked = unpack(value) or transcript(value)
    if unpacked is None:
        raise TypeError(f"a path leads through {json_type(value)}")
    items, close = unpacked
    items[first] = put(items[first], tuple(rest), change)
    return close(items)


def transcript(value: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    r"""Return the turns of a text such as "\n\nHuman: Hi\n\nAssistant: Hello", and how to write them again.

    None if the value is no such text.
    """
    if not isinstance(value, str):
        return None
    found = list(_SPEAKER.finditer(value))
    if not found or found[0].start() or not any(each[1] == "Assistant" for each in found):
        return None
    ends = [*(each.start() for each in found[1:]), len(value)]
    raw = [value[each.end() : end] for each, end in zip(found, ends, strict=True)]
    turns = [
        {"role": each[1].lower(), "content": text.strip()} for each, text in zip(found, raw, strict=True)
    ]

    def close(items: list[Any]) -> str:
        written = []
        for each, text, item in zip(found, raw, items, strict=True):
            old = text.strip()
            before, _, after = text.partition(old) if old else (text or " ", "", "")
            is_same = item["content"] == old
            written.append(each[0] + (text if is_same else f"{before}{item['content']}{after}"))
        return "".join(written)

    return turns, close
