"""Exports for trainers, loaded by the trainers' own code: they train on what the run holds.

`make trainers` installs them into an environment of their own, where tests/in_trainers.py loads the files.
OpenAI's loader is not public: the types of its SDK replace it.
"""

import json
import os
import subprocess
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from samples.sample import Exchange
from tests.conftest import evolved, look
from tests.program import DATA, ROOT

TRAINERS = ROOT / ".venv-trainers"

PARTICULAR: list[dict[str, Any]] = [
    {
        "id": f"particular/{number}",
        "messages": [
            {"role": "system", "content": "  Be brief. "},
            {
                "role": "user",
                "content": 'Say "{{ hello }}"\u2028twice,\n\n\twith a \\ and an \u202eend\u202c.',
            },
            {
                "role": "assistant",
                "content": "\n {% raw %}“hello”, 你好 👋🏽 — مرحبا {{ hello }}\r\n<|user|> null \n",
            },
            {"role": "user", "content": "null"},
            {"role": "assistant", "content": "0"},
            {"role": "user", "content": "And then?"},
        ][number % 2 :],
    }
    for number in range(4)
]
"""Conversations, half of them with a system message, with texts that may break a loader or a template."""


Turn = tuple[str, str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Rehearsed runs over particular records and our data sets."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "particular.json").write_text(json.dumps(PARTICULAR), encoding="utf-8")
    data = [folder / "particular.json", *sorted(DATA.glob("*.json"))]
    for file in data:
        look("evolve", file, "-o", file.stem, "--stop", 8, "--max-rounds", 2, cwd=folder)
    return [folder / file.stem for file in data]


@pytest.mark.parametrize(
    ("trainer", "formats"),
    [
        ("trl", ("trl-sft", "trl-dpo")),
        ("llamafactory", ("llamafactory", "llamafactory-dpo")),
        ("axolotl", ("axolotl",)),
    ],
)
def test_a_trainer_loads_the_conversations_and_learns_the_responses(
    runs: list[Path], tmp_path: Path, trainer: str, formats: tuple[str, ...]
) -> None:
    expected: dict[str, list[Any]] = {}
    endings, columns = cycle(("json", "jsonl", "parquet")), cycle(((), ("--with-provenance",)))
    for run in runs:
        for to in formats:
            name = f"{run.name}.{to}"
            pairs = ("--pairs", "all") if to.endswith("dpo") else ()
            words = ("-o", f"{name}.{next(endings)}", "--to", to, *pairs, *next(columns))
            look("export", run, *words, cwd=tmp_path)
            expected[name] = preferred(run, tmp_path / "plain") if pairs else spoken(run)
    taken = take(trainer, list(expected), tmp_path)
    for name, records in expected.items():
        for found, (before, answers) in zip(taken[name], records, strict=True):
            if name.endswith("dpo"):
                asked, *parts = found
                assert asked == chatml(before) + "<|im_start|>assistant\n"
            else:
                whole, parts = found
                assert whole.rstrip("\n") == chatml(before).rstrip("\n")
            # Some learn the end of line after the end of a turn, too.
            assert [part.removesuffix("\n") for part in parts] == [f"{text}<|im_end|>" for text in answers]


def test_openai_accepts_the_lines_as_messages(runs: list[Path], tmp_path: Path) -> None:
    message = TypeAdapter(list[ChatCompletionMessageParam])
    for run in runs:
        look("export", run, "-o", f"{run.name}.jsonl", "--to", "openai", cwd=tmp_path)
        lines = (tmp_path / f"{run.name}.jsonl").read_bytes().splitlines()
        for line, (turns, _) in zip(lines, spoken(run), strict=True):
            given = json.loads(line)["messages"]
            assert [(turn["role"], turn["content"]) for turn in given] == turns
            message.validate_python(given, strict=True)


def spoken(run: Path) -> list[tuple[list[Turn], list[str]]]:
    """Return each conversation of a run, and its final responses."""
    found = []
    for sample, outcome in evolved(run):
        responses = {number: exchange.response for number, exchange in enumerate(sample.exchanges)}
        responses |= {done["exchange"]: done["response"] for done in outcome}
        turns = [("system", sample.system)] if sample.system else []
        for exchange, response in zip(sample.exchanges, responses.values(), strict=True):
            turns += [("user", request(exchange)), ("assistant", response)]
        if all(text.strip() for text in responses.values()):
            found.append((turns, list(responses.values())))
    return found


def preferred(run: Path, folder: Path) -> list[tuple[list[Turn], list[str]]]:
    """Return the prompt of each pair of a run, and its two responses, from plain JSON."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{run.name}.json"
    look("export", run, "-o", file, "--to", "trl-dpo", "--pairs", "all", cwd=folder)
    return [
        (
            [(turn["role"], turn["content"]) for turn in pair["prompt"]],
            [pair[side][0]["content"] for side in ("chosen", "rejected")],
        )
        for pair in json.loads(file.read_text(encoding="utf-8"))
    ]


def request(exchange: Exchange) -> str:
    return f"{exchange.instruction}\n{exchange.input}" if exchange.input else exchange.instruction


def chatml(turns: list[Turn]) -> str:
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)


def take(trainer: str, names: list[str], folder: Path) -> dict[str, list[Any]]:
    """Return what a trainer loads from the exports in a folder."""
    if not (TRAINERS / "ready").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "the trainers are not installed: run `make trainers`"
        )
    command = [str(TRAINERS / "bin" / "python"), str(ROOT / "tests" / "in_trainers.py"), trainer, *names]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert ended.returncode == 0, ended.stderr[-4000:]
    taken: dict[str, list[Any]] = json.loads((folder / "taken.json").read_text(encoding="utf-8"))
    return taken
