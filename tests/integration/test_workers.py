"""A run with several workers is the same run: whatever becomes of them, nothing is lost or paid for twice.

The workers are threads here (`tests.workers`); `test_ray.py` has them on Ray.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from types import SimpleNamespace
from typing import Any

import pytest

import coevol
from coevol import Limits, RunStopped
from ledger.encoding import _CALL_COLUMNS
from ledger.ledger import Ledger, LedgerError
from models.errors.kinds import ABANDONED
from models.settings import KEY_NAMES
from reporting import workers
from reporting.recorded_run import RecordedRun
from runners import ray_workers
from runners.exchange import Identity, Report, deliveries, encode, program, reports, rows
from runners.plan import UsageError
from standin import Fault, StandIn
from tests.conftest import look
from tests.disturbed import exported, recorded
from tests.gateways import QUICK, until
from tests.program import ROOT, records, write
from tests.workers import Hired, ThreadWorker, hired

__all__ = ["hired"]

SIX = Limits(concurrency=6)


@pytest.fixture(autouse=True)
def work_in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in KEY_NAMES.values():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(latency=0.03) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        yield server


def settings_for(server: StandIn, **more: Any) -> coevol.Settings:
    return coevol.Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"), **more)


def with_a_judge_at(url: str, server: StandIn) -> coevol.Settings:
    judge: dict[str, Any] = {
        "role_models": {"judge": "openai:gpt-4.1-mini"},
        "role_base_urls": {"judge": (url,)},
    }
    return settings_for(server, max_rounds=1, **judge)


def paid_twice(server: StandIn, since: int = 0) -> int:
    """Return how many requests repeat an earlier one."""
    counted = Counter(chat.digest for chat in server.chats()[since:])
    return counted.total() - len(counted)


def alike(run: RecordedRun, other: RecordedRun) -> bool:
    """Whether two runs came to the same, by the same calls."""

    def of(run: RecordedRun) -> Any:
        results = [
            {name: value for name, value in row.items() if name != "finished"}
            for rows in (run.samples(), run.exchanges(), run.rounds())
            for row in rows
        ]
        return results, Counter(row["request"] for row in run.calls())

    return bool(of(run) == of(other))


def calls_in(report: Report) -> list[tuple[Any, ...]]:
    """Return the calls of a report, as rows of the ledger."""
    found = [row for call in report.calls for row in rows.decode(call.rows)]
    return [values for table, values in found if table == "calls"]


# --- the same run


async def test_a_run_goes_on_with_more_workers_and_back(hired: Hired, tmp_path: Path) -> None:
    odd = {"instruction": "Say \ud83d.", "output": "Half \udc00 a pair.", "n": 2**70}
    data = write(tmp_path / "data.json", [*records(8), odd])
    settings = coevol.Settings(max_rounds=2)
    await coevol.arun(data, "run", settings, SIX, stop=2)
    await coevol.arun(data, "run", settings, SIX, stop=6, workers=3)
    assert len(hired) == 3
    await coevol.arun(data, "run", settings, SIX, stop=7)
    run = await coevol.arun(data, "run", settings, SIX, workers=2)
    assert alike(run, await coevol.arun(data, "alone", settings, SIX))
    assert exported(Path("run"), tmp_path) == exported(Path("alone"), tmp_path)
    assert recorded(Path("run")) == recorded(Path("alone"))
    with closing(sqlite3.connect("run/ledger.sqlite")) as ledger:
        dangling = "SELECT count(*) FROM calls WHERE instr(reply, char(1)) = 1 AND NOT EXISTS "
        dangling += "(SELECT 1 FROM texts WHERE id = CAST(substr(reply, 2) AS INTEGER))"
        assert ledger.execute(dangling).fetchone() == (0,)


async def test_workers_get_what_they_need_and_no_more(
    hired: Hired, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_not_for_workers_0123456789")
    monkeypatch.setenv("ZHIPUAI_API_KEY", "not-for-workers-either.0123456789")
    pack = copytree(ROOT / "prompts" / "classic", tmp_path / "pack")
    hired.before = lambda: rmtree(pack, ignore_errors=True)  # where they are, there is none
    data = write(tmp_path / "data.json", records(3))
    await coevol.arun(data, "run", settings_for(server, max_rounds=1, prompts="pack"), SIX, workers=2)
    orders = hired[0].orders
    assert orders and orders.keys == {"OPENAI_API_KEY": server.key("openai")}
    assert server.key("openai") not in repr(orders)
    copytree(ROOT / "prompts" / "classic", pack)
    alone = await coevol.arun(data, "alone", settings_for(server, max_rounds=1, prompts="pack"))
    assert alike(coevol.load_run("run"), alone)


async def test_a_worker_of_another_version_is_refused_by_name(hired: Hired, tmp_path: Path) -> None:
    version, sources = program()
    notices: list[str] = []
    hired.identities = [Identity("0.0.9", sources, "old", 1)]
    data = write(tmp_path / "data.json", records(2))
    rehearsed = coevol.Settings(max_rounds=1)
    await coevol.arun(data, "run", rehearsed, SIX, workers=2, notify=notices.append)
    found = next(notice for notice in notices if "0.0.9" in notice)
    assert found.startswith("worker 1 on old has coevol 0.0.9") and "goes on without it" in found
    hired.identities = [Identity(version, "other", f"node{n}", n) for n in range(2)]
    with pytest.raises(RunStopped, match=r"worker \d on node\d has other files of coevol"):
        await coevol.arun(data, "none", rehearsed, SIX, workers=2)
    assert not list(coevol.load_run("none").calls())


async def test_wrong_settings_stop_all_workers(hired: Hired, server: StandIn, tmp_path: Path) -> None:
    server.order("invalid_key")
    data = write(tmp_path / "data.json", records(6))
    with pytest.raises(RunStopped, match=r"(?s)worker \d on .*: .* 401 .*OPENAI_API_KEY"):
        await coevol.arun(data, "run", settings_for(server), SIX, workers=2)
    server.order()
    run = await coevol.arun(data, "run", settings_for(server, max_rounds=1), SIX, workers=2)
    assert {row["status"] for row in run.samples()} == {"done"}


async def test_what_refuses_all_stops_many_workers_as_soon_as_one(
    hired: Hired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data.json", records(200))
    with StandIn(Fault("bad_request", nth="61-", code="E77", message="Not now."), latency=0.03) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        settings, limits = settings_for(server, max_rounds=1), Limits(concurrency=8, max_failures=1.0)
        with pytest.raises(RunStopped, match=r"samples in a row failed like this"):
            await coevol.arun(data, "run", settings, limits, workers=8)
        refused = sum(chat.status == 400 for chat in server.chats())
        assert refused < 100  # 234 where each worker finds out by itself
    assert {row["status"] for row in coevol.load_run("run").samples()} <= {"done"}


async def test_a_ledger_that_is_lost_stops_all_workers(hired: Hired, server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(12))
    run = asyncio.create_task(coevol.arun(data, "run", settings_for(server), SIX, workers=2))
    await until(lambda: len(server.chats()) > 20)
    await asyncio.to_thread(Path("run/ledger.sqlite").rename, "elsewhere.sqlite")
    with pytest.raises(RunStopped, match="was moved or deleted while the run wrote to it"):
        await run


async def test_a_ledger_that_cannot_be_read_when_a_worker_dies_stops_the_run(
    hired: Hired, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data.json", records(12))
    task = asyncio.create_task(coevol.arun(data, "run", settings_for(server), SIX, workers=2))
    await until(lambda: len(server.chats()) > 20)

    def unreadable(ledger: Ledger, sample: str, mode: str) -> Any:
        raise LedgerError("run/ledger.sqlite cannot be read: disk I/O error")

    monkeypatch.setattr(Ledger, "replies", unreadable)
    hired.at_work[0].kill()
    with pytest.raises(RunStopped, match="cannot be read: disk I/O error"):
        async with asyncio.timeout(30):
            await task


# --- faults


async def test_workers_that_die_again_and_again_make_no_failures(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(6))
    task = asyncio.create_task(coevol.arun(data, "run", settings_for(server, max_rounds=3), SIX, workers=1))
    for _ in range(7):
        enough = len(server.chats()) + 12
        await until(lambda: hired.at_work and len(server.chats()) > enough)  # noqa: B023
        hired.at_work[0].kill()
    run = await task
    assert len(hired) == 8 and {row["status"] for row in run.samples()} == {"done"}


async def test_of_a_sample_that_ends_its_workers_only_that_one_fails(
    hired: Hired, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = ThreadWorker.exchange

    async def deadly(worker: ThreadWorker, delivery: bytes) -> bytes:
        if any(b"number 3." in lease.sample for lease in deliveries.decode(delivery).leases):
            worker.kill()
        return await exchange(worker, delivery)

    monkeypatch.setattr(ThreadWorker, "exchange", deadly)
    data = write(tmp_path / "data.json", records(8))
    eight = Limits(concurrency=8)
    run = await coevol.arun(data, "run", settings_for(server, max_rounds=1), eight, workers=1)
    failed = [row for row in run.samples() if row["status"] != "done"]
    assert [row["position"] for row in failed] == [3]
    assert "workers died while they worked on this sample and no other" in failed[0]["reason"]


async def test_workers_that_die_lose_only_calls_in_flight(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(16))
    settings = settings_for(server, max_rounds=2)
    alone = await coevol.arun(data, "alone", settings, SIX)
    before, notices = len(server.chats()), list[str]()
    task = asyncio.create_task(coevol.arun(data, "run", settings, SIX, workers=2, notify=notices.append))
    chance, killed = random.Random(5), 0
    while killed < 3:
        await until(lambda: task.done() or hired.at_work)
        await asyncio.sleep(chance.random() * 0.3)
        if hired.at_work and not task.done():
            chance.choice(hired.at_work).kill()
            killed += 1
    run = await task
    assert alike(run, alone)
    assert exported(Path("run"), tmp_path) == exported(Path("alone"), tmp_path)
    assert recorded(Path("run")) == recorded(Path("alone"))
    assert paid_twice(server, before) <= killed * 6  # what may be in flight at one of them
    assert [notice for notice in notices if "died: its" in notice and "go to others" in notice]


async def test_a_worker_that_comes_back_late_is_not_listened_to(
    hired: Hired, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data.json", records(12))
    settings, notices = settings_for(server, max_rounds=2), list[str]()
    policy = replace(QUICK, lease_seconds=3.0)
    run = coevol.arun(data, "run", settings, SIX, workers=2, notify=notices.append, policy=policy)
    task = asyncio.create_task(run)
    await until(lambda: len(server.chats()) > 20 and len(hired.at_work) == 2)
    late = hired.at_work[0]
    monkeypatch.setattr(late, "dismiss", lambda: None)  # nothing reaches it
    late.stop()
    await until(lambda: any("has been silent for 3 seconds" in notice for notice in notices))
    asked, exchanges = len(server.chats()), late.exchanges
    late.go_on()
    found = await task
    assert late.exchanges == exchanges
    late.kill()
    assert len(hired) > 2 and asked < len(server.chats())
    assert paid_twice(server) <= 6  # what may have been in flight there: it started no other
    assert alike(found, await coevol.arun(data, "alone", settings, SIX))
    assert recorded(Path("run")) == recorded(Path("alone"))


async def test_a_worker_that_does_not_hear_from_its_run_starts_no_call(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(6))
    policy = replace(QUICK, max_wait=0.1, max_attempts=10_000, lease_seconds=20.0)
    settings = settings_for(server, max_rounds=1)
    task = asyncio.create_task(coevol.arun(data, "run", settings, SIX, workers=1, policy=policy))
    await until(lambda: len(server.chats()) > 20)
    server.order("500")  # tried again and again
    await until(lambda: server.chats()[-1].status == 500)
    hired[0].hearing.clear()
    await asyncio.sleep(5)
    asked = len(server.chats())
    await asyncio.sleep(0.5)
    assert len(server.chats()) == asked and not hired[0].left
    server.order()
    hired[0].hearing.set()
    await task
    assert len(hired) == 1
    assert {row["status"] for row in coevol.load_run("run").samples()} == {"done"}


@pytest.mark.parametrize("all_of_it", [False, True])
async def test_a_run_that_stands_still_loses_nothing(
    hired: Hired, server: StandIn, tmp_path: Path, *, all_of_it: bool
) -> None:
    data, notices = write(tmp_path / "data.json", records(12)), list[str]()
    settings, policy = settings_for(server, max_rounds=2), replace(QUICK, lease_seconds=2.0)
    run = coevol.arun(data, "run", settings, SIX, workers=2, notify=notices.append, policy=policy)
    task = asyncio.create_task(run)
    await until(lambda: len(server.chats()) > 20 and len(hired.at_work) == 2)
    if all_of_it:
        for worker in hired:
            worker.stop()
    time.sleep(2.2)  # noqa: ASYNC251 - as SIGSTOP would have it
    asked = len(server.chats())
    time.sleep(1.0)  # noqa: ASYNC251
    assert len(server.chats()) == asked
    for worker in hired:
        worker.go_on()
    found = await task
    assert len(hired) == 2 and not any(worker.left for worker in hired) and not notices
    assert paid_twice(server) == 0 and len(list(found.calls())) == len(server.chats())


async def test_a_worker_without_calls_ends_itself_when_its_run_is_silent(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data, policy = write(tmp_path / "data.json", records(1)), replace(QUICK, lease_seconds=2.0)
    server.order("hang")
    run = coevol.arun(data, "run", settings_for(server), SIX, workers=2, policy=policy)
    task = asyncio.create_task(run)
    await until(lambda: server.chats() and len(hired.at_work) == 2)
    for worker in hired:
        worker.hearing.clear()
    await until(lambda: any(worker.left for worker in hired))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_where_ray_ends_the_run_stops(hired: Hired, server: StandIn, tmp_path: Path) -> None:
    data, notices = write(tmp_path / "data.json", records(12)), list[str]()
    run = coevol.arun(data, "run", settings_for(server), SIX, workers=2, notify=notices.append)
    task = asyncio.create_task(run)
    await until(lambda: len(server.chats()) > 20 and len(hired.at_work) == 2)
    server.order("hang")
    asked = len(server.chats())
    await until(lambda: len(server.chats()) >= asked + 6)
    hired.end.set()
    await asyncio.sleep(0.2)
    for worker in hired:
        worker.kill()
    with pytest.raises(RunStopped, match="Ray is gone"):
        await task
    # With a run that stops nothing is made again.
    (lost, _) = [notice for notice in notices if " died: " in notice]
    assert "in flight there is not known" in lost and "again" not in lost


async def test_that_a_head_is_gone_is_certain_after_several_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workers, "LOOK", 0.01)
    head = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    address = f"127.0.0.1:{head.sockets[0].getsockname()[1]}"
    task = asyncio.create_task(ray_workers.end_of(address, "the head of the Ray cluster"))
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    head.close()
    assert (await task).startswith(f"the head of the Ray cluster is gone: nothing answers at {address}")


async def test_a_worker_without_a_way_to_the_model_gives_its_samples_back(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(10))
    settings, notices = settings_for(server, max_rounds=2), list[str]()
    policy = replace(QUICK, first_wait=1.0, lease_seconds=600.0)  # nothing waits for its successor
    hired.elsewhere = {1: settings_for(server).model_copy(update={"base_url": ("http://127.0.0.1:9/v1",)})}
    async with asyncio.timeout(60):
        run = await coevol.arun(data, "run", settings, SIX, workers=2, notify=notices.append, policy=policy)
    assert any("cannot reach a model that others can" in notice for notice in notices)
    assert {row["status"] for row in run.samples()} == {"done"}
    assert paid_twice(server) == 0


async def test_the_last_report_of_a_worker_that_is_cut_off_counts(
    hired: Hired, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    exchange = ThreadWorker.exchange

    async def last(worker: ThreadWorker, delivery: bytes) -> bytes:
        report = reports.decode(await exchange(worker, delivery))
        started = [dict(zip(_CALL_COLUMNS, values, strict=True))["started"] for values in calls_in(report)]
        if not kept and worker is hired[0] and started and len(server.chats()) > 30:
            kept.extend(started)
            report.outage = "editor"
            report.stopped = [(lease, "not reached") for lease in range(1, 50)]
        return encode(report)

    monkeypatch.setattr(ThreadWorker, "exchange", last)
    data = write(tmp_path / "data.json", records(12))
    run = await coevol.arun(data, "run", settings_for(server), SIX, workers=2)
    assert kept and set(kept) <= {row["started"] for row in run.calls()}
    assert {row["status"] for row in run.samples()} == {"done"}


async def test_a_server_that_is_down_stops_the_run_though_a_worker_never_comes(
    hired: Hired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-no-server-has-it-0001")
    identity = ThreadWorker.identity

    async def waits_for_a_processor(worker: ThreadWorker) -> Identity:
        if worker is hired[0]:
            await worker.ended()
        return await identity(worker)

    monkeypatch.setattr(ThreadWorker, "identity", waits_for_a_processor)
    data, notices = write(tmp_path / "data.json", records(10)), list[str]()
    settings = coevol.Settings(model="openai:gpt-4o-mini", base_url="http://127.0.0.1:9/v1")
    policy = replace(QUICK, lease_seconds=2.0)
    given: dict[str, Any] = {"workers": 2, "notify": notices.append, "policy": policy}
    with pytest.raises(RunStopped, match=r"127\.0\.0\.1:9"):
        async with asyncio.timeout(30):
            await coevol.arun(data, "run", settings, SIX, **given)
    assert not any("others can" in notice for notice in notices)


async def test_a_worker_that_is_new_in_an_outage_does_not_end_the_run(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data, notices = write(tmp_path / "data.json", records(6)), list[str]()
    settings, policy = settings_for(server, max_rounds=1), replace(QUICK, lease_seconds=2.0)
    run = coevol.arun(data, "run", settings, SIX, workers=1, notify=notices.append, policy=policy)
    task = asyncio.create_task(run)
    await until(lambda: len(server.chats()) > 20)
    hired.elsewhere = {1: settings.model_copy(update={"base_url": ("http://127.0.0.1:9/v1",)})}
    hired[0].kill()
    await task
    assert any(notice.startswith("worker 1 on ") and "cannot reach a model:" in notice for notice in notices)
    assert {row["status"] for row in coevol.load_run("run").samples()} == {"done"}


async def test_contact_with_one_model_is_none_with_another(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data, notices = write(tmp_path / "data.json", records(12)), list[str]()
    policy = replace(QUICK, first_wait=0.5, lease_seconds=2.0)
    with StandIn(latency=0.03) as judging:
        settings = with_a_judge_at(judging.base_url("openai"), server)
        run = coevol.arun(data, "run", settings, SIX, workers=1, notify=notices.append, policy=policy)
        task = asyncio.create_task(run)
        # Of the first six samples each has six calls here; one is judged before the seventh begins.
        await until(lambda: len(server.chats()) > 40)
        hired.elsewhere = {1: with_a_judge_at("http://127.0.0.1:9/v1", server)}
        hired[0].kill()
        await task
    assert any(notice.startswith("worker 1 on ") and "cannot reach a model:" in notice for notice in notices)
    assert {row["status"] for row in coevol.load_run("run").samples()} == {"done"}


async def test_a_model_that_no_worker_can_reach_stops_the_run_though_others_reply(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data, notices = write(tmp_path / "data.json", records(6)), list[str]()
    settings, policy = with_a_judge_at("http://127.0.0.1:9/v1", server), replace(QUICK, lease_seconds=2.0)
    with StandIn(latency=0.5) as slow:
        hired.elsewhere = {1: settings.model_copy(update={"base_url": (slow.base_url("openai"),)})}
        with pytest.raises(RunStopped, match=r"127\.0\.0\.1:9"):
            async with asyncio.timeout(30):
                await coevol.arun(data, "run", settings, SIX, workers=2, notify=notices.append, policy=policy)
        assert slow.chats()
    assert not any("cannot reach" in notice for notice in notices)


async def test_the_first_call_of_a_new_worker_may_be_refused(
    hired: Hired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data.json", records(12))
    with StandIn(latency=0.03) as server:
        monkeypatch.setenv("VLLM_API_KEY", server.key("vllm"))
        settings = coevol.Settings(model="vllm:standin", base_url=server.base_url("vllm"), max_rounds=1)
        task = asyncio.create_task(coevol.arun(data, "run", settings, SIX, workers=1, policy=QUICK))
        await until(lambda: len(server.chats()) > 50)
        # With a status that stops a run whose settings may be wrong.
        hired.before = lambda: server.order("content_filter:nth=1")
        hired[0].kill()
        await task
    assert sorted(row["status"] for row in coevol.load_run("run").samples()) == ["done"] * 11 + ["failed"]


async def test_a_cancelled_run_records_what_it_abandons(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(6))
    server.order("hang")
    task = asyncio.create_task(coevol.arun(data, "run", settings_for(server), SIX, workers=2))
    await until(lambda: len(server.chats()) >= 6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {row["failure_kind"] for row in coevol.load_run("run").calls()} == {ABANDONED.key}


# --- limits


async def test_calls_in_flight_are_those_of_all_workers(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(40))
    task = asyncio.create_task(coevol.arun(data, "run", settings_for(server, max_rounds=2), SIX, workers=3))
    await until(lambda: len(server.chats()) > 30 and workers.read(Path("run")))
    assert "worker 1 on " in workers.line(workers.read(Path("run")))
    hired.at_work[0].kill()  # its places go to others
    await task
    ends = [(chat.finished, -1) for chat in server.chats() if chat.finished]
    moments = sorted([*ends, *((chat.arrived, 1) for chat in server.chats())])
    in_flight, most = 0, 0
    for _, change in moments:
        in_flight += change
        most = max(most, in_flight)
    assert not workers.read(Path("run"))
    assert 4 <= most <= 6 + 2  # what the dead worker had may still be there


async def test_each_sample_is_at_one_replica_and_replicas_have_as_many(
    hired: Hired, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(8))
    with StandIn(latency=0.03) as other:
        urls = (server.base_url("openai"), other.base_url("openai"))
        settings = coevol.Settings(model="openai:gpt-4o-mini", base_url=urls, max_rounds=1)
        await coevol.arun(data, "run", settings, Limits(concurrency=8), workers=3)
        at = [
            {number for number in range(8) if any(f"number {number}." in str(chat.body) for chat in chats)}
            for chats in (server.chats(), other.chats())
        ]
    assert not at[0] & at[1] and len(at[0]) == len(at[1]) == 4


async def test_a_budget_is_that_of_all_workers(hired: Hired, server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(10))
    settings = settings_for(server, max_tokens=100, max_rounds=1)
    few = Limits(concurrency=6, budget_tokens=20_000)
    with pytest.raises(RunStopped, match=r"the budget \(--budget-tokens 20000\) allows no further call"):
        await coevol.arun(data, "run", settings, few, workers=3)
    spent = sum(row["input_tokens"] + row["output_tokens"] for row in coevol.load_run("run").calls())
    assert 15_000 < spent <= 20_000
    more = Limits(concurrency=6, budget_tokens=2_000_000)
    run = await coevol.arun(data, "run", settings, more, workers=2)
    assert len(list(run.samples())) == 10 and paid_twice(server) == 0


# --- the command


def test_ray_that_starts_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def slow(*given: object) -> AsyncIterator[None]:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        yield

    monkeypatch.setattr(ray_workers, "ray_workers", slow)
    data = write(tmp_path / "data.json", records(1))
    said = look("evolve", data, "-o", "run", "--workers", 2, cwd=tmp_path, status=3).stderr
    assert "stopping: Ray is still starting" in said
    assert said.splitlines()[-1] == "coevol: stopped: interrupted; the same command resumes the run"


async def test_auto_without_a_cluster_is_one_line_of_ours() -> None:
    def init(address: str, **given: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance. Set the `--address` flag.")

    with pytest.raises(
        UsageError, match="--ray auto: no cluster is on this machine: `ray start` starts"
    ) as e:
        await ray_workers._connect(SimpleNamespace(init=init), "auto")
    assert "--address" not in str(e.value)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "data.json", records(1))
    for address, why in (
        ("127.0.0.1:1", "no cluster answers there"),
        ("nowhere", "give HOST:PORT"),
        ("ray://127.0.0.1:10001", "give HOST:PORT"),
    ):
        said = look("evolve", data, "-o", "run", "--ray", address, cwd=tmp_path, status=2).stderr
        assert said.splitlines()[-1].startswith(f"coevol: --ray {address}: {why}")
    said = look("evolve", data, "-o", "run", "--workers", 65, cwd=tmp_path, status=2).stderr
    assert "--workers 65 needs as many calls in flight, and --concurrency is 64" in said
    assert "Ray" not in said
    monkeypatch.setitem(sys.modules, "ray", None)
    said = look("evolve", data, "-o", "run", "--workers", 2, cwd=tmp_path, status=2).stderr
    assert said.splitlines()[-1].startswith("coevol: --workers needs ray, which is not installed: run `pip")
    assert "starting" not in said
    assert not Path("run").exists()
