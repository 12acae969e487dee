"""A run's workers in other processes: what each has, what is sent to it, and what becomes of it.

The run alone owns the ledger. A worker leases samples and sends each finished call; when the call is on disk,
that is acknowledged, and the worker uses the reply. A worker that dies, or is silent for the time of a lease,
is ignored from then on: its samples go to others with the calls on record for them, and another worker takes
its place. So only calls that were in flight there, or not yet reported, are made again. While this process
stands still no lease runs out: its workers wait, and what they finished counts.

What workers are, and where, is not known here: whatever creates a `Fleet` hires them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from typing import Self

from ledger.ledger import LedgerError, Unwritable
from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.limits.budget import Reservation, Usage
from models.limits.rate_limiter import WaitReason
from models.routing.circuit_breaker import Outage
from nodes.checks import Candidate
from prompts.pack import Pack
from reporting import workers
from reporting.workers import AtWork
from runners.contact import Contact
from runners.engine import Engine
from runners.exchange import (
    Delivery,
    Orders,
    Report,
    SentCall,
    SentClaim,
    encode,
    program,
    reports,
    rows,
)
from runners.placement import Placement
from runners.shares import divide
from runners.worker import Finished, Job, Replies, unwritable
from runners.worker_state import CutOff, Handle, NodeLost, WorkerLost, WorkerState, WorkersUnusable
from samples.fields import plural
from samples.sample import Sample

JOINING = 30.0
"""Seconds for which a worker that is starting counts as one that will be there."""

STARTS = 3
"""Times in a row that a worker may fail to start before it is given up."""

RETRY = 2.0
"""Seconds before a worker that could not be started is tried again."""

TELL = 2.0
"""Seconds between two notes for the viewer."""

LOOKS = 8
"""Times in a lease that it is looked at. A longer standstill of this process counts as one of them."""

ABANDONING = 10.0
"""Seconds for which workers may say what they abandoned, when they are to end at once."""


class Fleet:
    """The workers of a run, as its `Workplace`. Belongs to one event loop.

    Args:
        engine: the run's.
        job: what to do.
        keys: the keys of this process.
        pack: the prompt pack.
        first: what workers try the check out on.
        number: how many there are to be.
        hire: get a worker; it may take its time to be there.
        end: wait until workers can be had no more, and say why.
    """

    def __init__(
        self,
        engine: Engine,
        job: Job,
        *,
        keys: Keys,
        pack: Pack,
        first: Candidate | None,
        number: int,
        hire: Callable[[], Handle],
        end: Callable[[], Awaitable[str]],
    ) -> None:
        self._engine = engine
        self._job = job
        self._orders = Orders(
            job,
            keys.needed(job.settings),
            dict(pack.sources),
            first,
            text_ids=[],
            replied=[],
            connections=ceil(job.limits.concurrency / number),
        )
        self._wanted = number
        self._hire = hire
        self._end = end
        self._workers: list[WorkerState] = []
        self._starting: dict[int, float] = {}
        self._failed: dict[int, int] = {}
        self._posts: list[asyncio.Task[None]] = []
        self._placement = Placement(job)
        self._contact = Contact(job.settings, job.policy)
        self._notices: set[str] = set()
        self._refused: str | None = None
        self._stopped: RunStopped | None = None
        self._ended = False

    # As a workplace

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return sum(worker.said.in_flight for worker in self._workers)

    def waiting(self) -> list[WaitReason]:
        """Do what `Workplace` says."""
        found: dict[str, WaitReason] = {}
        for reason in (reason for worker in self._workers for reason in worker.said.waiting):
            before = found.get(reason.reason, reason)
            calls = reason.calls + (before.calls if before is not reason else 0)
            until = max((at for at in (before.until, reason.until) if at is not None), default=None)
            found[reason.reason] = WaitReason(calls, reason.reason, until)
        budget = self._engine.budget
        return [*found.values(), *(budget.waiting() if budget else [])]

    def outages(self) -> list[Outage]:
        """Do what `Workplace` says; of each replica, since when the first worker saw it."""
        found = sorted(
            (out for worker in self._workers for out in worker.said.outages), key=lambda out: out.since
        )
        return list({out.name: out for out in reversed(found)}.values())

    def suspects(self) -> set[str]:
        """Do what `Workplace` says."""
        found = {sample for worker in self._workers for sample in worker.said.suspects}
        return {sample.decode(errors="surrogatepass") for sample in found}

    def refused(self) -> RunStopped | None:
        """Do what `Workplace` says."""
        return RunStopped(self._refused) if self._refused else None

    def loads(self) -> list[int] | None:
        """Return how many samples each worker has that is there; None when they are to end."""
        return None if self._ended else self._loads()

    def _loads(self) -> list[int]:
        return [len(worker.leases) for worker in self._workers]

    def stop(self, reason: RunStopped) -> None:
        """Do what `Workplace` says."""
        self._stopped = self._stopped or reason
        self._placement.fail(self._stopped)
        for worker in self._workers:
            worker.say().stop = str(reason)

    async def evolve(self, sample: Sample, mode: str, recorded: Replies) -> Finished:
        """Do what `Workplace` says."""
        if self._stopped:
            raise self._stopped
        leased = self._placement.add(sample, mode, recorded)
        self._place()
        try:
            return await leased.finished
        finally:
            self._placement.forget(leased)

    async def __aenter__(self) -> Self:
        numbers, now = range(1, self._wanted + 1), asyncio.get_running_loop().time()
        self._starting = dict.fromkeys(numbers, now)
        self._posts = [asyncio.create_task(self._keep(number)) for number in numbers]
        self._placing = asyncio.create_task(self._place_later())
        self._telling = asyncio.create_task(self._tell())
        self._watching = asyncio.create_task(self._stop_at_end())
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._ended = True
        self._placing.cancel()
        self._telling.cancel()
        self._watching.cancel()
        at_work = {worker.number for worker in self._workers}
        for number, post in enumerate(self._posts, 1):
            if number not in at_work:
                post.cancel()
        try:
            if not failure:
                for worker in self._workers:
                    worker.say().ending = "finish"
                await asyncio.wait(self._posts)
        finally:
            if left := [post for post in self._posts if not post.done()]:
                for worker in self._workers:
                    worker.say().ending = "abandon"
                await asyncio.wait(left, timeout=ABANDONING)
            for post in self._posts:
                post.cancel()
            await asyncio.gather(*self._posts, return_exceptions=True)

    async def _tell(self) -> None:
        """Write what the workers do, for the viewer."""
        folder = self._engine.ledger.path.parent
        try:
            while True:
                found = [
                    AtWork(worker.name, len(worker.leases), worker.said.in_flight, worker.calls)
                    for worker in self._workers
                ]
                workers.write(folder, found)
                await asyncio.sleep(TELL)
        finally:
            workers.remove(folder)

    async def _stop_at_end(self) -> None:
        self._engine.stop(RunStopped(await self._end()))

    # Workers, from their hiring to their end

    async def _keep(self, number: int) -> None:
        """Keep a worker at work: where one is lost, hire another."""
        try:
            while not (self._ended or self._stopped) and await self._hold(number):
                pass
        except Exception as error:
            self._engine.stop(RunStopped(f"an internal error: {type(error).__name__}: {error}"))
            raise

    async def _hold(self, number: int) -> bool:
        """Keep one worker at work until it has ended; return whether to hire another."""
        handle, worker = self._hire(), None
        self._starting[number] = asyncio.get_running_loop().time()
        try:
            worker = await self._begin(number, handle)
            del self._starting[number]
            self._failed.pop(number, None)
            self._place()
            await self._serve(worker)
            return False
        except WorkersUnusable as error:
            self._give_up(number, str(error))
            return False
        except WorkerLost as lost:
            if worker:
                await self._lose(worker, lost)
                if isinstance(lost, CutOff):  # the next one is likely to have the same place
                    await asyncio.sleep(self._job.policy.lease_seconds)
                return True
            self._failed[number] = self._failed.get(number, 0) + 1
            if self._failed[number] == STARTS:
                self._give_up(number, f"worker {number} cannot be started: {lost}")
                return False
            await asyncio.sleep(RETRY)
            return True
        finally:
            self._starting.pop(number, None)
            handle.dismiss()
            if worker:
                worker.quiet()
                if worker in self._workers:
                    self._workers.remove(worker)
                worker.fail(self._stopped or RunStopped("it was interrupted"))

    async def _begin(self, number: int, handle: Handle) -> WorkerState:
        who = await handle.identity()
        name = f"worker {number} on {who.node}"
        version, sources = program()
        if who.version != version:
            raise WorkersUnusable(
                f"{name} has coevol {who.version} and this is {version}: install the same version there"
            )
        if who.sources != sources:
            raise WorkersUnusable(f"{name} has other files of coevol {version}: install the same there")
        ids = [self._engine.writer.text_ids.block() for _ in range(2)]
        orders = self._orders._replace(text_ids=ids, replied=sorted(self._contact.roles))
        if why := await handle.begin(orders):
            raise WorkersUnusable(f"{name} cannot work on this run: {why}")
        worker = WorkerState(number, name, handle)
        self._workers.append(worker)
        if self._stopped:
            worker.to_say.stop = str(self._stopped)
        return worker

    def _give_up(self, number: int, why: str) -> None:
        others = (post for other, post in enumerate(self._posts, 1) if other != number)
        if not all(post.done() for post in others):
            self._engine.notify(f"{why}. The run goes on without it")
        else:
            self._engine.stop(WorkersUnusable(why))

    async def _serve(self, worker: WorkerState) -> None:
        """Talk to a worker until it has ended."""
        seconds = self._job.policy.lease_seconds
        while True:
            report = await self._exchange(worker)
            cut_off = self._cut_off(worker, report)
            self._take(worker, report)
            if cut_off:
                raise CutOff(cut_off)
            if report.ended and not self._ended:
                raise WorkerLost("ended by itself")
            if report.ended:
                self._refused = self._refused or report.refused
                return
            if worker.writing:
                # A slow disk must not make a lease run out.
                await asyncio.wait(worker.writing, timeout=seconds / 4)

    async def _exchange(self, worker: WorkerState) -> Report:
        """Say what there is to say, and return what the worker says in the time of a lease."""
        seconds = self._job.policy.lease_seconds
        said = asyncio.ensure_future(worker.handle.exchange(encode(self._saying_to(worker))))
        try:
            for _ in range(LOOKS):
                await asyncio.wait([said], timeout=seconds / LOOKS)
                if said.done():
                    return reports.decode(said.result())
        finally:
            said.cancel()
        raise WorkerLost(f"has been silent for {seconds:g} seconds")

    def _cut_off(self, worker: WorkerState, report: Report) -> str | None:
        if self._stopped:
            self._contact.release(worker, report)
            return None
        return self._contact.lost(worker, report, self._workers, joining=self._joining() > 0)

    async def _lose(self, worker: WorkerState, why: WorkerLost) -> None:
        worker.handle.dismiss()
        self._workers.remove(worker)
        for number in list(worker.claims):
            self._settle(worker, number, None)
        if worker.writing:
            await asyncio.wait(worker.writing)  # so that it is on record
        if not self._ended:
            self._engine.notify(f"{worker.name} {why}{self._what_follows(worker)}")
        if not self._stopped:
            died = not isinstance(why, CutOff | NodeLost)
            try:
                self._placement.take_back(worker, self._engine.ledger.replies, died=died)
            except LedgerError as error:
                self._engine.stop(error)
        if self._stopped:
            worker.fail(self._stopped)
        self._place()

    def _what_follows(self, worker: WorkerState) -> str:
        calls = plural(worker.said.in_flight, "call")
        if self._stopped:
            return f": what becomes of {calls} in flight there is not known"
        return (
            f": its {plural(len(worker.leases), 'sample')} go to others with the calls on record, and calls "
            f"in flight there or not yet reported ({worker.said.in_flight:,} when it last reported) are made "
            "again"
        )

    # Samples

    async def _place_later(self) -> None:
        told = False
        while True:
            await asyncio.sleep(1)
            self._place()  # without those that are long in coming
            if not told and (late := len(self._starting) - self._joining()):
                told = True
                others = "The run goes on with the others" if self._workers else "The run waits for one"
                self._engine.notify(
                    f"{late} of {plural(self._wanted, 'worker')} {'is' if late == 1 else 'are'} not there "
                    f"yet; a worker may wait for a free CPU. {others}"
                )

    def _place(self) -> None:
        self._placement.place(self._workers, self._joining())

    def _joining(self) -> int:
        """Return how many workers are starting, without those that are long in coming."""
        now = asyncio.get_running_loop().time()
        return sum(now < since + JOINING for since in self._starting.values())

    # What is said

    def _saying_to(self, worker: WorkerState) -> Delivery:
        said = worker.said_next()
        places = divide(self._job.limits.concurrency, self._loads())[self._workers.index(worker)]
        free = self._job.limits.concurrency - sum(each.places for each in self._workers)
        said.places = max(0, min(places, worker.places + free))
        worker.places = max(worker.places, said.places)
        if not worker.said.spare_text_ids:
            said.text_ids.append(self._engine.writer.text_ids.block())
        return said

    def _take(self, worker: WorkerState, said: Report) -> None:
        worker.said, worker.places = said, said.places_held
        for notice in said.notices:
            if notice not in self._notices:
                self._notices.add(notice)
                self._engine.notify(notice)
        self._engine.recalled(said.recalled)
        self._contact.note(worker, said.calls)
        if said.calls:
            written = self._engine.writer.add_all([rows.decode(call.rows) for call in said.calls])
            worker.writing.add(written)
            written.add_done_callback(partial(self._written, worker, said.calls))
        for result in said.finished:
            if leased := worker.leases.pop(result.lease, None):
                leased.finish(Finished(result.result, result.counted, rows.decode(result.rows)))
        for number, why in said.unwritable:
            if leased := worker.leases.pop(number, None):
                failed = unwritable(leased.sample, leased.mode, Unwritable(why))
                leased.finish(Finished(failed))
        for number, why in said.stopped:
            if leased := worker.leases.pop(number, None):
                leased.fail(RunStopped(why if self._stopped else f"{worker.name}: {why}"))
        for number, usage in said.settled:
            self._settle(worker, number, Usage(*usage) if usage else None)
        for claim in said.claims:
            worker.claims[claim.number] = asyncio.create_task(self._claim(worker, claim))

    def _written(
        self, worker: WorkerState, calls: list[SentCall], written: asyncio.Future[dict[int, Unwritable]]
    ) -> None:
        worker.writing.discard(written)
        said = worker.say() if worker in self._workers else Delivery()  # a lost one hears nothing
        if isinstance(error := written.exception(), LedgerError):
            self._engine.stop(error)
            said.broken = str(error)
            return
        failed = written.result()
        for number, call in enumerate(calls):
            if why := failed.get(number):
                said.unwritable.append((call.number, str(why)))
                continue
            self._engine.called(call.input_tokens, call.output_tokens)
            said.acknowledged.append(call.number)
        worker.calls += len(calls) - len(failed)

    async def _claim(self, worker: WorkerState, claim: SentClaim) -> None:
        budget = self._engine.budget
        if budget is None:
            return
        wanted = Reservation(claim.endpoint, claim.prompt, claim.most, claim.tier)
        try:
            worker.claims[claim.number] = await budget.claim(wanted)
        except RunStopped as reason:
            self._engine.stop(reason)
            return
        worker.say().granted.append(claim.number)

    def _settle(self, worker: WorkerState, number: int, usage: Usage | None) -> None:
        budget, claimed = self._engine.budget, worker.claims.pop(number, None)
        if isinstance(claimed, asyncio.Task):
            claimed.cancel()
        elif claimed and budget:
            budget.settle(claimed, usage)
