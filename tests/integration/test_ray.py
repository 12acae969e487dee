"""Workers on Ray itself: killed, stopped, without their node, without their run."""

import asyncio
import importlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

import coevol
from coevol import Limits
from reporting.workers import read as at_work
from runners import ray_workers
from runners.worker_state import NodeLost, WorkerLost
from standin import StandIn
from tests.conftest import look
from tests.disturbed import exported, recorded, slow_server, undisturbed, wait_for_calls, write_data
from tests.gateways import QUICK, until
from tests.program import start

ray = pytest.importorskip("ray")
ActorDiedErrorContext = importlib.import_module("ray.core.generated.common_pb2").ActorDiedErrorContext
if not Path("/proc/self/stat").exists():
    pytest.skip("processes are found in /proc", allow_module_level=True)


STARTING = 120
"""Seconds that Ray may take to start; on a machine with nothing else to do it takes six."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with slow_server(monkeypatch) as server:
        yield server


def processes() -> dict[int, tuple[int, str]]:
    """Return all processes that are not at their end: their parents and names."""
    found = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError):
                name, _, rest = (each / "stat").read_text().partition("(")[2].rpartition(")")
                state, parent, *_ = rest.split()
                if state not in "ZX":
                    found[int(each.name)] = (int(parent), name)
    return found


def below(parent: int) -> set[int]:
    """Return the processes that a process started, and those that they did."""
    known, found = processes(), {parent}
    while more := {pid for pid, (above, _) in known.items() if above in found} - found:
        found |= more
    return found - {parent}


def workers(pids: set[int]) -> list[int]:
    """Return those of some processes that are workers of a run."""
    return [pid for pid in pids if processes().get(pid, (0, ""))[1].startswith("ray::RemoteWork")]


def ended(pids: set[int], seconds: float) -> bool:
    """Whether all of these processes end within some seconds."""
    until = time.monotonic() + seconds
    while left := pids & processes().keys():
        if time.monotonic() > until:
            return not left
        time.sleep(0.1)
    return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a folder with a short name, as Ray's sockets need it."""
    folder = tempfile.mkdtemp(dir="/tmp")
    try:
        yield Path(folder)
    finally:
        rmtree(folder, ignore_errors=True)


def test_a_run_on_this_machine_survives_its_workers_and_itself(server: StandIn, tmp_path: Path) -> None:
    data = write_data(tmp_path, 24)
    expected, asked = undisturbed(server, data, tmp_path)
    at = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 8)
    command, before = ("evolve", data, "-o", "run", *at), len(server.chats())
    with temporary_folder() as temporary:
        env = server.environment() | {"TMPDIR": str(temporary)}
        run = start(*command, "--workers", 2, cwd=tmp_path, env=env)
        wait_for_calls(server, before + 40, run)
        # One that is killed before it has joined is replaced without a word.
        while run.poll() is None and sum(bool(each.samples) for each in at_work(tmp_path / "run")) < 2:
            time.sleep(0.1)
        children = below(run.pid)
        os.kill(workers(children)[0], signal.SIGKILL)
        assert run.stderr
        said: list[str] = []
        while not said or (said[-1] and "died: its" not in said[-1]):  # the other one works on meanwhile
            said.append(run.stderr.readline())
        assert said[-1], said
        wait_for_calls(server, before + 80, run)
        children |= below(run.pid)
        run.kill()
        _, err = run.communicate()
        assert "Traceback" not in "".join([*said, err]), (said, err)
        assert ended(set(workers(children)), 20)
        for pid in children & processes().keys():  # Ray's own agents take a minute
            os.kill(pid, signal.SIGKILL)
    with temporary_folder() as temporary:
        env = server.environment() | {"TMPDIR": str(temporary)}
        before_second = len(server.chats())
        run = start(*command, "--workers", 2, cwd=tmp_path, env=env)
        wait_for_calls(server, before_second + 20, run)
        children = below(run.pid)
        for pid in (run.pid, *children):  # as Ctrl-C at a terminal
            if os.getpgid(pid) == os.getpgid(run.pid):
                os.kill(pid, signal.SIGINT)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 3 and "interrupted; the same command resumes the run" in err, err
        assert "Traceback" not in err
        assert ended(children, 20) and not list(temporary.iterdir())
        for name, value in server.environment().items():
            assert value not in err, name
    look(*command, cwd=tmp_path)
    assert exported(tmp_path / "run", tmp_path) == expected
    assert recorded(tmp_path / "run") == asked.total()


def test_what_is_no_cluster_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workers, "ANSWER", 3.0)
    data = write_data(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = look("evolve", data, "-o", "run", "--ray", address, cwd=tmp_path, status=2).stderr
    assert said.splitlines()[-1].startswith(f"coevol: --ray {address}: what answers there is no Ray cluster")


def test_the_folders_of_commands_that_were_killed_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_folder() as temporary:
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        left = temporary / "coevol-left"
        left.mkdir()
        (left / "lock").touch()
        with ray_workers._folder() as one, ray_workers._folder() as other:
            assert Path(one).parent == temporary and Path(one).is_dir() and Path(other).is_dir()
            assert not left.exists()
        assert not Path(one).exists() and not Path(other).exists()


async def test_a_node_that_is_lost_is_no_death_of_a_worker() -> None:
    async def died(why: str) -> None:
        context = ActorDiedErrorContext(actor_id=bytes(16), error_message=why)
        raise ray.exceptions.ActorDiedError(context)

    actor = ray_workers._Actor(ray, None)
    with pytest.raises(NodeLost):
        await actor._result(died("The actor died because its node has died. Node Id: 1"))
    with pytest.raises(WorkerLost, match=r"^died$") as ended:
        await actor._result(died("The actor is dead because its worker process has died."))
    assert not isinstance(ended.value, NodeLost)


async def test_a_run_on_a_cluster_survives_the_loss_of_a_node(server: StandIn, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    data = write_data(tmp_path, 24)
    settings = coevol.Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
    eight, notices = Limits(concurrency=8), list[str]()
    alone = await coevol.arun(data, tmp_path / "alone", settings, eight)
    before = len(server.chats())
    node: Any = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **node})
    try:
        other = cluster.add_node(num_cpus=1, **node)
        policy: Any = replace(QUICK, lease_seconds=4.0)
        given = {"ray": cluster.address, "notify": notices.append, "policy": policy}
        run = coevol.arun(data, tmp_path / "run", settings, eight, **given)
        task = asyncio.create_task(run)
        await until(lambda: task.done() or len(server.chats()) > before + 40, STARTING)
        assert not task.done(), notices
        (stopped, *_) = workers(set(processes()))
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: task.done() or any("silent for 4 seconds" in each for each in notices), 30)
        assert not task.done() and ended({stopped}, 20)
        cluster.remove_node(other, allow_graceful=False)
        found = await task
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert len(list(found.samples())) == len(list(alone.samples())) == 24
    assert exported(tmp_path / "run", tmp_path) == exported(tmp_path / "alone", tmp_path)
    assert recorded(tmp_path / "run") == recorded(tmp_path / "alone")
