"""Estimates what a run takes: calls, tokens and dollars, least, most and likely.

The graphs run over some of the samples with simulations instead of models. One replies as briefly as can be
expected, and its judge rejects every first draft. Another replies at the greatest length, and its judge
accepts every draft, after as many unreadable verdicts as allowed. A third is what is likely, unless finished
samples of the run show what samples take. So the prompts and the calls are real.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from math import ceil, sqrt
from statistics import fmean, stdev

from graph.build import exchange_graph
from graph.conversation import conversation_graph
from graph.settings import Settings
from ledger.ledger import FinishedSet, Ledger
from ledger.usage import Counted, of_finished, reusable
from models.call import Call
from models.errors.exceptions import RunStopped
from models.limits.budget import NOTHING, Amount, Usage, longest_reply, money, priced, prompt_tokens
from models.providers.parameters import unlimited
from models.settings import Endpoint, Limits
from prompts.method import MODES
from reporting.cost import amount, role_of, spent, unpriced
from reporting.labels import NO_PRICE, is_best_of
from runners.plan import Plan
from runners.worker import evolve_sample
from samples.fields import percent
from samples.sample import Sample
from samples.tokens import estimate_tokens

SIMULATED = 40
"""Samples that are simulated in each mode; all of them if there are fewer."""

SHORT_REPLY = 30
"""Tokens of a short reply, a sentence or two. Few models average less."""

LIKELY_REPLY = 170
"""Tokens of a likely reply of a debater: those of Qwen2.5-Coder-1.5B over Alpaca records had 173."""

LIKELY_WINS = 0.5
"""How often a likely draft is accepted."""

MEASURED = 20
"""Finished samples of a mode that are enough to go by what they took."""

_SEED = 7  # the same data gives the same forecast
_CHARACTERS = 5.2  # per token of simulated replies, by `estimate_tokens`


@dataclass(frozen=True, slots=True)
class Share:
    """Calls, and the tokens and dollars they take. Fractions in averages."""

    calls: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    dollars: float = 0.0

    def plus(self, other: "Share", times: float = 1.0) -> "Share":
        """Add another share, so many times."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Share(*(mine + times * others for mine, others in pairs))

    def at_least_zero(self) -> "Share":
        """Replace negative numbers by 0."""
        return Share(*(max(0.0, number) for number in astuple(self)))


@dataclass(slots=True)
class Forecast:
    """What is left of a run."""

    samples: int = 0
    """Samples to work on, once for each mode."""
    earlier: int = 0
    """Samples that were finished before."""
    skipped: int = 0
    simulated: int = 0
    error: float = 0.0
    """The relative error, at a confidence of 95 %, from simulating only some samples."""
    least: Share = field(default_factory=Share)
    """For all samples, less what is `recorded`, like `most`."""
    most: Share = field(default_factory=Share)
    likely: Share = field(default_factory=Share)
    measured: int = 0
    """Finished samples by which `likely` goes."""
    assumed: bool = False
    """Whether `likely` goes by assumptions, in some mode."""
    recorded: Share = field(default_factory=Share)
    """Recorded calls of samples that were started."""
    spent: Amount = NOTHING
    unpriced: list[Endpoint] = field(default_factory=list)
    conversations: bool = False


async def forecast(plan: Plan, ledger: Ledger | None) -> Forecast:
    """Estimate what a plan takes, without a call. `ledger` is that of a run in progress.

    Raises:
        DataError: the data cannot be read.
        PackError: the prompt pack cannot be used.
        LedgerError: the ledger cannot be read.
        RunStopped: a sample fails whatever the models reply.
    """
    settings = plan.settings
    found = Forecast(unpriced=unpriced(settings))
    finished = FinishedSet()
    if ledger:
        finished = ledger.finished(except_failed=plan.retry_failed)
        found.spent = spent(ledger, settings)
        for line in reusable(ledger, except_failed=plan.retry_failed):
            found.recorded = found.recorded.plus(_share(line, settings))
    drawn: dict[str, _RandomSamples] = {mode: _RandomSamples() for mode in plan.modes}
    for sample in plan.data.samples(plan.start, plan.stop):
        if sample.skip is not None:
            found.skipped += 1
            continue
        for mode in plan.modes:
            if (sample.position, mode) in finished:
                found.earlier += 1
            else:
                drawn[mode].offer(sample)
    taken = of_finished(ledger) if ledger else {}
    for mode, some in drawn.items():
        if not some.some:
            continue
        await _add(found, mode, some, settings)
        done = ledger.finished_in(mode) if ledger and mode in taken else 0
        if done >= MEASURED:
            found.measured += done
            likely = [_share(line, settings) for line in taken[mode]]
        else:
            found.assumed = True
            likely = [await _Likely(mode).run(sample, settings) for sample in some.some]
            done = len(likely)
        for share in likely:
            found.likely = found.likely.plus(share, some.offered / done)
    found.likely = found.likely.plus(found.recorded, -1).at_least_zero()
    found.least = found.least.plus(found.recorded, -1).at_least_zero()
    found.most = found.most.plus(found.recorded, -1).at_least_zero()
    return found


