"""What becomes of calls that fail, and of their run, over HTTP. What each failure means: `test_meanings`."""

import asyncio
import json
import os
import resource
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models import gateway as door
from models.call import Message
from models.errors.exceptions import CallFailed, RunStopped
from models.routing.endpoint_state import WaitReason
from runners.engine import Tally
from runners.progress import line
from standin import RETRYABLE, Fault, StandIn
from tests.gateways import MODELS, VLLM_KEY, answering, asking, call, until
from tests.program import COMMAND, DATA, EXAMPLES, coevol

GIVES_UP = {
    "too_long": "too long",
    "content_filter": "content filter",
    "empty": "empty reply",
    "withheld": "content filter",
    "context_full": "too long",
    "echo_key": "refused",
    "truncated": "truncated",
}
STOPS = {
    "invalid_key": "Check the key in",
    "no_balance": "Check the account's balance",
    "quota": "when the provider has renewed the quota",
    "unknown_model": "Check the model's name",
}
NOT_THERE = {
    ("vllm", "no_balance"),
    ("vllm", "content_filter"),
    ("vllm", "withheld"),
    ("vllm", "context_full"),
}
"""What vLLM has no words for."""
ONLY_GLM = {"context_full"}


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(("fault", "reason"), GIVES_UP.items())
async def test_a_call_that_cannot_be_done_is_not_tried_again(provider: str, fault: str, reason: str) -> None:
    if (provider, fault) in NOT_THERE or (fault in ONLY_GLM and provider != "glm"):
        pytest.skip(f"{provider} knows no {fault}")
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        async with asking(server, provider) as to:
            (error,) = await to.ask(call(whole=True))
            assert isinstance(error, CallFailed), error
            assert error.reason == reason
            assert len(server.chats()) == 1
            (record,) = to.records
            assert record.failure
            assert record.failure.startswith(f"{reason}: ")
            assert record.attempts == 1
            assert record.code or fault == "empty"
            assert server.key(provider) not in f"{error} {record}"


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(("fault", "advice"), STOPS.items())
async def test_what_no_call_can_do_stops_the_run(provider: str, fault: str, advice: str) -> None:
    if (provider, fault) in NOT_THERE:
        pytest.skip(f"{provider} knows no {fault}")
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        async with asking(server, provider, concurrency=4) as to:
            errors = await to.ask(*map(call, range(20)))
            assert all(isinstance(error, RunStopped) for error in errors)
            assert len({str(error) for error in errors}) == 1
            assert advice in str(errors[0])
            assert MODELS[provider] in str(errors[0])
            assert server.key(provider) not in str(errors[0])
            assert len(server.chats()) <= 4


