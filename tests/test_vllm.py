"""Runs against a real vLLM server with a tiny model, whose text is noise and whose protocol is real.

One server for the whole file, started with `coevol serve`. Left to itself the model never ends a reply, so
each is cut off at `--max-tokens`; `ENDING` makes it end.
"""

import json
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ledger.ledger import Ledger
from tests.program import DATA, coevol

KIT = DATA.parent / "vllm-cpu" / "setup"
START = 300.0
"""Seconds that the server may take to start; it takes about 80 where it has two processors to itself."""

ENDING = ("--extra-body", json.dumps({"min_tokens": 12, "logit_bias": {"1": 100}}))
"""Makes the tiny model end each reply after twelve tokens: its token 1 is the end."""


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a vLLM server that serves the model `tiny`."""
    if not KIT.exists():
        pytest.skip("there is no kit for a server here")
    built = subprocess.run([KIT], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    path = {"PATH": f"{built}/venv/bin{os.pathsep}{os.environ['PATH']}"}
    log = tmp_path_factory.mktemp("vllm") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from runners.cli import main; main()"),
                *("serve", f"{built}/tiny", "--port", str(port), "--", "--served-model-name", "tiny"),
                *("--dtype", "float32", "--max-model-len", "4096", "--block-size", "32"),
            ],
            env=os.environ | settings | path,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + START
        while not _healthy(port):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < ends, log.read_text()[-3000:]
            time.sleep(0.5)
        said = log.read_text().splitlines()
        assert shlex.split(said[0])[:7] == [
            f"{built}/venv/bin/vllm", "serve", f"{built}/tiny", "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        assert f"--model vllm:tiny --base-url http://127.0.0.1:{port}/v1" in said[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _healthy(port: int) -> bool:
    with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def evolve(
    vllm: str,
    folder: Path,
    *options: object,
    model: str = "tiny",
    data: Path | None = None,
    status: int = 0,
) -> str:
    """What `coevol evolve` says of a run over the server, into `run` in this folder."""
    words = ("--model", f"vllm:{model}", "--base-url", vllm, "--max-tokens", 64, *options)
    path = data or DATA / "alpaca_en_300.json"
    return coevol("evolve", path, "-o", "run", *words, cwd=folder, status=status).stderr


def results(folder: Path) -> list[Any]:
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return [result for _, by_mode in ledger.samples() for result in by_mode.values()]


def calls(folder: Path, columns: str) -> list[Any]:
    with sqlite3.connect(folder / "run" / "ledger.sqlite") as ledger:
        return ledger.execute(f"SELECT {columns} FROM calls ORDER BY number").fetchall()


def test_drafts_that_never_end_are_failures_and_are_on_record(vllm: str, tmp_path: Path) -> None:
    said = evolve(vllm, tmp_path, "--stop", 3, status=1)
    assert "3 failed" in said
    assert [result.status for result in results(tmp_path)] == ["failed"] * 3
    for result in results(tmp_path):
        assert result.reason.startswith("truncated: ")
        assert "Raise --max-tokens" in result.reason
        (exchange,) = result.outcome
        assert exchange["response"] == exchange["original"]
    made = calls(tmp_path, "step, finish_reason, output_tokens, failure IS NOT NULL")
    assert {(finish, tokens) for _, finish, tokens, _ in made} == {("length", 64)}
    assert Counter(step for step, *_, failed in made if failed) == {"editor": 3}


def test_twenty_records_are_evolved(vllm: str, tmp_path: Path) -> None:
    evolve(vllm, tmp_path, "--stop", 20, "--concurrency", 8, *ENDING)
    found = results(tmp_path)
    assert [result.status for result in found] == ["done"] * 20
    # The model writes noise, but its verdicts are held to their form.
    rounds = [round_ for result in found for round_ in result.outcome[0]["rounds"]]
    assert all(round_["forward"]["points"] and round_["reversed"]["points"] for round_ in rounds)
    made = calls(tmp_path, "step, finish_reason, attempts, input_tokens, output_tokens, cached_tokens")
    assert {row[1:3] for row in made} == {("stop", 1)}
    assert all(asked > 0 and said > 0 for *_, asked, said, _ in made)
    # The server says of every reply how much of the prompt it had in its cache, in blocks of 32 tokens; the
    # free debate begins with the whole opening.
    assert all(cached is not None and cached % 32 == 0 for *_, cached in made)
    free = [row for row in made if row[0] in ("positive_free", "critical_free")]
    assert all(cached > asked / 2 for *_, asked, _, cached in free)

    coevol("export", "run", "-o", "better.json", cwd=tmp_path)
    before = json.loads((DATA / "alpaca_en_300.json").read_text(encoding="utf-8"))[:20]
    after = json.loads((tmp_path / "better.json").read_text(encoding="utf-8"))
    responses = [result.outcome[0]["response"] for result in found]
    assert [record["output"] for record in after] == responses
    assert [{**record, "output": ""} for record in after] == [{**record, "output": ""} for record in before]
    assert "20" in coevol("stats", "run", cwd=tmp_path).stdout

    again = evolve(vllm, tmp_path, "--stop", 20, *ENDING)
    assert " 0 calls" in again


def test_what_does_not_fit_the_context_costs_its_sample_alone(vllm: str, tmp_path: Path) -> None:
    long = {"instruction": "Shorten this.", "input": "", "output": "many words " * 4000}
    short = {"instruction": "Name a fruit.", "input": "", "output": "Apple."}
    data = tmp_path / "data.json"
    data.write_text(json.dumps([short, long, short]), encoding="utf-8")
    said = evolve(vllm, tmp_path, *ENDING, data=data, status=1)
    assert "1 failed" in said
    assert [result.status for result in results(tmp_path)] == ["done", "failed", "done"]
    assert results(tmp_path)[1].reason.startswith("too long: ")


def test_a_debate_that_does_not_fit_the_context_is_shortened(vllm: str, tmp_path: Path) -> None:
    # Debaters end after 600 tokens of noise: four speeches are too much beside pack and record.
    speeches = json.dumps({"min_tokens": 600, "logit_bias": {"1": 100}})
    words = ("--extra-body", f"positive={speeches}", "--extra-body", f"critical={speeches}")
    evolve(vllm, tmp_path, "--stop", 2, "--max-rounds", 1, *ENDING, *words, "--max-tokens", 700)
    assert [result.status for result in results(tmp_path)] == ["done"] * 2
    made = calls(tmp_path, "step, shortened_to, attempts, input_tokens")
    assert {attempts for _, _, attempts, _ in made} == {1}
    advisors = [row for row in made if row[0] == "advisor"]
    assert len(advisors) == 2
    assert all(to and 3000 < tokens <= 4096 - 700 for _, to, _, tokens in advisors)
    assert "the debate was shortened" in coevol("stats", "run", cwd=tmp_path).stdout


def test_a_model_that_is_not_served_stops_the_run(vllm: str, tmp_path: Path) -> None:
    said = evolve(vllm, tmp_path, "--stop", 20, model="tinier", status=3)
    assert said.count("coevol: stopped: ") == 1
    assert "vllm:tinier" in said
    assert "Check the model's name" in said


def test_a_check_tells_what_the_server_is(vllm: str, tmp_path: Path) -> None:
    said = coevol("check", "--model", "vllm:tiny", "--base-url", vllm, *ENDING, cwd=tmp_path).stdout
    assert "4,096 tokens" in said


def test_without_vllm_serve_says_what_to_install(tmp_path: Path) -> None:
    refused = coevol("serve", "tiny", cwd=tmp_path, env={"PATH": str(tmp_path)}, status=2)
    assert "vllm is not installed: pip install 'coevol[vllm]'" in refused.stderr
