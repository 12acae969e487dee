"""How fast an endpoint is asked: how many calls are in flight, and how quickly they follow one another.

Each endpoint has a rate limiter. Calls enter in the order in which they came, retries first. Calls are held
back by the run's `--rpm` and `--tpm`, by a pause the server asked for, by the queue seen there
(`models.limits.vllm_queue`), and by what the server's refusals (429, 503) taught. A refusal may mean that
calls come too fast or that too many are in flight, and servers seldom say which; so it lowers both limits,
and each grows again while it is the one that holds calls back (additive increase, multiplicative decrease).

Over servers that take 2 to 100 calls a second and need 0.05 to 5 seconds for one, simulated in
tests/unit/test_rate_limiter.py, a run uses more than 90 % of the server after the first half minute, with
fewer than 5 % of its calls refused.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How the limits follow a server's refusals."""

    decrease_factor: float = 0.9
    """What a refusal leaves of both limits. A server with a fixed rate is then used to 95 % on average."""
    cooldown_seconds: float = 6.0
    """Time between two decreases, in which the limits grow back by about as much."""
    max_growth_doublings: int = 4
    """Where nothing is refused for longer than a cooldown, the limits were cut too far: with each such time
    their growth doubles, this often at most."""
    burst_refused_share: float = 0.25
    """Where more than this share of the calls since the last decrease was refused, the limits are far too
    high: they are cut by that share."""
    burst_decrease_factor: float = 0.5
    """The least that such a cut leaves."""
    burst_cooldown_seconds: float = 1.0
    burst_min_calls: int = 8
    """Calls since the last decrease that are enough to tell."""
    futile_share: float = 0.6
    """Where the limits have come down to this share and as much is refused as before, the refusals have
    another cause (other users of a gateway, say): the limits go back up."""
    futile_pause_seconds: float = 60.0
    """How long refusals are then ignored."""
    growth_share: float = 0.01
    """Growth a second, as a share of the limit."""
    recovery_share: float = 0.1
    """Growth a second, as a share of the way back to where the limit was last refused."""
    min_growth: float = 0.03
    """The least growth a second, in calls (or calls a second), so that a limit can leave the bottom."""
    evenness: float = 1.25
    """Calls enter a lowered window at no more than this multiple of the speed that fills it: otherwise they
    would come in waves, each faster than a server with a fixed rate accepts."""
    timer_slack_seconds: float = 0.05
    """How late a timer may be without a loss of speed."""
    long_pause_seconds: float = 5.0
    """A server that asks for a wait of this length pauses all calls; a shorter one means the refused call
    alone, since the limits already follow."""


@dataclass(slots=True, eq=False)
class Permit:
    """The permission of one call to be in flight."""

    started: float
    tokens: float
    """What it was counted with."""


@dataclass(frozen=True, slots=True)
class WaitReason:
    """Calls that wait, and for what."""

    calls: int
    reason: str
    until: float | None
    """Unix time, where known."""


