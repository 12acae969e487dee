"""`coevol export RUN -o FILE`: the data set with the responses of a run."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import click

from ledger.decisions import DecisionKind, Decisions, load_decisions
from ledger.ledger import BATCH, SKIPPED, Ledger, Result, SampleResults
from ledger.usage import CallsOfSample, by_sample
from models.providers.rehearsal import NOTICE
from prompts.method import MODES
from reporting.labels import is_judged
from reporting.manifest import RunError, endpoints, is_rehearsed, recorded_settings
from reporting.run import Run, open_run
from reporting.summary import summary
from runners.contamination import Screen
from runners.data_card import Contents
from runners.folder import refuse_to_overwrite
from runners.human_decisions import DECIDED_BY, DecidedBy, followed, has_new_response
from runners.options import MODE, PATH, neighbors_options, output_option
from runners.preference_pairs import PAIRS, Pairs, pairs
from runners.provenance import PREFIX, Provenance, has_columns, with_types
from runners.terminal import say
from runners.trainer_files import check_companions, write_companions
from runners.unreadable import Unreadable, is_readable
from samples.fields import brief, plural, raw_text
from samples.files import layout_to_write, with_part, write_records
from samples.formats import (
    FORMATS,
    recorded_sample,
    same_as_other_side,
    turns_with_responses,
    with_responses,
)
from samples.layouts import side_of
from samples.neighbors import ORIGINAL, Neighbors
from samples.overlap import Benchmarks, strings
from samples.preferences import REJECTED, SIDES, side_fields
from samples.printable import printable
from samples.sample import DataError, Format, Sample
from samples.thoughts import HAS_THOUGHTS, Thoughts
from samples.trainers import (
    DPO_TRAINERS,
    OPENAI_LEAST,
    PAIR_KINDS,
    SFT_TRAINERS,
    UNHEEDED,
    DpoTrainer,
    MarksFound,
    PairKind,
    SftTrainer,
    ToolsFound,
    pair_record,
    sft_record,
)


class ContentOptions(NamedTuple):
    """What `content_options` were given."""

    only_accepted: bool
    decided_by: DecidedBy
    with_provenance: bool
    benchmarks: tuple[str, ...]
    mark_contaminated: bool
    thoughts: Thoughts | None
    stale: tuple[str, ...]
    not_stale: tuple[str, ...]


def content_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that `export` and `publish` share: which records, and which columns.

    The command is given them as `content`, a `ContentOptions`.
    """

    @wraps(command)
    def gathered(**given: Any) -> None:
        content = ContentOptions(**{name: given.pop(name) for name in ContentOptions._fields})
        command(content=content, **given)

    options = (
        click.option("--only-accepted", is_flag=True, help="Leave out samples without a new response."),
        click.option(
            "--decided-by",
            type=click.Choice(DECIDED_BY),
            default="judge",
            help="Whose decision counts where a user decided in `coevol view`: the judge's (the default), or "
            "the user's; elsewhere it is the judge's. Of several reviewers' decisions the latest counts.",
        ),
        click.option(
            "--with-provenance",
            is_flag=True,
            help="Add columns that say how each record came about: models, rounds, points, guards, cost, the "
            "original responses.",
        ),
        click.option(
            "--decontaminate",
            "benchmarks",
            multiple=True,
            metavar="FILE",
            help="Leave out records that share 8 words in a row with this benchmark, and list what they "
            "share. Repeat it for more files; plain text counts by lines.",
        ),
        click.option(
            "--mark-contaminated",
            is_flag=True,
            help="Keep such records, and mark them in the column coevol_contaminated.",
        ),
    )
    with_options = neighbors_options(gathered)
    for option in reversed(options):
        with_options = option(with_options)
    return with_options


