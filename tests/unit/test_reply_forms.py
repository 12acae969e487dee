"""Servers that hold a judge's reply to its form: how they are recognized, and how each is asked."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models.providers.reply_forms import FORM_FIELDS, gbnf
from nodes.verdict.reading import reply_form
from prompts.pack import FIRST_LINES, load_pack
from standin import StandIn
from standin.app import Request
from tests.conftest import look
from tests.gateways import VLLM_KEY, call, gateway_to
from tests.program import EXAMPLES

EACH = pytest.mark.parametrize(("server", "field"), [("llamacpp", "grammar"), ("sglang", "regex")])
OWN = ["<assistant 1>", "<assistant 2>", "<equal>"]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", StandIn().key("openai"))


def evolve(
    folder: Path, server: str, *words: object, model: str = "standin", provider: str = "openai"
) -> tuple[list[Request], list[dict[str, Any]]]:
    """Work on one record; return the requests to the judge, and its recorded calls."""
    with StandIn() as standin:
        given = ("--model", f"{provider}:{model}", "--base-url", standin.base_url(server), *words)
        once = ("--stop", 1, "--max-rounds", 1, "--judge-retries", 0)
        look("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", *once, *given, cwd=folder)
        asked = [chat for chat in standin.chats() if chat.status != 200 or chat.role == "judge"]
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    recorded = ledger.calls(ledger.ids(1)[0])
    return asked, [call for call in recorded if call["step"].startswith("judge")]


def fields(chat: Request) -> set[str]:
    return set(FORM_FIELDS & chat.body.keys())


def pack_with(folder: Path, first_line: object) -> Path:
    mine = Path(shutil.copytree(load_pack("default").folder, folder / "mine"))
    judge = mine / "judge_compare.jinja"
    judge.write_text(f"{{% set first_line = {json.dumps(first_line)} %}}\n{judge.read_text()}")
    return mine


@EACH
@pytest.mark.parametrize(
    ("verdict", "first"), [("compare", "assistant 1|assistant 2|equal"), ("score", r"\d+ \d+")]
)
def test_each_server_is_asked_in_its_own_way(
    server: str, field: str, verdict: str, first: str, tmp_path: Path
) -> None:
    asked, recorded = evolve(tmp_path, server, "--verdict", verdict)
    assert [fields(chat) for chat in asked] == [{field}] * 2
    assert all(re.match(rf"(?:{first})\n\S", call["reply"]) for call in recorded)


@EACH
def test_a_pack_s_own_form_is_the_one_that_is_asked_for(server: str, field: str, tmp_path: Path) -> None:
    asked, recorded = evolve(tmp_path, server, "--prompts", pack_with(tmp_path, OWN))
    assert [fields(chat) for chat in asked] == [{field}] * 2
    assert all(call["reply"].splitlines()[0] in OWN for call in recorded)
    ledger = Ledger.open(tmp_path / "run" / "ledger.sqlite")
    ((_, results),) = ledger.samples()
    (done,) = results["evolve"].outcome[0]["rounds"]
    assert done["forward"]["points"] and done["reversed"]["points"]


def test_vllm_is_held_to_a_pack_s_own_form(tmp_path: Path) -> None:
    words = ("--prompts", pack_with(tmp_path, OWN))
    asked, recorded = evolve(tmp_path, "vllm", *words, provider="vllm")
    assert all(chat.body["structured_outputs"]["regex"].startswith("(<assistant 1>|") for chat in asked)
    assert all(call["reply"].splitlines()[0] in OWN for call in recorded)


def test_vllm_behind_an_openai_address_is_recognized(tmp_path: Path) -> None:
    asked, _ = evolve(tmp_path, "vllm")
    assert [fields(chat) for chat in asked] == [{"structured_outputs"}] * 2


def test_a_server_that_says_nothing_of_itself_is_asked_without_a_form(tmp_path: Path) -> None:
    asked, recorded = evolve(tmp_path, "openai", model="gpt-4o-mini")
    assert len(recorded) == 2 and not any(fields(chat) for chat in asked)


def test_openai_itself_is_asked_for_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.providers.parameters.OPENAI_HOSTS", ("127.0.0.1",))
    for verdict in ("compare", "score"):
        folder = tmp_path / verdict
        folder.mkdir()
        asked, recorded = evolve(folder, "openai", "--verdict", verdict, model="gpt-4.1")
        assert [fields(chat) for chat in asked] == [{"response_format"}] * 2
        assert all(set(json.loads(call["reply"])) == {"verdict", "explanation"} for call in recorded)
        ((_, results),) = Ledger.open(folder / "run" / "ledger.sqlite").samples()
        (done,) = results["evolve"].outcome[0]["rounds"]
        assert done["forward"]["points"] and done["reversed"]["points"]


@pytest.mark.parametrize(
    ("server", "model"),
    [("llamacpp", "standin-refuses"), ("sglang", "standin-refuses"), ("openai", "ft:gpt-4.1-mini:standin")],
)
def test_a_server_that_refuses_the_form_is_asked_without(
    server: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server == "openai":
        monkeypatch.setattr("models.providers.parameters.OPENAI_HOSTS", ("127.0.0.1",))
    asked, recorded = evolve(tmp_path, server, model=model)
    refused = [chat for chat in asked if chat.status == 400]
    assert refused and all(fields(chat) for chat in refused)
    assert not any(fields(chat) for chat in asked if chat.status == 200)
    assert [call["failure"] for call in recorded] == [None, None]


@EACH
def test_a_form_of_the_user_s_own_stays(server: str, field: str, tmp_path: Path) -> None:
    own = {"llamacpp": {"grammar": 'root ::= "equal\\n" [^\\x00]*'}, "sglang": {"regex": r"equal\n[\s\S]*"}}[
        server
    ]
    asked, recorded = evolve(tmp_path, server, "--extra-body", f"judge={json.dumps(own)}")
    assert [chat.body[field] for chat in asked] == [own[field]] * 2
    assert all(call["reply"].startswith("equal\n") for call in recorded)


async def request_of(server: str, provider: str, model: str, form: str | None) -> str:
    """Return what identifies a judge's request to a server."""
    asked = replace(call(), role="judge", purpose="verdict", form=form)
    with StandIn(vllm_key=VLLM_KEY) as standin:
        url = standin.base_url(server)
        async with gateway_to(standin, provider, model=f"{provider}:{model}", base_url=url) as client:
            await client.ask(asked)
            sent = standin.chats()[0].body
            assert bool(FORM_FIELDS & sent.keys()) == bool(form and server != "openai")
            return client.records[0].request


async def test_what_is_found_out_of_a_server_does_not_identify_a_request() -> None:
    form = reply_form(FIRST_LINES["judge_compare"])
    requests = [
        await request_of(server, "openai", "gpt-4o-mini", given)
        for server in ("openai", "llamacpp")
        for given in (form, None)
    ]
    assert len(set(requests)) == 1
    # vLLM's forms always did.
    assert await request_of("vllm", "vllm", "standin", form) != await request_of(
        "vllm", "vllm", "standin", None
    )


def test_a_form_as_a_grammar() -> None:
    assert gbnf(r"(a 1|\[\[B\]\]|\"c\")\n[^\s][\s\S]*") == (
        'root ::= ( "a 1" | "[[B]]" | "\\"c\\"" ) "\\n" [^ \\t\\r\\n] [^\\x00]*\n'
    )
    assert gbnf(r"(10|[1-9](\.5)?) ab?") == 'root ::= ( "10" | [1-9] ( ".5" )? ) " a" "b"?\n'
