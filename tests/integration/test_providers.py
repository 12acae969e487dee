from models.settings import KEY_NAMES

"""Whole runs over every provider's protocol, in fair weather and foul.

What is worth trying again leaves no mark on the results; what is not ends the call or the run, and loses
nothing. The command runs in this process, so that its waits can be made short.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger.ledger import Ledger
from models import gateway as door
from models.providers import langchain_community as community
from runners.cli import main
from standin import RETRYABLE, Fault, StandIn
from tests.program import DATA

MODELS = {
    "openai": "openai:gpt-4o-mini",
    "glm": "glm:glm-4.6",
    "ernie": "ernie:ernie-4.5-turbo-128k",
    "vllm": "vllm:standin",
    "wenxin": "wenxin:ernie-speed-128k",
    "glm-jwt": "glm-jwt:glm-4.6",
}
"""A model of each provider."""

PROTOCOLS = {"glm-jwt": "glm"}
"""The stand-in's name for a provider, where it is another."""

AGAIN = {"wenxin": 2}
"""How often a library asks by itself where a key is refused: Wenxin's tries a new token."""

ALPACA = DATA / "alpaca_en_300.json"
CONCURRENCY = 4

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real data sets are not at hand")
every_provider = pytest.mark.parametrize("provider", MODELS)


class Ended(NamedTuple):
    """How a command ended: its exit status, and what it said to the person."""

    status: int
    said: str


Evolve = Callable[..., Ended]


