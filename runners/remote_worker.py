"""A worker of a run in a process of its own, on this machine or another one.

It begins with nothing: settings, keys and prompts come with its orders, samples with the calls on record for
them. What it does goes to the run, in batches of what gathered in a moment, and a reply is used when the run
has said that the call is on disk. It writes no file.

A worker that does not hear from its run starts no further call. The run may only stand still, so calls in
flight go on, and what is not acknowledged is kept; with nothing to lose the worker ends itself after a while
(`GatewayPolicy.lease_seconds`). Where its samples are another's by then, it is not listened to any more.
Nothing here knows what carries the messages; whatever does ends a worker whose run is gone.
"""

import asyncio
import gc
import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from ledger.encoding import Encoder
from ledger.ledger import LedgerError, Unwritable
from ledger.texts import BLOCK
from ledger.writer import one_line
from models.call import CallRecord, Message
from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.limits.budget import Reservation, Usage, prompt_tokens
from models.limits.rate_limiter import WaitReason
from models.settings import Endpoint
from models.token_counter import asking_server
from models.tracing import start_tracing
from nodes.checks import Checks
from prompts.pack import PackError, held_pack, pack_of
from reporting.manifest import RunError
from runners import GC_THRESHOLD
from runners.exchange import (
    Delivery,
    Identity,
    Lease,
    Orders,
    Report,
    SentCall,
    SentClaim,
    SentResult,
    deliveries,
    encode,
    program,
)
from runners.plan import require_to_run
from runners.worker import Finished, Worker
from samples.sample import Sample

GATHER = 0.02
"""Seconds for which what there is to say gathers: an exchange costs the run as much CPU as ten calls."""

MANY, LONGER = 8, 0.03
"""Calls that gather in that time where the CPU of this worker is the bound; then waiting costs nothing, and
more of them gather for so many seconds more."""

STATUS = 1.0
"""Seconds after which a worker says that it is there, if there is nothing else to say."""

UNHEARD = 3
"""Times `STATUS` without a word from the run, after which a worker starts no further call: the run may be
gone, and make it again."""


class _Abandoned(Exception):
    pass


