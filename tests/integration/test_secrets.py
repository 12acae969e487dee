"""Keys wherever people put them: none is recorded, printed, exported or traced, and another one is seen."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

import coevol
from tests.conftest import look
from tests.program import write
from tests.recorder import Messages, Recorder, Refused

KEY = "sk-own+key/0123456789.abc=$^*"
IN_PATH = "sk-in-the-path-0123456789"
IN_QUERY = "query-secret-0123456789"
IN_BODY = "hunter2"
IN_HEADER = "Bearer abcdef-0123456789"
OF_PROXY = "proxy-pass-0123456789"
SECRETS = (KEY, IN_PATH, IN_QUERY, IN_BODY, IN_HEADER, OF_PROXY)

ENVIRONMENT = {"OPENAI_API_KEY": KEY, "FTP_PROXY": f"http://user:{OF_PROXY}@127.0.0.1:9"}

RECORDS = [
    {"id": "one", "instruction": "Name a river.", "output": "The Rhine."},
    {"id": "two", "instruction": "Name a withheld river.", "output": "The Elbe."},
]


def echoes() -> list[str]:
    """Return the secrets as a server may send them back."""
    forms = [*SECRETS, *(quote(each, safe="") for each in SECRETS), json.dumps(KEY.replace("/", "\\/"))]
    forms += [b64encode(f"x{KEY}".encode()).decode(), f"{KEY[:14]}\n  {KEY[14:]}", KEY.encode().hex()]
    return forms


class Anywhere(Recorder):
    """Takes calls at any path."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/chat/completions"):
            scope = {**scope, "path": "/v1/chat/completions"}
        await super().__call__(scope, receive, send)


def reply(messages: Messages, model: str) -> str:
    if "withheld" in json.dumps(messages):
        raise Refused(f"not with {' and '.join(echoes())}")
    strong = [form for form in echoes() if IN_BODY not in form]
    return f"Assistant 1 is better, whatever {' '.join(strong)} says; {len(messages)}"


@pytest.fixture(scope="module")
def server() -> Iterator[Anywhere]:
    with Anywhere(reply) as server:
        yield server


def words(server: Anywhere, **other: str) -> tuple[object, ...]:
    body = {"api_key": IN_BODY, "headers": {"X-Auth": IN_HEADER}, "min_tokens": 3} | other
    url = server.base_url.replace("/v1", f"/{IN_PATH}/v1?api-version=7&subscription-key={IN_QUERY}")
    models = ("--model", "openai:m", "--base-url", url, "--extra-body", json.dumps(body))
    return ("evolve", "data.json", "-o", "run", *models, "--max-rounds", 1, "--guards", "off")


def leaks(text: str) -> list[str]:
    forms = {*SECRETS, *(quote(each, safe="") for each in SECRETS), *echoes()[-2:]}
    squeezed = "".join(text.split())
    return [form for form in forms if form in text or "".join(form.split()) in squeezed]


def everything_in(folder: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_no_key_is_in_the_run_or_in_what_is_made_of_it(server: Anywhere, tmp_path: Path) -> None:
    write(tmp_path / "data.json", RECORDS)
    made = look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1)
    printed = [made]
    check = ("check", *words(server)[4:10])
    printed.append(look(*check, cwd=tmp_path, env=ENVIRONMENT))
    for command in (
        ("stats", "run"),
        ("stats", "run", "--json"),
        ("show", "run", "one", "--calls"),
        ("show", "run", "two", "--calls"),
        ("export", "run", "-o", "out.jsonl", "--to", "trl-sft"),
        ("report", "run", "-o", "out.html"),
        ("graph", "run", "-o", "out.mmd"),
    ):
        printed.append(look(*command, cwd=tmp_path))
    assert not leaks("".join(each.stdout + each.stderr for each in printed))
    (tmp_path / "data.json").unlink()
    assert not leaks(everything_in(tmp_path))
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["extra_body"]["min_tokens"] == 3
    assert "[OPENAI_API_KEY]" in look("show", "run", "one", cwd=tmp_path).stdout
    assert "whatever" in look("show", "run", "one", cwd=tmp_path).stdout


def test_another_key_is_seen_on_resuming(server: Anywhere, tmp_path: Path) -> None:
    write(tmp_path / "data.json", RECORDS)
    look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1)
    asked = len(server.asked)
    look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1)
    assert len(server.asked) == asked
    refused = look(*words(server, api_key="other-secret"), cwd=tmp_path, env=ENVIRONMENT, status=2)
    assert "made differently" in refused.stderr and "extra_body: {" in refused.stderr
    assert "other-secret" not in refused.stderr and not leaks(refused.stderr)
    there, _, here = refused.stderr.partition(" there, ")
    assert there.rpartition("…")[2][:16] != here.rpartition("…")[2][:16]
    assert (
        "made differently"
        in look(*words(server, min_tokens="4"), "--dry-run", cwd=tmp_path, env=ENVIRONMENT, status=2).stderr
    )
    # Where a model is, is no part of what made the run.
    moved = [str(word).replace(IN_QUERY, "another-query-0123") for word in words(server)]
    look(*moved, cwd=tmp_path, env=ENVIRONMENT, status=1)
    assert len(server.asked) == asked


