"""One model served by several servers: where samples go, and what becomes of them when a server goes."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models import gateway as door
from models.routing import circuit_breaker as health
from models.settings import ModelSettings
from standin import StandIn
from tests.conftest import look
from tests.gateways import asking, call, until
from tests.program import coevol

KEY = "vk-stand-in-for-tests-0004"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(health, "KNOCK", 0.1)
    monkeypatch.setenv("VLLM_API_KEY", KEY)


@contextmanager
def replicas(*faults: str, count: int = 2, **options: Any) -> Iterator[list[StandIn]]:
    """So many servers of one model; the faults are the second one's."""
    with ExitStack() as servers:
        yield [
            servers.enter_context(StandIn(*(faults if place == 1 else ()), vllm_key=KEY, **options))
            for place in range(count)
        ]


def data(folder: Path, count: int, *exchanges: int) -> Path:
    """Conversations of these lengths in turn, or of one to nine; each names the number of its record."""
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


def at(servers: list[StandIn]) -> list[str]:
    urls = (f"--base-url={server.base_url('vllm')}" for server in servers)
    return ["--mode", "edit", "--model", "vllm:standin", *urls]


def samples(server: StandIn, *, since: float = 0.0, until: float = inf) -> Counter[str]:
    """The answered calls of each sample at a server, by the number in its prompts."""
    found: Counter[str] = Counter()
    for request in server.chats():
        if request.status == 200 and since <= request.arrived < until:
            found[request.raw.partition(b"about number ")[2][:3].decode()] += 1
    return found


def statuses(folder: Path) -> Counter[str]:
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return Counter(result.status for _, by_mode in ledger.samples() for result in by_mode.values())


