"""Logistic regressions on thousands of resamples at once, which no library does."""

import numpy as np
from scipy.special import expit

from trials.bootstrap import FloatArray

STEPS = 3
"""Newton's steps from the fit on all samples. After three, resamples differ from their fits by far less
than from each other (R. Davidson, J. MacKinnon: Bootstrap testing in nonlinear models, 1999)."""

MAX_STEP = 2.0
"""In log odds. A resample without a maximum, in which an arm wins throughout, so ends far out, and finite."""


def fit_resamples(
    design: FloatArray, wins: FloatArray, totals: FloatArray, start: FloatArray, penalty: FloatArray
) -> FloatArray:
    """Return the coefficients of each resample: resamples × columns of the design.

    Args:
        design: rows × columns.
        wins: resamples × rows: how many of the comparisons in this row were won, ties as halves.
        totals: resamples × rows: how many there were.
        start: the coefficients from which to begin, those of all samples.
        penalty: of each coefficient: one over the variance of its normal prior, or 0.
    """
    columns = len(start)
    outer = (design[:, :, None] * design[:, None, :]).reshape(len(design), columns**2)
    # An arm that is in no comparison of a resample has no information there: its coefficient stays.
    ridge = np.diag(penalty + 1e-9)
    coefficients = np.tile(start, (len(wins), 1))
    for _ in range(STEPS):
        chance = expit(coefficients @ design.T)
        expected = totals * chance
        gradient = (wins - expected) @ design - coefficients * penalty
        information = ((expected * (1 - chance)) @ outer).reshape(-1, columns, columns) + ridge
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        coefficients += np.clip(step, -MAX_STEP, MAX_STEP)
    return coefficients
