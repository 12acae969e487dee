"""What arrives in a request's body: parameters as each provider takes them, and further fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from standin import StandIn
from tests.conftest import look
from tests.program import EXAMPLES

ONE_ROUND = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 1, "--max-rounds", 1)


def evolve(folder: Path, *words: object, status: int = 0) -> tuple[str, list[dict[str, Any]]]:
    """Works on one record at vLLM's stand-in; what was said, and the bodies with the role in them."""
    with StandIn() as server:
        model = ("--model", "vllm:standin", "--base-url", server.base_url("vllm"))
        said = look(*ONE_ROUND, *model, *words, cwd=folder, status=status).stderr
        return said, [{"role": chat.role, **chat.body} for chat in server.chats()]


def test_further_fields_reach_the_roles_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[extra_body]\nmin_tokens = 1\n[role_extra_body.editor]\ntop_k = 3\n")
    words = ("--settings", "mine.toml", "--extra-body", 'judge={"top_k": 5, "min_tokens": 2}')
    _, sent = evolve(tmp_path, *words)
    assert {body["role"] for body in sent} == {"positive", "critical", "advisor", "editor", "judge"}
    wanted = {"editor": (1, 3), "judge": (2, 5)}
    for body in sent:
        assert (body["min_tokens"], body.get("top_k")) == wanted.get(body["role"], (1, None))


def test_a_run_goes_on_with_the_fields_it_began_with(tmp_path: Path) -> None:
    first, second = (json.dumps({"top_k": number}) for number in (1, 2))
    assert evolve(tmp_path, "--extra-body", first)[1]
    said, sent = evolve(tmp_path, "--extra-body", second, status=2)
    assert f"extra_body: {first} there, {second} here" in said
    assert not sent


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"model": "gpt"}', "'model' is not to be set here"),
        ('editor={"stream": true}', "'stream' is not to be set here"),
        ('writer={"top_k": 1}', "'writer' is no role"),
    ],
)
def test_fields_that_cannot_be_sent(text: str, complaint: str, tmp_path: Path) -> None:
    said = look("check", "--extra-body", text, cwd=tmp_path, status=2).stderr
    assert complaint in " ".join(said.split())
