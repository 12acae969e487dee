"""Runs against real vLLM servers with a tiny model, whose text is noise but whose protocol is real.

Left to itself the model never ends a reply, so each is cut off at `--max-tokens`; `ENDING` makes it end.
"""

import json
import shlex
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from coevol import load_trial
from ledger.ledger import Ledger
from tests.conftest import look
from tests.program import DATA, coevol
from tests.vllm_server import MODEL, VLLM, VllmServer, require_vllm, reward_model

ENDING = ("--extra-body", json.dumps({"min_tokens": 12, "logit_bias": {"1": 100}}))
"""Makes the tiny model end each reply after twelve tokens: its token 1 is the end."""

Servers = tuple[VllmServer, VllmServer]


@pytest.fixture(scope="session")
def vllm(vllm_servers: Servers) -> str:
    """The base URL of a vLLM server with the model `tiny`."""
    server, _ = vllm_servers
    command, advice = server.output()[:2]
    started = [f"{VLLM}/bin/vllm", "serve", str(MODEL), "--host", "127.0.0.1", "--port", str(server.port)]
    assert shlex.split(command)[:7] == started
    assert f"--model vllm:tiny --base-url {server.base_url}" in advice
    return server.base_url


def evolve(
    vllm: str,
    folder: Path,
    *options: object,
    model: str = "tiny",
    data: Path | None = None,
    status: int = 0,
) -> str:
    """Run `coevol evolve` with the server, into `run` in this folder; return its error output."""
    words = ("--model", f"vllm:{model}", "--base-url", vllm, "--max-tokens", 64, *options)
    path = data or DATA / "alpaca_en_40.json"
    return look("evolve", path, "-o", "run", *words, cwd=folder, status=status).stderr


def results(folder: Path) -> list[Any]:
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return [result for _, by_mode in ledger.samples() for result in by_mode.values()]


def calls(folder: Path, columns: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "run" / "ledger.sqlite")) as ledger:
        return ledger.execute(f"SELECT {columns} FROM calls ORDER BY number").fetchall()


def test_drafts_that_never_end_are_recorded_failures(vllm: str, tmp_path: Path) -> None:
    output = evolve(vllm, tmp_path, "--stop", 3, status=1)
    assert "3 failed" in output
    assert [result.status for result in results(tmp_path)] == ["failed"] * 3
    for result in results(tmp_path):
        assert result.failure_kind == "truncated"
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
    # The model writes noise, but its verdicts are constrained to their form.
    rounds = [round_ for result in found for round_ in result.outcome[0]["rounds"]]
    assert all(round_["forward"]["points"] and round_["reversed"]["points"] for round_ in rounds)
    made = calls(tmp_path, "step, finish_reason, attempts, input_tokens, output_tokens, cached_tokens")
    assert {row[1:3] for row in made} == {("stop", 1)}
    assert all(prompt > 0 and reply > 0 for *_, prompt, reply, _ in made)
    # The server reports how much of each prompt was cached, in blocks of 32 tokens; the free debate begins
    # with the whole opening.
    assert all(cached is not None and cached % 32 == 0 for *_, cached in made)
    free = [row for row in made if row[0] in ("positive_free", "critical_free")]
    assert all(cached > prompt / 2 for *_, prompt, _, cached in free)

    look("export", "run", "-o", "better.json", cwd=tmp_path)
    before = json.loads((DATA / "alpaca_en_40.json").read_text(encoding="utf-8"))[:20]
    after = json.loads((tmp_path / "better.json").read_text(encoding="utf-8"))
    responses = [result.outcome[0]["response"] for result in found]
    assert [record["output"] for record in after] == responses
    assert [{**record, "output": ""} for record in after] == [{**record, "output": ""} for record in before]
    assert "20" in look("stats", "run", cwd=tmp_path).stdout

    again = evolve(vllm, tmp_path, "--stop", 20, *ENDING)
    assert " 0 calls" in again


def test_a_sample_that_does_not_fit_the_context_fails_alone(vllm: str, tmp_path: Path) -> None:
    long = {"instruction": "Shorten this.", "input": "", "output": "many words " * 4000}
    short = {"instruction": "Name a fruit.", "input": "", "output": "Apple."}
    data = tmp_path / "data.json"
    data.write_text(json.dumps([short, long, short]), encoding="utf-8")
    output = evolve(vllm, tmp_path, *ENDING, data=data, status=1)
    assert "1 failed" in output
    assert [result.status for result in results(tmp_path)] == ["done", "failed", "done"]
    assert results(tmp_path)[1].failure_kind == "too long"


