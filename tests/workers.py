"""Workers of a run as threads of this process, each with an event loop: all that there is but Ray."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from graph.settings import Settings
from runners import ray_workers
from runners.exchange import Identity, Orders
from runners.ray_workers import RayWorkers
from runners.remote_worker import RemoteWorker
from runners.worker_state import WorkerLost

T = TypeVar("T")


class ThreadWorker:
    """A `Handle` of a worker in a thread."""

    def __init__(self, identity: Identity | None = None, settings: Settings | None = None) -> None:
        self.orders: Orders | None = None
        self.exchanges = 0
        self.hearing = asyncio.Event()
        """Whether it hears what its run says."""
        self.hearing.set()
        self.left = False
        """Whether it ended itself."""
        self._identity, self._settings = identity, settings
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = asyncio.get_running_loop()
        self._going_on = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)))
        self._thread.start()
        ready.wait()

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._killed = asyncio.get_running_loop(), asyncio.Event()
        self._worker = RemoteWorker(leave=self._leave)
        ready.set()
        await self._killed.wait()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=0.05)
        if self._worker._worker:  # the end of a process closes its connections
            await self._worker._worker.gateway._http.aclose()

    def _leave(self) -> None:
        self.left = True
        self._killed.set()

    @property
    def is_gone(self) -> bool:
        """Whether its run has lost it, or let it go."""
        return self._gone.done()

    def kill(self) -> None:
        """End it, as SIGKILL would, and let its run know."""
        if not self._gone.done():
            self._gone.set_result(None)
            self._going_on.set()
            self._loop.call_soon_threadsafe(self._killed.set)

    def stop(self) -> None:
        """Let it stand still, as SIGSTOP would."""
        self._loop.call_soon_threadsafe(self._going_on.wait)

    def go_on(self) -> None:
        """Let it go on, as SIGCONT would."""
        self._going_on.set()

    async def ended(self) -> None:
        """Wait until it is gone."""
        await asyncio.wait([self._gone])

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def identity(self) -> Identity:
        there = await self._result(self._worker.identity())
        return self._identity or there

    async def begin(self, orders: Orders) -> str | None:
        if self._settings:
            orders = orders._replace(job=replace(orders.job, settings=self._settings))
        self.orders = orders
        return await self._result(self._worker.begin(orders))

    async def exchange(self, delivery: bytes) -> bytes:
        self.exchanges += 1
        await self.hearing.wait()
        return await self._result(self._worker.exchange(delivery))

    def nudge(self) -> None:
        if not self._gone.done() and not self.left:
            asyncio.run_coroutine_threadsafe(self._worker.nudge(), self._loop)

    def dismiss(self) -> None:
        self.kill()

    async def _result(self, work: Coroutine[Any, Any, T]) -> T:
        if self._gone.done():
            work.close()
            raise WorkerLost("died")
        done = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        waiting: set[asyncio.Future[Any]] = {done, self._gone}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._gone.done():
            done.cancel()
            raise WorkerLost("died")
        return done.result()


class Hired(list[ThreadWorker]):
    """The workers of the runs of a test, in the order in which they were hired."""

    def __init__(self) -> None:
        super().__init__()
        self.identities: list[Identity] = []
        """Who the next ones say that they are."""
        self.elsewhere: dict[int, Settings] = {}
        """The settings that some have in place of the run's, by number."""
        self.before: Callable[[], object] = lambda: None
        """What happens before one is hired."""
        self.end = asyncio.Event()
        """Whether what the workers run on is gone."""

    @asynccontextmanager
    async def __call__(
        self, workers: int | None, address: str | None, concurrency: int, notify: Callable[[str], None]
    ) -> AsyncIterator[RayWorkers]:
        """Take the place of `ray_workers`."""

        def hire() -> ThreadWorker:
            self.before()
            identity = self.identities.pop(0) if self.identities else None
            self.append(ThreadWorker(identity, self.elsewhere.get(len(self))))
            return self[-1]

        async def end() -> str:
            await self.end.wait()
            return "Ray is gone"

        yield RayWorkers(workers or 2, hire, end)

    @property
    def at_work(self) -> list[ThreadWorker]:
        """Those that their run has."""
        return [worker for worker in self if not worker.is_gone and worker.exchanges > 3]


@pytest.fixture
def hired(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have runs with workers hire threads."""
    found = Hired()
    monkeypatch.setattr(ray_workers, "ray_workers", found)
    yield found
    for worker in found:
        worker.go_on()
        worker.join()
