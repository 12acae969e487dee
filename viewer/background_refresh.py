"""Recomputes slow page data in the background.

A page shows the latest data and asks for newer. At most one computation runs at a time, and while the run is
in progress it is followed by a pause several times as long.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from reporting.snapshot import Snapshot, snapshot, state
from viewer.run import RunPages

Data = TypeVar("Data")

PAUSE = 4
"""The pause after a computation, as a multiple of its time: it takes a fifth of one core at most."""

MIN_PAUSE = 2.0
"""Seconds."""


class BackgroundRefresh(Generic[Data]):
    """Computes something when asked to, as often as is reasonable, in a thread of its own.

    While `state` returns the same value, nothing is computed.
    """

    def __init__(self, state: Callable[[], object], compute: Callable[[], Data]) -> None:
        self._state = state
        self._compute = compute
        self._latest: Data | None = None
        self._seen: object = None
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> Data | None:
        """The latest data, without waiting; None where there is none yet."""
        return self._latest

    async def latest(self, patience: float) -> Data | None:
        """Return the latest data, waiting at most `patience` seconds for newer; None where there is none yet.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if self._task is None and time.monotonic() >= self._not_before:
            self._task = asyncio.create_task(self._refresh())
        task = self._task
        if task is not None:
            done, _ = await asyncio.wait([task], timeout=patience)
            if done:
                # Other pages may have waited for it too.
                self._task = None if self._task is task else self._task
                task.result()
        return self._latest

    async def _refresh(self) -> None:
        began = time.monotonic()
        state = await asyncio.to_thread(self._state)
        if state != self._seen:
            self._latest, self._seen = await asyncio.to_thread(self._compute), state
        took = time.monotonic() - began
        self._not_before = time.monotonic() + max(MIN_PAUSE, PAUSE * took)


def snapshots(run: RunPages) -> BackgroundRefresh[Snapshot]:
    """Return the snapshots of a run."""
    return BackgroundRefresh(lambda: state(run.ledger), lambda: snapshot(run))
