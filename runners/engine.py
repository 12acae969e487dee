"""The engine: takes a data set through the graphs, many samples at a time, into a ledger.

One graph run is one sample in one mode. A sample needs its record, the settings and its recorded calls; it
yields a result and new calls. Nothing else passes between samples.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast, get_args

from langchain_core.runnables import RunnableConfig

from graph.build import ConversationGraph, ExchangeGraph, conversation_graph, exchange_graph, failed_exchange
from graph.conversation import apart
from graph.settings import Settings
from graph.state import AlpacaRecord, ConversationRecord, ExchangeResult
from ledger.ledger import SKIPPED, Ledger, LedgerError, RecordedReply, Result, Unwritable
from ledger.writer import Writer
from models.call import Call, CallRecord
from models.errors.exceptions import CallFailed, RunStopped
from models.errors.kinds import FINAL, INTERNAL_ERROR, NO_PROMPT, UNWRITABLE
from models.gateway import Gateway
from models.keys import Keys
from models.limits.rate_limiter import WaitReason
from models.policy import GatewayPolicy
from models.routing.circuit_breaker import Outage
from models.tracing import sample_config
from nodes.checks import Candidate, Check, Outcome, is_command
from nodes.decision import WithoutText, favoured_position
from prompts.method import MODES
from prompts.pack import PackError
from reporting.cost import budget
from reporting.failures import why_nothing_written
from reporting.labels import failure_label, is_judged, shorten
from runners.checking import of_record
from runners.plan import Plan
from samples.printable import printable
from samples.sample import DataError, Sample
from samples.tokens import estimate_tokens

OUT_OF_MEMORY = "there is not enough memory"

MIN_FAILURES = 20
"""Failures before their share can stop a run: of fewer, the share means little."""

FIRST, FEWEST = 20, 5
"""Judged rounds after which one must have had a verdict that can be read, and exchanges after which one must
have had a draft; the second where the run has no more."""


@dataclass(slots=True)
class Tally:
    """What a run has done so far, for display. Samples count once for each mode."""

    samples: int
    modes: list[str]
    began: float = field(default_factory=time.monotonic)
    earlier: int = 0
    """Finished before this command."""
    done: int = 0
    failed: int = 0
    skipped: int = 0
    """Counted once, whatever the modes."""
    accepted_rounds: int = 0
    """In modes with a judge."""
    rewritten: int = 0
    """Responses, in modes without a judge."""
    calls: int = 0
    recorded: int = 0
    """Calls that were answered from the ledger."""
    input_tokens: int = 0
    """The providers' own count."""
    output_tokens: int = 0

    @property
    def finished(self) -> int:
        """Samples finished by this command; skipped ones are so in each mode."""
        return self.done + self.failed + self.skipped * len(self.modes)