class ConcurrencyPool:
    """The places in flight of a whole run, or of a part of it, shared by its rate limiters. Belongs to one
    event loop."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.free = concurrency
        """Below 0 after `resize`, until calls have ended."""
        self._of_run = concurrency
        self._limiters: list[RateLimiter] = []

    @property
    def in_flight(self) -> int:
        """Places that are taken."""
        return self.concurrency - self.free

    def resize(self, places: int) -> None:
        """Set how many places of the run's are here; all limits on rates are the same part of the run's."""
        self.free += places - self.concurrency
        self.concurrency = places
        for limiter in self._limiters:
            limiter.resize(places / self._of_run)

    def limiter(
        self, rpm: float | None = None, tpm: float | None = None, policy: RatePolicy | None = None
    ) -> "RateLimiter":
        """Add a rate limiter with caps on calls and tokens a minute."""
        limiter = RateLimiter(self, rpm, tpm, policy or RatePolicy())
        self._limiters.append(limiter)
        return limiter

    def release(self) -> None:
        """Free a place: the limiters that wait for one take turns."""
        self.free += 1
        for _ in range(len(self._limiters)):
            if self.free <= 0:
                break
            limiter = self._limiters.pop(0)
            self._limiters.append(limiter)
            limiter.advance()


class RateLimiter:
    """Admits the calls to one endpoint."""

    def __init__(
        self, pool: ConcurrencyPool, rpm: float | None, tpm: float | None, policy: RatePolicy
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._queue: deque[tuple[asyncio.Future[Permit], float]] = deque()
        self._permits: set[Permit] = set()
        self._window = _AdaptiveLimit(pool.concurrency, policy)
        self._rate = _AdaptiveLimit(inf, policy)
        self._queue_cap = inf
        self._pacer = _Pacer(policy)
        self._requests = _Pacer(policy, rpm / 60 if rpm else inf)
        self._tokens = _Pacer(policy, tpm / 60 if tpm else inf)
        self._rpm, self._tpm = rpm, tpm
        self.part = 1.0
        """Of the run's limits, the part that is kept here."""
        self._paused_until = -inf
        self._holding: _AdaptiveLimit | None = None
        self._reason = ""
        self._until: float | None = None
        self._advanced_at = -inf
        self._started = _RecentEvents(policy.cooldown_seconds)
        self._refused = _RecentEvents(policy.cooldown_seconds)
        self._cut_at = -inf
        self._since_cut = self._refused_since_cut = 0
        self._admitted, self._admitted_at = 0, -inf
        self._latency: float | None = None
        self._series: _CutSeries | None = None
        self._ignore_until = -inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Calls that hold a permit."""
        return len(self._permits)

    async def acquire(self, tokens: float, *, retry: bool = False) -> Permit:
        """Wait for a permit. A retry goes before new calls."""
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        if retry:
            self._queue.appendleft((waiter, tokens))
        else:
            self._queue.append((waiter, tokens))
        self.advance()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(waiter.result(), tokens=0)
            raise

    def release(
        self, permit: Permit, *, tokens: float, refused: bool = False, wait: float | None = None
    ) -> None:
        """Return a permit: how many tokens the call took, and whether the server wants fewer calls.

        `wait` is how many seconds the server asked to wait.
        """
        now = asyncio.get_running_loop().time()
        self._tokens.correct(tokens - permit.tokens)
        if refused:
            self._slow_down(permit, now)
            if wait and wait >= self._policy.long_pause_seconds:
                self._paused_until = max(self._paused_until, now + wait)
        else:
            took = now - permit.started
            self._latency = took if self._latency is None else self._latency + 0.05 * (took - self._latency)
        self._permits.remove(permit)
        self._pool.release()
        self.advance()

    def resize(self, part: float) -> None:
        """Set which part of the run's limits is kept here; with none, nothing is admitted."""
        if part:
            now, times = asyncio.get_running_loop().time(), part / self.part
            for pacer in (self._requests, self._tokens):
                pacer.speed_up(times, now)
            for learned in (self._rate, self._window):
                learned.scale(times)
            self._queue_cap = max(1.0, self._queue_cap * times)
            self.part = part
        self.advance()

    @property
    def is_held_by_queue(self) -> bool:
        """Whether calls wait because of `cap_in_flight`."""
        return self.in_flight >= self._queue_cap and any(not waiter.done() for waiter, _ in self._queue)

    def cap_in_flight(self, most: float) -> None:
        """Set the most calls in flight, at least one, from outside (`models.limits.vllm_queue`)."""
        self._queue_cap = max(1.0, most)
        if self._queue:
            self.advance()

    def stop(self, reason: Exception) -> None:
        """Send away every waiting call with an exception."""
        while self._queue:
            waiter, _ = self._queue.popleft()
            if not waiter.done():
                waiter.set_exception(reason)

    def waiting(self) -> WaitReason | None:
        """What the queued calls wait for; None where it is only a place in flight."""
        calls = sum(not waiter.done() for waiter, _ in self._queue)
        if not calls or not self._reason:
            return None
        now = asyncio.get_running_loop().time()
        until = None if self._until is None else time.time() + self._until - now
        return WaitReason(calls, self._reason, until)

    def advance(self) -> None:
        """Admit whatever may go now, and schedule the next look."""
        now = asyncio.get_running_loop().time()
        if self._holding:
            quiet = (now - self._refused.last) / self._policy.cooldown_seconds
            doublings = min(self._policy.max_growth_doublings, max(0.0, quiet - 1))
            self._holding.grow((now - self._advanced_at) * 2**doublings, self.part)
        self._advanced_at, self._holding, self._reason, self._until = now, None, "", None
        while self._queue:
            waiter, tokens = self._queue[0]
            if waiter.done():  # its task was cancelled
                self._queue.popleft()
                continue
            if self._pool.free <= 0:
                return
            if self._paused_until > now:
                self._hold("throttled", self._paused_until)
                return
            if self.in_flight >= self._queue_cap:
                self._reason = "slowed down"
                return
            if self.in_flight >= max(1.0, self._window.level):
                if self._window.lowered:
                    self._holding, self._reason = self._window, "slowed down"
                return
            pacer, reason = max(
                (self._pacer, "slowed down"),
                (self._requests, f"--rpm {self._rpm:g}" if self._rpm else ""),
                (self._tokens, f"--tpm {self._tpm:g}" if self._tpm else ""),
                key=lambda held: held[0].free_at,
            )
            if pacer.free_at > now:
                if pacer is self._pacer:
                    self._holding = self._rate if self._rate.level <= self._even_rate else self._window
                self._hold(reason, pacer.free_at)
                return
            self._queue.popleft()
            waiter.set_result(self._admit(now, tokens))

    @property
    def _even_rate(self) -> float:
        """The most calls a second that enter the window."""
        if not self._latency or not self._window.lowered:
            return inf
        return self._policy.evenness * max(1.0, self._window.level) / self._latency

    def _admit(self, now: float, tokens: float) -> Permit:
        self._pacer.rate = min(self._rate.level, self._even_rate)
        self._pacer.take(now, 1)
        self._requests.take(now, 1)
        self._tokens.take(now, tokens)
        self._started.add(now)
        self._since_cut += 1
        self._pool.free -= 1
        permit = Permit(now, tokens)
        self._permits.add(permit)
        return permit

    def _hold(self, reason: str, until: float) -> None:
        self._reason, self._until = reason, until
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(until, self.advance)

    def _slow_down(self, permit: Permit, now: float) -> None:
        policy = self._policy
        self._refused.add(now)
        if permit.started < self._cut_at:
            return  # it was in flight when the limits were cut, and says nothing about the new ones
        self._refused_since_cut += 1
        share = self._refused_since_cut / max(1, self._since_cut)
        quiet = now - self._cut_at
        burst = share > policy.burst_refused_share and self._since_cut >= policy.burst_min_calls
        if quiet < (policy.burst_cooldown_seconds if burst else policy.cooldown_seconds):
            return
        span = min(policy.cooldown_seconds, max(1.0, now - self._started.first))
        speed = self._started.count(now) / span
        if burst:
            self._series = None
        elif now < self._ignore_until:
            return
        elif self._series and self._series.is_futile(share, speed, policy):
            self._rate.level, self._window.level = self._series.rate, self._series.window
            self._series = None
            self._ignore_until = now + policy.futile_pause_seconds
            return
        # A cut leaves less than was admitted lately: above that there would only be more refusals.
        self._rate.cut(max(1 / span, speed - self._refused.count(now) / span), policy.decrease_factor)
        # Calls in flight for longer than this refusal took have been accepted: so many are not too many.
        admitted = sum(other.started < permit.started for other in self._permits)
        if admitted >= self._admitted or now > self._admitted_at + policy.futile_pause_seconds:
            self._admitted, self._admitted_at = admitted, now
        if burst or self.in_flight > self._admitted:
            left = max(policy.burst_decrease_factor, 1 - share) if burst else policy.decrease_factor
            self._window.cut(float(self.in_flight), left, least=policy.decrease_factor * admitted)
        if self._cut_at > -inf and (not self._series or speed >= self._series.speed):
            self._series = _CutSeries(share, speed, self._rate.level, self._window.level)
        self._cut_at = now
        self._since_cut = self._refused_since_cut = 0


