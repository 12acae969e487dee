"""Several workers for a minute at a given rate, and on Ray, killed again and again."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import coevol
from coevol import Limits
from standin import StandIn
from tests.conftest import look
from tests.disturbed import exported, recorded, requests, slow_server, undisturbed, wait_for_calls, write_data
from tests.gateways import until
from tests.integration.test_ray import below, ended, temporary_folder, workers
from tests.program import start
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
