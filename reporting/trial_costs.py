"""What a trial costs: its arms, how far their costs match, and all of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ledger.ledger import Ledger
from ledger.usage import used
from models.limits.budget import NOTHING, Amount, Usage, priced
from models.settings import ModelSettings, split_model
from reporting import cost
from reporting.trial_manifest import COUNTED, MATCHED, TARGET, WITHIN, referee_settings_of, settings_of
from samples.fields import plural
from trials.judgments import Unit

if TYPE_CHECKING:
    from reporting.trial import TrialRecord


class TrialCost(NamedTuple):
    """What an arm cost."""

    total: float
    """In the unit of the trial's costs."""
    per_sample: float
    uncounted: int
    """Calls that took something unknown, and are left out."""


def unit_of(settings: ModelSettings) -> Unit:
    """Return what costs are counted in: dollars where all models have a price that is not 0 for all of them,
    else tokens."""
    return "dollars" if is_priced(settings) and not _is_free(settings) else "tokens"


def is_priced(settings: ModelSettings) -> bool:
    """Whether dollars say what models cost: all have a price, and some are no rehearsal."""
    models = [settings.endpoint(role) for role in settings.roles]
    return not cost.unpriced(settings) and any(split_model(each.model)[0] != "rehearsal" for each in models)


def _is_free(settings: ModelSettings) -> bool:
    """Whether all models have a price of 0, as those on an own server may be given."""
    some = Usage(2000, 1000, 1000)
    return not any(priced(settings.endpoint(role), some).dollars for role in settings.roles)


def costs(trial: "TrialRecord") -> dict[str, TrialCost]:
    """Return what the arms cost that have begun: the calls that their results are made from."""
    settings, number = settings_of(trial.manifest), max(len(trial.manifest["positions"]), 1)
    found = {}
    for arm in trial.arms[1:]:
        if ledger := trial.ledger_of(arm):
            by_round, uncounted = cost_by_round(ledger, settings, trial.unit)
            total = sum(by_round.values())
            found[arm] = TrialCost(total, total / number, uncounted)
    return found


def cost_by_round(ledger: Ledger, settings: ModelSettings, unit: Unit) -> tuple[dict[int, float], int]:
    """Return what each round of a run's results took, and how many calls took something unknown."""
    rounds, uncounted = used(ledger, cost.NEVER_BILLED)
    found = {}
    for number, lines in rounds.items():
        total = NOTHING
        for line in lines:
            total = total.plus(cost.amount(line, settings))
        found[number] = total.dollars if unit == "dollars" else float(total.tokens)
    return found, uncounted


def shares_of_target(found: Mapping[str, TrialCost]) -> dict[str, float]:
    """Return costs of arms as shares of that of `TARGET`; empty where that is unknown."""
    target = found[TARGET].total if TARGET in found else 0.0
    return {arm: each.total / target for arm, each in found.items()} if target else {}


def unmatched(trial: "TrialRecord") -> dict[str, str]:
    """Return the arms that cost more or less than `TARGET`, by over a tenth, and why."""
    shares = shares_of_target(costs(trial))
    if not shares:
        is_arm = TARGET in trial.arms
        why = f"no cost of {TARGET} was counted" if is_arm else f"{TARGET} is no arm of this trial"
        return {arm: why for arm in trial.arms if arm in MATCHED}
    return {
        arm: _why_unmatched(trial, arm, share) for arm, share in shares.items() if abs(share - 1) > WITHIN
    }


def _why_unmatched(trial: "TrialRecord", arm: str, share: float) -> str:
    depth = trial.manifest["depths"].get(arm)
    if arm not in MATCHED or depth is None:
        return "a single pass"
    if depth.get("is_spent"):
        ledger = trial.ledger_of(arm)
        has_failed = bool(ledger and any(ledger.failures()))
        if arm != "refine":  # whose samples all go on, unless they fail
            return "its samples failed"
        return f"its drafts stop winning{', or its samples fail,' * has_failed} before it costs as much"
    if share > 1:
        return "its last round cost more than expected" if depth["rounds"] > 1 else "one round costs more"
    return f"it ends at {plural(depth['rounds'], COUNTED[arm])}"


def spent(trial: "TrialRecord") -> Amount:
    """Return what the whole trial has spent so far, referees among it."""
    total = NOTHING
    for arm in trial.arms[1:]:
        if ledger := trial.ledger_of(arm):
            total = total.plus(cost.spent(ledger, settings_of(trial.manifest)))
    if ledger := trial.referee_ledger():
        total = total.plus(cost.spent(ledger, referee_settings_of(trial.manifest)))
    return total
