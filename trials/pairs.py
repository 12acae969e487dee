"""Which arms are compared with each other, in which samples."""

from collections.abc import Sequence
from typing import Literal, get_args

Pairs = Literal["baseline", "balanced", "all"]
PAIRS: tuple[Pairs, ...] = get_args(Pairs)
"""Each arm with the baseline; that, and each arm with one other in each sample (or none, where their number
is odd), so that in so many samples as there are arms all meet equally often; or each arm with each."""

Pair = tuple[str, str]
"""An arm and its rival, which comes before it in the list of arms."""


def pairs_of(arms: Sequence[str], which: Pairs, position: int) -> list[Pair]:
    """Return the pairs of a sample. `arms` begins with the baseline, `position` is the sample's in the trial.

    The balanced part follows the rounds of a round-robin tournament, by the circle method.
    """
    baseline, *others = arms
    found = [(arm, baseline) for arm in others]
    if which == "all":
        found += [(arm, rival) for at, rival in enumerate(others) for arm in others[at + 1 :]]
    if which == "balanced":
        seats: list[str | None] = [*others, *([None] if len(others) % 2 else [])]
        if len(seats) > 2:
            turn = position % (len(seats) - 1)
            circle = seats[1:]
            seats = [seats[0], *circle[turn:], *circle[:turn]]
        for one, other in zip(seats[: len(seats) // 2], reversed(seats), strict=False):
            if one is not None and other is not None:
                rival, arm = sorted((one, other), key=others.index)
                found.append((arm, rival))
    return found


def all_pairs(arms: Sequence[str], which: Pairs) -> list[Pair]:
    """Return all pairs of a trial, in the order of the arms."""
    found = {pair for position in range(len(arms)) for pair in pairs_of(arms, which, position)}
    return sorted(found, key=lambda pair: (arms.index(pair[1]), arms.index(pair[0])))
