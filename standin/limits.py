"""Capacity of a provider: rate limits that reject requests, and slots that requests wait for."""

import asyncio
import time
from typing import Self

from standin.options import Options
from standin.wire import Refused


class Limits:
    """The rate limits of one account, as token buckets.

    The request bucket holds one second's worth, the token bucket ten seconds' worth; both start full.
    A rejected request consumes nothing.
    """

    def __init__(self, options: Options) -> None:
        requests, tokens = options.requests_per_second, options.tokens_per_minute
        self.requests = _Bucket(requests, max(requests, 1)) if requests else None
        self.tokens = _Bucket(tokens / 60, tokens / 6) if tokens else None

    def take(self, tokens: int) -> None:
        """Admit a request of this many tokens. Raises Refused above a limit."""
        if self.requests and not self.requests.has(1):
            raise Refused("429")
        if self.tokens and not self.tokens.has(tokens):
            raise Refused("tpm")
        if self.requests:
            self.requests.take(1)
        if self.tokens:
            self.tokens.take(tokens)


class _Bucket:
    def __init__(self, per_second: float, capacity: float) -> None:
        self._per_second, self._capacity, self.per_minute = per_second, capacity, per_second * 60
        self.left, self._updated = capacity, time.monotonic()

    def has(self, amount: float) -> bool:
        now = time.monotonic()
        self.left = min(self._capacity, self.left + (now - self._updated) * self._per_second)
        self._updated = now
        # A request larger than the bucket passes when it is full; otherwise it never would.
        return self.left >= min(amount, self._capacity)

    def take(self, amount: float) -> None:
        self.left -= amount


class Queue:
    """The slots in which a provider processes requests; requests wait for one in order of arrival."""

    def __init__(self, slots: int | None) -> None:
        self._slots = asyncio.Semaphore(slots) if slots else None
        self.running = 0
        self.waiting = 0

    @property
    def length(self) -> int:
        """The number of requests running and waiting."""
        return self.running + self.waiting

    async def __aenter__(self) -> Self:
        if self._slots:
            self.waiting += 1
            try:
                await self._slots.acquire()
            finally:
                self.waiting -= 1
        self.running += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.running -= 1
        if self._slots:
            self._slots.release()
