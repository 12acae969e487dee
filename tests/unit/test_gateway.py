"""The door's speed: how fast an endpoint is asked, under limits that it tells and limits it does not.

Where minutes pass, they pass on a clock of the event loop's own, so that they take no time.
"""

import asyncio
import itertools
import random
import time
from bisect import bisect_left

import pytest

from models.errors.exceptions import RunStopped
from models.limits.rate_limiter import ConcurrencyPool, RateLimiter
from standin import StandIn
from tests.clock import on_a_clock
from tests.gateways import asking, call, until

# --- over HTTP


async def test_concurrency_bounds_the_calls_in_flight_and_nothing_else_does() -> None:
    with StandIn(latency=0.5) as server:
        async with asking(server, concurrency=150) as to:
            asked = asyncio.create_task(to.ask(*map(call, range(200))))
            await until(lambda: to.door.in_flight == 150)
            assert await asked
        first = sorted(request.arrived for request in server.chats())
        done = min(request.finished or 0 for request in server.chats())
        assert sum(arrived < done for arrived in first) == 150


async def test_refusals_lower_the_speed_and_no_call_is_lost() -> None:
    with StandIn(requests_per_second=40) as server:
        async with asking(server) as to:
            replies = await to.ask(*map(call, range(400)))
        assert all(isinstance(reply, str) for reply in replies)
        # Sent as fast as they come, nine in ten would be refused; what follows the first burst is not.
        after = server.chats()[128:]
        assert sum(request.status == 429 for request in after) <= 0.3 * len(after)


async def used(rate: float, latency: float, seconds: float) -> tuple[float, float]:
    """What share of a server's calls a second is used after half a minute, and what share is refused."""
    with StandIn(requests_per_second=rate, latency=latency) as server:
        async with asking(server) as to:
            numbers = itertools.count()
            ends = time.monotonic() + seconds

            async def worker() -> None:
                while time.monotonic() < ends:
                    (reply,) = await to.ask(call(next(numbers)))
                    assert isinstance(reply, str), reply

            workers = [asyncio.create_task(worker()) for _ in range(64)]
            await asyncio.sleep(seconds)
            asked = server.chats()
            to.door.stop(RunStopped("enough"))
            await asyncio.gather(*workers, return_exceptions=True)
    late = [request for request in asked if request.arrived > asked[0].arrived + 30]
    admitted = sum(request.status != 429 for request in late)
    return admitted / rate / (late[-1].arrived - asked[0].arrived - 30), 1 - admitted / len(late)


async def test_a_server_that_refuses_above_its_rate_is_used_up_to_it() -> None:
    use, refused = await used(10, 0.3, 52)
    assert use >= 0.9
    assert refused < 0.05


@pytest.mark.long
@pytest.mark.parametrize("servers", [[(3, 0.1), (5, 2), (10, 4)], [(20, 0.5)], [(40, 1)]])
async def test_servers_of_many_rates_are_used_up_to_them(servers: list[tuple[float, float]]) -> None:
    found = await asyncio.gather(*(used(rate, latency, 120) for rate, latency in servers))
    assert all(use >= 0.9 and refused < 0.05 for use, refused in found), found


async def test_a_cap_on_calls_a_minute_spaces_them_out() -> None:
    with StandIn() as server:
        async with asking(server, rpm=1200) as to:
            began = time.time()
            await to.ask(*map(call, range(30)))
        assert max(request.arrived for request in server.chats()) - began >= 29 / 20 * 0.9


async def test_calls_that_wait_for_a_cap_are_seen_and_leave_when_told() -> None:
    with StandIn() as server:
        async with asking(server, rpm=6) as to:
            asked = asyncio.create_task(to.ask(*map(call, range(10))))
            await until(lambda: [(w.calls, w.reason) for w in to.door.waiting()] == [(9, "--rpm 6")])
            to.door.stop(RunStopped("enough"))
            replies = await asked
        assert [isinstance(reply, str) for reply in replies] == [True] + [False] * 9


