"""Whole runs over every provider's protocol, without and with failures.

What is worth retrying leaves no mark on the results; what is not ends the call or the run, and loses nothing.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graph.settings import Settings
from ledger.ledger import Ledger
from models.providers import langchain_community
from models.settings import KEY_NAMES, Limits, Provider
from standin import RETRYABLE, Fault, StandIn
from tests import gateways
from tests.conftest import look
from tests.gateways import VLLM_KEY, Ended, base_url
from tests.program import DATA

MODELS: dict[Provider, str] = {
    "openai": "gpt-4o-mini",
    "glm": "glm-4.6",
    "ernie": "ernie-4.5-turbo-128k",
    "vllm": "standin",
    "wenxin": "ernie-speed-128k",
    "glm-jwt": "glm-4.6",
}
"""A model of each provider."""

TOKEN_ATTEMPTS = {"wenxin": 2}
"""How often a library sends a call whose key is refused: Wenxin's tries a new token."""

ALPACA = DATA / "alpaca_en_40.json"
FOUR = Limits(concurrency=4)

every_provider = pytest.mark.parametrize("provider", MODELS)

Evolve = Callable[..., Ended]


@pytest.fixture
def evolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evolve:
    """Run the first records through a stand-in, into a folder below the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(
        server: StandIn,
        provider: Provider,
        folder: str,
        count: int,
        limits: Limits | None = None,
        *,
        model: str = "",
        data: Path = ALPACA,
        modes: tuple[str, ...] = ("evolve",),
        retry_failed: bool = False,
        keys: dict[str, str] | None = None,
        **settings: Any,
    ) -> Ended:
        given = gateways.variables(server) | (keys or {})
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        ended = gateways.evolve(
            data,
            tmp_path / folder,
            Settings(
                model=f"{provider}:{model or MODELS[provider]}",
                base_url=(base_url(server, provider),),
                **{"max_rounds": 1, **settings},
            ),
            limits,
            modes=modes,
            stop=count,
            retry_failed=retry_failed,
        )
        shown = "\n".join([ended.message, *ended.notices])
        assert not [key for key in given.values() if key in shown]
        assert "access_token=2" not in shown
        return ended

    return run


def stand_in(*faults: Fault | str, **options: Any) -> StandIn:
    return StandIn(*faults, vllm_key=VLLM_KEY, **options)


def results(folder: str) -> dict[str, Any]:
    """Return the outcome of each sample by its id, without the time."""
    return {
        sample.id: [
            (result.status, result.failure_kind, result.reason, result.outcome) for result in by_mode.values()
        ]
        for sample, by_mode in Ledger.open(Path(folder) / "ledger.sqlite").samples()
    }


def statuses(folder: str) -> Counter[str]:
    return Counter(status for ((status, *_),) in results(folder).values())


def attempts(folder: str) -> list[int]:
    """Return the attempts of each call of a finished sample."""
    ledger = Ledger.open(Path(folder) / "ledger.sqlite")
    return [call["attempts"] for sample, _ in ledger.samples() for call in ledger.calls(sample.id)]


def replies(server: StandIn) -> Counter[str]:
    """Count the replies to each request that no fault spoilt."""
    return Counter(r.digest for r in server.chats() if r.status == 200 and not r.fault)


# --- what is worth retrying


@every_provider
def test_three_calls_in_ten_may_fail(provider: Provider, evolve: Evolve) -> None:
    # Which fault hits a call follows from its content; this many records meet each of them.
    survives_failures(provider, evolve, 30)


def survives_failures(provider: Provider, evolve: Evolve, count: int, **given: Any) -> None:
    with stand_in() as server:
        assert not evolve(server, provider, "without", count, **given).error
        assert attempts("without") == [1] * len(server.chats())
    assert statuses("without") == {"done": count}
    with stand_in(f"{RETRYABLE}:rate=0.3,seed=7,retry_after=ms:20") as server:
        assert not evolve(server, provider, "with", count, **given).error
        chats = server.chats()
        assert {request.fault for request in chats} == {"", *RETRYABLE.split("|")}
        assert 0.2 < sum(bool(request.fault) for request in chats) / len(chats) < 0.4
        # Every attempt is recorded, and no request had two replies.
        assert sum(attempts("with")) == len(chats)
        assert max(replies(server).values()) == 1
    assert results("with") == results("without")


# --- what stops the run
#
# Every failure of every provider, on single calls: `test_failures`.

STOPS: list[tuple[Provider, str, str]] = [
    ("openai", "no_balance", "Check the account's balance"),
    ("glm", "quota", "when the quota has been renewed"),
    ("ernie", "unknown_model", "Check the model's name"),
    ("vllm", "invalid_key", "Check the key in {key}"),
    ("wenxin", "no_balance", "when the quota has been renewed"),  # one code for both
    ("wenxin", "invalid_key", "Check the key in {key}"),
    ("glm-jwt", "no_balance", "Check the account's balance"),
]


@pytest.mark.parametrize(("provider", "fault", "advice"), STOPS)
def test_a_run_that_cannot_continue_stops_and_loses_nothing(
    provider: Provider, fault: str, advice: str, evolve: Evolve
) -> None:
    with stand_in(f"{fault}:nth=15-", latency=0.01) as server:
        ended = evolve(server, provider, "run", 6, FOUR)
        one_message(ended, provider, advice)
        refused = [request for request in server.chats() if request.fault]
        times = TOKEN_ATTEMPTS.get(provider, 1) if fault == "invalid_key" else 1
        assert len(refused) <= FOUR.concurrency * times
        assert sum(all_attempts("run")) == len(server.chats()) - len(refused) * (times - 1) // times
        before = replies(server)
        server.order()
        assert not evolve(server, provider, "run", 6).error
        assert max(replies(server).values()) == 1
        assert len(replies(server)) > len(before) > 0
    assert statuses("run") == {"done": 6}


@every_provider
def test_a_wrong_key_stops_the_run_at_its_first_calls(provider: Provider, evolve: Evolve) -> None:
    with stand_in() as server:
        wrong = {KEY_NAMES[provider].split()[-1]: "wrong-key-0001.invalid"}
        ended = evolve(server, provider, "run", 30, FOUR, keys=wrong)
        one_message(ended, provider, "Check the key in {key}")
        assert "wrong-key" not in ended.message
        # vLLM's context length is asked for in addition to the calls.
        asked = [request for request in server.requests if not request.path.endswith("/models")]
        assert 1 <= len(asked) <= FOUR.concurrency * (1 + TOKEN_ATTEMPTS.get(provider, 0))
        assert not evolve(server, provider, "run", 3).error
    assert statuses("run") == {"done": 3}


@every_provider
def test_an_unknown_model_stops_the_run_at_its_first_calls(provider: Provider, evolve: Evolve) -> None:
    with stand_in() as server:
        ended = evolve(server, provider, "run", 30, FOUR, model=f"{MODELS[provider]}-of-tomorrow")
        one_message(ended, provider, "Check the model's name")
        assert 1 <= len(server.chats()) <= FOUR.concurrency


def one_message(ended: Ended, provider: Provider, advice: str) -> None:
    """The run reports once why it stopped, with the model, the address and what to do."""
    assert ended.error
    assert f"{provider}:{MODELS[provider]}" in ended.message
    assert "http://127.0.0.1:" in ended.message
    assert ended.message.count(advice.format(key=KEY_NAMES[provider])) == 1
    assert len(ended.message.splitlines()) <= 3


def all_attempts(folder: str) -> list[int]:
    """Return the attempts of each recorded call, also of unfinished samples."""
    return [call["attempts"] for call in Ledger.open(Path(folder) / "ledger.sqlite").all_calls()]


# --- what costs a sample

FAILS: list[tuple[Provider, str, str]] = [
    ("openai", "content_filter", "content filter"),
    ("ernie", "withheld", "content filter"),
    ("vllm", "too_long", "too long"),
    ("vllm", "content_filter", "refused"),  # a gateway's status 403, with no reason in it
    ("glm", "context_full", "too long"),
    ("glm-jwt", "withheld", "content filter"),
    ("wenxin", "content_filter", "refused"),  # a code without a reason
    ("wenxin", "truncated", "truncated"),
]


@pytest.mark.parametrize(("provider", "fault", "kind"), FAILS)
def test_a_call_that_cannot_succeed_fails_its_sample_alone(
    provider: Provider, fault: str, kind: str, evolve: Evolve
) -> None:
    record = json.loads(ALPACA.read_text("utf-8"))[5]
    with stand_in(Fault(fault, word=record["instruction"])) as server:
        assert not evolve(server, provider, "run", 8, Limits(concurrency=2)).error
        found = results("run")
        (failed,) = [id_ for id_, ((status, *_),) in found.items() if status == "failed"]
        ((_, failure_kind, reason, (exchange,)),) = found[failed]
        assert failure_kind == exchange["failure"]["reason"] == kind
        assert reason == exchange["failure"]["message"]
        assert exchange["response"] == exchange["original"] == record["output"]
        assert statuses("run") == {"done": 7, "failed": 1}
        sent = Counter(request.digest for request in server.chats() if request.fault)
        assert max(sent.values()) == 1  # none was retried
        server.order()
        assert not evolve(server, provider, "run", 8, retry_failed=True).error
    again = results("run")
    assert statuses("run") == {"done": 8}
    assert {id_: of for id_, of in again.items() if id_ != failed} == {
        id_: of for id_, of in found.items() if id_ != failed
    }


# --- old credentials


def refused_command(server: StandIn, provider: Provider, folder: Path) -> str:
    """Return the error of `coevol evolve`, which must refuse to start."""
    model = ("--model", f"{provider}:{MODELS[provider]}", "--base-url", base_url(server, provider))
    ended = look("evolve", ALPACA, "-o", "run", "--stop", 3, *model, cwd=folder, status=2)
    assert not server.requests
    assert ended.stderr.count("coevol: ") == 1
    assert not (folder / "run").exists()
    return ended.stderr


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_a_missing_library_is_named_before_anything_starts(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = {provider: ("langchain_community", "no_such_library")}
    monkeypatch.setattr(langchain_community, "NEEDS", needs)
    with stand_in() as server:
        for name, value in gateways.variables(server).items():
            monkeypatch.setenv(name, value)
        error = refused_command(server, provider, tmp_path)
    assert "pip install -e '.[community]'" in error
    assert "no_such_library" in error


def test_a_key_that_cannot_sign_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIPUAI_API_KEY", "one-part-only")
    with stand_in() as server:
        assert "a key of the form id.secret" in refused_command(server, "glm-jwt", tmp_path)


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_an_old_library_keeps_to_the_time_limit_of_the_run(provider: Provider, evolve: Evolve) -> None:
    with stand_in("hang:nth=3") as server:
        assert not evolve(server, provider, "run", 4, timeout=0.5).error
        assert sum(attempts("run")) == len(server.chats())
    assert max(attempts("run")) == 2


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_further_fields_reach_an_old_model_too(provider: Provider, evolve: Evolve) -> None:
    with stand_in() as server:
        ended = evolve(server, provider, "run", 1, modes=("edit",), extra_body={"user_id": "u-1"})
        assert not ended.error
        (request,) = server.chats()
    assert request.body["user_id"] == "u-1"