class RemoteWorker:
    """The whole of a worker's process. Belongs to one event loop.

    `leave` ends the process at once.
    """

    def __init__(self, leave: Callable[[], None] = lambda: os._exit(1)) -> None:
        self._leave = leave
        self._report = Report()
        self._said_at: float | None = None
        self._news = asyncio.Event()
        self._numbers = count(1)
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._leases: asyncio.Queue[Lease | None] = asyncio.Queue()
        self._abandoned = False
        self._stopped: RunStopped | None = None
        self._blocks: deque[int] = deque()
        self._worker: Worker | None = None
        self._budget: _Budget | None = None
        self._heard_at = 0.0
        self._was_silent = False

    async def identity(self) -> Identity:
        """Return who this is."""
        return Identity(*program(), socket.gethostname(), os.getpid())

    async def begin(self, orders: Orders) -> str | None:
        """Get ready to work; return why that is not possible here, None if all is well."""
        gc.set_threshold(GC_THRESHOLD)
        self._orders, self._lease_seconds = orders, orders.job.policy.lease_seconds
        self._status = min(STATUS, self._lease_seconds / 4)
        self._blocks.extend(orders.text_ids)
        self._ids = self._text_ids()
        self._encoder = Encoder(self._ids)
        ready: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._working = asyncio.create_task(self._work(ready))
        if why := await ready:
            return why
        self._heard()
        self._watch()
        return None

    async def exchange(self, delivery: bytes) -> bytes:
        """Take what the run says, and return what has gathered here."""
        self._heard()
        said, was_silent, self._was_silent = deliveries.decode(delivery), self._was_silent, False
        if was_silent:
            # It may have been sent before the silence, which was one of this process, and the samples be
            # another's now. The next one is an answer.
            said.places = 0
        self._take(said)
        if self._said_at is None and not was_silent:
            try:
                async with asyncio.timeout(self._status):
                    await self._news.wait()
            except TimeoutError:
                pass
        if self._said_at is not None and not self._working.done():
            late = asyncio.get_running_loop().time() - self._said_at
            await asyncio.sleep(max(0.0, GATHER - late))
            if len(self._report.calls) > MANY:
                await asyncio.sleep(LONGER)
        return encode(self._gathered())

    async def nudge(self) -> None:
        """Let the exchange that is under way end: the run has something to say."""
        self._news.set()

    # What the run says

    def _take(self, said: Delivery) -> None:
        self._blocks.extend(said.text_ids)
        for number in said.acknowledged:
            self._settle(number, None)
        for number, why in said.unwritable:
            self._settle(number, Unwritable(why))
        if said.broken:
            for number in list(self._unacknowledged):
                self._settle(number, LedgerError(said.broken))
        if self._budget:
            self._budget.grant(said.granted)
        if said.stop and self._worker:
            self._stopped = RunStopped(said.stop)
            self._worker.stop(self._stopped)
            if self._budget:
                self._budget.stop(self._stopped)
        if self._worker:
            self._worker.gateway.resize(said.places)
        for lease in said.leases:
            self._leases.put_nowait(lease)
        if said.ending:
            self._abandoned = self._abandoned or said.ending == "abandon"
            self._leases.put_nowait(None)

    def _settle(self, number: int, error: Exception | None) -> None:
        future = self._unacknowledged.pop(number, None)
        if future is None or future.done():  # its task was cancelled
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)

    # What this worker says

    def _saying(self) -> Report:
        """Return the report that goes out next, to add to it."""
        if self._said_at is None:
            self._said_at = asyncio.get_running_loop().time()
            self._news.set()
        return self._report

    def _gathered(self) -> Report:
        report, self._report, self._said_at = self._report, Report(), None
        self._news.clear()
        if worker := self._worker:
            report.places_held = worker.gateway.places_held
            report.in_flight = worker.in_flight
            report.waiting, report.outages = worker.waiting(), worker.outages()
            report.suspects = [each.encode(errors="surrogatepass") for each in worker.suspects()]
            report.outage, report.unreachable = worker.gateway.outage, worker.gateway.unreachable()
        report.spare_text_ids = len(self._blocks)
        if self._working.done():
            self._working.result()  # an internal error is for the run to see
            report.ended = True
            refused = self._worker.refused() if self._worker else None
            report.refused = _unicode(str(refused)) if refused else None
        return report

    async def _record(self, record: CallRecord) -> None:
        try:
            rows = encode(self._encoder.call(record))
        except Exception as error:
            raise self._unwritable(error) from error
        number, written = next(self._numbers), asyncio.get_running_loop().create_future()
        self._unacknowledged[number] = written
        used = record.input_tokens, record.output_tokens
        replied = record.failure_kind is None or record.output_tokens is not None
        sent = SentCall(number, record.call.role, msgspec.Raw(rows), *used, replied)
        self._saying().calls.append(sent)
        await written

    def _unwritable(self, error: Exception) -> Unwritable:
        # What was stored with it is gone.
        self._encoder = Encoder(self._ids)
        return Unwritable(f"it cannot be recorded: {one_line(error)}")

    def _recalled(self) -> None:
        self._report.recalled += 1

    def _notice(self, text: str) -> None:
        self._saying().notices.append(_unicode(text))

    # The work

    async def _work(self, ready: asyncio.Future[str | None]) -> None:
        job = self._orders.job
        try:
            async with AsyncExitStack() as stack:
                keys = Keys.given(self._orders.keys, job.settings)
                require_to_run(job.settings, self._orders.connections)
                pack = pack_of(self._orders.pack, Path(job.settings.prompts))
                stack.enter_context(held_pack(job.settings.prompts, pack))
                checks = stack.enter_context(Checks())
                if job.settings.check:
                    await checks.try_out(job.settings.check, self._orders.first)
                stack.callback(start_tracing(keys, self._notice))
                counting = asking_server(job.settings, job.settings.tokenizer, keys, self._notice)
                await stack.enter_async_context(counting)
                if job.limits.budget is not None or job.limits.budget_tokens is not None:
                    self._budget = _Budget(self._saying)
                self._worker = worker = Worker(
                    job,
                    keys,
                    checks,
                    record=self._record,
                    recalled=self._recalled,
                    budget=self._budget,
                    notify=self._notice,
                )
                async with worker:
                    worker.gateway.resize(0)
                    worker.gateway.trust(self._orders.replied)
                    ready.set_result(None)
                    await self._until_ended(worker)
        except _Abandoned:
            pass
        except (RunStopped, RunError, PackError, OSError) as error:
            if ready.done():
                raise
            ready.set_result(str(error))
        finally:
            self._saying()

    async def _until_ended(self, worker: Worker) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while lease := await self._leases.get():
            task = asyncio.create_task(self._evolve(worker, lease))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if self._abandoned:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._abandoned:
            raise _Abandoned

    async def _evolve(self, worker: Worker, lease: Lease) -> None:
        try:
            sample: Sample = pickle.loads(lease.sample)  # noqa: S301 - from the run itself
            recorded = dict(lease.recorded)
            finished = await worker.evolve(sample, lease.mode, recorded, lease.homes)
            self._finish(lease, sample, finished)
        except (RunStopped, LedgerError) as reason:
            self._saying().stopped.append((lease.number, _unicode(str(reason))))
        except MemoryError:
            why = f"there is not enough memory on {socket.gethostname()}. Lower --concurrency"
            self._saying().stopped.append((lease.number, why))
        except Exception as error:
            why = _unicode(f"an internal error: {type(error).__name__}: {error}")
            self._saying().stopped.append((lease.number, why))

    def _finish(self, lease: Lease, sample: Sample, finished: Finished) -> None:
        try:
            rows = encode(self._encoder.result(sample, finished.result))
        except Exception as error:
            self._saying().unwritable.append((lease.number, str(self._unwritable(error))))
            return
        counted = finished.counted._replace(unread_reply=_unicode(finished.counted.unread_reply))
        result = replace(finished.result, outcome=[])
        self._saying().finished.append(SentResult(lease.number, result, counted, msgspec.Raw(rows)))

    def _text_ids(self) -> Iterator[int]:
        while True:
            first = self._blocks.popleft()
            yield from range(first, first + BLOCK)

    # The lease

    def _heard(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()

    def _watch(self) -> None:
        """Start no further call if the run has not been heard of, and leave if there is nothing to keep for
        it. After a standstill this comes before anything else."""
        loop = asyncio.get_running_loop()
        silence, worker = loop.time() - self._heard_at, self._worker
        is_needed = bool(self._unacknowledged) or (worker is not None and worker.in_flight > 0)
        if silence > self._lease_seconds and not is_needed:
            self._leave()
        if worker and silence > UNHEARD * self._status:
            self._was_silent = True
            worker.gateway.resize(0)  # until it is told its places again
        loop.call_later(self._status / 2, self._watch)


class _Budget:
    """The run's budget as a worker sees it: every call asks for its worst case."""

    def __init__(self, saying: Callable[[], Report]) -> None:
        self._saying = saying
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._claims: dict[int, int] = {}
        self._stopped: RunStopped | None = None

    async def reserve(
        self, endpoint: Endpoint, messages: Sequence[Message], most: int, tier: str | None = None
    ) -> Reservation:
        if self._stopped:
            raise self._stopped
        reservation = Reservation(endpoint, prompt_tokens(messages), most, tier)
        number = self._claims[id(reservation)] = next(self._numbers)
        waiter = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._saying().claims.append(SentClaim(number, endpoint, reservation.prompt, most, tier))
        try:
            await waiter
        except BaseException:
            self.settle(reservation, Usage(0, 0, 0))
            raise
        finally:
            self._waiting.pop(number, None)
        return reservation

    def settle(self, reservation: Reservation, usage: Usage | None) -> None:
        self._saying().settled.append((self._claims.pop(id(reservation)), usage))

    def waiting(self) -> list[WaitReason]:
        return []  # the run itself knows

    def grant(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if (waiter := self._waiting.get(number)) and not waiter.done():
                waiter.set_result(None)

    def stop(self, reason: RunStopped) -> None:
        self._stopped = reason
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(reason)


def _unicode(text: Any) -> Any:
    """Return a text in a form that can be sent: what comes from servers may hold half a surrogate pair."""
    return text and text.encode(errors="replace").decode()