@click.command()
@click.argument("run", type=PATH)
@output_option(
    "Where to write: .json, .jsonl, .csv, .tsv (these also with .gz or .zst) or .parquet. A run of several "
    "modes gives a file for each, such as FILE.edit.json."
)
@click.option(
    "--to",
    "form",
    type=click.Choice([*FORMATS, *SFT_TRAINERS, *DPO_TRAINERS]),
    help="The format of the records, or the trainer they are for. Default: the format of the data.",
)
@click.option(
    "--pairs",
    "wanted",
    type=click.Choice(PAIRS),
    help="For trl-dpo and llamafactory-dpo: each result against its original (final, the default), each "
    "accepted draft against the response before it (steps), or both and rejected drafts too (all).",
)
@click.option("--mode", type=MODE, help="Only the results of this mode, in FILE itself.")
@content_options
def export(
    run: Path,
    file: Path,
    form: Format | SftTrainer | DpoTrainer | None,
    wanted: Pairs | None,
    mode: str | None,
    content: ContentOptions,
) -> None:
    """Write the data set with its evolved responses, as data or for a trainer.

    Records keep their order and their other fields; those that speak of an old response, such as its score,
    are original_… next to a new one. Failed samples keep their responses, and skipped records
    stay as they were; in another format (--to) the few that it cannot express are left out. For a run in
    progress, finished samples are written.

    For a trainer, records hold what it documents and nothing else; skipped ones and those with an empty
    response are left out. The -dpo formats hold pairs of a better and a worse response: of modes with a
    judge, and of users' decisions in any mode.

    A data card is written next to each file, and missing folders are made.
    """
    opened = open_run(run)
    ledger, records = opened.ledger, opened.manifest["data"]["records"]
    layout_to_write(file)
    by_users = load_decisions(ledger)
    decisions = by_users if content.decided_by == "human" else {}
    modes = [opened.mode(mode)] if mode else opened.modes
    if form in DPO_TRAINERS:
        decided = {mode for _, mode in decisions}
        if not (modes := [name for name in modes if is_judged(name) or name in decided]):
            judged = ", ".join(name for name in MODES if is_judged(name))
            raise RunError(
                f"{form} needs pairs of which a judge preferred one: only {judged} have a judge; other modes "
                "need --decided-by human and a user's decisions"
            )
    elif wanted:
        raise RunError(f"--pairs needs --to {' or '.join(DPO_TRAINERS)}")
    if form == "openai" and (content.with_provenance or content.mark_contaminated):
        raise RunError("openai takes no other fields: leave out --with-provenance and --mark-contaminated")
    targets = {chosen: with_part(file, chosen) for chosen in modes}
    if len(modes) == 1:
        targets[modes[0]] = file
    for target in targets.values():
        refuse_to_overwrite(target, opened)
        check_companions(target, form)
    selected = selection_from(opened, by_users, content)
    notice(opened, by_users, content.decided_by)
    for chosen, target in targets.items():
        work = selected.write(target, chosen, form, wanted or "final")
        contents = work.contents(records)
        say(f"{target}: {contents.summary}", err=True)
        if work.screen:
            say(work.screen.write_list(target), err=True)
        if work.unreadable and (line := work.unreadable.write_next_to(target)):
            say(line, err=True)
        for line in write_companions(
            target, form, chosen, contents, summary(opened, [chosen]), tools=work.tools
        ):
            say(line, err=True)
        if form == "openai" and work.written < OPENAI_LEAST:
            say(f"{target}: OpenAI accepts no fewer than {OPENAI_LEAST} records", err=True)
        if work.marks and form in UNHEEDED:
            say(
                f"{target}: some responses are marked as not to be learned from, which {form} does not heed",
                err=True,
            )


def notice(opened: Run, by_users: Decisions, decided_by: DecidedBy) -> None:
    """Print what a user should know before anything is written."""
    if is_rehearsed(opened.manifest):
        say(NOTICE, err=True)
    if by_users and decided_by == "judge":
        number = plural(sum(map(len, by_users.values())), "decision")
        say(f"{number} by users; --decided-by human follows them", err=True)


