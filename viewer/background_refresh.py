"""What takes longer to make than anyone waits for a page, made aside.

A page shows what was made last and asks for more. At most one is being made, and while the run goes on that
is followed by a pause several times as long.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")

PAUSE = 4
"""How many times as long as the making the pause after it is: a fifth of one core at most goes into it."""

SHORTEST_PAUSE = 2.0
"""Seconds between two looks at least."""


class Aside(Generic[Made]):
    """Makes something when asked to, as often as is reasonable, in a thread of its own.

    `state` tells whether there is anything new: where it gives what it gave before, nothing is made.
    """

    def __init__(self, state: Callable[[], object], make: Callable[[], Made]) -> None:
        self._state = state
        self._make = make
        self._latest: Made | None = None
        self._seen: object = None
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    async def latest(self, patience: float) -> Made | None:
        """What was made last; waits for a new one `patience` seconds at most. None where there is none yet.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if self._task is None and time.monotonic() >= self._not_before:
            self._task = asyncio.create_task(self._renew())
        task = self._task
        if task is not None:
            done, _ = await asyncio.wait([task], timeout=patience)
            if done:
                # Others may have waited for it too.
                self._task = None if self._task is task else self._task
                task.result()
        return self._latest

    async def _renew(self) -> None:
        began = time.monotonic()
        state = await asyncio.to_thread(self._state)
        if state != self._seen:
            self._latest, self._seen = await asyncio.to_thread(self._make), state
        took = time.monotonic() - began
        self._not_before = time.monotonic() + max(SHORTEST_PAUSE, PAUSE * took)
