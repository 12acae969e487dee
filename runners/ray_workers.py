"""Workers on Ray: a Ray of our own on this machine, or the cluster that is there.

Workers are plain actors. They are neither detached nor restarted by Ray: they end with this process, and
`runners.fleet` hires others, each with orders of its own. What an actor is created with stays in Ray's
tables, so keys are not part of that.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from models.errors.exceptions import MissingExtra
from runners.exchange import Identity, Orders
from runners.plan import UsageError
from runners.remote_worker import RemoteWorker
from runners.shares import FEWEST
from runners.worker_state import Handle, NodeLost, WorkerLost

AUTO = "auto"

PREFIX = "coevol-"

OBJECT_STORE = 80 * 2**20
"""Bytes for messages of more than 100 KB, which pass through shared memory; Ray takes no less than 75 MB."""

CONNECT = 5.0
"""Seconds in which the address of a cluster must answer."""

ANSWER = 10.0
"""Seconds in which what listens there must show that it is a cluster."""

JOIN = 30.0
"""Seconds in which a cluster must take this process as its driver."""

LOOK, MISSED = 5.0, 4
"""Seconds between two looks at the head of a cluster, and how many in a row find nothing when it is gone. Its
nodes end after a minute without it."""


class RayWorkers(NamedTuple):
    """Workers that can be had."""

    workers: int
    hire: Callable[[], Handle]
    end: Callable[[], Awaitable[str]]
    """Wait until Ray has ended by itself, and say so."""


@asynccontextmanager
async def ray_workers(
    workers: int | None, address: str | None, concurrency: int, notify: Callable[[str], None]
) -> AsyncIterator[RayWorkers]:
    """Provide so many workers, or as many as fit: on this machine, or on the cluster at an address.
    `notify` receives what is waited for.

    Raises:
        MissingExtra: Ray is not installed.
        UsageError: there is no such cluster, or it cannot be used.
    """
    if workers is not None and workers > concurrency:
        raise UsageError(
            f"--workers {workers} needs as many calls in flight, and --concurrency is {concurrency}: "
            "give fewer workers, or more calls"
        )
    if address is not None:
        _check_form(address)
        # Where a cluster refuses a token, Ray would try for 20 seconds.
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "3")
        # Ray would end this process when its head has been gone for a minute.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")
    # What Ray would print of a worker that died is said here in our words.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
    except ImportError:
        raise MissingExtra("--workers" if workers else "--ray", "ray", "ray") from None
    notify("starting Ray on this machine" if address is None else f"joining the Ray cluster ({address})")
    is_ours = not ray.is_initialized()
    with ExitStack() as stack:
        try:
            if address is not None:
                await asyncio.to_thread(_require_cluster, address)
                if is_ours:
                    await _connect(ray, address)
            elif is_ours:
                await _start(ray, workers or 1, stack.enter_context(_folder()))
            if workers is None:
                fit = int(ray.available_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
                workers = max(1, min(fit, concurrency // FEWEST))
            actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")(
                RemoteWorker
            )
            head = str(ray.get_runtime_context().gcs_address)
            name = "the Ray of this run" if address is None else "the head of the Ray cluster"
            yield RayWorkers(workers, lambda: _Actor(ray, actor.remote()), lambda: end_of(head, name))
        finally:
            if is_ours:
                await asyncio.to_thread(ray.shutdown)


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}


async def _start(ray: Any, workers: int, folder: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {
        "num_cpus": workers,
        "object_store_memory": OBJECT_STORE,
        "include_dashboard": False,
    }
    try:
        # In a thread, where Ray leaves signals alone; half a start cannot be undone.
        # Ray opens its folder to everyone, so it is one in ours.
        await _to_the_end(asyncio.to_thread(ray.init, "local", _temp_dir=f"{folder}/r", **own, **QUIET))
    except Exception as error:
        raise UsageError(f"Ray cannot be started on this machine: {_first_line(error)}") from None


_OF_TOKENS = ("InvalidAuthToken", "authentication token")
"""What Ray says where there is no token, or another one."""

NOT_TAKEN = (
    "it does not take this process without its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
    "~/.ray/auth_token to that of the cluster"
)


async def _connect(ray: Any, address: str) -> None:
    try:
        await asyncio.wait_for(asyncio.to_thread(ray.init, address, **QUIET), JOIN)
    except TimeoutError:
        raise UsageError(f"--ray {address}: it did not take this process within {JOIN:g} seconds") from None
    except Exception as error:
        if address == AUTO and isinstance(error, ConnectionError):
            why = "no cluster is on this machine: `ray start` starts or joins one, or give its HOST:PORT"
        elif any(sign in f"{error}{error.__cause__}" for sign in _OF_TOKENS):
            why = NOT_TAKEN
        else:
            why = f"the cluster cannot be used: {_first_line(error)}"
        raise UsageError(f"--ray {address}: {why}") from None


async def end_of(head: str, name: str) -> str:
    """Wait until nothing answers any more at an address, and say what is gone."""
    host, _, port = head.rpartition(":")
    missed = 0
    while missed < MISSED:
        await asyncio.sleep(LOOK)
        try:
            async with asyncio.timeout(CONNECT):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            missed = 0
        except OSError:
            missed += 1
    return (
        f"{name} is gone: nothing answers at {head}. When it is there again, the same command resumes the run"
    )


async def _to_the_end(work: Coroutine[Any, Any, Any]) -> None:
    """Wait for work that goes on when this task is cancelled."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


