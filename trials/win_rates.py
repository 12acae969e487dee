"""How often an arm wins, and whether that is more than chance."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from trials.bootstrap import Bootstrap, Estimate, FloatArray
from trials.comparisons import Comparisons
from trials.judgments import TrialError
from trials.size import are_beyond_noise, samples_to_settle


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often an arm wins against a rival."""

    rate: Estimate
    """The mean score, in which a tie is half a win."""
    wins: int
    """Samples with a score over one half; those of exactly one half are ties."""
    ties: int
    losses: int
    p: float
    """Of the exact sign test on wins and losses, two-sided."""
    samples_needed: int | None
    """Samples that would show that the rate is not 50 %, if samples are as these are
    (`trials.size.samples_to_settle`)."""

    @property
    def samples(self) -> int:
        """Samples that were compared."""
        return self.wins + self.ties + self.losses


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much an arm's win rate is above another's, both against the same baseline and samples."""

    difference: Estimate
    """From -1 to 1."""
    samples: int
    p: float
    """Of the exact sign test on the samples' differences, two-sided."""
    samples_needed: int | None
    """Samples that would show a difference, if they are as these are (`trials.size.samples_to_settle`)."""
    wins: int
    """Samples in which the arm has the higher score."""
    losses: int
    """Samples in which the other arm has it."""


def win_rate(comparisons: Comparisons, bootstrap: Bootstrap, tests: int = 1) -> WinRate:
    """Return how often an arm wins against its rival.

    Args:
        comparisons: of the two.
        bootstrap: the seed, and how many resamples.
        tests: how many arms are compared in this way, for which p values are adjusted.

    Raises:
        TrialError: fewer than two samples were compared.
    """
    scores = comparisons.by_sample
    wins, losses = int((scores > 0.5).sum()), int((scores < 0.5).sum())
    return WinRate(
        rate=bootstrap.mean(scores, 0, 1),
        wins=wins,
        ties=len(scores) - wins - losses,
        losses=losses,
        p=sign_test(wins, losses),
        samples_needed=_needed(scores - 0.5, 0.5, tests),
    )


def lead(one: Comparisons, other: Comparisons, bootstrap: Bootstrap, tests: int = 1) -> Lead:
    """Return how far an arm is ahead of another, from the samples in which both met the baseline.

    Args:
        one: the arm's comparisons with the baseline.
        other: those of the other arm.
        bootstrap: the seed, and how many resamples.
        tests: how many arms are compared in this way, for which p values are adjusted.

    Raises:
        TrialError: they have fewer than two samples in common.
    """
    shared = sorted(set(one.names) & set(other.names))
    difference = _at(one, shared) - _at(other, shared)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    return Lead(
        difference=bootstrap.mean(difference, -1, 1),
        samples=len(shared),
        p=sign_test(wins, losses),
        samples_needed=_needed(difference, 1, tests),
        wins=wins,
        losses=losses,
    )


def sign_test(wins: int, losses: int) -> float:
    """Return how probable it is that wins and losses differ so much by chance; ties say nothing about it."""
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number: with no difference anywhere, one is below 5 % in 5 %."""
    # It collects garbage, which takes seconds in a large program: there is none among what is frozen.
    gc.freeze()
    try:
        return [float(value) for value in multipletests(p, method="holm")[1]] if p else []
    finally:
        gc.unfreeze()


def is_beyond_noise(found: WinRate | Lead, p: float) -> bool:
    """Whether one arm is better by its interval and by its adjusted p value."""
    figure, equal = (found.rate, 0.5) if isinstance(found, WinRate) else (found.difference, 0)
    more = found.wins - found.losses
    return bool(are_beyond_noise(figure.low - equal, figure.high - equal, more, p))


def _needed(differences: FloatArray, limit: float, tests: int) -> int | None:
    return samples_to_settle(*np.unique(differences, return_counts=True), limit, tests)


def _at(comparisons: Comparisons, names: list[str]) -> FloatArray:
    if len(names) < 2:
        raise TrialError("an interval needs at least two samples in common")
    scores = dict(zip(comparisons.names, comparisons.by_sample, strict=True))
    return np.array([scores[name] for name in names])
