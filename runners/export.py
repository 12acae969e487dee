"""`coevol export RUN -o FILE`: the data set with the responses of a run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import click

from ledger.decisions import DecisionKind, Decisions, load_decisions
from ledger.ledger import SKIPPED, Ledger, Result
from models.providers.rehearsal import NOTICE
from prompts.method import MODES
from reporting.labels import is_judged, plural
from reporting.manifest import RunError, is_rehearsed
from reporting.run import open_run
from reporting.summary import summary
from runners.data_card import Contents
from runners.folder import refuse_to_overwrite
from runners.human_decisions import DECIDED_BY, DecidedBy, followed, has_new_response
from runners.options import MODE, PATH, output_option
from runners.preference_pairs import PAIRS, Pairs, pairs
from runners.terminal import say
from runners.trainer_files import check_trainer_files, write_trainer_files
from samples.files import layout_to_write, write_records
from samples.formats import FORMATS, with_responses
from samples.printable import printable
from samples.sample import DataError, Format, Sample
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
    pair_record,
    sft_record,
)


@click.command()
@click.argument("run", type=PATH)
@output_option(
    "Where to write: .json, .jsonl or .parquet. A run of several modes gives a file for each, such as "
    "FILE.edit.json."
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
@click.option("--only-accepted", is_flag=True, help="Leave out samples without a new response.")
@click.option(
    "--decided-by",
    type=click.Choice(DECIDED_BY),
    default="judge",
    help="Whose decision counts where a user decided in `coevol view`: the judge's (the default), or the "
    "user's; elsewhere it is the judge's.",
)
def export(
    run: Path,
    file: Path,
    form: Format | SftTrainer | DpoTrainer | None,
    wanted: Pairs | None,
    mode: str | None,
    only_accepted: bool,
    decided_by: DecidedBy,
) -> None:
    """Write the data set with its evolved responses, as data or for a trainer.

    Records keep their order and their other fields. Failed samples keep their responses, and skipped records
    stay as they were; in another format (--to) the few that it cannot express are left out. For a run in
    progress, finished samples are written.

    For a trainer, records hold what it documents and nothing else; skipped ones and those with an empty
    response are left out, and a data card is written next to the file. The -dpo formats hold pairs of a
    better and a worse response: of modes with a judge, and of users' decisions in any mode.
    """
    opened = open_run(run)
    ledger, records = opened.ledger, opened.manifest["data"]["records"]
    layout_to_write(file)
    by_users = load_decisions(ledger)
    decisions = by_users if decided_by == "human" else {}
    modes = [opened.mode(mode)] if mode else opened.modes
    if form in DPO_TRAINERS:
        decided = {mode for _, mode in decisions}
        if not (modes := [name for name in modes if is_judged(name) or name in decided]):
            judged = " or ".join(name for name in MODES if is_judged(name))
            raise RunError(
                f"{form} needs pairs of which a judge preferred one: only mode {judged} has a judge; others "
                "need --decided-by human and a user's decisions"
            )
    elif wanted:
        raise RunError(f"--pairs needs --to {' or '.join(DPO_TRAINERS)}")
    targets = {chosen: file.with_suffix(f".{chosen}{file.suffix}") for chosen in modes}
    if len(modes) == 1:
        targets[modes[0]] = file
    for target in targets.values():
        refuse_to_overwrite(target, opened)
        if form in SFT_TRAINERS or form in DPO_TRAINERS:
            check_trainer_files(target, form)
    if is_rehearsed(opened.manifest):
        say(NOTICE, err=True)
    if by_users and decided_by == "judge":
        number = plural(sum(map(len, by_users.values())), "decision")
        say(f"{number} by users; --decided-by human follows them", err=True)
    for chosen, target in targets.items():
        work = Export(ledger, chosen, form, only_accepted, wanted or "final", decisions)
        try:
            _write(work, target, records)
        except MarksFound:
            work = Export(ledger, chosen, form, only_accepted, wanted or "final", decisions, marks=True)
            _write(work, target, records)
        contents = Contents(work.summary(records), work.decided)
        say(f"{target}: {contents.summary}", err=True)
        if form in SFT_TRAINERS or form in DPO_TRAINERS:
            for line in write_trainer_files(target, form, chosen, contents, summary(opened, [chosen])):
                say(line, err=True)
        if form == "openai" and work.written < OPENAI_LEAST:
            say(f"{target}: OpenAI accepts no fewer than {OPENAI_LEAST} records", err=True)
        if work.marks and form in UNHEEDED:
            say(
                f"{target}: some responses are marked as not to be learned from, which {form} does not heed",
                err=True,
            )


def _write(work: "Export", target: Path, of: int) -> None:
    stream = work.records()
    first = next(stream, None)
    if first is None:
        raise RunError(f"nothing to write to {target}: {work.summary(of)}")
    write_records(target, chain([first], stream))


@dataclass(slots=True)
class Export:
    """The records of one mode, and a count of those written and left out."""

    ledger: Ledger
    mode: str
    to: Format | SftTrainer | DpoTrainer | None
    only_accepted: bool
    wanted: Pairs
    decisions: Decisions
    marks: bool = False
    """Whether records for trainers say of each response if it is to be learned from."""
    decided: Counter[DecisionKind] = field(default_factory=Counter)
    """The exchanges in the file as a user decided them, by the kind of the decision."""
    _count: Counter[str] = field(default_factory=Counter)
    _pairs: Counter[PairKind] = field(default_factory=Counter)
    _inexpressible: str = ""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the finished records with their responses, in the data's order."""
        for sample, results in self.ledger.samples():
            result = results.get(SKIPPED) or results.get(self.mode)
            if result is None:
                continue
            self._count["finished"] += 1
            decisions = self.decisions.get((sample.position, result.mode), {})
            judged, result = result, followed(result, decisions)
            self._count["by users"] += sum("decision" in done for done in result.outcome)
            self._count["outdated"] += sum(not decision.stands for decision in decisions.values())
            changed = has_new_response(result)
            if self.only_accepted and not changed:
                self._count["not accepted"] += 1
                continue
            if result.status == "skipped" and self._for_trainer:
                self._count["skipped and left out"] += 1
                continue
            match self.to:
                case "trl-dpo" | "llamafactory-dpo" as to:
                    records = self._pairs_of(sample, result, judged, to)
                    self._count["without a pair"] += not records
                case to:
                    records = self._record_of(sample, result, to)
            if not records:
                continue
            self._count["written"] += 1
            self._count["records"] += len(records)
            self._count["changed"] += changed
            self._count["skipped"] += result.status == "skipped"
            self._count["failed"] += any("failure" in e and "decision" not in e for e in result.outcome)
            yield from records

    @property
    def written(self) -> int:
        """How many records have been yielded."""
        return self._count["records"]

    @property
    def _for_trainer(self) -> bool:
        return self.to in SFT_TRAINERS or self.to in DPO_TRAINERS

    def _record_of(
        self, sample: Sample, result: Result, to: Format | SftTrainer | None
    ) -> list[dict[str, Any]]:
        """Return the record of a sample; none if it cannot be expressed."""
        texts = responses(sample, result)
        try:
            match to:
                case "trl-sft" | "llamafactory" | "axolotl" | "openai":
                    record = sft_record(sample, texts, to, marks=self.marks)
                case _:
                    record = with_responses(sample, texts, to)
        except DataError as error:
            self._left_out(error)
            return []
        self.decided.update(done["decision"] for done in result.outcome if "decision" in done)
        return [record]

    def _pairs_of(
        self, sample: Sample, result: Result, judged: Result, to: DpoTrainer
    ) -> list[dict[str, Any]]:
        """Return the records of a sample's pairs, except those that cannot be expressed.

        The conversation before a pair is that of the `judged` result, in which its responses were written and
        compared, whatever the user decided in earlier exchanges.
        """
        before = responses(sample, judged)
        decided = {done["exchange"]: done["decision"] for done in result.outcome if "decision" in done}
        records = []
        for pair in pairs(result, self.wanted):
            try:
                records.append(pair_record(sample, before, pair, to))
            except DataError as error:
                self._left_out(error)
                continue
            self._pairs[pair.kind] += 1
            if pair.exchange in decided:
                self.decided[decided.pop(pair.exchange)] += 1
        return records

    def _left_out(self, error: DataError) -> None:
        self._count["inexpressible"] += 1
        self._inexpressible = self._inexpressible or printable(str(error))

    def summary(self, of: int) -> str:
        """Describe what is in the file and what is not; `of` is the number of records in the data."""
        count = self._count
        others = "judged" if is_judged(self.mode) else "rewritten"
        exchanges = plural(self.decided.total(), "exchange")
        by_user = f"{exchanges} as a user decided, the others as they were {others}"
        parts = [f"{count['written']:,} of {of:,} records, {count['changed']:,} with new responses"]
        if self.to in DPO_TRAINERS:
            parts = [f"{plural(count['records'], 'pair')} from {count['written']:,} of {of:,} records"]
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
        if count["finished"] < of:
            parts.append(f"{of - count['finished']:,} not finished in this run")
        return "; ".join(parts)


_LEFT_ALONE = {
    "skipped": "skipped and as they were",
    "skipped and left out": "skipped and left out",
    "not accepted": "left out because no response is new",
}


def responses(sample: Sample, result: Result) -> list[str]:
    """Return the response of each exchange after a run: the evolved one, or the old one if not worked on."""
    texts = [exchange.response for exchange in sample.exchanges]
    for done in result.outcome:
        texts[done["exchange"]] = done["response"]
    return texts
