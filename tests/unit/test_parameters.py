"""The body of a request: parameters as each provider takes them, and further fields."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models.providers.parameters import draft_parameters, notices, sampling
from models.settings import ModelSettings
from standin import StandIn
from standin.replies import Agents
from tests.conftest import look
from tests.program import EXAMPLES

ONE_ROUND = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 1, "--max-rounds", 1)


def evolve(folder: Path, *words: object, status: int = 0) -> tuple[str, list[dict[str, Any]]]:
    """Work on one record with vLLM's stand-in; return standard error and the bodies, with their roles."""
    with StandIn() as server:
        model = ("--model", "vllm:standin", "--base-url", server.base_url("vllm"))
        shown = look(*ONE_ROUND, *model, *words, cwd=folder, status=status).stderr
        return shown, [{"role": chat.role, **chat.body} for chat in server.chats()]


def calls_of(folder: Path) -> list[dict[str, Any]]:
    """Return the recorded calls of the first sample."""
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return ledger.calls(ledger.ids(1)[0])


def test_further_fields_reach_the_roles_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[extra_body]\nmin_tokens = 1\n[role_extra_body.editor]\ntop_k = 3\n")
    words = ("--settings", "mine.toml", "--extra-body", 'judge={"top_k": 5, "min_tokens": 2}')
    _, sent = evolve(tmp_path, *words)
    assert {body["role"] for body in sent} == {"positive", "critical", "advisor", "editor", "judge"}
    wanted = {"editor": (1, 3), "judge": (2, 5)}
    for body in sent:
        assert (body["min_tokens"], body.get("top_k")) == wanted.get(body["role"], (1, None))


def test_a_run_resumes_only_with_the_fields_it_began_with(tmp_path: Path) -> None:
    first, second = (json.dumps({"top_k": number}) for number in (1, 2))
    assert evolve(tmp_path, "--extra-body", first)[1]
    shown, sent = evolve(tmp_path, "--extra-body", second, status=2)
    assert f"extra_body: {first} there, {second} here" in shown
    assert not sent


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"model": "gpt"}', "'model' cannot be set here: coevol sets it itself"),
        ('editor={"stream": true}', "'stream' cannot be set here"),
        ('writer={"top_k": 1}', "unknown role 'writer'"),
    ],
)
def test_fields_that_cannot_be_sent(text: str, complaint: str, tmp_path: Path) -> None:
    shown = look("check", "--extra-body", text, cwd=tmp_path, status=2).stderr
    assert complaint in " ".join(shown.split())


def notices_of(**settings: Any) -> list[str]:
    return notices(ModelSettings(**settings))