def _share(line: Counted, settings: Settings) -> Share:
    """Return what recorded calls would take now: in the tier that is asked for now, if any is."""
    line = line._replace(tier=settings.tier(role_of(line, settings)) or line.tier)
    return Share(line.calls, line.input_tokens, line.output_tokens, amount(line, settings).dollars)


def lines(found: Forecast, plan: Plan) -> Iterator[str]:
    """Describe a forecast and its assumptions."""
    settings, modes = plan.settings, plan.modes
    others = [
        *([f"{found.earlier:,} finished before"] if found.earlier else []),
        *([f"{found.skipped:,} skipped"] if found.skipped else []),
    ]
    of_modes = f" in {len(modes)} modes" if len(modes) > 1 else ""
    yield f"Samples  {found.samples:,} to work on{of_modes}" + "".join(f", {other}" for other in others)
    yield f"Calls    {_range(found, 'calls')}"
    yield f"Tokens   {_range(found, 'input_tokens')} of prompts"
    yield f"         {_range(found, 'output_tokens')} of replies"
    yield f"Dollars  {_dollars(found)}"
    yield f"Likely   {likely_text(found)}"
    if found.spent.tokens:
        yield f"Spent    {found.spent.tokens:,} tokens{_spent_dollars(found)}, not included above"
    if found.recorded.calls:
        yield f"Recorded {found.recorded.calls:,.0f} calls for samples that were started, not included above"
    yield from (f"{option}: {verdict}" for option, verdict in budgets(found, plan.limits))
    yield ""
    yield "Assumptions:"
    if found.measured:
        yield f"- Likely is what the {found.measured:,} samples took that are finished."
    if found.assumed:
        accepted = f"{percent(LIKELY_WINS)} of the drafts are accepted, " if _by_rounds(modes) else ""
        yield (
            f"- Likely: {accepted}drafts are as long as the original responses, and other replies have "
            f"{LIKELY_REPLY} tokens, thoughts included."
        )
    some = f"{found.simulated:,} of {found.samples:,} samples, ± {percent(found.error)} for that"
    drawn = "all samples" if found.simulated == found.samples else some
    yield f"- Prompts are the real ones, rendered for {drawn}; the tokens are estimated, mostly within 30 %."
    limit = f"{settings.max_tokens:,} tokens (--max-tokens)"
    if settings.extra_body or settings.role_extra_body:
        limit = "their limit"
    yield f"- Replies have between {SHORT_REPLY} tokens and {limit}; on average few models come near either."
    if without := unlimited(settings):
        yield (
            f"- --extra-body removes the limit for {', '.join(without)}: replies count with up to "
            f"{settings.max_tokens:,} tokens, and may have more."
        )
    if _by_rounds(modes):
        yield f"- An exchange takes between 1 round and {settings.max_rounds} (--max-rounds)."
    if is_best_of(modes):
        yield f"- Of best-of-n, an exchange takes {settings.drafts} drafts (--drafts), and all are judged."
    if any(MODES[mode].is_judged for mode in modes) and settings.judge_retries:
        asked = settings.judge_retries + 1
        yield f"- A judge is asked up to {asked} times if its verdict is unreadable (--judge-retries)."
    if found.conversations:
        yield "- How far a conversation is worked on depends on how long its new responses are."
    prices = f"{_source(settings)}{_tiers(settings)}, without caches or discounts"
    yield f"- Prices are {prices}. Attempts that fail are not counted."


