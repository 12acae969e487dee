"""The base class of the imitated providers, with OpenAI's chat completion format that most of them share."""

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
from standin.wire import Answer, Incoming, Refused, json_answer, read_messages, refuse_unsupported

CREATED = 1_790_000_000
"""The creation time of every reply, constant to keep replies reproducible."""


class Provider(ABC):
    """A provider as the stand-in imitates it."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """The path under which the provider is served."""
    base_url: ClassVar[str]
    """The path that clients use as their base URL."""
    chat_path: ClassVar[str] = "/v1/chat/completions"
    models_path: ClassVar[str] = "/v1/models"
    """The path of the model list, empty if the API has none."""
    accepted_key: ClassVar[str] = ""
    models: ClassVar[Mapping[str, int]]
    """The context length of each model, in tokens."""
    roles: ClassVar[Sequence[str]] = ("system", "user", "assistant")
    messages_code: ClassVar[str] = ""
    """The error code for invalid messages; empty means that of any bad request."""
    ignores_n: ClassVar[bool] = False
    finish_filtered: ClassVar[str] = "content_filter"
    """The finish reason of a reply withheld by a content filter."""
    finish_context: ClassVar[str] = "length"
    """The finish reason of a reply that reached the end of the context."""
    has_rate_limits: ClassVar[bool] = True
    has_queue_limit: ClassVar[bool] = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.limits = Limits(options)
        self.queue = Queue(options.slots)
        self.cache = PrefixCache()

    @property
    def key(self) -> str:
        """The key it accepts."""
        return self.accepted_key

    def is_authorized(self, incoming: Incoming) -> bool:
        """Return whether the request carries the right key."""
        return hmac.compare_digest(incoming.bearer.encode(), self.key.encode())

    def is_chat(self, incoming: Incoming) -> bool:
        """Return whether this is a chat request."""
        return incoming.method == "POST" and incoming.path == self.chat_path

    def answer_other(self, incoming: Incoming) -> Answer | None:
        """Answer a request other than chat; None if the path does not exist."""
        if incoming.path == self.models_path:
            data = [{"id": name, "object": "model", "owned_by": "standin"} for name in self.models]
            return json_answer({"object": "list", "data": data})
        return None

    @abstractmethod
    def read_chat(self, incoming: Incoming) -> "Chat":
        """Parse a chat request. Raises Refused if the real API refuses it."""

    @abstractmethod
    def reply(self, chat: "Chat", *, usage: bool) -> Answer:
        """Return the reply to a chat request, with or without its token usage."""

    @abstractmethod
    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal in this API's format."""

    def error_in_200(self) -> Answer:
        """Return an error with status 200, as some proxies do."""
        error = {"message": "The upstream model failed.", "type": "server_error", "param": None, "code": None}
        return json_answer({"error": error})

    def shape(self, chat: "Chat", text: str) -> str:
        """Return the reply text as the model writes it."""
        return text

    def context(self, model: str) -> int:
        """Return the context length of a model, in tokens."""
        return self.options.context or self.models[model]

    def read_body(self, incoming: Incoming) -> tuple[dict[str, Any], str, list[Message]]:
        """Return the body, model and messages of a request in OpenAI's format."""
        body = incoming.json()
        model = self.read_model(body)
        messages = read_messages(body, self.roles, self.messages_code)
        refuse_unsupported(body, ignore_n=self.ignores_n)
        return body, model, messages

    def read_model(self, body: Mapping[str, Any]) -> str:
        """Return the model of a request. Raises Refused if it does not exist."""
        model = body.get("model")
        if not isinstance(model, str) or model not in self.models:
            raise Refused("unknown_model")
        return model

    def new_chat(self, body: dict[str, Any], messages: list[Message], limit: int | None) -> "Chat":
        """Return a chat for a known model. Raises Refused if the prompt exceeds the context."""
        chat = Chat(body["model"], messages, limit, body, count_prompt_tokens(messages))
        context = self.context(chat.model)
        if chat.prompt_tokens > context:
            raise Refused("too_long", lengths=(context, chat.prompt_tokens))
        chat.cached_tokens = self.cache.look_up(messages, chat.prompt_tokens)
        return chat


@dataclass(slots=True)
class Chat:
    """An accepted chat request and its reply; token counts are those reported to the client."""

    model: str
    messages: list[Message]
    limit: int | None
    """The longest reply in tokens; None if only the context limits it."""
    body: dict[str, Any]
    prompt_tokens: int
    cached_tokens: int = 0
    text: str = ""
    thoughts: str = ""
    finish: str = "stop"
    """The provider's finish reason."""
    text_tokens: int = 0
    thought_tokens: int = 0
    tier: str = ""
    """The service tier it is served in, where the API names one."""

    def set_reply(self, text: str) -> None:
        """Set the reply, truncated to the limit."""
        self.text, self.text_tokens = text, estimate_tokens(text)
        self.thought_tokens = estimate_tokens(self.thoughts)
        if self.limit is None or self.text_tokens + self.thought_tokens <= self.limit:
            return
        self.finish = "length"
        room = max(self.limit - self.thought_tokens, 0)
        self.text = text[: len(text) * room // max(self.text_tokens, 1)]
        self.text_tokens, self.thought_tokens = room, min(self.thought_tokens, self.limit)

    def halve(self, finish: str) -> None:
        """Drop the second half of the reply and set the finish reason."""
        self.text, self.text_tokens, self.finish = (
            self.text[: len(self.text) // 2],
            self.text_tokens // 2,
            finish,
        )

    def clear(self, finish: str) -> None:
        """Drop the whole reply and set the finish reason."""
        self.text, self.thoughts, self.text_tokens, self.thought_tokens, self.finish = "", "", 0, 0, finish


def count_prompt_tokens(messages: Sequence[Message]) -> int:
    """Return the number of tokens in a prompt, including four of overhead per message."""
    return estimate_tokens("\n".join(m["content"] for m in messages)) + 4 * len(messages)


def completion(chat: Chat, *, id: str, usage: bool, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat completion in OpenAI's format; `extra` is added to the message."""
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
    if chat.tier:
        body["service_tier"] = chat.tier
    if usage:
        tokens = chat.text_tokens + chat.thought_tokens
        body["usage"] = {
            "prompt_tokens": chat.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": chat.prompt_tokens + tokens,
            "prompt_tokens_details": {"cached_tokens": chat.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": chat.thought_tokens},
        }
    return body


@dataclass
class PrefixCache:
    """A server's prefix cache, in blocks of 64 characters (about 16 tokens).

    As on a real server, cached counts are the one part of a reply that depends on the order of requests.
    """

    blocks: int = 100_000
    queries: int = 0
    """Tokens looked up."""
    hits: int = 0
    """Tokens found."""
    _known: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def look_up(self, messages: Sequence[Message], tokens: int) -> int:
        """Return how many of a prompt's tokens are cached, then cache them all."""
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
