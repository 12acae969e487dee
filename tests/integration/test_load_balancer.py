"""One model on several servers: which samples go where, and what happens when a server goes down."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from graph.settings import Settings
from ledger.ledger import Ledger
from models.policy import GatewayPolicy
from models.settings import Limits
from standin import StandIn
from tests.conftest import look
from tests.gateways import QUICK, VLLM_KEY, Ended, call, evolve, gateway_to, until


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", VLLM_KEY)


@contextmanager
def replicas(*faults: str, count: int = 2, **options: Any) -> Iterator[list[StandIn]]:
    """Run servers of one model; the faults are the second one's."""
    with ExitStack() as servers:
        yield [
            servers.enter_context(StandIn(*(faults if n == 1 else ()), vllm_key=VLLM_KEY, **options))
            for n in range(count)
        ]


def write_data(folder: Path, count: int, *exchanges: int) -> Path:
    """Write conversations of these lengths in turn, or of one to nine; each names its record."""
    lengths = exchanges or (1, 8, 6, 4, 2, 9, 7, 5, 3)
    path = folder / "data.json"
    records = []
    for n in range(count):
        turns = [
            turn
            for exchange in range(lengths[n % len(lengths)])
            for turn in (
                {"from": "human", "value": f"Say thing {exchange} about number {n:03}."},
                {"from": "gpt", "value": f"It is {n}."},
            )
        ]
        records.append({"conversations": turns})
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def run(
    data: Path, servers: list[StandIn], concurrency: int = 8, policy: GatewayPolicy = QUICK, **settings: Any
) -> Ended:
    """Work on the data in mode edit, in the folder next to it."""
    urls = tuple(server.base_url("vllm") for server in servers)
    given = Settings(model="vllm:standin", base_url=urls, **settings)
    limits = Limits(concurrency=concurrency)
    return evolve(data, data.parent / "run", given, limits, modes=["edit"], policy=policy)


def addresses(servers: list[StandIn]) -> list[str]:
    return [f"--base-url={server.base_url('vllm')}" for server in servers]


def samples(server: StandIn, *, since: float = 0.0, until: float = inf) -> Counter[str]:
    """Count a server's replies by sample, which the number in the prompts tells."""
    found: Counter[str] = Counter()
    for request in server.chats():
        if request.status == 200 and since <= request.arrived < until:
            found[request.raw.partition(b"about number ")[2][:3].decode()] += 1
    return found


def statuses(folder: Path) -> Counter[str]:
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return Counter(result.status for _, by_mode in ledger.samples() for result in by_mode.values())


