"""What a trial found, in plain words. All its sentences are made here, from the numbers of the report."""

from typing import NamedTuple

from samples.fields import percent, signed_points
from trials.bootstrap import Estimate
from trials.report import ArmResult, LeadResult, Refused, Report
from trials.win_rates import Lead

AS_OFTEN = 0.1
"""Two arms win equally often if the interval of their difference is within ± 10 points."""

MANY_SAMPLES = 20_000
"""A larger number of samples is not named."""


class _Ahead(NamedTuple):
    """A lead as seen from the arm that has it."""

    arm: str
    other: str
    by: Estimate
    found: Lead


def sentences(report: Report) -> list[str]:
    """Return how the reference compares with the baseline, how others do with it, and what is doubtful."""
    (reference,) = (result for result in report.arms if result.arm == report.reference)
    found = [_against_baseline(report, reference)]
    if not isinstance(reference.win_rate, Refused):
        found += _others(report)
        found += _doubts(report, reference)
    return found


def interval(figure: Estimate) -> str:
    """Return the interval of a share as in "[51, 64]", in percent."""
    return f"[{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def points(difference: float) -> str:
    """Return the size of a difference as in "1 point" or "12 points"."""
    size = f"{abs(100 * difference):.0f}"
    return f"{size} point{'' if size == '1' else 's'}"


def signed_interval(figure: Estimate) -> str:
    """Return the interval of a difference as in "[−3, +13]", in points."""
    return f"[{signed_points(figure.low)}, {signed_points(figure.high)}]"


def settled_by(needed: int | None, samples: int) -> str:
    """Say how many samples would show a difference that so many do not."""
    if needed is None or needed > MANY_SAMPLES:
        return f"{MANY_SAMPLES:,} samples would not settle it"
    return f"{needed:,} samples would settle it" if needed > samples else "more samples would settle it"


def p_value(p: float) -> str:
    """Return a p value as in "p = 0.062"."""
    return f"p = {p:.3f}" if p < 0.9995 else "p = 1"


def _noise(low: float, high: float, middle: float, p_adjusted: float | None) -> str:
    """Say "within noise", and by what where the interval alone, as it is shown, says something else."""
    low, high = round(100 * low), round(100 * high)
    if p_adjusted is None or low <= 100 * middle <= high:
        return "within noise"
    left_out = "50 %" if middle else "0"
    test = f"the sign test, adjusted for the number of arms ({p_value(p_adjusted)})"
    return f"within noise by {test}, though the interval leaves out {left_out}"


def _against_baseline(report: Report, result: ArmResult) -> str:
    found = result.win_rate
    if isinstance(found, Refused):
        return f"{result.arm} cannot be compared with {report.baseline}: {found.reason}."
    won = (
        f"{result.arm} won {percent(found.rate.value)} {interval(found.rate)} of {found.samples:,} samples "
        f"against {report.baseline}, ties counted as halves"
    )
    if result.verdict == "noise":
        noise = _noise(found.rate.low, found.rate.high, 0.5, result.p_adjusted)
        return f"{won}, which is {noise}: {settled_by(found.samples_needed, found.samples)}."
    return f"{won}, so it is {result.verdict} on this data."


def _others(report: Report) -> list[str]:
    """Return a sentence each on arms that won as often, clearly more or less often, and within noise."""
    as_often, clear, unsettled = [], [], []
    for result in report.leads:
        if isinstance(result.lead, Refused):
            unsettled.append(f"{result.arm} cannot be compared with {report.reference}: {result.lead.reason}")
        elif result.is_real:
            clear.append(_clear(result, _ahead(report, result, result.lead)))
        elif max(-result.lead.difference.low, result.lead.difference.high) <= AS_OFTEN:
            as_often.append(
                f"{result.arm} won as often as {report.reference}, "
                f"within {signed_interval(_turned(result.lead.difference))} points{_at_cost(result)}"
            )
        else:
            unsettled.append(_unsettled(result, _ahead(report, result, result.lead)))
    return [f"{'; '.join(clauses)}." for clauses in (as_often, clear, unsettled) if clauses]


def _clear(result: LeadResult, lead: _Ahead) -> str:
    by = f"{points(lead.by.value)} {signed_interval(lead.by)}"
    if lead.arm == result.arm:
        return f"{lead.arm} won more often than {lead.other}, by {by}{_at_cost(result)}"
    cost = "" if result.cost_share is None else f", which costs {percent(result.cost_share)} as much"
    return f"{lead.arm} won more often than {lead.other}{cost}, by {by}"


def _unsettled(result: LeadResult, lead: _Ahead) -> str:
    settled = settled_by(lead.found.samples_needed, lead.found.samples)
    by = f"{points(lead.by.value)} {signed_interval(lead.by)}"
    noise = _noise(lead.by.low, lead.by.high, 0, result.p_adjusted)
    return f"{lead.arm}'s lead over {lead.other}, {by}, is {noise}: {settled}"


def _doubts(report: Report, reference: ArmResult) -> list[str]:
    """Return a sentence if a better win rate may be one of length or style alone."""
    if reference.verdict != "better":
        return []
    for equal, what, found in (
        ("equal length", "length", reference.length_controlled),
        ("equal length and style", "style", reference.style_controlled),
    ):
        if isinstance(found, Refused):
            return [f"Whether that is more than {what} cannot be determined: {found.reason}."]
        if found.rate.low <= 0.5:
            won = f"{percent(found.rate.value)} {interval(found.rate)}"
            return [f"At {equal} {reference.arm} won {won}, so its lead may come from {what} alone."]
    return []


def _ahead(report: Report, result: LeadResult, found: Lead) -> _Ahead:
    if found.difference.value < 0:
        return _Ahead(result.arm, report.reference, _turned(found.difference), found)
    return _Ahead(report.reference, result.arm, found.difference, found)


def _turned(figure: Estimate) -> Estimate:
    return Estimate(-figure.value, -figure.high, -figure.low)


def _at_cost(result: LeadResult) -> str:
    return "" if result.cost_share is None else f", at {percent(result.cost_share)} of its cost"
