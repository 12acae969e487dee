"""How a vLLM server's queue caps the calls in flight, in simulated time. Over HTTP: `test_vllm_load`."""

import asyncio
import random
from collections import deque

import httpx2
import pytest

from models.limits.rate_limiter import ConcurrencyPool, RateLimiter
from models.limits.vllm_queue import INITIAL_CAP, MIN_QUEUE, QUEUE_SHARE, VllmQueueControl
from models.settings import Endpoint
from tests.clock import simulate

ENDPOINT = Endpoint("vllm", "m", "http://server/v1")


class Server:
    """A server with a batch of limited size, whose calls take longer the fuller it is.

    `others` are the requests that another client keeps there.
    """

    def __init__(
        self, batch: int, seconds: float = 4.0, *, others: int = 0, has_metrics: bool = True
    ) -> None:
        self.batch = batch
        self.queue: list[int] = []
        """The calls that waited, at each second."""
        self.running: list[int] = []
        self.ours: list[int] = []
        self._seconds, self._others, self._has_metrics = seconds, others, has_metrics
        self._working = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._random = random.Random(1)

    def metrics(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/metrics"
        if not self._has_metrics:
            return httpx2.Response(404)
        lines = (
            f'vllm:num_requests_{name}{{engine="0",model_name="m"}} {float(number)}'
            for name, number in (("running", self._working), ("waiting", len(self._waiting)))
        )
        return httpx2.Response(200, text="\n".join(lines))

    async def answer(self) -> tuple[float, int]:
        """Work on one call; return the seconds it took and the tokens of its reply."""
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
        """Serve calls without end, from this program and from the other client."""
        loop = asyncio.get_running_loop()
        limiter = ConcurrencyPool(concurrency).limiter()
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(self.metrics)) as client:
            control = VllmQueueControl(ENDPOINT, "none", client, limiter, poll_interval=1)

            async def worker() -> None:
                while True:
                    permit = await limiter.acquire(0)
                    control.start_polling()
                    control.reply_received(*await self.answer())
                    limiter.release(permit, tokens=0)

            async def other() -> None:
                while True:
                    await self.answer()

            tasks = [asyncio.create_task(other()) for _ in range(self._others)]
            tasks += [asyncio.create_task(worker()) for _ in range(concurrency)]
            while loop.time() < seconds:
                await asyncio.sleep(1)
                self.queue.append(len(self._waiting))
                self.running.append(self._working)
                self.ours.append(limiter.in_flight)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await control.close()
        return limiter


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def short(batch: int) -> float:
    """Return the length of a short queue."""
    return max(MIN_QUEUE, batch * QUEUE_SHARE)


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
        assert max(server.queue) <= max(INITIAL_CAP, 2.5 * short(batch))

    simulate(work())


def test_a_batch_that_shrinks_and_grows_is_followed() -> None:
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

    simulate(work())


def test_other_users_of_a_server_leave_this_run_a_share() -> None:
    async def work() -> None:
        server = Server(256, others=1000)
        await server.work(2000, 120)
        # The queue is the others', who get most of the server; our share is small and steady.
        assert 24 <= min(server.ours[60:]) <= max(server.ours[60:]) <= 64

    simulate(work())


@pytest.mark.parametrize("batch", [64, 256])
def test_without_metrics_the_time_per_token_is_the_sign(batch: int) -> None:
    async def work() -> None:
        server = Server(batch, has_metrics=False)
        await server.work(2000, 400)
        assert mean(server.running[200:]) >= 0.95 * batch
        assert mean(server.queue[200:]) <= 2 * batch

    simulate(work())


@pytest.mark.parametrize("page", ["vllm:num_requests_running many", "vllm:num_requests_waiting NaN", "<p>"])
def test_metrics_that_cannot_be_read_are_none(page: str) -> None:
    async def work() -> None:
        limiter = ConcurrencyPool(4).limiter()
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=page))
        async with httpx2.AsyncClient(transport=transport) as client:
            control = VllmQueueControl(ENDPOINT, "none", client, limiter, poll_interval=1)
            await limiter.acquire(0)
            control.start_polling()
            await asyncio.sleep(2)
            assert control.sign.startswith("a token takes")
            await control.close()

    simulate(work())
