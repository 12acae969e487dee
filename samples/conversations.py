"""ShareGPT and OpenAI-style `messages` records: both are a list of turns under different names.

ShareGPT's turns are {from, value}, OpenAI's {role, content}; data sets mix the two, so each turn
may use either pair whatever the record's format. A record with anything but a conversation in text,
request and response in turn, is skipped; a last request without a response is not an exchange and
stays as it is.
"""

from collections.abc import Sequence
from typing import Any, Literal

from samples.fields import (
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    Turn,
    brief,
    is_text,
    kind,
    media,
    names,
    optional_text,
)
from samples.sample import DataError, Exchange

ConversationFormat = Literal["sharegpt", "messages"]

LIST_FIELD: dict[ConversationFormat, str] = {"sharegpt": "conversations", "messages": "messages"}

# Who speaks, under the names found in published data sets.
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "claude": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}
_WRITTEN_ROLES: dict[ConversationFormat, dict[str, str]] = {
    "sharegpt": {"system": "system", "user": "human", "assistant": "gpt"},
    "messages": {"system": "system", "user": "user", "assistant": "assistant"},
}


def fields(format: ConversationFormat) -> tuple[str, ...]:
    """The fields of a record that make up its conversation."""
    return (LIST_FIELD[format], "system")


def parse(record: dict[str, Any], format: ConversationFormat) -> Parsed:
    """The answered exchanges of a conversation.

    The system prompt is the text of the field `system`, of a system turn at the beginning, or of
    both. An empty response can be improved; an empty request is a reason to skip the record. Raises
    DataError where a field is missing or of the wrong type.
    """
    system = optional_text(record, "system")
    skip = media(record)
    exchanges: list[Exchange] = []
    request: str | None = None
    turns = _turns(record, format)
    for index, turn in enumerate(turns):
        name, _, text, obstacle = _read(turn, index)
        role = _role(name)
        if skip is not None:
            # The remaining turns are only looked at for wrong types.
            continue
        if role is None:
            skip = f"a turn of {brief(name)}"
        elif obstacle is not None or text is None:
            skip = obstacle
        elif role == "system":
            if index == 0:
                system = _joined(system, text)
            else:
                skip = "a system turn after the beginning"
        elif role == "user":
            skip = "a request after a request" if request is not None else None
            request = text
        elif request is None:
            skip = "a response without a request"
        elif not request.strip():
            skip = NO_REQUEST
        else:
            exchanges.append(Exchange(request, "", text))
            request = None

    if skip is None and not exchanges:
        skip = NO_RESPONSE if turns else "an empty conversation"
    if skip is None and not (
        is_text(system) and all(is_text(e.instruction) and is_text(e.response) for e in exchanges)
    ):
        skip = NOT_TEXT
    return Parsed(system, () if skip else tuple(exchanges), skip)


def answered(
    record: dict[str, Any],
    format: ConversationFormat,
    exchanges: Sequence[Exchange],
    responses: Sequence[str],
) -> dict[str, Any]:
    """A copy of the record with the responses of its exchanges replaced, in order.

    A turn whose response is unchanged stays as it is, also where its text comes in several parts.
    """
    if not exchanges:
        return dict(record)
    turns = list(_turns(record, format))
    pairs = iter(zip(exchanges, responses, strict=True))
    for index, turn in enumerate(turns):
        name, content_field, _, _ = _read(turn, index)
        if _role(name) != "assistant":
            continue
        exchange, response = next(pairs)
        if response != exchange.response:
            turns[index] = {**turn, content_field: _shaped_like(turn[content_field], response)}
    return {**record, LIST_FIELD[format]: turns}


def read_turns(record: dict[str, Any], format: ConversationFormat) -> list[Turn]:
    """The record as turns of text. Raises DataError where one is something else."""
    turns = []
    for index, turn in enumerate(_turns(record, format)):
        name, content_field, text, obstacle = _read(turn, index)
        role = _role(name)
        if role is None:
            raise DataError(f"it has a turn of {brief(name)}")
        if obstacle is not None or text is None:
            raise DataError(f"it has {obstacle}")
        spoken = (content_field, "from" if content_field == "value" else "role")
        extra = {key: value for key, value in turn.items() if key not in spoken}
        turns.append(Turn(role, text, extra))

    if system := optional_text(record, "system"):
        if turns and turns[0].role == "system":
            turns[0] = Turn("system", _joined(system, turns[0].text), turns[0].extra)
        else:
            turns.insert(0, Turn("system", system, {}))
    return turns


def write_turns(turns: Sequence[Turn], format: ConversationFormat) -> dict[str, Any]:
    """The field of a record that holds the turns."""
    role, content = ("from", "value") if format == "sharegpt" else ("role", "content")
    roles = _WRITTEN_ROLES[format]
    written = [{role: roles[turn.role], content: turn.text, **turn.extra} for turn in turns]
    return {LIST_FIELD[format]: written}


def _turns(record: dict[str, Any], format: ConversationFormat) -> list[dict[str, Any]]:
    field = LIST_FIELD[format]
    if field not in record:
        kind_of_record = "a ShareGPT record" if format == "sharegpt" else "an OpenAI-style record"
        raise DataError(f'expected {kind_of_record} with "{field}", found {names(record)}')
    turns = record[field]
    if not isinstance(turns, list):
        raise DataError(f'expected a list of turns in "{field}", found {kind(turns)}')
    return turns


def _read(turn: Any, index: int) -> tuple[str, str, str | None, str | None]:
    """Who speaks, the field with the text, the text, or why the turn is not plain text."""
    if not isinstance(turn, dict):
        raise DataError(f"turn {index + 1}: expected an object, found {kind(turn)}")
    role_field, content_field = ("from", "value") if "from" in turn else ("role", "content")
    if role_field not in turn:
        raise DataError(
            f'turn {index + 1}: expected "from" and "value" or "role" and "content", found {names(turn)}'
        )
    name = turn[role_field]
    if not isinstance(name, str):
        raise DataError(f'turn {index + 1}: expected text in "{role_field}", found {kind(name)}')
    # A message that only calls a tool need not have any content.
    if turn.get("tool_calls") or turn.get("function_call"):
        return name, content_field, None, "a tool call"
    if content_field not in turn:
        raise DataError(f'turn {index + 1}: expected "{content_field}", found {names(turn)}')
    content = turn[content_field]
    if isinstance(content, str):
        return name, content_field, content, None
    if content is None:
        return name, content_field, None, "a turn without text"
    if not isinstance(content, list):
        raise DataError(f'turn {index + 1}: expected text in "{content_field}", found {kind(content)}')
    texts = []
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": str(other)} if other != "text":
                return name, content_field, None, f"a part that is not text ({brief(other)})"
            case _:
                raise DataError(
                    f"turn {index + 1}: expected parts with "
                    f'"type" and "text" in "{content_field}", found {_part(part)}'
                )
    return name, content_field, "\n".join(texts), None


def _role(name: str) -> str | None:
    return _ROLES.get(name) or _ROLES.get(name.lower())


def _part(part: Any) -> str:
    return names(part) if isinstance(part, dict) else kind(part)


def _shaped_like(content: Any, response: str) -> Any:
    """The new response in the shape of the old: a text, or a list with one part of text."""
    if not isinstance(content, list):
        return response
    first = content[0] if content else {"type": "text"}
    return [{**first, "text": response}]


def _joined(one: str, other: str) -> str:
    """Both texts, or the one there is, where they are the same or one is empty."""
    return "\n\n".join(dict.fromkeys(filter(None, (one, other))))
