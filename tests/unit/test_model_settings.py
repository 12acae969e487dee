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
    for one, other in (("http://h:9/v1", "http://h:9/v1/"), ("http://h/v1", "http://H:80/v1")):
        twice = ("--model", "openai:m", "--base-url", one, "--base-url", other)
        assert "given twice" in look("check", *twice, cwd=tmp_path, status=2).stderr
    for between in (",", ", ", ";"):
        both = ("--model", "openai:m", "--base-url", f"http://a/v1{between}http://b/v1")
        assert "address" in look("check", *both, cwd=tmp_path, status=2).stderr
    assert ModelSettings(base_url="https://proxy/https://host/v1").base_url
    assert "judge" in look("check", "--base-url", "judge=http://a/v1", cwd=tmp_path, status=2).stderr


def test_an_address_belongs_to_a_model(tmp_path: Path) -> None:
    url = ("--base-url", "http://127.0.0.1:9/v1")
    shown = look("check", *url, cwd=tmp_path, status=2).stderr
    assert "address of no model" in shown and "--model openai:NAME" in shown
    shown = look("check", *url, "--model", "judge=openai:j", cwd=tmp_path, status=2).stderr
    assert "--base-url judge=URL" in shown


def test_an_address_in_the_file_is_that_of_the_model_given_next_to_it(tmp_path: Path) -> None:
    toml = tmp_path / "mine.toml"
    lines = 'base_url = "http://127.0.0.1:9/v1"', "[role_base_urls]", 'judge = "http://127.0.0.1:7/v1"'
    toml.write_text("\n".join(lines), encoding="utf-8")
    words = ("--settings", toml, "--model", "openai:m", "--model", "judge=openai:j")
    shown = look("check", *words, cwd=tmp_path, status=2).stdout
    assert "openai:m at http://127.0.0.1:9/v1" in shown and "openai:j at http://127.0.0.1:7/v1" in shown
    # Of a model that the option takes the place of, the address is of no use.
    toml.write_text(f'model = "openai:other"\n{lines[0]}', encoding="utf-8")
    assert "127.0.0.1:9" not in look("check", *words[:4], cwd=tmp_path, status=2).stdout


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
