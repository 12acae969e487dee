"""How many samples a trial needs, and what it can detect with those that it has.

The two-sided test at 5 % finds a difference δ of a win rate from 50 % with a power of 80 % if

    n = (1.96 + 0.84)² · variance / δ²

A score of 0, ½ or 1 has the variance (1 - ties) / 4 if wins and losses balance. With 30 % ties, that is 138
samples for ± 10 points and 550 for ± 5.
"""

import math

from trials.judgments import TrialError

POWER = 7.85
"""(1.96 + 0.84)²: the quantiles of the normal distribution for 5 % on both sides, and for 80 %."""


def detectable_difference(samples: int, ties: float) -> float:
    """Return the smallest difference of a win rate from 50 % that so many samples show, from 0 to 0.5.

    `ties` is the share of samples that end in a tie. No difference is larger than 0.5, so that is also
    returned where so few samples show none.

    Raises:
        TrialError: `samples` is not positive or `ties` not a share below 1.
    """
    if samples < 1:
        raise TrialError("at least one sample is needed")
    return min(0.5, math.sqrt(POWER * _variance(ties) / samples))


def samples_needed(difference: float, ties: float) -> int:
    """Return how many samples show that a win rate differs from 50 % by so much (0.05 for 55 or 45 %).

    Raises:
        TrialError: `difference` is 0 or over 0.5, or `ties` not a share below 1.
    """
    if not 0 < abs(difference) <= 0.5:
        raise TrialError("a win rate differs from 50 % by over 0 and up to 50 points")
    return samples_to_settle(difference, _variance(ties))


def samples_to_settle(difference: float, variance: float) -> int:
    """Return how many samples show a difference between scores that vary from sample to sample so much."""
    return math.ceil(POWER * variance / difference**2)


def _variance(ties: float) -> float:
    if not 0 <= ties < 1:
        raise TrialError("the share of ties is from 0 to below 1")
    return (1 - ties) / 4