def when(condition: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Acts as soon as the condition holds, beside whatever goes on."""

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
        # Every second one is long: a server that simply had its turn would be given all of these.
        words = ("evolve", data(tmp_path, 200, 9, 1), "-o", "run", *at(servers), "--concurrency", 8)
        look(*words, cwd=tmp_path)
        asked = [samples(server) for server in servers]
        assert not asked[0].keys() & asked[1].keys()
        assert len(asked[0]) + len(asked[1]) == 200
        # The load is the work, not how many samples it came in. In flight on average: the seconds calls took.
        seconds = [sum((r.finished or 0) - r.arrived for r in server.chats()) for server in servers]
        for one, other in ([each.total() for each in asked], seconds):
            assert abs(one - other) < 0.1 * (one + other) / 2
    assert statuses(tmp_path) == {"done": 200}


def test_the_samples_of_a_dead_replica_move_and_come_back(tmp_path: Path) -> None:
    with replicas(latency=0.15) as (first, second):
        times: dict[str, float] = {}

        def die() -> None:
            times["died"] = time.time()
            second.stop()

        def live() -> None:
            times["back"] = time.time()
            second.start()

        words = ("evolve", data(tmp_path, 32, 12), "-o", "run", *at([first, second]), "--concurrency", 16)
        acts = [when(lambda: len(second.chats()) >= 40, die)]
        acts.append(when(lambda: len(first.chats()) >= 90, live))
        look(*words, "--max-exchanges", 12, cwd=tmp_path)
        for act in acts:
            act.join()
        assert statuses(tmp_path) == {"done": 32}
        before = samples(second, until=times["died"])
        after = samples(second, since=times["back"])
        moved = before.keys() & samples(first).keys()
        assert moved, "what was at work there went on elsewhere"
        assert after.keys() & moved, "and came back"
        assert after.keys() - moved, "new samples go there as well"
        # Asked again was only what was in flight there.
        answered = Counter(r.digest for s in (first, second) for r in s.chats() if r.status == 200)
        assert answered.total() - len(answered) <= 16


def test_a_replica_that_never_answers_is_no_obstacle_and_is_named(tmp_path: Path) -> None:
    with replicas(latency=0.01) as (first, second):
        second.stop()
        # In a process of its own, whose display is a log.
        words = ("evolve", data(tmp_path, 20), "-o", "run", *at([first, second]), "--concurrency", 8)
        said = coevol(*words, cwd=tmp_path, env={"VLLM_API_KEY": KEY}).stderr
        assert f"vllm 127.0.0.1:{second.port}/vllm down since" in said
        assert "(unreachable)" in said
        assert not second.chats()
    assert statuses(tmp_path) == {"done": 20}


@pytest.mark.parametrize(
    ("fault", "advice"),
    [("unknown_model", "Check the model's name"), ("invalid_key", "Check the key in VLLM_API_KEY")],
)
def test_a_replica_that_was_never_right_stops_the_run_with_one_message(
    fault: str, advice: str, tmp_path: Path
) -> None:
    with replicas(fault, latency=0.05) as servers:
        words = ("evolve", data(tmp_path, 30), "-o", "run", *at(servers), "--concurrency", 8)
        said = look(*words, cwd=tmp_path, status=3).stderr
        assert said.count("coevol: stopped: ") == 1
        assert servers[1].base_url("vllm") in said
        assert servers[0].base_url("vllm") not in said
        assert advice in said
        assert len(servers[1].chats()) <= 8
        servers[1].order()
        look(*words, cwd=tmp_path)
    assert statuses(tmp_path) == {"done": 30}


def test_a_replica_that_comes_back_with_another_model_is_left_out(tmp_path: Path) -> None:
    with replicas("unknown_model:nth=40-", latency=0.02) as servers:
        words = ("evolve", data(tmp_path, 30), "-o", "run", *at(servers), "--concurrency", 8)
        look(*words, cwd=tmp_path)
    assert statuses(tmp_path) == {"done": 30}


def test_a_replica_that_hangs_is_left(tmp_path: Path) -> None:
    with replicas("hang:nth=20/21/22/23/24/25/26/27/28/29/30/31", latency=0.01) as servers:
        words = ("evolve", data(tmp_path, 40), "-o", "run", *at(servers), "--concurrency", 16)
        look(*words, "--timeout", 0.5, cwd=tmp_path)
        assert len(samples(servers[0])) > len(samples(servers[1])) > 0
    assert statuses(tmp_path) == {"done": 40}


def test_a_run_without_any_replica_stops_and_goes_on_at_other_addresses(tmp_path: Path) -> None:
    path = data(tmp_path, 30)
    with replicas(latency=0.02) as servers:
        words = ("evolve", path, "-o", "run", "--concurrency", 8)
        acts = [when(lambda: len(servers[0].chats()) >= 40, server.stop) for server in servers]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "PATIENCE", 1.0)
            said = look(*words, *at(servers), cwd=tmp_path, status=3).stderr
        for act in acts:
            act.join()
        assert "nothing answers for vllm:standin" in said
        done = Counter(r.digest for s in servers for r in s.chats() if r.status == 200)
        with replicas(count=3) as others:
            look(*words, *at(others), cwd=tmp_path)
            again = {r.digest for server in others for r in server.chats()}
            # All but what was in flight when they died.
            assert len(done.keys() & again) <= 8, "which server answered is no part of what was asked"
    assert statuses(tmp_path) == {"done": 30}


async def test_calls_that_wait_at_a_replica_leave_it_when_it_goes_down() -> None:
    with replicas() as (first, second):
        urls = [server.base_url("vllm") for server in (first, second)]
        # One call a minute at each: the others wait at the entrance.
        async with asking(first, "vllm", base_url=urls, rpm=60) as to:
            second.stop()
            replies = await to.ask(*map(call, range(6)))
            assert all(isinstance(reply, str) for reply in replies)
        assert len(first.chats()) == 6


async def test_calls_that_wait_go_to_a_replica_that_is_back() -> None:
    with replicas(slots=4, latency=0.3) as (first, second):
        second.stop()
        urls = [server.base_url("vllm") for server in (first, second)]
        async with asking(first, "vllm", base_url=urls) as to:
            asked = asyncio.create_task(to.ask(*map(call, range(64))))
            await until(lambda: len(first.chats()) > 32)
            second.start()
            await to.ask(call(64))  # finds it there
            assert all(isinstance(reply, str) for reply in await asked)
        assert 10 <= len(second.chats()) <= 32


def test_a_check_looks_at_every_replica(tmp_path: Path) -> None:
    with replicas("unknown_model") as servers:
        said = look("check", *at(servers)[2:], cwd=tmp_path, status=2).stdout
        for server in servers:
            assert f"vllm:standin at {server.base_url('vllm')} (all roles)" in said
        assert said.count("answered in") == 1
        assert said.count("Check the model's name") == 1


def test_addresses_are_one_text_or_a_list(tmp_path: Path) -> None:
    assert ModelSettings.model_validate({"base_url": "http://a/v1/"}).base_url == ("http://a/v1",)
    settings = ModelSettings.model_validate(
        {
            "base_url": ["http://a/v1", "http://b/v1"],
            "role_models": {"judge": "openai:m", "editor": "openai:e"},
            "role_base_urls": {"judge": ["http://c/v1", "http://d/v1"], "editor": "http://e/v1"},
        }
    )
    assert [endpoint.base_url for endpoint in settings.replicas("judge")] == ["http://c/v1", "http://d/v1"]
    written = settings.model_dump(mode="json")
    assert written["base_url"] == ["http://a/v1", "http://b/v1"]
    assert written["role_base_urls"] == {"judge": ["http://c/v1", "http://d/v1"], "editor": "http://e/v1"}
    assert ModelSettings().model_dump(mode="json")["base_url"] is None
    assert ModelSettings.model_validate(written) == settings

    toml = tmp_path / "mine.toml"
    toml.write_text('model = "vllm:standin"\nbase_url = ["http://127.0.0.1:9/v1", 7]\n', encoding="utf-8")
    refused = look("check", "--settings", toml, cwd=tmp_path, status=2).stderr
    assert "base_url: ['http://127.0.0.1:9/v1', 7] is neither an address nor a list of them" in refused
    twice = ("--base-url", "http://127.0.0.1:9/v1", "--base-url", "http://127.0.0.1:9/v1/")
    assert "given twice" in look("check", *twice, cwd=tmp_path, status=2).stderr
    assert "judge" in look("check", "--base-url", "judge=http://a/v1", cwd=tmp_path, status=2).stderr
