"""Every command over a run of hostile names, data, replies and errors, on a terminal: nothing commands it.

Where output is piped, click strips codes by itself, so only a terminal shows what would reach one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import coevol
from standin import StandIn
from tests.program import write
from tests.recorder import Messages, Recorder, Refused
from tests.terminal import HONEST, HOSTILE, commands_in, on_a_terminal

NAME = "\x1b]0;owned\x07\u202e\u200ex\x9b2J\r"
"""For files and folders, which cannot hold everything."""

SEEN = r"\x1b]52;c;b3duZWQ=\x07"

RECORDS = [
    {"id": HOSTILE, "instruction": HOSTILE, "input": HOSTILE, "output": HOSTILE, "system": HOSTILE},
    {"id": "refused", "instruction": "Say something withheld.", "output": HOSTILE},
    {"id": "honest", "instruction": HONEST, "output": HONEST},
]


def reply(messages: Messages, model: str) -> str:
    if "withheld" in json.dumps(messages):
        raise Refused(f"I will not. {HOSTILE}")
    return f"Assistant 1 {HOSTILE} {len(messages[-1]['content'])}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write(folder / f"{NAME}.json", RECORDS)
    write(folder / "broken.json", [{HOSTILE: HOSTILE}])
    write(folder / "lines.jsonl", 1).write_text('{"instruction": "a", "output": "b"}\n{"' + HOSTILE)
    write(folder / "skipped.json", [*RECORDS, {"id": HOSTILE, "instruction": 1, HOSTILE: 2}])
    (folder / "settings.toml").write_text(f"[{json.dumps(NAME)}]\nmodel = {json.dumps(NAME)}\n")
    (folder / "bad.toml").write_text(f"model = {NAME}\n")
    (folder / "pack").mkdir()
    for name in ("editor", NAME.replace("/", "")):
        (folder / "pack" / f"{name}.jinja").write_text(f"{{{{ {HOSTILE} }}}}")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Recorder]:
    with Recorder(reply) as server:
        yield server


def test_no_message_of_any_command_commands_the_terminal(folder: Path, server: Recorder) -> None:
    data, run = f"{NAME}.json", f"run {NAME}"
    models = ("--model", f"openai:{HOSTILE}", "--base-url", server.base_url)
    evolve = ("evolve", data, "-o", run, *models, "--max-rounds", 1, "--judge-retries", 0, "--guards", "off")
    commands: list[tuple[object, ...]] = [
        ("check", *models),
        (*evolve, "--dry-run"),
        (*evolve, "--mode", "evolve", "--mode", "edit"),
        ("stats", run),
        ("stats", run, "--json"),
        ("stats", run, run),
        ("show", run, HOSTILE, "--calls"),
        ("show", run, "refused"),
        ("show", run, "honest"),
        ("show", run, f"unknown {NAME}"),
        ("export", run, "-o", f"out {NAME}.jsonl", "--to", "trl-sft"),
        ("export", run, "-o", data),
        ("export", run, "-o", f"out {NAME}"),
        ("graph", run, "-o", f"graph {NAME}.mmd"),
        ("graph", run, HOSTILE),
        ("graph", run, "--format", "ascii"),
        ("graph", NAME),
        ("report", run, "-o", f"report {NAME}.html"),
        ("report", run, "-o", f"report.{NAME}"),
        ("evolve", "broken.json", "-o", "other", *models),
        ("evolve", "lines.jsonl", "-o", "other", *models),
        ("evolve", "skipped.json", "-o", "other", *models, "--skip-bad", "--dry-run"),
        ("evolve", f"none {NAME}", "-o", "other", *models),
        ("evolve", data, "-o", "other", "--settings", "settings.toml"),
        ("evolve", data, "-o", "other", "--settings", "bad.toml"),
        ("evolve", data, "-o", "other", "--prompts", "pack"),
        ("evolve", data, "-o", "other", "--prompts", NAME),
        ("evolve", data, "-o", "other", "--columns", f"request={NAME}"),
        ("evolve", data, "-o", "other", "--tokenizer", NAME),
        ("evolve", data, "-o", "other", "--extra-body", NAME),
        ("evolve", data, "-o", "other", "--base-url", NAME),
        ("evolve", data, "-o", "other", f"--{NAME}"),
        (NAME,),
        ("serve", f"{NAME}.gguf"),
        ("view", f"{NAME}.json"),
        ("view", run, NAME),
    ]
    written = on_a_terminal(*commands, cwd=folder, env=server_environment())
    for words, text in zip(commands, written, strict=True):
        assert not commands_in(text), (words, text)
    of = dict(zip(map(str, range(len(commands))), written, strict=True))
    for number in (0, 2, 6, 19):  # what is hostile did get there
        assert SEEN in of[str(number)].replace("\r\n", ""), (commands[number], of[str(number)])
    assert r"\x1b]0;owned\x07" in of["3"]
    shown = " ".join(of["8"].split())
    assert " ".join(HONEST.split()) in shown


def server_environment() -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-hostile-0123456789abcdef", "NO_COLOR": ""}


def test_what_ends_a_run_commands_nothing(folder: Path) -> None:
    with StandIn(f"invalid_key:message={HOSTILE.replace(',', ' ')}") as server:
        models = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        (ended,) = on_a_terminal(
            ("evolve", f"{NAME}.json", "-o", "stopped", *models), cwd=folder, env=server.environment()
        )
    assert "\nended 3" in ended and SEEN in ended.replace("\r\n", "")
    assert not commands_in(ended)


def test_an_internal_error_a_log_and_a_warning_command_nothing(folder: Path) -> None:
    before = f"""
