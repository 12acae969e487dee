"""Tells wrong settings from the failure of a single call."""

import asyncio

from models.errors.kinds import AT_STARTUP, Failure
from models.routing.circuit_breaker import MIN_SAMPLES


class StartupCheck:
    """The first calls of a role to an endpoint, until one of them has a reply.

    A failure that may come from the settings (`AT_STARTUP`) does so when the first few calls all end with it.
    Failures are often faster than replies, so nothing is decided until all calls that were in flight when the
    first one failed have ended.
    """

    def __init__(self) -> None:
        self._has_replied = False
        self._last = self._waits_for = 0
        self._in_flight: dict[object, int] = {}
        self._failed: set[object] = set()
        self._news = asyncio.Event()

    def call_started(self, call: object) -> None:
        """Note that a call is about to be sent, for the first time or as a retry."""
        if call not in self._in_flight:
            self._last += 1
            self._in_flight[call] = self._last

    def call_ended(self, call: object) -> None:
        """Note that a call is no longer in flight."""
        self._in_flight.pop(call, None)
        self._news.set()
        self._news.clear()

    def reply_received(self) -> None:
        """Note that a call had a reply: the settings are right."""
        self._has_replied = True
        self._news.set()
        self._news.clear()

    def shows_wrong_settings(self, failure: Failure, call: object, sample: str) -> bool:
        """Whether this failure, with those before it, comes from the settings."""
        if self._has_replied or failure.kind not in AT_STARTUP:
            return False
        self._waits_for = self._waits_for or self._last
        self.call_ended(call)
        # What is retried counts with each attempt, otherwise a sample counts once.
        self._failed.add(sample if failure.remedy == "abandon call" else object())
        return len(self._failed) >= MIN_SAMPLES and not self._is_open

    async def decided(self) -> None:
        """Wait until it is known whether the calls that started with a failed one fail too."""
        while self._is_open:
            await self._news.wait()

    @property
    def _is_open(self) -> bool:
        return not self._has_replied and any(n <= self._waits_for for n in self._in_flight.values())
