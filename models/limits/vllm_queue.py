"""Keeps a vLLM server busy with a short queue.

vLLM refuses no request: what its batch has no room for waits there. So the sign to slow down is that queue,
which the server reports at `/metrics`. While calls are in flight it is polled every second, and the calls in
flight are capped at

    those the server works on + a short queue

A queue of an eighth of the batch is short: it delays no call by more than about an eighth, and is more than
what finishes in the time a reply takes to get here and the next call to get there, so the batch stays full.
Only the server knows how large a batch its memory allows, and that changes with the length of the texts.
While the queue is shorter than that, the cap grows by the difference, so a batch with nothing behind it is
found within seconds: from 32 calls to 1,000 in 30.

- The cap is lowered for a standing queue, the shortest of the last three polls: what a burst leaves (the
  start of a run, for instance) is gone by then.
- It is raised only where it holds calls back.
- The server may have other users. Of the queue, this run's part is its share of all requests there, so a
  queue that is not its own costs it little.

Where `/metrics` cannot be read (a gateway hides it), the time that replies take is the sign: since calls
differ in length, the time for each token of a reply, over as many calls as were in flight. Up to the size of
a batch that time grows slowly, beyond it in proportion to the calls in flight. So the cap grows by an eighth
while a token takes less than twice the best time seen, and otherwise comes down in proportion.

By time alone it cannot see a queue that was there before the run, or one shorter than the initial cap.
"""

import asyncio
import re
from collections import deque
from math import inf, isfinite

import httpx2

from models.addresses import server_address
from models.limits.rate_limiter import RateLimiter
from models.providers.http_client import NO_RESPONSE
from models.settings import Endpoint

POLL_TIMEOUT = 5.0
"""Seconds to wait for the page."""

INITIAL_CAP = 32
"""Calls in flight before the first poll: few servers have a smaller batch, and the cap soon grows."""

QUEUE_SHARE = 1 / 8
"""The length of a short queue, as a share of the batch."""

MIN_QUEUE = 8
"""The least length of a short queue: calls of a kind are about as long, and several finish together."""

STANDING_POLLS = 3
"""Polls in a row that must see a queue before it counts as standing."""

SLOWDOWN_LIMIT = 2.0
"""How many times longer than at best a token may take before a queue is blamed: a larger batch makes it
longer too, mostly by less than that."""

_GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{[^}\n]*\})? (\S+)", re.MULTILINE)


class VllmQueueControl:
    """Caps the calls in flight to one vLLM server by its queue. Belongs to one event loop.

    `poll_interval` is in seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: str,
        client: httpx2.AsyncClient,
        limiter: RateLimiter,
        poll_interval: float,
    ) -> None:
        self._url = server_address(endpoint.base_url or "", "/metrics")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = client
        self._limiter = limiter
        self._poll_interval = poll_interval
        self._polling: asyncio.Task[None] | None = None
        self._queues: deque[float] = deque(maxlen=STANDING_POLLS)
        self._by_latency = _LatencyControl(limiter)
        self._has_metrics: bool | None = None
        limiter.cap_in_flight(INITIAL_CAP)

    @property
    def sign(self) -> str:
        """Why calls are held back, for users."""
        if self._has_metrics is False:
            return f"a token takes {self._by_latency.slowdown:.1f} times as long as at best"
        return f"{self._queues[-1]:.0f} waiting there" if self._queues else "none waiting there yet"

    def start_polling(self) -> None:
        """Poll the server for as long as calls are in flight."""
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_while_busy())

    async def close(self) -> None:
        """Stop polling."""
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    def reply_received(self, seconds: float, tokens: int) -> None:
        """Note how long a reply of so many tokens took."""
        if self._has_metrics is False:
            self._by_latency.reply_received(seconds, tokens)

    async def _poll_while_busy(self) -> None:
        while True:
            await asyncio.sleep(self._poll_interval)
            if not self._limiter.in_flight:
                self._queues.clear()
                return
            if seen := await self._poll():
                self._has_metrics = True
                self._adjust(*seen)
            elif not self._has_metrics:  # a server that had them before is only slow to answer
                self._has_metrics = False

    async def _poll(self) -> tuple[float, float] | None:
        """Return the requests the server works on and those that wait; None where it does not report them."""
        try:
            page = await self._client.get(self._url, headers=self._headers, timeout=POLL_TIMEOUT)
        except NO_RESPONSE:
            return None
        # Each engine of a server has a line of its own.
        found = _GAUGE.findall(page.text) if page.is_success else []
        if not found:
            return None
        try:
            running, waiting = (
                sum(float(number) for name, number in found if name == wanted)
                for wanted in ("running", "waiting")
            )
        except ValueError:
            return None
        return (running, waiting) if isfinite(running + waiting) else None

    def _adjust(self, running: float, waiting: float) -> None:
        self._queues.append(waiting)
        in_flight, short = self._limiter.in_flight, max(MIN_QUEUE, QUEUE_SHARE * running) * self._limiter.part
        ours = min(1.0, in_flight / max(running + waiting, 1.0))
        standing = min(self._queues) if len(self._queues) == STANDING_POLLS else 0.0
        if ours * standing > short:
            self._limiter.cap_in_flight(in_flight - ours * standing + short)
        elif ours * waiting < short and self._limiter.is_held_by_queue:
            self._limiter.cap_in_flight(in_flight - ours * waiting + short)


class _LatencyControl:
    """The same by the time that replies take, for servers without metrics."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._seconds = 0.0
        self._tokens = self._calls = 0
        self._best = inf
        self.slowdown = 1.0

    def reply_received(self, seconds: float, tokens: int) -> None:
        self._seconds += seconds
        self._tokens += max(1, tokens)
        self._calls += 1
        if self._calls < max(INITIAL_CAP, self._limiter.in_flight):
            return
        pace = self._seconds / self._tokens
        self._best = min(self._best, pace)
        self.slowdown = pace / self._best
        if self.slowdown > SLOWDOWN_LIMIT:
            self._limiter.cap_in_flight(
                max(INITIAL_CAP, self._limiter.in_flight * SLOWDOWN_LIMIT / self.slowdown)
            )
        elif self._limiter.is_held_by_queue:
            self._limiter.cap_in_flight(self._limiter.in_flight * (1 + QUEUE_SHARE))
        self._seconds, self._tokens, self._calls = 0.0, 0, 0