import logging, warnings, runners.stats
def broken(*_):
    logging.getLogger("library").warning({HOSTILE!r})
    warnings.warn({HOSTILE!r})
    raise RuntimeError({HOSTILE!r})
runners.stats.open_run = broken
"""
    (ended,) = on_a_terminal(("stats", "run"), cwd=folder, before=before)
    assert "\nended 1" in ended and ended.replace("\r\n", "").count(SEEN) >= 3 and "Traceback" in ended
    assert not commands_in(ended)


def test_a_servers_own_log_commands_nothing(folder: Path) -> None:
    program = folder / "bin" / "vllm"
    program.parent.mkdir()
    lines = [
        f"sys.stdout.write({HOSTILE!r} + chr(10))",
        "sys.stderr.write('loading\\r50 %\\r\\n' + sys.argv[1])",
    ]
    program.write_text("\n".join(["#!/usr/bin/env python3", "import sys", *lines]), encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    # The server takes the place of the command, so the terminal has its words only.
    (written,) = on_a_terminal(("serve", NAME), cwd=folder, env={"PATH": path}, becomes=True)
    assert SEEN in written and "coevol evolve DATA" in written
    assert "loading\r\n50 %\r\nserve" in written
    assert not commands_in(written)


def test_errors_and_notices_of_the_python_api_command_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(coevol.DataError) as broken:
        coevol.run(folder / "broken.json", tmp_path / "run")
    notices: list[str] = []
    with (
        StandIn(f"invalid_key:message={HOSTILE.replace(',', ' ')}") as server,
        pytest.MonkeyPatch.context() as env,
    ):
        env.setenv("OPENAI_API_KEY", server.key("openai"))
        settings = coevol.Settings(model=f"openai:{HOSTILE}", base_url=(server.base_url("openai"),), seed=1)
        with pytest.raises(coevol.RunStopped) as stopped:
            coevol.run(folder / f"{NAME}.json", tmp_path / "run", settings, notify=notices.append)
    assert SEEN in str(stopped.value) and "\\x1b" in str(broken.value)
    for text in (str(broken.value), str(stopped.value), *notices):
        assert not commands_in(text)