def test_a_run_that_recorded_its_keys_goes_on_and_shows_none(server: Anywhere, tmp_path: Path) -> None:
    write(tmp_path / "data.json", RECORDS)
    look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1)
    file = tmp_path / "run" / "run.json"
    manifest = json.loads(file.read_text())
    del manifest["salt"]
    manifest["settings"]["extra_body"] |= {"api_key": IN_BODY, "headers": {"X-Auth": IN_HEADER}}
    file.write_text(json.dumps(manifest))
    asked = len(server.asked)
    look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1)
    assert len(server.asked) == asked
    refused = look(*words(server, api_key="other-secret"), cwd=tmp_path, env=ENVIRONMENT, status=2).stderr
    assert "made differently" in refused and not leaks(refused)
    for command in (("stats", "run", "--json"), ("report", "run", "-o", "out.html")):
        assert not leaks(look(*command, cwd=tmp_path).stdout)
    assert not leaks((tmp_path / "out.html").read_text())


def test_a_key_of_a_check_is_hashed(server: Anywhere, tmp_path: Path) -> None:
    write(tmp_path / "data.json", [{**each, "answer": "x"} for each in RECORDS])
    given = [*words(server), "--reference", "answer", "--check", "true --token hidden-word"]
    look(*given, cwd=tmp_path, env=ENVIRONMENT, status=1)
    file = tmp_path / "run" / "run.json"
    assert "hidden-word" not in file.read_text()
    assert "hidden-word" not in look("stats", "run", "--json", cwd=tmp_path).stdout
    asked = len(server.asked)
    look(*given, cwd=tmp_path, env=ENVIRONMENT, status=1)
    other = [*given[:-1], "true --token another-word"]
    refused = look(*other, cwd=tmp_path, env=ENVIRONMENT, status=2).stderr
    assert "made differently" in refused and "check: " in refused and "-word" not in refused
    # An earlier version recorded it.
    manifest = json.loads(file.read_text())
    manifest["settings"]["check"] = given[-1]
    file.write_text(json.dumps(manifest))
    look(*given, cwd=tmp_path, env=ENVIRONMENT, status=1)
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    "given",
    [
        ("--extra-body", '{"api_key": "sk-wrong-0123456789"'),
        ("--extra-body", "api_key=sk-wrong-0123456789"),
        ("--extra-body", 'nobody={"api_key": "sk-wrong-0123456789"}'),
        ("--base-url", "https://user:sk-wrong-0123456789@host/v1"),
        ("--base-url", "ftp://host/v1?key=sk-wrong-0123456789"),
        ("--base-url", "nobody=https://host/v1?key=sk-wrong-0123456789"),
        ("--settings", "list.toml"),
        ("--settings", "text.toml"),
        ("--settings", "table.toml"),
    ],
)
def test_no_message_about_settings_shows_a_key(given: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "data.json", RECORDS)
    (tmp_path / "list.toml").write_text('base_url = {a = "sk-wrong-0123456789"}\n')
    (tmp_path / "text.toml").write_text('extra_body = "sk-wrong-0123456789"\n')
    (tmp_path / "table.toml").write_text(
        'role_base_urls = "http://u:sk-wrong-0123456789@h"\nmodel="openai:m"\n'
    )
    more = ("--base-url", "judge=http://h/v1") if given[1] == "table.toml" else ()
    refused = look("evolve", "data.json", "-o", "run", *given, *more, cwd=tmp_path, status=2)
    assert "wrong" not in refused.stderr and "Error: " in refused.stderr


def test_settings_in_a_notebook_show_no_key() -> None:
    settings = coevol.Settings(
        model="openai:m", base_url=(f"https://h/{IN_PATH}/v1?key={IN_QUERY}",), extra_body={"token": IN_BODY}
    )
    assert not leaks(repr(settings)) and not leaks(str(settings)) and "openai:m" in repr(settings)
    with pytest.raises(ValidationError) as refused:
        coevol.Settings(model="openai:m", base_url=(f"https://u:{IN_QUERY}@h/v1",), extra_body={"n": KEY})
    assert not leaks(str(refused.value))


def test_a_traceback_and_a_log_show_no_key(
    server: Anywhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    def broken(*_: object, **__: object) -> None:
        logging.StreamHandler().emit(logging.LogRecord("x", 40, "f", 1, " ".join(SECRETS[:3]), (), None))
        raise RuntimeError(f"it failed with {' '.join(SECRETS)}")

    write(tmp_path / "data.json", RECORDS)
    monkeypatch.setattr("runners.api.execute_in_own_loop", broken)
    ended = look(*words(server), cwd=tmp_path, env=ENVIRONMENT, status=1).stderr
    assert "Traceback" in ended and "it failed with [OPENAI_API_KEY]" in ended
    assert not leaks(ended)
