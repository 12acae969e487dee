"""How much a provider takes: rates that it refuses to go beyond, and slots that requests wait for."""

import asyncio
import time
from typing import Self

from standin.options import Options
from standin.wire import Refused


class Limits:
    """The rate limits of one account, as buckets that fill evenly.

    The bucket of requests holds what one second brings, that of tokens what ten seconds bring; both are full
    at the start. A refused request takes nothing out.
    """

    def __init__(self, options: Options) -> None:
        requests, tokens = options.requests_per_second, options.tokens_per_minute
        self.requests = _Bucket(requests, max(requests, 1)) if requests else None
        self.tokens = _Bucket(tokens / 60, tokens / 6) if tokens else None

    def take(self, tokens: int) -> None:
        """Let a request of so many tokens in. Raises Refused where it is too much."""
        if self.requests and not self.requests.has(1):
            raise Refused("429")
        if self.tokens and not self.tokens.has(tokens):
            raise Refused("tpm")
        if self.requests:
            self.requests.take(1)
        if self.tokens:
            self.tokens.take(tokens)


class _Bucket:
    def __init__(self, a_second: float, most: float) -> None:
        self._a_second, self._most, self.a_minute = a_second, most, a_second * 60
        self.left, self._at = most, time.monotonic()

    def has(self, amount: float) -> bool:
        now = time.monotonic()
        self.left = min(self._most, self.left + (now - self._at) * self._a_second)
        self._at = now
        # What is larger than the bucket passes when it is full, or it never would.
        return self.left >= min(amount, self._most)

    def take(self, amount: float) -> None:
        self.left -= amount


class Queue:
    """The places at which a provider works; whoever finds none free waits in order of arrival."""

    def __init__(self, slots: int | None) -> None:
        self._places = asyncio.Semaphore(slots) if slots else None
        self.running = 0
        self.waiting = 0

    @property
    def length(self) -> int:
        """The requests in work and waiting."""
        return self.running + self.waiting

    async def __aenter__(self) -> Self:
        if self._places:
            self.waiting += 1
            try:
                await self._places.acquire()
            finally:
                self.waiting -= 1
        self.running += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.running -= 1
        if self._places:
            self._places.release()
