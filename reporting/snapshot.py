"""A snapshot of a run: all numbers that its overview and its report show, counted at one moment."""

import time
from dataclasses import dataclass
from typing import Any

from ledger import decisions
from ledger.ledger import Ledger
from reporting import chart_data
from reporting.manifest import Part, read_manifest
from reporting.run import Run
from reporting.statistics import Statistics, statistics
from reporting.summary import summarize


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of a run at one moment."""

    results: dict[str, int]
    """Results by status."""
    statistics: Statistics
    summary: dict[str, Any]
    """The object of `coevol stats --json`."""
    lengths: dict[str, tuple[list[int], list[int]]]
    """By mode, the samples by the length of old and of new responses."""
    throughput: chart_data.Throughput | None
    part: Part | None
    """The records that the last command works on; None for all."""
    part_results: dict[str, int]
    """The results of these records by status."""
    counted: float
    """Unix time."""

    @property
    def finished(self) -> int:
        """How many results there are."""
        return sum(self.results.values())


def state(ledger: Ledger) -> object:
    """Return a value that changes with every addition to a ledger and is found quickly."""
    # The first two are found in an index, and decisions are few.
    return chart_data.finished(ledger), ledger.last_call(), decisions.revision(ledger)


def snapshot(run: Run) -> Snapshot:
    """Count a run.

    Raises:
        LedgerError, RunError: the ledger or the manifest cannot be read.
    """
    ledger = run.ledger
    found = statistics(ledger, run.modes)
    # The command may be a later one than that which the run was opened with.
    part = read_manifest(run.folder).get("part")
    results = chart_data.finished(ledger)
    return Snapshot(
        results=results,
        statistics=found,
        summary=summarize(run.manifest, found),
        lengths={mode: chart_data.lengths(ledger, mode) for mode in run.modes},
        throughput=chart_data.throughput(ledger),
        part=part,
        part_results=chart_data.finished_of(ledger, part["start"], part["stop"]) if part else results,
        counted=time.time(),
    )
