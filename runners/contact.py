"""Whether it is a worker or a model that is to blame where the one cannot reach the other."""

import asyncio
from collections.abc import Sequence
from math import inf

from graph.settings import Settings
from models.policy import GatewayPolicy
from models.routing.router import replica_set
from models.settings import Endpoint, Role
from runners.exchange import Report, SentCall
from runners.hand import Hand


class Contact:
    """Which models replied when, to each worker and to any. Belongs to one event loop."""

    def __init__(self, settings: Settings, policy: GatewayPolicy) -> None:
        self._settings = settings
        self._policy = policy
        self._replied_at: dict[tuple[Endpoint, ...], float] = {}

    def note(self, hand: Hand, calls: Sequence[SentCall]) -> None:
        """Note the replies that a worker had."""
        now = asyncio.get_running_loop().time()
        for role in {call.role for call in calls if call.replied}:
            model = replica_set(self._settings, role)
            hand.replied_at[model] = self._replied_at[model] = now

    def lost(self, hand: Hand, report: Report, hands: Sequence[Hand], *, joining: bool) -> str | None:
        """Return why a worker that cannot reach a model is to be replaced; None where the model is to blame,
        or nothing is certain.

        Until it is certain, the samples that the worker stopped are held back from its report: they go to
        others, or the run stops as it does with one process. `joining` says whether workers are starting.
        """
        now, lease = asyncio.get_running_loop().time(), self._policy.lease_seconds
        if report.outage:
            hand.stopped_at = now if hand.stopped_at is None else hand.stopped_at
            hand.held += report.stopped
            report.stopped = []
        missed = report.unreachable
        role = report.outage or max(missed, key=missed.__getitem__, default=None)
        if role is None or (not report.outage and missed[role] <= lease):
            return None
        model = replica_set(self._settings, role)
        others = [each for each in hands if each is not hand and role not in each.said.unreachable]
        if any(each.replied_at.get(model, -inf) > now - lease for each in others):
            return "cannot reach a model that others can"
        if hand.stopped_at is None:
            return None
        last, trying = self._replied_at.get(model), [each for each in others if each.stopped_at is None]
        if last is None and any(each.leases for each in trying):
            return None  # they find out whether it can be reached at all
        if now < hand.stopped_at + lease and (joining or trying):
            return None
        if last is not None and model not in hand.replied_at and now < last + self._policy.outage_patience:
            return "cannot reach a model"  # which it tried for seconds, and the run for minutes
        self.release(hand, report)
        return None

    def release(self, hand: Hand, report: Report) -> None:
        """Put the samples that were held back into the worker's report."""
        report.stopped, hand.held = [*hand.held, *report.stopped], []
