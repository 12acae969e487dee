"""All statistics of a trial, from its judgments and a seed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Concatenate, Literal, NamedTuple, ParamSpec, TypeVar

from trials.bootstrap import Bootstrap, Estimate
from trials.bradley_terry import strengths
from trials.comparisons import Comparisons, compare
from trials.controlled import Controlled, length_controlled, style_controlled
from trials.judgments import (
    UNCHANGED,
    Judgment,
    Trial,
    TrialError,
    Unit,
    read_judgments,
    referee_scores,
)
from trials.people import Corrected, corrected
from trials.referees import Orders, agreement, left_out, orders, verdicts_read
from trials.win_rates import Lead, WinRate, holm, is_beyond_noise, lead, win_rate

Verdict = Literal["better", "worse", "noise"]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refused:
    """A figure that these judgments cannot give."""

    reason: str


class Costs(NamedTuple):
    """What the arms cost."""

    unit: Unit
    per_sample: Mapping[str, float]
    """By arm: the mean cost of a sample. The baseline may be left out."""


@dataclass(frozen=True, slots=True)
class ArmResult:
    """An arm against the baseline."""

    arm: str
    win_rate: WinRate | Refused
    p_adjusted: float | None
    """The p value of the sign test, adjusted for the number of arms (Holm); None without a win rate."""
    verdict: Verdict
    """Whether the arm is better than the baseline beyond noise, by interval and adjusted p value."""
    length_controlled: Controlled | Refused
    style_controlled: Controlled | Refused
    cost_per_sample: float | None
    cost_per_win: float | None
    """The cost of a sample over the share of samples that were won; None without costs or wins."""


@dataclass(frozen=True, slots=True)
class LeadResult:
    """The reference against another arm, both by their win rates against the baseline."""

    arm: str
    """The other arm."""
    lead: Lead | Refused
    """Of the reference."""
    p_adjusted: float | None
    is_real: bool
    """Whether one of the two is better beyond noise, by interval and adjusted p value."""
    cost_share: float | None
    """The cost of the other arm as a share of the reference's."""


@dataclass(frozen=True, slots=True)
class DirectResult:
    """An arm against another that is not the baseline."""

    arm: str
    rival: str
    win_rate: WinRate


@dataclass(frozen=True, slots=True)
class RefereeResult:
    """What is known of a referee."""

    referee: str
    readable: int
    unreadable: int
    orders: Orders | Refused
    left_out: int = 0
    """Comparisons that were readable in one order alone, and so do not count."""


@dataclass(frozen=True, slots=True)
class Report:
    """All statistics of a trial. `trials.sentences` puts them into words."""

    baseline: str
    reference: str
    """The arm that the others are measured by."""
    samples: int
    """Samples with a verdict of the panel that counts, or with unchanged responses."""
    judgments: int
    unreadable: int
    arms: tuple[ArmResult, ...]
    """All arms but the baseline."""
    leads: tuple[LeadResult, ...]
    direct: tuple[DirectResult, ...]
    """Arms that were compared with each other, without those of fewer than two samples."""
    strengths: dict[str, Estimate] | Refused
    """Bradley-Terry strengths over the baseline, in log odds."""
    corrected: Corrected | Refused
    """Win rates against the baseline as people would have given them."""
    referees: tuple[RefereeResult, ...]
    agreement: float | Refused
    """Krippendorff's alpha of all referees, people among them."""
    unit: Unit | None
    """Of costs."""
    judged: int = 0
    """Samples with a verdict of the panel that counts; unchanged responses have none."""


