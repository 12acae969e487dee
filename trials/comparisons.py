"""Comparisons of two arms: votes averaged over orders and referees, in arrays.

Each referee has one vote on a comparison: the mean of its readable orders, so that orders which contradict
each other are a tie. A comparison's score is the mean over referees, a sample's the mean over its exchanges.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from trials.bootstrap import FloatArray
from trials.judgments import FEATURES, Trial, TrialError, Vote

Place = tuple[str, int, str, str]
"""Sample, exchange, arm and rival."""

IntArray = NDArray[np.int64]


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


def referee_scores(votes: Iterable[Vote]) -> dict[Place, dict[str, float]]:
    """Return each referee's vote on each comparison."""
    found: dict[Place, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for vote in votes:
        if vote.score is not None:
            found[vote.place][vote.referee].append(vote.score)
    return {
        place: {referee: fmean(scores) for referee, scores in sorted(by_referee.items())}
        for place, by_referee in found.items()
    }


def compare(trial: Trial, arm: str, rival: str) -> Comparisons:
    """Return the comparisons of two arms.

    Raises:
        TrialError: the two were never compared, or no verdict about them could be read.
    """
    is_turned = trial.arms.index(arm) < trial.arms.index(rival)
    pair = (rival, arm) if is_turned else (arm, rival)
    scores = {
        (sample, exchange): fmean(by_referee.values())
        for (sample, exchange, *arms), by_referee in referee_scores(
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
