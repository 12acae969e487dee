"""What pages and reports of a trial show: its figures, and what was said of each sample."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from models.limits.budget import Amount
from reporting.labels import shorten
from reporting.manifest import RunError
from reporting.run import LEDGER
from reporting.trial import ARM_RUNS, PEOPLE, REFEREES
from reporting.trial_costs import TrialCost
from reporting.trial_decisions import digest_of
from reporting.trial_manifest import FILE, shown
from trials.blind import Comparison
from trials.judgments import UNCHANGED, Judgment, score_of

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial
    from trials.report import Report

OUTCOMES = {"won": "won", "tie": "tie", "lost": "lost"}
"""What an arm's score against the baseline says."""

DISAGREEMENTS = {
    "arms": "arms disagree",
    "referees": "referees disagree",
    "orders": "orders contradict",
    "people": "people and referees disagree",
}
"""Labels of what may make a sample worth a look."""

DISAGREEING = {
    "arms": "one arm won against the original response and another lost",
    "referees": "two referees prefer different responses",
    "orders": "a referee prefers another response when the order is reversed",
    "people": "a person and the referees prefer different responses",
}
"""What each of `DISAGREEMENTS` means."""


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample that all arms have finished, and what was said of it."""

    position: int
    """In the trial."""
    id: str
    request: str
    """The beginning of its first request."""
    scores: Mapping[str, float]
    """By arm, against the baseline, from 0 to 1; those that were judged or are unchanged."""
    exchange_scores: Mapping[tuple[int, str], float]
    """The same of each exchange, by its number and by arm. A sample's score is the mean of these."""
    disagreements: frozenset[str]
    """Those of `DISAGREEMENTS`."""

    def outcome(self, arm: str, exchange: int | None = None) -> str:
        """Return one of `OUTCOMES`, of the sample or of an exchange; empty if the arm was not judged."""
        score = self.scores.get(arm) if exchange is None else self.exchange_scores.get((exchange, arm))
        return "" if score is None else "won" if score > 0.5 else "lost" if score < 0.5 else "tie"

    def outcomes(self, arm: str, exchange: int) -> list[str]:
        """Return the outcome of an exchange, and that of the whole sample in words where it is another."""
        here, whole = self.outcome(arm, exchange), self.outcome(arm)
        return [each for each in (here, f"{whole} in all" if whole not in ("", here) else "") if each]


@dataclass(frozen=True, slots=True)
class TrialSnapshot:
    """A trial at a moment."""

    trial: "RecordedTrial"
    samples: Sequence[JudgedSample]
    lengths: Mapping[str, float]
    """By arm: the mean length of the compared responses, in characters."""
    report: "Report | None"
    missing: str
    """Why there is no report yet."""
    sentences: Sequence[str]
    notes: Sequence[str]
    best: str | None
    """The mode to go on with; None if none is better than the baseline."""
    none_better: str
    """That none is, in words; empty if one is, or nothing is known."""
    costs: Mapping[str, TrialCost]
    failed: Mapping[str, int]
    spent: Amount
    counted: float
    """Unix time."""

    @property
    def drawn(self) -> int:
        """How many samples the trial has."""
        return len(self.trial.manifest["positions"])

    def disagreeing(self, kind: str) -> int:
        """Return how many samples have a disagreement of this kind."""
        return sum(kind in sample.disagreements for sample in self.samples)


def trial_snapshot(trial: "RecordedTrial") -> TrialSnapshot:
    """Return a trial as it is now. Takes seconds the first time.

    Raises:
        LedgerError: a ledger cannot be read.
    """
    samples, lengths = _read(trial)
    report, missing, best, none_better, sentences = None, "", None, "", list[str]()
    notes = [*rehearsed(trial)]
    try:
        report, sentences, best = trial.report(), trial.sentences(), trial.best()
        none_better = trial.none_better()
        notes = [*trial.notes(), *notes]
    except RunError as error:
        missing = str(error).removeprefix(f"{trial.folder}: ")
    return TrialSnapshot(
        trial=trial,
        samples=samples,
        lengths=lengths,
        report=report,
        missing=missing,
        sentences=sentences,
        notes=notes,
        best=best,
        none_better=none_better,
        costs=trial.costs(),
        failed=trial.failed(),
        spent=trial.spent(),
        counted=time.time(),
    )


def judged_samples(trial: "RecordedTrial") -> list[JudgedSample]:
    """Return the samples that all arms have finished. Raises as `trial_snapshot`."""
    return _read(trial)[0]


def trial_state(trial: "RecordedTrial") -> object:
    """Return a value that changes whenever something is added to a trial."""
    return (arms_state(trial), _written(trial, f"{REFEREES}/{LEDGER}"), _written(trial, PEOPLE))


