"""The settings of the paper's runs, and that their requests are the method's, call by call."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger, Result
from models.settings import ROLES
from tests.conftest import look
from tests.integration.test_method import (
    BY_MODE,
    LOSES,
    WINS,
    Agents,
    Shape,
    by_step,
    conversation,
    responses,
    rounds,
)
from tests.program import DATA, EXAMPLES, write
from tests.recorder import Recorder

PAPER = EXAMPLES / "paper"
FILES = sorted(path.name for path in PAPER.glob("*.toml"))
CALLS_A_ROUND = 8
ONE_PASS = {"edit": 1, "advise-blind": 2, "advise": 2, "debate": 6}
"""Calls of the modes without a judge."""

ALPACA = {"id": "a", "instruction": "ask#1#", "input": "input#1#", "output": "answer#1#"}


def commands() -> list[list[str]]:
    text = (PAPER / "README.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^coevol (evolve .*)$", text, re.MULTILINE)]


def run(tmp_path: Path, words: list[str], *more: object) -> Path:
    """Carry out a command of the folder's README in an empty folder with data of ours; return its run."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    for name, source in (("alpaca", "alpaca_en_40"), ("deita", "sharegpt_multi_30")):
        records = json.loads((DATA / f"{source}.json").read_text(encoding="utf-8"))
        write(tmp_path / f"{name}.json", records[:6])
    one = [record for record in records if len(record["conversations"]) == 2]
    write(tmp_path / "deita_single.json", one[:6])
    look(*words, "--model", "rehearsal:", *more, cwd=tmp_path)
    return tmp_path / words[words.index("-o") + 1]


def test_every_settings_file_has_a_command() -> None:
    assert sorted(Path(words[words.index("--settings") + 1]).name for words in commands()) == FILES
    assert len(FILES) == 5


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[3])
def test_each_run_rehearsed_makes_the_calls_of_the_method(tmp_path: Path, words: list[str]) -> None:
    ledger = Ledger.open(run(tmp_path, words, "--rehearsal-wins", 1) / "ledger.sqlite")
    results = [
        (sample.id, mode, result) for sample, by_mode in ledger.samples() for mode, result in by_mode.items()
    ]
    assert results
    for id, mode, result in results:
        assert result.status == "done"
        calls = [call for call in ledger.calls(id) if call["mode"] == mode]
        judged = sum(len(done["rounds"]) for done in result.outcome) * CALLS_A_ROUND
        assert len(calls) == ONE_PASS.get(mode, judged)
        assert all(call["asked"] == 1 for call in calls)
        if mode in ONE_PASS:
            assert {mode for _, mode, _ in results} == set(ONE_PASS)
    if "deita.json" in words:
        assert any(result.exchanges > 1 for _, _, result in results)


def evolve(
    tmp_path: Path, server: Recorder, file: str, record: dict[str, Any], *options: object
) -> dict[str, Result]:
    """Evolve a record over HTTP with the settings of a file, each role's model named like the role."""
    data = write(tmp_path / "data.json", [record])
    models = [f"--model={role}=openai:{role}" for role in ROLES]
    urls = [f"--base-url={role}={server.base_url}" for role in ROLES]
    given = ("--settings", PAPER / file, *models, *urls, *options)
    look("evolve", data, "-o", "run", *given, cwd=tmp_path, env={"OPENAI_API_KEY": "sk-not-a-real-key"})
    found = Ledger.open(tmp_path / "run" / "ledger.sqlite").sample(record["id"])
    assert found
    return found[1]


LOOPS = [file for file in FILES if file != "alpaca_modes.toml"]


