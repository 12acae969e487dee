"""Settings of a stand-in server, the same in Python and on the command line."""

from dataclasses import dataclass

from standin.faults import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """How the server behaves."""

    faults: tuple[Fault, ...] = ()
    """Faults to inject; a request meets the first one that matches."""
    latency: float = 0.0
    """Seconds per reply; the median if `latency_sigma` is set."""
    latency_sigma: float = 0.0
    """Sigma of a lognormal latency distribution, drawn from the request's content."""
    requests_per_second: float | None = None
    """Limit per provider, 429 without Retry-After above it; vLLM has no rate limits."""
    tokens_per_minute: int | None = None
    """Limit per provider; a request counts as its prompt or its reply limit, whichever is larger."""
    slots: int | None = None
    """Requests each provider processes at once; the rest wait in order of arrival."""
    max_queued: int | None = None
    """Requests running and waiting at vLLM, 503 above it."""
    context: int | None = None
    """Context length of every model, in tokens."""
    wins: float = 0.6
    """Share of comparisons that the draft wins."""
    points: int = 0
    """Maximum points a debater makes, one per line, since real debaters write more than the stand-in does."""
    vllm_key: str = ""
    """Key that vLLM requires; empty accepts any."""
    token_life: float = 2_592_000.0
    """Lifetime of a Wenxin access token, in seconds."""
    keep: bool = True
    """Whether to keep requests in memory for `StandIn.requests`."""
    log: str = ""
    """File to append one JSON line per request to."""
