"""Estimates what a trial takes, and says what so many samples can show."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from langgraph.runtime import Runtime

from models.limits.budget import NOTHING, Amount, Usage, longest_reply, money, priced, prompt_tokens
from nodes.judge import judge
from nodes.settings import AgentSettings
from reporting.cost import unpriced
from reporting.labels import NO_PRICE
from reporting.trial import TrialRecord
from reporting.trial_manifest import MATCHED, TARGET, TrialManifest, is_trial
from runners.forecast import (
    LIKELY_REPLY,
    SHORT_REPLY,
    SIMULATED,
    Forecast,
    Share,
    budgets,
    forecast,
    likely_text,
)
from runners.referees import ORDERS, judged_view, referee_roles, scored_messages
from runners.trial_plan import TrialPlan
from samples.fields import percent, plural
from samples.sample import Sample
from trials.pairs import pairs_of

TIES = 0.3
"""The share of samples that end in a tie, as is common, for what a trial can show."""


@dataclass(slots=True)
class TrialForecast:
    """What a trial takes in all."""

    arms: dict[str, Forecast] = field(default_factory=dict)
    referees: Forecast = field(default_factory=Forecast)
    comparisons: int = 0
    """Of one referee, in both orders together."""
    spent: Amount = NOTHING
    unpriced: list[str] = field(default_factory=list)
    """Models without a known price."""

    @property
    def total(self) -> Forecast:
        """All of it."""
        total = Forecast()
        for each in (*self.arms.values(), self.referees):
            total.least = total.least.plus(each.least)
            total.likely = total.likely.plus(each.likely)
            total.most = total.most.plus(each.most)
        return total


async def forecast_trial(plan: TrialPlan, made: TrialManifest, folder: Path) -> TrialForecast:
    """Estimate what a trial takes from its start, without a call.

    An arm whose cost is matched takes as much as `evolve`, as far as is known before.

    Raises:
        As `runners.forecast.forecast`.
    """
    found = TrialForecast(spent=TrialRecord(folder).spent() if is_trial(folder) else NOTHING)
    names = [each.model for each in (*unpriced(plan.run.settings), *unpriced(plan.referees))]
    found.unpriced = list(dict.fromkeys(names))
    wanted = set(made["positions"])
    samples = [
        sample
        for sample in plan.run.data.samples(exclude=lambda position: position not in wanted)
        if sample.skip is None
    ]
    drawn = replace(plan.run, data=_Some(samples), start=0, stop=None)  # type: ignore[arg-type]
    matched = MATCHED if TARGET in plan.run.modes else {}
    for arm in sorted(plan.run.modes, key=lambda arm: arm in matched):
        if arm in matched:
            found.arms[arm] = found.arms[TARGET]
        else:
            found.arms[arm] = await forecast(replace(drawn, modes=[arm]), None)
    await _add_referees(found, plan, samples)
    return found


class _Some:
    """Samples in place of a data set."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def samples(self, *_: object) -> Iterator[Sample]:
        return iter(self._samples)