# --- on a clock of its own


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

    async def work(self, lane: RateLimiter, concurrency: int, seconds: float, tokens: float = 0) -> None:
        """Calls without end, each tried again until it is admitted."""
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            while loop.time() < seconds:
                attempts = 0
                while True:
                    flight = await lane.enter(tokens, again=attempts > 0)
                    attempts += 1
                    await asyncio.sleep(0.01)
                    if self._admits(loop.time()):
                        break
                    self.refused.append(loop.time())
                    lane.leave(flight, tokens=0, refused=True)
                    await asyncio.sleep(min(60, 2 ** (attempts - 1)) * self._random.uniform(0.5, 1))
                self.admitted.append(loop.time())
                self._working += 1
                await asyncio.sleep(self._latency * self._random.lognormvariate(0, self._spread))
                self._working -= 1
                lane.leave(flight, tokens=tokens)

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    def between(self, start: float, end: float) -> tuple[float, float]:
        """Calls admitted a second, and the share refused."""
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
def test_a_rate_that_a_server_keeps_to_itself_is_found_and_used(
    rate: float, latency: float, spread: float, concurrency: int
) -> None:
    async def work() -> None:
        server = Server(latency, rate=rate, spread=spread)
        await server.work(ConcurrencyPool(concurrency).lane(), concurrency, 300)
        used, refused = server.between(30, 300)
        assert used >= 0.9 * rate
        assert refused < 0.05

    on_a_clock(work())


def test_a_number_of_calls_that_a_server_works_on_is_found() -> None:
    async def work() -> None:
        server = Server(0.3, slots=8)
        await server.work(ConcurrencyPool(64).lane(), 64, 300)
        used, refused = server.between(30, 300)
        assert used >= 0.85 * 8 / 0.31
        assert refused < 0.05

    on_a_clock(work())


def test_refusals_by_chance_do_not_bring_a_run_to_a_halt() -> None:
    async def work() -> None:
        server = Server(1.0, chance=0.08)
        await server.work(ConcurrencyPool(64).lane(), 64, 600)
        used, _ = server.between(300, 600)
        assert used > 25

    on_a_clock(work())


@pytest.mark.parametrize("rpm", [30, 600, 3000])
def test_calls_a_minute_are_held_over_any_minute(rpm: float) -> None:
    async def work() -> None:
        server = Server(0.2, chance=1e-9)
        await server.work(ConcurrencyPool(64).lane(rpm=rpm), 64, 300)
        starts = sorted(server.admitted)
        for first, start in enumerate(starts):
            if start < 240:
                within = bisect_left(starts, start + 60) - first
                assert 0.98 * rpm - 1 <= within <= 1.02 * rpm + 1

    on_a_clock(work())


def test_tokens_a_minute_are_held_over_any_minute() -> None:
    async def work() -> None:
        server = Server(0.2, chance=1e-9)
        await server.work(ConcurrencyPool(64).lane(tpm=60_000), 64, 300, tokens=250)
        for start in range(0, 240, 5):
            used, _ = server.between(start, start + 60)
            assert 0.97 * 60_000 <= used * 60 * 250 <= 1.02 * 60_000

    on_a_clock(work())


def test_calls_are_let_in_in_order_and_those_tried_again_first() -> None:
    async def work() -> None:
        lane, order = ConcurrencyPool(1).lane(), []

        async def one(name: str, again: bool) -> None:
            flight = await lane.enter(0, again=again)
            order.append(name)
            await asyncio.sleep(1)
            lane.leave(flight, tokens=0)

        names = [("a", False), ("b", False), ("c", False), ("again", True)]
        await asyncio.gather(*(one(*name) for name in names))
        assert order == ["a", "again", "b", "c"]

    on_a_clock(work())


def test_a_throttled_endpoint_holds_up_no_other() -> None:
    async def work() -> None:
        traffic = ConcurrencyPool(8)
        slow, quick = traffic.lane(rpm=0.5), traffic.lane()
        server = Server(0.1, chance=1e-9)
        waiting = [asyncio.create_task(slow.enter(0)) for _ in range(50)]
        await server.work(quick, 16, 60)
        # One call of the slow lane is in flight to the end, its others are not.
        assert len(server.admitted) > 60 * 7 / 0.11 * 0.8
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    on_a_clock(work())
