"""Turns: how the record of any format is read as a conversation, and which of its exchanges can be worked on.

A list of turns may be a JSON string or, as Hugging Face's older `Sequence` has it, an object of lists; both
are read as the list that they stand for, and written back in the same way.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from samples.bounds import load_json
from samples.fields import (
    LONGEST_NAME,
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    Place,
    brief,
    field_names,
    is_encodable,
    is_missing,
    join_distinct,
    json_type,
    number_text,
    words,
    words_of,
)
from samples.message_parts import text_in
from samples.preferences import transcript
from samples.reply import may_end_with_mark, may_have_thoughts, read_response
from samples.sample import DataError, Exchange
from samples.thoughts import HAS_THOUGHTS, Thoughts, thought_part, thoughts_beside
from samples.tool_calls import calls_function, gives_result

# Role names found in published data sets.
_ROLES = {
    "user": ("human", "user", "prompter", "instruction", "question", "用户"),
    "assistant": (
        *("gpt", "assistant", "chatgpt", "bard", "bing", "claude", "model", "ai", "bot", "chatbot", "gemini"),
        *("llama", "mistral", "qwen", "deepseek", "glm", "chatglm", "ernie", "grok", "answer", "助手"),
    ),
    "system": ("system", "developer"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}

_MARKS = ("weight", "loss_weight", "loss_scale", "loss", "train", "training", "trainable")
"""Fields that say whether a turn is learned from: OpenAI's, LLaMA-Factory's, ms-swift's, Axolotl's."""

_SAYS_TRAIN = words("train training trainable trained loss weight learn learnable learned supervised")
_SAYS_NOT = words("mask masked ignore ignored exclude excluded skip no not without")
_AROUND = words("on turn message is should do for compute calculate use in scale this to be from mask of")
_AROUND_LOSS = words("with output response answer assistant")
"""Words of other names of such fields, as in `train_on_turn` and `is_masked`, and `output_with_loss`."""

_WEIGHTS = ("loss_weight", "weight", "loss_scale")
"""Those that may be any number."""

_PAIRS = (
    *(("input", "output"), ("human", "assistant"), ("user", "assistant"), ("prompt", "response")),
    *(("instruction", "output"), ("instruction", "response"), ("question", "answer"), ("query", "response")),
    *(("prompt", "completion"), ("human", "gpt"), ("user", "bot")),
)
"""Names of request and response where one object holds both."""

_MEDIA = ("image", "video", "audio")

_OTHER_PARTS = frozenset(("image", "video", "audio", "document", "toolUse", "toolResult"))
"""The names of parts in place of a type."""

_OF_PYTHON = re.compile(r"\s{0,9}\[\s{0,9}\{\s{0,9}'|\s{0,9}\{\s{0,9}'\w{1,20}': \s{0,9}(?:\[|array)")
"""What a column of lists becomes where pandas writes CSV."""

MARKED = "all responses are marked as not to be learned from"
TWO_RESPONSES = "two responses in a row"
LATE_SYSTEM = "a system turn after the first turn"
TOOL_CALL = "a tool call"
TEXT_CALL = "a function call written as text"
TEXT_RESULT = "the result of a function call written as text"


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
        if self.is_marked:
            return 0
        for name in _WEIGHTS:
            value = (self.source or {}).get(name)
            if isinstance(value, int | float) and 0 < value < math.inf:
                return float(value)
        return 1

    @property
    def extra(self) -> dict[str, Any]:
        """The fields of the turn besides role and text."""
        source = self.source or {}
        return {name: value for name, value in source.items() if name not in names_of(source)}


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
            if inner is None and _is_turn(loaded):
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
    of_texts = all(isinstance(item, str) for item in unpacked[0])
    for index, item in enumerate(unpacked[0]):
        if isinstance(item, dict) and (names := pair_names(item)):
            turns += _of_pair(item, names, (field, index), turns)
        elif isinstance(item, str) and (of_texts or field == "data"):
            role = ("user", "assistant")[index % 2]
            turns.append(Turn(role, role, item, None, (field, index)))
        else:
            turns.append(turn_of(item, (field, index), index))
    return turns


def _of_pair(
    item: dict[str, Any], names: tuple[str, str], path: tuple[str, int], before: Sequence[Turn]
) -> list[Turn]:
    """Return the turns of an object with a request and its response, and maybe the system prompt."""
    request, response = names
    asked, answered = (_content(item[name], name, path[1]) for name in names)
    turns = [Turn("user", request, *asked, (*path, request))]
    system = item.get("system")
    if isinstance(system, str) and system.strip() and not any(turn.text == system for turn in before):
        turns.insert(0, Turn("system", "system", system, None, (*path, "system")))
    around = {name: value for name, value in item.items() if name not in (*names, "system")}
    source = {"content": item[response], **around}
    thoughts = thoughts_beside(item, names)
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
    found = join_distinct([*(text_in(part).strip() for part in of_thoughts), thoughts_beside(turn)])
    kind = next(filter(None, map(thought_part, of_thoughts)), "")
    return replace(read, thoughts=found, part=kind) if found or kind else read


def names_of(turn: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of a turn's role and text."""
    is_from = "from" in turn and not ("role" in turn and is_missing(turn["from"]))
    role, text = ("from", "value") if is_from else ("role", "content")
    if type(turn.get(text)) is not str and is_missing(turn.get(text)):
        others = (name for name in ("content", "value", "text") if isinstance(turn.get(name), str | list))
        text = next(others, text)
    return role, text


