"""The records of an export: the data's, with the responses of a run, or a trainer's."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from ledger.decisions import DecisionKind, Decisions
from ledger.ledger import BATCH, SKIPPED, Ledger, Result, SampleResults
from ledger.usage import CallsOfSample, by_sample
from reporting.cost import NEVER_BILLED
from runners.contamination import Screen
from runners.data_card import Contents, Form
from runners.export_summary import describe
from runners.human_decisions import followed, has_new_response
from runners.preference_pairs import Pairs, pairs
from runners.provenance import PREFIX, Provenance, has_columns
from runners.unreadable import Unreadable, is_readable
from samples.fields import raw_text
from samples.formats import (
    recorded_sample,
    same_as_other_side,
    turns_with_responses,
    with_responses,
)
from samples.layouts import side_of
from samples.neighbors import Neighbors
from samples.overlap import strings
from samples.preferences import REJECTED, SIDES, side_fields
from samples.printable import printable
from samples.sample import DataError, Format, Sample
from samples.thoughts import HAS_THOUGHTS
from samples.trainers import (
    DPO_TRAINERS,
    SFT_TRAINERS,
    DpoTrainer,
    PairKind,
    SftTrainer,
    pair_record,
    sft_record,
)


@dataclass(slots=True)
class Export:
    """The records of one mode, and a count of those written and left out."""

    ledger: Ledger
    mode: str
    to: Form
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
    count: Counter[str] = field(default_factory=Counter)
    """Records, exchanges and decisions, by what became of them (`runners.export_summary`)."""
    pair_kinds: Counter[PairKind] = field(default_factory=Counter)
    inexpressible: str = ""
    """Why the first record that is left out cannot be expressed."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the finished records with their responses, in the data's order."""
        for sample, results, calls in self._finished():
            result = results.get(SKIPPED) or results.get(self.mode)
            if result is None:
                continue
            if self.with_thoughts and result.status != "skipped":
                sample = recorded_sample(sample.position, sample.id, sample.read, sample.read_as)
            self.count["finished"] += 1
            decisions = self.decisions.get((sample.position, result.mode), {})
            both = [as_read_today(sample, each) for each in (result, followed(result, decisions))]
            judged, result = (self._spared(sample, each) for each in both)
            self.count["by users"] += sum("decision" in done for done in result.outcome)
            self.count["outdated"] += sum(not decision.stands for decision in decisions.values())
            self.count["disputed"] += sum(decision.disputed for decision in decisions.values())
            changed = has_new_response(result)
            if self.only_accepted and not changed:
                self.count["not accepted"] += 1
                continue
            # Those with thoughts can be learned from as they are.
            is_whole = result.reason == HAS_THOUGHTS and self.to in SFT_TRAINERS
            if result.status == "skipped" and self.is_for_trainer and not is_whole:
                self.count["skipped and left out"] += 1
                continue
            if result.status == "skipped" and self._cannot_hold(sample):
                self.count["unreadable and left out"] += 1
                continue
            match self.to:
                case "trl-dpo" | "llamafactory-dpo" as to:
                    records = self._pairs_of(sample, result, judged, to, calls)
                case to:
                    records = self._record_of(sample, result, to, calls)
            if not records:
                continue
            self.count["written"] += 1
            self.count["records"] += len(records)
            self.count["changed"] += changed
            self.count["of an earlier run"] += has_columns(sample.read)
            self.count["skipped"] += result.status == "skipped"
            self.count["failed"] += any("failure" in e and "decision" not in e for e in result.outcome)
            if self.example is None or (changed and self.count["changed"] == 1):
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
        return Contents(describe(self, of), self.decided, columns, compared, self.count["changed"])

    def _finished(self) -> Iterator[tuple[Sample, dict[str, Result], list[CallsOfSample]]]:
        """Yield the samples with their results and, if they are needed, their calls."""
        remaining = iter(self.ledger.samples() if self.samples is None else self.samples)
        while some := list(islice(remaining, BATCH)):
            ids = [sample.id for sample, _ in some]
            calls = by_sample(self.ledger, ids, self.mode, NEVER_BILLED) if self.provenance else {}
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
        if self.is_for_trainer:
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
        return self.count["records"]

    @property
    def is_for_trainer(self) -> bool:
        """Whether the records are a trainer's, and not the data's."""
        return self.to in SFT_TRAINERS or self.to in DPO_TRAINERS

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
                        self.count["equal"] += 1
                        texts = [exchange.response for exchange in sample.exchanges]
                    record = with_responses(sample, texts, to, neighbors)
        except DataError as error:
            self._left_out(error)
            return []
        kept = self._with_columns(sample, result, record, calls)
        if kept is None:
            return []
        self.neighbors.add(neighbors)
        self.count["rejected"] += to is not None and side_of(sample.read_as) == "rejected"
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
            self.pair_kinds[pair.kind] += 1
            if pair.exchange in decided:
                self.decided[decided.pop(pair.exchange)] += 1
        self.count["without a pair"] += not expressed
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
        self.count["inexpressible"] += 1
        self.inexpressible = self.inexpressible or printable(str(error))


def as_read_today(sample: Sample, result: Result) -> Result:
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