def when(condition: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Act in another thread as soon as the condition holds."""

    def watch() -> None:
        ends = time.monotonic() + 60
        while not condition() and time.monotonic() < ends:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_each_sample_stays_with_one_replica_and_the_load_is_even(tmp_path: Path) -> None:
    with replicas(latency=0.02) as servers:
        # Every second one is long: a server that simply took turns would get all of these.
        assert not run(write_data(tmp_path, 150, 5, 1), servers).error
        by_sample = [samples(server) for server in servers]
        assert not by_sample[0].keys() & by_sample[1].keys()
        assert len(by_sample[0]) + len(by_sample[1]) == 150
        # The load is the work, not the number of samples: calls, and the seconds they took.
        seconds = [sum((r.finished or 0) - r.arrived for r in server.chats()) for server in servers]
        for one, other in ([each.total() for each in by_sample], seconds):
            assert abs(one - other) < 0.1 * (one + other) / 2
    assert statuses(tmp_path) == {"done": 150}


def test_the_samples_of_a_dead_replica_move_and_come_back(tmp_path: Path) -> None:
    with replicas(latency=0.1) as (first, second):
        times: dict[str, float] = {}

        def die() -> None:
            times["died"] = time.time()
            second.stop()

        def live() -> None:
            times["back"] = time.time()
            second.start()

        acts = [
            when(lambda: len(second.chats()) >= 40, die),
            when(lambda: len(first.chats()) >= 90, live),
        ]
        run(write_data(tmp_path, 32, 12), [first, second], 15, max_exchanges=12)
        for act in acts:
            act.join()
        assert statuses(tmp_path) == {"done": 32}
        before = samples(second, until=times["died"])
        after = samples(second, since=times["back"])
        moved = before.keys() & samples(first).keys()
        assert moved, "what was at work there continued elsewhere"
        assert after.keys() & moved, "and came back"
        assert after.keys() - moved, "new samples go there as well"
        # Only what was in flight there was asked again.
        replies = Counter(r.digest for s in (first, second) for r in s.chats() if r.status == 200)
        assert replies.total() - len(replies) <= 15


def test_a_replica_that_never_replies_is_no_obstacle_and_is_named(tmp_path: Path) -> None:
    with replicas(latency=0.01) as (first, second):
        second.stop()
        data = write_data(tmp_path, 20)
        words = ("evolve", data, "-o", "run", "--mode", "edit", "--model", "vllm:standin")
        shown = look(*words, *addresses([first, second]), "--concurrency", 8, cwd=tmp_path).stderr
        assert f"vllm 127.0.0.1:{second.port}/vllm down since" in shown
        assert "(unreachable)" in shown
        assert not second.chats()
    assert statuses(tmp_path) == {"done": 20}


@pytest.mark.parametrize(
    ("fault", "advice"),
    [("unknown_model", "Check the model's name"), ("invalid_key", "Check the key in VLLM_API_KEY")],
)
def test_a_replica_that_was_wrong_from_the_start_stops_the_run(
    fault: str, advice: str, tmp_path: Path
) -> None:
    data = write_data(tmp_path, 30)
    with replicas(fault, latency=0.05) as servers:
        message = run(data, servers).message
        assert servers[1].base_url("vllm") in message
        assert servers[0].base_url("vllm") not in message
        assert advice in message
        assert len(servers[1].chats()) <= 8
        servers[1].order()
        assert not run(data, servers).error
    assert statuses(tmp_path) == {"done": 30}


def test_a_replica_that_comes_back_with_another_model_is_left_out(tmp_path: Path) -> None:
    with replicas("unknown_model:nth=40-", latency=0.02) as servers:
        assert not run(write_data(tmp_path, 30), servers).error
    assert statuses(tmp_path) == {"done": 30}


def test_a_replica_that_hangs_is_left(tmp_path: Path) -> None:
    with replicas("hang:nth=20/21/22/23/24/25/26/27/28/29/30/31", latency=0.01) as servers:
        assert not run(write_data(tmp_path, 40), servers, 16, timeout=0.5).error
        assert len(samples(servers[0])) > len(samples(servers[1])) > 0
    assert statuses(tmp_path) == {"done": 40}


def test_a_run_without_any_replica_stops_and_resumes_at_other_addresses(tmp_path: Path) -> None:
    data = write_data(tmp_path, 30)
    with replicas(latency=0.02) as servers:
        acts = [when(lambda: len(servers[0].chats()) >= 40, server.stop) for server in servers]
        message = run(data, servers, policy=replace(QUICK, outage_patience=0.5)).message
        for act in acts:
            act.join()
        assert "nothing answers for vllm:standin" in message
        done = Counter(r.digest for s in servers for r in s.chats() if r.status == 200)
        with replicas(count=3) as others:
            assert not run(data, others).error
            again = {r.digest for server in others for r in server.chats()}
            # All but what was in flight when they died.
            assert len(done.keys() & again) <= 8, "which server replied is not part of the request"
    assert statuses(tmp_path) == {"done": 30}


async def test_calls_that_wait_at_a_replica_leave_it_when_it_goes_down() -> None:
    with replicas() as (first, second):
        urls = [server.base_url("vllm") for server in (first, second)]
        # Four calls a second at each: the others wait for the rate limiter.
        async with gateway_to(first, "vllm", base_url=urls, limits=Limits(rpm=240)) as client:
            second.stop()
            replies = await client.ask(*map(call, range(6)))
            assert all(isinstance(reply, str) for reply in replies)
        assert len(first.chats()) == 6


async def test_calls_that_wait_go_to_a_replica_that_is_back() -> None:
    with replicas(slots=4, latency=0.15) as (first, second):
        second.stop()
        urls = [server.base_url("vllm") for server in (first, second)]
        async with gateway_to(first, "vllm", base_url=urls) as client:
            asked = asyncio.create_task(client.ask(*map(call, range(64))))
            await until(lambda: len(first.chats()) > 32)
            second.start()
            await client.ask(call(64))  # finds it there
            assert all(isinstance(reply, str) for reply in await asked)
        assert 10 <= len(second.chats()) <= 32


def test_a_check_looks_at_every_replica(tmp_path: Path) -> None:
    with replicas("unknown_model") as servers:
        words = ("check", "--model", "vllm:standin", *addresses(servers))
        report = look(*words, cwd=tmp_path, status=2).stdout
        for server in servers:
            assert f"vllm:standin at {server.base_url('vllm')} (all roles)" in report
        assert report.count("answered in") == 1
        assert report.count("Check the model's name") == 1
