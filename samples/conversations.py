"""ShareGPT and OpenAI-style `messages` records: the same list of turns under different names.

ShareGPT's turns are {from, value}, OpenAI's {role, content}. Data sets mix the two, so a turn may use either
pair in both formats. A record is skipped unless it is plain text with alternating requests and responses. An
unanswered last request is not an exchange and is left unchanged.
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
    field_names,
    is_encodable,
    json_type,
    media_reason,
    optional_text,
)
from samples.sample import DataError, Exchange

ConversationFormat = Literal["sharegpt", "messages"]

LIST_FIELD: dict[ConversationFormat, str] = {"sharegpt": "conversations", "messages": "messages"}

# Role names found in published data sets.
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
    """Return the names of the fields that make up a record's conversation."""
    return (LIST_FIELD[format], "system")


def parse(record: dict[str, Any], format: ConversationFormat) -> Parsed:
    """Return the answered exchanges of a conversation.

    The system prompt is the field `system`, the text of a leading system turn, or both joined. An empty
    response is one to improve; an empty request means the record is skipped. Raises DataError if a field is
    missing or has the wrong type.
    """
    system = optional_text(record, "system")
    skip = media_reason(record)
    exchanges: list[Exchange] = []
    request: str | None = None
    turns = _turns(record, format)
    for index, turn in enumerate(turns):
        name, _, text, obstacle = _read(turn, index)
        role = _role(name)
        if skip is not None:
            continue  # the remaining turns are only type-checked, by `_read`
        if role is None:
            skip = f"a turn of {brief(name)}"
        elif obstacle is not None or text is None:
            skip = obstacle
        elif role == "system":
            if index == 0:
                system = _join_distinct(system, text)
            else:
                skip = "a system turn after the first turn"
        elif role == "user":
            skip = "two requests in a row" if request is not None else None
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
        is_encodable(system)
        and all(is_encodable(e.instruction) and is_encodable(e.response) for e in exchanges)
    ):
        skip = NOT_TEXT
    return Parsed(system, () if skip else tuple(exchanges), skip)


def with_responses(
    record: dict[str, Any],
    format: ConversationFormat,
    exchanges: Sequence[Exchange],
    responses: Sequence[str],
) -> dict[str, Any]:
    """Return a copy of the record with the responses of its exchanges replaced, in order.

    A turn whose response is unchanged is kept as is, even if its text is split into parts.
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
            turns[index] = {**turn, content_field: _in_same_shape(turn[content_field], response)}
    return {**record, LIST_FIELD[format]: turns}


def read_turns(record: dict[str, Any], format: ConversationFormat) -> list[Turn]:
    """Return the record as turns. Raises DataError if one is not plain text or has an unknown role."""
    turns = []
    for index, turn in enumerate(_turns(record, format)):
        name, content_field, text, obstacle = _read(turn, index)
        role = _role(name)
        if role is None:
            raise DataError(f"it has a turn of {brief(name)}")
        if obstacle is not None or text is None:
            raise DataError(f"it has {obstacle}")
        known = (content_field, "from" if content_field == "value" else "role")
        extra = {key: value for key, value in turn.items() if key not in known}
        turns.append(Turn(role, text, extra))

    if system := optional_text(record, "system"):
        if turns and turns[0].role == "system":
            turns[0] = Turn("system", _join_distinct(system, turns[0].text), turns[0].extra)
        else:
            turns.insert(0, Turn("system", system, {}))
    return turns


def write_turns(turns: Sequence[Turn], format: ConversationFormat) -> dict[str, Any]:
    """Return the record field that holds the turns."""
    role, content = ("from", "value") if format == "sharegpt" else ("role", "content")
    roles = _WRITTEN_ROLES[format]
    written = []
    for turn in turns:
        fields = {role: roles[turn.role], content: turn.text}
        # A field of the turn that has the name of one of these must not replace it.
        written.append(fields | {name: value for name, value in turn.extra.items() if name not in fields})
    return {LIST_FIELD[format]: written}


def _turns(record: dict[str, Any], format: ConversationFormat) -> list[dict[str, Any]]:
    field = LIST_FIELD[format]
    if field not in record:
        expected = "a ShareGPT record" if format == "sharegpt" else "an OpenAI-style record"
        raise DataError(f'expected {expected} with "{field}", found {field_names(record)}')
    turns = record[field]
    if not isinstance(turns, list):
        raise DataError(f'expected a list of turns in "{field}", found {json_type(turns)}')
    return turns


def _read(turn: Any, index: int) -> tuple[str, str, str | None, str | None]:
    """Return a turn's role name, text field and text; or, in place of the text, why it has no plain text."""
    if not isinstance(turn, dict):
        raise DataError(f"turn {index + 1}: expected an object, found {json_type(turn)}")
    role_field, content_field = ("from", "value") if "from" in turn else ("role", "content")
    if role_field not in turn:
        expected = '"from" and "value" or "role" and "content"'
        raise DataError(f"turn {index + 1}: expected {expected}, found {field_names(turn)}")
    name = turn[role_field]
    if not isinstance(name, str):
        raise DataError(f'turn {index + 1}: expected a string in "{role_field}", found {json_type(name)}')
    # A message that only calls a tool may have no content.
    if turn.get("tool_calls") or turn.get("function_call"):
        return name, content_field, None, "a tool call"
    if content_field not in turn:
        raise DataError(f'turn {index + 1}: expected "{content_field}", found {field_names(turn)}')
    content = turn[content_field]
    if isinstance(content, str):
        return name, content_field, content, None
    if content is None:
        return name, content_field, None, "a turn without text"
    if not isinstance(content, list):
        raise DataError(
            f'turn {index + 1}: expected a string in "{content_field}", found {json_type(content)}'
        )
    texts = []
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": str(other)} if other != "text":
                return name, content_field, None, f"a non-text part ({brief(other)})"
            case _:
                found = field_names(part) if isinstance(part, dict) else json_type(part)
                expected = f'parts with "type" and "text" in "{content_field}"'
                raise DataError(f"turn {index + 1}: expected {expected}, found {found}")
    return name, content_field, "\n".join(texts), None


def _role(name: str) -> str | None:
    return _ROLES.get(name) or _ROLES.get(name.lower())


def _in_same_shape(content: Any, response: str) -> Any:
    """Return the response in the shape of the old content: a string, or a list with one text part."""
    if not isinstance(content, list):
        return response
    first = content[0] if content else {"type": "text"}
    return [{**first, "text": response}]


def _join_distinct(one: str, other: str) -> str:
    """Join two texts, leaving out empty ones and duplicates."""
    return "\n\n".join(dict.fromkeys(filter(None, (one, other))))
