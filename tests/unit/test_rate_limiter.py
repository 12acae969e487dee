"""The rate limiter: limits that are given, and limits that refusals teach, in simulated time."""

import asyncio
import random
from bisect import bisect_left

import pytest

from models.limits.rate_limiter import ConcurrencyPool, RateLimiter
from tests.clock import simulate


class Server:
    """A server that admits `rate` calls a second or `slots` at a time, or refuses some by chance."""

    def __init__(
        self, latency: float, rate: float = 0, slots: int = 0, chance: float = 0, spread: float = 0
    ) -> None:
        self.admitted: list[float] = []
        self.refused: list[float] = []
        self._latency, self._rate, self._slots, self._chance = latency, rate, slots, chance
        self._spread = spread
        self._tokens, self._at, self._working = rate, 0.0, 0
        self._random = random.Random(1)

    def _admits(self, now: float) -> bool:
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._chance:
            return self._random.random() >= self._chance
        if self._slots:
            return self._working < self._slots
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def work(self, limiter: RateLimiter, concurrency: int, seconds: float, tokens: float = 0) -> None:
        """Make calls without end, each retried until it is admitted."""
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            while loop.time() < seconds:
                attempts = 0
                while True:
                    permit = await limiter.acquire(tokens, retry=attempts > 0)
                    attempts += 1
                    await asyncio.sleep(0.01)
                    if self._admits(loop.time()):
                        break
                    self.refused.append(loop.time())
                    limiter.release(permit, tokens=0, refused=True)
                    await asyncio.sleep(min(60, 2 ** (attempts - 1)) * self._random.uniform(0.5, 1))
                self.admitted.append(loop.time())
                self._working += 1
                await asyncio.sleep(self._latency * self._random.lognormvariate(0, self._spread))
                self._working -= 1
                limiter.release(permit, tokens=tokens)

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    def between(self, start: float, end: float) -> tuple[float, float]:
        """Return the calls admitted a second, and the share refused."""
        admitted = sum(start <= at < end for at in self.admitted)
        refused = sum(start <= at < end for at in self.refused)
        return admitted / (end - start), refused / max(1, admitted + refused)


@pytest.mark.parametrize(
    ("rate", "latency", "spread", "concurrency"),
    [
        (2, 0.5, 0, 64),
        (5, 5, 0.8, 64),
        (10, 0.1, 0, 32),
        (10, 5, 0, 256),
        (20, 0.1, 0, 64),
        (20, 2, 0.8, 64),
        (50, 0.1, 0.8, 64),
        (100, 0.05, 0, 64),
        (100, 0.3, 0.8, 256),
    ],
)
def test_an_unannounced_rate_limit_is_found_and_used(
    rate: float, latency: float, spread: float, concurrency: int
) -> None:
    async def work() -> None:
        server = Server(latency, rate=rate, spread=spread)
        await server.work(ConcurrencyPool(concurrency).limiter(), concurrency, 300)
        used, refused = server.between(30, 300)
        assert used >= 0.9 * rate
        assert refused < 0.05

    simulate(work())


def test_an_unannounced_limit_on_calls_in_flight_is_found() -> None:
    async def work() -> None:
        server = Server(0.3, slots=8)
        await server.work(ConcurrencyPool(64).limiter(), 64, 300)
        used, refused = server.between(30, 300)
        assert used >= 0.85 * 8 / 0.31
        assert refused < 0.05

    simulate(work())


def test_random_refusals_do_not_bring_a_run_to_a_halt() -> None:
    async def work() -> None:
        server = Server(1.0, chance=0.08)
        await server.work(ConcurrencyPool(64).limiter(), 64, 600)
        used, _ = server.between(300, 600)
        assert used > 25

    simulate(work())


@pytest.mark.parametrize("rpm", [30, 600, 3000])
def test_rpm_holds_over_any_minute(rpm: float) -> None:
    async def work() -> None:
        server = Server(0.2, chance=1e-9)
        await server.work(ConcurrencyPool(64).limiter(rpm=rpm), 64, 300)
        starts = sorted(server.admitted)
        for first, start in enumerate(starts):
            if start < 240:
                within = bisect_left(starts, start + 60) - first
                assert 0.98 * rpm - 1 <= within <= 1.02 * rpm + 1

    simulate(work())


def test_tpm_holds_over_any_minute() -> None:
    async def work() -> None:
        server = Server(0.2, chance=1e-9)
        await server.work(ConcurrencyPool(64).limiter(tpm=60_000), 64, 300, tokens=250)
        for start in range(0, 240, 5):
            used, _ = server.between(start, start + 60)
            assert 0.97 * 60_000 <= used * 60 * 250 <= 1.02 * 60_000

    simulate(work())


def test_calls_are_admitted_in_order_and_retries_first() -> None:
    async def work() -> None:
        limiter, order = ConcurrencyPool(1).limiter(), []

        async def one(name: str, retry: bool) -> None:
            permit = await limiter.acquire(0, retry=retry)
            order.append(name)
            await asyncio.sleep(1)
            limiter.release(permit, tokens=0)

        names = [("a", False), ("b", False), ("c", False), ("retry", True)]
        await asyncio.gather(*(one(*name) for name in names))
        assert order == ["a", "retry", "b", "c"]

    simulate(work())


def test_a_throttled_endpoint_holds_up_no_other() -> None:
    async def work() -> None:
        pool = ConcurrencyPool(8)
        slow, quick = pool.limiter(rpm=0.5), pool.limiter()
        server = Server(0.1, chance=1e-9)
        waiting = [asyncio.create_task(slow.acquire(0)) for _ in range(50)]
        await server.work(quick, 16, 60)
        # One call to the slow endpoint is in flight to the end, its others are not.
        assert len(server.admitted) > 60 * 7 / 0.11 * 0.8
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    simulate(work())
