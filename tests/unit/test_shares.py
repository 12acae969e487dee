"""How samples, places in flight, rates and replicas are divided among workers."""

import asyncio

import pytest

from models.limits.rate_limiter import ConcurrencyPool
from runners.shares import FEWEST, SUSPECTS, Homes, choose, divide, trusted
from tests.clock import simulate


def test_places_are_divided_by_samples_and_none_is_lost() -> None:
    assert divide(10, [0, 0]) == [0, 0]
    assert divide(10, [5, 5]) == [5, 5]
    assert divide(10, [1, 0, 1]) == [5, 0, 5]
    assert divide(64, [3, 3, 1]) == [28, 27, 9]
    for loads in ([1, 2, 3, 4], [7, 7, 7], [1, 30, 1]):
        parts = divide(sum(loads), loads)
        assert parts == loads
        assert sum(divide(97, loads)) == 97 and min(divide(97, loads)) >= 1


def test_a_worker_has_enough_samples_to_tell_before_another_one_gets_any() -> None:
    loads = [0, 0, 0]
    for _ in range(2 * FEWEST + 2):
        number = choose(loads, most=16)
        assert number is not None
        loads[number] += 1
    assert sorted(loads) == [2, FEWEST, FEWEST]
    assert choose([16, 9, 12], most=16) == 1
    assert choose([4, 4], most=4) is None and choose([], most=4) is None


def test_where_all_may_be_refused_one_worker_finds_out() -> None:
    assert trusted([2] * 5, [3] * 5) is None  # too few to suspect it
    assert trusted([2] * 6, [2, 3, 2, 3, 4, 3]) == 4
    assert trusted([2, 2, 0], [SUSPECTS, 1, 0]) == 0
    assert trusted([2, 2], [SUSPECTS, 0]) is None  # the other one has replies
    assert trusted([], []) is None


def test_replicas_have_as_many_samples_each_whatever_finishes_first() -> None:
    homes = Homes([3, 1])
    taken = [homes.take() for _ in range(6)]
    assert [first for first, _ in taken] == [0, 1, 2, 0, 1, 2]
    homes.leave(taken[1])
    homes.leave(taken[4])
    assert [homes.take()[0] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("tokens", [False, True])
def test_rates_hold_for_all_parts_together_while_they_change(tokens: bool) -> None:
    async def work() -> None:
        loop, admitted = asyncio.get_running_loop(), list[float]()
        rpm, tpm = (None, 60_000.0) if tokens else (600.0, None)
        pools = [ConcurrencyPool(40) for _ in range(4)]
        limiters = [pool.limiter(rpm, tpm) for pool in pools]

        async def calls(number: int) -> None:
            while loop.time() < 60:
                permit = await limiters[number].acquire(100)
                admitted.append(loop.time())
                await asyncio.sleep(1)
                limiters[number].release(permit, tokens=100)

        async def divided_again() -> None:
            for loads in ([1, 0, 0, 0], [5, 5, 5, 5], [1, 30, 1, 2], [0, 0, 7, 1], [3, 4, 3, 4]) * 3:
                for pool, places in zip(pools, divide(40, loads), strict=True):
                    pool.resize(places)
                await asyncio.sleep(4)

        changing = asyncio.create_task(divided_again())
        await asyncio.sleep(0)
        working = [asyncio.create_task(calls(number % 4)) for number in range(80)]
        await changing
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        assert 0.95 * 600 <= sum(at <= 60 for at in admitted) <= 1.05 * 600

    simulate(work())


def test_a_smaller_part_admits_nothing_until_enough_calls_have_ended() -> None:
    async def work() -> None:
        pool = ConcurrencyPool(4)
        limiter = pool.limiter()
        permits = [await limiter.acquire(0) for _ in range(4)]
        waiting = asyncio.create_task(limiter.acquire(0))
        pool.resize(2)
        for permit in permits[:2]:
            limiter.release(permit, tokens=0)
            await asyncio.sleep(0)
            assert not waiting.done()
        limiter.release(permits[2], tokens=0)
        limiter.release(await waiting, tokens=0)
        assert pool.in_flight == 1 and pool.free == 1

    simulate(work())
