"""The costs of a trial in dollars: matched arms, one budget, prices that are kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reporting.recorded_trial import RecordedTrial
from standin import StandIn
from tests.conftest import look
from tests.program import DATA

PRICES = ("openai:gpt-4o-mini=0.1,0.1,0.4", "openai:gpt-4.1=5,0.5,40", "glm:glm-4.6=0.6,0.1,2.2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    monkeypatch.chdir(tmp_path)
    with StandIn() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def test_arms_are_matched_in_dollars_within_one_budget(server: StandIn, tmp_path: Path) -> None:
    # The editor has a price many times that of the others, so dollars and tokens ask for different depths.
    url = server.base_url("openai")
    command = [
        *("trial", DATA / "alpaca_en_40.json", "-o", "my trial", "--seed", 7, "--samples", 10),
        *("--model", "openai:gpt-4o-mini", "--base-url", url, "--arms", "refine,best-of-n,evolve"),
        *("--model", "editor=openai:gpt-4.1", "--base-url", f"editor={url}"),
        *("--referee", "glm:glm-4.6", "--base-url", f"referee={server.base_url('glm')}"),
    ]
    priced = [*command, *(word for price in PRICES for word in ("--price", price))]
    for budget in (0.1, 0.02):  # the second time, less than is spent
        stopped = look(*priced, "--budget", budget, "--concurrency", 2, cwd=tmp_path, status=3)
        assert f"--budget {budget}" in stopped.stderr
        assert 0.02 < RecordedTrial(Path("my trial")).spent().dollars <= 0.1
    done = look(*priced, "--budget", 5, cwd=tmp_path)
    trial = RecordedTrial(Path("my trial"))
    costs = {arm: cost.total for arm, cost in trial.costs().items()}
    assert trial.unit == "dollars" and "US dollars a sample" in done.stdout
    for arm in ("refine", "best-of-n"):
        near = abs(costs[arm] / costs["evolve"] - 1) <= 0.1
        assert near == (arm not in trial.unmatched()) and (near or f"{arm} (" in done.stdout)
    assert "best-of-n" not in trial.unmatched()
    tokens = {
        arm: sum(call["input_tokens"] + call["output_tokens"] for call in ledger.all_calls())
        for arm in costs
        if (ledger := trial.ledger_of(arm))
    }
    assert tokens["best-of-n"] < 0.7 * tokens["evolve"]

    # Prices that were given are kept, for the arms and in their runs.
    asked = len(server.chats())
    for more in ((), ("--budget", 5)):
        assert look(*command, *more, cwd=tmp_path).stdout == done.stdout and len(server.chats()) == asked
    arm = json.loads(look("stats", trial.arm_folder("refine"), "--json", cwd=tmp_path).stdout)
    assert arm["modes"]["refine"]["cost_usd"] == pytest.approx(costs["refine"])
    for mode, option in (("refine", "--max-rounds"), ("best-of-n", "--drafts")):
        depth = trial.manifest["depths"][mode]
        number = depth["rounds"] + (depth["more"] >= 5)
        assert trial.command(mode).endswith(f"-o RUN --mode {mode} {option} {number}")


def test_arms_that_cost_no_dollars_are_matched_in_tokens(server: StandIn, tmp_path: Path) -> None:
    own = ("--model", "vllm:standin", "--base-url", server.base_url("vllm"), "--price", "vllm:standin=0,0,0")
    referee = ("--referee", "glm:glm-4.6", "--base-url", f"referee={server.base_url('glm')}")
    command = ("trial", DATA / "alpaca_en_40.json", "-o", "t", "--samples", 10, "--arms", "best-of-n,evolve")
    done = look(*command, *own, *referee, "--price", PRICES[2], "--budget", 5, cwd=tmp_path)
    trial = RecordedTrial(Path("t"))
    assert trial.unit == "tokens" and "Cost: tokens a sample" in done.stdout
    assert not trial.unmatched() and "Not matched" not in done.stdout
    assert trial.stats()["costs"]["spent"]["dollars"] > 0  # on the referee


def test_an_arm_that_cannot_go_on_since_its_samples_failed_says_so(tmp_path: Path) -> None:
    with StandIn("content_filter:provider=openai,rate=0.3,seed=3") as server:
        own = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--max-failures", 1)
        referee = ("--referee", "glm:glm-4.6", "--base-url", f"referee={server.base_url('glm')}")
        command = ("trial", DATA / "alpaca_en_40.json", "-o", "t", "--samples", 10)
        arms = ("--arms", "refine,best-of-n,evolve")
        look(*command, *arms, *own, *referee, cwd=tmp_path, env=server.environment(), status=2)
    trial = RecordedTrial(tmp_path / "t")
    assert trial.failed()["best-of-n"] == 10 and trial.failed()["refine"]
    assert trial.unmatched() == {
        "refine": "its drafts stop winning, or its samples fail, before it costs as much",
        "best-of-n": "its samples failed",
    }
