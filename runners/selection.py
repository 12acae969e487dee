"""What is to be written of a run: for `coevol export` and `publish`, and what `coevol view` selects."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ledger.browse import ResultRow
from ledger.decisions import Decisions
from models.providers.rehearsal import NOTICE
from reporting.manifest import RunError, endpoints, is_rehearsed, recorded_settings
from reporting.run import Run
from runners.contamination import Screen
from runners.data_card import Form
from runners.export_options import ContentOptions
from runners.export_records import Export
from runners.export_summary import describe
from runners.human_decisions import DecidedBy
from runners.preference_pairs import Pairs
from runners.provenance import Provenance, with_types
from runners.terminal import say
from runners.unreadable import Unreadable
from samples.fields import plural
from samples.files import layout_to_write, write_records
from samples.json_values import to_json
from samples.neighbors import Neighbors
from samples.overlap import Benchmarks
from samples.thoughts import Thoughts
from samples.trainers import DPO_TRAINERS, SFT_TRAINERS, MarksFound, ToolsFound


class NothingToWrite(RunError):
    """A file would have no records."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be written of a run, as `content_options` say."""

    opened: Run
    only_accepted: bool = False
    decisions: Decisions = field(default_factory=dict)
    """Those that are followed."""
    with_provenance: bool = False
    benchmarks: Benchmarks | None = None
    marks_contaminated: bool = False
    thoughts: Thoughts | None = None
    """None is as in the run."""
    stale: tuple[str, ...] = ()
    not_stale: tuple[str, ...] = ()
    only_readable: bool = False
    """Whether records that cannot be read are left out: their values may have any type."""

    def write(self, target: Path, mode: str, form: Form, wanted: Pairs = "final") -> Export:
        """Write the records of a mode.

        Raises:
            NothingToWrite: there are none.
            DataError: they cannot be written.
        """
        marks = tools = False
        while True:
            try:
                return self._write(target, mode, form, wanted, marks=marks, tools=tools)
            except MarksFound:
                marks = True
            except ToolsFound:
                tools = True

    def export(
        self,
        mode: str,
        form: Form = None,
        wanted: Pairs = "final",
        *,
        marks: bool = False,
        tools: bool = False,
    ) -> Export:
        """Return the records of a mode, to be written."""
        made = self.opened.manifest
        reference, in_run = made["data"].get("reference"), recorded_settings(made)["thoughts"]
        spared = (*self.not_stale, *([reference] if reference else ()))
        return Export(
            self.opened.ledger,
            mode,
            form,
            self.only_accepted,
            wanted,
            self.decisions,
            Neighbors(self.thoughts or in_run, self.stale, spared),
            in_run == "text",
            Provenance(made, mode, endpoints(made)) if self.with_provenance else None,
            Screen(self.benchmarks, marks=self.marks_contaminated) if self.benchmarks else None,
            marks,
            tools,
            self.only_readable,
        )

    def _write(
        self, target: Path, mode: str, form: Form, wanted: Pairs, *, marks: bool, tools: bool
    ) -> Export:
        made = self.opened.manifest
        work = self.export(mode, form, wanted, marks=marks, tools=tools)
        is_for_trainer = form in SFT_TRAINERS or form in DPO_TRAINERS
        types = None if is_for_trainer else made["data"].get("types")
        layout = layout_to_write(target)
        if layout != "JSON lines" and not is_for_trainer and not self.only_readable:
            work.unreadable = Unreadable(layout, typed=layout == "Parquet" and types is not None)
        with ExitStack() as undo:
            if work.screen:
                undo.callback(work.screen.close)
            if work.unreadable:
                undo.callback(work.unreadable.close)
            stream = work.records()
            first = next(stream, None)
            if first is None:
                raise NothingToWrite(
                    f"nothing to write to {target}: {describe(work, made['data']['records'])}"
                )
            if self.only_readable and types:
                from samples.parquet_types import known_to_datasets

                types = known_to_datasets(types)
            if work.provenance and layout == "Parquet":
                types = with_types(types)
            work.as_text = write_records(target, chain([first], stream), types, made["data"].get("dialect"))
            undo.pop_all()
        return work


def selection_from(opened: Run, by_users: Decisions, content: ContentOptions) -> Selection:
    """Return what `content_options` ask for. Reads the benchmarks, and says what they are good for.

    Raises:
        RunError: two options do not go together.
        DataError: a benchmark cannot be read.
    """
    if content.mark_contaminated and not content.benchmarks:
        raise RunError("--mark-contaminated needs --decontaminate FILE")
    if both := set(content.stale) & set(content.not_stale):
        raise RunError(f"--stale and --not-stale both name {both.pop()}")
    known = Benchmarks(content.benchmarks) if content.benchmarks else None
    if known:
        say(
            f"benchmarks: {plural(known.entries, 'entry')}; {known.without_runs:,} cannot be found, too "
            f"short or with common phrases only ({plural(known.common, 'run')} in many entries)",
            err=True,
        )
    return Selection(
        opened,
        content.only_accepted,
        by_users if content.decided_by == "human" else {},
        content.with_provenance,
        known,
        content.mark_contaminated,
        content.thoughts,
        content.stale,
        content.not_stale,
    )


def notice(opened: Run, by_users: Decisions, decided_by: DecidedBy) -> None:
    """Print what a user should know before anything is written."""
    if is_rehearsed(opened.manifest):
        say(NOTICE, err=True)
    if by_users and decided_by == "judge":
        number = plural(sum(map(len, by_users.values())), "decision")
        say(f"{number} by users; --decided-by human follows them", err=True)


def selected_records(run: Run, mode: str, rows: Iterator[ResultRow], decisions: Decisions) -> Iterator[str]:
    """Yield the records of results of a mode as JSON lines, in the format of the data, with these decisions
    followed."""
    work = Selection(run, decisions=decisions).export(mode)
    work.samples = ((row.sample, {row.result.mode: row.result}) for row in rows)
    for record in work.records():
        yield to_json(record) + "\n"
