"""The records of some results, as `coevol export` writes them: what the pages of `coevol view` select."""

from collections.abc import Iterator

from ledger.browse import ResultRow
from ledger.decisions import Decisions
from reporting.run import Run
from runners.export import ContentOptions, selection_from
from samples.json_values import to_json


def selected_records(run: Run, mode: str, rows: Iterator[ResultRow], decisions: Decisions) -> Iterator[str]:
    """Yield the records of results of a mode as JSON lines, in the format of the data, with these decisions
    followed."""
    content = ContentOptions(
        only_accepted=False,
        decided_by="human",
        with_provenance=False,
        benchmarks=(),
        mark_contaminated=False,
        thoughts=None,
        stale=(),
        not_stale=(),
    )
    work = selection_from(run, decisions, content).export(mode)
    work.samples = ((row.sample, {row.result.mode: row.result}) for row in rows)
    for record in work.records():
        yield to_json(record) + "\n"
