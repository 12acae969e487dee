"""Tells from the calls to an endpoint whether it is up.

It is down when it cannot be reached, when many attempts in a row are lost, or when it refuses calls for a
reason that would stop a run. It is up again with the first sign of life in a call that was made since.
"""

import time
from dataclasses import dataclass

from models.errors.kinds import (
    BAD_REPLY,
    CONNECTION_LOST,
    OVERLOADED,
    SERVER_ERROR,
    TIMEOUT,
    UNREACHABLE,
    Failure,
)

LOST_IN_A_ROW = 8
"""Attempts lost in a row at an endpoint that is reachable and yet down: a server that hangs, a gateway with
nothing behind it. Where three calls in ten fail, one row in 15,000 is such."""

OVERLOAD_GRACE = 30.0
"""Seconds for which an endpoint may do nothing but report overload before that counts too: a full queue does
so, and so does a gateway with nothing behind it."""

MIN_SAMPLES = 5
"""Samples whose calls fail, with no reply to any other, that are enough to say their texts are not the
cause."""

_LOST = (CONNECTION_LOST, TIMEOUT, SERVER_ERROR, BAD_REPLY, OVERLOADED)


@dataclass(frozen=True, slots=True)
class Outage:
    """An endpoint that is down."""

    name: str
    reason: str
    since: float
    """Unix time."""


class CircuitBreaker:
    """The health of one endpoint. Times are the event loop's unless stated otherwise."""

    def __init__(self, probe_interval: float) -> None:
        self.has_replied = False
        self.unreachable_since: float | None = None
        self.reason = ""
        """The key of the failure that it is down with; empty while it is up."""
        self.down_since = 0.0
        """Unix time."""
        self._probe_interval = probe_interval
        self._opened_at = self._lost_since = self._probe_at = 0.0
        self._lost = 0
        self._failing: set[str] = set()
        self._failing_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the endpoint is down."""
        return bool(self.reason)

    @property
    def failing_since(self) -> float | None:
        """Since when calls of several samples failed in ways that may pass, and no call succeeded."""
        return self._failing_since if len(self._failing) >= MIN_SAMPLES else None

    def record(self, failure: Failure | None, sample: str, started: float, now: float) -> None:
        """Note the outcome of an attempt, started then, at a call of this sample."""
        # A server that shuts down takes no new calls while it finishes those it has.
        is_news = not self.is_open or started >= self._opened_at
        if failure and failure.may_pass:
            self._failing_since = self._failing_since if self._failing else now
            self._failing.add(sample)
        elif is_news:
            self._failing.clear()
        if failure and failure.kind is UNREACHABLE:
            self.unreachable_since = now if self.unreachable_since is None else self.unreachable_since
            self._open(failure, now)
            return
        self.unreachable_since = None
        if failure and failure.remedy == "stop run":
            self._open(failure, now)
        elif failure and failure.kind in _LOST:
            self._lost_since = self._lost_since if self._lost else now
            self._lost += 1
            in_grace = failure.kind is OVERLOADED and now < self._lost_since + OVERLOAD_GRACE
            if self.is_open or (self._lost >= LOST_IN_A_ROW and not in_grace):
                self._open(failure, now)
        elif is_news:
            self._lost, self.reason = 0, ""

    def should_probe(self, now: float) -> bool:
        """Whether it is down and due for another try; if so, not again for a while."""
        if not self.is_open or now < self._probe_at:
            return False
        self._probe_at = now + self._probe_interval
        return True

    def _open(self, failure: Failure, now: float) -> None:
        if not self.is_open:
            self._opened_at, self.down_since = now, time.time()
        self.reason = failure.kind.key
        self._probe_at = now + self._probe_interval
