"""What a run will take, said before it: how many calls, tokens and dollars, least and most.

The graphs themselves are walked over some of the samples, with two speakers in the place of models: one that
replies as shortly as can be expected and whose judge turns every first draft down, and one that replies at
the greatest length and whose judge takes every draft and is unreadable as often as it may be. So the prompts
are the real ones, of the real pack, and the calls are those the method makes.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from math import ceil, sqrt
from statistics import fmean, stdev

from graph.build import conversation_graph, exchange_graph
from graph.settings import Settings
from ledger.ledger import Finished, Ledger
from ledger.usage import reusable
from models.call import Call
from models.errors.kinds import RunStopped
from models.limits.budget import NOTHING, Amount, Usage, longest_reply, money, priced, prompt_tokens
from models.providers.parameters import unlimited
from models.settings import Endpoint
from prompts.method import Mode
from reporting.cost import bill, spent, unpriced
from runners.engine import Options, evolve_sample
from samples.reader import DataSet
from samples.sample import Sample

WALKED = 40
"""Samples that are walked over in each mode; fewer than that are all walked over."""

SHORT_REPLY = 30
"""Tokens of a reply that is short: a sentence or two. Few models say less on average."""

_SEED = 7  # the same data give the same forecast
_CHARACTERS = 5.2  # of a token of the words below, for `estimate_tokens`


@dataclass(frozen=True, slots=True)
class Share:
    """Calls, and the tokens and dollars they take. Fractions where it is an average."""

    calls: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    dollars: float = 0.0

    def plus(self, other: "Share", times: float = 1.0) -> "Share":
        """The sum with another, taken so many times."""
        return Share(
            self.calls + times * other.calls,
            self.input_tokens + times * other.input_tokens,
            self.output_tokens + times * other.output_tokens,
            self.dollars + times * other.dollars,
        )

    def at_least_nothing(self) -> "Share":
        """Without what is below zero."""
        return Share(*(max(0.0, number) for number in astuple(self)))


@dataclass(slots=True)
class Forecast:
    """What is left of a run.

    `samples` counts samples once for each mode, those finished `earlier` and those `skipped` not included.
    `least` and `most` are for all of them, less the calls `on_file` for samples that are begun. `error` is
    the greatest relative error, with a chance of 95 %, that comes from walking over `walked` of them only.
    """

    samples: int = 0
    earlier: int = 0
    skipped: int = 0
    walked: int = 0
    error: float = 0.0
    least: Share = field(default_factory=Share)
    most: Share = field(default_factory=Share)
    on_file: Share = field(default_factory=Share)
    spent: Amount = NOTHING
    unpriced: list[Endpoint] = field(default_factory=list)
    conversations: bool = False


async def forecast(
    data: DataSet, modes: Sequence[Mode], settings: Settings, options: Options, ledger: Ledger | None
) -> Forecast:
    """What `coevol evolve` would do with these, without a call. `ledger` is that of a run in progress.

    Raises:
        DataError: the data cannot be read.
        PackError: the prompt pack cannot be used.
        LedgerError: the ledger cannot be read.
        RunStopped: a sample fails whatever the models say.
    """
    found = Forecast(unpriced=unpriced(settings))
    finished = Finished()
    if ledger:
        finished = ledger.finished(but_failed=options.retry_failed)
        found.spent = spent(ledger, settings)
        for line in reusable(ledger, but_failed=options.retry_failed):
            dollars = bill(line, settings).dollars
            found.on_file = found.on_file.plus(
                Share(line.calls, line.input_tokens, line.output_tokens, dollars)
            )
    drawn: dict[Mode, _Drawn] = {mode: _Drawn() for mode in modes}
    for sample in data.samples(options.start, options.stop):
        if sample.skip is not None:
            found.skipped += 1
            continue
        for mode in modes:
            if (sample.position, mode) in finished:
                found.earlier += 1
            else:
                drawn[mode].offer(sample)
    for mode, some in drawn.items():
        await _add(found, mode, some, settings)
    found.least = found.least.plus(found.on_file, -1).at_least_nothing()
    found.most = found.most.plus(found.on_file, -1).at_least_nothing()
    return found


def lines(found: Forecast, settings: Settings, modes: Sequence[Mode], options: Options) -> Iterator[str]:
    """The forecast in words, with what it takes for granted."""
    aside = [
        *([f"{found.earlier:,} finished before"] if found.earlier else []),
        *([f"{found.skipped:,} skipped"] if found.skipped else []),
    ]
    of_modes = f" in {len(modes)} modes" if len(modes) > 1 else ""
    yield f"Samples  {found.samples:,} to work on{of_modes}" + "".join(f", {words}" for words in aside)
    yield f"Calls    {_range(found, 'calls')}"
    yield f"Tokens   {_range(found, 'input_tokens')} of prompts"
    yield f"         {_range(found, 'output_tokens')} of replies"
    yield f"Dollars  {_dollars(found)}"
    if found.spent.tokens:
        yield f"Spent    {found.spent.tokens:,} tokens{_spent_dollars(found)}, not in the above"
    if found.on_file.calls:
        yield f"On file  {found.on_file.calls:,.0f} calls for samples that are begun, not in the above"
    yield from (f"{option}: {words}" for option, words in _budgets(found, options))
    yield ""
    yield "How sure that is. Least and most are what the method makes of these assumptions:"
    some = f"{found.walked:,} of {found.samples:,} samples, ± {found.error:.0%} for that"
    drawn = "all samples" if found.walked == found.samples else some
    yield f"- Prompts are the real ones, rendered for {drawn}; the tokens are estimated, mostly within 30 %."
    limit = f"{settings.max_tokens:,} tokens (--max-tokens)"
    if settings.extra_body or settings.role_extra_body:
        limit = "their limit"
    yield f"- Replies have between {SHORT_REPLY} tokens and {limit}; few have either length on average."
    if without := unlimited(settings):
        yield (
            f"- --extra-body takes the limit away for {', '.join(without)}: replies are counted with up to "
            f"{settings.max_tokens:,} tokens, and may have more."
        )
    if "evolve" in modes:
        yield f"- An exchange takes between 1 round and {settings.max_rounds} (--max-rounds)."
        if settings.judge_retries:
            asked = settings.judge_retries + 1
            yield f"- A judge is asked once, or up to {asked} times where it is unreadable (--judge-retries)."
    if found.conversations:
        yield "- How far a conversation is worked on depends on how long its new responses are."
    yield "- Prices are list prices, without caches or discounts. Attempts that fail are not counted."


def _range(found: Forecast, name: str) -> str:
    least, most = (f"{getattr(share, name):,.0f}" for share in (found.least, found.most))
    return least if least == most else f"{least} to {most}"


def _dollars(found: Forecast) -> str:
    some = f"{money(found.least.dollars)} to {money(found.most.dollars)}"
    if not found.unpriced:
        return some
    names = ", ".join(dict.fromkeys(endpoint.model for endpoint in found.unpriced))
    without = f"no price is known of {names} as it is reached here"
    return f"at least {some}: {without}" if found.most.dollars else f"not known: {without}"


def _spent_dollars(found: Forecast) -> str:
    return f", {money(found.spent.dollars)}" if found.spent.dollars else ""


def _budgets(found: Forecast, options: Options) -> Iterator[tuple[str, str]]:
    tokens = [share.input_tokens + share.output_tokens for share in (found.least, found.most)]
    dollars = [share.dollars for share in (found.least, found.most)]
    limits = (
        (f"--budget {options.budget or 0:g}", options.budget, found.spent.dollars, dollars),
        (f"--budget-tokens {options.budget_tokens}", options.budget_tokens, found.spent.tokens, tokens),
    )
    for option, limit, before, (least, most) in limits:
        if limit is None:
            continue
        if limit < before + least:
            yield option, "less than the least: the run will stop before it is done"
        elif limit < before + most:
            yield option, "less than the most: the run may stop before it is done"
        else:
            yield option, "enough"


class _Drawn:
    """Some of the samples that are offered, drawn so that each is as likely as any other."""

    def __init__(self) -> None:
        self.offered = 0
        self.some: list[Sample] = []
        self._random = random.Random(_SEED)  # noqa: S311

    def offer(self, sample: Sample) -> None:
        """One more sample."""
        self.offered += 1
        if len(self.some) < WALKED:
            self.some.append(sample)
        elif (place := self._random.randrange(self.offered)) < WALKED:
            self.some[place] = sample


async def _add(found: Forecast, mode: Mode, drawn: _Drawn, settings: Settings) -> None:
    if not drawn.some:
        return
    least, most = [], []
    extremes = [_Walk(mode, wins=False, long=False), _Walk(mode, wins=True, long=True)]
    # Short drafts leave room for more exchanges of a conversation, long ones for fewer.
    others = [
        _Walk(mode, wins=True, long=True, long_drafts=False),
        _Walk(mode, wins=False, long=False, long_drafts=True),
    ]
    for sample in drawn.some:
        each = extremes + others if len(sample.exchanges) > 1 else extremes
        walks = [await walk.over(sample, settings) for walk in each]
        least.append(_each(min, walks))
        most.append(_each(max, walks))
    found.samples += drawn.offered
    found.walked += len(drawn.some)
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
    # The part that was not walked over is the one that can be different.
    return 1.96 * stdev(tokens) / sqrt(len(tokens)) * sqrt(1 - 1 / times) / fmean(tokens)


def _each(choose: Callable[[Iterable[float]], float], walks: Sequence[Share]) -> Share:
    return Share(*map(choose, zip(*map(astuple, walks), strict=True)))


class _Walk:
    """Takes samples through the graphs, speaks in the place of the models, and counts what they are asked.

    Args:
        wins: whether the judge takes each draft, after it was unreadable as often as it may be.
        long: whether replies have the greatest length.
        long_drafts: the same, of the editor's.
    """

    def __init__(self, mode: Mode, *, wins: bool, long: bool, long_drafts: bool | None = None) -> None:
        self._wins = wins
        self._long = long
        self._long_drafts = long if long_drafts is None else long_drafts
        self._share = Share()
        self._graphs = exchange_graph(mode, self._speak), conversation_graph(mode, self._speak)

    async def over(self, sample: Sample, settings: Settings) -> Share:
        """What a sample takes."""
        self._share = Share()
        for done in await evolve_sample(sample, *self._graphs, settings):
            if "failure" in done:  # no model had a part in it
                raise RunStopped(f"sample {sample.id} cannot be worked on: {done['failure']['message']}")
        return self._share

    async def _speak(self, call: Call, settings: Settings) -> str:
        limit = longest_reply(settings, call.role)
        long = self._long_drafts if call.role == "editor" else self._long
        output = limit if long else min(SHORT_REPLY, limit)
        prompt = prompt_tokens(call.messages)
        dollars = priced(settings.endpoint(call.role), Usage(prompt, 0, output)).dollars
        self._share = self._share.plus(Share(1, prompt, output, dollars))
        words = ("word " * ceil(output * _CHARACTERS / 5)).strip()
        if call.role != "judge" or (self._wins and call.asked <= settings.judge_retries):
            return words
        second = (call.step == "judge_forward") == self._wins  # where the better response stands
        if settings.verdict == "score":
            return f"{'1 10' if second else '10 1'}\n{words}"
        return f"assistant {2 if second else 1}\n{words}"