class NothingToWrite(RunError):
    """A file would have no records."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be written of a run, as `content_options` say."""

    opened: Run
    only_accepted: bool
    decisions: Decisions
    with_provenance: bool
    benchmarks: Benchmarks | None
    marks_contaminated: bool
    thoughts: Thoughts
    stale: tuple[str, ...]
    not_stale: tuple[str, ...]
    only_readable: bool = False
    """Whether records that cannot be read are left out: their values may have any type."""

    def write(
        self, target: Path, mode: str, form: Format | SftTrainer | DpoTrainer | None, wanted: Pairs = "final"
    ) -> "Export":
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
        form: Any = None,
        wanted: Pairs = "final",
        *,
        marks: bool = False,
        tools: bool = False,
    ) -> "Export":
        """Return the records of a mode, to be written."""
        made = self.opened.manifest
        reference = made["data"].get("reference")
        spared = (*self.not_stale, *([reference] if reference else ()))
        return Export(
            self.opened.ledger,
            mode,
            form,
            self.only_accepted,
            wanted,
            self.decisions,
            Neighbors(self.thoughts, self.stale, spared),
            recorded_settings(made)["thoughts"] == "text",
            Provenance(made, mode, endpoints(made)) if self.with_provenance else None,
            Screen(self.benchmarks, marks=self.marks_contaminated) if self.benchmarks else None,
            marks,
            tools,
            self.only_readable,
        )

    def _write(
        self, target: Path, mode: str, form: Any, wanted: Pairs, *, marks: bool, tools: bool
    ) -> "Export":
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
                raise NothingToWrite(f"nothing to write to {target}: {work.summary(made['data']['records'])}")
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
        content.thoughts or recorded_settings(opened.manifest)["thoughts"],
        content.stale,
        content.not_stale,
    )


