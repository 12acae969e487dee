"""`coevol check`: what it finds at each provider, and its exit status."""

import shutil
import time
from pathlib import Path

import pytest

from prompts.pack import load_pack
from standin import StandIn
from tests.conftest import look
from tests.gateways import MODELS, OLD_MODELS, VLLM_KEY, base_url, variables
from tests.program import EXAMPLES, coevol


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in variables(StandIn(vllm_key=VLLM_KEY)).items():
        monkeypatch.setenv(name, key)


def check(
    server: StandIn, provider: str, folder: Path, *words: object, model: str = "", status: int = 0
) -> str:
    """Return what `coevol check` reports of a model."""
    named = f"{provider}:{model or (MODELS | OLD_MODELS)[provider]}"
    given = ("check", "--model", named, "--base-url", base_url(server, provider))
    return look(*given, *words, cwd=folder, status=status).stdout


@pytest.mark.parametrize("provider", MODELS)
def test_a_usable_model(provider: str, tmp_path: Path) -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        report = check(server, provider, tmp_path)
        assert "answered in" in report
        assert "system role          accepted" in report
        assert "verdict              can be read: “assistant" in report
        assert "NO" not in report
        if provider == "vllm":
            assert "32,768 tokens" in report
            assert "held to the form" in report


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    ("fault", "advice"), [("invalid_key", "Check the key in"), ("unknown_model", "Check the model's name")]
)
def test_an_unusable_model(provider: str, fault: str, advice: str, tmp_path: Path) -> None:
    with StandIn(fault, vllm_key=VLLM_KEY) as server:
        report = check(server, provider, tmp_path, status=2)
        assert advice in report
        assert server.key(provider) not in report
        assert len(server.chats()) == 1


def test_a_template_without_a_system_role(tmp_path: Path) -> None:
    with StandIn(vllm_key=VLLM_KEY) as server:
        report = check(server, "vllm", tmp_path, model="standin-plain")
        assert "goes into the first user message" in report


def test_a_missing_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    report = look("check", "--model", "openai:gpt-4o-mini", cwd=tmp_path, status=2).stdout
    assert "OPENAI_API_KEY is not set" in report


def test_each_model_is_called(tmp_path: Path) -> None:
    with StandIn() as server:
        judge = ("--model", "judge=glm:glm-4.6", "--base-url", f"judge={server.base_url('glm')}")
        report = check(server, "openai", tmp_path, *judge)
        assert "(positive, critical, advisor, editor)" in report
        assert "(judge)" in report
        assert [chat.role for chat in server.chats()] == ["other", "other", "judge"]


def test_each_way_of_asking_a_model_is_tried(tmp_path: Path) -> None:
    with StandIn() as server:
        words = ("--extra-body", 'judge={"temperature": 0.5}')
        report = check(server, "openai", tmp_path, *words, model="gpt-5.4", status=2)
        others, _, judge = report.partition("(judge)")
        assert "(positive, critical, advisor, editor)" in others and "answered in" in others
        assert "answered in" not in judge and "'temperature' does not support 0.5 with this model" in judge
        assert len(server.chats()) == 2


def test_a_role_may_have_its_own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_JUDGE", "another-key-0001")
    with StandIn() as server:
        others, _, judge = check(server, "openai", tmp_path, status=2).partition("(judge)")
        assert "ok  key                  OPENAI_API_KEY\n" in others and "answered in" in others
        assert "ok  key                  OPENAI_API_KEY_JUDGE\n" in judge and "key refused" in judge
        assert "Check the key in OPENAI_API_KEY_JUDGE." in judge


@pytest.mark.parametrize("provider", OLD_MODELS)
def test_old_credentials_are_not_sent_as_they_are(provider: str, tmp_path: Path) -> None:
    with StandIn() as server:
        assert "answered in" in check(server, provider, tmp_path)
        assert len(server.chats()) == 2
        for request in server.requests:
            assert not request.path.endswith("/models")
            assert not [name for name in request.headers if server.key("glm") in request.headers[name]]


def test_openais_own_variables_reach_no_other_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORG_ID", "ORGANIZATION", "PROJECT_ID", "ADMIN_KEY", "PROXY", "API_BASE", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://unseen")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Own: unseen")
    with StandIn() as server:
        assert "answered in" in check(server, "openai", tmp_path)
        assert server.chats()
        assert "unseen" not in str([request.headers for request in server.requests])


def test_a_new_model_for_a_role_is_not_looked_for_at_the_old_address(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[role_models]\njudge = "vllm:big"\n[role_base_urls]\njudge = "http://127.0.0.1:9/v1"\n'
    )
    report = look("check", "--settings", "mine.toml", "--model", "judge=rehearsal:", cwd=tmp_path).stdout
    assert "127.0.0.1:9" not in report


def test_a_context_that_replies_alone_would_fill(tmp_path: Path) -> None:
    with StandIn() as server:
        report = check(server, "vllm", tmp_path, "--max-tokens", 40_000, status=2)
        assert "32,768 tokens, no more than --max-tokens 40000 for the reply alone" in report
        assert not server.chats()


