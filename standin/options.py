"""What can be set of a stand-in, the same in Python and on the command line."""

from dataclasses import dataclass

from standin.faults import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """How the server behaves.

    Args:
        faults: what goes wrong, see `Fault`; the first that hits a request is the one it meets.
        latency: the seconds a reply takes; its median where there is a sigma.
        latency_sigma: the sigma of a lognormal spread, drawn from the request's content.
        requests_per_second: how many requests each provider takes, 429 above, without Retry-After;
            vLLM knows no such limit.
        tokens_per_minute: how many tokens (of the prompt, or the reply's limit where that is larger).
        slots: how many requests each provider works on at a time; the others wait in order of arrival, so
            that latency grows with what waits.
        max_queued: the most requests at vLLM, those in work included; 503 above.
        context: the context length of all models, in tokens.
        wins: the share of comparisons that the draft wins.
        points: the most points that a debater makes, each in a line; real ones speak at greater length than
            the stand-in does by itself.
        vllm_key: the key vLLM was started with; without one it takes any.
        token_life: how long a token of Wenxin's is good for, in seconds.
        keep: whether requests are kept in memory for `StandIn.requests`.
        log: a file to which one line of JSON is written for each request.
    """

    faults: tuple[Fault, ...] = ()
    latency: float = 0.0
    latency_sigma: float = 0.0
    requests_per_second: float | None = None
    tokens_per_minute: int | None = None
    slots: int | None = None
    max_queued: int | None = None
    context: int | None = None
    wins: float = 0.6
    points: int = 0
    vllm_key: str = ""
    token_life: float = 2_592_000.0
    keep: bool = True
    log: str = ""
