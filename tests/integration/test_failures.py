"""Calls that fail, and what becomes of their run, over HTTP. What each failure is: `test_failure_kinds`."""

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
from models.call import Message
from models.errors.exceptions import CallFailed, RunStopped
from models.limits.rate_limiter import WaitReason
from models.policy import GatewayPolicy
from models.settings import Limits
from runners.engine import Tally
from runners.progress import describe
from standin import RETRYABLE, Fault, StandIn
from tests.conftest import look
from tests.gateways import (
    MODELS,
    OLD_MODELS,
    QUICK,
    VLLM_KEY,
    call,
    fixed_response,
    gateway_to,
    until,
    variables,
)
from tests.program import COMMAND, DATA, EXAMPLES

ABANDONED = {
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
    "quota": "when the quota has been renewed",
    "unknown_model": "Check the model's name",
}
ALL_MODELS = MODELS | OLD_MODELS
NOT_REPORTED = {
    "vllm": {"no_balance", "content_filter", "withheld"},
    "wenxin": {"no_balance", "content_filter", "null_choices"},
}
"""Failures that a provider does not report as such."""
ONLY_GLM = {"context_full", "network_error"}


def at_providers(*faults: str) -> list[tuple[str, str]]:
    """Return each of these faults with each provider that reports it."""
    return [
        (provider, fault)
        for fault in faults
        for provider in ALL_MODELS
        if fault not in NOT_REPORTED.get(provider, ())
        and (provider.startswith("glm") or fault not in ONLY_GLM)
    ]


def secrets(server: StandIn, provider: str) -> list[str]:
    return server.key("glm" if provider == "glm-jwt" else provider).split(":")


@pytest.mark.parametrize(("provider", "fault"), at_providers(*ABANDONED))
async def test_a_call_that_cannot_succeed_is_not_retried(provider: str, fault: str) -> None:
    reason = ABANDONED[fault]
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        async with gateway_to(server, provider) as client:
            (error,) = await client.ask(call(purpose="draft"))
            assert isinstance(error, CallFailed), error
            assert error.kind == reason
            assert len(server.chats()) == 1
            (record,) = client.records
            # The kind and the message are stored apart.
            assert record.failure_kind == reason
            assert record.failure == str(error)
            assert not record.failure.startswith(reason)
            assert record.attempts == 1
            assert record.code or fault == "empty"
            assert not [key for key in secrets(server, provider) if key in f"{error} {record}"]


@pytest.mark.parametrize(("provider", "fault"), at_providers(*STOPS))
async def test_what_no_call_can_get_past_stops_the_run(provider: str, fault: str) -> None:
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        async with gateway_to(server, provider, limits=Limits(concurrency=4)) as client:
            errors = await client.ask(*map(call, range(20)))
            assert all(isinstance(error, RunStopped) for error in errors)
            assert len({str(error) for error in errors}) == 1
            assert STOPS[fault] in str(errors[0])
            assert f"{provider}:{ALL_MODELS[provider]} at http://127.0.0.1:" in str(errors[0])
            assert not [key for key in secrets(server, provider) if key in str(errors[0])]
            # Wenxin's library tries a new token where a key is refused.
            assert len(server.chats()) <= (8 if (provider, fault) == ("wenxin", "invalid_key") else 4)


@pytest.mark.parametrize(
    ("provider", "code", "advice"),
    [
        ("openai", "unsupported_value", "Change or leave out that setting."),
        ("openai", "billing_not_active", STOPS["no_balance"]),
        ("openai", "account_deactivated", "Check the key in OPENAI_API_KEY."),
        ("glm", "1210", "Change or leave out that setting."),
        ("glm", "1110", "Check what the key in ZHIPUAI_API_KEY is allowed to use."),
        ("glm", "1308", STOPS["quota"]),
        ("glm-jwt", "1113", STOPS["no_balance"]),
        ("ernie", "no_parameter_permission", "Change or leave out that setting."),
        ("ernie", "account_overdue", STOPS["no_balance"]),
        ("wenxin", "6", "Check what the key in QIANFAN_AK and QIANFAN_SK is allowed to use."),
        ("wenxin", "4", STOPS["quota"]),
    ],
)
async def test_a_reason_to_stop_comes_with_its_code_and_advice(provider: str, code: str, advice: str) -> None:
    with StandIn(Fault("bad_request", code=code)) as server:
        async with gateway_to(server, provider) as client:
            (error,) = await client.ask(call())
            assert isinstance(error, RunStopped)
            assert f"({code})" in str(error)
            assert str(error).count(advice) == 1
            assert len(str(error).splitlines()) == 2
            assert len(server.chats()) == 1