class Engine:
    """Works through a data set. `run` may be called once. For `notify` and `began_with` see `Gateway`.

    Raises:
        MissingKey: when created, where a model needs a key that is not set.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        keys: Keys,
        tally: Tally,
        checks: Check,
        *,
        notify: Callable[[str], None],
        began_with: int,
        policy: GatewayPolicy | None = None,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._tally = tally
        self._checks = checks
        self._at_work: dict[tuple[str, str], Sample] = {}
        self._notify = notify
        self._recorded: dict[tuple[str, str], dict[tuple[int, int, str, int, str], RecordedReply]] = {}
        self._resuming = ledger.has_calls()
        self._judged, self._unread = ledger.judged_rounds()
        self._unread_reply: str | None = None
        exchanges, kept = ledger.endings()
        self._with_draft = exchanges - sum(kept.get(ending, 0) for ending in get_args(WithoutText))
        self._without_draft = exchanges - self._with_draft
        self._nothing_written = False
        """By agents of this command, in some exchange."""
        self._held: list[tuple[Sample, Result]] = []
        """Failures that may be the endpoint's: results only once a later call has had a reply."""
        self._writer = Writer(ledger)
        self._gateway = Gateway(
            plan.settings,
            plan.limits,
            keys,
            record=self._record,
            recall=self._recall,
            budget=budget(ledger, plan.settings, plan.limits, plan.elsewhere),
            policy=policy,
            retrying_failed=plan.retry_failed,
            notify=notify,
            began_with=began_with,
        )
        self._graphs: dict[str, tuple[ExchangeGraph, ConversationGraph]] = {
            mode: (exchange_graph(*parts), conversation_graph(*parts))
            for mode in plan.modes
            if mode in MODES
            for parts in [(MODES[mode], self._speak, partial(self._check, mode))]
        }
        self._stopped: RunStopped | LedgerError | None = None

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self._gateway.in_flight

    def waiting(self) -> list[WaitReason]:
        """Return how many calls wait for something other than a free slot, and why."""
        return self._gateway.waiting()

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        return self._gateway.outages()

    async def run(self) -> None:
        """Work until all is done.

        Raises:
            RunStopped: the run cannot continue, or `stop` was called; finished work is in the ledger.
            LedgerError: the ledger cannot be written.
        """
        work = self._work()
        async with self._writer:
            async with self._gateway, asyncio.TaskGroup() as workers:
                for _ in range(self._plan.limits.concurrency):
                    workers.create_task(self._worker(work))
            if self._held and (reason := self._gateway.refused()):
                self.stop(reason)
            if self._stopped:  # the same command works on them again
                self._tally.failed -= len(self._held)
            else:
                for sample, result in self._held:
                    await self._add_result(sample, result)
                self._check_yield(FEWEST)
        if self._stopped:
            raise self._stopped

    def stop(self, reason: RunStopped | LedgerError) -> None:
        """Finish the calls in flight and start no others."""
        self._stopped = self._stopped or reason
        self._gateway.stop(reason if isinstance(reason, RunStopped) else RunStopped(str(reason)))

    def _work(self) -> Iterator[tuple[Sample, str | None]]:
        plan = self._plan
        finished = self._ledger.finished(except_failed=plan.retry_failed)

        def is_done(position: int) -> bool:
            modes = plan.modes_of(position)
            skipped = (position, SKIPPED) in finished
            done = position not in plan.again and all((position, mode) in finished for mode in modes)
            if skipped or done:
                self._tally.earlier += len(modes)
                return True
            return False

        for sample in plan.data.samples(plan.start, plan.stop, is_done):
            if sample.skip is not None:
                yield sample, None
                continue
            for mode in plan.modes_of(sample.position):
                if (sample.position, mode) in finished and sample.position not in plan.again:
                    self._tally.earlier += 1
                else:
                    yield sample, mode

    async def _worker(self, work: Iterator[tuple[Sample, str | None]]) -> None:
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
            except MemoryError:
                self.stop(
                    RunStopped(f"{OUT_OF_MEMORY}. Lower --concurrency; the same command resumes the run")
                )
            except (DataError, OSError) as error:  # the data is read during the run
                advice = "restore it, and the same command resumes the run"
                self.stop(RunStopped(f"the data can no longer be read: {error}: {advice}"))

    async def _evolve(self, sample: Sample, mode: str) -> Result:
        key = (sample.id, mode)
        self._at_work[key] = sample
        if self._resuming:
            self._recorded[key] = self._ledger.replies(*key)
        try:
            with self._gateway.at_work(sample.id):
                outcome = await self._outcome(sample, mode)
                await self._gateway.drain(sample.id)
        finally:
            self._recorded.pop(key, None)
            self._at_work.pop(key, None)
        return _result(mode, outcome)

    async def _outcome(self, sample: Sample, mode: str) -> list[ExchangeResult]:
        traced = sample_config(self._ledger.path.absolute().parent.name, sample.id, mode)
        settings = self._plan.settings_of(sample.position)
        return await evolve_sample(sample, *self._graphs[mode], settings, traced)

    async def _finish(self, sample: Sample, result: Result) -> None:
        await self._store(sample, result)
        tally = self._tally
        if is_judged(result.mode):
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
                self._check_failures(result)
        self._count_yield(result)

    async def _store(self, sample: Sample, result: Result) -> None:
        """Write a result, unless it is a failure that may be the endpoint's, and those held that are not."""
        found, self._held = [*self._held, (sample, result)], []
        suspects = self._gateway.suspects() if any(each.status == "failed" for _, each in found) else ()
        certain: list[tuple[Sample, Result]] = []
        for each in found:
            doubtful = each[1].status == "failed" and each[0].id in suspects
            (self._held if doubtful else certain).append(each)
        for each in certain:
            await self._add_result(*each)

    async def _add_result(self, sample: Sample, result: Result) -> None:
        """Write a result; where it cannot be written, that the sample failed; and where its record cannot,
        nothing, so that the same command works on it again."""
        try:
            await self._writer.add_result(sample, result)
        except Unwritable as error:
            failure = CallFailed(UNWRITABLE.key, str(error))
            kept = [failed_exchange(0, each.response, failure) for each in sample.exchanges[:1]]
            try:
                await self._writer.add_result(sample, _result(result.mode, kept))
            except Unwritable:
                self._notify(f"sample {sample.id} has no result: {error}")

    def _check_failures(self, last: Result) -> None:
        failed, worked_on = self._tally.failed, self._tally.failed + self._tally.done
        if failed >= MIN_FAILURES and failed > self._plan.limits.max_failures * worked_on:
            self.stop(
                RunStopped(
                    f"{failed} of {worked_on} samples failed, more than the share of "
                    f"{self._plan.limits.max_failures:g} (--max-failures) allows. The last one: "
                    f"{failure_label(last.failure_kind or '')}: {last.reason}"
                )
            )

    def _count_yield(self, result: Result) -> None:
        """Stop the run where its exchanges come to nothing.

        A resumed run ends with its first one that does, not before: the server may be mended.
        """
        for done in result.outcome:
            if done["ending"] in get_args(WithoutText) and not done["accepted_rounds"]:
                self._without_draft += 1
                self._nothing_written = True
            elif done["ending"] != "failed":
                self._with_draft += 1
            for judged in (each for each in done["rounds"] if each["forward"]):
                self._judged += 1
                if judged["points"] is None:
                    self._unread += 1
                    first = next(iter(judged["forward"].get("panel", {}).values()), judged["forward"])
                    self._unread_reply = first["reply"]
        self._check_yield(FIRST)

    def _check_yield(self, least: int) -> None:
        """Stop the run where none of its verdicts, at least so many, could be read, or none of its exchanges,
        at least so many, had a draft; if some of them are this command's."""
        if self._unread_reply is not None and self._judged == self._unread >= least:
            why = self._no_verdicts(self._judged, self._unread_reply)
            self.stop(RunStopped(why + self._kept()))
        if self._nothing_written and not self._with_draft and self._without_draft >= least:
            why = _no_drafts(self._without_draft, why_nothing_written(self._ledger))
            self.stop(RunStopped(why + self._kept()))

    def _no_verdicts(self, rounds: int, reply: str) -> str:
        return _no_verdicts(rounds, reply, self._plan.settings)

    def _kept(self) -> str:
        """Say what holds in the folder of a run that came to nothing: its recorded replies count."""
        is_left = self._tally.earlier + self._tally.finished < self._tally.samples
        rest = "; if the server was the cause and is mended, the same command works on the rest"
        return f" In this one these samples keep their responses{rest if is_left else ''}."

    async def _check(self, mode: str, check: str, candidate: Candidate) -> Outcome | None:
        if is_command(check):
            if self._plan.data.reference and not candidate.references:
                return None
            sample = self._at_work[candidate.record["id"], mode]
            candidate = of_record(candidate, sample, candidate.record["exchange"])
        return await self._checks(check, candidate)

    def _speak(self, call: Call, settings: Settings) -> Any:
        return self._gateway.ask(call)

    async def _record(self, record: CallRecord) -> None:
        try:
            await self._writer.add_call(record)
        except LedgerError as error:
            self.stop(error)  # immediately, since further calls could not be recorded
            raise
        except Unwritable as error:
            raise CallFailed(
                UNWRITABLE.key, str(error), step=record.call.step, round=record.call.round
            ) from error
        self._tally.calls += 1
        self._tally.input_tokens += record.input_tokens or 0
        self._tally.output_tokens += record.output_tokens or 0

    def _recall(self, call: Call, request: str) -> str | None:
        replies = self._recorded.get((call.sample, call.mode), {})
        recorded = replies.get((call.exchange, call.round, call.step, call.asked, request))
        if recorded is None:
            return None
        if kind := recorded.failure_kind:
            if kind not in FINAL or self._plan.retry_failed:
                return None
            self._tally.recorded += 1
            raise CallFailed(kind, recorded.failure or "", step=call.step, round=call.round)
        self._tally.recorded += 1
        return recorded.reply


