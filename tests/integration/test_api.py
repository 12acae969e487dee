"""The Python API: `import coevol` does what the commands do."""

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import coevol
from coevol import DataError, LedgerError, MissingKey, PackError, RunError, RunStopped
from models.errors.kinds import ABANDONED
from models.settings import KEY_NAMES
from reporting.manifest import differences, read_manifest
from standin import StandIn
from tests.conftest import look
from tests.gateways import QUICK, until
from tests.program import DATA, ROOT, records, write

ALPACA = DATA / "alpaca_en_40.json"
REHEARSED = coevol.Settings(max_rounds=2)


@pytest.fixture(autouse=True)
def work_in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from the environment or from `.env` in the working directory; there are none in either."""
    monkeypatch.chdir(tmp_path)
    for name in KEY_NAMES.values():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def settings_for(server: StandIn, **more: Any) -> coevol.Settings:
    return coevol.Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"), **more)


def repeated(server: StandIn) -> set[str]:
    """Return the requests that were made more than once."""
    counted = Counter(chat.digest for chat in server.chats())
    return {digest for digest, times in counted.items() if times > 1}


def outcomes(run: Any) -> list[dict[str, Any]]:
    """Return the results of a run without their times."""
    return [
        {name: value for name, value in row.items() if name != "finished"}
        for rows in (run.samples(), run.exchanges(), run.rounds())
        for row in rows
    ]


# --- results


def test_run_gives_the_results_of_the_command(tmp_path: Path) -> None:
    run = coevol.run(ALPACA, "by-api", REHEARSED, modes=("evolve", "edit"), stop=8)
    words = ("--max-rounds", 2, "--mode", "edit", "--mode", "evolve", "--stop", 8)
    look("evolve", ALPACA, "-o", "by-command", *words, cwd=tmp_path)
    same = coevol.load_run(tmp_path / "by-command")
    assert outcomes(run) == outcomes(same)
    assert len(outcomes(run)) > 16
    assert not list(differences(read_manifest(Path("by-api")), read_manifest(Path("by-command"))))
    assert [row["request"] for row in run.calls()] != []
    assert Counter(row["request"] for row in run.calls()) == Counter(row["request"] for row in same.calls())
    stats = json.loads(look("stats", "by-api", "--json", cwd=tmp_path).stdout)
    assert json.loads(json.dumps(run.stats())) == stats
    assert stats["samples"]["finished"] == 8


def test_all_settings_and_limits_have_defaults(tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(2))
    run = coevol.run(str(data), str(tmp_path / "runs" / "first"))
    assert {row["status"] for row in run.samples()} == {"done"}
    assert {row["mode"] for row in run.samples()} == {"evolve"}


def test_a_run_keeps_the_format_it_began_with(tmp_path: Path) -> None:
    record = {"instruction": "Say one.", "output": "1", "system_prompt": "Be brief."}
    data = write(tmp_path / "data.json", [record])
    settings = coevol.Settings(model="rehearsal", max_rounds=1)
    coevol.run(data, tmp_path / "run", settings, format="alpaca")
    run = coevol.run(data, tmp_path / "run", settings)
    assert run.manifest["data"]["format"] == "alpaca"
    run = coevol.run(data, tmp_path / "other", settings)
    assert run.manifest["data"]["format"] == "alpaca-system-prompt"


def test_start_stop_and_format(tmp_path: Path) -> None:
    both = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    data = write(tmp_path / "data.json", [record | both for record in records(6)])
    with pytest.raises(DataError, match="may be of several formats"):
        coevol.run(data, "run")
    run = coevol.run(data, "run", REHEARSED, format="messages", start=2, stop=4)
    assert [row["position"] for row in run.samples()] == [2, 3]
    assert {row["original"] for row in run.exchanges()} == {"a"}


async def test_several_runs_in_one_event_loop(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(3))
    settings = settings_for(server, max_rounds=1)
    runs = await asyncio.gather(*(coevol.arun(data, f"run{n}", settings) for n in range(2)))
    assert outcomes(runs[0]) == outcomes(runs[1])
    assert {row["status"] for row in runs[0].samples()} == {"done"}


async def test_run_in_an_event_loop_names_arun(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"await coevol\.arun"):
        coevol.run(write(tmp_path / "data.json", records(1)), "run", REHEARSED)
    assert not (tmp_path / "run").exists()


def test_run_and_arun_take_the_same_arguments() -> None:
    run, arun = (inspect.signature(function).parameters for function in (coevol.run, coevol.arun))
    assert [*run, "policy"] == [*arun]
    for name, parameter in run.items():
        same = (parameter.kind, parameter.annotation) == (arun[name].kind, arun[name].annotation)
        assert same and (name == "notify" or parameter.default == arun[name].default), name


# --- resuming


def test_a_finished_run_is_not_repeated(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(6))
    settings = settings_for(server, max_rounds=1)
    coevol.run(data, "run", settings, stop=3)
    calls = len(server.chats())
    assert len(list(coevol.run(data, "run", settings, stop=3).samples())) == 3
    assert len(server.chats()) == calls
    # Neither by the API nor by the command.
    assert len(list(coevol.run(data, "run", settings, stop=4).samples())) == 4
    words = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--max-rounds", 1)
    look("evolve", data, "-o", "run", *words, cwd=tmp_path)
    assert len(list(coevol.load_run("run").samples())) == 6
    assert len(list(coevol.run(data, "run", settings).samples())) == 6
    assert not repeated(server)


def test_a_run_stopped_by_its_budget_resumes_with_a_larger_one(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(6))
    settings = settings_for(server, max_rounds=1)
    with pytest.raises(RunStopped, match="--budget-tokens"):
        coevol.run(data, "run", settings, coevol.Limits(budget_tokens=12_000))
    stopped = coevol.load_run("run")
    assert 0 < len(server.chats()) == len(list(stopped.calls())) < 48
    run = coevol.run(data, "run", settings, coevol.Limits(budget_tokens=10_000_000))
    assert len(list(run.samples())) == 6
    assert not repeated(server)


async def test_a_cancelled_run_resumes(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(6))
    settings = settings_for(server, max_rounds=1)
    server.order("hang:nth=20-")
    running = asyncio.create_task(coevol.arun(data, "run", settings, coevol.Limits(concurrency=4)))
    await until(lambda: len(server.chats()) >= 22)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    server.order()
    run = await coevol.arun(data, "run", settings, policy=QUICK)
    assert {row["status"] for row in run.samples()} == {"done"}
    assert len(list(run.samples())) == 6
    answered = Counter(chat.digest for chat in server.chats() if chat.status == 200)
    assert max(answered.values()) == 1


INTERRUPTED = """
import sys, coevol
settings = coevol.Settings(model="openai:gpt-4o-mini", base_url=sys.argv[2], max_rounds=1)
try:
    coevol.run(sys.argv[1], "run", settings, coevol.Limits(concurrency=8), notify=print)