def test_a_server_that_drips_has_no_more_time_than_others(tmp_path: Path) -> None:
    with StandIn("drip") as server:
        began = time.monotonic()
        assert "did not answer in time" in check(server, "vllm", tmp_path, "--timeout", 0.5, status=2)
        assert time.monotonic() - began < 5


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    # In a process of its own: here pytest would catch what LangChain logs.
    ended = coevol(
        "check", "--model", "vllm:standin", "--base-url", "http://127.0.0.1:8/v1",
        cwd=tmp_path, env={"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}, status=2,
    )  # fmt: skip
    assert "through the proxy in HTTP_PROXY" in ended.stdout
    assert not ended.stderr  # the client does go through it, whatever LangChain thinks


def test_an_address_without_a_version(tmp_path: Path) -> None:
    with StandIn() as server:
        url = server.base_url("vllm").removesuffix("/v1")
        report = look("check", "--model", "vllm:standin", "--base-url", url, cwd=tmp_path, status=2).stdout
        assert f"try --base-url {url}/v1" in report


REFUSED = [
    ("--base-url http://[::1", {}, "'http://[::1' is not an address"),
    ("--base-url http://x:99999/v1", {}, "'http://x:99999/v1' is not an address"),
    ("--base-url http://me:secret@x/v1", {}, "a user name or a password"),
    ("--base-url me:secret@x/v1", {}, "a user name or a password"),
    ("--base-url http://x/v1/chat/completions", {}, "write http://x/v1"),
    ("--base-url http://x:8000/", {}, "write http://x:8000/v1"),
    ('--extra-body {"foo":NaN}', {}, "'foo' holds a value that cannot be sent as JSON"),
    ("--budget nan", {}, "budget: Input should be a finite number"),
    ("--rpm inf", {}, "rpm: Input should be a finite number"),
    ("--timeout inf", {}, "timeout: Input should be a finite number"),
    ("--temperature nan", {}, "temperature: Input should be a finite number"),
    ("--top-p 1", {"HTTP_PROXY": "secret://x"}, "HTTP_PROXY"),
    ("--top-p 1", {"https_proxy": "http://secret:port"}, "https_proxy"),
    ("--top-p 1", {"VLLM_API_KEY": "secret\nX-Other: 1"}, "VLLM_API_KEY is not a key"),
    ("--top-p 1", {"VLLM_API_KEY_EDITOR": "secret–1"}, "VLLM_API_KEY_EDITOR is not a key"),
]


@pytest.mark.parametrize(("words", "variables", "message"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_starts(
    words: str, variables: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_API_KEY")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--model", "vllm:standin", *words.split())
    error = look(*given, cwd=tmp_path, status=2).stderr
    assert message in " ".join(error.split())
    assert "secret" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("server_name", "model", "found"),
    [
        ("llamacpp", "any", "ok  verdict's form       held to the form"),
        ("sglang", "standin", "ok  verdict's form       held to the form"),
        ("sglang", "standin-refuses", "--  verdict's form       not taken by this server"),
        ("openai", "gpt-4o-mini", "ok  verdict              can be read"),
    ],
)
def test_whether_the_server_holds_verdicts_to_their_form(
    server_name: str, model: str, found: str, tmp_path: Path
) -> None:
    with StandIn() as server:
        url = server.base_url(server_name)
        words = ("check", "--model", f"openai:{model}", "--base-url", url)
        report = look(*words, cwd=tmp_path).stdout
        assert found in report and "can be read" in report


def test_a_form_of_the_user_s_own_is_named(tmp_path: Path) -> None:
    with StandIn() as server:
        own = 'judge={"structured_outputs": {"choice": ["equal"]}}'
        report = check(server, "vllm", tmp_path, "--extra-body", own)
        assert "`extra_body` asks for a form of its own" in report and "can be read" in report


@pytest.mark.parametrize("retries", [0, 1])
def test_a_verdict_that_cannot_be_read(retries: int, tmp_path: Path) -> None:
    # This pack asks for a verdict in a way that the stand-in takes for another agent's prompt.
    pack = Path(shutil.copytree(load_pack("classic").folder, tmp_path / "mine"))
    (pack / "judge_compare.jinja").write_text(
        "{% call user_message() %}{{ instruction }}{{ input }} {{ response_1 }} {{ response_2 }}{% endcall %}"
    )
    with StandIn() as server:
        words = ("--prompts", pack, "--judge-retries", retries)
        report = check(server, "openai", tmp_path, *words, status=0 if retries else 2)
        # Asked again, it is reminded of what is wanted.
        expected = (
            "ok  verdict              can be read when asked again" if retries else "cannot be read: “Ready.”"
        )
        assert expected in report
        assert len(server.chats()) == 2 + retries


def test_thoughts_in_a_reply_are_named(tmp_path: Path) -> None:
    with StandIn() as server:
        own = 'judge={"response_format": {"type": "text"}}'
        report = check(server, "vllm", tmp_path, "--extra-body", own, model="standin-thinks")
        assert "Taken off the reply, as in a run: thoughts" in report
