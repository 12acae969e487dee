"""The line to one model: the model, its lane, and what has been learned of the endpoint on the way."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from models.pace import Lane
from models.settings import Endpoint
from models.shaping import alternating, without_system
from prompts.pack import Message


@dataclass(frozen=True, slots=True)
class Waiting:
    """Calls that wait: how many, for what, and until when (Unix time), where that is known."""

    calls: int
    reason: str
    until: float | None


class Standing:
    """What has been learned of an endpoint; shared by the roles that use it."""

    def __init__(self, endpoint: Endpoint, lane: Lane) -> None:
        self.endpoint = endpoint
        self.lane = lane
        self.has_answered = False
        self.knows_system = True
        self.silent_since: float | None = None
        """Since when nothing could be reached there, in the loop's time."""
        self._resting: Counter[str] = Counter()
        self._rest_until: dict[str, float] = {}
        self._output_tokens: float | None = None

    @contextmanager
    def resting(self, reason: str, seconds: float) -> Iterator[None]:
        """While a call waits for its next attempt."""
        self._resting[reason] += 1
        self._rest_until[reason] = max(self._rest_until.get(reason, 0.0), time.time() + seconds)
        try:
            yield
        finally:
            self._resting[reason] -= 1

    def waiting(self, now: float) -> Iterator[Waiting]:
        """The calls that wait for this endpoint, other than for a place in flight. `now` is the loop's."""
        provider, clock = self.endpoint.provider, time.time()
        if held := self.lane.held():
            until = None if held.until is None else clock + held.until - now
            # A cap is the user's own; everything else is the endpoint's doing.
            who = held.reason if held.reason.startswith("--") else f"{held.reason} by {provider}"
            yield Waiting(held.calls, who, until)
        for reason, calls in self._resting.items():
            if calls:
                yield Waiting(calls, f"{reason} at {provider}", self._rest_until[reason])

    def expect(self, input_tokens: int, most: int) -> float:
        """The tokens a call will take, by what others took; `most` is the limit of its reply."""
        return input_tokens + (most if self._output_tokens is None else self._output_tokens)

    def learn_output(self, tokens: int) -> None:
        """How long a reply was, in tokens."""
        before = self._output_tokens
        self._output_tokens = tokens if before is None else before + 0.05 * (tokens - before)


class Line:
    """The model of one role and how its messages are shaped."""

    def __init__(self, model: BaseChatModel, standing: Standing) -> None:
        self.endpoint = standing.endpoint
        self.model = model
        self.standing = standing

    def shaped(self, messages: list[Message]) -> list[Message]:
        """The messages as this endpoint takes them."""
        shaped = alternating(messages)
        return shaped if self.standing.knows_system else without_system(shaped)

    def learn(self, error: Exception, sent: list[Message]) -> bool:
        """Whether the error refuses `sent` for its system message; from now on there will be none.

        Of several calls in flight each is told so, and each is to be sent again. The words are those of
        templates in use, which vLLM hands on with status 400, and of OpenAI's for its first reasoning models.
        """
        refusal = getattr(error, "status_code", None) == 400 and any(
            sign in str(error).lower()
            for sign in (
                "system role not supported",
                "roles must alternate",
                "only user and assistant",
                "does not support 'system'",
            )
        )
        if refusal and any(message["role"] == "system" for message in sent):
            self.standing.knows_system = False
            return True
        return False
