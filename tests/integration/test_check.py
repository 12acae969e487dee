"""`coevol check`: what it finds at each provider, and its exit status."""

import time
from pathlib import Path

import pytest

from standin import StandIn
from tests.conftest import look
from tests.gateways import MODELS, VLLM_KEY
from tests.program import EXAMPLES, coevol


def check(server: StandIn, provider: str, folder: Path, model: str = "", *, status: int) -> str:
    return coevol(
        "check", "--model", f"{provider}:{model or MODELS[provider]}",
        "--base-url", server.base_url(provider),
        cwd=folder, env=server.environment(), status=status,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("provider", MODELS)
def test_a_model_that_can_be_used(provider: str, tmp_path: Path) -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        said = check(server, provider, tmp_path, status=0)
        assert "answered in" in said
        assert "system role          accepted" in said
        assert "NO" not in said
        if provider == "vllm":
            assert "32,768 tokens" in said
            assert "kept to the form" in said


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    ("fault", "word"), [("invalid_key", "Check the key in"), ("unknown_model", "Check the model's name")]
)
def test_a_model_that_cannot_be_used(provider: str, fault: str, word: str, tmp_path: Path) -> None:
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        said = check(server, provider, tmp_path, status=2)
        assert word in said
        assert server.key(provider) not in said
        assert len(server.chats()) == 1


def test_a_template_without_a_system_role(tmp_path: Path) -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        said = check(server, "vllm", tmp_path, "standin-plain", status=0)
        assert "goes into the first user message" in said


def test_a_key_that_is_missing(tmp_path: Path) -> None:
    said = coevol("check", "--model", "openai:gpt-4o-mini", cwd=tmp_path, status=2).stdout
    assert "OPENAI_API_KEY is not set" in said


def test_each_model_is_called_for_itself(tmp_path: Path) -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        said = coevol(
            "check", "--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"),
            "--model", "judge=glm:glm-4.6", "--base-url", f"judge={server.base_url('glm')}",
            cwd=tmp_path, env=server.environment(),
        ).stdout  # fmt: skip
        assert "(positive, critical, advisor, editor)" in said
        assert "(judge)" in said
        assert len(server.chats()) == 2


def test_each_way_of_asking_a_model_is_tried(tmp_path: Path) -> None:
    with StandIn() as server:
        said = coevol(
            "check", "--model", "openai:gpt-5.4", "--base-url", server.base_url("openai"),
            "--extra-body", 'judge={"max_tokens": 50}',
            cwd=tmp_path, env=server.environment(), status=2,
        ).stdout  # fmt: skip
        others, _, judge = said.partition("(judge)")
        assert "(positive, critical, advisor, editor)" in others and "answered in" in others
        assert "answered in" not in judge and "'max_tokens' is not supported with this model" in judge
        assert len(server.chats()) == 2


def test_a_role_may_have_a_key_of_its_own(tmp_path: Path) -> None:
    with StandIn() as server:
        key = server.key("openai")
        said = coevol(
            "check", "--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"),
            cwd=tmp_path, env={"OPENAI_API_KEY": key, "OPENAI_API_KEY_JUDGE": "another-key-0001"}, status=2,
        ).stdout  # fmt: skip
        others, _, judge = said.partition("(judge)")
        assert "ok  key                  OPENAI_API_KEY\n" in others and "answered in" in others
        assert "ok  key                  OPENAI_API_KEY_JUDGE\n" in judge and "key refused" in judge
        assert "Check the key in OPENAI_API_KEY_JUDGE." in judge


