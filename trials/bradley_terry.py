"""Strengths of all arms from all comparisons, also those that did not meet the baseline.

R. Bradley, M. Terry: Rank Analysis of Incomplete Block Designs, Biometrika 39 (1952)
L. Ford: Solution of a Ranking Problem from Binary Comparisons, 1957 (when there is one)
"""

from itertools import combinations

import choix
import numpy as np
from scipy.sparse.csgraph import connected_components

from trials.bootstrap import Bootstrap, Estimate, FloatArray, estimate
from trials.comparisons import Comparisons, compare
from trials.judgments import Trial, TrialError, referee_scores
from trials.logistic import fit_resamples

MIN_ARMS = 3


def strengths(trial: Trial, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Return each arm's strength over the baseline in log odds: 0 is a win rate of 50 %, 1 of 73 %.

    A tie is half a win for both.

    Raises:
        TrialError: there are fewer than three arms, or the comparisons do not connect them.
    """
    arms = trial.arms
    if len(arms) < MIN_ARMS:
        raise TrialError("two arms need no common scale: their win rate says it all")
    pairs = _pairs(trial)
    names = sorted({name for pair in pairs for name in pair.names})
    position = {name: row for row, name in enumerate(names)}
    wins, played = np.zeros((len(names), len(pairs))), np.zeros((len(names), len(pairs)))
    won = np.zeros((len(arms), len(arms)))
    design = np.zeros((len(pairs), len(arms)))
    for column, pair in enumerate(pairs):
        rows, scores = [position[name] for name in pair.names], pair.by_sample
        wins[rows, column], played[rows, column] = scores, 1
        arm, rival = arms.index(pair.arm), arms.index(pair.rival)
        design[column, [arm, rival]] = 1, -1
        won[arm, rival], won[rival, arm] = scores.sum(), (1 - scores).sum()
    _check_connected(won, arms)
    found = choix.ilsr_pairwise_dense(won)
    start = (found - found[0])[1:]
    none = np.zeros(len(start))

    def fitted(times: FloatArray) -> FloatArray:
        return fit_resamples(design[:, 1:], times @ wins, times @ played, start, none)

    distribution = bootstrap.distribution(fitted, len(names))
    return {
        arm: estimate(start[column], distribution[:, column], len(names))
        for column, arm in enumerate(arms[1:])
    }


def _pairs(trial: Trial) -> list[Comparisons]:
    compared = {(arm, rival) for _, _, arm, rival in referee_scores(trial.votes)}
    return [
        compare(trial, arm, rival) for rival, arm in combinations(trial.arms, 2) if (arm, rival) in compared
    ]


def _check_connected(won: FloatArray, arms: tuple[str, ...]) -> None:
    count, group = connected_components(won > 0, connection="weak")
    if count > 1:
        groups = [
            ", ".join(arm for arm, of in zip(arms, group, strict=True) if of == n) for n in range(count)
        ]
        raise TrialError(f"no comparison connects {' with '.join(groups)}")
    count, _ = connected_components(won > 0, connection="strong")
    if count > 1:
        for found, what in (won.sum(axis=1), "lost"), (won.sum(axis=0), "won"):
            for arm, other in zip(arms, found, strict=True):
                if not other:
                    raise TrialError(f"{arm} {what} every comparison, so its strength has no limit")
        raise TrialError("some arms won every comparison with the others, so their strength has no limit")