@pytest.mark.parametrize("file", LOOPS)
def test_the_requests_of_the_loop(tmp_path: Path, file: str) -> None:
    single = file.startswith("alpaca") or "single" in file
    record = ALPACA if file.startswith("alpaca") else conversation(1 if single else 3)
    with Recorder(Agents(WINS, LOSES, WINS, LOSES, LOSES)) as server:
        result = evolve(tmp_path, server, file, record)["evolve"]
    request = ["ask#1#", "input#1#"] if record is ALPACA else ["ask#1#"]
    assert by_step(server.asked) == expected(single, request)
    assert len(server.asked) == CALLS_A_ROUND * (2 if single else 5)
    assert result.status == "done"
    for sent in (one.body for one in server.asked):
        assert (sent["temperature"], sent["top_p"]) == (0, 1)
        assert 1000 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def expected(single: bool, request: list[str]) -> dict[str, list[Shape]]:
    """Return what the agents see: the first exchange in two rounds, and, of a conversation, the others."""
    first = [(request, "answer#1#"), (request, "editor#1#")]
    if single:
        return rounds(*first)
    second = ["ask#1#", "editor#1#", "ask#2#"]
    third = ["ask#1#", "editor#1#", "ask#2#", "editor#3#", "ask#3#"]
    return rounds(*first, (second, "answer#2#"), (second, "editor#3#"), (third, "answer#3#"))


def test_the_requests_of_the_separate_modes(tmp_path: Path) -> None:
    with Recorder(Agents()) as server:
        modes = [f"--mode={mode}" for mode in ONE_PASS]
        results = evolve(tmp_path, server, "alpaca_modes.toml", ALPACA, *modes)
    assert len(server.asked) == sum(ONE_PASS.values())
    assert set(results) == set(ONE_PASS)
    wanted: dict[str, list[Shape]] = {}
    for mode in ONE_PASS:
        for step, seen in BY_MODE[mode].items():
            wanted.setdefault(step, []).append(seen)
    assert unnumbered(by_step(server.asked)) == unnumbered(wanted)


def unnumbered(seen: dict[str, list[Shape]]) -> dict[str, list[Shape]]:
    """Return what each step saw without the numbers of the marks, sorted: which mode asks first is left to
    chance."""

    def plain(shape: Shape) -> Shape:
        return [(role, [mark.split("#")[0] for mark in marks]) for role, marks in shape]

    return {step: sorted(map(plain, shapes)) for step, shapes in seen.items()}


@pytest.mark.parametrize("file", LOOPS)
def test_nothing_is_added_to_the_method(tmp_path: Path, file: str) -> None:
    draft = "Here is the revised response:\n\n{}"
    with Recorder(Agents(WINS, ("?", "!"), draft=draft)) as server:
        result = evolve(tmp_path, server, file, conversation(1))["evolve"]
    # Drafts stay as written, and an unreadable verdict ends the exchange without being asked for again.
    assert responses(result) == [draft.format("editor#1#")]
    assert result.outcome[0]["ending"] == "judge_error"
    assert len(server.asked) == 2 * CALLS_A_ROUND


@pytest.mark.parametrize("file", LOOPS)
def test_a_draft_that_is_the_current_response_is_judged(tmp_path: Path, file: str) -> None:
    with Recorder(Agents(LOSES, draft="answer#1#")) as server:
        result = evolve(tmp_path, server, file, conversation(1))["evolve"]
    assert len(server.asked) == CALLS_A_ROUND
    assert result.outcome[0]["ending"] == "not_accepted"


def test_drafts_are_cleaned_otherwise(tmp_path: Path) -> None:
    with Recorder(Agents(WINS, draft="Here is the revised response:\n\n{}")) as server:
        result = evolve(tmp_path, server, "alpaca_loop.toml", ALPACA, "--clean", "--max-rounds=1")["evolve"]
    assert responses(result) == ["editor#1#"]


@pytest.mark.parametrize("file", FILES)
def test_a_settings_file_names_what_the_paper_says(file: str) -> None:
    given = tomllib.loads((PAPER / file).read_text(encoding="utf-8"))
    assert (given["temperature"], given["top_p"], given["max_tokens"], given["max_rounds"]) == (0, 1, 1000, 3)
    assert 10 <= given["concurrency"] <= 100
    if "multi" in file:
        assert (given["history_window"], given["max_conversation_tokens"]) == (3, 8192)
