"""What a run may spend: a call leaves only while its worst case fits beside all that is spent or in flight.

The worst case of a call is its prompt, estimated with room for error, and a reply of the longest length, at
the list price of the model (`models.providers.prices`), no cache counted on. When the call is back, what the provider
counted takes its place. Near the limit calls wait for those in flight, which mostly take less than their
worst case; the run stops when a call does not fit and none is in flight.

What a provider counts beyond a worst case is learned: a server may ignore the limit on replies. So until an
endpoint has shown by a reply how it counts, few calls to it are in flight; what these take beyond their worst
case is all that a budget can be exceeded by.

An attempt that a provider refused is taken as free. One whose end nobody saw (a timeout, a lost connection),
and an answer without token counts, are taken at their worst case.

What it does not know: what a run spent that is not in its ledger, which is the lost attempts at calls that
succeeded later, and the calls in flight when a process was killed.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple

from models.errors.kinds import RunStopped
from models.providers.parameters import reply_limit
from models.providers.prices import cost
from models.routing.endpoint_state import Waiting
from models.settings import Endpoint, ModelSettings, Role
from prompts.pack import Message
from samples.tokens import estimate_tokens

FRAME = 4
"""Tokens that a provider adds to each message for the role's name and the message's ends; mostly three."""

ROOM = 1.5
"""A prompt's worst case, as a multiple of its estimate: the estimate is mostly within 30 %. Where a provider
counts more than this, what it counts is learned."""


UNKNOWN = 4
"""The most calls in flight to an endpoint whose first reply has not come back."""


class Usage(NamedTuple):
    """The tokens of a call; `cached` is the part of `input` that a prefix cache held."""

    input: int
    cached: int
    output: int


class Amount(NamedTuple):
    """Something spent: tokens of prompts and replies, and US dollars (0 where no price is known)."""

    tokens: int = 0
    dollars: float = 0.0

    def plus(self, other: "Amount", times: int = 1) -> "Amount":
        """The sum with another, taken so many times."""
        return Amount(self.tokens + times * other.tokens, self.dollars + times * other.dollars)


NOTHING = Amount()


def prompt_tokens(messages: Sequence[Message]) -> int:
    """The tokens of a prompt as a provider counts them, roughly: see `estimate_tokens`."""
    return sum(estimate_tokens(message["content"]) + FRAME for message in messages)


def longest_reply(settings: ModelSettings, role: Role) -> int:
    """The most tokens a role's reply can have; where nothing limits it, what would be the limit otherwise."""
    return reply_limit(settings.endpoint(role), role, settings) or settings.max_tokens


def priced(endpoint: Endpoint, usage: Usage) -> Amount:
    """What one call amounts to at the prices of now."""
    dollars = cost(endpoint, 1, usage.input, usage.cached, usage.output, datetime.now(UTC))
    return Amount(usage.input + usage.output, dollars or 0.0)


def worst_case(endpoint: Endpoint, prompt: int, most: int) -> Amount:
    """The most that a call can cost with a prompt of about so many tokens and a reply of at most `most`."""
    return priced(endpoint, Usage(ceil(prompt * ROOM), 0, most))


@dataclass(slots=True)
class Reservation:
    """A call's claim on the budget: what is known of it, and its worst case."""

    endpoint: Endpoint
    prompt: int
    most: int
    worst: Amount = NOTHING


