"""What should be known of how a trial came to its figures."""

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

from reporting.trial_costs import shares_of_target
from reporting.trial_manifest import TARGET, shown
from samples.fields import percent, plural

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial
    from trials.report import Report

LITTLE_AGREEMENT = 0.4
"""Krippendorff's alpha below which referees hardly agree more than by chance."""


def notes(trial: "RecordedTrial", report: "Report") -> Iterator[str]:
    """Yield a sentence on each: the smallest difference that shows, what is not judged yet or left out, costs
    that are not matched, and how far the referees can be trusted."""
    drawn, done = len(trial.manifest["positions"]), trial.refereed()
    (reference,) = (each for each in report.arms if each.arm == report.reference)
    rate: Any = reference.win_rate
    if hasattr(rate, "rate"):
        from trials.size import detectable_difference  # with libraries that take a while to load

        compared = sum(hasattr(each.win_rate, "rate") for each in report.arms)
        least = detectable_difference(rate.samples, min(rate.ties / rate.samples, 0.9), compared)
        yield f"{plural(rate.samples, 'sample')} {shows(least)}."
    if waiting := drawn - len(done):
        unjudged = f"{waiting:,} of {plural(drawn, 'sample')} are not judged yet"
        yield f"{unjudged}: the same command goes on with them."
    yield from _without_verdict(trial, report, done)
    yield from _costs(trial)
    yield from _families(trial)
    yield from _preferences(trial, report)
    failed = ", ".join(f"{number} of {arm}" for arm, number in trial.failed().items() if number)
    if failed:
        yield f"Samples that failed kept their responses, which counts as a tie: {failed}."
    yield from _unreadable(report)


def shows(least: float | None) -> str:
    """Return what samples show, of which this is the smallest difference of a win rate from 50 %."""
    if least is None:
        return "are too few to show any win rate"
    rates = f"a win rate of {percent(0.5 + least)} or more, or {percent(0.5 - least)} or less"
    return f"can show {rates}, in 4 of 5 trials; what is nearer to 50 % they mostly cannot tell from chance"


def _without_verdict(trial: "RecordedTrial", report: "Report", done: Container[int]) -> Iterator[str]:
    finished = sum(bool(each.responses) and each.position in done for each in trial.samples())
    each = [
        f"{left:,} of {finished:,} of {arm.arm}"
        for arm in report.arms
        if (left := finished - getattr(arm.win_rate, "samples", finished)) > 0
    ]
    if each:
        yield f"Samples without a readable verdict, which are left out: {', '.join(each)}."


def _costs(trial: "RecordedTrial") -> Iterator[str]:
    costs = trial.costs()
    shares = shares_of_target(costs)
    whose = f"{TARGET}'s" if shares else "any"
    by_reason: dict[str, list[str]] = {}
    for arm, why in trial.unmatched().items():
        share = f" ({percent(shares[arm])})" if arm in shares else ""
        by_reason.setdefault(why, []).append(f"{arm}{share}")
    for why, arms in by_reason.items():
        yield f"Not matched to {whose} cost: {', '.join(arms)}: {why}."
    if uncounted := sum(cost.uncounted for cost in costs.values()):
        yield f"{plural(uncounted, 'call')} came back without token counts and are in no cost."


def _families(trial: "RecordedTrial") -> Iterator[str]:
    for referee in trial.manifest["referees"]:
        if referee["related"]:
            yield (
                f"{shown(referee['model'])} is of the family of {', '.join(referee['related'])}, which took "
                "part here: referees favor their own family."
            )
        elif referee["unknown"]:
            yield f"Whether {shown(referee['model'])} is of the family of a model that took part is unknown."


def _preferences(trial: "RecordedTrial", report: "Report") -> Iterator[str]:
    for referee in report.referees:
        first = getattr(referee.orders, "first_preferred", None)
        if first and not first.low <= 0.5 <= first.high:
            where = "first" if first.value > 0.5 else "second"
            share = max(first.value, 1 - first.value)
            yield (
                f"{shown(referee.referee)} preferred what it was shown {where} in {percent(share)} of "
                "its verdicts. A comparison counts only if both orders could be read, so that makes ties "
                "and no wins."
            )
    if isinstance(report.agreement, float) and report.agreement < LITTLE_AGREEMENT:
        models = sum(each.referee in trial.referees for each in report.referees)
        those = ["the referee" if models == 1 else "the referees"] * bool(models)
        those += ["people"] * (models < len(report.referees))
        alpha = f"(alpha {report.agreement:.2f}; 1 is full)"
        yield f"{' and '.join(those).capitalize()} agree little with each other {alpha}."


def _unreadable(report: "Report") -> Iterator[str]:
    for referee in report.referees:
        if unread := referee.unreadable:
            asked = plural(referee.readable + unread, "judgment")
            yield f"{unread:,} of {asked} of {shown(referee.referee)} could not be read, or the call failed."
        if referee.left_out:
            yield (
                f"{plural(referee.left_out, 'comparison')} of {shown(referee.referee)} could be read in one "
                "order alone, which says as much about the order as about the responses: left out."
            )
