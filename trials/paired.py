"""Whether something is more frequent in one run than in another, by the samples that both have."""

from dataclasses import dataclass

import numpy as np

from trials.bootstrap import FEW, Bootstrap, Estimate, estimate, widened
from trials.judgments import TrialError
from trials.size import samples_to_settle
from trials.win_rates import sign_test


@dataclass(frozen=True, slots=True)
class PairedShares:
    """How often something is true of the same samples in two runs."""

    samples: int
    a: float
    """The share in A."""
    b: float
    difference: Estimate
    """B less A."""
    p: float
    """Of the exact sign test on the samples in which it is true of one run only, two-sided."""
    samples_needed: int | None
    """Samples that would show a difference, if they are as these are (`trials.size.samples_to_settle`)."""
    different: int
    """Samples in which it is true of one run only."""


def paired_shares(both: int, only_a: int, only_b: int, neither: int, bootstrap: Bootstrap) -> PairedShares:
    """Compare two shares from how many samples are true in which run.

    A resample of samples is a draw of these four counts, so a million samples take no longer than ten.

    Raises:
        TrialError: there are fewer than two samples.
    """
    samples = both + only_a + only_b + neither
    if samples < 2:
        raise TrialError("an interval needs at least two samples in both")
    value = (only_b - only_a) / samples
    if only_a + only_b in (0, samples) and not (only_a and only_b):
        # All are alike: the interval of so many samples that are (see `Bootstrap.mean`).
        found = bootstrap.mean(np.full(min(samples, 100_000), value), -1, 1)
    else:
        random = np.random.default_rng(bootstrap.seed)
        shares = np.array([only_a, only_b, both + neither]) / samples
        drawn = random.multinomial(samples, shares, size=bootstrap.resamples)
        found = estimate(value, (drawn[:, 1] - drawn[:, 0]) / samples, samples)
        if min(only_a, only_b) < FEW:
            found = widened(found, np.repeat([-1.0, 0.0, 1.0], [only_a, both + neither, only_b]), -1, 1)
    times = np.array([only_a, both + neither, only_b])
    return PairedShares(
        samples,
        (both + only_a) / samples,
        (both + only_b) / samples,
        found,
        sign_test(only_b, only_a),
        samples_to_settle(np.array([-1.0, 0.0, 1.0]), times, 1),
        only_a + only_b,
    )
