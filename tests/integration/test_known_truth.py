"""Intervals of simulated trials hold the truth. `benchmarks/coverage.py` has the full numbers of trials."""

import subprocess
import sys

import pytest
from scipy.stats import binom

from benchmarks.coverage import CHECKS, FIRST_ALONE, Check, coverage, false_better
from tests.program import ROOT

TRIALS, RESAMPLES = 200, 300

CHANCE = 0.001
"""Of a failure although coverage is right, for each figure; seeds are fixed, so it does not come and go."""

FEWEST = int(binom.ppf(CHANCE / 2, TRIALS, 0.93))
MOST = int(binom.isf(CHANCE / 2, TRIALS, 0.97))

MISTAKES = {
    "win rate, orders as samples",
    "win rate, exchanges as samples",
    "length alone: not controlled",
    "not corrected",
}
"""Intervals that cannot hold the truth, or this test could not fail."""


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_intervals_hold_the_truth(check: Check) -> None:
    found = coverage(check, TRIALS, RESAMPLES, CHECKS.index(check))
    held = {figure: count for figure, count in found.items() if figure not in MISTAKES}
    assert held
    assert {figure: count for figure, count in held.items() if not FEWEST <= count <= MOST} == {}
    assert {figure: count for figure, count in found.items() if figure in MISTAKES and count >= FEWEST} == {}


def test_without_a_difference_few_arms_are_called_better() -> None:
    trials = 60  # whole reports, which take longer
    assert false_better(trials, RESAMPLES, 9) <= binom.isf(CHANCE, trials, 0.05)


def test_a_preference_for_the_first_shown_makes_no_arm_better() -> None:
    assert false_better(10, RESAMPLES, 10, FIRST_ALONE) == 0


def test_rows_and_the_command_load_no_library() -> None:
    script = (
        "import sys, trials.judgments, trials.libraries, runners.trial, reporting.trial_notes\n"
        "trials.libraries.require_libraries()\n"
        "print(*{'choix', 'numpy', 'scipy', 'sklearn', 'statsmodels'} & {*sys.modules})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "\n"
