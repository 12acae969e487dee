"""Turns: how the lists of turns of any format are read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samples.fields import Place, brief, field_names, is_missing, join_distinct, json_type, number_text
from samples.layouts import LISTS
from samples.marks import is_marked, weight_of
from samples.message_parts import text_in
from samples.nested import is_one_turn, turns_in_texts, unpack
from samples.sample import DataError
from samples.thoughts import thought_part, thoughts_next_to
from samples.turn_names import names_of, pair_names, role_of

FILE_PARTS = ("fileData", "inlineData", "file_data", "inline_data")
"""The names of Gemini's parts with images and other files, next to which there may be others."""

_OF_PYTHON = re.compile(r"\s{0,9}\[\s{0,9}\{\s{0,9}'|\s{0,9}\{\s{0,9}'\w{1,20}': \s{0,9}(?:\[|array)")
"""What a column of lists becomes where pandas writes CSV."""

TOOL_CALL = "a tool call"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a record."""

    role: str | None
    """system, user or assistant; None for any other."""
    name: str
    """The role as the record has it."""
    text: str | None
    obstacle: str | None
    """Why an exchange cannot be worked on with this turn; the turn then has no text, or not only text."""
    path: Place
    """Where in the record the text is."""
    fixed: bool = False
    """Whether the text stays as it is although it could be worked on."""
    input: str = ""
    """The second part of a request."""
    source: Mapping[str, Any] | None = None
    """The turn as the record has it, without a role where its object has the request too; None if it is a
    field of the record."""
    thoughts: str = ""
    """Those of a response in parts of its content and in fields next to it; others are in the text."""
    part: str = ""
    """The type of a part of its content with thoughts."""

    @property
    def whole(self) -> str:
        """The text with its second part."""
        # LLaMA-Factory joins the two parts of an Alpaca request in the same way.
        return "\n".join(filter(None, (self.text, self.input)))

    @property
    def is_marked(self) -> bool:
        """Whether the record says that this turn, or a part of it, is not to be learned from."""
        return self.source is not None and is_marked(self.source)

    @property
    def weight(self) -> float:
        """How much is learned from this turn; 1 unless the record has another number for it."""
        return weight_of(self.source or {})

    @property
    def extra(self) -> dict[str, Any]:
        """The fields of the turn besides role and text."""
        source = self.source or {}
        known = names_of(source)
        return {name: value for name, value in source.items() if name not in known}


def turns_in(value: Any, field: str) -> list[Turn]:
    """Return the turns of a list.

    Its items are turns with a role, objects of one request and its response, or strings in turn.

    Raises:
        DataError: it is no such list.
    """
    unpacked = unpack(value)
    if unpacked is None:
        found = json_type(value)
        if isinstance(value, str) and _OF_PYTHON.match(value):
            found = (
                "a list as Python prints it: save it with json.dumps, or the data as JSON lines or Parquet"
            )
        raise DataError(f'expected a list of turns in "{field}", found {found}')
    turns: list[Turn] = []
    items = turns_in_texts(unpacked[0]) or unpacked[0]
    of_texts = all(isinstance(item, str) for item in items)
    for index, (item, written) in enumerate(zip(items, unpacked[0], strict=True)):
        place = (field, index, 0) if isinstance(written, str) and item is not written else (field, index)
        if isinstance(item, dict) and (names := pair_names(item)):
            turns += _of_pair(item, names, place, turns)
        elif isinstance(item, str) and (of_texts or field == "data"):
            role = ("user", "assistant")[index % 2]
            turns.append(Turn(role, role, item, None, place))
        else:
            turns.append(turn_of(item, place, index))
    return turns


def _of_pair(item: dict[str, Any], names: tuple[str, str], path: Place, before: Sequence[Turn]) -> list[Turn]:
    """Return the turns of an object with a request and its response, and maybe the system prompt."""
    request, response = names
    index = path[1] if isinstance(path[1], int) else 0
    asked, answered = (_content(item[name], name, index) for name in names)
    turns = [Turn("user", request, *asked, (*path, request))]
    system = item.get("system")
    if isinstance(system, str) and system.strip() and not any(turn.text == system for turn in before):
        turns.insert(0, Turn("system", "system", system, None, (*path, "system")))
    around = {name: value for name, value in item.items() if name not in (*names, "system")}
    source = {"content": item[response], **around}
    thoughts = thoughts_next_to(item, names)
    place = (*path, response)
    return [
        *turns,
        Turn("assistant", response, *answered, place, is_marked(source), source=source, thoughts=thoughts),
    ]


def turn_of(turn: Any, path: Place, index: int = 0) -> Turn:
    """Return an object with a role and a text as a turn. Raises DataError if it is none."""
    if not isinstance(turn, dict):
        raise DataError(f"turn {index + 1}: expected an object, found {json_type(turn)}")
    role_field, content_field = names_of(turn)
    if role_field not in turn:
        expected = '"from" and "value" or "role" and "content"'
        raise DataError(f"turn {index + 1}: expected {expected}, found {field_names(turn)}")
    name = turn[role_field]
    if not isinstance(name, str):
        raise DataError(f'turn {index + 1}: expected a string in "{role_field}", found {json_type(name)}')
    role, path = role_of(name), (*path, content_field)
    obstacle = None if role else f"a turn of {brief(name)}"
    if turn.get("tool_calls") or turn.get("function_call"):
        # A message that only calls a tool may have no content.
        return Turn(role, name, None, obstacle or TOOL_CALL, path, source=turn)
    if content_field not in turn:
        raise DataError(f'turn {index + 1}: expected "{content_field}", found {field_names(turn)}')
    content = turn[content_field]
    if role == "assistant":
        content = number_text(content) or content
    text, missing = _content(content, content_field, index)
    read = Turn(role, name, text, obstacle or missing, path, is_marked(turn), source=turn)
    if role != "assistant" or (len(turn) < 3 and isinstance(content, str)):
        return read
    of_thoughts = [part for part in content if thought_part(part)] if isinstance(content, list) else []
    found = join_distinct([*(text_in(part).strip() for part in of_thoughts), thoughts_next_to(turn)])
    kind = next(filter(None, map(thought_part, of_thoughts)), "")
    return replace(read, thoughts=found, part=kind) if found or kind else read


def value_turns(value: Any, field: str, side: str = "") -> list[Turn] | None:
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
    items = turns_in_texts(unpacked[0]) or unpacked[0]
    names = [item.get(names_of(item)[0]) if isinstance(item, dict) else None for item in items]
    if side and field in LISTS.values() and None in names:
        return turns_in(value, field)
    # A text may be JSON; it stands for turns only if all of them have known roles.
    if not all(isinstance(name, str) and (role_of(name) or not isinstance(value, str)) for name in names):
        return None
    return turns_in(value, field)


def _content(content: Any, field: str, index: int) -> tuple[str | None, str | None]:
    """Return a turn's text; or, in place of the text, why it has no plain text."""
    if isinstance(content, str):
        return content, None
    if is_missing(content) or (field == "parts" and content == []):  # which Gemini does not take
        return None, "a turn without text"
    if not isinstance(content, list):
        raise DataError(f'turn {index + 1}: expected a string in "{field}", found {json_type(content)}')
    texts = []
    for part in content:
        if thought_part(part):
            continue
        match part:
            case str(text) | {"type": "text", "text": str(text)} | {"type": "text", "value": str(text)}:
                texts.append(text)
            case {"text": str(text)} if is_missing(part.get("type")):  # as Bedrock and Gemini have them
                texts.append(text)
            case {"type": "input_text" | "output_text", "text": str(text)}:  # OpenAI's Responses
                texts.append(text)
            case dict() if is_missing(part.get("type")) and (known := _name_of_part(part)):
                return None, f"a non-text part ({brief(known)})"
            case {"type": str(other)} if other != "text":
                return None, f"a non-text part ({brief(other)})"
            case _:
                found = field_names(part) if isinstance(part, dict) else json_type(part)
                expected = f'parts with "type" and "text" in "{field}"'
                raise DataError(f"turn {index + 1}: expected {expected}, found {found}")
    return "\n".join(texts), None


def _name_of_part(part: Mapping[str, Any]) -> str:
    """Return the name that a part without text has in place of a type; empty if it has text, or nothing."""
    present = [name for name, value in part.items() if name != "type" and not is_missing(value)]
    if not present or "text" in present or "value" in present:
        return ""
    return next((name for name in FILE_PARTS if name in present), present[0])
