"""Notices endpoints that do not keep to lengths: replies beyond their limit, prompts that were cut off."""

from collections.abc import Callable

from models.attempt import Attempt
from models.providers.parameters import reply_limit
from models.settings import Endpoint, ModelSettings, Role
from samples.tokens import fewest_tokens


class ReplyLimits:
    """Notices endpoints that ignore the limit on replies."""

    TOLERANCE = 1.25
    """A reply that is so many times as long as its limit shows that the limit was ignored: providers count
    differently, but not that much."""

    def __init__(self, settings: ModelSettings, notify: Callable[[str], None]) -> None:
        self._limits = {role: reply_limit(settings.endpoint(role), role, settings) for role in settings.roles}
        self._notify = notify
        self._reported: set[Endpoint] = set()

    def check(self, attempt: Attempt, role: Role, endpoint: Endpoint) -> None:
        """Report an endpoint, once, if this reply is too long."""
        length, limit = attempt.output_tokens or 0, self._limits[role]
        ignored = endpoint.provider == "rehearsal" or endpoint in self._reported
        if ignored or limit is None or length <= self.TOLERANCE * limit:
            return
        self._reported.add(endpoint)
        self._notify(
            f"{endpoint.model} at {endpoint.shown_url} ignores the limit on replies: it sent one of "
            f"{length:,} tokens, and the limit is {limit:,}. Pass the limit in a field that this server "
            "knows, with --extra-body"
        )


class PromptLengths:
    """Notices endpoints that cut off prompts and answer what is left, as Ollama does beyond its context."""

    TOLERANCE = 0.75
    """A count below so many times the fewest tokens that the prompt can have shows that it was cut."""

    LEAST_COUNT = 16
    """A server that reports fewer tokens does not count them."""

    BYTES = 7
    """A prompt with no more bytes to each token that was counted is whole."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._most: dict[Endpoint, int] = {}
        self._reported: set[Endpoint] = set()

    def check(self, attempt: Attempt, endpoint: Endpoint) -> None:
        """Report an endpoint, once, if it counted far fewer tokens than it was sent.

        Where it counts no cached tokens, it counted as many as these in an earlier call.
        """
        count = (attempt.input_tokens or 0) + (attempt.cached_tokens or 0)
        ignored = endpoint.provider == "rehearsal" or endpoint in self._reported
        if ignored or count < self.LEAST_COUNT:
            return
        most = self._most[endpoint] = max(count, self._most.get(endpoint, 0))
        texts = [message["content"] for message in attempt.messages]
        size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts)
        if size <= self.BYTES * most or most >= (fewest := sum(map(fewest_tokens, texts))) * self.TOLERANCE:
            return
        self._reported.add(endpoint)
        self._notify(
            f"{endpoint.model} at {endpoint.shown_url} seems to cut off long prompts: it counted {count:,} "
            f"tokens in one that has at least {fewest:,}. Give the server a larger context (num_ctx at "
            "Ollama), or pass the one it has as --max-input-tokens"
        )
