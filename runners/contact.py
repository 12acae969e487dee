"""Whether it is a worker or a model that is to blame where the one cannot reach the other."""

import asyncio
from collections.abc import Sequence
from math import inf

from graph.settings import Settings
from models.policy import GatewayPolicy
from models.routing.router import replica_set
from models.settings import Endpoint, Role
from runners.exchange import Report, SentCall
from runners.worker_state import WorkerState


class Contact:
    """Which models replied to a run's workers, and which could not be reached. Belongs to one event loop.

    A worker knows no other. So where one has never had a reply of a model, it stops as a run does with a
    wrong address, although the model may have replied to others.
    """

    def __init__(self, settings: Settings, policy: GatewayPolicy) -> None:
        self._settings = settings
        self._policy = policy
        self.roles: set[Role] = set()
        """Those whose models have replied."""
        self._replied: set[tuple[Endpoint, ...]] = set()
        self._missed_since: dict[tuple[Endpoint, ...], float] = {}

    def note(self, worker: WorkerState, calls: Sequence[SentCall]) -> None:
        """Note the replies that a worker had."""
        for role in {call.role for call in calls if call.replied}:
            model = replica_set(self._settings, role)
            worker.replied_at[model] = asyncio.get_running_loop().time()
            self.roles.add(role)
            self._replied.add(model)
            self._missed_since.pop(model, None)

    def lost(
        self, worker: WorkerState, report: Report, workers: Sequence[WorkerState], *, joining: bool
    ) -> str | None:
        """Return why a worker that cannot reach a model is to be replaced; None where the model is to blame,
        or nothing is certain.

        Until it is certain, the samples that the worker stopped are held back from its report: they go to
        others, or the run stops as it does with one process. `joining` says whether workers are starting.
        """
        now, lease = asyncio.get_running_loop().time(), self._policy.lease_seconds
        if report.outage:
            worker.stopped_at = now if worker.stopped_at is None else worker.stopped_at
            worker.held += report.stopped
            report.stopped = []
        missed = report.unreachable
        for model in {replica_set(self._settings, role) for role in missed}:
            self._missed_since.setdefault(model, now)
        gone = [report.outage] if report.outage else [role for role in missed if missed[role] > lease]
        if not gone:
            return None
        role = gone[0]
        model = replica_set(self._settings, role)
        others = [each for each in workers if each is not worker and role not in each.said.unreachable]
        if any(each.replied_at.get(model, -inf) > now - lease for each in others):
            return "cannot reach a model that others can"
        if worker.stopped_at is None:
            return None
        trying = [each for each in others if each.stopped_at is None]
        if model not in self._replied and any(each.leases for each in trying):
            return None  # they find out whether it can be reached at all
        if now < worker.stopped_at + lease and (joining or trying):
            return None
        is_new = model in self._replied and model not in worker.replied_at
        if is_new and now < self._missed_since.get(model, -inf) + self._policy.outage_patience:
            return "cannot reach a model"  # for which it tried for seconds, and a run tries for minutes
        self.release(worker, report)
        return None

    def release(self, worker: WorkerState, report: Report) -> None:
        """Put the samples that were held back into the worker's report."""
        report.stopped, worker.held = [*worker.held, *report.stopped], []
