"""The win rate among responses of equal length or equal style.

Length: logit P(win) = θ + β · tanh(Δlength / sd), after AlpacaEval 2 (Dubois et al., arXiv 2404.04475)
without its difficulty of instructions. Style: logit P(win) = θ + Σ βₖ · xₖ with xₖ = (a - b) / (a + b) of
lengths and densities, as in Arena-Hard (Li et al., arXiv 2406.11939). The controlled win rate is σ(θ).

- x is divided by its root mean square and not centered. In a table of all pairs both ways round, the mean is
  0 anyway. Here one arm is always compared with the same rival, and from centered features θ would be the win
  rate at the usual difference, which is the uncontrolled one.
- The slopes have a weak normal prior, so that a referee who looks at nothing but length has a finite slope.
- Intervals resample samples: the spread of predictions is 0 here, and single games are not independent.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from trials.bootstrap import Bootstrap, Estimate, FloatArray, estimate
from trials.comparisons import Comparisons
from trials.judgments import FEATURES, TrialError
from trials.logistic import fit_resamples

PRIOR_SD = 5.0
"""Of a slope, in log odds: one that is exceeded turns 50 % into 99.3 %."""

SAMPLES_PER_COEFFICIENT = 15
"""30 samples for length, 75 for all of style."""

MIN_SIDE = 10
"""Samples that are needed on each side of equality, of those whose responses differ."""

MAX_INFLATION = 10.0
"""Of the variance of θ by the features. Beyond, the interval would be over three times as wide."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """A controlled win rate."""

    rate: Estimate
    slopes: dict[str, float]
    """By feature: the log odds that one unit gains, which is about the usual difference."""


def length_controlled(comparisons: Comparisons, bootstrap: Bootstrap) -> Controlled:
    """Return the win rate at equal length.

    Raises:
        TrialError: it cannot be determined; the message says why.
    """
    lengths = _known(comparisons)[:, :, 0]
    difference = lengths[:, 0] - lengths[:, 1]
    spread = float(difference.std())
    if not spread:
        raise TrialError(
            "all responses differ in length by the same amount"
            if difference.any()
            else "all responses are of equal length, so there is nothing to control"
        )
    return _controlled(comparisons, np.tanh(difference / spread)[:, None], ["length"], bootstrap)


def style_controlled(comparisons: Comparisons, bootstrap: Bootstrap) -> Controlled:
    """Return the win rate at equal length and equal densities of headers, lists and bold.

    Raises:
        TrialError: it cannot be determined; the message says why.
    """
    features = _known(comparisons)
    total = features.sum(axis=1)
    relative = (features[:, 0] - features[:, 1]) / np.where(total, total, 1)
    scale = np.sqrt((relative**2).mean(axis=0))
    used = np.flatnonzero(scale)
    if not len(used):
        raise TrialError("all responses are alike in length and style, so there is nothing to control")
    return _controlled(comparisons, relative[:, used] / scale[used], [FEATURES[n] for n in used], bootstrap)


def _known(comparisons: Comparisons) -> FloatArray:
    if np.isnan(comparisons.features).any():
        raise TrialError("length and style of some responses are not known")
    return comparisons.features


def _controlled(
    comparisons: Comparisons, features: FloatArray, names: list[str], bootstrap: Bootstrap
) -> Controlled:
    _check(comparisons, features, names)
    score, weight, sample = comparisons.score, comparisons.weight, comparisons.sample
    # scikit-learn takes no fractions: each comparison is a win and a loss, with the weights of its score.
    fitted = LogisticRegression(C=PRIOR_SD**2, solver="newton-cholesky", tol=1e-8).fit(
        np.vstack([features, features]),
        np.repeat([1, 0], len(score)),
        sample_weight=np.concatenate([weight * score, weight * (1 - score)]),
    )
    start = np.concatenate([fitted.intercept_, fitted.coef_[0]])
    design = np.column_stack([np.ones(len(score)), features])
    penalty = np.array([0, *np.full(len(names), PRIOR_SD**-2)])
    chance = expit(design @ start)
    varies = weight * chance * (1 - chance) * features.any(axis=1)
    information = design.T @ (varies[:, None] * design) + np.diag(penalty)
    if np.linalg.inv(information)[0, 0] * varies.sum() > MAX_INFLATION:
        raise TrialError(f"the arms differ in {' and '.join(names)} too regularly to be separated from it")

    def thetas(times: FloatArray) -> FloatArray:
        totals = times[:, sample] * weight
        return fit_resamples(design, totals * score, totals, start, penalty)[:, 0]

    samples = len(comparisons.names)
    distribution = expit(bootstrap.distribution(thetas, samples))
    return Controlled(
        estimate(expit(start[0]), distribution, samples),
        dict(zip(names, map(float, start[1:]), strict=True)),
    )


def _check(comparisons: Comparisons, features: FloatArray, names: list[str]) -> None:
    # Responses that were left as they are, ties at no difference, would make any other win one of length.
    differs = features.any(axis=1)
    score, sample, features = comparisons.score[differs], comparisons.sample[differs], features[differs]
    samples, needed = len(np.unique(sample)), SAMPLES_PER_COEFFICIENT * (1 + len(names))
    if samples < needed:
        raise TrialError(
            f"{samples} samples with different responses are too few to control {', '.join(names)}: "
            f"it takes {needed}"
        )
    if np.ptp(score) == 0:
        how = {0.0: "lost", 1.0: "won"}.get(float(score[0]), "tied")
        raise TrialError(f"{comparisons.arm} {how} every comparison, whatever the {' and '.join(names)}")
    more, less = _NAMES_OF_SIDES
    for name, values in zip(names, features.T, strict=True):
        for side, missing in (values >= 0, less), (values <= 0, more):
            count = len(np.unique(sample[side]))
            if count < MIN_SIDE:
                most = f"all but {count} of {samples}" if count else f"all {samples}"
                raise TrialError(
                    f"{comparisons.arm} has {missing[name]} responses than {comparisons.rival} in {most} "
                    f"samples, so preference and {name} cannot be separated"
                )


_NAMES_OF_SIDES = (
    {
        "length": "longer",
        "headers": "more headers in its",
        "lists": "more lists in its",
        "bold": "more bold in its",
    },
    {
        "length": "shorter",
        "headers": "fewer headers in its",
        "lists": "fewer lists in its",
        "bold": "less bold in its",
    },
)