@pytest.mark.parametrize("code", ["1113", "1308", "1309", "1310", "1311"])
async def test_some_of_glms_429_are_not_about_speed(code: str) -> None:
    with StandIn(Fault("429", code=code)) as server:
        async with gateway_to(server, "glm") as client:
            (error,) = await client.ask(call())
            assert isinstance(error, RunStopped)
            assert len(server.chats()) == 1
            assert client.records[0].code == code


@pytest.mark.parametrize(("provider", "fault"), at_providers(*RETRYABLE.split("|"), "network_error"))
async def test_what_may_pass_is_retried(provider: str, fault: str) -> None:
    with StandIn(Fault(fault, times=2), vllm_key=VLLM_KEY) as server:
        async with gateway_to(server, provider) as client:
            (reply,) = await client.ask(call())
            assert isinstance(reply, str), reply
            assert len(server.chats()) == 3
            (record,) = client.records
            assert (record.attempts, record.failure_kind, record.failure) == (3, None, None)


async def test_a_call_that_always_fails_is_abandoned() -> None:
    with StandIn("500") as server:
        async with gateway_to(server, policy=replace(QUICK, max_attempts=4)) as client:
            (error,) = await client.ask(call())
    assert isinstance(error, CallFailed)
    assert error.kind == "server error"
    assert "(after 4 attempts)" in str(error)
    assert len(server.chats()) == 4


async def test_a_server_that_hangs_is_given_its_time() -> None:
    with StandIn("hang:times=1") as server:
        async with gateway_to(server, timeout=0.3) as client:
            (reply,) = await client.ask(call())
            assert isinstance(reply, str)
            assert client.records[0].attempts == 2


@pytest.mark.parametrize("given", ["0.4", "date:1", "ms:400"])
async def test_a_server_is_not_asked_before_the_time_it_names(given: str) -> None:
    with StandIn(Fault("429", times=1, retry_after=given)) as server:
        async with gateway_to(server) as client:
            await client.ask(call())
        first, second = server.chats()
        assert second.arrived - first.arrived >= 0.39


async def test_a_long_wait_is_reported_and_can_be_stopped() -> None:
    with StandIn(Fault("429", retry_after="7200", nth="1")) as server:
        async with gateway_to(server) as client:
            refused = asyncio.create_task(client.ask(call(0)))
            await until(client.gateway.waiting)
            behind = asyncio.create_task(client.ask(*map(call, range(1, 6))))
            await until(lambda: sum(held.calls for held in client.gateway.waiting()) == 6)
            waiting = {held.reason: held for held in client.gateway.waiting()}
            assert waiting["throttled by openai"].calls == 5
            assert waiting["throttled at openai"].calls == 1
            ends = waiting["throttled by openai"].until
            assert ends
            assert abs(ends - server.chats()[0].arrived - 7200) < 60
            client.gateway.stop(RunStopped("enough"))
            assert all(str(error) == "enough" for error in [*await refused, *await behind])
        assert len(server.chats()) == 1


async def test_an_address_that_never_answered_stops_the_run() -> None:
    server = StandIn().start()
    server.stop()
    async with gateway_to(server) as client:
        errors = await client.ask(*map(call, range(5)))
    assert all(isinstance(error, RunStopped) for error in errors)
    assert "nothing answers for openai:gpt-4o-mini" in str(errors[0])
    assert "Check the base URL" in str(errors[0])


async def test_a_server_that_goes_away_is_waited_for() -> None:
    with StandIn() as server:
        patient = replace(QUICK, probe_interval=0.02, max_attempts=3)
        async with gateway_to(server, policy=patient) as client:
            await client.ask(call(0))
            server.stop()
            asked = asyncio.create_task(client.ask(*map(call, range(1, 9))))
            waiting = client.gateway.waiting
            await until(lambda: [held.reason for held in waiting()] == ["unreachable at openai"])
            await asyncio.sleep(0.3)  # many more attempts than for any other failure
            server.start()
            assert all(isinstance(reply, str) for reply in await asked)
        async with gateway_to(server, policy=replace(QUICK, outage_patience=0.2)) as client:
            await client.ask(call(0))
            server.stop()
            (error,) = await client.ask(call(9))
            assert isinstance(error, RunStopped)


# --- failures that are not those of a single call


PAGE = b"<!doctype html><title>Welcome</title><p>Log in to continue."


@pytest.mark.parametrize("count", [1, 40])
async def test_an_address_without_chat_completions_stops_the_run(count: int) -> None:
    async with fixed_response(200, PAGE, "text/html") as url, gateway_to(StandIn(), base_url=url) as client:
        errors = await client.ask(*map(call, range(count)))
    (message,) = {str(error) for error in errors if isinstance(error, RunStopped)}
    assert len(errors) == count
    assert "sent no chat completion (no JSON): Welcome Log in to continue.\n" in message
    assert "Check that the base URL" in message


