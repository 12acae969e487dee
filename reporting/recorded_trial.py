"""A trial with its statistics, as `coevol.load_trial` returns it: figures, sentences, and rows."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporting import trial_notes
from reporting.manifest import RunError
from reporting.recorded_run import rows_with
from reporting.trial import TrialRecord
from reporting.trial_command import command_of
from reporting.trial_costs import shares_of_target
from reporting.trial_manifest import TARGET
from reporting.trial_snapshot import trial_state
from trials.judgments import UNCHANGED, TrialError
from trials.libraries import require_libraries

if TYPE_CHECKING:
    from trials.report import Report


class RecordedTrial(TrialRecord):
    """The record of a trial, as `coevol.load_trial` returns it.

    Rows are read again with each iteration; the figures are computed once, until something is added.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._computed: tuple[Any, Report] | None = None

    def report(self) -> "Report":
        """Return all figures: `trials.report.Report`. They follow from the ledgers and the seed.

        Raises:
            RunError: nothing can be computed yet, or a library is missing; the message says why.
        """
        state = trial_state(self)
        if self._computed and self._computed[0] == state:
            return self._computed[1]
        try:
            require_libraries()
            # Which take seconds to load.
            from trials.bootstrap import Bootstrap
            from trials.report import Costs, analyze

            costs = {arm: cost.per_sample for arm, cost in self.costs().items()}
            rows, waiting = self.judgments(), len(self.manifest["positions"]) - len(self.refereed())
            if waiting and all(row.referee == UNCHANGED for row in rows):
                raise TrialError("the referees have judged nothing yet")
            found = analyze(
                rows,
                self.arms,
                reference=TARGET if TARGET in self.arms else None,
                costs=Costs(self.unit, costs) if any(costs.values()) else None,
                bootstrap=Bootstrap(self.manifest["seed"]),
            )
        except TrialError as error:
            raise RunError(f"{self.folder}: {error}") from None
        self._computed = state, found
        return found

    def sentences(self) -> list[str]:
        """Return what the trial found, in plain words. Raises RunError as `report`."""
        found = self.report()
        from trials.sentences import sentences

        return sentences(found, len(self.refereed()))

    def none_better(self) -> str:
        """Say that no arm is better than the original; empty if one is. Raises RunError as `report`."""
        found = self.report()
        from trials.sentences import none_better

        return none_better(found)

    def notes(self) -> list[str]:
        """Return what should be known of how it was found. Raises RunError as `report`."""
        return [*trial_notes.notes(self, self.report())]

    def failed(self) -> dict[str, int]:
        """Return how many samples of each arm failed."""
        return {
            arm: sum(1 for _ in ledger.failures()) if (ledger := self.ledger_of(arm)) else 0
            for arm in self.arms[1:]
        }

    def best(self) -> str | None:
        """Return the mode to go on with: of those that are better than the original, also as people correct
        it, the one that won most, or one that won as often as `evolve` at less of a cost; None if none is
        better. Raises RunError as `report`."""
        from trials.report import Refused
        from trials.sentences import AS_OFTEN, is_better

        found = self.report()
        better = {arm.arm: arm for arm in found.arms if is_better(found, arm)}
        if not better:
            return None
        best = max(better, key=lambda arm: better[arm].win_rate.rate.value)  # type: ignore[union-attr]
        cheaper = {
            lead.arm: lead.cost_share
            for lead in found.leads
            if lead.arm in better
            and lead.cost_share is not None
            and lead.cost_share < 1
            and not isinstance(lead.lead, Refused)
            and max(-lead.lead.difference.low, lead.lead.difference.high) <= AS_OFTEN
        }
        return min(cheaper, key=lambda arm: cheaper[arm]) if best == found.reference and cheaper else best

    def command(self, mode: str) -> str:
        """Return the command that improves all of the data as an arm did: with its models and settings, and
        its rounds or drafts. What may be a key is `…`."""
        return command_of(self.manifest, mode)

    def stats(self) -> dict[str, Any]:
        """Return all of it as plain data, as `coevol trial --json` does. Raises RunError as `report`."""
        made, costs, found = self.manifest, self.costs(), self.report()
        shares, total = shares_of_target(costs), self.spent()
        return {
            "trial": {
                "folder": str(self.folder),
                "data": made["run"]["data"]["path"],
                "samples": len(made["positions"]),
                "asked": made["asked"],
                "seed": made["seed"],
                "pairs": made["pairs"],
                "arms": list(self.arms),
                "referees": made["referees"],
            },
            "costs": {
                "unit": self.unit,
                "arms": {
                    arm: {
                        "per_sample": cost.per_sample,
                        "share_of_evolve": shares.get(arm),
                        "rounds": depth["rounds"] if (depth := made["depths"].get(arm)) else None,
                        "samples_with_one_more": depth["more"] if depth else None,
                        "calls_without_usage": cost.uncounted,
                    }
                    for arm, cost in costs.items()
                },
                "unmatched": self.unmatched(),
                "spent": {
                    "tokens": total.tokens,
                    "dollars": total.dollars if self.is_priced else None,
                },
            },
            "failed": self.failed(),
            "report": plain(found),
            "sentences": self.sentences(),
            "notes": self.notes(),
            "best": self.best(),
        }

    @rows_with(
        arm=str, win_rate=float, low=float, high=float, wins=int, ties=int, losses=int, p=float,
        p_adjusted=float, verdict=str, length_controlled=float, length_controlled_low=float,
        length_controlled_high=float, style_controlled=float, style_controlled_low=float,
        style_controlled_high=float, cost_per_sample=float, cost_share=float, cost_per_win=float,
    )  # fmt: skip
    def results(self) -> Iterator[dict[str, Any]]:
        """Return a row for each arm but the original, with its figures against it; None where one cannot be
        had. Raises RunError as `report`."""
        found, shares = self.report(), shares_of_target(self.costs())
        for each in found.arms:
            rate: Any = each.win_rate
            known = hasattr(rate, "rate")
            yield {
                "arm": each.arm,
                **_estimate("", "win_rate", rate),
                **{name: getattr(rate, name) if known else None for name in ("wins", "ties", "losses", "p")},
                "p_adjusted": each.p_adjusted,
                "verdict": each.verdict,
                **_estimate("length_controlled_", "length_controlled", each.length_controlled),
                **_estimate("style_controlled_", "style_controlled", each.style_controlled),
                "cost_per_sample": each.cost_per_sample,
                "cost_share": shares.get(each.arm),
                "cost_per_win": each.cost_per_win,
            }

    @rows_with(
        sample=str, exchange=int, arm=str, rival=str, referee=str, order=str, outcome=float, person=bool,
        length_arm=float, length_rival=float,
    )  # fmt: skip
    def comparisons(self) -> Iterator[dict[str, Any]]:
        """Return a row for each judgment.

        `outcome` is 1 if the arm is better, 0 if its rival is, 0.5 for a tie, None if it could not be read.
        `order` is `forward` where the arm's response was shown first, None for reward models and for what is
        unchanged (referee `unchanged`). Lengths are in characters.
        """
        for each in self.judgments():
            yield {
                "sample": each.sample,
                "exchange": each.exchange,
                "arm": each.arm_a,
                "rival": each.arm_b,
                "referee": each.referee,
                "order": each.order,
                "outcome": each.outcome,
                "person": each.person,
                "length_arm": each.features_a.length if each.features_a else None,
                "length_rival": each.features_b.length if each.features_b else None,
            }

    @rows_with(sample=str, position=int, exchange=int, arm=str, instruction=str, input=str, response=str)
    def responses(self) -> Iterator[dict[str, Any]]:
        """Return a row for each response that is compared; `position` is the sample's in the data."""
        for each in self.samples():
            for exchange, by_arm in each.responses.items():
                request = each.sample.exchanges[exchange]
                for arm, response in by_arm.items():
                    yield {
                        "sample": each.sample.id,
                        "position": each.source,
                        "exchange": exchange,
                        "arm": arm,
                        "instruction": request.instruction,
                        "input": request.input,
                        "response": response,
                    }


def plain(value: Any) -> Any:
    """Return figures as plain data: a figure that cannot be had is `{"refused": reason}`."""
    if is_dataclass(value):
        if type(value).__name__ == "Refused":
            return {"refused": getattr(value, "reason", "")}
        found = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return found | ({"samples": value.samples} if hasattr(value, "samples") else {})
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def _estimate(prefix: str, name: str, figure: Any) -> dict[str, float | None]:
    rate = getattr(figure, "rate", None)
    return {
        name: rate and rate.value,
        f"{prefix}low": rate and rate.low,
        f"{prefix}high": rate and rate.high,
    }