@contextmanager
def _folder() -> Iterator[str]:
    """Provide a folder for Ray, whose sockets are 72 characters below it and may have 107 in all. Those of
    commands that were killed are removed."""
    usual = tempfile.gettempdir()
    usual = usual if len(usual) < 20 else "/tmp"  # noqa: S108
    for left in Path(usual).glob(f"{PREFIX}*/lock"):
        with suppress(Timeout, OSError), FileLock(left, timeout=0):
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=usual)
    try:
        with FileLock(f"{folder}/lock"):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_form(address: str) -> None:
    _, colon, port = address.rpartition(":")
    if address != AUTO and ("://" in address or not colon or not port.isdigit()):
        raise UsageError(f"--ray {address}: give HOST:PORT as `ray start` printed it, or auto")


def _require_cluster(address: str) -> None:
    """Make sure that something listens there: Ray itself would try for minutes."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--ray {address}: no cluster answers there ({error}); `ray start --head` starts one"
        ) from None
    # In a process of its own: with anything else that listens there Ray would try for minutes.
    asking = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
    try:
        command = [sys.executable, "-c", asking, address]
        asked = subprocess.run(  # noqa: S603
            command, timeout=ANSWER, capture_output=True, stdin=subprocess.DEVNULL, text=True
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--ray {address}: what answers there is no Ray cluster; give HOST:PORT of its head, as "
            "`ray start` printed it"
        ) from None
    if any(sign in asked.stderr for sign in _OF_TOKENS):
        raise UsageError(f"--ray {address}: {NOT_TAKEN}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


class _Actor:
    """A worker on Ray, as a `Handle`."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor

    async def identity(self) -> Identity:
        """Do what `Handle` says."""
        return Identity(*await self._result(self._actor.identity.remote()))

    async def begin(self, orders: Orders) -> str | None:
        """Do what `Handle` says."""
        why: str | None = await self._result(self._actor.begin.remote(orders))
        return why

    async def exchange(self, delivery: bytes) -> bytes:
        """Do what `Handle` says."""
        report: bytes = await self._result(self._actor.exchange.remote(delivery))
        return report

    def nudge(self) -> None:
        """Do what `Handle` says."""
        self._actor.nudge.remote()

    def dismiss(self) -> None:
        """Do what `Handle` says."""
        with suppress(Exception):  # it may be gone, or Ray may
            self._ray.kill(self._actor)

    async def _result(self, reference: Any) -> Any:
        exceptions = self._ray.exceptions
        try:
            return await reference
        except exceptions.RayTaskError as error:
            raise WorkerLost(f"failed: {type(error.cause).__name__}: {error.cause}") from None
        except exceptions.NodeDiedError:
            raise NodeLost("is gone with its node") from None
        except exceptions.ActorUnschedulableError as error:
            raise WorkerLost(f"has no place: {_first_line(error)}") from None
        except exceptions.RayActorError as error:
            if "node has died" in str(error) or error.preempted:
                raise NodeLost("is gone with its node") from None
            if "ModuleNotFoundError" in str(error) or "No module named" in str(error):
                raise WorkerLost("found no coevol on its machine: install the same version there") from None
            raise WorkerLost("died") from None
        except exceptions.RayError as error:
            raise WorkerLost(f"cannot be reached: {_first_line(error)}") from None
