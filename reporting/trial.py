"""A trial: its samples, the responses of its arms, what referees and people said of them, and the figures.

Its folder holds `trial.json`, the drawn records (`data.jsonl`), a run for each arm (`arms/…`), one of the
referees (`referees`), and people's decisions (`people.jsonl`). Everything is computed from these.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ledger.ledger import Ledger, LedgerError, Result
from ledger.usage import used
from models.limits.budget import NOTHING, Amount, Usage, priced
from models.settings import ModelSettings, split_model
from reporting.cost import NEVER_BILLED, amount, spent, unpriced
from reporting.manifest import RunError
from reporting.run import LEDGER
from reporting.trial_decisions import Decision, digest_of
from reporting.trial_manifest import (
    MATCHED,
    ORIGINAL,
    TARGET,
    WITHIN,
    TrialManifest,
    arms_of,
    read_trial_manifest,
    referee_settings_of,
    settings_of,
)
from samples.files import file_mode
from samples.sample import Sample
from trials.judgments import UNCHANGED, Features, Judgment, Unit
from trials.pairs import pairs_of
from trials.style import features_of

DATA, ARM_RUNS, REFEREES, PEOPLE = "data.jsonl", "arms", "referees", "people.jsonl"

_LONGEST_NAME = 100


class TrialCost(NamedTuple):
    """What an arm cost."""

    total: float
    """In the unit of the trial's costs."""
    per_sample: float
    uncounted: int
    """Calls that took something unknown, and are left out."""


@dataclass(frozen=True, slots=True)
class TrialSample:
    """A sample of a trial, with the responses of all arms that are finished."""

    sample: Sample
    position: int
    """In the trial."""
    source: int
    """In the data that the trial was drawn from."""
    responses: Mapping[int, Mapping[str, str]]
    """By exchange that some arm worked on, and by arm; the original among them."""
    results: Mapping[str, Result]
    """By arm: the address of its debates. The run is `TrialRecord.arm_folder`."""


