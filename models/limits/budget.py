"""What a run may spend: a call leaves only if its worst case fits next to all that is spent or in flight.

The worst case of a call is its prompt, estimated with a margin, and a reply of the longest length, at the
model's list price (`models.providers.prices`), without cache discounts. When the call is back, what the
provider counted replaces it. Near the limit calls wait for those in flight, which mostly take less than their
worst case; the run stops when a call does not fit and none is in flight.

What a provider counts beyond a worst case is learned: a server may ignore the limit on replies, or serve
calls in a dearer tier. So until an endpoint has shown by a reply how it counts, few calls to it are in
flight; only what calls take that are in flight when something is learned can exceed a budget.

An attempt that a provider refused counts as free. One whose end was not seen (a timeout, a lost connection),
or without token counts, counts at its worst case.

Not covered: spending that is not in the run's ledger, which is lost attempts at calls that succeeded later,
and calls in flight when a process was killed.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import NamedTuple, Protocol

from models.call import Message
from models.errors.exceptions import RunStopped
from models.limits.rate_limiter import WaitReason
from models.providers.parameters import reply_limit
from models.providers.prices import cost
from models.settings import Endpoint, ModelSettings, Role
from samples.tokens import estimate_tokens

FRAME_TOKENS = 4
"""Tokens that a provider adds to each message for its role and ends; mostly three."""

PROMPT_MARGIN = 1.5
"""A prompt's worst case as a multiple of its estimate, which is mostly within 30 %. Where a provider counts
more than this, that is learned."""

MAX_UNPROVEN_CALLS = 4
"""The most calls in flight to an endpoint that has not replied yet."""

UNPROVEN_TIER = "priority"
"""The tier that a call which asks for none is expected to be served in until a reply names one: it is that of
the account's project (https://developers.openai.com/api/docs/guides/priority-processing)."""


class Usage(NamedTuple):
    """The tokens of a call; `cached` is the part of `input` that came from a prefix cache."""

    input: int
    cached: int
    output: int
    tier: str | None = None
    """The service tier that it was served in."""


class Amount(NamedTuple):
    """Something spent: tokens of prompts and replies, and US dollars (0 where no price is known)."""

    tokens: int = 0
    dollars: float = 0.0

    def plus(self, other: "Amount", times: int = 1) -> "Amount":
        """Add another amount, so many times."""
        return Amount(self.tokens + times * other.tokens, self.dollars + times * other.dollars)


NOTHING = Amount()


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Estimate the tokens of a prompt as a provider counts them: see `estimate_tokens`."""
    return sum(estimate_tokens(message["content"]) + FRAME_TOKENS for message in messages)


def longest_reply(settings: ModelSettings, role: Role) -> int:
    """Return the most tokens a role's reply can have; where nothing limits it, `max_tokens`."""
    return reply_limit(settings.endpoint(role), role, settings) or settings.max_tokens


def priced(endpoint: Endpoint, usage: Usage) -> Amount:
    """Return what one call costs at today's prices."""
    dollars = cost(endpoint, 1, usage.input, usage.cached, usage.output, datetime.now(UTC), usage.tier)
    return Amount(usage.input + usage.output, dollars or 0.0)


@lru_cache
def dearest(endpoint: Endpoint, *tiers: str | None) -> str | None:
    """Return the most expensive of some service tiers and the default one, in which a server may serve any
    call."""
    now = datetime.now(UTC)
    return max((None, *tiers), key=lambda tier: cost(endpoint, 1, 1000, 0, 1000, now, tier) or 0.0)


def worst_case(endpoint: Endpoint, prompt: int, most: int, *tiers: str | None) -> Amount:
    """Return the most that a call can cost with a prompt of about `prompt` tokens and a reply of at most
    `most`, if it is served in one of these tiers or the default one."""
    return priced(endpoint, Usage(ceil(prompt * PROMPT_MARGIN), 0, most, dearest(endpoint, *tiers)))


@dataclass(slots=True)
class Reservation:
    """A call's claim on the budget."""

    endpoint: Endpoint
    prompt: int
    """Its estimated tokens."""
    most: int
    """The limit of its reply, in tokens."""
    tier: str | None = None
    """The service tier that it asks for."""
    worst: Amount = NOTHING


