"""The engine: takes a data set through the graphs, many samples at a time, into a ledger.

One graph run is one sample in one mode. What a sample needs is the sample, the settings and the calls on
file for it; what it gives is a result and new calls. Nothing else passes between samples.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.runnables import RunnableConfig

from graph.build import (
    ConversationGraph,
    ExchangeGraph,
    conversation_graph,
    exchange_graph,
    failed_exchange,
)
from graph.settings import Settings
from graph.state import AlpacaRecord, ConversationRecord, ExchangeResult
from ledger.ledger import SKIPPED, Answer, Ledger, LedgerError, Result
from ledger.writer import Writer
from models.call import Call, CallRecord
from models.errors.kinds import FINAL, CallFailed, RunStopped
from models.gateway import Door
from models.keys import Keys
from models.routing.circuit_breaker import Outage
from models.routing.endpoint_state import Waiting
from models.tracing import sample_config
from nodes.decision import favoured_position
from prompts.method import JUDGED, Mode
from reporting.cost import budget
from samples.reader import DataSet
from samples.sample import DataError, Sample
from samples.tokens import estimate_tokens

FEWEST_FAILURES = 20
"""Failures before their share can stop a run: below that it says little."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is worked through; none of it changes what the models are asked.

    `concurrency` is the most calls in flight; `max_failures` the share of failed samples above which the
    run stops itself; `start` and `stop` bound the positions worked on; `retry_failed` works on failed
    samples again; `rpm` and `tpm` are the most calls and tokens a minute to each endpoint; `budget`, in US
    dollars, and `budget_tokens` are the most that the run may spend in all.
    """

    concurrency: int = 64
    max_failures: float = 0.5
    start: int = 0
    stop: int | None = None
    retry_failed: bool = False
    rpm: float | None = None
    tpm: float | None = None
    budget: float | None = None
    budget_tokens: int | None = None


@dataclass(slots=True)
class Tally:
    """What a run has done so far; whoever displays it reads it at any time.

    Samples count once for each mode. `earlier` were finished before this command, `on_file` calls were
    answered from the ledger. `accepted_rounds` are a judge's; modes without one have `rewritten` responses.
    Token counts are the providers'.
    """

    samples: int
    modes: Sequence[Mode]
    began: float = field(default_factory=time.monotonic)
    earlier: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    accepted_rounds: int = 0
    rewritten: int = 0
    calls: int = 0
    on_file: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def finished(self) -> int:
        """Samples finished by this command."""
        return self.done + self.failed + self.skipped


class Engine:
    """Works through a data set. `run` may be called once. For `tell` and `began_with` see `Door`.

    Raises:
        MissingKey: when it is made, where a model needs a key that there is not.
    """

    def __init__(
        self,
        data: DataSet,
        modes: Sequence[Mode],
        settings: Settings,
        options: Options,
        ledger: Ledger,
        keys: Keys,
        tally: Tally,
        *,
        tell: Callable[[str], None],
        began_with: int,
    ) -> None:
        self._data = data
        self._modes = modes
        self._settings = settings
        self._options = options
        self._ledger = ledger
        self._tally = tally
        self._on_file: dict[tuple[str, str], dict[tuple[int, int, str, str], Answer]] = {}
        self._resuming = ledger.has_calls()
        self._writer = Writer(ledger)
        self._door = Door(
            settings,
            keys,
            concurrency=options.concurrency,
            rpm=options.rpm,
            tpm=options.tpm,
            budget=budget(ledger, settings, options.budget, options.budget_tokens),
            failed_before=options.retry_failed,
            record=self._record,
            recall=self._recall,
            tell=tell,
            began_with=began_with,
        )
        self._graphs: dict[Mode, tuple[ExchangeGraph, ConversationGraph]] = {
            mode: (exchange_graph(mode, self._speak), conversation_graph(mode, self._speak)) for mode in modes
        }
        self._stopped: RunStopped | LedgerError | None = None

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self._door.in_flight

    def waiting(self) -> list[Waiting]:
        """The calls that wait for more than a place in flight, and for what."""
        return self._door.waiting()

    def outages(self) -> list[Outage]:
        """The replicas that do not work, while others do."""
        return self._door.outages()

    async def run(self) -> None:
        """Work until all is done.

        Raises:
            RunStopped: the run cannot go on, or was told to stop; what is finished is in the ledger.
            LedgerError: the ledger cannot be written.
        """
        work = self._work()
        async with self._writer, self._door, asyncio.TaskGroup() as workers:
            for _ in range(self._options.concurrency):
                workers.create_task(self._worker(work))
        if self._stopped:
            raise self._stopped

    def stop(self, reason: RunStopped | LedgerError) -> None:
        """Finish the calls in flight and start no other."""
        self._stopped = self._stopped or reason
        self._door.stop(reason if isinstance(reason, RunStopped) else RunStopped(str(reason)))

    def _work(self) -> Iterator[tuple[Sample, Mode | None]]:
        finished = self._ledger.finished(but_failed=self._options.retry_failed)

        def nothing_left(position: int) -> bool:
            if (position, SKIPPED) in finished:
                self._tally.samples -= len(self._modes) - 1  # counts once, whatever the modes
                self._tally.earlier += 1
                return True
            if all((position, mode) in finished for mode in self._modes):
                self._tally.earlier += len(self._modes)
                return True
            return False

        options = self._options
        for sample in self._data.samples(options.start, options.stop, nothing_left):
            if sample.skip is not None:
                self._tally.samples -= len(self._modes) - 1
                yield sample, None
                continue
            for mode in self._modes:
                if (sample.position, mode) in finished:
                    self._tally.earlier += 1
                else:
                    yield sample, mode

    async def _worker(self, work: Iterator[tuple[Sample, Mode | None]]) -> None:
        while not self._stopped:
            try:
                if (item := next(work, None)) is None:
                    return
                sample, mode = item
                if mode is None:
                    await self._finish(sample, _skipped(sample))
                else:
                    await self._finish(sample, await self._evolve(sample, mode))
            except (RunStopped, LedgerError) as reason:
                self.stop(reason)
            except (DataError, OSError) as error:  # the data is read while the run goes on
                again = "once it is as it was, the same command goes on"
                self.stop(RunStopped(f"the data cannot be read any more: {error}: {again}"))

    async def _evolve(self, sample: Sample, mode: Mode) -> Result:
        key = (sample.id, mode)
        if self._resuming:
            self._on_file[key] = self._ledger.answers(*key)
        traced = sample_config(self._ledger.path.absolute().parent.name, sample.id, mode)
        try:
            with self._door.at_work(sample.id):
                outcome = await evolve_sample(sample, *self._graphs[mode], self._settings, traced)
                await self._door.landed(sample.id)
        finally:
            self._on_file.pop(key, None)
        return _result(mode, outcome)

    async def _finish(self, sample: Sample, result: Result) -> None:
        await self._writer.add_result(sample, result)
        tally = self._tally
        if result.mode == JUDGED:
            tally.accepted_rounds += result.accepted_rounds
        else:
            tally.rewritten += result.accepted_rounds
        match result.status:
            case "done":
                tally.done += 1
            case "skipped":
                tally.skipped += 1
            case "failed":
                tally.failed += 1
                self._judge_failures(result)

    def _judge_failures(self, last: Result) -> None:
        failed, worked_on = self._tally.failed, self._tally.failed + self._tally.done
        if failed >= FEWEST_FAILURES and failed > self._options.max_failures * worked_on:
            self.stop(
                RunStopped(
                    f"{failed} of {worked_on} samples failed, more than --max-failures "
                    f"{self._options.max_failures:g} allows. The last one: {last.reason}"
                )
            )

    def _speak(self, call: Call, settings: Settings) -> Any:
        return self._door.ask(call)

    async def _record(self, record: CallRecord) -> None:
        try:
            await self._writer.add_call(record)
        except LedgerError as error:
            self.stop(error)  # at once: what cannot be put on record is not worth asking for
            raise
        self._tally.calls += 1
        self._tally.input_tokens += record.input_tokens or 0
        self._tally.output_tokens += record.output_tokens or 0

    def _recall(self, call: Call, request: str) -> str | None:
        on_file = self._on_file.get((call.sample, call.mode), {})
        answer = on_file.get((call.exchange, call.round, call.step, request))
        if answer is None:
            return None
        if answer.failure:
            reason, _, words = answer.failure.partition(": ")
            if reason not in FINAL or self._options.retry_failed:
                return None
            self._tally.on_file += 1
            raise CallFailed(reason, words, step=call.step, round=call.round)
        self._tally.on_file += 1
        return answer.reply


async def evolve_sample(
    sample: Sample,
    exchange: ExchangeGraph,
    conversation: ConversationGraph,
    settings: Settings,
    traced: RunnableConfig | None = None,
) -> list[ExchangeResult]:
    """Take one sample through the graphs of a mode: a result for each exchange worked on.

    `traced` is what a tracer is told of it (`models.tracing.sample_config`).

    A call that fails ends its exchange; so does a mistake of the program, which must not cost the run.

    Raises:
        RunStopped, LedgerError: the run cannot go on.
    """
    # At most seven steps a round, one an exchange, and the ends: a loop that runs away stops early.
    steps = 7 * settings.max_rounds + len(sample.exchanges) + 5
    config = RunnableConfig(recursion_limit=steps, **(traced or {}))
    try:
        if sample.format == "alpaca":
            (only,) = sample.exchanges
            record = AlpacaRecord(
                id=sample.id,
                system=sample.system,
                instruction=only.instruction,
                input=only.input,
                output=only.response,
            )
            result: Any = await exchange.ainvoke(record, config, context=settings)
            return [result]
        talk = cast(ConversationRecord, {**sample.record, "id": sample.id})
        whole: Any = await conversation.ainvoke(talk, config, context=settings)
        results: list[ExchangeResult] = whole["results"]
        return results
    except (RunStopped, LedgerError):
        raise
    except CallFailed as failure:
        return [failed_exchange(0, sample.exchanges[0].response, failure)]
    except Exception as error:
        mistake = CallFailed("mistake of the program", f"{type(error).__name__}: {error}")
        return [failed_exchange(0, sample.exchanges[0].response, mistake)]


def _result(mode: Mode, outcome: list[ExchangeResult]) -> Result:
    failure = next((done["failure"] for done in outcome if "failure" in done), None)
    return Result(
        mode=mode,
        status="failed" if failure else "done",
        reason=f"{failure['reason']}: {failure['message']}" if failure else None,
        accepted_rounds=sum(done["accepted_rounds"] for done in outcome),
        exchanges=len(outcome),
        original_tokens=sum(estimate_tokens(done["original"]) for done in outcome),
        final_tokens=sum(estimate_tokens(done["response"]) for done in outcome),
        contradictions=sum(
            favoured_position(done) is not None for each in outcome for done in each["rounds"]
        ),
        outcome=[{**done} for done in outcome],
        finished=time.time(),
    )


def _skipped(sample: Sample) -> Result:
    return Result(SKIPPED, "skipped", sample.skip, 0, 0, 0, 0, 0, [], time.time())