@pytest.fixture
def evolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Evolve:
    """Runs `coevol evolve` over the first records, against a stand-in, into a folder below `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(door, "FIRST_WAIT", 0.002)
    for name in " and ".join(KEY_NAMES.values()).split(" and "):
        monkeypatch.delenv(name, raising=False)

    def run(server: StandIn, provider: str, folder: str, count: int, *options: str, **keys: str) -> Ended:
        protocol = PROTOCOLS.get(provider, provider)
        id, secret = server.key("wenxin").split(":")
        given = server.environment() | {"QIANFAN_AK": id, "QIANFAN_SK": secret} | keys
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        words = [
            *("evolve", str(ALPACA), "-o", folder, f"--stop={count}", "--max-rounds=1"),
            *("--model", MODELS[provider], "--base-url", server.base_url(protocol), *options),
        ]
        monkeypatch.setattr(sys, "argv", ["coevol", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capfd.readouterr().err
        assert "Traceback" not in said
        assert not [key for key in given.values() if key in said]
        assert "access_token=2" not in said
        assert isinstance(exit_.value.code, int)
        return Ended(exit_.value.code, said)

    return run


def stand_in(*faults: Fault | str, **options: Any) -> StandIn:
    return StandIn(*faults, vllm_key="vk-stand-in-for-tests-0004", **options)


def results(folder: str) -> dict[str, Any]:
    """What came of each sample, by its id; all but the time."""
    return {
        sample.id: [(result.status, result.reason, result.outcome) for result in by_mode.values()]
        for sample, by_mode in Ledger.open(Path(folder) / "ledger.sqlite").samples()
    }


def statuses(folder: str) -> Counter[str]:
    return Counter(status for ((status, _, _),) in results(folder).values())


def attempts(folder: str) -> list[int]:
    """The attempts of each call on record."""
    ledger = Ledger.open(Path(folder) / "ledger.sqlite")
    return [call["attempts"] for sample, _ in ledger.samples() for call in ledger.calls(sample.id)]


def answered(server: StandIn) -> Counter[str]:
    """How often each request was answered, and no fault spoilt the answer."""
    return Counter(r.digest for r in server.chats() if r.status == 200 and not r.fault)


# --- what is worth trying again


@every_provider
@pytest.mark.parametrize(("count", "rounds"), [(30, 1), pytest.param(200, 3, marks=pytest.mark.long)])
def test_three_calls_in_ten_may_fail(provider: str, count: int, rounds: int, evolve: Evolve) -> None:
    with stand_in() as server:
        assert evolve(server, provider, "fair", count, f"--max-rounds={rounds}").status == 0
        assert attempts("fair") == [1] * len(server.chats())
    assert statuses("fair") == {"done": count}
    with stand_in(f"{RETRYABLE}:rate=0.3,seed=7,retry_after=ms:20") as server:
        assert evolve(server, provider, "foul", count, f"--max-rounds={rounds}").status == 0
        chats = server.chats()
        assert {request.fault for request in chats} == {"", *RETRYABLE.split("|")}
        assert 0.2 < sum(bool(request.fault) for request in chats) / len(chats) < 0.4
        # Every attempt is on record, and what was answered once was not asked again.
        assert sum(attempts("foul")) == len(chats)
        assert max(answered(server).values()) == 1
    assert results("foul") == results("fair")


# --- what stops the run

STOPS = {
    "invalid_key": "Check the key in {key}",
    "no_balance": "Check the account's balance",
    "quota": "when the provider has renewed the quota",
    "unknown_model": "Check the model's name",
}


@every_provider
@pytest.mark.parametrize(("fault", "advice"), STOPS.items())
def test_a_run_that_cannot_go_on_stops_and_loses_nothing(
    provider: str, fault: str, advice: str, evolve: Evolve
) -> None:
    with stand_in(f"{fault}:nth=15-", latency=0.01) as server:
        ended = evolve(server, provider, "run", 6, f"--concurrency={CONCURRENCY}")
        assert ended.status == 3, ended.said
        if (provider, fault) == ("wenxin", "no_balance"):
            advice = STOPS["quota"]  # it has one code for both
        one_message(ended, provider, advice)
        refused = [request for request in server.chats() if request.fault]
        times = AGAIN.get(provider, 1) if fault == "invalid_key" else 1
        assert len(refused) <= CONCURRENCY * times
        assert sum(attempts_of_all("run")) == len(server.chats()) - len(refused) * (times - 1) // times
        before = answered(server)
        server.order()
        assert evolve(server, provider, "run", 6).status == 0
        assert max(answered(server).values()) == 1
        assert before
    assert statuses("run") == {"done": 6}


@every_provider
def test_a_wrong_key_stops_the_run_at_its_first_calls(provider: str, evolve: Evolve) -> None:
    with stand_in() as server:
        wrong = {KEY_NAMES[provider_of(provider)].split()[-1]: "wrong-key-0001.of-nobody"}
        ended = evolve(server, provider, "run", 30, f"--concurrency={CONCURRENCY}", **wrong)
        assert ended.status == 3
        one_message(ended, provider, STOPS["invalid_key"])
        assert "wrong-key" not in ended.said
        # vLLM's context length is asked for beside the calls.
        asked = [request for request in server.requests if not request.path.endswith("/models")]
        assert 1 <= len(asked) <= CONCURRENCY * (1 + AGAIN.get(provider, 0))
        assert evolve(server, provider, "run", 3).status == 0
    assert statuses("run") == {"done": 3}


@every_provider
def test_an_unknown_model_stops_the_run_at_its_first_calls(
    provider: str, evolve: Evolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, provider, f"{MODELS[provider]}-of-tomorrow")
    with stand_in() as server:
        ended = evolve(server, provider, "run", 30, f"--concurrency={CONCURRENCY}")
        assert ended.status == 3
        one_message(ended, provider, STOPS["unknown_model"])
        assert 1 <= len(server.chats()) <= CONCURRENCY


@pytest.mark.parametrize(
    ("provider", "code", "advice"),
    [
        ("openai", "unsupported_value", "Change or leave out that setting"),
        ("openai", "billing_not_active", STOPS["no_balance"]),
        ("openai", "account_deactivated", STOPS["invalid_key"]),
        ("glm", "1210", "Change or leave out that setting"),
        ("glm", "1110", "Check what the key in {key} is allowed to use"),
        ("glm", "1308", STOPS["quota"]),
        ("glm-jwt", "1113", STOPS["no_balance"]),
        ("ernie", "no_parameter_permission", "Change or leave out that setting"),
        ("ernie", "account_overdue", STOPS["no_balance"]),
        ("wenxin", "6", "Check what the key in {key} is allowed to use"),
        ("wenxin", "4", STOPS["quota"]),
    ],
)
def test_other_reasons_to_stop_are_told_with_what_to_do(
    provider: str, code: str, advice: str, evolve: Evolve
) -> None:
    with stand_in(Fault("bad_request", code=code)) as server:
        ended = evolve(server, provider, "run", 30, f"--concurrency={CONCURRENCY}")
        assert ended.status == 3, ended.said
        one_message(ended, provider, advice)
        assert f"({code})" in ended.said
        assert 1 <= len(server.chats()) <= CONCURRENCY
        server.order()
        assert evolve(server, provider, "run", 2, "--mode=evolve").status == 0
    assert statuses("run") == {"done": 2}


def provider_of(provider: str) -> Any:
    return MODELS[provider].partition(":")[0]


def one_message(ended: Ended, provider: str, advice: str) -> None:
    """The run says once why it stopped, which model it was, where, and what to do."""
    assert ended.said.count("coevol: stopped: ") == 1
    message = ended.said.partition("coevol: stopped: ")[2]
    assert MODELS[provider] in message
    assert "http://127.0.0.1:" in message
    assert message.count(advice.format(key=KEY_NAMES[provider_of(provider)])) == 1
    assert len(message.strip().splitlines()) <= 3


def attempts_of_all(folder: str) -> list[int]:
    """The attempts of each call on record, those of unfinished samples included."""
    ledger = Ledger.open(Path(folder) / "ledger.sqlite")
    ids = [record.get("id", str(n)) for n, record in enumerate(json.loads(ALPACA.read_text("utf-8")))]
    return [call["attempts"] for id_ in ids for call in ledger.calls(str(id_))]


# --- what costs a sample

FAILS = {
    "content_filter": "content filter",
    "withheld": "content filter",
    "too_long": "too long",
    "context_full": "too long",
    "empty": "empty reply",
    "truncated": "truncated",
}
ONLY_SOME = {"withheld": {"openai", "glm", "ernie", "wenxin", "glm-jwt"}, "context_full": {"glm", "glm-jwt"}}
"""What not every provider has a word for."""


@pytest.mark.parametrize(
    ("provider", "fault"),
    [(provider, fault) for provider in MODELS for fault in FAILS if provider in ONLY_SOME.get(fault, MODELS)],
)
def test_a_call_that_cannot_be_done_costs_its_sample_alone(provider: str, fault: str, evolve: Evolve) -> None:
    # A gateway's status 403 in front of vLLM says no more than that, and Wenxin's code as little.
    no_word = fault == "content_filter" and provider in ("vllm", "wenxin")
    reason = "refused" if no_word else FAILS[fault]
    record = json.loads(ALPACA.read_text("utf-8"))[5]
    with stand_in(Fault(fault, word=record["instruction"])) as server:
        ended = evolve(server, provider, "run", 8, "--concurrency=2")
        assert ended.status == 1, ended.said
        assert "1 failed" in ended.said
        assert "--retry-failed" in ended.said
        found = results("run")
        (failed,) = [id_ for id_, ((status, _, _),) in found.items() if status == "failed"]
        ((_, why, (exchange,)),) = found[failed]
        assert why.startswith(f"{reason}: ")
        assert exchange["response"] == exchange["original"] == record["output"]
        assert Counter(status for ((status, _, _),) in found.values()) == {"done": 7, "failed": 1}
        asked = Counter(request.digest for request in server.chats() if request.fault)
        assert max(asked.values()) == 1  # none was tried again
        server.order()
        assert evolve(server, provider, "run", 8, "--retry-failed").status == 0
    again = results("run")
    assert statuses("run") == {"done": 8}
    assert {id_: of for id_, of in again.items() if id_ != failed} == {
        id_: of for id_, of in found.items() if id_ != failed
    }


# --- old credentials


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_a_library_that_is_not_there_is_named_before_anything_is_started(
    provider: Any, evolve: Evolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(community.NEEDS, provider, ("langchain_community", "no_such_library"))
    with stand_in() as server:
        ended = evolve(server, provider, "run", 3)
        assert not server.requests
    assert ended.status == 2
    assert ended.said.count("coevol: ") == 1
    assert "pip install 'coevol[community]'" in ended.said
    assert "no_such_library" in ended.said
    assert not Path("run").exists()


def test_a_key_that_can_sign_nothing_is_refused_before_anything_is_started(evolve: Evolve) -> None:
    with stand_in() as server:
        ended = evolve(server, "glm-jwt", "run", 3, ZHIPUAI_API_KEY="one-part-only")
        assert not server.requests
    assert ended.status == 2
    assert "a key of the form id.secret" in ended.said
    assert not Path("run").exists()


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_an_old_library_is_held_to_the_time_limit_of_the_run(provider: str, evolve: Evolve) -> None:
    with stand_in("hang:nth=3") as server:
        assert evolve(server, provider, "run", 4, "--timeout=1").status == 0
        assert sum(attempts("run")) == len(server.chats())
    assert max(attempts("run")) == 2


@pytest.mark.parametrize("provider", ["wenxin", "glm-jwt"])
def test_further_fields_reach_an_old_model_too(provider: str, evolve: Evolve) -> None:
    with stand_in() as server:
        assert (
            evolve(server, provider, "run", 1, "--mode=edit", '--extra-body={"user_id": "u-1"}').status == 0
        )
        (request,) = server.chats()
    assert request.body["user_id"] == "u-1"
