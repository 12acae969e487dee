"""How fast an endpoint is asked: how many calls are in flight, and how quickly they follow one another.

Each endpoint has a lane. Calls enter it in the order in which they came, those that are tried again first.
A lane is held by the run's `--rpm` and `--tpm`, by a pause that the server asked for, by the queue that is
seen there (`models.limits.vllm_queue`), and by what the server's refusals (429, 503) taught. A refusal may mean that
calls come too fast or that too many are in flight, and the server seldom says which; so it lowers both
limits, and each grows again while it is the one that holds calls back (additive increase, multiplicative
decrease).

Over servers that take 2 to 100 calls a second and need 0.05 to 5 seconds for one, which tests/test_gateway.py
simulates, a run uses more than 90 % of that after the first half minute, with fewer than 5 % of its calls
refused.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from math import inf

CUT = 0.9
"""What a refusal leaves of both limits. A server with a fixed rate is then used to 95 % on average."""

CUT_EVERY = 6.0
"""Seconds between two such cuts. In this time the limits grow back by about as much."""

FASTEST = 4
"""Where nothing is refused for longer than that, the limits were cut too far: their growth doubles with each
such time, so often at most."""

DEEP_SHARE, DEEP_CUT, DEEP_EVERY, DEEP_CALLS = 0.25, 0.5, 1.0, 8
"""Where more than this share of the calls since the last cut was refused, and there were enough of them to
tell, the limits are far too high: they are cut by that share, at most to the half, every second."""

IN_VAIN, LEFT_ALONE = 0.6, 60.0
"""Where the limits have come down to this share and as much is refused as before, the refusals have nothing
to do with this run's speed (a gateway's other users, say): they go back up for so many seconds."""

GROWTH, CLOSING = 0.01, 0.1
"""Growth in a second: this share of the limit, and this share of the way to where it was last refused."""

LEAST_GROWTH = 0.03
"""Growth in a second at least, in calls (or calls a second), so that a limit comes up from the bottom."""

EVENLY = 1.25
"""Calls enter a lowered window at no more than so many times the speed that fills it: else they would come in
waves, each faster than a server with a fixed rate takes them, and with nothing in between."""

LATENESS = 0.05
"""Seconds by which a timer may be late without a loss of speed."""

LONG_PAUSE = 5.0
"""A server that asks for a wait of this many seconds is taken at its word for all calls; a shorter one means
the refused call alone, since the limits already follow."""


@dataclass(slots=True, eq=False)
class Flight:
    """A call's stay in its lane: when it started, and the tokens it was counted with."""

    started: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a lane's calls wait: how many, for what, and until when (Unix-like loop time), where known."""

    calls: int
    reason: str
    until: float | None = None


