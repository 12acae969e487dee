"""`coevol check`: what it finds at each provider, and its exit status."""

from pathlib import Path

import pytest

from standin import StandIn
from tests.doors import MODELS, VLLM_KEY
from tests.program import coevol


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