class _AdaptiveLimit:
    """A limit that refusals lower and that grows again."""

    def __init__(self, most: float, policy: RatePolicy) -> None:
        self.level = self._most = float(most)
        self._refused_at = float(most)
        self._policy = policy

    @property
    def lowered(self) -> bool:
        return self.level < self._most

    def cut(self, now_at: float, left: float, least: float = 0.0) -> None:
        # A limit above current use holds nothing back.
        self._refused_at = min(now_at, self.level)
        self.level = max(least, self._refused_at * left)

    def scale(self, times: float) -> None:
        if self.lowered:
            self.level, self._refused_at = min(self._most, self.level * times), self._refused_at * times

    def grow(self, seconds: float, part: float) -> None:
        if self.lowered:
            policy = self._policy
            distance = max(0.0, self._refused_at - self.level)
            growth = max(part * policy.min_growth, policy.growth_share * self.level)
            growth += policy.recovery_share * distance
            self.level = min(self._most, self.level + seconds * growth)


class _RecentEvents:
    """When something happened in the last `span` seconds; `first` and `last` are of all time."""

    def __init__(self, span: float) -> None:
        self.first, self.last = inf, -inf
        self._span = span
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        self.first, self.last = min(self.first, now), now
        self._times.append(now)
        self.count(now)

    def count(self, now: float) -> int:
        while self._times and self._times[0] < now - self._span:
            self._times.popleft()
        return len(self._times)


@dataclass(frozen=True, slots=True)
class _CutSeries:
    """A series of cuts."""

    share: float
    """Of calls refused at its first cut."""
    speed: float
    """Calls a second before it."""
    rate: float
    window: float

    def is_futile(self, share: float, speed: float, policy: RatePolicy) -> bool:
        return speed <= policy.futile_share * self.speed and share >= self.share / 2


class _Pacer:
    """Spaces calls or tokens evenly: `rate` a second, with no burst."""

    def __init__(self, policy: RatePolicy, rate: float = inf) -> None:
        self.rate = rate
        self.free_at = -inf
        self._slack = policy.timer_slack_seconds

    def speed_up(self, times: float, now: float) -> None:
        self.rate *= times
        if self.free_at > now:
            self.free_at = now + (self.free_at - now) / times

    def take(self, now: float, amount: float) -> None:
        if self.rate < inf:
            self.free_at = max(self.free_at, now - self._slack) + amount / self.rate

    def correct(self, amount: float) -> None:
        """Adjust what was taken before."""
        if self.rate < inf and self.free_at > -inf:
            self.free_at += amount / self.rate
