"""A trial: its samples, the responses of its arms, and what was said of them.

Its folder holds `trial.json`, the drawn records (`data.jsonl`), a run for each arm (`arms/…`), one of the
referees (`referees`), and people's decisions (`people.jsonl`). Everything is computed from these.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ledger.decisions import MAX_NAME
from ledger.ledger import Ledger, LedgerError, Result
from models.limits.budget import Amount
from reporting import trial_costs, trial_judgments
from reporting.manifest import RunError
from reporting.run import LEDGER
from reporting.trial_costs import TrialCost
from reporting.trial_decisions import Decision, digest_of, read_decisions, write_decision
from reporting.trial_manifest import ORIGINAL, TrialManifest, arms_of, read_trial_manifest, settings_of
from samples.sample import Sample
from trials.judgments import Judgment, Unit
from trials.pairs import Pair, pairs_of

DATA, ARM_RUNS, REFEREES, PEOPLE = "data.jsonl", "arms", "referees", "people.jsonl"


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
                yield self._sample(samples[position], results[position])

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
        return self._sample(sample, results) if sample else None

    def _sample(self, sample: Sample, results: Mapping[str, Result]) -> TrialSample:
        source = self.manifest["positions"][sample.position]
        responses = _compared_responses(sample, results, self.arms)
        return TrialSample(sample, sample.position, source, responses, results)

    def pairs(self, position: int) -> list[Pair]:
        """Return which arms are compared in the sample at a position of the trial."""
        return pairs_of(self.arms, self.manifest["pairs"], position)  # type: ignore[arg-type]

    def judgments(self) -> list[Judgment]:
        """Return what referees and people said of the responses that the arms have now, and what needed no
        judgment since it is unchanged."""
        return trial_judgments.judgments(self)

    def refereed(self) -> set[int]:
        """Return the positions of the samples that the referees are done with, which are those that count."""
        return trial_judgments.refereed(self)

    def decisions(self) -> list[Decision]:
        """Return people's decisions, of each person on a pair the last one."""
        return read_decisions(self.folder / PEOPLE, self.arms)

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
        if not person.strip() or len(person) > MAX_NAME:
            raise RunError(f"a person's name has 1 to {MAX_NAME} characters")
        if {first, second} - {*self.arms} or first == second or better not in (None, "", first, second):
            raise RunError(f"a decision is on two of the arms {', '.join(self.arms)}")
        a, b = sorted((first, second), key=self.arms.index, reverse=True)
        outcome = None if better is None else 0.5 if not better else float(better == a)
        order = "forward" if first == a else "reversed"
        shown = texts if texts is not None else self._responses(sample, exchange)
        digest = digest_of(shown[a], shown[b]) if {a, b} <= shown.keys() else None
        decision = Decision(person.strip(), sample, exchange, a, b, order, outcome, time.time(), digest)
        write_decision(self.folder / PEOPLE, decision)
        return decision

    def _responses(self, sample: str, exchange: int) -> Mapping[str, str]:
        found = self.find_sample(sample)
        return found.responses.get(exchange, {}) if found else {}

    @property
    def unit(self) -> Unit:
        """What costs are counted in: dollars where all models of the arms have a price that is not 0 for all
        of them, else tokens."""
        return trial_costs.unit_of(settings_of(self.manifest))

    @property
    def is_priced(self) -> bool:
        """Whether dollars say what the trial has spent, which may be on its referees alone."""
        return trial_costs.is_priced(settings_of(self.manifest))

    def costs(self) -> dict[str, TrialCost]:
        """Return what the arms cost that have begun, by arm: the calls that their results are made from."""
        return trial_costs.costs(self)

    def unmatched(self) -> dict[str, str]:
        """Return the arms that cost more or less than `evolve`, by over a tenth, and why."""
        return trial_costs.unmatched(self)

    def spent(self) -> Amount:
        """Return what the whole trial has spent so far, referees among it."""
        return trial_costs.spent(self)


def _compared_responses(
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


def _ledger(folder: Path) -> Ledger | None:
    try:
        return Ledger.open(folder / LEDGER)
    except LedgerError:
        if (folder / LEDGER).is_file():
            raise
        return None