except coevol.RunStopped as stopped:
    print(stopped)
"""


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_finishes_the_calls_in_flight_and_a_second_one_abandons_them(
    interrupts: int, server: StandIn, tmp_path: Path
) -> None:
    data = write(tmp_path / "data.json", records(24))
    server.order("latency:seconds=0.5" if interrupts == 1 else "hang")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, data, server.base_url("openai")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(server.chats()) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    for _ in range(interrupts):
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0, printed
    first, last = printed.splitlines()
    assert "in flight will finish first" in first
    kinds = {row["failure_kind"] for row in coevol.load_run(tmp_path / "run").calls()}
    if interrupts == 1:
        assert last == "interrupted; the same command resumes the run"
        assert kinds == {None}
        assert len(list(coevol.load_run(tmp_path / "run").calls())) == len(server.chats())
    else:
        assert last == "interrupted twice; the calls in flight were abandoned"
        assert kinds == {ABANDONED.key}


def test_a_run_in_a_thread_and_handlers_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(2))
    with ThreadPoolExecutor() as threads:
        assert len(list(threads.submit(coevol.run, data, "in-thread", REHEARSED).result().samples())) == 2
    before, own = signal.getsignal(signal.SIGTERM), lambda *_: None
    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, own)
    try:
        coevol.run(data, "run", REHEARSED)
        assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_price_is_not_needed_for_the_roles_that_are_rehearsed(tmp_path: Path) -> None:
    settings = coevol.Settings(model="openai:gpt-5.4-mini", role_models={"judge": "rehearsal"})
    with pytest.raises(MissingKey):  # which comes after the budget
        coevol.run(write(tmp_path / "data.json", records(1)), "run", settings, coevol.Limits(budget=1.0))


# --- failures and limits


def test_failed_samples_raise_nothing_and_are_retried_on_request(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(4))
    settings = settings_for(server, max_rounds=1)
    server.order("content_filter:word=number 2.")
    run = coevol.run(data, "run", settings)
    failed = [row for row in run.samples() if row["status"] == "failed"]
    assert [(row["sample"], row["failure_kind"]) for row in failed] == [("2", "content filter")]
    assert "flagged by the content filter" in failed[0]["reason"]
    server.order()
    calls = len(server.chats())
    assert [row["status"] for row in coevol.run(data, "run", settings).samples()].count("failed") == 1
    assert len(server.chats()) == calls
    again = coevol.run(data, "run", settings, retry_failed=True)
    assert {row["status"] for row in again.samples()} == {"done"}


def test_limits_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(100))
    limits = coevol.Limits(concurrency=3, max_failures=0.1)
    with StandIn("content_filter:rate=0.5,seed=1", latency=0.02) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        with pytest.raises(RunStopped, match=r"more than the share of 0\.1 \(--max-failures\) allows"):
            coevol.run(data, "run", settings_for(server), limits, modes=["edit"])
        assert server.app.most_in_work["openai"] == 3
        assert 20 <= len(server.chats()) < 70


async def test_a_policy_sets_how_long_an_endpoint_is_tried(tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(2))
    settings = coevol.Settings(model="vllm:tiny", base_url="http://127.0.0.1:9/v1")
    async with asyncio.timeout(5):
        with pytest.raises(RunStopped, match=r"127\.0\.0\.1:9"):
            await coevol.arun(data, "run", settings, policy=QUICK)


# --- errors before the start


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"modes": ["evolv"]}, RunError, "unknown mode 'evolv'; modes are edit, advise-blind, "),
        ({"modes": []}, RunError, "no mode given; modes are edit, "),
        ({"modes": "edit"}, RunError, r"give modes=\['edit'\]"),
        ({"start": -1}, RunError, "start is the position of a record, a whole number from 0, not -1"),
        ({"start": "1"}, RunError, "not '1'"),
        ({"start": True}, RunError, "not True"),
        ({"stop": -2}, RunError, "stop is .* not -2"),
        ({"format": "xml"}, RunError, "unknown format 'xml'; formats are auto, alpaca, "),
        ({"settings": coevol.Limits(), "limits": coevol.Settings()}, RunError,
         "expected coevol.Settings, not a value of type Limits"),
        ({"limits": {"concurrency": 4}}, RunError, "expected coevol.Limits, not a value of type dict"),
        ({"limits": coevol.Limits(budget=1.0)}, RunError, "rehearsal costs nothing: leave out the budget"),
        ({"limits": coevol.Limits(budget=1.0), "settings": coevol.Settings(model="vllm:tiny")}, RunError,
         "the price of every model"),
        ({"settings": coevol.Settings(model="openai:gpt-4o-mini")}, MissingKey, "OPENAI_API_KEY"),
        ({"settings": coevol.Settings(role_models={"judge": "glm:glm-4.6"})}, MissingKey, "ZHIPUAI_API_KEY"),
        ({"settings": coevol.Settings(prompts="nowhere")}, PackError, "nowhere"),
        ({"data": "missing.json"}, DataError, "missing.json"),
        ({"data": "broken.json"}, DataError, "broken.json"),
        ({"format": "sharegpt"}, DataError, "conversations"),
    ],
)  # fmt: skip
def test_unusable_input_is_refused_before_the_start(
    given: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    write(tmp_path / "data.json", records(2))
    (tmp_path / "broken.json").write_text('[{"instruction": "q"')
    with pytest.raises(error, match=says):
        coevol.run(**{"data": "data.json", "folder": "run"} | given)
    assert not (tmp_path / "run").exists()


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(2))
    coevol.run(data, "run", REHEARSED)
    with pytest.raises(RunError, match="max_rounds: 2 there, 3 here"):
        coevol.run(data, "run", coevol.Settings(max_rounds=3))
    with pytest.raises(RunError, match=r"data\.json"):
        coevol.run(data, ".", REHEARSED)
    assert len(list(coevol.load_run("run").samples())) == 2


@pytest.mark.parametrize(
    ("kind", "given", "name"),
    [
        (coevol.Settings, {"model": "gpt-4o-mini"}, "model"),
        (coevol.Settings, {"max_round": 2}, "max_round"),
        (coevol.Limits, {"concurrency": 0}, "concurrency"),
        (coevol.Limits, {"max_failure": 0.5}, "max_failure"),
        (coevol.Limits, {"concurrency": True}, "concurrency"),
        (coevol.Limits, {"concurrency": "8"}, "concurrency"),
        (coevol.Settings, {"model": "vllm:m", "base_url": "http://a:8000"}, "write http://a:8000/v1"),
    ],
)
def test_unusable_settings_and_limits_are_refused(kind: Any, given: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        kind(**given)


def test_load_run_refuses_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="nothing-here is not a run"):
        coevol.load_run("nothing-here")
    coevol.run(write(tmp_path / "data.json", records(1)), "run", REHEARSED)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunError, match=r"run\.json"):
        coevol.load_run("run")


# --- notices


def test_notices_are_passed_to_notify_and_nothing_is_printed(
    server: StandIn, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data.json", records(2))
    notices: list[str] = []
    coevol.run(data, "rehearsed", REHEARSED, notify=notices.append)
    assert len(notices) == 1
    assert "rehearsal" in notices[0]
    notices.clear()
    settings = settings_for(server, max_rounds=1)
    coevol.run(data, "plain", settings, notify=notices.append)
    assert notices == []
    seeded = coevol.Settings(model="glm:glm-4.6", base_url=server.base_url("glm"), seed=7)
    coevol.run(data, "seeded", seeded, modes=["edit"], notify=notices.append)
    assert any("--seed does not reach it" in notice for notice in notices)
    coevol.run(data, "without-notices", REHEARSED)
    assert capfd.readouterr() == ("", "")