class Spending(Protocol):
    """What a gateway needs of a budget."""

    async def reserve(
        self, endpoint: Endpoint, messages: Sequence[Message], most: int, tier: str | None = None
    ) -> Reservation:
        """Wait until a call fits, and set its worst case aside; `most` is the limit of its reply, `tier` the
        service tier that it asks for.

        Every reservation must be settled.

        Raises:
            RunStopped: it does not fit, and no call is in flight that could leave something.
        """
        ...

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Replace a worst case by what the call took; None where that is unknown."""
        ...

    def waiting(self) -> list[WaitReason]:
        """Return the calls that wait for what is set aside for others."""
        ...


class Budget:
    """The money or the tokens of a run. Belongs to one event loop.

    Args:
        dollars: the most to spend, in US dollars. Every model must have a known price.
        tokens: the most tokens, of prompts and replies.
        spent: what the run spent before.
    """

    def __init__(
        self, *, dollars: float | None = None, tokens: int | None = None, spent: Amount = NOTHING
    ) -> None:
        self.spent = spent
        self._dollars = dollars
        self._tokens = tokens
        self._reserved = NOTHING
        self._in_flight: Counter[Endpoint] = Counter()
        self._queue: deque[tuple[asyncio.Future[None], Reservation]] = deque()
        self._margins: dict[Endpoint, float] = {}
        self._longest: dict[Endpoint, int] = {}
        self._tiers: dict[tuple[Endpoint, str | None], str | None] = {}
        """The dearest tier in which calls were served, by the one they asked for."""
        self._stopped: RunStopped | None = None

    async def reserve(
        self, endpoint: Endpoint, messages: Sequence[Message], most: int, tier: str | None = None
    ) -> Reservation:
        """Do what `Spending` says."""
        return await self.claim(Reservation(endpoint, prompt_tokens(messages), most, tier))

    async def claim(self, reservation: Reservation) -> Reservation:
        """Wait until a call fits, as `reserve` does."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((waiter, reservation))
        self._advance()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self.settle(reservation, Usage(0, 0, 0))
            raise
        return reservation

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        """Replace a worst case by what the call took; None where that is unknown."""
        self._in_flight[reservation.endpoint] -= 1
        # Sums of fractions drift; with nothing in flight nothing is set aside.
        rest = self._reserved.plus(reservation.worst, -1)
        self._reserved = rest if self._in_flight.total() else NOTHING
        if usage is None:
            # A server that counts nothing will not do so later either.
            self._longest.setdefault(reservation.endpoint, 0)
            self._tiers.setdefault((reservation.endpoint, reservation.tier), None)
            self.spent = self.spent.plus(reservation.worst)
        else:
            self._learn(reservation, usage)
            self.spent = self.spent.plus(self._price(reservation.endpoint, usage))
        self._advance()

    def waiting(self) -> list[WaitReason]:
        """Return the calls that wait for what is set aside for others."""
        calls = sum(not waiter.done() for waiter, _ in self._queue)
        return [WaitReason(calls, self._limit, None)] if calls else []

    def _advance(self) -> None:
        while self._queue:
            waiter, reservation = self._queue[0]
            if waiter.done():
                pass  # cancelled meanwhile
            elif self._stopped:
                waiter.set_exception(self._stopped)
            else:
                endpoint = reservation.endpoint
                if endpoint not in self._longest and self._in_flight[endpoint] >= MAX_UNPROVEN_CALLS:
                    return
                reservation.worst = self._worst(reservation)
                if not self._fits(reservation.worst):
                    if self._in_flight.total():
                        return
                    self._stopped = self._exhausted(reservation)
                    continue
                self._reserved = self._reserved.plus(reservation.worst)
                self._in_flight[endpoint] += 1
                waiter.set_result(None)
            self._queue.popleft()

    def _worst(self, reservation: Reservation) -> Amount:
        endpoint = reservation.endpoint
        most = max(reservation.most, self._longest.get(endpoint, 0))
        prompt = ceil(reservation.prompt * self._margins.get(endpoint, PROMPT_MARGIN))
        return self._price(endpoint, Usage(prompt, 0, most, self._tier(endpoint, reservation.tier)))

    def _tier(self, endpoint: Endpoint, asked: str | None) -> str | None:
        if self._dollars is None:
            return None
        unproven = UNPROVEN_TIER if asked in (None, "auto") else None
        return dearest(endpoint, asked, self._tiers.get((endpoint, asked), unproven))

    def _price(self, endpoint: Endpoint, usage: Usage) -> Amount:
        # Looking a price up takes a tenth of a millisecond.
        return Amount(usage.input + usage.output) if self._dollars is None else priced(endpoint, usage)

    def _learn(self, reservation: Reservation, usage: Usage) -> None:
        endpoint = reservation.endpoint
        if not usage.input + usage.output:  # it was refused, or never left
            return
        margin = usage.input / max(reservation.prompt, 1)
        self._margins[endpoint] = max(self._margins.get(endpoint, PROMPT_MARGIN), margin)
        self._longest[endpoint] = max(self._longest.get(endpoint, 0), usage.output)
        if self._dollars is not None:
            asked = endpoint, reservation.tier
            self._tiers[asked] = dearest(endpoint, self._tiers.get(asked), usage.tier)

    def _fits(self, worst: Amount) -> bool:
        total = self.spent.plus(self._reserved).plus(worst)
        return (self._dollars is None or total.dollars <= self._dollars) and (
            self._tokens is None or total.tokens <= self._tokens
        )

    def _exhausted(self, reservation: Reservation) -> RunStopped:
        spent, worst = self.spent, reservation.worst
        if self._dollars is not None and spent.dollars + worst.dollars > self._dollars:
            limit, had, next_ = f"--budget {self._dollars:g}", money(spent.dollars), money(worst.dollars)
        else:
            limit, had = f"--budget-tokens {self._tokens}", f"{spent.tokens:,} tokens"
            next_ = f"{worst.tokens:,}"
        return RunStopped(
            f"the budget ({limit}) allows no further call: this run has spent {had}, and the next one "
            f"({reservation.endpoint.model}) may take up to {next_}. Finished work is kept; the same "
            "command with a larger budget resumes the run (--dry-run estimates what it takes)"
        )

    @property
    def _limit(self) -> str:
        return (
            f"--budget {self._dollars:g}" if self._dollars is not None else f"--budget-tokens {self._tokens}"
        )


def money(dollars: float) -> str:
    """Format an amount of US dollars with as many digits as matter."""
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.4f}"
