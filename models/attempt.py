"""What one call took, and what one attempt at it came to: the door's notes while it works on a call."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from models.call import Call
from models.errors.classify import unusable
from models.errors.kinds import UNREACHABLE, UNSENDABLE, AnswerRefused, Diagnosis
from models.limits.budget import Usage
from models.providers.openai_chat import usage
from models.providers.reply import reply_text
from models.routing.endpoint_state import Line
from models.settings import Endpoint
from prompts.pack import Message


@dataclass(slots=True)
class Attempt:
    """One attempt at a call: what was sent, and what came of it.

    `taught` where the error says in which form the endpoint takes the call.
    """

    messages: list[Message]
    fields: dict[str, Any]
    started: float
    latency: float = 0.0
    reply: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    failure: Diagnosis | None = None
    error: Exception | None = None
    taught: bool = False

    @property
    def usage(self) -> Usage | None:
        """What it took; None where nobody knows. What a provider refused took nothing."""
        if self.input_tokens is not None and self.output_tokens is not None:
            return Usage(self.input_tokens, self.cached_tokens or 0, self.output_tokens)
        status = getattr(self.error, "status_code", None)
        refused = status is not None and status != HTTPStatus.GATEWAY_TIMEOUT
        spoilt = isinstance(self.error, AnswerRefused) and self.error.lacks
        unsent = self.failure is not None and self.failure.meaning in (UNREACHABLE, UNSENDABLE)
        return Usage(0, 0, 0) if (refused and not spoilt) or unsent else None

    def answered(self, message: AIMessage, call: Call, endpoint: Endpoint) -> None:
        """A reply came, of use or not."""
        self.reply = reply_text(message.text)
        self.finish_reason = message.response_metadata.get("finish_reason")
        self._count(message.usage_metadata)
        self.failure = unusable(message, self.reply, call, endpoint)

    def refused(self, error: Exception) -> None:
        """No reply came."""
        self.error = error
        if isinstance(error, AnswerRefused):
            self._count(usage(error.body))  # of no use, and paid for all the same

    def _count(self, used: UsageMetadata | None) -> None:
        if used:
            self.input_tokens, self.output_tokens = used["input_tokens"], used["output_tokens"]
            self.cached_tokens = used.get("input_token_details", {}).get("cache_read")


@dataclass(slots=True, eq=False)
class Effort:
    """What one call took so far: attempts, those of them that count, and seconds.

    `is_idle` while nothing is lost if it is given up, `is_unwanted` when nobody waits for its reply.
    `given_up` is the attempt that was in flight when the run was told to stop at once; it may be billed.
    """

    attempts: int = 0
    tries: int = 0
    seconds: float = 0.0
    is_idle: bool = False
    is_unwanted: bool = False
    given_up: Attempt | None = None
    line: Line | None = None

    @contextmanager
    def idle(self) -> Iterator[None]:
        """While the call waits and nothing of it is in flight."""
        self.is_idle = True
        try:
            yield
        finally:
            self.is_idle = False

    def set_out(self, line: Line) -> None:
        """An attempt is about to be sent."""
        if self.line is not line:
            self.leave()
            self.line = line
        line.debut.begins(self)

    def leave(self) -> None:
        """The call is concluded, or goes to another server."""
        if self.line:
            self.line.debut.left(self)