def analyze(
    judgments: Iterable[Judgment],
    arms: Sequence[str],
    *,
    reference: str | None = None,
    costs: Costs | None = None,
    bootstrap: Bootstrap,
) -> Report:
    """Compute all statistics of a trial. The same rows in any order give the same report.

    Args:
        judgments: the rows of all referees, and those of `UNCHANGED` responses. People's decisions correct
            the win rates of models; they are the win rates where no model judged.
        arms: the arms, the baseline first.
        reference: the arm that the others are measured by; None for the one that won most often.
        costs: what the arms cost.
        bootstrap: the seed, and how many resamples.

    Raises:
        TrialError: there is nothing to compute; the message says why. A single figure that cannot be had is
            `Refused` in the report.
    """
    trial = read_judgments(judgments, arms)
    if reference is not None and reference not in arms[1:]:
        raise TrialError(f"{reference} is none of the arms that are compared ({', '.join(arms[1:])})")
    for arm, cost in (costs.per_sample if costs else {}).items():
        if not math.isfinite(cost) or cost < 0:
            raise TrialError(f"a sample of {arm} costs {cost}, which is not a number from 0 up")
    panel = trial.panel
    against = {arm: _or_refused(compare, panel, arm, arms[0]) for arm in arms[1:]}
    results = _arm_results(against, costs, bootstrap)
    chosen = reference or max(results, key=_rate).arm
    read, one_order = verdicts_read(trial), left_out(trial)
    judged = referee_scores(panel.votes)
    return Report(
        baseline=arms[0],
        reference=chosen,
        samples=len({sample for sample, *_ in judged}),
        judgments=sum(map(sum, read.values())),
        unreadable=sum(unreadable for _, unreadable in read.values()),
        arms=tuple(results),
        leads=_lead_results(chosen, against, costs, bootstrap),
        direct=_direct(panel, bootstrap),
        strengths=_or_refused(strengths, panel, bootstrap),
        corrected=_or_refused(corrected, trial, bootstrap),
        referees=tuple(
            RefereeResult(name, *counts, _or_refused(orders, trial, name, bootstrap), one_order.get(name, 0))
            for name, counts in read.items()
        ),
        agreement=_or_refused(agreement, trial),
        unit=costs.unit if costs else None,
        judged=len({sample for (sample, *_), by in judged.items() if UNCHANGED not in by}),
    )


def _arm_results(
    against: Mapping[str, Comparisons | Refused], costs: Costs | None, bootstrap: Bootstrap
) -> list[ArmResult]:
    tests = sum(not isinstance(found, Refused) for found in against.values())
    rates = {arm: _given(found, win_rate, bootstrap, tests) for arm, found in against.items()}
    adjusted = _adjusted({arm: rate.p for arm, rate in rates.items() if not isinstance(rate, Refused)})
    results = []
    for arm, rate in rates.items():
        cost = costs.per_sample.get(arm) if costs else None
        verdict: Verdict = "noise"
        cost_per_win = None
        if not isinstance(rate, Refused):
            if is_beyond_noise(rate, adjusted[arm]):
                verdict = "better" if rate.rate.value > 0.5 else "worse"
            if cost is not None and rate.wins:
                cost_per_win = cost * rate.samples / rate.wins
        results.append(
            ArmResult(
                arm,
                rate,
                adjusted.get(arm),
                verdict,
                _given(against[arm], length_controlled, bootstrap),
                _given(against[arm], style_controlled, bootstrap),
                cost,
                cost_per_win,
            )
        )
    return results


def _lead_results(
    reference: str, against: Mapping[str, Comparisons | Refused], costs: Costs | None, bootstrap: Bootstrap
) -> tuple[LeadResult, ...]:
    others = {arm: found for arm, found in against.items() if arm != reference}
    tests = sum(not isinstance(found, Refused) for found in others.values())
    leads = {arm: _lead(against[reference], found, bootstrap, tests) for arm, found in others.items()}
    adjusted = _adjusted({arm: found.p for arm, found in leads.items() if not isinstance(found, Refused)})
    return tuple(
        LeadResult(
            arm,
            found,
            adjusted.get(arm),
            not isinstance(found, Refused) and is_beyond_noise(found, adjusted[arm]),
            _cost_share(costs, arm, reference),
        )
        for arm, found in leads.items()
    )


def _lead(
    one: Comparisons | Refused, other: Comparisons | Refused, bootstrap: Bootstrap, tests: int
) -> Lead | Refused:
    if isinstance(one, Refused):
        return one
    return other if isinstance(other, Refused) else _or_refused(lead, one, other, bootstrap, tests)


def _direct(panel: Trial, bootstrap: Bootstrap) -> tuple[DirectResult, ...]:
    found = []
    for rival, arm in combinations(panel.arms[1:], 2):
        rate = _given(_or_refused(compare, panel, arm, rival), win_rate, bootstrap)
        if not isinstance(rate, Refused):
            found.append(DirectResult(arm, rival, rate))
    return tuple(found)


def _adjusted(p: Mapping[str, float]) -> dict[str, float]:
    return dict(zip(p, holm([*p.values()]), strict=True))


def _cost_share(costs: Costs | None, arm: str, reference: str) -> float | None:
    if costs is None or arm not in costs.per_sample or not costs.per_sample.get(reference):
        return None
    return costs.per_sample[arm] / costs.per_sample[reference]


def _rate(result: ArmResult) -> float:
    return -1.0 if isinstance(result.win_rate, Refused) else result.win_rate.rate.value


def _given(
    found: Comparisons | Refused,
    figure: Callable[Concatenate[Comparisons, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T | Refused:
    return found if isinstance(found, Refused) else _or_refused(figure, found, *args, **kwargs)


def _or_refused(figure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Refused:
    try:
        return figure(*args, **kwargs)
    except TrialError as error:
        return Refused(str(error))
