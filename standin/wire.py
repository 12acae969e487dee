"""What the provider protocols share: parsing requests and building answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from standin.replies import Message

Failure = Literal[
    "invalid_key",
    "no_balance",
    "quota",
    "unknown_model",
    "429",
    "tpm",
    "overloaded",
    "500",
    "502",
    "503",
    "504",
    "too_long",
    "content_filter",
    "bad_request",
]
"""Reasons to refuse a request; each provider maps them to its own codes and messages."""


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    type: bytes = b"application/json"


class Refused(Exception):
    """The provider refuses the request; an empty message or code means the provider's own.

    `lengths` are the context length and the length of a prompt that is too long, in tokens.
    """

    def __init__(
        self,
        failure: Failure,
        message: str = "",
        *,
        param: str | None = None,
        code: str = "",
        lengths: tuple[int, int] = (8192, 9001),
    ) -> None:
        super().__init__(message)
        self.failure: Failure = failure
        self.message = message
        self.param = param
        self.code = code
        self._lengths = lengths

    def text(self, template: str, **values: str) -> str:
        """Return this refusal's message, or the provider's template filled in."""
        context, tokens = self._lengths
        return self.message or template.format(context=context, tokens=tokens, **values)


@dataclass(frozen=True, slots=True)
class Incoming:
    """An HTTP request."""

    method: str
    path: str
    """The path without the provider's prefix."""
    query: str
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    raw: bytes

    @property
    def bearer(self) -> str:
        """The key in the Authorization header."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def json(self) -> dict[str, Any]:
        """Return the parsed body. Raises Refused if it is not a JSON object."""
        try:
            body = json.loads(self.raw)
        except ValueError:
            raise Refused("bad_request", "The body of the request is not valid JSON.") from None
        if not isinstance(body, dict):
            raise Refused("bad_request", "The body of the request is not a JSON object.")
        return body


def read_messages(body: Mapping[str, Any], roles: Sequence[str], code: str = "") -> list[Message]:
    """Return the messages with their content as text. Raises Refused with this code if they are invalid."""
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise Refused("bad_request", "'messages' must be a non-empty array.", param="messages", code=code)
    messages: list[Message] = []
    for number, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in roles:
            text = f"Invalid value: {role!r}. Supported values are: {', '.join(map(repr, roles))}."
            raise Refused("bad_request", text, param=f"messages[{number}].role", code=code)
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        if not isinstance(content, str):
            text = "Invalid type for 'content': expected a string or an array of parts."
            raise Refused("bad_request", text, param=f"messages[{number}].content", code=code)
        messages.append({"role": role, "content": content})
    return messages


def read_number(
    body: Mapping[str, Any], name: str, low: float, high: float, *, open_low: bool = False
) -> float | None:
    """Return a numeric field, None if absent. Raises Refused if it is not a number in the range."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("bad_request", f"Invalid type for '{name}': expected a number.", param=name)
    if not low <= value <= high or (open_low and value == low):
        bracket = "(" if open_low else "["
        text = f"Invalid '{name}': {value} is not in the range {bracket}{low}, {high}]."
        raise Refused("bad_request", text, param=name)
    return value


def read_count(body: Mapping[str, Any], name: str) -> int | None:
    """Return a positive integer field, None if absent. Raises Refused if it is anything else."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused("bad_request", f"Invalid '{name}': expected an integer of at least 1.", param=name)
    return value


def refuse_unsupported(body: Mapping[str, Any], *, ignore_n: bool = False) -> None:
    """Refuse features that the real APIs offer and this server does not."""
    if body.get("stream"):
        raise Refused("bad_request", "The stand-in does not stream replies.", param="stream")
    if not ignore_n and body.get("n") not in (None, 1):
        raise Refused("bad_request", "The stand-in returns one reply per request.", param="n")


def json_answer(body: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), headers)
