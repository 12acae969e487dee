"""Endpoints that go away and come back, machines without a network, a system clock that jumps."""

import asyncio
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph.settings import Settings
from ledger.ledger import Ledger
from models.errors.exceptions import RunStopped
from models.policy import GatewayPolicy
from models.settings import Limits
from reporting.chart_data import throughput
from reporting.recorded_run import RecordedRun
from runners.api import arun
from standin import StandIn
from tests import program
from tests.conftest import look
from tests.disturbed import (
    CONCURRENCY,
    IN_FLIGHT,
    exported,
    recorded,
    requests,
    slow_server,
    undisturbed,
    write_data,
)
from tests.gateways import evolve, until
from tests.program import start


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with slow_server(monkeypatch) as server:
        yield server


def start_run(server: StandIn, folder: Path, policy: GatewayPolicy) -> "asyncio.Task[RecordedRun]":
    """Start the run that `command` describes in this process, over the data in its folder."""
    settings = Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
    limits = Limits(concurrency=CONCURRENCY)
    return asyncio.create_task(arun(folder / "data.json", folder / "run", settings, limits, policy=policy))


def test_a_run_waits_for_an_endpoint_that_is_down_for_a_while(server: StandIn, tmp_path: Path) -> None:
    expected, asked = undisturbed(server, write_data(tmp_path, 30), tmp_path)
    before = len(server.chats())

    async def interrupted_run() -> None:
        run = start_run(server, tmp_path, GatewayPolicy(first_wait=0.02, max_wait=0.1, max_attempts=1000))
        await until(lambda: len(server.chats()) >= before + 60)
        server.stop()
        await asyncio.sleep(0.5)
        assert not run.done()
        server.start()
        await run

    asyncio.run(interrupted_run())
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (requests(server, before) - asked).total() <= IN_FLIGHT


def test_a_run_stops_if_its_endpoint_stays_down_and_resumes_when_it_is_back(
    server: StandIn, tmp_path: Path
) -> None:
    expected, asked = undisturbed(server, write_data(tmp_path, 30), tmp_path)
    before = len(server.chats())

    async def stopped_and_resumed_run() -> None:
        policy = GatewayPolicy(first_wait=0.02, max_wait=0.1, max_attempts=1000, outage_patience=0.5)
        run = start_run(server, tmp_path, policy)
        await until(lambda: len(server.chats()) >= before + 60)
        server.stop()
        with pytest.raises(RunStopped, match=f"127.0.0.1:{server.port}"):
            await run
        recorded(tmp_path / "run")
        server.start()
        await start_run(server, tmp_path, policy)

    asyncio.run(stopped_and_resumed_run())
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (requests(server, before) - asked).total() <= IN_FLIGHT


def test_a_machine_without_a_network_gets_a_clear_message(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*offline, "true"], capture_output=True).returncode:
        pytest.skip("a process cannot be cut off from the network here")
    data = write_data(tmp_path, 3)
    at = ("evolve", data, "--model", "openai:gpt-4o-mini")
    urls = {"by-address": "http://192.0.2.1:8000/v1", "by-name": "http://models.example/v1"}
    with monkeypatch.context() as cut_off:
        cut_off.setattr(program, "COMMAND", [*offline, *program.COMMAND])
        runs = {
            name: start(*at, "-o", name, "--base-url", url, cwd=tmp_path, env=server.environment())
            for name, url in urls.items()
        }
    for name, process in runs.items():
        _, err = process.communicate(timeout=120)
        assert process.returncode == 3, err
        assert urls[name] in err
        assert "Check the base URL" in err
        assert "Traceback" not in err
    # The same run with a network.
    look(*at, "-o", "by-name", "--base-url", server.base_url("openai"), cwd=tmp_path)
    assert len(exported(tmp_path / "by-name", tmp_path)) == 3


def test_a_system_clock_that_jumps_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, clock, chance = write_data(tmp_path, 3), time.time, random.Random(9)
    with StandIn("500:rate=0.05,seed=3", "429:rate=0.05,retry_after=date:1", own_process=True) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        settings = Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
        limits = Limits(concurrency=CONCURRENCY, rpm=6000, tpm=10_000_000)
        evolve(data, tmp_path / "undisturbed", settings, limits)
        asked = requests(server)
        began = time.monotonic()
        with monkeypatch.context() as jumping:
            jumping.setattr(time, "time", lambda: clock() + chance.choice((-4e8, -90_000, 0, 90_000, 4e8)))
            assert not evolve(data, tmp_path / "run", settings, limits).error
            look("stats", "run", cwd=tmp_path)
        assert time.monotonic() - began < 60
        assert requests(server, asked.total()).keys() == asked.keys()
    assert exported(tmp_path / "run", tmp_path) == exported(tmp_path / "undisturbed", tmp_path)
    # The chart of such a run is meaningless but must not fail.
    drawn = throughput(Ledger.open(tmp_path / "run" / "ledger.sqlite"))
    assert drawn and len(drawn.calls) <= 61
    assert sum(drawn.calls) == recorded(tmp_path / "run")
