"""The numbers of a run, counted aside: a million samples take longer than anyone waits for a page."""

import time
from dataclasses import dataclass
from typing import Any

from ledger import decisions
from ledger.ledger import Ledger
from reporting import chart_data as charts
from reporting.statistics import Statistics, statistics
from runners.stats import report
from viewer.background_refresh import Aside
from viewer.run import Run


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a run amounted to when it was counted.

    `results` counts the results by status, `lengths` the samples by the length of old and new responses, for
    each mode; `report` is what `coevol stats --json` prints; `counted` is a Unix time.
    """

    results: dict[str, int]
    statistics: Statistics
    report: dict[str, Any]
    lengths: dict[str, tuple[list[int], list[int]]]
    pace: charts.Pace | None
    counted: float

    @property
    def finished(self) -> int:
        """How many results there are."""
        return sum(self.results.values())


Counting = Aside[Numbers]
"""Counts a run."""


def counting(run: Run) -> Counting:
    """What counts this run."""
    return Aside(lambda: state(run.ledger), lambda: counted(run))


def state(ledger: Ledger) -> object:
    """Something that changes with whatever is added to a ledger, and is found quickly."""
    # The first two are found in an index, and decisions are few.
    return charts.finished(ledger), ledger.last_call(), decisions.last(ledger)


def counted(run: Run) -> Numbers:
    """Counts a run.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ledger = run.ledger
    found = statistics(ledger, run.modes)
    return Numbers(
        results=charts.finished(ledger),
        statistics=found,
        report=report(run.made_by, found),
        lengths={mode: charts.lengths(ledger, mode) for mode in run.modes},
        pace=charts.pace(ledger),
        counted=time.time(),
    )