def role_of(name: str) -> str | None:
    """Return the role that a name stands for: system, user or assistant; None if it is another."""
    known = name.strip().lower()
    return _ROLE_OF.get(known) or ("assistant" if known.startswith("gpt") else None)


def is_marked(turn: Mapping[str, Any]) -> bool:
    """Return whether a turn, or a part of its text, is marked as not to be learned from."""
    return _has_mark(turn) or any(map(_has_mark, _text_parts(turn))) or _has_masked_detail(turn)


def _has_mark(fields: Mapping[str, Any]) -> bool:
    return _has_known_mark(fields) or any(_is_other_mark(name, value) for name, value in fields.items())


def _has_known_mark(fields: Mapping[str, Any]) -> bool:
    return any(name in fields and _is_zero(fields[name]) for name in _MARKS)


def _is_other_mark(name: str, value: Any) -> bool:
    if not isinstance(value, bool | int | float) and str(value).strip().lower() not in (
        "true",
        "false",
        "0",
        "1",
    ):
        return False
    kind = _kind_of_mark(name) if len(name) <= LONGEST_NAME else None
    if kind == "not":  # a number may be anything
        return value is True or str(value).strip().lower() == "true"
    return kind == "train" and _is_zero(value)


@lru_cache(1024)
def _kind_of_mark(name: str) -> str | None:
    """Return whether a field of this name says that a turn is learned from ("train"), or is not ("not")."""
    named = set(words_of(name))
    around = _AROUND if named.isdisjoint(("loss", "train")) else _AROUND | _AROUND_LOSS
    if not named or not named <= _SAYS_TRAIN | _SAYS_NOT | around:
        return None
    trains, denies = bool(named & _SAYS_TRAIN), bool(named & _SAYS_NOT)
    if trains and named & _SAYS_NOT <= {"mask"}:  # a mask of the loss is 0 where nothing is learned
        return "train"
    return "not" if denies else None


def _has_masked_detail(turn: Mapping[str, Any]) -> bool:
    """Return whether Axolotl's marks by positions in the text leave out a part of it."""
    parts = (unpack(turn.get("train_detail")) or ([], None))[0]
    return any(isinstance(part, dict) and _has_mark(part) for part in parts)


def _text_parts(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = turn.get(names_of(turn)[1])
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, dict) and not thought_part(part)]


def _was_worked_on(turn: Turn) -> bool:
    """Return whether a turn has only marks that earlier versions did not know, or not there."""
    source = turn.source
    if source is None or not is_marked(source):
        return False
    return not _has_known_mark(source) or {"role", "from"}.isdisjoint(source)


def parsed(turns: Sequence[Turn], thoughts: Thoughts) -> Parsed:
    """Return the exchanges of a conversation.

    Responses are without their thoughts; with `thoughts` "skip" those that had some stay as they are.
    Requests in a row are one request. An exchange stays as it is (`fixed`) if it has turns of tools, media or
    no text, several responses, or a mark that it is not to be learned from. So do all that follow media or a
    late system turn, which no agent can see. A response before the first request is left
    alone. If no exchange can be worked on, the record is skipped, for the first reason. Exchanges of a
    skipped record are only given where earlier versions worked on it: marks on parts, of other names or next
    to a request and its response, or responses that call functions in their text.
    """
    walk = _Walk(thoughts)
    for turn in turns:
        if turn.part and thoughts == "text":
            turn = replace(turn, text=None, obstacle=f"a non-text part ({brief(turn.part)})")
        walk.take(turn)
    walk.close()
    exchanges = tuple(walk.exchanges)
    skip = None
    if all(exchange.fixed for exchange in exchanges):
        skip = walk.reason or (NO_RESPONSE if turns else "an empty conversation")
        if exchanges and walk.reason is None:
            skip = MARKED
    elif not is_encodable(walk.system) or not all(_are_encodable(exchange) for exchange in exchanges):
        skip = NOT_TEXT
    worked_on_before = skip in (TEXT_CALL, TEXT_RESULT) or (
        skip in (MARKED, LATE_SYSTEM) and any(map(_was_worked_on, turns))
    )
    if skip and not worked_on_before:
        return Parsed(walk.system, (), skip, thinking=walk.thinking)
    # Earlier versions worked on such responses; their results need the places of these.
    return Parsed(walk.system, exchanges, skip, tuple(walk.answers), walk.thinking, walk.ended)


