"""A worker of a run as the run sees it: the way to it, what it has, and what is sent to it next."""

import asyncio
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from ledger.ledger import Unwritable
from models.errors.exceptions import RunStopped
from models.limits.budget import Reservation
from models.settings import Endpoint
from runners.exchange import Delivery, Identity, Orders, Report
from runners.worker import Finished, Replies
from samples.sample import Sample

NUDGE = 0.03
"""Seconds after which a worker is made to listen. One with something to say ends the exchange before."""


class WorkerLost(Exception):
    """A worker is gone. The message says how, as in "worker 2 on node died"."""


class CutOff(WorkerLost):
    """A worker cannot reach what others can."""


class NodeLost(WorkerLost):
    """A worker is gone with its machine."""


class WorkersUnusable(RunStopped):
    """No worker can work on this run. The message says why."""


class Handle(Protocol):
    """A way to one worker. Everything raises `WorkerLost` when it is gone."""

    async def identity(self) -> Identity:
        """Wait until it is there; see `RemoteWorker`."""
        ...

    async def begin(self, orders: Orders) -> str | None:
        """See `RemoteWorker`."""
        ...

    async def exchange(self, delivery: bytes) -> bytes:
        """See `RemoteWorker`."""
        ...

    def nudge(self) -> None:
        """See `RemoteWorker`."""
        ...

    def dismiss(self) -> None:
        """End it at once."""
        ...


@dataclass(slots=True, eq=False)
class Leased:
    """A sample that a worker has, or is to get."""

    number: int
    sample: Sample
    mode: str
    recorded: Replies
    homes: list[int]
    finished: asyncio.Future[Finished]
    on_record: int = 0
    """Calls on record for it when it was leased."""
    deaths: int = 0
    """Of workers, in a row, that had it and got no further with it."""
    deaths_alone: int = 0
    """Of those, the ones that had no other."""
    company: float = inf
    """How many samples a worker may have that has this one."""

    def finish(self, finished: Finished) -> None:
        """Let the run have its result."""
        if not self.finished.done():
            self.finished.set_result(finished)

    def fail(self, reason: RunStopped) -> None:
        """Let the run know that it has none."""
        if not self.finished.done():
            self.finished.set_exception(reason)


@dataclass(slots=True, eq=False)
class WorkerState:
    """A worker at work."""

    number: int
    name: str
    handle: Handle
    to_say: Delivery = field(default_factory=Delivery)
    said: Report = field(default_factory=Report)
    """Its last report."""
    leases: dict[int, Leased] = field(default_factory=dict)
    places: int = 0
    """Places in flight that it has, or may still hold."""
    writing: set[asyncio.Future[dict[int, Unwritable]]] = field(default_factory=set)
    """What it sent and is not on disk yet."""
    claims: dict[int, Reservation | asyncio.Task[None]] = field(default_factory=dict)
    replied_at: dict[tuple[Endpoint, ...], float] = field(default_factory=dict)
    """When it last said that a model replied, in the loop's time; by where that is served."""
    stopped_at: float | None = None
    """When it said that it had stopped since it cannot reach a model, in the loop's time."""
    held: list[tuple[int, str]] = field(default_factory=list)
    """The samples that it stopped for that, as in `Report.stopped`."""
    calls: int = 0
    """That it made and are on disk."""
    _nudging: asyncio.TimerHandle | None = None

    def fits(self, leased: Leased) -> bool:
        """Whether it may have a sample next to those that it has."""
        most = min([leased.company, *(each.company for each in self.leases.values())])
        return self.stopped_at is None and len(self.leases) < most

    def fail(self, reason: RunStopped) -> None:
        """Let the run know that the samples that it has have no result."""
        for leased in self.leases.values():
            leased.fail(reason)

    def say(self) -> Delivery:
        """Return what is sent next, to add to it. It is sent soon, whether the worker has something to say or
        not."""
        if self._nudging is None:
            self._nudging = asyncio.get_running_loop().call_later(NUDGE, self.handle.nudge)
        return self.to_say

    def said_next(self) -> Delivery:
        """Return what is sent now."""
        self.quiet()
        said, self.to_say = self.to_say, Delivery()
        return said

    def quiet(self) -> None:
        """Let it be."""
        if self._nudging:
            self._nudging.cancel()
        self._nudging = None
