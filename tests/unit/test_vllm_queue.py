"""The law by which a vLLM server's queue holds its lane: simulated on a clock of its own, and over HTTP."""

import asyncio
import random
import re
from collections import deque
from typing import Any

import httpx2
import pytest

from models.limits import vllm_queue as pressure
from models.limits.rate_limiter import ConcurrencyPool, RateLimiter
from models.limits.vllm_queue import AT_FIRST, SHORT, SHORTEST, VllmQueueControl
from models.settings import Endpoint
from standin import StandIn
from tests.clock import on_a_clock
from tests.gateways import Asking, asking, call, until

ENDPOINT = Endpoint("vllm", "m", "http://server/v1")


class Server:
    """A server with a batch of so many places, whose calls take longer the fuller it is.

    `queue` keeps what waited at each second, `running` what was worked on. `others` are the requests of
    another client, which keeps as many of them there.
    """

    def __init__(self, batch: int, seconds: float = 4.0, *, others: int = 0, tells: bool = True) -> None:
        self.batch = batch
        self.queue: list[int] = []
        self.running: list[int] = []
        self.ours: list[int] = []
        self._seconds, self._others, self._tells = seconds, others, tells
        self._working = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._random = random.Random(1)

    def metrics(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/metrics"
        if not self._tells:
            return httpx2.Response(404)
        lines = (
            f'vllm:num_requests_{name}{{engine="0",model_name="m"}} {float(number)}'
            for name, number in (("running", self._working), ("waiting", len(self._waiting)))
        )
        return httpx2.Response(200, text="\n".join(lines))

    async def answer(self) -> tuple[float, int]:
        """Work on one call: the seconds it took, and the tokens of its reply."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        await asyncio.sleep(0.01)
        if self._working >= self.batch or self._waiting:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._working += 1
        tokens = int(200 * self._random.lognormvariate(0, 0.8)) + 1
        await asyncio.sleep(self._seconds * tokens / 275 * (0.6 + 0.4 * self._working / self.batch))
        self._working -= 1
        while self._waiting and self._working < self.batch:
            self._working += 1
            self._waiting.popleft().set_result(None)
        await asyncio.sleep(0.01)
        return loop.time() - came, tokens

    async def work(self, concurrency: int, seconds: float) -> RateLimiter:
        """Calls without end from this program, and from the other client."""
        loop = asyncio.get_running_loop()
        lane = ConcurrencyPool(concurrency).lane()
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(self.metrics)) as client:
            watched = VllmQueueControl(ENDPOINT, "none", client, lane)

            async def worker() -> None:
                while True:
                    flight = await lane.enter(0)
                    watched.watch()
                    watched.answered(*await self.answer())
                    lane.leave(flight, tokens=0)

            async def other() -> None:
                while True:
                    await self.answer()

            tasks = [asyncio.create_task(other()) for _ in range(self._others)]
            tasks += [asyncio.create_task(worker()) for _ in range(concurrency)]
            while loop.time() < seconds:
                await asyncio.sleep(1)
                self.queue.append(len(self._waiting))
                self.running.append(self._working)
                self.ours.append(lane.in_flight)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await watched.close()
        return lane


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def short(batch: int) -> float:
    """What the law takes for a short queue."""
    return max(SHORTEST, batch * SHORT)


@pytest.mark.parametrize(
    ("batch", "seconds", "within"),
    [(2, 1, 40), (8, 4, 40), (64, 30, 60), (256, 4, 40), (1000, 10, 60)],
)
def test_the_batch_is_full_and_the_queue_is_short(batch: int, seconds: float, within: int) -> None:
    async def work() -> None:
        server = Server(batch, seconds)
        await server.work(2000, 120)
        assert mean(server.running[within:]) >= 0.98 * batch
        assert mean(server.queue[within:]) <= 1.5 * short(batch)
        assert max(server.queue) <= max(AT_FIRST, 2.5 * short(batch))

    on_a_clock(work())


def test_a_batch_that_shrinks_and_grows_again_is_followed() -> None:
    async def work() -> None:
        server = Server(256)
        loop = asyncio.get_running_loop()
        loop.call_at(60, lambda: setattr(server, "batch", 96))
        loop.call_at(120, lambda: setattr(server, "batch", 256))
        await server.work(2000, 200)
        assert mean(server.queue[80:120]) <= 2 * short(96)
        assert mean(server.running[80:120]) >= 0.98 * 96
        assert mean(server.running[150:]) >= 0.98 * 256
        assert mean(server.queue[150:]) <= 1.5 * short(256)

    on_a_clock(work())


def test_other_users_of_a_server_leave_it_its_share() -> None:
    async def work() -> None:
        server = Server(256, others=1000)
        await server.work(2000, 120)
        # The queue is the others', who get most of the server; what is left is small and lasts.
        assert 24 <= min(server.ours[60:]) <= max(server.ours[60:]) <= 64

    on_a_clock(work())


@pytest.mark.parametrize("batch", [64, 256])
def test_where_the_queue_cannot_be_seen_the_time_that_tokens_take_is_the_sign(batch: int) -> None:
    async def work() -> None:
        server = Server(batch, tells=False)
        await server.work(2000, 400)
        assert mean(server.running[200:]) >= 0.95 * batch
        assert mean(server.queue[200:]) <= 2 * batch

    on_a_clock(work())


# --- over HTTP


async def test_a_large_concurrency_does_not_pile_up_at_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "LOOK_EVERY", 0.1)
    with StandIn(slots=16, latency=0.3) as server:
        queue = server.app.provider("vllm").queue
        seen: list[tuple[int, int]] = []
        async with asking(server, "vllm", concurrency=1000) as to:
            asked = asyncio.create_task(to.ask(*map(call, range(400))))
            await until(lambda: "slowed down by vllm: none waiting there yet" in reasons(to))
            while len(server.chats()) < 350:
                await asyncio.sleep(0.02)
                seen.append((queue.running, queue.waiting))
            assert any(re.fullmatch(r"slowed down by vllm: \d+ waiting there", said) for said in reasons(to))
            assert all(isinstance(reply, str) for reply in await asked)
        settled = seen[len(seen) // 3 :]
        assert mean([running for running, _ in settled]) >= 0.9 * 16
        assert mean([waiting for _, waiting in settled]) <= 2 * SHORTEST
        assert server.app.most_in_work["vllm"] <= 64


async def test_a_gateway_that_hides_the_queue_is_not_asked_for_too_much() -> None:
    # The stand-in's OpenAI has no such page, and a queue all the same; nor are tokens counted.
    with StandIn("no_usage", slots=16, latency=0.1) as server:
        there: dict[str, Any] = {"base_url": server.base_url("openai"), "model": "vllm:gpt-4o-mini"}
        there["keys"] = {"VLLM_API_KEY": server.key("openai")}
        async with asking(server, "vllm", concurrency=1000, **there) as to:
            asked = asyncio.create_task(to.ask(*map(call, range(600))))
            await until(lambda: any("times as long as at best" in said for said in reasons(to)))
            assert all(isinstance(reply, str) for reply in await asked)
        assert AT_FIRST < server.app.most_in_work["openai"] <= 6 * 16


def reasons(to: Asking) -> list[str]:
    return [waiting.reason for waiting in to.door.waiting()]
