"""How long an arm has to go on so that it costs as much as another."""

from dataclasses import dataclass
from math import floor

MOST = 30
"""Rounds or drafts, at most."""

CLOSE = 0.02
"""A difference of the costs, as a share, that is not worth another step."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How long an arm goes on: so many rounds or drafts, and one more in some samples."""

    rounds: int
    more: int = 0
    """How many samples, the first ones of a random order, have one more."""

    @property
    def most(self) -> int:
        """The most rounds of a sample."""
        return self.rounds + (self.more > 0)

    def of(self, position: int) -> int:
        """Return the rounds of a sample."""
        return self.rounds + (position < self.more)


def deeper(depth: Depth, by_round: dict[int, float], target: float, samples: int) -> Depth | None:
    """Return how long to go on, to come nearer to a cost; None if this is as near as it gets.

    A further round is taken to cost what the last one did. Refining costs less with each, since it ends where
    a draft loses, so a step falls short rather than go too far. It takes whole rounds as long as there is
    room for one, then one more for a part of the samples.

    Args:
        depth: how long it went on so far.
        by_round: what each round cost, over all samples.
        target: what all should cost.
        samples: how many there are.
    """
    room = target - sum(by_round.values())
    if room <= CLOSE * target or depth.most >= MOST:
        return None
    last = by_round.get(depth.rounds, 0.0)
    if depth.more:
        last = by_round.get(depth.rounds + 1, 0.0) * samples / depth.more or last
    if last <= 0:
        return None
    if not depth.more and room >= last:
        # Most of the way: what follows may cost a little more.
        return Depth(min(MOST, depth.rounds + max(1, floor(0.75 * room / last))))
    more = min(samples, depth.more + floor(samples * room / last))
    if more == depth.more:
        return None
    return Depth(depth.rounds + 1) if more == samples else Depth(depth.rounds, more)