async def test_where_all_first_calls_are_refused_the_run_stops_and_no_call_fails() -> None:
    with StandIn("bad_request", latency=0.05) as server:
        async with gateway_to(server) as client:
            errors = await client.ask(*map(call, range(64)))
            assert all(isinstance(error, RunStopped) for error in errors), errors
            assert "The request is not valid" in str(errors[0])
            assert "Each of the first calls in the role editor failed like this. Check its settings" in str(
                errors[0]
            )
            assert len(client.records) == 1
    with StandIn("bad_request") as server:
        async with gateway_to(server) as client:
            one_by_one = [(await client.ask(call(n)))[0] for n in range(6)]
        # Calls that failed before may well fail again.
        async with gateway_to(server, retrying_failed=True) as client:
            again = await client.ask(*map(call, range(8)))
    assert [type(error) for error in one_by_one] == 4 * [CallFailed] + 2 * [RunStopped]
    assert [type(error) for error in again] == 8 * [CallFailed]


@pytest.mark.parametrize("fault", ["bad_request", "html", "null_choices"])
async def test_failures_before_the_first_reply_may_be_those_of_single_calls(fault: str) -> None:
    with StandIn(Fault(fault, nth="1/2/3/4/5/6/7/8/9"), latency=0.2) as server:
        async with gateway_to(server) as client:
            answers = await client.ask(*map(call, range(20)))
    failed = [answer for answer in answers if not isinstance(answer, str)]
    assert len(failed) == (9 if fault == "bad_request" else 0)
    assert all(isinstance(error, CallFailed) for error in failed)


async def test_calls_that_are_throttled_meanwhile_are_waited_for() -> None:
    with StandIn("bad_request:nth=1/2/3/4/5/6", "429:times=1") as server:
        async with gateway_to(server, policy=replace(QUICK, first_wait=0.2)) as client:
            answers = await client.ask(*map(call, range(12)))
    assert [type(answer) for answer in answers].count(CallFailed) == 6
    assert [type(answer) for answer in answers].count(str) == 6


async def test_a_call_that_cannot_be_sent_is_not_the_servers_failure() -> None:
    half = [Message(role="user", content="half a pair: \ud800")]
    calls = [replace(call(number), messages=half) for number in range(6)]
    with StandIn() as server:
        async with gateway_to(server) as client:
            (error,) = await client.ask(calls[0])
            assert isinstance(error, CallFailed)
            assert error.kind == "cannot be sent"
            assert "surrogates not allowed" in str(error)
            assert "after" not in str(error)
            assert isinstance((await client.ask(call(9)))[0], str)
        async with gateway_to(server) as client:
            assert {type(error) for error in await client.ask(*calls)} == {RunStopped}
        assert len(server.chats()) == 1


async def test_a_limit_on_replies_beyond_the_models_stops_the_run() -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        async with gateway_to(server, "vllm", max_tokens=100_000) as client:
            (error,) = await client.ask(call())
    assert isinstance(error, RunStopped)
    assert str(error).endswith("cannot be greater than max_model_len=32768.\nLower --max-tokens.")


@pytest.mark.parametrize(
    ("given", "how_long"),
    [("99999999999", "until 5"), ("99999999999999999999", "for ever"), ("date:200000", "until 2")],
)
async def test_a_wait_of_days_stops_the_run(given: str, how_long: str) -> None:
    with StandIn(Fault("429", retry_after=given)) as server:
        async with gateway_to(server) as client:
            errors = await client.ask(*map(call, range(3)))
        assert len(server.chats()) <= 3
    assert all(isinstance(error, RunStopped) for error in errors)
    assert f"It asks to wait {how_long}" in str(errors[0])
    assert "The same command resumes the run then." in str(errors[0])


def test_a_wait_beyond_today_is_shown_with_its_day() -> None:
    now = datetime.now().astimezone()
    waits = [now, now + timedelta(days=1), now + timedelta(days=40)]
    held = [WaitReason(1, f"wait {n}", at.timestamp() + 5) for n, at in enumerate(waits)]
    # A cap of nearly no calls a minute
    held.append(WaitReason(1, "--rpm 1e-300", 1e300))
    shown = " · ".join(describe(Tally(samples=1, modes=["edit"]), 0, held))
    for at in waits[1:]:
        assert f"until {at + timedelta(seconds=5):%Y-%m-%d %H:%M})" in shown
    assert "--rpm 1e-300 until 9" in shown


