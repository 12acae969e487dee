"""Comparisons of two arms: votes averaged over orders and referees, in arrays.

Each referee has one vote on a comparison (`trials.judgments.score_of`). A comparison's score is the mean over
referees, a sample's the mean over its exchanges.
"""

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trials.bootstrap import FloatArray, IntArray
from trials.judgments import FEATURES, Trial, TrialError, referee_scores


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The comparisons of an arm with a rival, one for each exchange of each sample."""

    arm: str
    rival: str
    names: list[str]
    """The samples that were compared."""
    sample: IntArray
    """Each comparison's sample, by its position in `names`."""
    score: FloatArray
    """1 where the arm won, 0 where its rival did."""
    weight: FloatArray
    """One over the number of comparisons of the sample, so that each sample counts as one."""
    features: FloatArray
    """Comparisons × 2 (arm, rival) × FEATURES; not a number where they are not known."""

    @property
    def by_sample(self) -> FloatArray:
        """Each sample's score. Rounded, since sums of thirds must meet 0.5 exactly to be ties."""
        return np.round(np.bincount(self.sample, self.score * self.weight, len(self.names)), 12)


def compare(trial: Trial, arm: str, rival: str) -> Comparisons:
    """Return the comparisons of two arms.

    Raises:
        TrialError: the two were never compared, or no verdict about them could be read.
    """
    is_turned = trial.arms.index(arm) < trial.arms.index(rival)
    pair = (rival, arm) if is_turned else (arm, rival)
    scores = {
        (sample, exchange): fmean(by_referee.values())
        for (sample, exchange, *_), by_referee in referee_scores(
            vote for vote in trial.votes if (vote.arm, vote.rival) == pair
        ).items()
    }
    if not scores:
        raise TrialError(f"no readable verdict compares {arm} with {rival}")
    exchanges = Counter(sample for sample, _ in scores)
    names = sorted(exchanges)
    position = {name: number for number, name in enumerate(names)}
    score = np.array([*scores.values()])
    unknown = (np.nan,) * len(FEATURES)
    return Comparisons(
        arm,
        rival,
        names,
        np.array([position[sample] for sample, _ in scores]),
        1 - score if is_turned else score,
        np.array([1 / exchanges[sample] for sample, _ in scores]),
        np.array(
            [
                [
                    [getattr(found, name) for name in FEATURES]
                    if (found := trial.features.get((*key, of)))
                    else unknown
                    for of in (arm, rival)
                ]
                for key in scores
            ]
        ),
    )
