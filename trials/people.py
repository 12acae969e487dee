"""Win rates corrected by people's decisions, after arXiv 2511.21140 (and W. Rogan, B. Gladen, 1978).

Where people prefer the arm, the referees do so with the sensitivity; where people prefer the baseline, so do
the referees with the specificity. The win rate p of the referees then becomes

    (p + specificity - 1) / (sensitivity + specificity - 1)

A tie of people counts as half a decision on each side, one of the referees as half a preference. It is
assumed that the referees err alike with all arms: decisions on all of them are taken together.
"""

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trials.bootstrap import Bootstrap, Estimate, FloatArray, estimate, share
from trials.judgments import UNCHANGED, Trial, TrialError, referee_scores

MIN_DECISIONS = 100
MIN_SIDE = 10
"""Decisions for the arms, and for the baseline."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """The win rates that people would have given."""

    rates: dict[str, Estimate]
    """By arm, against the baseline."""
    sensitivity: Estimate
    specificity: Estimate
    decisions: int


def corrected(trial: Trial, bootstrap: Bootstrap) -> Corrected:
    """Correct the win rates against the baseline by what people decided. Unchanged responses remain ties.

    Raises:
        TrialError: no model judged, there are fewer than 100 decisions, nearly all are for the same side, or
            the referees agree with people no more than by chance.
    """
    if not trial.has_models:
        raise TrialError("no model judged, so there is nothing to correct")
    baseline = trial.arms[0]
    models, people = _scores(trial.panel, baseline), _scores(trial.people, baseline)
    unchanged = {
        (vote.sample, vote.exchange, vote.arm)
        for vote in trial.votes
        if vote.referee == UNCHANGED and vote.rival == baseline
    }
    decided = sorted((models.keys() & people.keys()) - unchanged)
    if len(decided) < MIN_DECISIONS:
        raise TrialError(
            f"people decided {len(decided)} of the comparisons with {baseline} that referees judged: "
            f"a correction takes {MIN_DECISIONS}"
        )
    position = {name: row for row, name in enumerate(sorted({sample for sample, _, _ in models}))}
    arms = [arm for arm in trial.arms[1:] if any(arm == of for _, _, of in models)]
    for_sides = np.zeros((len(position), 4))
    for key in decided:
        wins, score = people[key], models[key]
        for_sides[position[key[0]]] += wins * score, wins, (1 - wins) * (1 - score), 1 - wins
    for_arms = np.zeros((len(position), len(arms), 3))
    exchanges = Counter((sample, arm) for sample, _, arm in models)
    for (sample, exchange, arm), score in models.items():
        weight = 1 / exchanges[sample, arm]
        is_unchanged = (sample, exchange, arm) in unchanged
        for_arms[position[sample], arms.index(arm)] += (
            (0, 0, weight) if is_unchanged else (weight * score, weight, 0)
        )
    sums = np.hstack([for_sides, for_arms.reshape(len(position), -1)])
    total = sums.sum(axis=0)
    if min(total[1], total[3]) < MIN_SIDE:
        raise TrialError(f"nearly all of the {len(decided)} decisions of people are for the same side")
    samples = len({sample for sample, _, _ in decided})
    distribution = bootstrap.distribution(lambda times: _figures(times @ sums), len(position))
    value = _figures(total[None, :])[0]
    youden = estimate(value[0] + value[1] - 1, distribution[:, 0] + distribution[:, 1] - 1, samples)
    if youden.low <= 0:
        raise TrialError(
            f"the referees agree with {len(decided)} decisions of people no more than by chance "
            f"(sensitivity {value[0]:.2f}, specificity {value[1]:.2f})"
        )
    found = [estimate(value[n], distribution[:, n], samples) for n in range(len(value))]

    def agreement(side: int) -> Estimate:
        agreed, all_ = for_sides[:, 2 * side : 2 * side + 2].T
        return share(found[side], agreed[all_ > 0] / all_[all_ > 0], bootstrap)

    rates = dict(zip(arms, found[2:], strict=True))
    return Corrected(rates, agreement(0), agreement(1), len(decided))


def _figures(sums: FloatArray) -> FloatArray:
    """Return sensitivity, specificity and each arm's corrected rate, from 0 to 1, of each row of sums.

    The sums are, for the side of the arm and that of the baseline: agreement and decisions; then for each
    arm: score and number of what was judged, and number of what is unchanged. What has no number in a
    resample is as by chance.
    """
    known = _ratio(sums[:, [0, 2]], sums[:, [1, 3]])
    score, judged, unchanged = (sums[:, 4 + column :: 3] for column in range(3))
    specificity, youden = known[:, 1:], known.sum(axis=1, keepdims=True) - 1
    rates = np.clip((_ratio(score, judged) + specificity - 1) / np.maximum(youden, 1e-9), 0, 1)
    return np.hstack([known, _ratio(judged * rates + unchanged / 2, judged + unchanged)])


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, 0.5), where=whole > 0)


def _scores(trial: Trial, baseline: str) -> dict[tuple[str, int, str], float]:
    """Return the scores of all arms against the baseline, by sample, exchange and arm."""
    return {
        (sample, exchange, arm): fmean(by_referee.values())
        for (sample, exchange, arm, rival), by_referee in referee_scores(trial.votes).items()
        if rival == baseline
    }