async def test_an_outage_behind_a_gateway_stops_the_run_and_no_call_fails() -> None:
    policy, eight = replace(QUICK, max_attempts=3), Limits(concurrency=8)
    with StandIn() as server:
        async with gateway_to(server, limits=eight, policy=policy) as client:
            await client.ask(call(0))
            server.order("502|504")
            asked = asyncio.create_task(client.ask(*map(call, range(1, 9))))
            await until(lambda: len(server.chats()) > 1 + 3 * 8)  # time counts, and not the attempts
            server.order()
            assert all(isinstance(reply, str) for reply in await asked)
        async with gateway_to(server, limits=eight, policy=replace(policy, outage_patience=0.1)) as client:
            await client.ask(call(0))
            server.order("502|504")
            errors = await client.ask(*map(call, range(10, 18)))
    assert {type(error) for error in errors} == {RunStopped}
    assert "No call had a reply for 0 minutes." in str(errors[0])


async def test_a_call_that_fails_while_others_succeed_is_abandoned() -> None:
    policy = replace(QUICK, first_wait=0.02, max_attempts=3)
    with StandIn("502:word=number 3.", latency=0.01) as server:
        async with gateway_to(server, limits=Limits(concurrency=2), policy=policy) as client:
            answers = await client.ask(*map(call, range(12)))
    assert [n for n, answer in enumerate(answers) if isinstance(answer, CallFailed)] == [3]


async def test_a_call_that_is_no_longer_wanted_is_not_sent_again() -> None:
    with StandIn("500:word=number 0.", latency=0.3) as server:
        async with gateway_to(server, policy=GatewayPolicy()) as client:
            failing = asyncio.create_task(client.ask(call(0)))
            await until(client.gateway.waiting)
            failing.cancel()
            await asyncio.wait_for(client.gateway.drain(), 0.2)
            assert len(server.chats()) == 1
            # What a model works on is paid for, and is recorded.
            working = asyncio.create_task(client.ask(call(1)))
            await until(lambda: len(server.chats()) == 2)
            working.cancel()
            await client.gateway.drain()
            assert [record.failure for record in client.records] == [None]


def test_a_process_that_may_have_few_files_gets_advice(tmp_path: Path) -> None:
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
        async with gateway_to(server) as client:
            with no_more_files():
                (error,) = await client.ask(call())
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


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of all providers, in the environment."""
    for name, key in variables(StandIn()).items():
        monkeypatch.setenv(name, key)


def run(server: StandIn, provider: str, folder: Path, *options: object, status: int) -> str:
    """Run `coevol evolve` and return what it writes to standard error."""
    model = ("--model", f"{provider}:{MODELS[provider]}", "--base-url", server.base_url(provider))
    given = ("evolve", DATA / "alpaca_en_40.json", "-o", folder, *model, *options)
    return look(*given, cwd=folder.parent, status=status).stderr


def outcomes(folder: Path) -> list[Any]:
    return [
        (sample.id, {mode: (result.status, result.outcome) for mode, result in results.items()})
        for sample, results in Ledger.open(folder / "ledger.sqlite").samples()
    ]


@pytest.mark.usefixtures("keys")
def test_the_same_command_resumes_a_run_that_was_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with StandIn("no_balance:nth=50-", latency=0.02) as server:
        shown = run(server, "openai", folder, "--stop=12", "--concurrency=4", status=3)
        assert shown.count("coevol: stopped: ") == 1
        replies = len([request for request in server.chats() if request.status == 200])
        assert len(server.chats()) <= 49 + 8  # a sample has two calls in flight at most
        server.order()
        run(server, "openai", folder, "--stop=12", status=0)
        distinct = len({request.digest for request in server.chats() if request.status == 200})
        assert len([request for request in server.chats() if request.status == 200]) == distinct > replies
    assert all(results["evolve"][0] == "done" for _, results in outcomes(folder))


@pytest.mark.usefixtures("keys")
def test_failed_samples_are_retried_when_asked_for(tmp_path: Path) -> None:
    folder, options = tmp_path / "run", ("--mode=advise", "--max-failures=1")
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


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("provider", MODELS)
def test_a_key_that_a_server_echoes_is_stored_nowhere(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with StandIn("echo_key", vllm_key=VLLM_KEY) as server:
        monkeypatch.setenv("VLLM_API_KEY", VLLM_KEY)
        shown = run(server, provider, folder, "--stop=4", status=1)
        key = server.key(provider)
    assert "failed" in shown
    assert key not in shown
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if key.encode() in file.read_bytes()]
    assert all("credential '[" in json.dumps(results) for _, results in outcomes(folder))