@pytest.mark.parametrize("code", ["1113", "1308", "1309", "1310", "1311"])
async def test_some_of_glms_429_are_no_matter_of_speed(code: str) -> None:
    with StandIn(Fault("429", code=code)) as server:
        async with asking(server, "glm") as to:
            (error,) = await to.ask(call())
            assert isinstance(error, RunStopped)
            assert len(server.chats()) == 1
            assert to.records[0].code == code


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("fault", [*RETRYABLE.split("|"), "network_error"])
async def test_what_may_pass_is_tried_again(
    provider: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "network_error" and provider != "glm":
        pytest.skip("a finish reason of GLM's")
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    with StandIn(Fault(fault, times=2), vllm_key=VLLM_KEY) as server:
        async with asking(server, provider) as to:
            (reply,) = await to.ask(call())
            assert isinstance(reply, str), reply
            assert len(server.chats()) == 3
            assert to.records[0].attempts == 3
            assert to.records[0].failure is None


async def test_a_call_that_always_fails_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(door, "MOST_ATTEMPTS", 4)
    with StandIn("500") as server:
        async with asking(server) as to:
            (error,) = await to.ask(call())
    assert isinstance(error, CallFailed)
    assert error.reason == "server error"
    assert "(after 4 attempts)" in str(error)
    assert len(server.chats()) == 4


async def test_a_server_that_hangs_is_given_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    with StandIn("hang:times=1") as server:
        async with asking(server, timeout=0.5) as to:
            (reply,) = await to.ask(call())
            assert isinstance(reply, str)
            assert to.records[0].attempts == 2


@pytest.mark.parametrize("given", ["1", "date:2", "ms:400"])
async def test_a_server_is_not_asked_before_its_time(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.001)
    with StandIn(Fault("429", times=1, retry_after=given)) as server:
        async with asking(server) as to:
            await to.ask(call())
        first, second = server.chats()
        assert second.arrived - first.arrived >= 0.39


async def test_a_long_wait_is_seen_and_can_be_left() -> None:
    with StandIn(Fault("429", retry_after="7200", nth="1")) as server:
        async with asking(server) as to:
            refused = asyncio.create_task(to.ask(call(0)))
            await until(to.door.waiting)
            behind = asyncio.create_task(to.ask(*map(call, range(1, 6))))
            await until(lambda: sum(held.calls for held in to.door.waiting()) == 6)
            waiting = {held.reason: held for held in to.door.waiting()}
            assert waiting["throttled by openai"].calls == 5
            assert waiting["throttled at openai"].calls == 1
            ends = waiting["throttled by openai"].until
            assert ends
            assert abs(ends - server.chats()[0].arrived - 7200) < 60
            to.door.stop(RunStopped("enough"))
            assert all(str(error) == "enough" for error in [*await refused, *await behind])
        assert len(server.chats()) == 1


async def test_an_address_where_nobody_ever_answered_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    server = StandIn().start()
    server.stop()
    async with asking(server) as to:
        errors = await to.ask(*map(call, range(5)))
    assert all(isinstance(error, RunStopped) for error in errors)
    assert "nothing answers for openai:gpt-4o-mini" in str(errors[0])
    assert "Check the base URL" in str(errors[0])


async def test_a_server_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(door, "KNOCK", 0.05)
    with StandIn() as server:
        async with asking(server) as to:
            await to.ask(call(0))
            server.stop()
            asked = asyncio.create_task(to.ask(*map(call, range(1, 9))))
            await until(lambda: [held.reason for held in to.door.waiting()] == ["unreachable at openai"])
            await asyncio.sleep(0.5)  # many more attempts than any other failure is given
            server.start()
            assert all(isinstance(reply, str) for reply in await asked)
            monkeypatch.setattr(door, "PATIENCE", 0.3)
            server.stop()
            (error,) = await to.ask(call(9))
            assert isinstance(error, RunStopped)


# --- what is not for the single call to answer for


PAGE = b"<!doctype html><title>Welcome</title><p>Log in to go on."


@pytest.mark.parametrize("count", [1, 40])
async def test_an_address_without_chat_completions_stops_the_run(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    async with answering(200, PAGE, "text/html") as url, asking(StandIn(), base_url=url) as to:
        errors = await to.ask(*map(call, range(count)))
    (said,) = {str(error) for error in errors if isinstance(error, RunStopped)}
    assert len(errors) == count
    assert "sent no chat completion (no JSON): Welcome Log in to go on.\n" in said
    assert "Check that the base URL" in said


async def test_what_is_refused_from_the_first_call_on_stops_the_run_and_no_call_fails() -> None:
    with StandIn("bad_request", latency=0.05) as server:
        async with asking(server, concurrency=64) as to:
            errors = await to.ask(*map(call, range(64)))
            assert all(isinstance(error, RunStopped) for error in errors), errors
            assert "The request is not valid" in str(errors[0])
            assert "Each of the first calls in the role editor ended so. Check its settings" in str(errors[0])
            assert len(to.records) == 1
    with StandIn("bad_request") as server:
        async with asking(server) as to:
            one_by_one = [(await to.ask(call(n)))[0] for n in range(6)]
        # Those that failed before may well do so again.
        async with asking(server, failed_before=True) as to:
            again = await to.ask(*map(call, range(8)))
    assert [type(error) for error in one_by_one] == 4 * [CallFailed] + 2 * [RunStopped]
    assert [type(error) for error in again] == 8 * [CallFailed]


@pytest.mark.parametrize("fault", ["bad_request", "html", "null_choices"])
async def test_failures_that_come_before_the_first_reply_are_those_of_their_calls(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    with StandIn(Fault(fault, nth="1/2/3/4/5/6/7/8/9"), latency=0.4) as server:
        async with asking(server) as to:
            answers = await to.ask(*map(call, range(20)))
    failed = [answer for answer in answers if not isinstance(answer, str)]
    assert len(failed) == (9 if fault == "bad_request" else 0)
    assert all(isinstance(error, CallFailed) for error in failed)


async def test_calls_that_are_throttled_meanwhile_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.3)
    with StandIn("bad_request:nth=1/2/3/4/5/6", "429:times=1") as server:
        async with asking(server) as to:
            answers = await to.ask(*map(call, range(12)))
    assert [type(answer) for answer in answers].count(CallFailed) == 6
    assert [type(answer) for answer in answers].count(str) == 6


async def test_what_cannot_be_sent_is_not_the_servers_doing() -> None:
    half = [Message(role="user", content="half a pair: \ud800")]
    calls = [replace(call(number), messages=half) for number in range(6)]
    with StandIn() as server:
        async with asking(server) as to:
            (error,) = await to.ask(calls[0])
            assert isinstance(error, CallFailed)
            assert error.reason == "cannot be sent"
            assert "surrogates not allowed" in str(error)
            assert "after" not in str(error)
            assert isinstance((await to.ask(call(9)))[0], str)
        async with asking(server) as to:
            assert {type(error) for error in await to.ask(*calls)} == {RunStopped}
        assert len(server.chats()) == 1


async def test_a_limit_for_replies_that_the_model_does_not_have_stops_the_run() -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        async with asking(server, "vllm", max_tokens=100_000) as to:
            (error,) = await to.ask(call())
    assert isinstance(error, RunStopped)
    assert str(error).endswith("cannot be greater than max_model_len=32768.\nLower --max-tokens.")


@pytest.mark.parametrize(
    ("given", "how_long"),
    [("99999999999", "until 5"), ("99999999999999999999", "for ever"), ("date:200000", "until 2")],
)
async def test_a_wait_of_days_is_not_sat_out(given: str, how_long: str) -> None:
    with StandIn(Fault("429", retry_after=given)) as server:
        async with asking(server) as to:
            errors = await to.ask(*map(call, range(3)))
        assert len(server.chats()) <= 3
    assert all(isinstance(error, RunStopped) for error in errors)
    assert f"It asks to wait {how_long}" in str(errors[0])
    assert "The same command goes on from here then." in str(errors[0])


def test_a_wait_beyond_today_is_shown_with_its_day() -> None:
    now = datetime.now().astimezone()
    waits = [now, now + timedelta(days=1), now + timedelta(days=40)]
    held = [WaitReason(1, f"wait {n}", at.timestamp() + 5) for n, at in enumerate(waits)]
    # A cap of next to nothing a minute
    held.append(WaitReason(1, "--rpm 1e-300", 1e300))
    said = line(Tally(samples=1, modes=("edit",)), 0, held)
    for at in waits[1:]:
        assert f"until {at + timedelta(seconds=5):%Y-%m-%d %H:%M})" in said
    assert "--rpm 1e-300 until 9" in said


async def test_an_outage_behind_a_gateway_stops_the_run_and_no_call_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(door, "MOST_ATTEMPTS", 3)
    with StandIn() as server:
        async with asking(server, concurrency=8) as to:
            await to.ask(call(0))
            server.order("502|504")
            asked = asyncio.create_task(to.ask(*map(call, range(1, 9))))
            await until(lambda: len(server.chats()) > 1 + 3 * 8)  # time counts, and not how often
            server.order()
            assert all(isinstance(reply, str) for reply in await asked)
            server.order("502|504")
            monkeypatch.setattr(door, "PATIENCE", 0.1)
            errors = await to.ask(*map(call, range(10, 18)))
    assert {type(error) for error in errors} == {RunStopped}
    assert "No call had a reply for 0 minutes." in str(errors[0])


async def test_a_call_that_fails_while_others_succeed_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(door, "MOST_ATTEMPTS", 3)
    with StandIn("502:word=number 3.", latency=0.01) as server:
        async with asking(server, concurrency=2) as to:
            answers = await to.ask(*map(call, range(12)))
    assert [n for n, answer in enumerate(answers) if isinstance(answer, CallFailed)] == [3]


async def test_a_call_that_nobody_waits_for_is_not_sent_again() -> None:
    with StandIn("500:word=number 0.", latency=0.3) as server:
        async with asking(server) as to:
            failing = asyncio.create_task(to.ask(call(0)))
            await until(to.door.waiting)
            failing.cancel()
            await asyncio.wait_for(to.door.drain(), 0.2)
            assert len(server.chats()) == 1
            # What a model works on is paid for, and gets onto file.
            working = asyncio.create_task(to.ask(call(1)))
            await until(lambda: len(server.chats()) == 2)
            working.cancel()
            await to.door.drain()
            assert [record.failure for record in to.records] == [None]


def test_a_process_that_may_have_few_files_is_told_so(tmp_path: Path) -> None:
    words = "evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--model", "openai:gpt-4o-mini", "--stop", 1
    with StandIn() as server:
        command = shlex.join(map(str, [*COMMAND, *words, "--base-url", server.base_url("openai")]))
        for limit, concurrency, status in (("-n", 200, 2), ("-Sn", 200, 0)):
            ran = subprocess.run(
                ["sh", "-c", f"ulimit {limit} 60 && exec {command} --concurrency {concurrency}"],
                cwd=tmp_path,
                env=os.environ | server.environment() | {"PYTHONPATH": str(EXAMPLES.parent)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == status, ran.stderr
            assert ("raise the limit with `ulimit -n 440`" in ran.stderr) == (status == 2)


async def test_a_process_that_has_too_many_files_stops_the_run() -> None:
    with StandIn() as server:
        async with asking(server) as to:
            with no_more_files():
                (error,) = await to.ask(call())
    assert isinstance(error, RunStopped)
    assert "`ulimit -n`" in str(error)


@contextmanager
def no_more_files() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def run(server: StandIn, provider: str, folder: Path, *options: str, status: int) -> str:
    return coevol(
        "evolve", DATA / "alpaca_en_300.json", "-o", folder, "--model", f"{provider}:{MODELS[provider]}",
        "--base-url", server.base_url(provider), *options,
        cwd=folder.parent, env=server.environment(), status=status,
    ).stderr  # fmt: skip


def outcomes(folder: Path) -> list[Any]:
    return [
        (sample.id, {mode: (result.status, result.outcome) for mode, result in results.items()})
        for sample, results in Ledger.open(folder / "ledger.sqlite").samples()
    ]


needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data sets")


@needs_data
@pytest.mark.parametrize(("provider", "mode"), [(p, "advise" if p == "openai" else "edit") for p in MODELS])
def test_a_run_survives_all_that_passes(provider: str, mode: str, tmp_path: Path) -> None:
    options = ("--stop=200", f"--mode={mode}")
    with StandIn(vllm_key=VLLM_KEY, keep=False) as server:
        run(server, provider, tmp_path / "fair", *options, status=0)
    with StandIn(f"{RETRYABLE}:rate=0.3,seed=7", vllm_key=VLLM_KEY, keep=False) as server:
        run(server, provider, tmp_path / "foul", *options, status=0)
    assert len(outcomes(tmp_path / "foul")) == 200
    assert outcomes(tmp_path / "foul") == outcomes(tmp_path / "fair")


@needs_data
@pytest.mark.parametrize("fault", ["no_balance", "invalid_key"])
def test_a_run_that_was_stopped_goes_on(fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with StandIn(f"{fault}:nth=100-", latency=0.02) as server:
        said = run(server, "openai", folder, "--stop=30", "--concurrency=4", status=3)
        assert said.count("coevol: stopped: ") == 1
        answered = len([request for request in server.chats() if request.status == 200])
        assert len(server.chats()) <= 99 + 8  # a sample has two calls in flight at most
        server.order()
        run(server, "openai", folder, "--stop=30", status=0)
        whole = len({request.digest for request in server.chats() if request.status == 200})
        assert len([request for request in server.chats() if request.status == 200]) == whole > answered
    assert all(results["evolve"][0] == "done" for _, results in outcomes(folder))


@needs_data
def test_failed_samples_are_tried_again_when_asked(tmp_path: Path) -> None:
    folder, options = tmp_path / "run", ("--stop=40", "--mode=advise", "--max-failures=1")
    with StandIn("content_filter:rate=0.2,seed=1,times=9") as server:
        assert "--retry-failed" in run(server, "openai", folder, *options, status=1)
        failed = [id_ for id_, results in outcomes(folder) if results["advise"][0] == "failed"]
        assert 0 < len(failed) < 40
        server.order()
        before = len(server.chats())
        run(server, "openai", folder, *options, status=1)
        assert len(server.chats()) == before
        run(server, "openai", folder, *options, "--retry-failed", status=0)
        assert before < len(server.chats()) <= before + 2 * len(failed)
    assert all(results["advise"][0] == "done" for _, results in outcomes(folder))


@needs_data
@pytest.mark.parametrize("provider", MODELS)
def test_a_key_that_comes_back_is_nowhere_to_be_found(provider: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with StandIn("echo_key", vllm_key=VLLM_KEY) as server:
        said = run(server, provider, folder, "--stop=4", status=1)
        key = server.key(provider)
    assert "failed" in said
    assert key not in said
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if key.encode() in file.read_bytes()]
    assert all("credential '[" in json.dumps(results) for _, results in outcomes(folder))