async def evolve_sample(
    sample: Sample,
    exchange: ExchangeGraph,
    conversation: ConversationGraph,
    settings: Settings,
    traced: RunnableConfig | None = None,
) -> list[ExchangeResult]:
    """Take one sample through the graphs of a mode; return a result for each exchange worked on.

    `traced` is for a tracer (`models.tracing.sample_config`). A call that fails ends its exchange; so does an
    internal error, which must not stop the run.

    Raises:
        RunStopped, LedgerError: the run cannot continue.
    """
    # At most eight supersteps a round, one an exchange, and the ends: this stops an endless loop.
    steps = 8 * max(settings.max_rounds, settings.drafts) + len(sample.exchanges) + 5
    config = RunnableConfig(recursion_limit=steps, **(traced or {}))
    settings = apart(settings)
    try:
        if sample.format == "alpaca":
            (only,) = sample.exchanges
            record = AlpacaRecord(
                id=sample.id,
                system=sample.system,
                instruction=only.instruction,
                input=only.input,
                output=only.response,
                references=list(only.references),
            )
            result: Any = await exchange.ainvoke(record, config, context=settings)
            return [result]
        references = [list(each.references) for each in sample.exchanges]
        turns = cast(ConversationRecord, {**sample.record, "id": sample.id, "references": references})
        state: Any = await conversation.ainvoke(turns, config, context=settings)
        results: list[ExchangeResult] = state["results"]
        return results
    except (RunStopped, LedgerError):
        raise
    except CallFailed as failure:
        return [failed_exchange(0, sample.exchanges[0].response, failure)]
    except PackError as error:
        failed = CallFailed(NO_PROMPT.key, str(error))
        return [failed_exchange(0, sample.exchanges[0].response, failed)]
    except Exception as error:
        failed = CallFailed(INTERNAL_ERROR.key, f"{type(error).__name__}: {error}")
        return [failed_exchange(0, sample.exchanges[0].response, failed)]