@pytest.mark.parametrize(("provider", "model"), [("wenxin", "ernie-speed-128k"), ("glm-jwt", "glm-4.6")])
def test_a_key_that_is_not_sent_as_it_is_is_sent_nowhere(
    provider: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StandIn() as server:
        id, secret = server.key("wenxin").split(":")
        keys = {"QIANFAN_AK": id, "QIANFAN_SK": secret, "ZHIPUAI_API_KEY": server.key("glm")}
        for name, key in keys.items():
            monkeypatch.setenv(name, key)
        url = server.base_url("glm" if provider == "glm-jwt" else provider)
        assert (
            "answered in"
            in look("check", "--model", f"{provider}:{model}", "--base-url", url, cwd=tmp_path).stdout
        )
        assert len(server.chats()) == 1
        for request in server.requests:
            assert not request.path.endswith("/models")
            assert not [name for name in request.headers if server.key("glm") in request.headers[name]]


def test_what_is_openais_own_reaches_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORG_ID", "ORGANIZATION", "PROJECT_ID", "ADMIN_KEY", "PROXY", "API_BASE", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://unseen")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Own: unseen")
    with StandIn() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        words = ("check", "--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        assert "answered in" in look(*words, cwd=tmp_path).stdout
        assert server.chats()
        assert "unseen" not in str([request.headers for request in server.requests])


def test_a_new_model_for_a_role_is_not_looked_for_where_the_old_one_was(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[role_models]\njudge = "vllm:big"\n[role_base_urls]\njudge = "http://127.0.0.1:9/v1"\n'
    )
    said = look("check", "--settings", "mine.toml", "--model", "judge=rehearsal:", cwd=tmp_path).stdout
    assert "127.0.0.1:9" not in said


def test_a_context_that_replies_alone_would_fill(tmp_path: Path) -> None:
    with StandIn() as server:
        words = ("check", "--model", "vllm:standin", "--base-url", server.base_url("vllm"))
        said = look(*words, "--max-tokens", 40_000, cwd=tmp_path, status=2).stdout
        assert "32,768 tokens, no more than --max-tokens 40000 for the reply alone" in said
        assert not server.chats()


def test_a_server_that_drips_has_no_more_time_than_any(tmp_path: Path) -> None:
    with StandIn("drip") as server:
        began = time.monotonic()
        words = ("check", "--model", "vllm:standin", "--base-url", server.base_url("vllm"), "--timeout", 1)
        assert "did not answer in time" in look(*words, cwd=tmp_path, status=2).stdout
        assert time.monotonic() - began < 10


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = coevol(
        "check", "--model", "vllm:standin", "--base-url", "http://127.0.0.1:8/v1",
        cwd=tmp_path, env={"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}, status=2,
    )  # fmt: skip
    assert "through the proxy in HTTP_PROXY" in ended.stdout
    assert not ended.stderr  # the client does go through it, whatever LangChain thinks


def test_an_address_without_a_version(tmp_path: Path) -> None:
    with StandIn(vllm_key="") as server:
        url = server.base_url("vllm").removesuffix("/v1")
        said = look("check", "--model", "vllm:standin", "--base-url", url, cwd=tmp_path, status=2).stdout
        assert f"try --base-url {url}/v1" in said


REFUSED = [
    ("--base-url http://[::1", {}, "'http://[::1' is not an address"),
    ("--base-url http://x:99999/v1", {}, "'http://x:99999/v1' is not an address"),
    ("--base-url http://me:secret@x/v1", {}, "a user name or a password"),
    ("--base-url me:secret@x/v1", {}, "a user name or a password"),
    ("--base-url http://x/v1/chat/completions", {}, "write http://x/v1"),
    ("--base-url http://x:8000/", {}, "write http://x:8000/v1"),
    ('--extra-body {"foo":NaN}', {}, "'foo' holds what cannot be sent as JSON"),
    ("--budget nan", {}, "'nan' is not a number"),
    ("--rpm inf", {}, "'inf' is not a number"),
    ("--timeout inf", {}, "timeout: Input should be a finite number"),
    ("--temperature nan", {}, "temperature: Input should be a finite number"),
    ("--top-p 1", {"HTTP_PROXY": "secret://x"}, "HTTP_PROXY"),
    ("--top-p 1", {"https_proxy": "http://secret:port"}, "https_proxy"),
    ("--top-p 1", {"VLLM_API_KEY": "secret\nX-Other: 1"}, "VLLM_API_KEY is no key"),
    ("--top-p 1", {"VLLM_API_KEY_EDITOR": "secret–1"}, "VLLM_API_KEY_EDITOR is no key"),
]


@pytest.mark.parametrize(("words", "variables", "says"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_begins(
    words: str, variables: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--model", "vllm:standin", *words.split())
    said = look(*given, cwd=tmp_path, status=2).stderr
    assert says in " ".join(said.split())
    assert "secret" not in said
    assert not (tmp_path / "run").exists()
