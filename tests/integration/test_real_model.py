"""A run with a real chat model, small enough for any machine: what holds whatever a model says."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from ledger.ledger import Ledger, SampleResults
from models.errors.kinds import CONTROL_TOKENS, EMPTY, TRUNCATED
from tests.llama_server import GGUF, LlamaServer, free_port
from tests.program import ROOT, coevol, write

MAX_TOKENS = 40

ONE_LINE = ("--extra-body", json.dumps({"stop": ["\n"]}))
"""Ends each reply with its first line. Left to itself a small model writes up to the limit, and no judge sees
a draft that is cut there."""

RECORDS = [
    {"instruction": "Name a fruit that is yellow.", "input": "", "output": "Apple."},
    {"instruction": "Translate into English.", "input": "Guten Morgen", "output": "Good night"},
    {"instruction": "Write one sentence about rain.", "input": "", "output": "Rain."},
    {"instruction": "说出一种水果。", "input": "", "output": "白菜"},
]

pytestmark = pytest.mark.skipif(not GGUF.exists(), reason=f"there is no {GGUF.relative_to(ROOT)}")

FAILURES = {kind.key for kind in (TRUNCATED, EMPTY, CONTROL_TOKENS)}
"""The kinds of failure that are a small model's own fault."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with LlamaServer(tmp_path_factory.mktemp("llama") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def folder(server: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records and a finished `run` over them, made with the words that `serve` printed."""
    folder = tmp_path_factory.mktemp("real")
    write(folder / "data.json", RECORDS)
    evolve(server, folder, status=None)
    return folder


def evolve(server: LlamaServer, folder: Path, status: int | None) -> str:
    advice = server.output[-1].removeprefix("In another terminal: ")
    program, *words = shlex.split(advice)
    assert program == "coevol"
    swapped = {"examples/alpaca_en.json": "data.json", "runs/local": "run"}
    words = [swapped.get(word, word) for word in words]
    limits = ("--max-rounds", 1, "--max-tokens", MAX_TOKENS, *ONE_LINE)
    return coevol(*words, *limits, cwd=folder, status=status, timeout=1200).stderr


def test_every_sample_is_done_or_failed_for_a_named_reason(folder: Path) -> None:
    found = [result for _, by_mode in samples(folder) for result in by_mode.values()]
    assert len(found) == len(RECORDS)
    for result, record in zip(found, RECORDS, strict=True):
        (exchange,) = result.outcome
        assert exchange["original"] == record["output"]
        if result.status == "failed":
            assert result.failure_kind in FAILURES, result.reason
            assert result.reason
            assert exchange["response"] == record["output"]
        else:
            assert result.status == "done"
            assert exchange["response"].strip()


def test_nothing_is_accepted_without_a_readable_verdict(folder: Path) -> None:
    for _, by_mode in samples(folder):
        (exchange,) = by_mode["evolve"].outcome
        for round_ in exchange["rounds"]:
            verdicts = [round_[order] for order in ("forward", "reversed") if round_[order]]
            if round_["accepted"]:
                assert any(verdict["points"] for verdict in verdicts), round_
                assert round_["draft"].strip()


def test_every_call_is_recorded_with_its_tokens(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "run" / "ledger.sqlite")) as ledger:
        made = ledger.execute(
            "SELECT step, finish_reason, input_tokens, output_tokens, cached_tokens FROM calls"
        ).fetchall()
    assert len(made) >= 2 * len(RECORDS)
    assert {step for step, *_ in made} >= {"positive_opening", "critical_opening"}
    for step, finish, prompt, reply, cached in made:
        assert finish in ("stop", "length"), step
        assert 0 <= reply <= MAX_TOKENS, step
        assert 0 <= cached < prompt, step
    # Calls of a sample begin alike, and llama.cpp keeps what it has computed.
    assert any(cached > prompt / 2 for _, _, prompt, _, cached in made)


def test_the_export_is_readable(folder: Path) -> None:
    coevol("export", "run", "-o", "better.json", cwd=folder)
    after = json.loads((folder / "better.json").read_text(encoding="utf-8"))
    responses = [by_mode["evolve"].outcome[0]["response"] for _, by_mode in samples(folder)]
    assert [record["output"] for record in after] == responses
    assert [{**record, "output": ""} for record in after] == [{**record, "output": ""} for record in RECORDS]


def test_the_finished_run_makes_no_call(server: LlamaServer, folder: Path) -> None:
    assert " 0 calls" in evolve(server, folder, status=None)


def test_a_check_says_what_a_run_can_expect(server: LlamaServer, folder: Path) -> None:
    model = ("--model", "openai:small", "--base-url", server.base_url, "--max-tokens", MAX_TOKENS)
    # So small a model may copy the three verdicts, which is none.
    found = coevol("check", *model, "--timeout", 600, cwd=folder, status=None).stdout
    assert re.search(r"^  ok  call +answered in", found, re.MULTILINE)
    assert re.search(r"^  (ok|NO)  verdict ", found, re.MULTILINE)
    assert re.search(r"^  ok  context +4,096 tokens", found, re.MULTILINE)
    assert re.search(r"^  ok  verdict's form +held to the form", found, re.MULTILINE)


def test_more_context_than_the_model_has_is_refused(tmp_path: Path) -> None:
    words = ("serve", GGUF, "--port", free_port(), "--slots", 1, "--context", 40_000)
    refused = coevol(*words, cwd=tmp_path, status=2).stderr
    assert "was made for a context of" in refused
    assert "less than --context 40000" in refused
    assert refused.count("Error: ") == 1


def test_ctrl_c_ends_the_server(tmp_path: Path) -> None:
    with LlamaServer(tmp_path / "log") as server:
        status, errors = server.stop()
    assert (status, errors) == (0, "")


def test_the_local_demo_runs(tmp_path: Path) -> None:
    if not (Path(sys.prefix) / "local").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this environment was not made by make")
    run = tmp_path / "run"
    words = [f"VENV={sys.prefix}", f"MODEL={GGUF}", f"LOCAL={run}", "OPTIONS=--mode edit --max-tokens 24"]
    made = ["make", "demo-local", *words]
    ended = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert f"serving small at {server_url(ended.stdout)}" in ended.stdout
    assert "3/3 samples" in ended.stderr
    assert "Results" in ended.stdout and "leap-years" in ended.stdout
    with pytest.raises(OSError, match="refused"):
        urlopen(server_url(ended.stdout) + "/models", timeout=5)


def server_url(output: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/v1", output)
    assert found, output
    return found[0]


def samples(folder: Path) -> list[SampleResults]:
    return list(Ledger.open(folder / "run" / "ledger.sqlite").samples())
