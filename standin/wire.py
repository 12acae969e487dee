"""What the providers' protocols have in common: requests as they come in, answers as they go out."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from samples.tokens import estimate_tokens
from standin.replies import Message

Failure = Literal[
    "invalid_key",
    "no_balance",
    "quota",
    "unknown_model",
    "429",
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

FINISH_CUT = "length"


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    type: bytes = b"application/json"


class Refused(Exception):
    """The provider refuses the request: for what, and in which words (its own ones where empty)."""

    def __init__(
        self, failure: Failure, words: str = "", *, param: str | None = None, code: str = ""
    ) -> None:
        super().__init__(words)
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


@dataclass(slots=True)
class Chat:
    """A chat request that the provider accepts, and the reply on its way.

    `limit` is the longest reply in tokens, None where there is no limit but the context. `finish` is the
    provider's word for how the reply ended, `text` and `thoughts` what was said, token counts as reported.
    """

    model: str
    messages: list[Message]
    limit: int | None
    body: dict[str, Any]
    asked: int
    cached: int = 0
    text: str = ""
    thoughts: str = ""
    finish: str = "stop"
    said: int = 0
    thought: int = 0

    def say(self, text: str) -> None:
        """Put a reply in, cut off where it is longer than the limit allows."""
        self.text, self.said = text, estimate_tokens(text)
        self.thought = estimate_tokens(self.thoughts)
        if self.limit is None or self.said + self.thought <= self.limit:
            return
        self.finish = FINISH_CUT
        room = max(self.limit - self.thought, 0)
        self.text = text[: len(text) * room // max(self.said, 1)]
        self.said, self.thought = room, min(self.thought, self.limit)

    def cut(self) -> None:
        """Break the reply off in the middle."""
        self.text, self.said, self.finish = self.text[: len(self.text) // 2], self.said // 2, FINISH_CUT

    def end(self, finish: str) -> None:
        """End it with nothing said, for this reason."""
        self.text, self.thoughts, self.said, self.thought, self.finish = "", "", 0, 0, finish


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


def prompt_tokens(messages: Sequence[Message]) -> int:
    """The tokens of a prompt, four for the frame of each message included."""
    return estimate_tokens("\n".join(m["content"] for m in messages)) + 4 * len(messages)


def completion(
    chat: Chat, *, id: str, usage: bool, extra: Mapping[str, Any], details: bool
) -> dict[str, Any]:
    """A chat completion in OpenAI's form; `extra` goes into the message."""
    body: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": 1_763_000_000,
        "model": chat.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": chat.text, **extra},
                "finish_reason": chat.finish,
            }
        ],
    }
    if usage:
        said = chat.said + chat.thought
        counts: dict[str, Any] = {
            "prompt_tokens": chat.asked,
            "completion_tokens": said,
            "total_tokens": chat.asked + said,
        }
        if details:
            counts["prompt_tokens_details"] = {"cached_tokens": chat.cached}
            counts["completion_tokens_details"] = {"reasoning_tokens": chat.thought}
        body["usage"] = counts
    return body


def as_json(body: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), headers)


@dataclass
class PrefixCache:
    """What a server remembers of the beginnings of prompts, in blocks of 64 characters (16 tokens or so).

    Like a real one it depends on what was asked before, so cached counts are the one part of a reply that
    follows from the order of requests. `queries` and `hits` are in tokens.
    """

    blocks: int = 100_000
    queries: int = 0
    hits: int = 0
    _known: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def look(self, messages: Sequence[Message], tokens: int) -> int:
        """How many of a prompt's tokens are known; from now on all are."""
        text = "\0".join(message["content"] for message in messages)
        known, blocks, link, unbroken = self._known, 0, 0, True
        for start in range(0, len(text) - 63, 64):
            link = hash((link, text[start : start + 64]))
            unbroken = unbroken and link in known
            blocks += unbroken
            known[link] = None
        while len(known) > self.blocks:
            known.popitem(last=False)
        cached = tokens * blocks * 64 // max(len(text), 1) // 16 * 16
        self.queries += tokens
        self.hits += cached
        return cached


class Provider(Protocol):
    """A provider as the stand-in plays it. `base_url` is the path that clients are given."""

    name: str
    prefix: str
    base_url: str
    key: str
    models: tuple[str, ...]
    limits_rates: bool
    withheld: str
    cache: PrefixCache

    def knows(self, incoming: Incoming) -> bool:
        """Whether the request carries the right key."""
        ...

    def is_chat(self, incoming: Incoming) -> bool:
        """Whether this is a request that a model answers."""
        ...

    def other(self, incoming: Incoming) -> Answer | None:
        """The answer to any other request; None where there is nothing at its path."""
        ...

    def read(self, incoming: Incoming) -> Chat:
        """The chat request. Raises Refused where the real API refuses it."""
        ...

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply to a chat request."""
        ...

    def refuse(self, refused: Refused, incoming: Incoming, model: str, asked: int) -> Answer:
        """A refusal in the form of this API; `asked` is the length of the prompt in tokens."""
        ...

    def failure_in_200(self) -> Answer:
        """An error that comes with status 200."""
        ...
