"""An event loop whose clock does not wait, so that simulated minutes take no time."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self.__dict__["_selector"]
        select = selector.select

        def jump(timeout: float | None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self._now


def simulate(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on such an event loop."""
    loop = Clock()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