def _result(mode: str, outcome: list[ExchangeResult]) -> Result:
    failure = next((done["failure"] for done in outcome if "failure" in done), None)
    return Result(
        mode=mode,
        status="failed" if failure else "done",
        reason=failure["message"] if failure else None,
        failure_kind=failure["reason"] if failure else None,
        accepted_rounds=sum(done["accepted_rounds"] for done in outcome),
        exchanges=len(outcome),
        original_tokens=sum(estimate_tokens(done["original"]) for done in outcome),
        final_tokens=sum(estimate_tokens(done["response"]) for done in outcome),
        contradictions=sum(favoured_position(r) is not None for done in outcome for r in done["rounds"]),
        outcome=[{**done} for done in outcome],
        finished=time.time(),
    )


def _no_verdicts(rounds: int, reply: str, settings: Settings) -> str:
    """Say that no verdict could be read in so many rounds; `reply` is what a judge wrote instead."""
    shown = shorten(" ".join(printable(reply[:1000]).split()) or "nothing")
    other = "score" if settings.verdict == "compare" else "compare"
    return (
        f"in none of the {rounds} rounds judged so far could a verdict be read. "
        f"{settings.endpoint('judge').model} wrote, for example: {shown}\n"
        "`coevol check` shows how it replies. Begin in another folder with another judge "
        f"(--model judge=PROVIDER:NAME), --verdict {other}, --thinking off or a higher --max-tokens."
    )


def _no_drafts(exchanges: int, why: str) -> str:
    """Say that so many exchanges, all so far, ended without a draft."""
    why = f" {why}" if why else ""
    return (
        f"none of the {exchanges} exchanges so far has a usable draft.{why}\n"
        "`coevol check` shows how the models reply. Begin in another folder with another model or settings."
    )


def _skipped(sample: Sample) -> Result:
    return Result(SKIPPED, "skipped", sample.skip, 0, 0, 0, 0, 0, [], time.time())
