"""What a provider is to the stand-in, and what most of them share: OpenAI's form of a chat completion."""

import hmac
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from samples.tokens import estimate_tokens
from standin.limits import Limits, Queue
from standin.options import Options
from standin.replies import Message
from standin.wire import Answer, Incoming, Refused, as_json

CREATED = 1_790_000_000
"""The time that replies give as theirs: always the same, so that replies are."""


class Provider(ABC):
    """A provider as the stand-in plays it.

    `prefix` is where it stands on the server, `base_url` the path that clients are given, `accepts` the key
    it takes. `withheld` and `full` are its words for a reply that a content filter kept back, and for one
    that ended where the context did.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]
    base_url: ClassVar[str]
    chat_path: ClassVar[str] = "/v1/chat/completions"
    accepts: ClassVar[str] = ""
    models: ClassVar[Mapping[str, int]]
    """The models it knows, and the context length of each in tokens."""
    withheld: ClassVar[str] = "content_filter"
    full: ClassVar[str] = "length"
    refuses_rates: ClassVar[bool] = True
    refuses_queues: ClassVar[bool] = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.limits = Limits(options)
        self.queue = Queue(options.slots)
        self.cache = PrefixCache()

    @property
    def key(self) -> str:
        """The key it accepts."""
        return self.accepts

    def knows(self, incoming: Incoming) -> bool:
        """Whether the request carries the right key."""
        return hmac.compare_digest(incoming.bearer.encode(), self.key.encode())

    def is_chat(self, incoming: Incoming) -> bool:
        """Whether this is a request that a model answers."""
        return incoming.method == "POST" and incoming.path == self.chat_path

    def other(self, incoming: Incoming) -> Answer | None:
        """The answer to any other request; None where there is nothing at its path."""
        if incoming.path == "/v1/models":
            data = [{"id": name, "object": "model", "owned_by": "standin"} for name in self.models]
            return as_json({"object": "list", "data": data})
        return None

    @abstractmethod
    def read(self, incoming: Incoming) -> "Chat":
        """The chat request. Raises Refused where the real API refuses it."""

    @abstractmethod
    def reply(self, chat: "Chat", *, usage: bool) -> Answer:
        """The reply to a chat request, with its usage or without."""

    @abstractmethod
    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal in the form of this API."""

    def failure_in_200(self) -> Answer:
        """An error that comes with status 200, as a proxy may hand it on."""
        error = {"message": "The upstream model failed.", "type": "server_error", "param": None, "code": None}
        return as_json({"error": error})

    def phrased(self, chat: "Chat", text: str) -> str:
        """What was said, in the way of the model."""
        return text

    def context(self, model: str) -> int:
        """The context length of a model, in tokens."""
        return self.options.context or self.models[model]

    def opened(self, body: Mapping[str, Any], messages: list[Message], limit: int | None) -> "Chat":
        """A chat request whose model is known. Raises Refused where the prompt is longer than the context."""
        chat = Chat(str(body["model"]), messages, limit, dict(body), prompt_tokens(messages))
        context = self.context(chat.model)
        if chat.asked > context:
            raise too_long(context, chat.asked)
        chat.cached = self.cache.look(messages, chat.asked)
        return chat


def too_long(context: int, asked: int) -> Refused:
    """The refusal of a prompt that is longer than the context; its words give both lengths in tokens."""
    return Refused("too_long", numbers=(context, asked))


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
        self.finish = "length"
        room = max(self.limit - self.thought, 0)
        self.text = text[: len(text) * room // max(self.said, 1)]
        self.said, self.thought = room, min(self.thought, self.limit)

    def cut(self, finish: str) -> None:
        """Break the reply off in the middle, for this reason."""
        self.text, self.said, self.finish = self.text[: len(self.text) // 2], self.said // 2, finish

    def end(self, finish: str) -> None:
        """End it with nothing said, for this reason."""
        self.text, self.thoughts, self.said, self.thought, self.finish = "", "", 0, 0, finish


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
        "created": CREATED,
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