def arms_state(trial: "RecordedTrial") -> object:
    """Return a value that changes whenever something is added to an arm, or the trial is continued."""
    return [made_at(trial)] + [_written(trial, f"{ARM_RUNS}/{arm}/{LEDGER}") for arm in trial.arms[1:]]


def made_at(trial: "RecordedTrial") -> object:
    """Return a value that changes whenever the trial's manifest does."""
    return _written(trial, FILE)


def _written(trial: "RecordedTrial", name: str) -> list[tuple[int, int]]:
    files = [trial.folder / name, trial.folder / f"{name}-wal"]
    return [(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()]


def comparisons(trial: "RecordedTrial") -> dict[Comparison, str]:
    """Return the comparisons of a trial whose two responses differ, which a person can decide on, each with
    the digest of its responses (`reporting.trial_decisions.digest_of`)."""
    return {
        (each.sample.id, exchange, arm, rival): digest_of(responses[arm], responses[rival])
        for each in trial.samples()
        for exchange, responses in each.responses.items()
        for arm, rival in trial.pairs(each.position)
        if responses[arm] != responses[rival]
    }


def _read(trial: "RecordedTrial") -> tuple[list[JudgedSample], dict[str, float]]:
    said: dict[str, list[Judgment]] = defaultdict(list)
    for judgment in trial.judgments():
        said[judgment.sample].append(judgment)
    with_models = any(not each.person and each.referee != UNCHANGED for all in said.values() for each in all)
    samples, lengths = [], defaultdict[str, list[int]](list)
    for each in trial.samples():
        for responses in each.responses.values():
            for arm, response in responses.items():
                lengths[arm].append(len(response))
        first = each.sample.exchanges[0] if each.sample.exchanges else None
        request = f"{first.instruction[:1000]} {first.input[:1000]}" if first else ""
        judged = said[each.sample.id]
        of_exchanges = _scores(judged, trial.arms[0], people=not with_models)
        by_arm: dict[str, list[float]] = defaultdict(list)
        for (_, arm), score in of_exchanges.items():
            by_arm[arm].append(score)
        scores = {arm: round(fmean(each), 12) for arm, each in by_arm.items()}
        samples.append(
            JudgedSample(
                each.position,
                each.sample.id,
                shorten(" ".join(request.split())),
                scores,
                of_exchanges,
                frozenset(_disagreements(judged, scores)),
            )
        )
    return samples, {arm: fmean(each) for arm, each in lengths.items()}


class _Said(NamedTuple):
    """What a referee said of a comparison."""

    person: bool
    outcomes: dict[object, float | None]
    """By order."""

    @property
    def score(self) -> float | None:
        """Its vote."""
        return score_of(self.outcomes, person=self.person)


def _votes(judgments: Iterable[Judgment]) -> dict[tuple[int, str, str], list[_Said]]:
    """Return what was said by exchange, arm and rival."""
    found: dict[tuple[int, str, str], dict[tuple[str, bool], _Said]] = defaultdict(dict)
    for each in judgments:
        votes = found[each.exchange, each.arm_a, each.arm_b]
        said = votes.setdefault((each.referee, each.person), _Said(each.person, {}))
        said.outcomes[each.order] = each.outcome
    return {place: [*votes.values()] for place, votes in found.items()}


def _scores_of(votes: Iterable[_Said], *, person: bool | None = None) -> list[float]:
    """Return the votes, of people or of models alone unless `person` is None."""
    scores = (said.score for said in votes if person in (None, said.person))
    return [score for score in scores if score is not None]


def _scores(judgments: Iterable[Judgment], baseline: str, *, people: bool) -> dict[tuple[int, str], float]:
    """Return the scores against the baseline by exchange and arm."""
    found = {}
    for (exchange, arm, rival), votes in _votes(judgments).items():
        panel = _scores_of(votes, person=None if people else False)
        if rival == baseline and panel:
            # Sums of thirds must meet one half exactly.
            found[exchange, arm] = round(fmean(panel), 12)
    return found


def _disagreements(judgments: Iterable[Judgment], scores: Mapping[str, float]) -> Iterator[str]:
    if min(scores.values(), default=0.5) < 0.5 < max(scores.values(), default=0.5):
        yield "arms"
    for votes in _votes(judgments).values():
        models, people = (_scores_of(votes, person=person) for person in (False, True))
        if models and min(models) < 0.5 < max(models):
            yield "referees"
        if any({0.0, 1.0} <= {*said.outcomes.values()} for said in votes):
            yield "orders"
        if models and any((one - 0.5) * (round(fmean(models), 12) - 0.5) < 0 for one in people):
            yield "people"


def rehearsed(trial: "RecordedTrial") -> Iterator[str]:
    """Yield what should be known of referees that are no models."""
    for model in trial.referees:
        if model.startswith("rehearsal:"):
            yield f"{shown(model)} draws its verdicts by a rule: they prove nothing."