class _Walk:
    """The exchanges of the turns taken so far."""

    def __init__(self, thoughts: Thoughts) -> None:
        self.system = ""
        self._thoughts = thoughts
        self.exchanges: list[Exchange] = []
        self.answers: list[Place] = []
        self.thinking = 0  # responses with thoughts, or with a part for them that has no text
        self.ended = False  # with a mark that was taken off
        self.reason: str | None = None  # the first one why an exchange cannot be worked on
        self._began = False
        self._requests: list[Turn] = []
        self._responses: list[Turn] = []
        self._obstacle: str | None = None  # of the present exchange
        self._lasting: str | None = None  # of all that follow
        self._called = False  # a function, in the text of the response before

    def take(self, turn: Turn) -> None:
        if turn.role == "system":
            if not self._began and turn.obstacle is None:
                self.system = join_distinct((self.system, turn.text or ""))
                return
            self.close()
            self._lasting = self._lasting or turn.obstacle or LATE_SYSTEM
            self._object_to(self._lasting)
            return
        self._began = True
        if turn.role == "user" and self._responses:
            self.close()
        self._object_to(turn.obstacle)
        if turn.role == "user":
            if self._called and gives_result(turn.text or ""):
                self._object_to(TEXT_RESULT)
            self._called = False
            self._requests.append(turn)
            if turn.obstacle and any(kind in turn.obstacle for kind in _MEDIA):
                self._lasting = self._lasting or turn.obstacle
        elif turn.role == "assistant" and self._requests:
            self._responses.append(turn)
            if calls_function(turn.text or ""):
                self._called = True
                self._object_to(TEXT_CALL)
            if len(self._responses) > 1:
                self._object_to(TWO_RESPONSES)
        elif turn.role == "assistant":
            self._object_to("a response without a request")
            self._obstacle = None

    def close(self) -> None:
        """End the present exchange."""
        if self._requests and self._responses:
            request = "\n\n".join(turn.text or "" for turn in self._requests)
            if not request.strip() and not self._requests[-1].input.strip():
                self._object_to(NO_REQUEST)
            second = self._requests[-1].input
            texts, thoughts = [turn.text or "" for turn in self._responses], ""
            if self._thoughts != "text" and any(
                turn.thoughts or may_have_thoughts(turn.text or "") or may_end_with_mark(turn.text or "")
                for turn in self._responses
            ):
                found = [read_response(text, (request, second, self.system)) for text in texts]
                texts = [each.text for each in found]
                self.ended = self.ended or any(each.after for each in found)
                thoughts = join_distinct(
                    [*(each.thoughts for each in found), *(turn.thoughts for turn in self._responses)]
                )
            has_part = self._thoughts != "text" and any(turn.part for turn in self._responses)
            self.thinking += bool(thoughts) or has_part
            fixed = any(turn.fixed for turn in self._responses)
            if self._thoughts == "skip" and not fixed and (thoughts or self._responses[0].part):
                self._object_to(HAS_THOUGHTS)
            fixed = fixed or (self._obstacle or self._lasting) is not None
            self.exchanges.append(Exchange(request, second, "\n\n".join(texts), fixed, thoughts))
            self.answers.append(self._responses[0].path)
        if self._responses:
            self._requests, self._responses, self._obstacle = [], [], None

    def _object_to(self, obstacle: str | None) -> None:
        self._obstacle = self._obstacle or obstacle
        self.reason = self.reason or obstacle


def _are_encodable(exchange: Exchange) -> bool:
    return all(map(is_encodable, (exchange.instruction, exchange.input, exchange.response)))


def pair_names(item: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the names of request and response in an object that holds both; None if it does not."""
    if "from" in item or "role" in item:
        return None
    return next((pair for pair in _PAIRS if pair[0] in item and pair[1] in item), None)


def _content(content: Any, field: str, index: int) -> tuple[str | None, str | None]:
    """Return a turn's text; or, in place of the text, why it has no plain text."""
    if isinstance(content, str):
        return content, None
    if is_missing(content):
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
            case {"text": str(text)} if "type" not in part:  # as Amazon Bedrock has them
                texts.append(text)
            case dict() if len(part) == 1 and (known := _OTHER_PARTS.intersection(part)):
                return None, f"a non-text part ({min(known)})"
            case {"type": str(other)} if other != "text":
                return None, f"a non-text part ({brief(other)})"
            case _:
                found = field_names(part) if isinstance(part, dict) else json_type(part)
                expected = f'parts with "type" and "text" in "{field}"'
                raise DataError(f"turn {index + 1}: expected {expected}, found {found}")
    return "\n".join(texts), None


def _is_zero(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("0", "0.0", "false")
    return isinstance(value, bool | int | float) and value == 0