@dataclass(slots=True)
class Export:
    """The records of one mode, and a count of those written and left out."""

    ledger: Ledger
    mode: str
    to: Format | SftTrainer | DpoTrainer | None
    only_accepted: bool
    wanted: Pairs
    decisions: Decisions
    neighbors: Neighbors
    with_thoughts: bool
    """Whether the run took thoughts for a part of the response."""
    provenance: Provenance | None
    screen: Screen | None
    marks: bool
    """Whether records for trainers say of each response if it is to be learned from."""
    tools: bool
    """Whether records for trainers have a column for tools."""
    only_readable: bool
    unreadable: Unreadable | None = None
    """Where records go that the file cannot hold."""
    as_text: Sequence[str] = ()
    """Fields that the file has as texts since Parquet has no type for all of their values."""
    samples: Iterable[SampleResults] | None = None
    """The samples with their results; None for all that are finished."""
    example: dict[str, Any] | None = None
    """The first record with a new response; the first one before there is such a record."""
    decided: Counter[DecisionKind] = field(default_factory=Counter)
    """The exchanges in the file as a user decided them, by the kind of the decision."""
    _count: Counter[str] = field(default_factory=Counter)
    _pairs: Counter[PairKind] = field(default_factory=Counter)
    _inexpressible: str = ""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the finished records with their responses, in the data's order."""
        for sample, results, calls in self._finished():
            result = results.get(SKIPPED) or results.get(self.mode)
            if result is None:
                continue
            if self.with_thoughts and result.status != "skipped":
                sample = recorded_sample(sample.position, sample.id, sample.read, sample.read_as)
            self._count["finished"] += 1
            decisions = self.decisions.get((sample.position, result.mode), {})
            judged, result = (
                self._spared(sample, apart(sample, each)) for each in (result, followed(result, decisions))
            )
            self._count["by users"] += sum("decision" in done for done in result.outcome)
            self._count["outdated"] += sum(not decision.stands for decision in decisions.values())
            self._count["disputed"] += sum(decision.disputed for decision in decisions.values())
            changed = has_new_response(result)
            if self.only_accepted and not changed:
                self._count["not accepted"] += 1
                continue
            # Those with thoughts can be learned from as they are.
            is_whole = result.reason == HAS_THOUGHTS and self.to in SFT_TRAINERS
            if result.status == "skipped" and self._for_trainer and not is_whole:
                self._count["skipped and left out"] += 1
                continue
            if result.status == "skipped" and self._cannot_hold(sample):
                self._count["unreadable and left out"] += 1
                continue
            match self.to:
                case "trl-dpo" | "llamafactory-dpo" as to:
                    records = self._pairs_of(sample, result, judged, to, calls)
                case to:
                    records = self._record_of(sample, result, to, calls)
            if not records:
                continue
            self._count["written"] += 1
            self._count["records"] += len(records)
            self._count["changed"] += changed
            self._count["of an earlier run"] += has_columns(sample.read)
            self._count["skipped"] += result.status == "skipped"
            self._count["failed"] += any("failure" in e and "decision" not in e for e in result.outcome)
            if self.example is None or (changed and self._count["changed"] == 1):
                self.example = records[0]
            yield from records

    def _cannot_hold(self, sample: Sample) -> bool:
        if self.unreadable:
            return self.unreadable.takes(sample)
        return self.only_readable and not is_readable(sample)

    def contents(self, of: int) -> Contents:
        """Return what is in the file, for its card; `of` is the number of records in the data."""
        columns = [name for name in self.example or {} if name.startswith(PREFIX)]
        compared = self.screen.facts() if self.screen else {}
        return Contents(self.summary(of), self.decided, columns, compared, self._count["changed"])

    def _finished(self) -> Iterator[tuple[Sample, dict[str, Result], list[CallsOfSample]]]:
        """Yield the samples with their results and, if they are needed, their calls."""
        remaining = iter(self.ledger.samples() if self.samples is None else self.samples)
        while some := list(islice(remaining, BATCH)):
            ids = [sample.id for sample, _ in some]
            calls = by_sample(self.ledger, ids, self.mode) if self.provenance else {}
            for sample, results in some:
                yield sample, results, calls.get(sample.id, [])

    def _with_columns(
        self, sample: Sample, result: Result, record: dict[str, Any], calls: list[CallsOfSample]
    ) -> dict[str, Any] | None:
        """Return a record with its further columns; None if it is left out."""
        kept: dict[str, Any] | None = record
        if self.screen:
            kept = self.screen.screened(sample.id, record, self._texts(sample, result, record))
        if kept is not None and raw_text(record) is not None:
            return record  # which is no record that could have columns
        if kept is not None and self.provenance:
            kept = kept | self.provenance.columns(sample, result, calls)
        return kept

    def _texts(self, sample: Sample, result: Result, record: dict[str, Any]) -> Iterator[str]:
        """Yield the texts of a record that a model would be trained on."""
        if self._for_trainer:
            yield from strings(record)
            return
        yield from strings([record.get(name) for name in (*SIDES, *side_fields(record).values(), *REJECTED)])
        try:
            yield from (turn.whole for turn in turns_with_responses(sample, responses(sample, result)))
        except DataError:  # a record that cannot be read stays as it is
            yield from strings(record)

    @property
    def written(self) -> int:
        """How many records have been yielded."""
        return self._count["records"]

    @property
    def _for_trainer(self) -> bool:
        return self.to in SFT_TRAINERS or self.to in DPO_TRAINERS

    def _neighbors(self) -> Iterator[str]:
        """Describe what became of old thoughts, and of fields next to new responses."""
        found = self.neighbors
        if found.thinking and self.to not in DPO_TRAINERS:
            kept = "with the old thoughts" if found.thoughts == "keep" else "without the old thoughts"
            yield f"{plural(found.thinking, 'new response')} {kept}"
        if self._for_trainer:
            return
        if found.renamed:
            yield f"{ORIGINAL}… next to a new response: {_fields(found.renamed)}"
        if found.dropped:
            yield f"dropped next to a new response: {_fields(found.dropped)}"
        if unknown := [name for name in found.stale if not found.renamed[name]]:
            yield f"no {printable(' or '.join(unknown))} next to a new response"
        if found.other_side:
            yield f"left out, since {self.to} has no place for the other side: {_fields(found.other_side)}"
        if found.clashing:
            yield f"{ORIGINAL}… where {self.to} has a field of that name: {_fields(found.clashing)}"

    def _record_of(
        self, sample: Sample, result: Result, to: Format | SftTrainer | None, calls: list[CallsOfSample]
    ) -> list[dict[str, Any]]:
        """Return the record of a sample; none if it cannot be expressed or is left out."""
        texts = responses(sample, result)
        neighbors = self.neighbors.afresh()  # which count once the record is known to be written
        try:
            match to:
                case "trl-sft" | "llamafactory" | "axolotl" | "openai":
                    record = sft_record(
                        sample, texts, to, marks=self.marks, tools=self.tools, neighbors=neighbors
                    )
                case _:
                    if same_as_other_side(sample, texts):
                        self._count["equal"] += 1
                        texts = [exchange.response for exchange in sample.exchanges]
                    record = with_responses(sample, texts, to, neighbors)
        except DataError as error:
            self._left_out(error)
            return []
        kept = self._with_columns(sample, result, record, calls)
        if kept is None:
            return []
        self.neighbors.add(neighbors)
        self._count["rejected"] += to is not None and side_of(sample.read_as) == "rejected"
        self.decided.update(done["decision"] for done in result.outcome if "decision" in done)
        return [kept]

    def _pairs_of(
        self,
        sample: Sample,
        result: Result,
        judged: Result,
        to: DpoTrainer,
        calls: list[CallsOfSample],
    ) -> list[dict[str, Any]]:
        """Return the records of a sample's pairs, except those that cannot be expressed or are left out.

        The conversation before a pair is that of the `judged` result, in which its responses were written and
        compared, whatever the user decided in earlier exchanges.
        """
        before = responses(sample, judged)
        decided = {done["exchange"]: done["decision"] for done in result.outcome if "decision" in done}
        records: list[dict[str, Any]] = []
        expressed = 0
        for pair in pairs(result, self.wanted):
            try:
                record = pair_record(sample, before, pair, to, self.neighbors, tools=self.tools)
            except DataError as error:
                self._left_out(error)
                continue
            expressed += 1
            kept = self._with_columns(sample, result, record, calls)
            if kept is None:
                continue
            records.append(kept)
            self._pairs[pair.kind] += 1
            if pair.exchange in decided:
                self.decided[decided.pop(pair.exchange)] += 1
        self._count["without a pair"] += not expressed
        return records

    def _spared(self, sample: Sample, result: Result) -> Result:
        """Return the result without new responses in place of those with thoughts, if they are to stay."""
        if self.neighbors.thoughts != "skip" or not any(each.thoughts for each in sample.exchanges):
            return result
        return replace(
            result,
            outcome=[done for done in result.outcome if not sample.exchanges[done["exchange"]].thoughts],
        )

    def _left_out(self, error: DataError) -> None:
        self._count["inexpressible"] += 1
        self._inexpressible = self._inexpressible or printable(str(error))

    def summary(self, of: int) -> str:
        """Describe what is in the file and what is not; `of` is the number of records in the data."""
        count = self._count
        others = "judged" if is_judged(self.mode) else "rewritten"
        exchanges = plural(self.decided.total(), "exchange")
        by_user = f"{exchanges} as a user decided, the others as they were {others}"
        data = plural(of, "record")
        parts = [f"{count['written']:,} of {data}, {count['changed']:,} with new responses"]
        if self.to in DPO_TRAINERS:
            parts = [f"{plural(count['records'], 'pair')} from {count['written']:,} of {data}"]
            if self._pairs:
                kinds = ", ".join(f"{self._pairs[kind]:,} {kind}" for kind in PAIR_KINDS if self._pairs[kind])
                parts.append(f"--pairs {self.wanted}: {kinds}")
            if count["without a pair"]:
                parts.append(f"{count['without a pair']:,} without a pair")
            exchanges = plural(count["by users"], "exchange")
            by_user = f"{exchanges} decided by users, {self.decided.total():,} of them with pairs here"
        elif count["failed"]:
            parts.append(f"{count['failed']:,} with a failure, where the response is the old one")
        if count["by users"]:
            parts.append(by_user)
        if count["disputed"]:
            disputed = plural(count["disputed"], "exchange")
            parts.append(f"{disputed} on which reviewers disagree, where the latest decision counts")
        if count["outdated"]:
            outdated = plural(count["outdated"], "decision")
            parts.append(f"{outdated} ignored, made on an earlier result")
        for name, label in _LEFT_ALONE.items():
            if count[name]:
                parts.append(f"{count[name]:,} {label}")
        if count["inexpressible"]:
            what = "pair" if self.to in DPO_TRAINERS else "record"
            parts.append(
                f"{plural(count['inexpressible'], what)} left out because {self.to} cannot express them "
                f"(the first: {self._inexpressible})"
            )
        if count["equal"]:
            parts.append(f"{count['equal']:,} as they were, since both sides would be equal")
        if count["rejected"]:
            parts.append(f"{plural(count['rejected'], 'response')} of the rejected side")
        parts += self._neighbors()
        if self.as_text:
            fields = ", ".join(printable(brief(name)) for name in self.as_text[:_MOST_FIELDS])
            more = ", …" if len(self.as_text) > _MOST_FIELDS else ""
            parts.append(f"as text, since their values have no type in common: {fields}{more}")
        if self.screen:
            parts.append(self.screen.describe())
        if earlier := count["of an earlier run"]:
            if self.provenance:
                originals = f"{PREFIX}original_responses"
                parts.append(f"{PREFIX}… of an earlier run replaced, but for {originals} ({earlier:,})")
            elif not self._for_trainer:
                parts.append(
                    f"{PREFIX}… of an earlier run as they were ({earlier:,}), which say nothing of this run; "
                    "--with-provenance replaces them"
                )
        if count["finished"] < of:
            parts.append(f"{of - count['finished']:,} not finished in this run")
        return "; ".join(parts)


