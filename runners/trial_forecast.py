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
from runners.forecast import SHORT_REPLY, SIMULATED, Forecast, Share, budgets, forecast
from runners.referees import ORDERS, judged_view, referee_roles, scored_messages
from runners.trial_plan import TrialPlan
from samples.fields import percent, plural
from samples.sample import Sample
from trials.pairs import pairs_of
from trials.size import detectable_difference

TIES = 0.3
"""The share of samples that end in a tie, as is common, for what a trial can show."""


@dataclass(slots=True)
class TrialForecast:
    """What a trial takes in all, least and most."""

    arms: dict[str, tuple[Share, Share]] = field(default_factory=dict)
    referees: tuple[Share, Share] = (Share(), Share())
    comparisons: int = 0
    """Of one referee, in both orders together."""
    spent: Amount = NOTHING
    unpriced: list[str] = field(default_factory=list)
    """Models without a known price."""

    @property
    def total(self) -> tuple[Share, Share]:
        """All of it."""
        least, most = self.referees
        for low, high in self.arms.values():
            least, most = least.plus(low), most.plus(high)
        return least, most


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
            expected = await forecast(replace(drawn, modes=[arm]), None)
            found.arms[arm] = expected.least, expected.most
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
    least, most = Share(), Share()
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
                short = Usage(prompts[0], 0, min(SHORT_REPLY, longest))
                for times, usage, each in ((2, short, "least"), (asked, Usage(long, 0, longest), "most")):
                    share = Share(1, usage.input, usage.output, priced(endpoint, usage).dollars)
                    if each == "least":
                        least = least.plus(share, times * per_sample)
                    else:
                        most = most.plus(share, times * per_sample)
            for _ in reward:
                tokens = prompt_tokens(scored_messages(sample, number, exchange.response))
                least = least.plus(Share(1, tokens, 0), len(plan.arms))
                most = most.plus(Share(1, tokens + plan.run.settings.max_tokens, 0), len(plan.arms))
    whole = len(samples) / len(some)
    found.referees = Share().plus(least, whole), Share().plus(most, whole)


def trial_lines(found: TrialForecast, plan: TrialPlan, made: TrialManifest) -> Iterator[str]:
    """Describe what a trial takes and can show."""
    number = len(made["positions"])
    drawn = f" (of {plan.asked:,} asked for; the data has no more)" if number < plan.asked else ""
    yield f"Samples  {number:,}{drawn}, drawn with seed {plan.seed}"
    least, total = detectable_difference(number, TIES), found.total
    rates = f"a win rate of {percent(0.5 + least)} or more, or {percent(0.5 - least)} or less"
    ties = f"{percent(TIES)} ties assumed"
    yield f"Shows    {rates}, in 4 of 5 trials; nearer to 50 % mostly nothing ({ties})"
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
    whole = Forecast(least=total[0], most=total[1])
    yield from (f"{option}: {verdict}" for option, verdict in budgets(whole, plan.run.limits))
    if found.spent.tokens:
        dollars = f", {money(found.spent.dollars)}" if found.spent.dollars else ""
        yield f"Spent    {found.spent.tokens:,} tokens{dollars}, of what is above"


def _range(shares: tuple[Share, Share], name: str) -> str:
    least, most = (f"{getattr(share, name):,.0f}" for share in shares)
    return least if least == most else f"{least} to {most}"


def _dollars(found: TrialForecast) -> str:
    least, most = (money(share.dollars) for share in found.total)
    if not found.unpriced:
        return f"{least} to {most}" if found.total[1].dollars else "none"
    without = NO_PRICE.format(model=", ".join(found.unpriced), address="this address")
    return f"at least {least} to {most}: {without}" if found.total[1].dollars else f"unknown: {without}"