def first_call(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[str, Any]:
    """Return what `coevol check` reports of a model, and the body of its first call."""
    provider = model.partition(":")[0]
    with StandIn() as server:
        for name, key in server.environment().items():
            monkeypatch.setenv(name, key)
        ended = look("check", "--model", model, "--base-url", server.base_url(provider), *words, cwd=folder)
        first = server.chats()[0].body
    del first["messages"], first["model"], first["stream"]
    return ended.stdout, first


NO_SAMPLING = "takes no --temperature and --top-p: they are not sent"


@pytest.mark.parametrize(
    ("model", "words", "sent", "notice"),
    [
        (
            "openai:gpt-4o-mini",
            "--temperature 0.5 --seed 7",
            {"temperature": 0.5, "top_p": 1.0, "seed": 7, "max_tokens": 1000},
            "",
        ),
        ("openai:gpt-5.4", "", {"max_completion_tokens": 1000}, NO_SAMPLING),
        (
            "openai:gpt-5.4",
            """--extra-body {"max_completion_tokens":50}""",
            {"max_completion_tokens": 50},
            NO_SAMPLING,
        ),
        (
            "openai:gpt-4o-mini",
            """--extra-body {"max_completion_tokens":null}""",
            {"temperature": 0.0, "top_p": 1.0, "max_completion_tokens": None},
            "",
        ),
        (
            "openai:gpt-5.4",
            "--thinking off",
            {"reasoning_effort": "none", "temperature": 0.0, "top_p": 1.0, "max_completion_tokens": 1000},
            "",
        ),
        (
            "openai:gpt-5.4-mini",
            "--thinking on",
            {"reasoning_effort": "medium", "max_completion_tokens": 1000},
            NO_SAMPLING,
        ),
        (
            "openai:gpt-4o-mini",
            "--thinking on",
            {"temperature": 0.0, "top_p": 1.0, "max_tokens": 1000},
            "has no known switch for its thinking: --thinking on is not sent",
        ),
        (
            "glm:glm-5",
            "--thinking off --seed 7 --temperature 1.5",
            {"temperature": 1.0, "top_p": 1.0, "max_tokens": 1000, "thinking": {"type": "disabled"}},
            "glm:glm-5 takes no seed: --seed does not reach it",
        ),
        (
            "glm:glm-5.3",
            "--thinking off --top-p 0.001",
            {"temperature": 0.0, "top_p": 0.01, "max_tokens": 1000, "reasoning_effort": "low"},
            "always thinks: --thinking off asks for its least effort, low",
        ),
        (
            "ernie:ernie-4.5-turbo-128k",
            "--seed 7",
            {"temperature": 0.01, "top_p": 1.0, "seed": 7, "max_completion_tokens": 1000},
            "does not take --temperature 0: it is sent 0.01",
        ),
        (
            "vllm:standin",
            """--thinking off --seed 7 --extra-body {"chat_template_kwargs":{"style":"terse"},"top_k":4}""",
            {
                "temperature": 0.0,
                "top_p": 1.0,
                "seed": 7,
                "max_completion_tokens": 1000,
                "chat_template_kwargs": {"enable_thinking": False, "style": "terse"},
                "top_k": 4,
            },
            "a chat template that knows no `enable_thinking` ignores --thinking off",
        ),
    ],
)
def test_settings_are_translated_for_each_provider(
    model: str,
    words: str,
    sent: dict[str, Any],
    notice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, body = first_call(model, tmp_path, monkeypatch, *words.split())
    assert body == sent
    assert report.startswith(model) if not notice else report.count(notice) == 1


@pytest.mark.parametrize("model", ["openai:o3", "openai:o4-mini", "openai:gpt-5-pro", "openai:proxy/gpt-5.5"])
def test_models_that_think_are_known_by_their_names(model: str) -> None:
    assert any(NO_SAMPLING in line for line in notices_of(model=model))


def test_what_old_credentials_cannot_do_is_reported() -> None:
    text = "\n".join(notices_of(model="wenxin:completions_pro", seed=1, thinking="on"))
    for option in ("--seed", "--thinking on", "--temperature 0: it is sent 0.01"):
        assert option in text


@pytest.mark.parametrize(
    ("verdict", "first"), [("compare", "assistant 1|assistant 2|equal"), ("score", r"\d+ \d+")]
)
def test_vllm_holds_verdicts_to_their_form(verdict: str, first: str, tmp_path: Path) -> None:
    _, sent = evolve(tmp_path, "--verdict", verdict, "--judge-retries", 0)
    assert len(sent) == 8
    for body in sent:
        form = body.get("structured_outputs")
        assert (form is not None) == (body["role"] == "judge")
    replies = [call["reply"] for call in calls_of(tmp_path) if call["step"].startswith("judge")]
    assert len(replies) == 2
    assert all(re.match(rf"(?:{first})\n\S", reply) for reply in replies)


@pytest.mark.parametrize("model", ["standin-diffuses", "standin-mistral"])
def test_a_server_that_knows_no_forms_is_asked_without(model: str, tmp_path: Path) -> None:
    with StandIn("no_balance:nth=90", latency=0.05) as server:
        given = ("--model", f"vllm:{model}", "--base-url", server.base_url("vllm"), "--max-rounds", 1)
        words = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", *given)
        look(*words, cwd=tmp_path, status=3)
        refused = [chat for chat in server.chats() if chat.status == 400]
        # All calls that were in flight are refused and sent again; later ones are sent without a form.
        assert 2 <= len(refused) <= 24
        assert all("structured_outputs" in chat.body for chat in refused)
        refused_at = max(chat.finished or 0 for chat in refused)
        after = [chat for chat in server.chats() if chat.arrived > refused_at]
        assert after
        assert not [chat for chat in after if "structured_outputs" in chat.body]
        # A resumed run, which tries the form again, finds the replies that were made without it.
        server.order()
        look(*words, cwd=tmp_path)
        assert max(Counter(chat.digest for chat in server.chats() if chat.status == 200).values()) == 1
    # The call that met the empty balance may be one of these; it is recorded, and so is its repetition.
    judged = [call for call in calls_of(tmp_path) if call["step"].startswith("judge")]
    assert {call["step"] for call in judged if call["failure"] is None} == {"judge_forward", "judge_reversed"}
    assert {call["failure_kind"] for call in judged} <= {None, "no balance"}


def test_a_prompt_that_is_too_long_is_not_sent(tmp_path: Path) -> None:
    _, sent = evolve(tmp_path, "--max-input-tokens", 150, status=1)
    assert not sent
    for call in calls_of(tmp_path):
        assert (call["attempts"], call["input_tokens"]) == (0, None)
        assert call["failure_kind"] == "too long"
        assert call["failure"].startswith("the prompt has ")
        assert "vllm:standin takes 150 by --max-input-tokens" in call["failure"]
    # A limit is not part of the request: the run resumes with another one.
    assert evolve(tmp_path, "--max-input-tokens", 5000, "--retry-failed")[1]


def test_a_server_that_reports_its_context_gets_what_fits(tmp_path: Path) -> None:
    with StandIn(context=4000) as server:
        record = {"instruction": "Name a fruit.", "input": "", "output": "Apple. "}
        long = {**record, "output": "Apple and pear. " * 3000}
        (tmp_path / "data.json").write_text(json.dumps([record, long]))
        words = ("--model", "vllm:standin", "--base-url", server.base_url("vllm"), "--max-rounds", 1)
        look("evolve", "data.json", "-o", "run", "--max-tokens", 300, *words, cwd=tmp_path, status=1)
        assert {request.status for request in server.requests} == {200}
        assert "Apple and pear" not in "".join(chat.raw.decode() for chat in server.chats())
        counted = [request for request in server.requests if request.path.endswith("/tokenize")]
        assert len(counted) < len(server.chats())


@pytest.mark.parametrize(
    ("model", "settings", "sent"),
    [
        ("openai:m", {}, {"temperature": 0.8}),
        ("openai:m", {"seed": 7}, {"temperature": 0.8, "seed": 9}),
        ("openai:m", {"temperature": 0.3, "seed": 7}, {"temperature": 0.3, "seed": 9}),
        ("openai:m", {"temperature": None}, {}),
        ("openai:gpt-5.4", {"thinking": "on", "seed": 7}, {"seed": 9}),  # which takes no temperature
        ("ernie:m", {"draft_temperature": 1.5}, {"temperature": 1.0}),
        ("glm:m", {"seed": 7}, {"temperature": 0.8}),  # which takes no seed
        ("wenxin:m", {}, {"temperature": 0.8}),
    ],
)
def test_drafts_of_one_prompt_are_sampled_by_themselves(
    model: str, settings: dict[str, Any], sent: dict[str, Any]
) -> None:
    given = ModelSettings(model=model, **settings)
    assert sampling(draft_parameters(given.endpoint("editor"), given), 2) == sent


def test_a_notice_says_how_drafts_are_sampled() -> None:
    (replaced,) = notices(ModelSettings(model="openai:m"), drafts=True)
    assert "a temperature of 0.8 (--draft-temperature)" in replaced
    assert notices(ModelSettings(model="openai:m")) == []
    assert notices(ModelSettings(model="openai:m", temperature=0.5), drafts=True) == []
    found = notices(ModelSettings(model="glm:m", draft_temperature=1.5), drafts=True)
    assert "glm:m does not take --draft-temperature 1.5: it is sent 1" in found


def test_the_stand_in_answers_a_request_alone_as_a_model_does() -> None:
    agents, asked = (
        Agents(0.5),
        [{"role": "user", "content": "<request>\nName a river.\n</request>\nAnswer."}],
    )
    sampled = [agents.say(asked, {"temperature": 0.8}).text for _ in range(3)]
    assert len(set(sampled)) == 3
    seeded = [agents.say(asked, {"temperature": 0.8, "seed": seed}).text for seed in (5, 6, 5)]
    assert seeded[0] == seeded[2] != seeded[1]
    assert agents.say(asked, {"temperature": 0, "seed": 5}).text == agents.say(asked).text == sampled[0]
