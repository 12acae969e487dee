"""What a trial found, in plain words. All its sentences are made here, from the numbers of the report."""

from math import ceil, isclose
from typing import NamedTuple

from samples.fields import percent, plural
from trials.bootstrap import Estimate
from trials.report import ArmResult, LeadResult, Refused, Report
from trials.size import MANY_SAMPLES, SIGNIFICANT
from trials.win_rates import Lead, WinRate

AS_OFTEN = 0.1
"""Two arms win equally often if the interval of their difference is within ± 10 points."""

MANY_MEETINGS = 10
"""Samples in which two arms met, of which fewer are not worth a sentence unless they are beyond noise."""


class _Ahead(NamedTuple):
    """A lead as seen from the arm that has it."""

    arm: str
    other: str
    by: Estimate
    wins: int
    """Samples in which it has the higher score."""
    losses: int
    found: Lead


def sentences(report: Report, drawn: int = 0) -> list[str]:
    """Return how the reference compares with the baseline, how others do with it, and what is doubtful.

    `drawn` is how many samples the trial has, if more than those with a verdict: as large a share of further
    ones may have none.
    """
    (reference,) = (result for result in report.arms if result.arm == report.reference)
    found = [_against_baseline(report, reference, drawn)]
    if not isinstance(reference.win_rate, Refused):
        found += _by_people(report)
        found += _others(report, drawn)
        found += _directly(report)
        found += _doubts(report)
    return found


def is_better(report: Report, result: ArmResult) -> bool:
    """Whether an arm is better than the baseline beyond noise, also as corrected by people if it was."""
    return result.verdict == "better" and is_confirmed(report, result)


def is_confirmed(report: Report, result: ArmResult) -> bool:
    """Whether an arm is better or worse also as corrected by people; true where nothing was corrected."""
    people = _corrected(report, result.arm)
    if people is None or result.verdict == "noise":
        return True
    return people.low > 0.5 if result.verdict == "better" else people.high < 0.5


def none_better(report: Report) -> str:
    """Say that no arm is better; empty if one is."""
    if any(is_better(report, result) for result in report.arms):
        return ""
    people = ", as people correct it" if any(result.verdict == "better" for result in report.arms) else ""
    return f"No arm is better than the {report.baseline} responses beyond noise{people}."


def points(difference: float) -> str:
    """Return the size of a difference as in "1 point" or "12 points"."""
    size = f"{abs(100 * difference):.0f}"
    return f"{size} point{'' if size == '1' else 's'}"


def settled_by(needed: int | None, samples: int, drawn: int = 0) -> str:
    """Say how many samples would show a difference that so many do not, if as large a share of them has a
    verdict as of those that were drawn."""
    in_all = None if needed is None else ceil(needed * max(drawn, samples) / samples)
    if in_all is None or in_all > MANY_SAMPLES:
        return f"{MANY_SAMPLES:,} samples would not settle it"
    number = f"{in_all:,}" if in_all > max(drawn, samples) else "more"
    return f"{number} samples would settle it"


def p_value(p: float) -> str:
    """Return a p value as in "p = 0.062"."""
    return f"p = {p:.3f}" if p < 0.9995 else "p = 1"


def _noise(figure: Estimate, found: WinRate | _Ahead, p_adjusted: float | None) -> str:
    """Say "within noise", and by what where the interval, as it is shown, and the sign test differ."""
    middle = 50 if isinstance(found, WinRate) else 0
    is_out = not round(100 * figure.low) <= middle <= round(100 * figure.high)
    counts = f"{found.wins:,} samples for it, {found.losses:,} against"
    if p_adjusted is None or (not is_out and p_adjusted >= SIGNIFICANT):
        ahead = round(100 * figure.value) - middle
        is_contrary = ahead != 0 and ahead * (found.wins - found.losses) <= 0
        return f"within noise ({counts})" if is_contrary else "within noise"
    test = f"the sign test, adjusted for the number of arms ({counts}: {p_value(p_adjusted)})"
    if not is_out:
        return f"within noise by the interval, though not by {test}"
    opposite = ", which says the opposite" if p_adjusted < SIGNIFICANT else ""
    left_out = "50 %" if middle else "0"
    return f"within noise by {test}{opposite}, though the interval leaves out {left_out}"


def _against_baseline(report: Report, result: ArmResult, drawn: int) -> str:
    found = result.win_rate
    if isinstance(found, Refused):
        return f"{result.arm} cannot be compared with {report.baseline}: {found.reason}."
    won = (
        f"{result.arm} won {found.rate.in_percent} of {found.samples:,} samples "
        f"against {report.baseline}, ties counted as halves"
    )
    if not isclose(found.rate.value, (found.wins + found.ties / 2) / found.samples):
        won += ", a win with a tie as three quarters"
    if result.verdict == "noise":
        noise = _noise(found.rate, found, result.p_adjusted)
        is_even = round(100 * found.rate.value) == 50
        settled = settled_by(found.samples_needed, found.samples, drawn)
        return f"{won}, which is {noise}: {'no difference to be settled' if is_even else settled}."
    if not is_confirmed(report, result):
        return f"{won}, which is {result.verdict} by the referees alone."
    return f"{won}, so it is {result.verdict} on this data."


def _by_people(report: Report) -> list[str]:
    """Return a sentence on the rates as people correct them: the reference's, and those beyond noise."""
    if isinstance(report.corrected, Refused):
        return []
    clauses = []
    for result in report.arms:
        rate = _corrected(report, result.arm)
        if rate and (result.arm == report.reference or result.verdict != "noise"):
            is_noise = rate.low <= 0.5 <= rate.high
            what = "within noise" if is_noise else "better" if rate.value > 0.5 else "worse"
            clauses.append(f"{result.arm} won {rate.in_percent}, which is {what}")
    by = f"Corrected by {report.corrected.decisions:,} decisions of people"
    return [f"{by}, {'; '.join(clauses)}."] if clauses else []


