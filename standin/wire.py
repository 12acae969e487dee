"""What the providers' protocols have in common: requests as they come in, answers as they go out."""

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
"""What a provider may refuse a request for; each has its own words and numbers for it."""


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    type: bytes = b"application/json"


class Refused(Exception):
    """The provider refuses the request: for what, and in which words and code (its own where empty).

    `numbers` are the context's length and the prompt's where it is too long.
    """

    def __init__(
        self,
        failure: Failure,
        words: str = "",
        *,
        param: str | None = None,
        code: str = "",
        numbers: tuple[int, int] = (8192, 9001),
    ) -> None:
        super().__init__(words)
        self.context, self.asked = numbers
        self.failure: Failure = failure
        self.words = words
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request: `path` without the provider's prefix, names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def bearer(self) -> str:
        """The key in the header Authorization."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def json(self) -> dict[str, Any]:
        """The body. Raises Refused where it is no JSON object."""
        try:
            body = json.loads(self.raw)
        except ValueError:
            raise Refused("bad_request", "The body of the request is not valid JSON.") from None
        if not isinstance(body, dict):
            raise Refused("bad_request", "The body of the request is not a JSON object.")
        return body


def messages_of(
    body: Mapping[str, Any], roles: Sequence[str] = ("system", "user", "assistant")
) -> list[Message]:
    """The messages of a request with their text. Raises Refused where they are not such messages."""
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise Refused("bad_request", "'messages' must be an array that is not empty.", param="messages")
    messages: list[Message] = []
    for number, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in roles:
            words = f"Invalid value: {role!r}. Supported values are: {', '.join(map(repr, roles))}."
            raise Refused("bad_request", words, param=f"messages[{number}].role")
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        if not isinstance(content, str):
            words = "Invalid type for 'content': a string or an array of parts is expected."
            raise Refused("bad_request", words, param=f"messages[{number}].content")
        messages.append({"role": role, "content": content})
    return messages


def number(
    body: Mapping[str, Any], name: str, low: float, high: float, *, open_low: bool = False
) -> float | None:
    """A numeric field within its limits, None where it is not given. Raises Refused where it is not."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("bad_request", f"Invalid type for '{name}': expected a number.", param=name)
    if not low <= value <= high or (open_low and value == low):
        bracket = "(" if open_low else "["
        words = f"Invalid '{name}': {value} is not in the range {bracket}{low}, {high}]."
        raise Refused("bad_request", words, param=name)
    return value


def count(body: Mapping[str, Any], name: str) -> int | None:
    """A field that is a whole number from 1, None where it is not given. Raises Refused otherwise."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused("bad_request", f"Invalid '{name}': expected an integer of at least 1.", param=name)
    return value


def only_plain(body: Mapping[str, Any]) -> None:
    """Refuse what this server does not speak, in words of its own."""
    if body.get("stream"):
        raise Refused("bad_request", "The stand-in does not stream replies.", param="stream")
    if body.get("n") not in (None, 1):
        raise Refused("bad_request", "The stand-in gives one reply to a request.", param="n")


def as_json(body: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), headers)
