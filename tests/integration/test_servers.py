"""Servers that speak OpenAI's protocol in ways of their own: they work, or one message says what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.settings import Endpoint
from standin import StandIn
from tests.conftest import look
from tests.gateways import call, fixed_response, gateway_to
from tests.program import EXAMPLES

ONE_ROUND = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 1, "--max-rounds", 1)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def check(server: StandIn, model: str, folder: Path, *words: object, status: int = 0) -> str:
    given = ("check", "--model", f"openai:{model}", "--base-url", server.base_url("compatible"))
    return " ".join(look(*given, *words, cwd=folder, status=status).stdout.split())


@pytest.mark.parametrize(
    ("model", "words", "found"),
    [
        ("llama.cpp", (), "none, and none is needed"),
        ("llama.cpp-gemma", (), "goes into the first user message"),
        ("ollama", (), "answered in"),
        ("sglang", ("--seed", 7), "answered in"),
        ("tgi", ("--temperature", "default", "--top-p", "default"), "answered in"),
        ("openrouter", (), "answered in"),
        ("deepseek", (), "answered in"),
        ("dashscope-qwq", (), "this server only streams"),
        ("dashscope-qwen3", (), "this server only streams"),
        ("moonshot", ("--temperature", 1), "answered in"),
        ("moonshot", ("--temperature", "default"), "answered in"),
        ("litellm-claude", ("--top-p", "default"), "answered in"),
        ("litellm-claude", ("--temperature", "default"), "answered in"),
        ("litellm-gpt", (), "the limit of replies is sent as max_completion_tokens"),
        ("mistral", ("--extra-body", '{"max_completion_tokens": 1000}'), "is sent as max_tokens"),
    ],
)
def test_it_works(model: str, words: tuple[object, ...], found: str, tmp_path: Path) -> None:
    with StandIn() as server:
        report = check(server, model, tmp_path, *words)
        assert found in report and "answered in" in report and " NO " not in report


@pytest.mark.parametrize(
    ("model", "words", "advice"),
    [
        ("litellm-claude", (), "Leave one of them out: --top-p default, or --temperature default."),
        ("moonshot", (), "Use --temperature 1, or leave it out: --temperature default."),
        ("tgi", (), "Leave it out with --temperature default, or change it."),
        ("tgi", ("--temperature", 0.5), "Leave it out with --top-p default, or change it."),
        ("mistral", ("--seed", 7), "seed: Extra inputs are not permitted This server takes no such seed"),
        ("qwen3:8b", (), "try pulling it first Check the model's name and the base URL. Ollama serves what"),
    ],
)
def test_a_refused_field_is_named_and_how_to_leave_it_out(
    model: str, words: tuple[object, ...], advice: str, tmp_path: Path
) -> None:
    with StandIn() as server:
        assert advice in check(server, model, tmp_path, *words, status=2)


def test_a_run_against_a_server_that_only_streams(tmp_path: Path) -> None:
    with StandIn() as server:
        given = ("--model", "openai:dashscope-qwq", "--base-url", server.base_url("compatible"))
        last = look(*ONE_ROUND, *given, cwd=tmp_path).stderr.splitlines()[-1]
        assert "0 failed" in last and "0 + 0 tokens" not in last
        chats = [chat.body for chat in server.chats()]
        assert not chats[0]["stream"]
        assert chats[-1]["stream"] and chats[-1]["stream_options"] == {"include_usage": True}
        # It resumes without another call, so what is sent is no part of what identifies a call.
        look(*ONE_ROUND, *given, cwd=tmp_path)
        assert len(server.chats()) == len(chats)


async def test_a_stream_gives_the_same_record_as_a_plain_reply() -> None:
    found = []
    for model in ("deepseek", "dashscope-qwq"):
        with StandIn() as server:
            async with compatible(server, model) as client:
                await client.ask(call())
            (record,) = client.records
            found.append((record.reply, record.finish_reason, record.output_tokens, record.failure))
    assert found[0] == found[1]


def compatible(server: StandIn, model: str, **settings: Any) -> Any:
    where = {"model": f"openai:{model}", "base_url": server.base_url("compatible")}
    return gateway_to(server, "openai", keys={}, **(where | settings))


@pytest.mark.parametrize("fault", ["error_in_200", "cut", "reset"])
async def test_a_stream_that_breaks_off_is_asked_for_again(fault: str) -> None:
    with StandIn() as server:
        async with compatible(server, "dashscope-qwq") as client:
            await client.ask(call())
            asked = len(server.chats())
            server.order(f"{fault}:nth=1/2")
            (reply,) = await client.ask(call(1))
        assert isinstance(reply, str) and len(server.chats()) == asked + 3


async def test_sampling_left_to_the_server_is_not_sent() -> None:
    with StandIn() as server:
        async with compatible(server, "tgi", temperature="default", top_p=None) as client:
            assert isinstance((await client.ask(call()))[0], str)
        (chat,) = server.chats()
        assert not {"temperature", "top_p"} & chat.body.keys()


async def test_the_query_of_a_base_url_stays_behind_the_path() -> None:
    with StandIn() as server:
        url = f"{server.url}/compatible/openai/deployments/mine?api-version=2024-10-21&sig=s3cr3t"
        async with compatible(server, "azure", base_url=url) as client:
            assert isinstance((await client.ask(call()))[0], str)
        (chat,) = server.chats()
        assert chat.path.endswith("/openai/deployments/mine/chat/completions")


def test_a_key_in_the_query_is_neither_shown_nor_recorded(tmp_path: Path) -> None:
    with StandIn("unknown_model") as server:
        url = f"{server.url}/compatible/openai/deployments/mine?api-version=2024-10-21&key=s3cr3t"
        given = ("--model", "openai:azure", "--base-url", url)
        checked = look("check", *given, cwd=tmp_path, status=2)
        ended = look(*ONE_ROUND, *given, cwd=tmp_path, status=3)
        shown = checked.stdout + checked.stderr + ended.stdout + ended.stderr
        assert "answered 404" in shown and "api-version=2024-10-21&key=…" in shown
        assert "s3cr3t" not in shown
    for path in (tmp_path / "run").iterdir():
        assert b"s3cr3t" not in path.read_bytes()


def test_a_redirect_is_named_and_not_followed(tmp_path: Path) -> None:
    with StandIn() as server:
        url = f"{server.url}/compatible/moved"
        given = ("check", "--model", "openai:ollama", "--base-url", url)
        report = look(*given, cwd=tmp_path, status=2).stdout
        assert f"Use --base-url {server.base_url('compatible')} if you trust that address." in report
        assert not server.chats()


def test_a_wrong_path_answered_with_200(tmp_path: Path) -> None:
    with StandIn() as server:
        url = server.base_url("compatible").removesuffix("/v1")
        report = look(
            "check", "--model", "openai:lm-studio", "--base-url", url, cwd=tmp_path, status=2
        ).stdout
        assert "Unexpected endpoint or method" in report and f"try --base-url {url}/v1" in report


def test_a_model_that_is_still_loading(tmp_path: Path) -> None:
    with StandIn("overloaded:nth=1") as server:
        assert "The server is still loading its model" in check(server, "llama.cpp", tmp_path, status=2)


async def test_a_call_waits_for_a_model_that_is_still_loading() -> None:
    with StandIn("overloaded:nth=1/2/3") as server:
        async with compatible(server, "llama.cpp") as client:
            assert isinstance((await client.ask(call()))[0], str)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8080/v1", True),
        ("http://127.0.0.1:8080/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://192.168.1.7/v1", True),
        ("http://gpu1:8000/v1", True),
        ("http://host.docker.internal:11434/v1", True),
        ("https://api.deepseek.com/v1", False),
        ("https://8.8.8.8/v1", False),
        ("https://local.example.com/v1", False),
        (None, False),
    ],
)
def test_servers_of_ones_own_need_no_key(url: str | None, local: bool) -> None:
    keys, endpoint = Keys({}), Endpoint("openai", "m", url)
    if local:
        assert keys.of(endpoint, "judge").get_secret_value() == "none"
    else:
        with pytest.raises(RunStopped, match="OPENAI_API_KEY is not set"):
            keys.of(endpoint, "judge")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            402,
            {"error": {"message": "You can only afford 331 max_tokens.", "code": 402}},
            "A lower --max-tok",
        ),
        (400, {"error": {"code": "Arrearage", "message": "Not in good standing."}}, "account's balance"),
        (200, {"choices": None, "code": 20012, "message": "Model does not exist."}, "Check the model's name"),
        (422, {"detail": [{"loc": ["body", "top_p"], "msg": "must be below 1"}]}, "--top-p default"),
        (404, "<html><body><h1>404 Not Found</h1></body></html>", "404 Not Found"),
    ],
)
async def test_a_refusal_in_another_format(status: int, body: Any, said: str) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    async with fixed_response(status, raw.encode()) as url:
        with StandIn() as server:
            async with compatible(server, "m", base_url=url) as client:
                (error,) = await client.ask(call())
    assert said in str(error)