def _corrected(report: Report, arm: str) -> Estimate | None:
    return None if isinstance(report.corrected, Refused) else report.corrected.rates.get(arm)


def _directly(report: Report) -> list[str]:
    """Return a sentence on the pairs of arms that fare the other way round when they meet, where that is
    beyond noise or one of them is the reference."""
    rates = {each.arm: each.win_rate for each in report.arms}
    clauses = []
    for met in report.direct:
        found, one, other = met.win_rate, rates[met.arm], rates[met.rival]
        if isinstance(one, Refused) or isinstance(other, Refused):
            continue
        low, value, high = found.rate.low, found.rate.value, found.rate.high
        is_noise = low <= 0.5 <= high
        is_opposite = (value - 0.5) * round(one.rate.value - other.rate.value, 12) < 0
        is_of_use = report.reference in (met.arm, met.rival) and found.samples >= MANY_MEETINGS
        if is_opposite and (is_of_use or not is_noise):
            chance = ", which may be chance" if is_noise else ""
            clauses.append(
                f"{met.arm} won {percent(value)} {found.rate.interval} of {found.samples:,} samples against "
                f"{met.rival}{chance}"
            )
    if not clauses:
        return []
    return [
        f"Compared directly, {'; '.join(clauses)}: the opposite of what their win rates against "
        f"{report.baseline} say."
    ]


def _others(report: Report, drawn: int) -> list[str]:
    """Return a sentence each on arms that won as often, clearly more or less often, and within noise."""
    as_often, clear, unsettled = [], [], []
    for result in report.leads:
        if isinstance(result.lead, Refused):
            unsettled.append(f"{result.arm} cannot be compared with {report.reference}: {result.lead.reason}")
        elif result.is_real:
            clear.append(_clear(result, _ahead(report, result, result.lead)))
        elif max(-result.lead.difference.low, result.lead.difference.high) <= AS_OFTEN:
            as_often.append(
                f"{result.arm} won as often as {report.reference}, within "
                f"{_turned(result.lead.difference).signed_interval} points in "
                f"{_in_samples(result.lead)}{_at_cost(result)}"
            )
        else:
            unsettled.append(_unsettled(result, _ahead(report, result, result.lead), drawn))
    return [f"{'; '.join(clauses)}." for clauses in (as_often, clear, unsettled) if clauses]


def _clear(result: LeadResult, lead: _Ahead) -> str:
    by = f"{points(lead.by.value)} {lead.by.signed_interval} in {_in_samples(lead.found)}"
    if lead.arm == result.arm:
        return f"{lead.arm} won more often than {lead.other}, by {by}{_at_cost(result)}"
    cost = "" if result.cost_share is None else f", which costs {percent(result.cost_share)} as much"
    return f"{lead.arm} won more often than {lead.other}{cost}, by {by}"


def _unsettled(result: LeadResult, lead: _Ahead, drawn: int) -> str:
    if not round(100 * lead.by.value):
        apart = f"{lead.by.signed_interval} points in {_in_samples(lead.found)}"
        return f"{lead.arm} and {lead.other} won equally often, but either may be ahead: {apart}"
    settled = settled_by(lead.found.samples_needed, lead.found.samples, drawn)
    by = f"{points(lead.by.value)} {lead.by.signed_interval} in {_in_samples(lead.found)}"
    noise = _noise(lead.by, lead, result.p_adjusted)
    return f"{lead.arm}'s lead over {lead.other}, {by}, is {noise}: {settled}"


def _doubts(report: Report) -> list[str]:
    """Return sentences on arms that may be better or worse by length or style alone, the reference first. The
    others count too: one of them may be the arm to go on with."""
    doubts: list[str] = []
    unknown: dict[str, list[str]] = {}
    for result in sorted(report.arms, key=lambda result: result.arm != report.reference):
        for equal, what, found in (
            ("equal length", "length", result.length_controlled),
            ("equal length and style", "style", result.style_controlled),
        ):
            if result.verdict == "noise":
                break
            if isinstance(found, Refused):
                why = f"{result.verdict} by more than {what} cannot be determined: {found.reason}."
                unknown.setdefault(why, []).append(result.arm)
                break
            is_ahead = result.verdict == "better"
            if found.rate.low <= 0.5 if is_ahead else found.rate.high >= 0.5:
                won = f"{result.arm} won {found.rate.in_percent}"
                lead = "its lead" if is_ahead else "that it lost"
                doubts.append(f"At {equal} {won}, so {lead} may come from {what} alone.")
                break
    for why, (*arms, last) in unknown.items():
        names = f"{', '.join(arms)} and {last} are" if arms else f"{last} is"
        doubts.append(f"Whether {names} {why}")
    return doubts


def _ahead(report: Report, result: LeadResult, found: Lead) -> _Ahead:
    if found.difference.value < 0:
        turned = _turned(found.difference)
        return _Ahead(result.arm, report.reference, turned, found.losses, found.wins, found)
    return _Ahead(report.reference, result.arm, found.difference, found.wins, found.losses, found)


def _turned(figure: Estimate) -> Estimate:
    return Estimate(-figure.value, -figure.high, -figure.low)


def _in_samples(lead: Lead) -> str:
    return plural(lead.samples, "sample")


def _at_cost(result: LeadResult) -> str:
    return "" if result.cost_share is None else f", at {percent(result.cost_share)} of its cost"