def _source(settings: Settings) -> str:
    given = [settings.endpoint(role).price is not None for role in settings.roles]
    if all(given):
        return "those given (--price)"
    return "list prices, or those given (--price)" if any(given) else "list prices"


def _tiers(settings: Settings) -> str:
    """Say of which service tier the prices are: of single models, where not all are asked for the same."""
    models: dict[str | None, dict[str, None]] = {}
    for role in settings.roles:
        models.setdefault(settings.tier(role), {})[settings.endpoint(role).model] = None
    tiers = [tier for tier in models if tier]
    if len(models) == 1:
        return "".join(f" of the tier {tier}" for tier in tiers)
    return ",".join(f" of the tier {tier} for {' and '.join(models[tier])}" for tier in tiers)


def _by_rounds(modes: Sequence[str]) -> bool:
    return any(MODES[mode].is_judged and not MODES[mode].is_best_of for mode in modes)


def _range(found: Forecast, name: str) -> str:
    least, most = (f"{getattr(share, name):,.0f}" for share in (found.least, found.most))
    return least if least == most else f"{least} to {most}"


def likely_text(found: Forecast) -> str:
    """Describe what is likely: calls, tokens of prompts and of replies, dollars."""
    share = found.likely
    dollars = f", {money(share.dollars)}" if share.dollars else ""
    tokens = f"{share.input_tokens:,.0f} + {share.output_tokens:,.0f} tokens"
    return f"{share.calls:,.0f} calls, {tokens}{dollars}"


def _dollars(found: Forecast) -> str:
    some = f"{money(found.least.dollars)} to {money(found.most.dollars)}"
    if not found.unpriced:
        return some if found.most.dollars else "none"
    names = ", ".join(dict.fromkeys(endpoint.model for endpoint in found.unpriced))
    without = NO_PRICE.format(model=names, address="this address")
    return f"at least {some}: {without}" if found.most.dollars else f"unknown: {without}"


def _spent_dollars(found: Forecast) -> str:
    return f", {money(found.spent.dollars)}" if found.spent.dollars else ""


