"""How patient the gateway is: retries, waits and time limits, in seconds unless stated otherwise."""

from dataclasses import dataclass, field

from models.limits.rate_limiter import RatePolicy


@dataclass(frozen=True, slots=True)
class GatewayPolicy:
    """Tuning of the gateway. The defaults suit every provider; tests pass shorter times."""

    max_attempts: int = 12
    """Attempts at one call. If three in ten fail, one call in two million fails this often; with the waits
    between them (1, 2, 4 … 60 seconds) they last six minutes, long enough for a server to restart."""
    max_call_seconds: float = 1800.0
    """Time for all attempts at one call and the waits between them, except waits the server asked for (where
    a service tier has no room those too): all attempts at the default timeout."""
    first_wait: float = 1.0
    """Wait before the second attempt; it doubles with each further one."""
    max_wait: float = 60.0
    """The longest wait before an attempt, unless the server asks for a longer one."""
    first_contact_attempts: int = 3
    """Attempts to reach an endpoint that has never replied: a wrong address shows within seconds."""
    outage_patience: float = 300.0
    """How long an endpoint that did reply may be unreachable, or fail every call, before the run stops.
    Restarting a server with a large model takes minutes."""
    probe_interval: float = 10.0
    """Time between two attempts to find out whether an endpoint that is down is up again."""
    queue_poll_interval: float = 1.0
    """Time between two looks at a vLLM server's queue. A call takes several seconds; the page costs the
    server a few milliseconds."""
    context_poll_interval: float = 30.0
    """Time until a server that did not report its context length is asked again: it may have been
    starting."""
    lease_seconds: float = 30.0
    """How long a worker of a run with several may be silent before its samples go to others, without time for
    which the run itself stands still. A worker that does not hear from its run for a tenth of that (or three
    quarters of a shorter one) starts no call. Reading a large prompt takes less than a second."""
    rate: RatePolicy = field(default_factory=RatePolicy)
