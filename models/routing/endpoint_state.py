"""The line to one model: the model, its lane, and what has been learned of the endpoint on the way."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel

from models.call import Call, VerdictForm
from models.limits.context_window import Room
from models.limits.rate_limiter import Lane
from models.limits.vllm_queue import Pressure
from models.providers.message_roles import alternating, without_system
from models.routing.circuit_breaker import Debut, Health, Outage
from models.settings import Endpoint
from prompts.pack import Message


@dataclass(frozen=True, slots=True)
class Waiting:
    """Calls that wait: how many, for what, and until when (Unix time), where that is known."""

    calls: int
    reason: str
    until: float | None


class Standing:
    """What has been learned of an endpoint; shared by the roles that use it.

    `name` is what a person reads: the provider, and the address where that has several.
    """

    def __init__(self, endpoint: Endpoint, lane: Lane, room: Room, pressure: Pressure | None = None) -> None:
        self.endpoint = endpoint
        self.name: str = endpoint.provider
        self.lane = lane
        self.room = room
        self.pressure = pressure
        self.health = Health()
        self.knows_system = True
        self.knows_forms = True
        self._resting: Counter[str] = Counter()
        self._rest_until: dict[str, float] = {}
        self._output_tokens: float | None = None

    def outage(self) -> Outage | None:
        """How it is down; None where it is not."""
        return Outage(self.name, self.health.down, self.health.down_at) if self.health.down else None

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
        clock = time.time()
        if held := self.lane.held():
            until = None if held.until is None else clock + held.until - now
            # A cap is the user's own; everything else is the endpoint's doing.
            who = held.reason if held.reason.startswith("--") else f"{held.reason} by {self.name}"
            if self.pressure and self.lane.is_full:
                who += f": {self.pressure.sign}"
            yield Waiting(held.calls, who, until)
        for reason, calls in self._resting.items():
            if calls:
                yield Waiting(calls, f"{reason} at {self.name}", self._rest_until[reason])

    def expect(self, input_tokens: int, most: int) -> float:
        """The tokens a call will take, by what others took; `most` is the limit of its reply."""
        return input_tokens + (most if self._output_tokens is None else self._output_tokens)

    def learn_output(self, tokens: int) -> None:
        """How long a reply was, in tokens."""
        before = self._output_tokens
        self._output_tokens = tokens if before is None else before + 0.05 * (tokens - before)


def name_apart(standings: Sequence[Standing]) -> None:
    """Add the address to the names of endpoints whose provider has several."""
    places = {(standing.endpoint.provider, standing.endpoint.base_url) for standing in standings}
    addresses = Counter(provider for provider, _ in places)
    for standing in standings:
        provider, _, url = standing.endpoint
        if addresses[provider] > 1 and url:
            at = urlsplit(url)
            # Not the whole of it: an address may hold a password.
            standing.name = f"{provider} {at.hostname}{f':{at.port}' if at.port else ''}"
            standing.name += at.path.removesuffix("/v1")


class Line:
    """The model of one role at one endpoint and how its messages are shaped.

    `identity` and `forms` are what `models.providers.parameters` gives for the role: what identifies its requests, and
    the body's fields that keep a reply to a form. `key` is the variable with the key that it sends.
    """

    def __init__(
        self,
        model: BaseChatModel,
        standing: Standing,
        identity: list[Any],
        forms: Mapping[VerdictForm, dict[str, Any]],
        key: str | None,
    ) -> None:
        self.endpoint = standing.endpoint
        self.model = model
        self.standing = standing
        self.identity = identity
        self.forms = forms
        self.key = key
        self.debut = Debut()

    def fields(self, call: Call) -> dict[str, Any]:
        """What the model is given besides the messages, for a reply of the call's form."""
        if call.form is None or call.form not in self.forms or not self.standing.knows_forms:
            return {}
        return {"extra_body": self.forms[call.form]}

    def shaped(self, messages: list[Message]) -> list[Message]:
        """The messages as this endpoint takes them."""
        shaped = alternating(messages)
        return shaped if self.standing.knows_system else without_system(shaped)

    def learn(self, error: Exception, sent: list[Message], *, formed: bool) -> bool:
        """Whether the error refuses `sent` for its system message or its form; there will be no more of it.

        Of several calls in flight each is told so, and each is to be sent again.
        """
        if getattr(error, "status_code", None) != 400:
            return False
        words = str(error).lower()
        if any(m["role"] == "system" for m in sent) and any(sign in words for sign in _NO_SYSTEM):
            self.standing.knows_system = False
            return True
        if formed and any(sign in words for sign in _NO_FORMS):
            self.standing.knows_forms = False
            return True
        return False


_NO_SYSTEM = (
    "system role not supported",
    "roles must alternate",
    "only user and assistant",
    "does not support 'system'",
)
"""The words of templates in use, which vLLM hands on, and of OpenAI's for its first reasoning models."""

_NO_FORMS = ("structured", "regex", "grammar", "guided")
"""Words with which a server refuses to keep replies to a form: vLLM without a tokenizer, a backend that
cannot compile the form, a gateway that knows no such field."""
