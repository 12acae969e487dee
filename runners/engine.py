"""The engine: takes a data set through the graphs, many samples at a time, into a ledger.

One graph run is one sample in one mode. A sample needs its record, the settings and its recorded calls; it
yields a result and new calls. Nothing else passes between samples.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from graph.settings import Settings
from ledger.ledger import SKIPPED, Ledger, LedgerError, Result, Unwritable
from ledger.writer import Writer
from models.call import CallRecord
from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.limits.rate_limiter import WaitReason
from models.policy import GatewayPolicy
from models.routing.circuit_breaker import Outage
from nodes.checks import Check
from nodes.decision import WithoutText
from reporting.cost import budget
from reporting.failures import why_nothing_written
from reporting.labels import failure_label, is_judged, shorten
from runners.plan import Plan
from runners.worker import Count, Finished, Job, Worker, Workplace, unwritable
from samples.printable import printable
from samples.sample import DataError, Sample

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

    `workplace` makes the place where samples are worked on, if that is not this process.

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
        workplace: Callable[["Engine", Job], Workplace] | None = None,
    ) -> None:
        self._plan = plan
        self.ledger = ledger
        self.tally = tally
        self.notify = notify
        self._resuming = ledger.has_calls()
        self._judged, self._unread = ledger.judged_rounds()
        self._unread_reply: str | None = None
        exchanges, kept = ledger.endings()
        self._with_draft = exchanges - sum(kept.get(ending, 0) for ending in get_args(WithoutText))
        self._without_draft = exchanges - self._with_draft
        self._nothing_written = False
        """By agents of this command, in some exchange."""
        self._held: list[tuple[Sample, Finished]] = []
        """Failures that may be the endpoint's: results only once a later call has had a reply."""
        self.writer = Writer(ledger)
        self.budget = budget(ledger, plan.settings, plan.limits, plan.elsewhere)
        job = Job(
            run=ledger.path.absolute().parent.name,
            settings=plan.settings,
            limits=plan.limits,
            modes=plan.modes,
            began_with=began_with,
            retry_failed=plan.retry_failed,
            has_references=bool(plan.data.reference),
            depths=plan.depths,
            policy=policy or GatewayPolicy(),
        )
        self._workplace: Workplace = (
            workplace(self, job)
            if workplace
            else self.worker(
                job,
                keys,
                checks,
                record=self._record,
                recalled=self.recalled,
                budget=self.budget,
                notify=notify,
            )
        )
        self._stopped: RunStopped | LedgerError | None = None

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self._workplace.in_flight

    def waiting(self) -> list[WaitReason]:
        """Return how many calls wait for something other than a free slot, and why."""
        return self._workplace.waiting()

    def loads(self) -> list[int] | None:
        """Return how many samples each worker has; None where this process is the only one."""
        return self._workplace.loads()

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        return self._workplace.outages()

    async def run(self) -> None:
        """Work until all is done.

        Raises:
            RunStopped: the run cannot continue, or `stop` was called; finished work is in the ledger.
            LedgerError: the ledger cannot be written.
        """
        work = self._work()
        async with self.writer:
            async with self._workplace, asyncio.TaskGroup() as workers:
                for _ in range(min(self._plan.limits.concurrency, max(1, self.tally.samples))):
                    workers.create_task(self._worker(work))
            if self._held and (reason := self._workplace.refused()):
                self.stop(reason)
            if self._stopped:  # the same command works on them again
                self.tally.failed -= len(self._held)
            else:
                for sample, finished in self._held:
                    await self._add_result(sample, finished)
                self._check_yield(FEWEST)
        if self._stopped:
            raise self._stopped

    def worker(self, *given: Any, **more: Any) -> Worker:
        """Create what works on samples in this process."""
        return Worker(*given, **more)

    def stop(self, reason: RunStopped | LedgerError) -> None:
        """Finish the calls in flight and start no others."""
        self._stopped = self._stopped or reason
        self._workplace.stop(reason if isinstance(reason, RunStopped) else RunStopped(str(reason)))

    def _work(self) -> Iterator[tuple[Sample, str | None]]:
        plan = self._plan
        finished = self.ledger.finished(except_failed=plan.retry_failed)

        def is_done(position: int) -> bool:
            modes = plan.modes_of(position)
            skipped = (position, SKIPPED) in finished
            done = position not in plan.again and all((position, mode) in finished for mode in modes)
            if skipped or done:
                self.tally.earlier += len(modes)
                return True
            return False

        for sample in plan.data.samples(plan.start, plan.stop, is_done):
            if sample.skip is not None:
                yield sample, None
                continue
            for mode in plan.modes_of(sample.position):
                if (sample.position, mode) in finished and sample.position not in plan.again:
                    self.tally.earlier += 1
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

    async def _evolve(self, sample: Sample, mode: str) -> Finished:
        recorded = self.ledger.replies(sample.id, mode) if self._resuming else {}
        return await self._workplace.evolve(sample, mode, recorded)

    async def _finish(self, sample: Sample, finished: Finished) -> None:
        await self._store(sample, finished)
        tally, result = self.tally, finished.result
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
        self._count_yield(finished.counted)

    async def _store(self, sample: Sample, finished: Finished) -> None:
        """Write a result, unless it is a failure that may be the endpoint's, and those held that are not."""
        found, self._held = [*self._held, (sample, finished)], []
        failed = any(each.result.status == "failed" for _, each in found)
        suspects = self._workplace.suspects() if failed else ()
        certain: list[tuple[Sample, Finished]] = []
        for each in found:
            doubtful = each[1].result.status == "failed" and each[0].id in suspects
            (self._held if doubtful else certain).append(each)
        for each in certain:
            await self._add_result(*each)

    async def _add_result(self, sample: Sample, finished: Finished) -> None:
        """Write a result; where it cannot be written, that the sample failed; and where its record cannot,
        nothing, so that the same command works on it again."""
        try:
            await self.writer.add(finished.rows or (sample, finished.result))
        except Unwritable as error:
            try:
                await self.writer.add_result(sample, unwritable(sample, finished.result.mode, error))
            except Unwritable:
                self.notify(f"sample {sample.id} has no result: {error}")

    def _check_failures(self, last: Result) -> None:
        failed, worked_on = self.tally.failed, self.tally.failed + self.tally.done
        if failed >= MIN_FAILURES and failed > self._plan.limits.max_failures * worked_on:
            self.stop(
                RunStopped(
                    f"{failed} of {worked_on} samples failed, more than the share of "
                    f"{self._plan.limits.max_failures:g} (--max-failures) allows. The last one: "
                    f"{failure_label(last.failure_kind or '')}: {last.reason}"
                )
            )

    def _count_yield(self, count: Count) -> None:
        """Stop the run where its exchanges come to nothing.

        A resumed run ends with its first one that does, not before: the server may be mended.
        """
        self._with_draft += count.with_draft
        self._without_draft += count.without_draft
        self._nothing_written |= count.without_draft > 0
        self._judged += count.judged
        self._unread += count.unread
        if count.unread_reply is not None:
            self._unread_reply = count.unread_reply
        self._check_yield(FIRST)

    def _check_yield(self, least: int) -> None:
        """Stop the run where none of its verdicts, at least so many, could be read, or none of its exchanges,
        at least so many, had a draft; if some of them are this command's."""
        if self._unread_reply is not None and self._judged == self._unread >= least:
            why = self._no_verdicts(self._judged, self._unread_reply)
            self.stop(RunStopped(why + self._kept()))
        if self._nothing_written and not self._with_draft and self._without_draft >= least:
            why = _no_drafts(self._without_draft, why_nothing_written(self.ledger))
            self.stop(RunStopped(why + self._kept()))

    def _no_verdicts(self, rounds: int, reply: str) -> str:
        return _no_verdicts(rounds, reply, self._plan.settings)

    def _kept(self) -> str:
        """Say what holds in the folder of a run that came to nothing: its recorded replies count."""
        is_left = self.tally.earlier + self.tally.finished < self.tally.samples
        rest = "; if the server was the cause and is mended, the same command works on the rest"
        return f" In this one these samples keep their responses{rest if is_left else ''}."

    async def _record(self, record: CallRecord) -> None:
        try:
            await self.writer.add_call(record)
        except LedgerError as error:
            self.stop(error)  # immediately, since further calls could not be recorded
            raise
        self.called(record.input_tokens, record.output_tokens)

    def recalled(self, calls: int = 1) -> None:
        """Count calls that were answered from the ledger."""
        self.tally.recorded += calls

    def called(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """Count a call that is on record."""
        self.tally.calls += 1
        self.tally.input_tokens += input_tokens or 0
        self.tally.output_tokens += output_tokens or 0


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


def _skipped(sample: Sample) -> Finished:
    return Finished(Result(SKIPPED, "skipped", sample.skip, 0, 0, 0, 0, 0, [], time.time()))