class Traffic:
    """The calls in flight of a whole run, in lanes. Belongs to one event loop.

    Args:
        concurrency: the most calls in flight, over all lanes.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.free = concurrency
        self._lanes: list[Lane] = []

    def lane(self, rpm: float | None = None, tpm: float | None = None) -> "Lane":
        """A new lane, with caps on calls and tokens a minute."""
        lane = Lane(self, rpm, tpm)
        self._lanes.append(lane)
        return lane

    def freed(self) -> None:
        """A place has become free: the lanes that wait for one take turns."""
        self.free += 1
        for _ in range(len(self._lanes)):
            if not self.free:
                break
            lane = self._lanes.pop(0)
            self._lanes.append(lane)
            lane.advance()


class Lane:
    """The calls to one endpoint."""

    def __init__(self, traffic: Traffic, rpm: float | None, tpm: float | None) -> None:
        self._traffic = traffic
        self._queue: deque[tuple[asyncio.Future[Flight], float]] = deque()
        self._flights: set[Flight] = set()
        self._window = _Limit(traffic.concurrency)
        self._rate = _Limit(inf)
        self._allowed = inf
        self._paced = _Pacer()
        self._requests = _Pacer(rpm / 60 if rpm else inf)
        self._tokens = _Pacer(tpm / 60 if tpm else inf)
        self._rpm, self._tpm = rpm, tpm
        self._paused_until = -inf
        self._holding: _Limit | None = None
        self._reason = ""
        self._until: float | None = None
        self._looked = -inf
        self._started, self._refused = _Lately(), _Lately()
        self._cut_at = -inf
        self._since_cut = self._refused_since_cut = 0
        self._let_in, self._let_in_at = 0, -inf
        self._latency: float | None = None
        self._descent: _Descent | None = None
        self._left_alone_until = -inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return len(self._flights)

    async def enter(self, tokens: float, *, again: bool = False) -> Flight:
        """Wait for a place in flight. A call that is tried `again` goes before those that are new."""
        waiter: asyncio.Future[Flight] = asyncio.get_running_loop().create_future()
        if again:
            self._queue.appendleft((waiter, tokens))
        else:
            self._queue.append((waiter, tokens))
        self.advance()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.leave(waiter.result(), tokens=0)
            raise

    def leave(
        self, flight: Flight, *, tokens: float, refused: bool = False, wait: float | None = None
    ) -> None:
        """A call is no longer in flight: how many tokens it took, and whether the server wants fewer calls.

        `wait` is how long the server asked to wait, in seconds.
        """
        now = asyncio.get_running_loop().time()
        self._tokens.charge(tokens - flight.tokens)
        if refused:
            self._slow_down(flight, now)
            if wait and wait >= LONG_PAUSE:
                self._paused_until = max(self._paused_until, now + wait)
        else:
            took = now - flight.started
            self._latency = took if self._latency is None else self._latency + 0.05 * (took - self._latency)
        self._flights.remove(flight)
        self._traffic.freed()
        self.advance()

    @property
    def is_full(self) -> bool:
        """Whether calls wait here because of what `allow` set."""
        return self.in_flight >= self._allowed and any(not waiter.done() for waiter, _ in self._queue)

    def allow(self, most: float) -> None:
        """The most calls in flight, at least one, as who looks at the endpoint has it (`models.limits.vllm_queue`)."""
        self._allowed = max(1.0, most)
        if self._queue:
            self.advance()

    def stop(self, reason: Exception) -> None:
        """Send away every call that waits."""
        while self._queue:
            waiter, _ = self._queue.popleft()
            if not waiter.done():
                waiter.set_exception(reason)

    def held(self) -> Hold | None:
        """What the calls at the entrance wait for; None where it is only a place in flight."""
        waiting = sum(not waiter.done() for waiter, _ in self._queue)
        return Hold(waiting, self._reason, self._until) if waiting and self._reason else None

    def advance(self) -> None:
        """Let in whatever may go now, and see to it that the next one is let in on time."""
        now = asyncio.get_running_loop().time()
        if self._holding:
            doubled = min(FASTEST, max(0.0, (now - self._refused.last) / CUT_EVERY - 1))
            self._holding.grow((now - self._looked) * 2**doubled)
        self._looked, self._holding, self._reason, self._until = now, None, "", None
        while self._queue:
            waiter, tokens = self._queue[0]
            if waiter.done():  # its task was cancelled
                self._queue.popleft()
                continue
            if not self._traffic.free:
                return
            if self._paused_until > now:
                self._hold("throttled", self._paused_until)
                return
            if self.in_flight >= self._allowed:
                self._reason = "slowed down"
                return
            if self.in_flight >= max(1.0, self._window.level):
                if self._window.lowered:
                    self._holding, self._reason = self._window, "slowed down"
                return
            pacer, reason = max(
                (self._paced, "slowed down"),
                (self._requests, f"--rpm {self._rpm:g}" if self._rpm else ""),
                (self._tokens, f"--tpm {self._tpm:g}" if self._tpm else ""),
                key=lambda held: held[0].free_at,
            )
            if pacer.free_at > now:
                if pacer is self._paced:
                    self._holding = self._rate if self._rate.level <= self._even else self._window
                self._hold(reason, pacer.free_at)
                return
            self._queue.popleft()
            waiter.set_result(self._start(now, tokens))

    @property
    def _even(self) -> float:
        """The most calls a second that enter the window."""
        if not self._latency or not self._window.lowered:
            return inf
        return EVENLY * max(1.0, self._window.level) / self._latency

    def _start(self, now: float, tokens: float) -> Flight:
        self._paced.rate = min(self._rate.level, self._even)
        self._paced.take(now, 1)
        self._requests.take(now, 1)
        self._tokens.take(now, tokens)
        self._started.add(now)
        self._since_cut += 1
        self._traffic.free -= 1
        flight = Flight(now, tokens)
        self._flights.add(flight)
        return flight

    def _hold(self, reason: str, until: float) -> None:
        self._reason, self._until = reason, until
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(until, self.advance)

    def _slow_down(self, flight: Flight, now: float) -> None:
        self._refused.add(now)
        if flight.started < self._cut_at:
            return  # it was under way when the limits were cut, and says nothing of the new ones
        self._refused_since_cut += 1
        share = self._refused_since_cut / max(1, self._since_cut)
        quiet = now - self._cut_at
        deep = share > DEEP_SHARE and self._since_cut >= DEEP_CALLS
        if quiet < (DEEP_EVERY if deep else CUT_EVERY):
            return
        span = min(CUT_EVERY, max(1.0, now - self._started.first))
        speed = self._started.count(now) / span
        if deep:
            self._descent = None
        elif now < self._left_alone_until:
            return
        elif self._descent and self._descent.in_vain(share, speed):
            self._rate.level, self._window.level = self._descent.rate, self._descent.window
            self._descent = None
            self._left_alone_until = now + LEFT_ALONE
            return
        # A cut leaves less than what was let in lately: above that there would only be more refusals.
        self._rate.cut(max(1 / span, speed - self._refused.count(now) / span), CUT)
        # What is there for longer than this refusal took has been let in: so many are not too many.
        let_in = sum(other.started < flight.started for other in self._flights)
        if let_in >= self._let_in or now > self._let_in_at + LEFT_ALONE:
            self._let_in, self._let_in_at = let_in, now
        if deep or self.in_flight > self._let_in:
            left = max(DEEP_CUT, 1 - share) if deep else CUT
            self._window.cut(float(self.in_flight), left, least=CUT * let_in)
        if self._cut_at > -inf and (not self._descent or speed >= self._descent.speed):
            self._descent = _Descent(share, speed, self._rate.level, self._window.level)
        self._cut_at = now
        self._since_cut = self._refused_since_cut = 0


class _Limit:
    """A limit that refusals lower, and that grows again."""

    def __init__(self, most: float) -> None:
        self.level = self._most = float(most)
        self._refused_at = float(most)

    @property
    def lowered(self) -> bool:
        return self.level < self._most

    def cut(self, now_at: float, left: float, least: float = 0.0) -> None:
        # A limit above what is done holds nothing back.
        self._refused_at = min(now_at, self.level)
        self.level = max(least, self._refused_at * left)

    def grow(self, seconds: float) -> None:
        if self.lowered:
            distance = max(0.0, self._refused_at - self.level)
            growth = max(LEAST_GROWTH, GROWTH * self.level) + CLOSING * distance
            self.level = min(self._most, self.level + seconds * growth)


class _Lately:
    """When something happened in the last `CUT_EVERY` seconds; `first` and `last` are those of all time."""

    def __init__(self) -> None:
        self.first, self.last = inf, -inf
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        self.first, self.last = min(self.first, now), now
        self._times.append(now)
        self.count(now)

    def count(self, now: float) -> int:
        while self._times and self._times[0] < now - CUT_EVERY:
            self._times.popleft()
        return len(self._times)


@dataclass(frozen=True, slots=True)
class _Descent:
    """A row of cuts: the share of refusals at its first one, the calls a second before it, and the limits it
    left."""

    share: float
    speed: float
    rate: float
    window: float

    def in_vain(self, share: float, speed: float) -> bool:
        return speed <= IN_VAIN * self.speed and share >= self.share / 2


class _Pacer:
    """Spaces things out evenly: `rate` a second, and no more in any span of time."""

    def __init__(self, rate: float = inf) -> None:
        self.rate = rate
        self.free_at = -inf

    def take(self, now: float, amount: float) -> None:
        if self.rate < inf:
            self.free_at = max(self.free_at, now - LATENESS) + amount / self.rate

    def charge(self, amount: float) -> None:
        """Correct what was taken before."""
        if self.rate < inf and self.free_at > -inf:
            self.free_at += amount / self.rate
