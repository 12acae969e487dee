"""Win rates corrected by people's decisions, after arXiv 2511.21140 (and W. Rogan, B. Gladen, 1978).

Where people prefer the arm, the referees do so with the sensitivity; where people prefer the baseline, so do
the referees with the specificity. The win rate p of the referees then becomes

    (p + specificity - 1) / (sensitivity + specificity - 1)

A tie of people counts as half a decision on each side, one of the referees as half a preference. It is
assumed that the referees err alike with all arms: decisions on all of them are taken together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trials.bootstrap import Bootstrap, Estimate, FloatArray, estimate
from trials.comparisons import referee_scores
from trials.judgments import Trial, TrialError

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
    """Correct the win rates against the baseline by what people decided.

    Raises:
        TrialError: no model judged, there are fewer than 100 decisions, nearly all for the same side, or the referees
            agree with people no more than by chance.
    """
    if not trial.has_models:
        raise TrialError("no model judged, so there is nothing to correct")
    baseline = trial.arms[0]
    models = _scores(trial.panel, baseline)
    people = _scores(trial.people, baseline)
    decided = sorted(models.keys() & people.keys())
    if len(decided) < MIN_DECISIONS:
        raise TrialError(
            f"people decided {len(decided)} of the comparisons with {baseline} that referees judged: "
            f"a correction takes {MIN_DECISIONS}"
        )
    arms = [arm for arm in trial.arms[1:] if any(arm == of for _, _, of in models)]
    position = {name: number for number, name in enumerate(sorted({sample for sample, _, _ in models}))}
    # For people's arm and baseline each: agreement and number; for every arm: score and number.
    sums = np.zeros((len(position), 4 + 2 * len(arms)))
    for key in decided:
        preferred, score = people[key], models[key]
        sums[position[key[0]], :4] += (
            preferred * score,
            preferred,
            (1 - preferred) * (1 - score),
            1 - preferred,
        )
    for arm in arms:
        column = 4 + 2 * arms.index(arm)
        for sample, scores in _by_sample(models, arm).items():
            sums[position[sample], column : column + 2] = fmean(scores), 1
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
    return Corrected(dict(zip(arms, found[2:], strict=True)), found[0], found[1], len(decided))


def _figures(sums: FloatArray) -> FloatArray:
    """Return sensitivity, specificity and each arm's corrected rate, from 0 to 1, of each row of sums.

    A resample without decisions for one side has the sensitivity or specificity of chance.
    """
    agreed, decided = sums[:, [0, 2]], sums[:, [1, 3]]
    known = np.divide(agreed, decided, out=np.full_like(agreed, 0.5), where=decided > 0)
    count = sums[:, 5::2]
    rates = np.divide(sums[:, 4::2], count, out=np.full_like(count, 0.5), where=count > 0)
    specificity, youden = known[:, 1:], known.sum(axis=1, keepdims=True) - 1
    corrected = (rates + specificity - 1) / np.maximum(youden, 1e-9)
    return np.hstack([known, np.clip(corrected, 0, 1)])


def _scores(trial: Trial, baseline: str) -> dict[tuple[str, int, str], float]:
    """Return the scores of all arms against the baseline, by sample, exchange and arm."""
    return {
        (sample, exchange, arm): fmean(by_referee.values())
        for (sample, exchange, arm, rival), by_referee in referee_scores(trial.votes).items()
        if rival == baseline
    }


def _by_sample(scores: dict[tuple[str, int, str], float], arm: str) -> dict[str, Sequence[float]]:
    found: dict[str, list[float]] = {}
    for (sample, _, of), score in scores.items():
        if of == arm:
            found.setdefault(sample, []).append(score)
    return dict(found)
