"""What a person's edit may put into the state that a server keeps: its own fields, each of its type."""

import json
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, NotRequired, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from graph.state import AlpacaRecord, ConversationRecord, ConversationState, ExchangeState
from models.call import Message

_Points = Annotated[list[float], Field(min_length=2, max_length=2)]


class EditedJudgment(TypedDict):
    """A judgment as a person writes it: where it has no points, they are read from the reply."""

    reply: str
    points: NotRequired[_Points | None]
    panel: NotRequired[dict[str, "EditedJudgment"] | None]


_Memory = Annotated[list[Message], Field(min_length=1)]

_STRICTER_OR_LOOSER: Mapping[str, Any] = {
    "exchange": Annotated[int, Field(ge=0)],
    "round": Annotated[int, Field(ge=1)],
    "positive_memory": _Memory | None,
    "critical_memory": _Memory | None,
    "forward": EditedJudgment | None,
    "reversed": EditedJudgment | None,
}
"""Where an edit may be less than what the state's type allows, or more."""

_EMPTY = {"output", "positive_weighed", "critical_weighed", "reference", "agrees"}
_EMPTY_IN_CONVERSATIONS = {"conversations", "messages", "references"}
"""What may be null besides: the graphs leave it so, or take it for absent."""

_TAKES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
}
"""What pydantic's kinds of errors say that a field takes."""


def complaints_of_edit(
    values: Mapping[str, Any], *, conversation: bool, as_input: bool = False
) -> Iterator[str]:
    """Yield what is wrong with an edit of the state of an exchange or of a conversation.

    `as_input` is for one that stands for the record (as node `__start__`): there null is as good as absent.
    """
    fields = _fields(conversation)
    for name, value in values.items():
        if name not in fields:
            inside = conversation and name in _fields(False)
            hint = "; an exchange has it: edit inside `exchange_graph`" if inside else meant(name, fields)
            yield f"{name[:60]!r} is not a field of the state{hint}"
        elif not (value is None and as_input):
            try:
                fields[name].validate_python(value, strict=True, extra="forbid")
            except ValidationError as error:
                yield _complaint(name, error)


@cache
def _fields(conversation: bool) -> dict[str, TypeAdapter[Any]]:
    """Return the fields of a state, those of its input among them, with what each takes."""
    state, record = (ConversationState, ConversationRecord) if conversation else (ExchangeState, AlpacaRecord)
    empty = _EMPTY_IN_CONVERSATIONS if conversation else _EMPTY
    types = get_type_hints(record) | get_type_hints(state)
    return {
        name: TypeAdapter(_STRICTER_OR_LOOSER.get(name, kind | None if name in empty else kind))
        for name, kind in types.items()
    }


def _complaint(name: str, error: ValidationError) -> str:
    """Return what is wrong at the first place of a field that is."""
    found = error.errors(include_url=False)[0]
    inner = [part for part in found["loc"] if isinstance(part, int | str)]
    last = str(inner[-1])[:60] if inner else ""
    if found["type"] == "extra_forbidden":
        return f"`{_place(name, inner[:-1])}` has no field {last!r}"
    where = f"`{_place(name, inner)}`"
    if found["type"] == "missing":
        return f"{where} is missing"
    if found["type"] in ("too_short", "too_long"):
        return f"{where}: {found['msg'].replace(' after validation', '')}"
    shown = shown_value(found["input"])
    if found["type"] in _TAKES:
        return f"{where} takes {_TAKES[found['type']]}, not {shown}"
    return f"{where}: {found['msg'].removeprefix('Input ')}, not {shown}"


def _place(name: str, inner: Collection[int | str]) -> str:
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in inner)


def shown_value(value: object) -> str:
    """Return a value that was given, in a few words."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value)[:60]


def meant(name: str, known: Collection[str]) -> str:
    """Return the name that one which is not known resembles, as a question."""
    near = get_close_matches(name[:60], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