class Budget:
    """The money or the tokens of a run. Belongs to one event loop.

    Args:
        dollars: the most to spend, in US dollars. Every model must have a known price.
        tokens: the most tokens, of prompts and replies.
        spent: what the run has spent before.
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
        self._rooms: dict[Endpoint, float] = {}
        self._longest: dict[Endpoint, int] = {}
        self._stopped: RunStopped | None = None

    async def reserve(self, endpoint: Endpoint, messages: Sequence[Message], most: int) -> Reservation:
        """Wait until a call fits, and set its worst case aside; `most` is the limit of its reply.

        Every reservation must be settled.

        Raises:
            RunStopped: it does not fit, and no call is in flight that could leave something.
        """
        reservation = Reservation(endpoint, prompt_tokens(messages), most)
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
        """Put what a call took in the place of its worst case; None where that is not known."""
        self._in_flight[reservation.endpoint] -= 1
        # Sums of fractions drift; with nothing in flight nothing is set aside.
        whole = self._reserved.plus(reservation.worst, -1)
        self._reserved = whole if self._in_flight.total() else NOTHING
        if usage is None:
            # A server that counts nothing will show nothing later either.
            self._longest.setdefault(reservation.endpoint, 0)
            self.spent = self.spent.plus(reservation.worst)
        else:
            self._learn(reservation, usage)
            self.spent = self.spent.plus(self._price(reservation.endpoint, usage))
        self._advance()

    def waiting(self) -> list[Waiting]:
        """The calls that wait for what is set aside for others."""
        calls = sum(not waiter.done() for waiter, _ in self._queue)
        return [Waiting(calls, self._limit, None)] if calls else []

    def _advance(self) -> None:
        while self._queue:
            waiter, reservation = self._queue[0]
            if waiter.done():
                pass  # given up meanwhile
            elif self._stopped:
                waiter.set_exception(self._stopped)
            else:
                endpoint = reservation.endpoint
                if endpoint not in self._longest and self._in_flight[endpoint] >= UNKNOWN:
                    return
                reservation.worst = self._worst(reservation)
                if not self._fits(reservation.worst):
                    if self._in_flight.total():
                        return
                    self._stopped = self._used_up(reservation)
                    continue
                self._reserved = self._reserved.plus(reservation.worst)
                self._in_flight[endpoint] += 1
                waiter.set_result(None)
            self._queue.popleft()

    def _worst(self, reservation: Reservation) -> Amount:
        endpoint = reservation.endpoint
        most = max(reservation.most, self._longest.get(endpoint, 0))
        prompt = ceil(reservation.prompt * self._rooms.get(endpoint, ROOM))
        return self._price(endpoint, Usage(prompt, 0, most))

    def _price(self, endpoint: Endpoint, usage: Usage) -> Amount:
        # Looking a price up takes a tenth of a millisecond.
        return Amount(usage.input + usage.output) if self._dollars is None else priced(endpoint, usage)

    def _learn(self, reservation: Reservation, usage: Usage) -> None:
        endpoint = reservation.endpoint
        if not usage.input + usage.output:  # it was refused, or never left
            return
        room = usage.input / max(reservation.prompt, 1)
        self._rooms[endpoint] = max(self._rooms.get(endpoint, ROOM), room)
        self._longest[endpoint] = max(self._longest.get(endpoint, 0), usage.output)

    def _fits(self, worst: Amount) -> bool:
        whole = self.spent.plus(self._reserved).plus(worst)
        return (self._dollars is None or whole.dollars <= self._dollars) and (
            self._tokens is None or whole.tokens <= self._tokens
        )

    def _used_up(self, reservation: Reservation) -> RunStopped:
        spent, worst = self.spent, reservation.worst
        if self._dollars is not None and spent.dollars + worst.dollars > self._dollars:
            limit, had, next_ = f"--budget {self._dollars:g}", money(spent.dollars), money(worst.dollars)
            more = _twice(self._dollars, spent.dollars + worst.dollars)
            raised = f"--budget {more:.2f}" if more >= 1 else f"--budget {more:.2g}"
        else:
            tokens = self._tokens or 0
            limit, had, next_ = f"--budget-tokens {tokens}", f"{spent.tokens:,} tokens", f"{worst.tokens:,}"
            raised = f"--budget-tokens {_twice(tokens, spent.tokens + worst.tokens):.0f}"
        return RunStopped(
            f"{limit} allows no further call: this run has spent {had}, and the next one "
            f"({reservation.endpoint.model}) may take up to {next_}. What is finished is kept; the same "
            f"command with a larger budget goes on from here, for instance {raised}"
        )

    @property
    def _limit(self) -> str:
        return (
            f"--budget {self._dollars:g}" if self._dollars is not None else f"--budget-tokens {self._tokens}"
        )


def money(dollars: float) -> str:
    """An amount of US dollars, with as many digits as say something."""
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.4f}"


def _twice(limit: float, needed: float) -> float:
    return 2 * limit if 2 * limit > needed else 2 * needed