_LEFT_ALONE = {
    "skipped": "skipped and as they were",
    "skipped and left out": "skipped and left out",
    "unreadable and left out": "unreadable and left out",
    "not accepted": "left out because no response is new",
}


_MOST_FIELDS = 8
"""Fields that are named in a summary."""


def _fields(counts: Counter[str]) -> str:
    shown = [f"{printable(brief(name))} ({count:,})" for name, count in counts.most_common(_MOST_FIELDS)]
    return ", ".join(shown) + (", …" if len(counts) > _MOST_FIELDS else "")


def apart(sample: Sample, result: Result) -> Result:
    """Return the result with original responses as they are read today, without thoughts.

    A run may have taken thoughts for a part of the response, as all did before they were separated.
    """
    outcome: list[dict[str, Any]] = []
    for done in result.outcome:
        today = sample.exchanges[done["exchange"]].response
        if today != (before := done["original"]):
            changed = {name: today for name in ("response", "judged") if done.get(name) == before}
            done = {**done, "original": today, **changed}
        outcome.append(done)
    return replace(result, outcome=outcome)


def responses(sample: Sample, result: Result) -> list[str]:
    """Return the response of each exchange after a run: the evolved one, or the old one if not worked on."""
    texts = [exchange.response for exchange in sample.exchanges]
    for done in result.outcome:
        texts[done["exchange"]] = done["response"]
    return texts
