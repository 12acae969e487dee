"""Which worker works on which sample."""

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from math import ceil, inf

from models.errors.exceptions import CallFailed, RunStopped
from models.errors.kinds import INTERNAL_ERROR
from models.routing.router import replica_sets
from runners.exchange import Lease
from runners.shares import Homes, choose, trusted
from runners.worker import Finished, Job, Replies, failed_result
from runners.worker_state import Leased, WorkerState
from samples.sample import Sample

DEATHS = 5
"""Workers that may die while they have one sample only, and get no further with it, before it counts as the
cause."""


class Placement:
    """The samples of a run that wait for a worker. Belongs to one event loop."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._waiting: deque[Leased] = deque()
        self._numbers = count(1)
        self._homes = Homes([len(replicas) for replicas in replica_sets(job.settings)])

    def add(self, sample: Sample, mode: str, recorded: Replies) -> Leased:
        """Let a sample wait. When it is finished, `forget` it."""
        finished: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        leased = Leased(next(self._numbers), sample, mode, recorded, self._homes.take(), finished)
        self._waiting.append(leased)
        return leased

    def forget(self, leased: Leased) -> None:
        """Give back the replicas of a sample."""
        self._homes.leave(leased.homes)

    def fail(self, reason: RunStopped) -> None:
        """Let the run know that no sample that waits has a result."""
        for leased in self._waiting:
            leased.fail(reason)
        self._waiting.clear()

    def place(self, workers: Sequence[WorkerState], joining: int) -> None:
        """Give the samples that wait to workers, so that `joining` others get as many."""
        most = ceil(self._job.limits.concurrency / max(1, len(workers) + joining))
        suspects = [len(worker.said.suspects) for worker in workers]
        loads = [len(worker.leases) for worker in workers]
        only = None if self._job.retry_failed else trusted(loads, suspects)
        for leased in list(self._waiting):
            loads = [
                len(worker.leases) if only in (None, number) and worker.fits(leased) else most
                for number, worker in enumerate(workers)
            ]
            if (number := choose(loads, most)) is None:
                if leased.company == inf:
                    break
                continue
            self._waiting.remove(leased)
            _lease(workers[number], leased)

    def take_back(self, worker: WorkerState, recorded: Callable[[str, str], Replies], *, died: bool) -> None:
        """Let the samples of a lost worker wait again, with the calls `recorded` for each by now.

        Where workers that `died` got no further with a sample, and had no other, that sample has failed.

        Raises:
            LedgerError: what is recorded cannot be read; the worker still has its samples.
        """
        found = [(leased, recorded(leased.sample.id, leased.mode)) for leased in worker.leases.values()]
        blamed: list[Leased] = []
        for leased, replies in found:
            leased.number, leased.recorded = next(self._numbers), replies
            self._waiting.appendleft(leased)
            if len(replies) > leased.on_record:
                leased.company, leased.deaths, leased.deaths_alone = inf, 0, 0
            elif died:
                blamed.append(leased)
        for leased in _blame(blamed, alone=len(found) == 1):
            self._waiting.remove(leased)
            text = f"{DEATHS} workers died while they worked on this sample and no other"
            failure = CallFailed(INTERNAL_ERROR.key, text)
            leased.finish(Finished(failed_result(leased.sample, leased.mode, failure)))
        worker.leases.clear()


def _lease(worker: WorkerState, leased: Leased) -> None:
    worker.leases[leased.number] = leased
    sample = pickle.dumps(leased.sample, protocol=pickle.HIGHEST_PROTOCOL)
    lease = Lease(leased.number, sample, leased.mode, [*leased.recorded.items()], leased.homes)
    leased.on_record, leased.recorded = len(leased.recorded), {}
    worker.say().leases.append(lease)


def _blame(samples: Sequence[Leased], *, alone: bool) -> list[Leased]:
    """Find out of which sample workers die, if of any; return those that it was.

    Of the samples with which a worker that died got no further, at the second time the next one has half of
    them at most, and so on until one is `alone`.
    """
    for leased in samples:
        leased.deaths += 1
        leased.deaths_alone += alone
        if leased.deaths > 1:
            leased.company = max(1, len(samples) // 2)
    return [leased for leased in samples if leased.deaths_alone == DEATHS]
