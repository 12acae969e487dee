"""Models and their addresses in the settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.addresses import address, server_address
from models.settings import ModelSettings, split_model
from tests.conftest import look


def test_rehearsal_needs_no_colon() -> None:
    assert split_model("rehearsal") == split_model("rehearsal:") == ("rehearsal", "")
    without, with_colon = (
        ModelSettings(model=model, role_models={"judge": model}) for model in ("rehearsal", "rehearsal:")
    )
    # A run that began with one resumes with the other.
    assert without == with_colon == ModelSettings(role_models={"judge": "rehearsal:"})
    assert without.endpoint("editor") == with_colon.endpoint("editor")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gpt-5", "'gpt-5' is not a model: write PROVIDER:NAME, with one of openai:, vllm:"),
        ("openai", "'openai' is not a model"),
        ("rehearsals", "'rehearsals' is not a model"),
        ("openai:", "'openai:' names no model: write openai:NAME"),
    ],
)
def test_other_models_need_provider_and_name(model: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ModelSettings(model=model)
    assert message in str(refused.value)


def test_a_name_may_hold_colons() -> None:
    assert split_model("vllm:org/model:tag") == ("vllm", "org/model:tag")


def test_addresses_are_a_string_or_a_list(tmp_path: Path) -> None:
    assert ModelSettings.model_validate({"base_url": "http://a/v1/"}).base_url == ("http://a/v1",)
    settings = ModelSettings.model_validate(
        {
            "base_url": ["http://a/v1", "http://b/v1"],
            "role_models": {"judge": "openai:m", "editor": "openai:e"},
            "role_base_urls": {"judge": ["http://c/v1", "http://d/v1"], "editor": "http://e/v1"},
        }
    )
    assert [endpoint.base_url for endpoint in settings.replicas("judge")] == ["http://c/v1", "http://d/v1"]
    written = settings.model_dump(mode="json")
    assert written["base_url"] == ["http://a/v1", "http://b/v1"]
    assert written["role_base_urls"] == {"judge": ["http://c/v1", "http://d/v1"], "editor": "http://e/v1"}
    assert ModelSettings().model_dump(mode="json")["base_url"] is None
    assert ModelSettings.model_validate(written) == settings

    toml = tmp_path / "mine.toml"
    toml.write_text('model = "vllm:standin"\nbase_url = ["http://127.0.0.1:9/v1", 7]\n', encoding="utf-8")
    refused = look("check", "--settings", toml, cwd=tmp_path, status=2).stderr
    assert "base_url: ['http://127.0.0.1:9/v1', 7] is neither an address nor a list of addresses" in refused
    twice = ("--base-url", "http://127.0.0.1:9/v1", "--base-url", "http://127.0.0.1:9/v1/")
    assert "given twice" in look("check", *twice, cwd=tmp_path, status=2).stderr
    assert "judge" in look("check", "--base-url", "judge=http://a/v1", cwd=tmp_path, status=2).stderr


def test_sampling_may_be_left_to_the_server(tmp_path: Path) -> None:
    settings = ModelSettings.model_validate({"temperature": "default", "top_p": "default"})
    assert (settings.temperature, settings.top_p) == (None, None)
    assert ModelSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValidationError, match="less than or equal to 2"):
        ModelSettings.model_validate({"temperature": 3})
    refused = look("check", "--top-p", "none", cwd=tmp_path, status=2).stderr
    assert "'none' is not a valid" in " ".join(refused.split())


def test_the_query_of_an_address_stays_at_its_end_and_is_not_written() -> None:
    url = "https://host/v1?api-version=2026-01-01&key=s3cr3t"
    settings = ModelSettings.model_validate({"base_url": url.replace("?", "/?")})
    assert settings.base_url == (url,)
    assert address(url, "/models") == "https://host/v1/models?api-version=2026-01-01&key=s3cr3t"
    assert server_address(url, "/metrics").startswith("https://host/metrics?")
    assert settings.model_dump(mode="json")["base_url"] == "https://host/v1?api-version=2026-01-01&key=…"
    for wrong in (
        "ftp://host?key=s3cr3t",
        "https://host/v1/chat/completions?key=s3cr3t",
        "https://:0?k=s3cr3t",
    ):
        with pytest.raises(ValidationError) as refused:
            ModelSettings.model_validate({"base_url": wrong})
        assert "s3cr3t" not in refused.value.errors()[0]["msg"]
