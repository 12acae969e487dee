"""Whether an endpoint lives, as its calls tell.

It is down when nobody can be reached there, when many attempts in a row are lost, or when it refuses calls
for a reason that would stop a run. It is up again with the first sign of life in a call that was made since.
"""

import time
from dataclasses import dataclass

from models.failures import (
    BAD_REPLY,
    CONNECTION_LOST,
    OVERLOADED,
    SERVER_ERROR,
    TIMEOUT,
    UNREACHABLE,
    Diagnosis,
)

KNOCK = 10.0
"""Seconds between two attempts to find out whether an endpoint that is down is up again."""

LOST_IN_A_ROW = 8
"""Attempts that are lost in a row at an endpoint that is down though it can be reached: a server that hangs,
a gateway with nobody behind it. Where three calls in ten fail, one row in 15,000 is such."""

BUSY = 30.0
"""Seconds for which an endpoint may say that it is overloaded, and do nothing else, before that counts too: a
full queue says so, and so does a gateway with nobody behind it."""

_LOST = (CONNECTION_LOST, TIMEOUT, SERVER_ERROR, BAD_REPLY, OVERLOADED)


@dataclass(frozen=True, slots=True)
class Outage:
    """An endpoint that is down: its name, why, and since when (Unix time)."""

    name: str
    reason: str
    since: float


class Health:
    """The health of one endpoint. Times are the event loop's."""

    def __init__(self) -> None:
        self.has_answered = False
        self.silent_since: float | None = None
        """Since when nobody could be reached; None where somebody could."""
        self.down = ""
        """Why it is down, in a word or two; empty where it is not."""
        self.down_at = 0.0
        """Since when it is down, in Unix time."""
        self._down_since = self._lost_since = self._knock_at = 0.0
        self._lost = 0

    def heard(self, failure: Diagnosis | None, started: float, now: float) -> None:
        """What came of an attempt that started then."""
        if failure and failure.meaning is UNREACHABLE:
            self.silent_since = now if self.silent_since is None else self.silent_since
            self._fell(failure, now)
            return
        self.silent_since = None
        if failure and failure.remedy == "stop run":
            self._fell(failure, now)
        elif failure and failure.meaning in _LOST:
            self._lost_since = self._lost_since if self._lost else now
            self._lost += 1
            is_busy = failure.meaning is OVERLOADED and now < self._lost_since + BUSY
            if self.down or (self._lost >= LOST_IN_A_ROW and not is_busy):
                self._fell(failure, now)
        # A server that is shut down takes no new calls while it finishes those it has.
        elif not self.down or started >= self._down_since:
            self._lost, self.down = 0, ""

    def knocked(self, now: float) -> bool:
        """Whether it is down and to be tried once more; if so, not again for a while."""
        if not self.down or now < self._knock_at:
            return False
        self._knock_at = now + KNOCK
        return True

    def _fell(self, failure: Diagnosis, now: float) -> None:
        if not self.down:
            self._down_since, self.down_at = now, time.time()
        self.down = failure.meaning.name
        self._knock_at = now + KNOCK
