"""What is known of an endpoint; shared by the roles that use it."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from models.addresses import shown_address
from models.limits.context_window import ContextWindow
from models.limits.rate_limiter import RateLimiter, WaitReason
from models.limits.vllm_queue import VllmQueueControl
from models.providers.dialect import Dialect
from models.routing.circuit_breaker import CircuitBreaker, Outage
from models.routing.refusal_check import RefusalCheck
from models.settings import Endpoint


class EndpointState:
    """An endpoint's limits and health, and what its replies taught."""

    def __init__(
        self,
        endpoint: Endpoint,
        limiter: RateLimiter,
        context: ContextWindow,
        breaker: CircuitBreaker,
        queue: VllmQueueControl | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.name: str = endpoint.provider
        """For users: the provider, and the address where it has several."""
        self.limiter = limiter
        self.context = context
        self.breaker = breaker
        self.queue = queue
        self.refusals = RefusalCheck()
        self.accepts_system_role = True
        self.accepts_forms = True
        self.dialect = Dialect()
        self.is_trusted = False
        """Whether it replied to another worker of the run."""
        self._retrying: Counter[str] = Counter()
        self._retry_until: dict[str, float] = {}
        self._output_tokens: float | None = None

    def outage(self) -> Outage | None:
        """Return how it is down; None while it is up."""
        breaker = self.breaker
        return Outage(self.name, breaker.reason, breaker.down_since) if breaker.is_open else None

    @contextmanager
    def waiting_to_retry(self, reason: str, seconds: float) -> Iterator[None]:
        """Count a call among those that wait for their next attempt."""
        self._retrying[reason] += 1
        self._retry_until[reason] = max(self._retry_until.get(reason, 0.0), time.time() + seconds)
        try:
            yield
        finally:
            self._retrying[reason] -= 1

    def waiting(self) -> Iterator[WaitReason]:
        """Yield the calls that wait for this endpoint, other than for a place in flight."""
        if held := self.limiter.waiting():
            # A cap is the user's own; everything else is due to the endpoint.
            reason = held.reason if held.reason.startswith("--") else f"{held.reason} by {self.name}"
            if self.queue and self.limiter.is_held_by_queue:
                reason += f": {self.queue.sign}"
            yield WaitReason(held.calls, reason, held.until)
        for kind, calls in self._retrying.items():
            if calls:
                yield WaitReason(calls, f"{kind} at {self.name}", self._retry_until[kind])

    def expected_tokens(self, input_tokens: int, most: int) -> float:
        """Estimate the tokens of a call from those of others; `most` is the limit of its reply."""
        return input_tokens + (most if self._output_tokens is None else self._output_tokens)

    def learn_output(self, tokens: int) -> None:
        """Note how long a reply was."""
        before = self._output_tokens
        self._output_tokens = tokens if before is None else before + 0.05 * (tokens - before)


def tell_apart(states: Sequence[EndpointState]) -> None:
    """Add the address to the names of endpoints whose provider has several."""
    addresses = Counter(
        provider for provider, _ in {(state.endpoint.provider, state.endpoint.base_url) for state in states}
    )
    for state in states:
        provider, url = state.endpoint.provider, state.endpoint.base_url
        if addresses[provider] > 1 and url:
            # Not the whole of it: an address may hold a password.
            at = urlsplit(shown_address(url))
            state.name = f"{provider} {at.hostname}{f':{at.port}' if at.port else ''}"
            state.name += at.path.removesuffix("/v1")