async def _add_referees(found: TrialForecast, plan: TrialPlan, samples: list[Sample]) -> None:
    settings = plan.referees
    chat, reward = referee_roles(settings)
    context = AgentSettings(**{name: getattr(settings, name) for name in AgentSettings.model_fields})
    per_sample = sum(len(pairs_of(plan.arms, plan.pairs, at)) for at in range(len(samples))) / len(samples)
    found.comparisons = round(per_sample * len(samples))
    some = samples[:SIMULATED]
    theirs, whole = found.referees, len(samples) / len(some)
    for sample in some:
        for number, exchange in enumerate(sample.exchanges):
            if exchange.fixed:
                continue
            for role in chat:
                endpoint, longest = settings.endpoint(role), longest_reply(settings, role)
                view = judged_view(sample, number, exchange.response, exchange.response, settings)
                prompts: list[int] = []

                async def ask(*given: object, prompts: list[int] = prompts, **more: object) -> str:
                    prompts.append(prompt_tokens(given[3]))  # type: ignore[arg-type]
                    return "10 1" if settings.verdict == "score" else "assistant 1"

                for order in ORDERS:
                    await judge(order, ask)(view, runtime=Runtime(context=context))
                asked = 2 * (settings.judge_retries + 1)
                # Both responses may be as long as replies can be.
                long = prompts[0] + 2 * plan.run.settings.max_tokens
                least, likely, most = (
                    Share(1, prompt, reply, priced(endpoint, Usage(prompt, 0, reply)).dollars)
                    for prompt, reply in (
                        (prompts[0], min(SHORT_REPLY, longest)),
                        (prompts[0], min(LIKELY_REPLY, longest)),
                        (long, longest),
                    )
                )
                theirs.least = theirs.least.plus(least, 2 * per_sample * whole)
                theirs.likely = theirs.likely.plus(likely, 2 * per_sample * whole)
                theirs.most = theirs.most.plus(most, asked * per_sample * whole)
            for _ in reward:
                tokens = prompt_tokens(scored_messages(sample, number, exchange.response))
                times = len(plan.arms) * whole
                theirs.least = theirs.least.plus(Share(1, tokens, 0), times)
                theirs.likely = theirs.likely.plus(Share(1, tokens, 0), times)
                theirs.most = theirs.most.plus(Share(1, tokens + plan.run.settings.max_tokens, 0), times)


def trial_lines(found: TrialForecast, plan: TrialPlan, made: TrialManifest) -> Iterator[str]:
    """Describe what a trial takes and can show."""
    number = len(made["positions"])
    drawn = f" (of {plan.asked:,} asked for; the data has no more)" if number < plan.asked else ""
    yield f"Samples  {number:,}{drawn}, drawn with seed {plan.seed}"
    from trials.size import detectable_difference  # with libraries that take a while to load

    least = detectable_difference(number, TIES, len(plan.arms) - 1) or 0.5
    rates = f"a win rate of {percent(0.5 + least)} or more, or {percent(0.5 - least)} or less"
    ties = f"{percent(TIES)} ties assumed"
    yield f"Shows    {rates}, in 4 of 5 trials; nearer to 50 % mostly nothing ({ties})"
    total = found.total
    for arm, shares in found.arms.items():
        matched = f", matched to the cost of {TARGET}" if arm in MATCHED and TARGET in found.arms else ""
        yield f"{arm:<10} {_range(shares, 'calls')} calls{matched}"
    chat, reward = referee_roles(plan.referees)
    kinds = ((chat, "chat model"), (reward, "reward model"))
    counts = (plural(len(roles), noun) for roles, noun in kinds if roles)
    judged = f"{' and '.join(counts)}, {plural(found.comparisons, 'comparison')}"
    yield f"{'referees':<10} {_range(found.referees, 'calls')} calls: {judged}"
    yield f"Calls    {_range(total, 'calls')}"
    yield f"Tokens   {_range(total, 'input_tokens')} of prompts"
    yield f"         {_range(total, 'output_tokens')} of replies"
    yield f"Dollars  {_dollars(found)}"
    yield f"Likely   {likely_text(total)}"
    yield from (f"{option}: {verdict}" for option, verdict in budgets(total, plan.run.limits))
    if found.spent.tokens:
        dollars = f", {money(found.spent.dollars)}" if found.spent.dollars else ""
        yield f"Spent    {found.spent.tokens:,} tokens{dollars}, of what is above"


def _range(found: Forecast, name: str) -> str:
    least, most = (f"{getattr(share, name):,.0f}" for share in (found.least, found.most))
    return least if least == most else f"{least} to {most}"


def _dollars(found: TrialForecast) -> str:
    total = found.total
    some = f"{money(total.least.dollars)} to {money(total.most.dollars)}"
    if not found.unpriced:
        return some if total.most.dollars else "none"
    without = NO_PRICE.format(model=", ".join(found.unpriced), address="this address")
    return f"at least {some}: {without}" if total.most.dollars else f"unknown: {without}"
