"""The numbers of a run, counted aside.

Counting a run of a million samples takes longer than anyone waits for a page. So a page shows what was
counted last and when, and asks for more; at most one count is under way, and while the run goes on a count
is followed by a pause several times as long.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from ledger import charts
from ledger.ledger import Ledger
from ledger.statistics import Statistics, statistics
from runners.stats import report
from viewer.run import Run

PAUSE = 4
"""How many times as long as a count the pause after it is: a fifth of one core at most goes into counting."""

SHORTEST_PAUSE = 2.0
"""Seconds between two counts at least."""


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


class Counting:
    """Counts a run when asked to, as often as is reasonable."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._latest: Numbers | None = None
        self._state: object = None
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    async def latest(self, patience: float) -> Numbers | None:
        """The latest count; waits for a new one `patience` seconds at most. None where there is none yet.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if self._task is None and time.monotonic() >= self._not_before:
            self._task = asyncio.create_task(self._count())
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=patience)
            if done:
                task, self._task = self._task, None
                task.result()
        return self._latest

    async def _count(self) -> None:
        began = time.monotonic()
        state = await asyncio.to_thread(_state, self._run.ledger)
        if state != self._state:
            self._latest, self._state = await asyncio.to_thread(_counted, self._run), state
        took = time.monotonic() - began
        self._not_before = time.monotonic() + max(SHORTEST_PAUSE, PAUSE * took)


def _state(ledger: Ledger) -> object:
    # Whatever is added to a ledger changes one of these; both are found in an index.
    return charts.finished(ledger), ledger.last_call()


def _counted(run: Run) -> Numbers:
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
