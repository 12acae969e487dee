"""The command to go on with after a trial."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from models.settings import Limits
from reporting.recorded_trial import RecordedTrial
from reporting.trial_manifest import DepthFacts, write_trial_manifest
from runners.command_settings import settings_from
from runners.evolve import evolve
from runners.trial import trial
from runners.trial_plan import make_trial_plan
from runners.trial_run import prepare
from tests.program import records, write

READING = ("form", "columns", "improve", "reference", "skip_bad", "max_record_size")


def given(command: Any, words: list[str]) -> dict[str, Any]:
    return dict(command.make_context(command.name, [*words]).params)


def made(data: Path, folder: Path, *words: str) -> tuple[dict[str, Any], RecordedTrial]:
    """Return what a command is given, and its trial as it begins."""
    values = given(trial, [str(data), "-o", str(folder), "--referee", "glm:glm-4.6", *words])
    settings, _ = settings_from(values, values["referees"])
    reading = {name: values[name] for name in READING if name != "form"}
    plan = make_trial_plan(data, settings, Limits(), samples=10, format=values["form"], **reading)
    manifest = prepare(plan, folder)
    folder.mkdir()
    write_trial_manifest(folder, manifest)
    return values, RecordedTrial(folder)


ALL = (
    *("--model", "openai:gpt-4o-mini", "--base-url", "http://h:1/v1", "--base-url", "http://h:2/v1"),
    *("--model", "judge=vllm:a", "--model", "judge=vllm:b", "--base-url", "judge_2=http://h:3/v1"),
    *("--extra-body", '{"min_tokens": 20}', "--extra-body", 'editor={"top_k": 3}'),
    *("--verdict", "score", "--max-rounds", "5", "--editor-persona", 'A writer\'s "friend" – $HOME'),
    *(
        "--guards",
        "off",
        "--no-clean",
        "--temperature",
        "default",
        "--draft-temperature",
        "0.7",
        "--seed",
        "4",
    ),
    *("--price", "openai:gpt-4o-mini=1,0.5,2", "--price", "glm:glm-4.6=0.6,0.1,2.2", "--thoughts", "drop"),
    *("--lazy-judge", "--timeout", "99", "--max-tokens", "300", "--memory-window", "2", "--check", "true -x"),
)


@pytest.mark.parametrize("words", [(), ALL, ALL[:2]], ids=["defaults", "all", "model"])
def test_the_command_to_go_on_with_has_all_settings_of_the_trial(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    values, found = made(write(tmp_path / "my data.json", records(12)), tmp_path / "t", *words)
    program, command, *rest = shlex.split(found.command("evolve"))
    assert (program, command) == ("coevol", "evolve")
    again = given(evolve, rest)
    assert again["modes"] == ("evolve",) and again["data"] == str(tmp_path / "my data.json")
    settings, _ = settings_from(again)
    before, _ = settings_from(values, values["referees"])
    expected = before.model_dump()
    for name in ("role_models", "role_base_urls", "role_extra_body"):
        expected[name].pop("referee", None)
    expected["price"].pop("glm:glm-4.6", None)  # which is the referee's
    assert settings.model_dump() == expected
    assert len(rest) == 5 or words


def test_its_rounds_are_those_of_the_arm(tmp_path: Path) -> None:
    _, found = made(write(tmp_path / "d.json", records(12)), tmp_path / "t", "--max-rounds", "5")
    found.manifest["depths"]["refine"] = DepthFacts(rounds=2, more=6)
    assert found.command("refine").endswith("d.json -o RUN --mode refine --max-rounds 3")
    assert found.command("evolve").endswith("d.json --max-rounds 5 -o RUN --mode evolve")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"ask": "A", "reply": "B"}, ("--columns", "request=ask,response=reply")),
        ({"prompt": "A", "chosen": "B", "rejected": "C"}, ("--improve", "rejected")),
        ({"instruction": "A", "output": "B", "label": True}, ("--improve", "chosen")),
        ({"instruction": "A", "output": "B", "right": "C"}, ("--reference", "right", "--skip-bad")),
        ({"instruction": "A", "output": "B"}, ("--format", "alpaca", "--max-record-size", "3")),
    ],
)
def test_it_reads_the_data_as_the_trial_did(
    record: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    values, found = made(write(tmp_path / "d.json", [record] * 12), tmp_path / "t", *words)
    again = given(evolve, shlex.split(found.command("edit"))[2:])
    assert {name: again[name] for name in READING} == {name: values[name] for name in READING}


def test_it_has_no_key(tmp_path: Path) -> None:
    words = ("--extra-body", '{"api_key": "sk-0123456789abcdef"}', "--model", "openai:m")
    _, found = made(write(tmp_path / "d.json", records(12)), tmp_path / "t", *words)
    assert "sk-0" not in found.command("edit") and "…" in found.command("edit")
