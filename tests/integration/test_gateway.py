"""How fast the gateway asks an endpoint, over HTTP. In simulated time: `tests/unit/test_rate_limiter.py`."""

import asyncio
import itertools
import time

from models.errors.exceptions import RunStopped
from models.policy import GatewayPolicy
from models.settings import Limits
from standin import StandIn
from tests.gateways import call, gateway_to, sped_up, until

SPEED_UP = 8
"""How many times faster limits follow refusals here than by default."""

SPED_UP = GatewayPolicy(first_wait=1 / SPEED_UP, max_wait=60 / SPEED_UP, rate=sped_up(SPEED_UP))


async def rate_used(
    rate: float, latency: float, seconds: float, *, after: float, policy: GatewayPolicy
) -> tuple[float, float]:
    """Return the used share of a server's rate limit after some seconds, and the share of refused calls."""
    with StandIn(requests_per_second=rate, latency=latency) as server:
        async with gateway_to(server, policy=policy) as client:
            numbers = itertools.count()
            ends = time.monotonic() + seconds

            async def worker() -> None:
                while time.monotonic() < ends:
                    (reply,) = await client.ask(call(next(numbers)))
                    assert isinstance(reply, str), reply

            workers = [asyncio.create_task(worker()) for _ in range(64)]
            await asyncio.sleep(seconds)
            requests = server.chats()
            client.gateway.stop(RunStopped("enough"))
            await asyncio.gather(*workers, return_exceptions=True)
    late = [request for request in requests if request.arrived > requests[0].arrived + after]
    admitted = sum(request.status != 429 for request in late)
    return admitted / rate / (late[-1].arrived - requests[0].arrived - after), 1 - admitted / len(late)


async def test_a_server_with_a_rate_limit_is_used_up_to_it() -> None:
    used, refused = await rate_used(
        10 * SPEED_UP, 0.3 / SPEED_UP, 52 / SPEED_UP, after=30 / SPEED_UP, policy=SPED_UP
    )
    assert used >= 0.9
    assert refused < 0.05


async def test_concurrency_alone_bounds_the_calls_in_flight() -> None:
    with StandIn(latency=0.5) as server:
        async with gateway_to(server, limits=Limits(concurrency=150)) as client:
            asked = asyncio.create_task(client.ask(*map(call, range(200))))
            await until(lambda: client.gateway.in_flight == 150)
            assert await asked
        first = sorted(request.arrived for request in server.chats())
        done = min(request.finished or 0 for request in server.chats())
        assert sum(arrived < done for arrived in first) == 150


async def test_refusals_lower_the_speed_and_no_call_is_lost() -> None:
    with StandIn(requests_per_second=40 * SPEED_UP) as server:
        async with gateway_to(server, policy=SPED_UP) as client:
            replies = await client.ask(*map(call, range(400 * 2)))
        assert all(isinstance(reply, str) for reply in replies)
        # At full speed nine in ten would be refused; after the first burst few are.
        after = server.chats()[128:]
        assert sum(request.status == 429 for request in after) <= 0.3 * len(after)


async def test_rpm_spaces_calls_out() -> None:
    with StandIn() as server:
        async with gateway_to(server, limits=Limits(rpm=2400)) as client:
            began = time.time()
            await client.ask(*map(call, range(30)))
        assert max(request.arrived for request in server.chats()) - began >= 29 / 40 * 0.9


async def test_calls_that_wait_for_rpm_are_reported_and_can_be_stopped() -> None:
    with StandIn() as server:
        async with gateway_to(server, limits=Limits(rpm=6)) as client:
            asked = asyncio.create_task(client.ask(*map(call, range(10))))
            await until(lambda: [(w.calls, w.reason) for w in client.gateway.waiting()] == [(9, "--rpm 6")])
            client.gateway.stop(RunStopped("enough"))
            replies = await asked
        assert [isinstance(reply, str) for reply in replies] == [True] + [False] * 9
