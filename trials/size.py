"""How many samples a trial needs, and what it can detect with those that it has.

A difference is beyond noise where two things say so: its interval, which is that of a mean, and the sign
test, which only counts. How often both do is found by simulation: trials of so many samples, drawn from those
that were observed or are assumed. The sign test is adjusted as Holm adjusts the smallest of several p values,
whatever the other comparisons of the trial are.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, t

from trials.bootstrap import FEW, TAIL, FloatArray, IntArray, room
from trials.judgments import TrialError

SIGNIFICANT = 0.05

POWER = 0.8
"""The share of trials that are to show a difference."""

MANY_SAMPLES = 20_000
"""A larger number of samples is not named."""

_TRIALS = 2000
"""Simulated ones: a share of 80 % is known within 2 points."""


def are_beyond_noise(low: ArrayLike, high: ArrayLike, more: ArrayLike, p: ArrayLike) -> Any:
    """Whether a difference from 0 is more than chance, in one trial or in each of several.

    Args:
        low, high: its 95 % interval.
        more: samples with a positive difference, less those with a negative one. Their sign test may say the
            opposite of the mean, and then neither is believed.
        p: of the sign test, adjusted for the number of comparisons.
    """
    is_above = np.greater(low, 0) & np.greater(more, 0)
    return np.less(p, SIGNIFICANT) & (is_above | np.less(high, 0) & np.less(more, 0))


def power(values: FloatArray, shares: FloatArray, samples: int, limit: float, tests: int) -> float:
    """Return the share of trials of so many samples, at least two, that show a difference from 0.

    Args:
        values: the differences that samples have; each is once among them.
        shares: how many of the samples have each.
        samples: of a trial.
        limit: how large a difference can be, on either side.
        tests: how many comparisons the p value is adjusted for.
    """
    random = np.random.default_rng(0)
    parts = [values > 0, values < 0]
    of_parts = [float(shares[part].sum()) for part in parts]
    drawn = random.multinomial(samples, [*of_parts, max(0.0, 1 - sum(of_parts))], size=_TRIALS)
    counts, sums, squares = [drawn[:, 0], drawn[:, 1]], [], np.zeros(_TRIALS)
    for part, share, count in zip(parts, of_parts, counts, strict=True):
        # The sum over samples that are alike in sign is normal, nearly, and exact if all are alike.
        far = np.abs(values[part])
        mean_far, mean_square = (float(moment @ shares[part]) / (share or 1) for moment in (far, far**2))
        spread = np.sqrt(count * max(0.0, mean_square - mean_far**2))
        total = count * mean_far + spread * random.standard_normal(_TRIALS)
        sums.append(np.clip(total, 0, count * limit))
        squares += count * mean_square
    mean = (sums[0] - sums[1]) / samples
    variance = np.maximum(squares / samples - mean**2, 0) / (samples - 1)
    # To which the expanded percentiles of resamples come.
    half = t.ppf(1 - TAIL, samples - 1) * np.sqrt(variance)
    low, high = mean - half, mean + half
    if (few := np.minimum(*counts) < FEW).any():
        lower, higher = room([each[few] for each in counts], [each[few] for each in sums], samples, limit)
        low[few] = np.minimum(low[few], mean[few] - lower)
        high[few] = np.maximum(high[few], mean[few] + higher)
    p = np.minimum(1, 2 * binom.cdf(np.minimum(*counts), counts[0] + counts[1], 0.5))
    return float(are_beyond_noise(low, high, counts[0] - counts[1], p * tests).mean())


def samples_to_settle(values: FloatArray, times: IntArray, limit: float, tests: int = 1) -> int | None:
    """Return how many samples, alike to those that were observed, show that their difference is not 0.

    Args:
        values: the differences that were observed; each is once among them.
        times: how many samples have each.
        limit: how large a difference can be, on either side.
        tests: how many comparisons the p value is adjusted for.

    Returns:
        The number that 80 % of trials take, within some 3 %; None if it is over 20,000.
    """
    shares = times / times.sum()
    too_few, enough = 1, MANY_SAMPLES
    if power(values, shares, enough, limit, tests) < POWER:
        return None
    while enough > max(too_few + 1, 1.02 * too_few):
        between = max(too_few + 1, round(float(np.sqrt(too_few * enough))))
        if power(values, shares, between, limit, tests) < POWER:
            too_few = between
        else:
            enough = between
    return enough


def detectable_difference(samples: int, ties: float, tests: int = 1) -> float | None:
    """Return the smallest difference of a win rate from 50 % that so many samples show, from 0 to 0.5.

    Args:
        samples: that are compared.
        ties: the share of them that are expected to be ties, as long as the win rate leaves room for them.
        tests: how many arms are compared with the baseline.

    Returns:
        The difference, within 0.002; None if so few samples show none.

    Raises:
        TrialError: `samples` is not positive or `ties` not a share below 1.
    """
    if samples < 1 or not 0 <= ties < 1:
        raise TrialError("at least one sample is needed, and the share of ties is from 0 to below 1")

    def shows(difference: float) -> bool:
        losses = max(0.0, (1 - ties) / 2 - difference)
        wins = losses + 2 * difference
        shares = np.array([wins, losses, max(0.0, 1 - wins - losses)])
        return samples > 1 and power(np.array([0.5, -0.5, 0]), shares, samples, 0.5, tests) >= POWER

    too_small, enough = 0.0, 0.5
    if not shows(enough):
        return None
    while enough - too_small > 0.002:
        between = (too_small + enough) / 2
        too_small, enough = (too_small, between) if shows(between) else (between, enough)
    return enough
