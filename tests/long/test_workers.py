"""Several workers for a minute at a given rate, and on Ray, killed again and again."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

import coevol
from coevol import Limits
from standin import StandIn
from tests.conftest import look
from tests.disturbed import exported, recorded, requests, slow_server, undisturbed, wait_for_calls, write_data
from tests.gateways import until
from tests.integration.test_ray import below, ended, temporary_folder, workers
from tests.llama_server import free_port
from tests.program import ROOT, start
from tests.program import coevol as command
from tests.workers import Hired, hired

__all__ = ["hired"]

pytestmark = pytest.mark.long


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with slow_server(monkeypatch) as server:
        yield server


async def test_a_rate_is_that_of_four_workers_together(hired: Hired, server: StandIn, tmp_path: Path) -> None:
    data = write_data(tmp_path, 200)
    settings = coevol.Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
    limits = Limits(concurrency=16, rpm=600)
    task = asyncio.create_task(coevol.arun(data, tmp_path / "run", settings, limits, workers=4))
    await until(lambda: len(hired.at_work) == 4 and len(server.chats()) > 20, 60)
    before = len(server.chats())
    await asyncio.sleep(60)
    made = len(server.chats()) - before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 0.95 * 600 <= made <= 1.05 * 600


def test_workers_on_ray_killed_again_and_again_lose_only_calls_in_flight(
    server: StandIn, tmp_path: Path
) -> None:
    data = write_data(tmp_path, 200)
    expected, asked = undisturbed(server, data, tmp_path)
    at = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 8)
    before, chance, kills = len(server.chats()), random.Random(6), 0
    with temporary_folder() as temporary:
        env = server.environment() | {"TMPDIR": str(temporary)}
        run = start("evolve", data, "-o", "run", *at, "--workers", 3, cwd=tmp_path, env=env)
        while run.poll() is None and kills < 8:
            wait_for_calls(server, len(server.chats()) + chance.randrange(20, 300), run)
            children = below(run.pid)
            if alive := workers(children):
                os.kill(chance.choice(alive), signal.SIGKILL)
                kills += 1
        _, err = run.communicate(timeout=600)
        assert run.returncode == 0 and ended(below(run.pid), 20), err
    assert exported(tmp_path / "run", tmp_path) == expected
    assert recorded(tmp_path / "run") == asked.total()
    assert (requests(server, before) - asked).total() <= kills * 8
    look("stats", tmp_path / "run", cwd=tmp_path)


def is_there(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def test_a_cluster_that_was_started_by_hand_takes_who_has_its_token(tmp_path: Path) -> None:
    data, port = write_data(tmp_path, 12), free_port()
    given = ("evolve", data, "--model", "rehearsal", "--ray", f"127.0.0.1:{port}", "--workers", 2)
    with temporary_folder() as home:
        open_to_all = {"HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
        env = open_to_all | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}

        def node(name: str, *words: object) -> subprocess.Popen[Any]:
            ray = (sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block")
            own = ("--num-cpus", 1, "--object-store-memory", 80 * 2**20, "--temp-dir", home / name)
            return subprocess.Popen(
                [*ray, *map(str, (*words, *own))],
                env=os.environ | env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        nodes = [node("a", "--head", "--port", port, "--include-dashboard", "false")]
        try:
            await until(lambda: is_there(port), 60)
            nodes.append(node("b", "--address", f"127.0.0.1:{port}"))
            refused = command(*given, "-o", "none", cwd=tmp_path, env=open_to_all, status=2).stderr
            assert "it does not take this process without its token: set RAY_AUTH_MODE" in refused
            said = command(*given, "-o", "run", cwd=tmp_path, env=env).stderr
            assert "12/12 samples" in said, said
        finally:
            for each in nodes:
                started = {each.pid} | below(each.pid)
                each.terminate()
                each.wait(60)
                for pid in started - {each.pid}:
                    if not ended({pid}, 5):
                        os.kill(pid, signal.SIGKILL)
    assert not (tmp_path / "none").exists()