def budgets(found: Forecast, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield each limit of the budget, and whether it is enough."""
    shares = (found.least, found.likely, found.most)
    tokens = [share.input_tokens + share.output_tokens for share in shares]
    dollars = [share.dollars for share in shares]
    bounds = (
        (f"--budget {limits.budget or 0:g}", limits.budget, found.spent.dollars, dollars),
        (f"--budget-tokens {limits.budget_tokens}", limits.budget_tokens, found.spent.tokens, tokens),
    )
    for option, limit, before, (least, likely, most) in bounds:
        if limit is None:
            continue
        if limit < before + least:
            yield option, "less than the least: the run will stop before it is done"
        elif limit < before + likely:
            yield option, "less than is likely: the run will probably stop before it is done"
        elif limit < before + most:
            yield option, "less than the most: the run may stop before it is done"
        else:
            yield option, "enough"


class _RandomSamples:
    """A random choice of the samples offered (reservoir sampling)."""

    def __init__(self) -> None:
        self.offered = 0
        self.some: list[Sample] = []
        self._random = random.Random(_SEED)  # noqa: S311

    def offer(self, sample: Sample) -> None:
        self.offered += 1
        if len(self.some) < SIMULATED:
            self.some.append(sample)
        elif (index := self._random.randrange(self.offered)) < SIMULATED:
            self.some[index] = sample


async def _add(found: Forecast, mode: str, drawn: _RandomSamples, settings: Settings) -> None:
    least, most = [], []
    extremes = [_Simulation(mode, wins=False, long=False), _Simulation(mode, wins=True, long=True)]
    # Short drafts leave room for more exchanges of a conversation, long ones for fewer.
    others = [
        _Simulation(mode, wins=True, long=True, long_drafts=False),
        _Simulation(mode, wins=False, long=False, long_drafts=True),
    ]
    for sample in drawn.some:
        each = extremes + others if len(sample.exchanges) > 1 else extremes
        simulated = [await simulation.run(sample, settings) for simulation in each]
        least.append(_each(min, simulated))
        most.append(_each(max, simulated))
    found.samples += drawn.offered
    found.simulated += len(drawn.some)
    found.conversations = found.conversations or any(len(sample.exchanges) > 1 for sample in drawn.some)
    times = drawn.offered / len(drawn.some)
    for share in least:
        found.least = found.least.plus(share, times)
    for share in most:
        found.most = found.most.plus(share, times)
    if times > 1:
        found.error = max(found.error, _error(least, times), _error(most, times))


def _error(shares: Sequence[Share], times: float) -> float:
    tokens = [share.input_tokens + share.output_tokens for share in shares]
    # Only the part that was not simulated can differ.
    return 1.96 * stdev(tokens) / sqrt(len(tokens)) * sqrt(1 - 1 / times) / fmean(tokens)


def _each(choose: Callable[[Iterable[float]], float], simulated: Sequence[Share]) -> Share:
    return Share(*map(choose, zip(*map(astuple, simulated), strict=True)))


class _Simulation:
    """Takes samples through the graphs, replies instead of the models, and counts calls and tokens.

    Args:
        mode: the mode.
        wins: whether the judge accepts each draft, after as many unreadable verdicts as allowed.
        long: whether replies have the greatest length.
        long_drafts: the same for drafts.
    """

    def __init__(self, mode: str, *, wins: bool, long: bool, long_drafts: bool | None = None) -> None:
        self._wins = wins
        self._long = long
        self._long_drafts = long if long_drafts is None else long_drafts
        self._share = Share()
        self._graphs = exchange_graph(MODES[mode], self._speak), conversation_graph(MODES[mode], self._speak)

    async def run(self, sample: Sample, settings: Settings) -> Share:
        """Return what a sample takes."""
        self._share = Share()
        # The drafts here are no text.
        settings = settings.model_copy(update={"guards": "off", "check": None})
        for done in await evolve_sample(sample, *self._graphs, settings):
            if "failure" in done:  # without any model
                raise RunStopped(f"sample {sample.id} cannot be worked on: {done['failure']['message']}")
        return self._share

    async def _speak(self, call: Call, settings: Settings) -> str:
        output = self._length(call, longest_reply(settings, call.role))
        prompt, tier = prompt_tokens(call.messages), settings.tier(call.role)
        dollars = priced(settings.endpoint(call.role), Usage(prompt, 0, output, tier)).dollars
        self._share = self._share.plus(Share(1, prompt, output, dollars))
        reply = ("word " * ceil(output * _CHARACTERS / 5)).strip()
        if call.draft is not None:
            reply = f"{call.draft} {reply[2:]}"  # no two drafts are the same
        if call.purpose != "verdict" or self._is_unreadable(call, settings):
            return reply
        second = (call.step == "judge_forward") == self._prefers_draft(call)  # if the better is the second
        if settings.verdict == "score":
            return f"{'1 10' if second else '10 1'}\n{reply}"
        return f"assistant {2 if second else 1}\n{reply}"

    def _length(self, call: Call, limit: int) -> int:
        long = self._long_drafts if call.purpose == "draft" else self._long
        return limit if long else min(SHORT_REPLY, limit)

    def _is_unreadable(self, call: Call, settings: Settings) -> bool:
        return self._wins and call.asked <= settings.judge_retries

    def _prefers_draft(self, call: Call) -> bool:
        return self._wins


class _Likely(_Simulation):
    """Replies as models are likely to."""

    def __init__(self, mode: str) -> None:
        super().__init__(mode, wins=True, long=False)
        self._sample: Sample | None = None

    async def run(self, sample: Sample, settings: Settings) -> Share:
        self._sample = sample
        return await super().run(sample, settings)

    def _length(self, call: Call, limit: int) -> int:
        length = LIKELY_REPLY
        if call.purpose == "draft" and self._sample:
            length = max(SHORT_REPLY, estimate_tokens(self._sample.exchanges[call.exchange].response))
        return min(length, limit)

    def _is_unreadable(self, call: Call, settings: Settings) -> bool:
        return False

    def _prefers_draft(self, call: Call) -> bool:
        return random.Random(f"{call.sample} {call.exchange} {call.round}").random() < LIKELY_WINS  # noqa: S311