def test_a_debate_that_does_not_fit_the_context_is_shortened(vllm: str, tmp_path: Path) -> None:
    # Debaters end after 720 tokens of noise: four speeches are too much next to pack and record.
    speeches = json.dumps({"min_tokens": 720, "logit_bias": {"1": 100}})
    words = ("--extra-body", f"positive={speeches}", "--extra-body", f"critical={speeches}")
    evolve(vllm, tmp_path, "--start", 2, "--stop", 4, "--max-rounds", 1, *ENDING, *words, "--max-tokens", 800)
    assert [result.status for result in results(tmp_path)] == ["done"] * 2
    made = calls(tmp_path, "step, shortened_to, attempts, input_tokens")
    assert {attempts for _, _, attempts, _ in made} == {1}
    advisors = [row for row in made if row[0] == "advisor"]
    assert len(advisors) == 2
    assert all(to and 2900 < tokens <= 4096 - 800 for _, to, _, tokens in advisors)
    assert "debate was shortened to fit in 2 prompts" in look("stats", "run", cwd=tmp_path).stdout


def test_a_model_that_is_not_served_stops_the_run(vllm: str, tmp_path: Path) -> None:
    output = evolve(vllm, tmp_path, "--stop", 20, model="tinier", status=3)
    assert output.count("coevol: stopped: ") == 1
    assert "vllm:tinier" in output
    assert "Check the model's name" in output


def test_a_check_reports_the_context_length(vllm: str, tmp_path: Path) -> None:
    output = look("check", "--model", "vllm:tiny", "--base-url", vllm, *ENDING, cwd=tmp_path).stdout
    assert "4,096 tokens" in output


def test_of_two_replicas_one_is_killed_in_the_middle(vllm_servers: Servers, tmp_path: Path) -> None:
    first, second = vllm_servers[0], vllm_servers[1].wait()
    before = first.replies()

    def kill() -> None:
        while second.replies() < 20:
            time.sleep(0.05)
        second.kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    two = ("--base-url", second.base_url, "--concurrency", 16)
    output = evolve(first.base_url, tmp_path, "--stop", 24, *two, *ENDING)
    killer.join()
    assert [result.status for result in results(tmp_path)] == ["done"] * 24
    assert f"vllm 127.0.0.1:{second.port} down since" in output
    made = calls(tmp_path, "attempts, failure")
    assert {failure for _, failure in made} == {None}
    # Calls in flight there were repeated at the other one.
    assert 1 < max(attempts for attempts, _ in made) <= 4
    assert len(made) - 60 <= first.replies() - before < len(made)


def test_serve_without_vllm_says_what_to_install(tmp_path: Path) -> None:
    refused = coevol("serve", "tiny", cwd=tmp_path, env={"PATH": str(tmp_path)}, status=2)
    assert "vllm is not installed: run `pip install -e '.[vllm]'`" in refused.stderr


def test_a_reward_model_is_a_referee(tmp_path: Path) -> None:
    require_vllm()
    server = VllmServer(tmp_path / "log", reward_model(tmp_path / "model"))
    try:
        server.wait()
        words = ("--samples", 10, "--arms", "edit,evolve", "--referee", "reward:tiny")
        base_url = ("--base-url", f"referee={server.base_url}")
        look("trial", DATA / "alpaca_en_40.json", "-o", "trial", *words, *base_url, cwd=tmp_path)
    finally:
        server.stop()
    calls = Ledger.open(tmp_path / "trial" / "referees" / "ledger.sqlite").all_calls()
    scores = {(call["sample"], call["mode"]): float(call["reply"]) for call in calls}
    assert len(scores) == 30 and len(set(scores.values())) > 10
    assert not all(0 <= score <= 1 for score in scores.values())  # as they leave the model
    for row in load_trial(tmp_path / "trial").comparisons():
        if row["referee"] == "reward:tiny":
            ours, theirs = (scores[row["sample"], row[arm]] for arm in ("arm", "rival"))
            assert row["outcome"] == (ours > theirs)