class TrialRecord:
    """A trial, finished or in progress. Everything is read again with each call.

    Raises:
        RunError: the folder is not a trial, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: TrialManifest = read_trial_manifest(folder)
        """What made it: the object in `trial.json`."""
        self.arms = arms_of(self.manifest)
        """The baseline, `original`, first."""
        self.referees = [referee["model"] for referee in self.manifest["referees"]]
        """Their models."""

    def __repr__(self) -> str:
        return f"<trial of {len(self.manifest['positions']):,} samples, arms {', '.join(self.arms)}>"

    def arm_folder(self, arm: str) -> Path:
        """Return the folder of an arm's run."""
        return self.folder / ARM_RUNS / arm

    def ledger_of(self, arm: str) -> Ledger | None:
        """Return the ledger of an arm's run; None if it has not begun."""
        return _ledger(self.arm_folder(arm))

    def referee_ledger(self) -> Ledger | None:
        """Return the ledger of the referees; None if they have not begun."""
        return _ledger(self.folder / REFEREES)

    # --- texts

    def samples(self) -> Iterator[TrialSample]:
        """Yield the samples that all arms have finished, in the order of the trial."""
        results: dict[int, dict[str, Result]] = {}
        samples: dict[int, Sample] = {}
        for arm in self.arms[1:]:
            ledger = self.ledger_of(arm)
            for sample, by_mode in ledger.samples() if ledger else ():
                if arm in by_mode:
                    samples[sample.position] = sample
                    results.setdefault(sample.position, {})[arm] = by_mode[arm]
        for position in sorted(results):
            if len(results[position]) == len(self.arms) - 1:
                source = self.manifest["positions"][position]
                responses = compared_responses(samples[position], results[position], self.arms)
                yield TrialSample(samples[position], position, source, responses, results[position])

    def find_sample(self, sample_id: str) -> TrialSample | None:
        """Return a sample by its id; None if there is none that all arms have finished."""
        results: dict[str, Result] = {}
        sample = None
        for arm in self.arms[1:]:
            ledger = self.ledger_of(arm)
            found = ledger.sample(sample_id) if ledger else None
            if found is None or arm not in found[1]:
                return None
            sample, results[arm] = found[0], found[1][arm]
        if sample is None:
            return None
        responses = compared_responses(sample, results, self.arms)
        return TrialSample(
            sample, sample.position, self.manifest["positions"][sample.position], responses, results
        )

    # --- judgments

    def judgments(self) -> list[Judgment]:
        """Return what referees and people said, and what needed no judgment since it is unchanged.

        Of each exchange that some arm worked on, those pairs are compared that the trial has for its sample.
        What was said of other texts than the arms have by now does not count: samples that failed or got
        more rounds since have other responses.
        """
        judged, scores = self._refereed()
        found: list[Judgment] = []
        places: dict[tuple[str, int], tuple[Mapping[str, str], Mapping[str, Features]]] = {}
        for each in self.samples():
            name = each.sample.id
            pairs = pairs_of(self.arms, self.manifest["pairs"], each.position)  # type: ignore[arg-type]
            for exchange, responses in each.responses.items():
                features = {arm: features_of(text) for arm, text in responses.items()}
                places[name, exchange] = responses, features
                for arm, rival in pairs:
                    at: Any = {
                        "exchange": exchange,
                        "features_a": features[arm],
                        "features_b": features[rival],
                    }
                    if responses[arm] == responses[rival]:
                        found.append(Judgment(name, arm, rival, UNCHANGED, None, 0.5, **at))
                        continue
                    texts = responses[rival], responses[arm]
                    for referee, order, outcome in judged.get((name, exchange, arm, rival, texts), ()):
                        found.append(Judgment(name, arm, rival, referee, order, outcome, **at))
                    ours, theirs = (
                        scores.get((name, exchange, each, responses[each]), {}) for each in (arm, rival)
                    )
                    for referee in ours.keys() & theirs.keys():
                        outcome = _higher(ours[referee], theirs[referee])
                        found.append(Judgment(name, arm, rival, referee, None, outcome, **at))
        for decision in self.decisions():
            given, known = places.get((decision.sample, decision.exchange), ({}, {}))
            if decision.is_on(given):
                found.append(decision.judgment(known))
        return found

    def _refereed(self) -> tuple[dict[Any, list[Any]], dict[Any, dict[str, float | None]]]:
        """Return verdicts and scores by sample, exchange, arms and the texts that were judged."""
        judged: dict[Any, list[Any]] = {}
        scores: dict[Any, dict[str, float | None]] = {}
        ledger = self.referee_ledger()
        for sample, by_mode in ledger.samples() if ledger else ():
            for mode, result in by_mode.items():
                arm, _, rival = mode.partition(":")
                for done in result.outcome:
                    if "scores" in done:
                        scores[sample.id, done["exchange"], arm, done["response"]] = done["scores"]
                    texts = done["original"], done["response"]
                    for round_ in done["rounds"]:
                        place = judged.setdefault((sample.id, done["exchange"], arm, rival, texts), [])
                        # In the ledger's forward order the current response, the rival's, is shown first.
                        for order, name, own in (("reversed", "forward", 1), ("forward", "reversed", 0)):
                            for model, one in round_[name]["panel"].items():
                                points = one["points"]
                                outcome = _higher(points[own], points[1 - own]) if points else None
                                place.append((model, order, outcome))
        return judged, scores

    # --- people

    def decisions(self) -> list[Decision]:
        """Return people's decisions, of each person on a pair the last one."""
        found: dict[Any, Decision] = {}
        with suppress(FileNotFoundError):
            for line in (self.folder / PEOPLE).read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, TypeError, AttributeError):  # a line that was cut off
                    decision = Decision(**json.loads(line))
                    if decision.is_valid(self.arms):
                        found[decision.key] = decision
        return [decision for decision in found.values() if decision.outcome is not None]

    def decide(
        self,
        person: str,
        sample: str,
        exchange: int,
        first: str,
        second: str,
        better: str | None,
        texts: Mapping[str, str] | None = None,
    ) -> Decision:
        """Record which of two arms' responses a person prefers; it is on disk when this returns.

        Args:
            person: who decides, by a name that is no referee's.
            sample: the sample's id.
            exchange: its number, from 0.
            first: the arm whose response was shown first, or on the left.
            second: the other arm.
            better: the arm that is better, an empty text for a tie, None to take a decision back.
            texts: the responses that were shown, by arm; the decision counts as long as the arms have these.
                Without them, it counts for those that they have now.

        Raises:
            RunError: there is no such arm, or the name cannot be used.
        """
        if not person.strip() or len(person) > _LONGEST_NAME:
            raise RunError(f"a person's name has 1 to {_LONGEST_NAME} characters")
        if {first, second} - {*self.arms} or first == second or better not in (None, "", first, second):
            raise RunError(f"a decision is on two of the arms {', '.join(self.arms)}")
        a, b = sorted((first, second), key=self.arms.index, reverse=True)
        outcome = None if better is None else 0.5 if not better else float(better == a)
        order = "forward" if first == a else "reversed"
        shown = texts if texts is not None else self._responses(sample, exchange)
        digest = digest_of(shown[a], shown[b]) if {a, b} <= shown.keys() else None
        decision = Decision(person.strip(), sample, exchange, a, b, order, outcome, time.time(), digest)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.folder / PEOPLE, flags, file_mode(self.folder))
        with open(descriptor, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(decision.as_dict()) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return decision

    def _responses(self, sample: str, exchange: int) -> Mapping[str, str]:
        found = self.find_sample(sample)
        return found.responses.get(exchange, {}) if found else {}

    # --- costs

    @property
    def unit(self) -> Unit:
        """What costs are counted in: dollars where all models of the arms have a price that is not 0 for all
        of them, else tokens."""
        is_free = _is_free(settings_of(self.manifest))
        return "dollars" if self.is_priced and not is_free else "tokens"

    @property
    def is_priced(self) -> bool:
        """Whether dollars say what the trial has spent, which may be on its referees alone."""
        return is_priced(settings_of(self.manifest))

    def costs(self) -> dict[str, TrialCost]:
        """Return what the arms cost that have begun, by arm: the calls that their results are made from."""
        settings, number = settings_of(self.manifest), max(len(self.manifest["positions"]), 1)
        found = {}
        for arm in self.arms[1:]:
            if ledger := self.ledger_of(arm):
                by_round, uncounted = cost_by_round(ledger, settings, self.unit)
                total = sum(by_round.values())
                found[arm] = TrialCost(total, total / number, uncounted)
        return found

    def unmatched(self) -> dict[str, str]:
        """Return the arms that cost more or less than `evolve`, by over a tenth, and why."""
        costs = self.costs()
        target = costs[TARGET].total if TARGET in costs else 0.0
        if not target:
            is_arm = TARGET in self.arms
            why = f"no cost of {TARGET} was counted" if is_arm else f"{TARGET} is no arm of this trial"
            return {arm: why for arm in self.arms if arm in MATCHED}
        return {
            arm: self._why_unmatched(arm, cost.total / target)
            for arm, cost in costs.items()
            if abs(cost.total / target - 1) > WITHIN
        }

    def _why_unmatched(self, arm: str, share: float) -> str:
        depth = self.manifest["depths"].get(arm)
        if arm not in MATCHED or depth is None:
            return "a single pass"
        if depth.get("is_spent"):
            return "its drafts stop winning before it costs as much"
        if share > 1:
            return "its last round cost more than expected" if depth["rounds"] > 1 else "one round costs more"
        return f"it ends at {depth['rounds']} rounds or drafts"

    def spent(self) -> Amount:
        """Return what the whole trial has spent so far, referees among it."""
        total = NOTHING
        for arm in self.arms[1:]:
            if ledger := self.ledger_of(arm):
                total = total.plus(spent(ledger, settings_of(self.manifest)))
        if ledger := self.referee_ledger():
            total = total.plus(spent(ledger, referee_settings_of(self.manifest)))
        return total


def is_of(done: Mapping[str, Any], mode: str, responses: Mapping[str, str]) -> bool:
    """Whether referees judged these responses, by arm, in an exchange of their result: that of a pair, or of
    an arm that reward models scored."""
    arm, _, rival = mode.partition(":")
    return (done["original"], done["response"]) == (responses[rival or arm], responses[arm])


def compared_responses(
    sample: Sample, results: Mapping[str, Result], arms: tuple[str, ...]
) -> dict[int, dict[str, str]]:
    """Return the responses of all arms to the exchanges that any of them worked on, by exchange and arm."""
    by_arm = {arm: {done["exchange"]: done["response"] for done in results[arm].outcome} for arm in arms[1:]}
    numbers = sorted({number for responses in by_arm.values() for number in responses})
    return {
        number: {
            ORIGINAL: sample.exchanges[number].response,
            **{
                arm: responses.get(number, sample.exchanges[number].response)
                for arm, responses in by_arm.items()
            },
        }
        for number in numbers
    }


def cost_by_round(ledger: Ledger, settings: ModelSettings, unit: Unit) -> tuple[dict[int, float], int]:
    """Return what each round of a run's results took, and how many calls took something unknown."""
    rounds, uncounted = used(ledger, NEVER_BILLED)
    found = {}
    for number, lines in rounds.items():
        total = NOTHING
        for line in lines:
            total = total.plus(amount(line, settings))
        found[number] = total.dollars if unit == "dollars" else float(total.tokens)
    return found, uncounted


def is_priced(settings: ModelSettings) -> bool:
    """Whether dollars say what models cost: all have a price, and some are no rehearsal."""
    models = [settings.endpoint(role) for role in settings.roles]
    return not unpriced(settings) and any(split_model(each.model)[0] != "rehearsal" for each in models)


def _is_free(settings: ModelSettings) -> bool:
    """Whether all models have a price of 0, as those on an own server may be given."""
    some = Usage(2000, 1000, 1000)
    return not any(priced(settings.endpoint(role), some).dollars for role in settings.roles)


def _ledger(folder: Path) -> Ledger | None:
    try:
        return Ledger.open(folder / LEDGER)
    except LedgerError:
        if (folder / LEDGER).is_file():
            raise
        return None


def _higher(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    return 1.0 if one > other else 0.0 if one < other else 0.5
