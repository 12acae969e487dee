"""Whether an endpoint lives, as its calls tell.

It is down when nobody can be reached there, when many attempts in a row are lost, or when it refuses calls
for a reason that would stop a run. It is up again with the first sign of life in a call that was made since.

Two things tell a failure of the endpoint, or of what it is asked for, from one of a single call: the first
calls of all all end so (`Debut`), or nothing else comes from it any more (`Health.fruitless_since`).
"""

import asyncio
import time
from dataclasses import dataclass

from models.errors.kinds import (
    BAD_REPLY,
    CONNECTION_LOST,
    NEVER_RIGHT,
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

FEW = 5
"""Samples whose calls fail, with no reply to any other, are enough to say that it is not for their texts."""

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
        self._fruitless: set[str] = set()
        self._fruitless_since = 0.0

    @property
    def fruitless_since(self) -> float | None:
        """Since when calls of several samples came to nothing that may pass, and no other came to more."""
        return self._fruitless_since if len(self._fruitless) >= FEW else None

    def heard(self, failure: Diagnosis | None, sample: str, started: float, now: float) -> None:
        """What came of an attempt that started then, at a call of this sample."""
        # A server that is shut down takes no new calls while it finishes those it has.
        is_news = not self.down or started >= self._down_since
        if failure and failure.remedy in ("retry", "slow down"):
            self._fruitless_since = self._fruitless_since if self._fruitless else now
            self._fruitless.add(sample)
        elif is_news:
            self._fruitless.clear()
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
        elif is_news:
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


class Debut:
    """The first calls of a role to an endpoint, until one of them has a reply.

    A failure that comes of the settings (`NEVER_RIGHT`) is told from one of the call's own by its fellows: it
    is of the settings when the first few all ended so. Failures are often quicker than replies, so nothing is
    said before all calls that were under way when the first one failed have come to something.
    """

    def __init__(self) -> None:
        self._has_answered = False
        self._last = self._waits_for = 0
        self._under_way: dict[object, int] = {}
        self._failed: set[object] = set()
        self._news = asyncio.Event()

    def begins(self, call: object) -> None:
        """A call is about to be sent, for the first time or once more."""
        if call not in self._under_way:
            self._last += 1
            self._under_way[call] = self._last

    def left(self, call: object) -> None:
        """A call is not under way any more."""
        self._under_way.pop(call, None)
        self._news.set()
        self._news.clear()

    def answered(self) -> None:
        """There was a reply."""
        self._has_answered = True
        self._news.set()
        self._news.clear()

    def is_mistake(self, failure: Diagnosis, call: object, sample: str) -> bool:
        """Whether a failure is one of the settings."""
        if self._has_answered or failure.meaning not in NEVER_RIGHT:
            return False
        self._waits_for = self._waits_for or self._last
        self.left(call)
        # What is tried again counts with each attempt, else a sample counts once.
        self._failed.add(sample if failure.remedy == "give up call" else object())
        return len(self._failed) >= FEW and not self._is_open

    async def judged(self) -> None:
        """Wait until it is known whether a call that failed has fellows."""
        while self._is_open:
            await self._news.wait()

    @property
    def _is_open(self) -> bool:
        return not self._has_answered and any(n <= self._waits_for for n in self._under_way.values())
