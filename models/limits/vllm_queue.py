"""Holds the calls to a vLLM server to what it works on, and a short queue.

vLLM refuses nobody: what its batch has no place for waits there. So the sign to slow down is that queue,
which the server tells at `/metrics`. While calls are in flight it is looked at every second, and the lane's
calls in flight are set to

    those that the server works on + a short queue

A queue of an eighth of the batch is short: it makes no call wait longer by more than about an eighth, and is
more than what ends in the time in which a reply comes here and the next call gets there, so the batch stays
full. The server alone knows how large a batch its memory allows, and it changes with the length of the
texts; as long as the queue is shorter than that, the lane grows by what is missing, so that a batch with
nothing behind it is found out within seconds: from 32 calls to 1,000 in 30.

- The lane is lowered for a queue that stands: the shortest of the last three looks. What a burst leaves, the
  beginning of a run for instance, is gone by then.
- It is raised only where it holds calls back.
- The server may have other users. Of what waits, this run's share is that which it has in all requests
  there, so a queue that is not its own costs it little.

Where `/metrics` cannot be read (a gateway hides it), the time that replies take is the sign. Calls differ in
length, so it is the time for each token of a reply, over as many calls as were in flight. Up to the size of a
batch that time grows slowly, beyond it in proportion to the calls in flight. So the lane grows by an eighth
as long as a token takes less than twice the least time there was, and otherwise comes down in proportion.

What it does not know, by time alone: a queue that was there before the run, and one of fewer calls than the
lane has at first.
"""

import asyncio
import re
from collections import deque
from math import inf

import httpx2

from models.limits.rate_limiter import Lane
from models.settings import Endpoint

LOOK_EVERY = 1.0
"""Seconds between two looks. A call takes several; the page takes the server a few milliseconds."""

LONGEST_LOOK = 5.0
"""Seconds to wait for the page."""

AT_FIRST = 32
"""Calls in flight before the first look: few servers have a smaller batch, and it is soon more."""

SHORT = 1 / 8
"""The length of a short queue, as a share of the batch."""

SHORTEST = 8
"""The length of a short queue at least: calls of a kind are about as long, and several end together."""

STANDS = 3
"""Looks in a row that must see a queue before it counts as standing."""

SLOWER = 2.0
"""How many times longer than at best a token may take before it is put down to a queue: a larger batch makes
it longer too, mostly by less than that."""

_GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{[^}\n]*\})? (\S+)", re.MULTILINE)


class Pressure:
    """What a vLLM server has to do, and what that allows its lane. Belongs to one event loop.

    Args:
        endpoint: the model, and where it is served.
        key: its key.
        client: the HTTP client of the run.
        lane: its lane.
    """

    def __init__(self, endpoint: Endpoint, key: str, client: httpx2.AsyncClient, lane: Lane) -> None:
        self._url = f"{(endpoint.base_url or '').removesuffix('/v1')}/metrics"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = client
        self._lane = lane
        self._looking: asyncio.Task[None] | None = None
        self._queues: deque[float] = deque(maxlen=STANDS)
        self._by_time = _ByTime(lane)
        self._tells: bool | None = None
        lane.allow(AT_FIRST)

    @property
    def sign(self) -> str:
        """What its lane is held back for, in words."""
        if self._tells is False:
            return f"a token takes {self._by_time.slower:.1f} times as long as at best"
        return f"{self._queues[-1]:.0f} waiting there" if self._queues else "none waiting there yet"

    def watch(self) -> None:
        """Look at the server as long as calls are in flight."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no longer."""
        if self._looking:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def answered(self, seconds: float, tokens: int) -> None:
        """How long a reply of so many tokens took."""
        if self._tells is False:
            self._by_time.answered(seconds, tokens)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self._lane.in_flight:
                self._queues.clear()
                return
            if seen := await self._look():
                self._tells = True
                self._adjust(*seen)
            elif not self._tells:  # one that told before is only slow to answer
                self._tells = False

    async def _look(self) -> tuple[float, float] | None:
        """The requests that the server works on, and those that wait; None where it does not tell."""
        try:
            page = await self._client.get(self._url, headers=self._headers, timeout=LONGEST_LOOK)
        except (httpx2.HTTPError, OSError):
            return None
        # Each engine of a server has a line of its own.
        found = _GAUGE.findall(page.text) if page.is_success else []
        if not found:
            return None
        running, waiting = (
            sum(float(number) for name, number in found if name == wanted)
            for wanted in ("running", "waiting")
        )
        return running, waiting

    def _adjust(self, running: float, waiting: float) -> None:
        self._queues.append(waiting)
        in_flight, short = self._lane.in_flight, max(SHORTEST, SHORT * running)
        ours = min(1.0, in_flight / max(running + waiting, 1.0))
        standing = min(self._queues) if len(self._queues) == STANDS else 0.0
        if ours * standing > short:
            self._lane.allow(in_flight - ours * standing + short)
        elif ours * waiting < short and self._lane.is_full:
            self._lane.allow(in_flight - ours * waiting + short)


class _ByTime:
    """The same by the time that replies take, for servers that tell nothing else."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._seconds = 0.0
        self._tokens = self._calls = 0
        self._least = inf
        self.slower = 1.0

    def answered(self, seconds: float, tokens: int) -> None:
        self._seconds += seconds
        self._tokens += max(1, tokens)
        self._calls += 1
        if self._calls < max(AT_FIRST, self._lane.in_flight):
            return
        pace = self._seconds / self._tokens
        self._least = min(self._least, pace)
        self.slower = pace / self._least
        if self.slower > SLOWER:
            self._lane.allow(max(AT_FIRST, self._lane.in_flight * SLOWER / self.slower))
        elif self._lane.is_full:
            self._lane.allow(self._lane.in_flight * (1 + SHORT))
        self._seconds, self._tokens, self._calls = 0.0, 0, 0
