"""`coevol trial`: arms at equal cost, outside referees, and what a trial says in the end."""

import asyncio
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

import coevol
from ledger.ledger import Ledger
from models.settings import Limits
from reporting.manifest import RunError
from reporting.recorded_trial import RecordedTrial
from reporting.trial_manifest import is_trial
from reporting.trial_snapshot import judged_samples
from reporting.trial_verdicts import compared
from runners.command_settings import settings_from
from runners.trial_plan import make_trial_plan
from runners.trial_run import TrialRun, prepare
from samples.reader import open_data
from standin import StandIn
from tests.conftest import look
from tests.gateways import QUICK
from tests.program import DATA, ROOT, records, start, write
from tests.terminal import on_a_terminal
from trials.win_rates import WinRate

ALPACA = DATA / "alpaca_en_40.json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    monkeypatch.chdir(tmp_path)
    with StandIn() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


class Finished(NamedTuple):
    """A trial that was carried out once."""

    folder: Path
    server: StandIn
    """Not running any more."""
    done: Any
    """What the command printed."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    cwd = tmp_path_factory.mktemp("finished")
    with StandIn() as server:
        done = look(*words(server, "--samples", 12), cwd=cwd, env=server.environment())
    return Finished(cwd / "trial", server, done)


def words(server: StandIn, *more: object, data: Path = ALPACA, folder: str = "trial") -> list[object]:
    """Return a command: OpenAI's models write, GLM's is the referee."""
    return [
        *("trial", data, "-o", folder, "--model", "openai:gpt-4o-mini", "--seed", 7),
        *("--base-url", server.base_url("openai"), "--referee", "glm:glm-4.6"),
        *("--base-url", f"referee={server.base_url('glm')}", *more),
    ]


def prompts(server: StandIn, provider: str) -> list[str]:
    return [json.dumps(json.loads(chat.raw)["messages"]) for chat in server.chats(provider)]


def table(trial: Path) -> dict[str, Any]:
    """Return all that a trial says, without what differs between two trials of the same kind."""
    found = RecordedTrial(trial).stats()
    del found["trial"]["folder"]
    return found


# --- from the data to the answer


def test_a_trial_says_which_way_to_go(finished: Finished) -> None:
    trial, done = coevol.load_trial(finished.folder), finished.done
    costs = trial.costs()
    assert abs(costs["best-of-n"].total / costs["evolve"].total - 1) <= 0.1
    assert set(trial.unmatched()) == {"edit", "advise", "refine"}
    assert "stop winning" in trial.unmatched()["refine"] and "refine (" in done.stdout
    assert "Samples  12" in done.stderr and "Shows " in done.stderr
    assert all(line in done.stdout for line in (*trial.sentences(), *trial.notes()))
    assert [row["arm"] for row in trial.results()] == list(trial.arms[1:])
    assert json.loads(json.dumps(trial.stats()))["report"]["reference"] == "evolve"


def test_referees_are_outside_blind_and_asked_in_both_orders(finished: Finished) -> None:
    trial = RecordedTrial(finished.folder)
    asked = prompts(finished.server, "glm")
    judged = [chat for chat in asked if "assistant 1" in chat]
    assert len(asked) - len(judged) == 1  # whether it can be asked at all
    for arm in ("evolve", "refine", "best-of-n", "advise"):
        assert not any(arm in chat for chat in judged)
    orders = Counter(
        (row["sample"], row["arm"], row["rival"]) for row in trial.comparisons() if row["order"] is not None
    )
    assert orders and set(orders.values()) == {2}
    assert {row["referee"] for row in trial.comparisons()} == {"glm:glm-4.6", "unchanged"}


def test_arms_are_runs_over_samples_that_keep_their_ids(finished: Finished) -> None:
    trial = RecordedTrial(finished.folder)
    ids = {row["sample"] for row in coevol.load_run(finished.folder / "arms" / "evolve").samples()}
    assert ids == set(trial.manifest["ids"]) and len(ids) == 12 and ids <= set(map(str, range(40)))
    texts = {row["position"]: row for row in trial.responses() if row["arm"] == "original"}
    read = json.loads(ALPACA.read_text(encoding="utf-8"))
    assert len(texts) == 12 and all(read[at]["output"] == row["response"] for at, row in texts.items())
    assert len(list(open_data(finished.folder / "data.jsonl").samples())) == 12
    figures = json.loads(look("stats", finished.folder / "arms" / "best-of-n", "--json", cwd=DATA).stdout)
    assert figures["run"]["settings"]["drafts"] == trial.manifest["depths"]["best-of-n"]["rounds"] + bool(
        trial.manifest["depths"]["best-of-n"]["more"]
    )


ARMS_OF_SMALL = ("edit", "best-of-n", "evolve")
SMALL = ("--samples", 10, "--arms", ",".join(ARMS_OF_SMALL), "--concurrency", 4)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    cwd = tmp_path_factory.mktemp("small")
    with StandIn() as server:
        done = look(*words(server, *SMALL), cwd=cwd, env=server.environment())
    return Finished(cwd / "trial", server, done)


@pytest.mark.parametrize("phase", ["arms", "referees"])
def test_a_killed_trial_repeats_no_finished_call(phase: str, small: Finished, tmp_path: Path) -> None:
    of, calls = {"arms": ("openai", 150), "referees": ("glm", 30)}[phase]
    with StandIn(latency=0.01) as server:
        process = start(*words(server, *SMALL), cwd=tmp_path, env=server.environment())
        ends = time.monotonic() + 200
        while len(server.chats(of)) < calls:
            assert process.poll() is None and time.monotonic() < ends, process.communicate()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(0.1)  # what had been sent arrives
        look(*words(server, *SMALL), cwd=tmp_path, env=server.environment())
        # Those in flight, and the question whether the referee can be asked.
        assert len(server.chats()) - len(small.server.chats()) <= 4 + 1
        asked = len(server.chats())
        again = look(*words(server, *SMALL), cwd=tmp_path, env=server.environment())
        assert len(server.chats()) == asked and again.stdout == small.done.stdout
        other = look(
            *words(server, *SMALL, "--pairs", "baseline"), cwd=tmp_path, env=server.environment(), status=2
        )
        assert "pairs: balanced there, baseline here" in other.stderr
    assert table(tmp_path / "trial") == table(small.folder)


def test_its_figures_are_read_at_any_width(small: Finished) -> None:
    command = words(small.server, *SMALL)
    environment = {**small.server.environment(), "COLUMNS": "60"}
    stats = ("stats", small.folder / "arms" / "evolve")
    shown = on_a_terminal(command, stats, cwd=small.folder.parent, env=environment)
    plain, bill = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written) for written in shown)
    assert "…" not in bill[bill.index("Calls") :] and bill.count("judge ") == bill.count("total ") > 1
    table, _, _ = plain[plain.index("Arm ") :].partition("Won: against")
    assert all(len(line) <= 60 for line in table.splitlines()) and "…" not in table
    found = {arm: " ".join(re.findall(rf"^{arm} +(.+?) *$", table, re.MULTILINE)) for arm in ARMS_OF_SMALL}
    rows = {line.split()[0]: line.split()[1:] for line in small.done.stdout.splitlines()[1:4]}
    assert {arm: line.split() for arm, line in found.items()} == rows


def test_a_trial_shares_one_budget(server: StandIn, tmp_path: Path) -> None:
    command = words(server, "--samples", 10, "--arms", "edit,evolve", "--concurrency", 2, "--max-tokens", 100)
    stopped = look(*command, "--budget-tokens", 30_000, cwd=tmp_path, status=3)
    assert "--budget-tokens 30000" in stopped.stderr
    spent = RecordedTrial(Path("trial")).spent().tokens
    assert 15_000 < spent <= 30_000
    look(*command, "--budget-tokens", 1_000_000, cwd=tmp_path)
    before = RecordedTrial(Path("trial")).spent().tokens
    folders = ("arms/edit", "arms/evolve", "referees")
    calls = sum(Ledger.open(Path("trial") / name / "ledger.sqlite").last_call() for name in folders)
    # And twice the question whether the referee can be asked, which has the role `other`.
    assert len(server.chats()) == calls + 2
    # What the arms have spent counts for the referees too.
    Path("trial/referees/ledger.sqlite").unlink()
    Path("trial/referees/run.json").unlink()
    again = look(*command, "--budget-tokens", before // 2, cwd=tmp_path, status=3)
    assert f"--budget-tokens {before // 2}" in again.stderr


def test_a_trial_can_be_continued_with_more(server: StandIn, tmp_path: Path) -> None:
    arms = ("--arms", "edit,advise")
    look(*words(server, *arms, "--samples", 10, "--pairs", "baseline"), cwd=tmp_path)
    first = RecordedTrial(Path("trial"))
    more = ("--referee", "ernie:ernie-4.5-turbo-128k", "--base-url", f"referee_2={server.base_url('ernie')}")
    larger = (*arms, "--samples", 14, "--pairs", "all", *more)
    look(*words(server, *larger), cwd=tmp_path)
    trial = RecordedTrial(Path("trial"))
    assert trial.manifest["ids"][:10] == first.manifest["ids"] and len(trial.manifest["ids"]) == 14
    folders = ("arms/edit", "arms/advise", "referees")
    calls = sum(Ledger.open(Path("trial") / name / "ledger.sqlite").last_call() for name in folders)
    assert len(server.chats()) == calls + 1  # and the question whether the referee can be asked
    look(*words(server, *larger, folder="fresh"), cwd=tmp_path)
    assert table(Path("fresh")) == table(Path("trial"))
    refused = look(*words(server, *arms, "--samples", 10, *more), cwd=tmp_path, status=2).stderr
    assert "samples: 14 there, 10 here" in refused and "pairs: all there, balanced here" in refused
    assert "referees" in look(*words(server, *arms, "--samples", 14), cwd=tmp_path, status=2).stderr


def test_figures_name_the_samples_that_they_are_of(tmp_path: Path) -> None:
    words = ("--referee", "rehearsal:outside", "--samples", 12, "--arms", "original,edit")
    done = look("trial", ROOT / "examples" / "alpaca_en.json", "-o", "t", *words, cwd=tmp_path)
    found = RecordedTrial(tmp_path / "t")
    report = found.report()
    (rate,) = (arm.win_rate for arm in report.arms)
    assert isinstance(rate, WinRate) and 0 < report.judged <= rate.samples < 12
    lines = done.stdout.splitlines()
    assert (
        f"Samples without a readable verdict, which are left out: {12 - rate.samples} of 12 of edit." in lines
    )
    assert any(line.startswith(f"{rate.samples} samples can show") for line in lines)
    assert rate.samples_needed
    in_all = math.ceil(rate.samples_needed * 12 / rate.samples)
    assert any(line.endswith(f": {in_all:,} samples would settle it.") for line in lines)
    row = next(line for line in lines if line.startswith("edit "))
    assert "within noise" in row


def test_figures_are_of_samples_that_the_referees_are_done_with(small: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(small.folder, tmp_path / "trial")

    def stopped_at(position: int) -> RecordedTrial:
        with closing(sqlite3.connect(folder / "referees" / "ledger.sqlite")) as ledger, ledger:
            ledger.execute("DELETE FROM results WHERE position >= ?", (position,))
            # Of a sample in flight, what takes no call is there at once.
            for each in ("edit:original", "best-of-n:original"):
                ledger.execute("DELETE FROM results WHERE position = ? AND mode = ?", (position - 1, each))
        return RecordedTrial(folder)

    whole = RecordedTrial(folder).judgments()
    assert any(row.referee == "unchanged" for row in whole)
    found = stopped_at(8)
    ids = {*found.manifest["ids"][:7]}
    assert found.judgments() == [row for row in whole if row.sample in ids]
    assert {arm.win_rate.samples for arm in found.report().arms if isinstance(arm.win_rate, WinRate)} == {7}
    notes = " ".join(found.notes())
    assert "3 of 10 samples are not judged yet: the same command goes on with them." in notes
    assert "Samples without a readable verdict" not in notes
    begun = stopped_at(1)
    assert not begun.judgments()
    with pytest.raises(RunError, match="the referees have judged nothing yet"):
        begun.report()
    look("report", folder, "-o", "report.html", cwd=tmp_path)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No figures yet: the referees have judged nothing yet" in report and str(tmp_path) not in report


def test_what_was_said_of_other_texts_counts_no_more(tmp_path: Path) -> None:
    arms = ("--samples", 10, "--arms", "edit,advise", "--max-failures", 1)
    reward = ("--referee", "reward:standin-rewards")

    def trial(server: StandIn, *more: object, status: int = 0) -> None:
        url = f"referee_2={server.base_url('vllm')}"
        command = words(server, *arms, *reward, "--base-url", url, *more)
        look(*command, cwd=tmp_path, env=server.environment(), status=status)

    with StandIn("content_filter:provider=openai,rate=0.3,seed=3") as server:
        trial(server, status=1)
    found = RecordedTrial(tmp_path / "trial")
    failed = {
        (sample.id, arm)
        for arm in found.arms[1:]
        if (ledger := found.ledger_of(arm))
        for sample, results in ledger.samples()
        if results[arm].status == "failed"
    }
    before = {each.sample.id: each.responses for each in found.samples()}
    assert found.report()
    for each in found.samples():
        for arm in found.arms[1:]:
            found.decide("Anna", each.sample.id, 0, "original", arm, arm)
    with (found.folder / "people.jsonl").open("a") as file:  # of an earlier version, which kept no digest
        for each in found.samples():
            old = {**found.decisions()[0].as_dict(), "person": "Bob", "sample": each.sample.id}
            file.write(json.dumps({name: old[name] for name in old if name != "texts"}) + "\n")

    with StandIn() as server:
        trial(server, "--retry-failed")
        after = {each.sample.id: each.responses for each in found.samples()}
        changed = {(name, arm) for name, arm in failed if before[name] != after[name]}
        assert changed
        calls = len(server.chats())
        trial(server)
        assert len(server.chats()) == calls
        look(*words(server, *arms, *reward, "--base-url", f"referee_2={server.base_url('vllm')}",
                    folder="fresh"), cwd=tmp_path, env=server.environment())  # fmt: skip
    # The object, not only the folder, knows of it.
    rates, fresh = (
        [arm.win_rate for arm in each.report().arms]
        for each in (found, coevol.load_trial(tmp_path / "fresh"))
    )
    assert rates == fresh
    said = [each for each in found.judgments() if not each.person]
    assert said == [each for each in RecordedTrial(tmp_path / "fresh").judgments() if not each.person]
    assert {(each.sample, each.arm_a) for each in said if each.outcome is not None} >= changed
    people = {(each.sample, each.arm_a) for each in found.judgments() if each.referee == "Anna (person)"}
    assert people == {(name, arm) for name in after for arm in found.arms[1:]} - changed
    assert sum(each.referee == "Bob (person)" for each in found.judgments()) == 10
    for each in found.samples():  # what the pages show of each sample
        for pair in compared(found, each, 0):
            shown = sorted(verdict.referee for verdict in pair.verdicts if "person" not in verdict.referee)
            assert shown == sorted(
                one.referee
                for one in said
                if (one.sample, one.arm_a, one.arm_b) == (each.sample.id, *pair.pair)
                and one.referee != "unchanged"
            )


def test_exchanges_of_a_conversation_are_judged_in_their_original_context(
    server: StandIn, tmp_path: Path
) -> None:
    talks = [
        {
            "id": f"talk-{n}",
            "conversations": [
                {"from": who, "value": f"{what} {part} of {n}."}
                for part in range(2)
                for who, what in (("human", "Ask"), ("gpt", "Old answer"))
            ],
        }
        for n in range(12)
    ]
    data = write(tmp_path / "talks.json", talks)
    look(*words(server, "--samples", 12, "--arms", "original,edit", data=data), cwd=tmp_path)
    trial = RecordedTrial(Path("trial"))
    assert {(row["sample"][:5], row["exchange"]) for row in trial.comparisons()} == {
        ("talk-", 0),
        ("talk-", 1),
    }
    later = [chat for chat in prompts(server, "glm") if "Ask 1 of" in chat]
    assert later and all("Old answer 0 of" in chat for chat in later)
    assert trial.report().samples == 12
    look("report", "trial", "-o", "report.html", cwd=tmp_path)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    others = 0
    for sample in judged_samples(trial):
        for exchange in range(2):
            said = [
                row["outcome"]
                for row in trial.comparisons()
                if (row["sample"], row["exchange"]) == (sample.id, exchange) and row["rival"] == "original"
            ]
            rate = None if None in said else fmean(said)
            here = "" if rate is None else "won" if rate > 0.5 else "lost" if rate < 0.5 else "tie"
            whole = sample.outcome("edit")
            assert sample.outcome("edit", exchange) == here
            others += bool(whole) and whole != here
    assert others and report.count(" in all</span>") == others


# --- samples


def test_the_draw_follows_from_ids_and_seed_alone(tmp_path: Path) -> None:
    some = [{"id": f"r{n}", **record} for n, record in enumerate(records(60))]
    file = write(tmp_path / "some.json", some)
    more = write(tmp_path / "more.json", [*reversed(some), {"id": "x", **records(1)[0]}])

    def drawn(data: Path, samples: int, seed: int | None = None) -> list[str]:
        settings = coevol.Settings(role_models={"referee": "rehearsal:r"}, seed=seed)
        plan = make_trial_plan(data, settings, Limits(), arms=["edit", "evolve"], samples=samples)
        plan.run.data.check()
        return plan.draw().ids

    twenty = drawn(file, 20)
    assert drawn(file, 12) == twenty[:12] and len(set(twenty)) == 20
    assert len(set(drawn(more, 20)) & set(twenty)) >= 19
    assert drawn(file, 20, seed=1) != twenty
    assert twenty != sorted(twenty)


def test_records_of_any_layout_are_drawn_as_they_are(server: StandIn, tmp_path: Path) -> None:
    rows = [f'q{n},"Ask {n}, please","Old {n}."' for n in range(30)]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["key,ask,reply", *rows]) + "\n")
    columns = ("--columns", "request=ask,response=reply,id=key")
    look(*words(server, *columns, "--samples", 10, "--arms", "original,edit", data=data), cwd=tmp_path)
    trial = RecordedTrial(Path("trial"))
    assert {row["sample"] for row in trial.responses()} == set(trial.manifest["ids"])
    assert all(row["instruction"] == f"Ask {row['sample'][1:]}, please" for row in trial.responses())
    kept = [json.loads(line) for line in Path("trial/data.jsonl").read_text().splitlines()]
    assert all(set(record) == {"key", "ask", "reply"} for record in kept)


def test_fewer_samples_than_asked_for_are_used_and_told(server: StandIn, tmp_path: Path) -> None:
    data = write(tmp_path / "few.json", records(14))
    done = look(*words(server, "--dry-run", data=data), cwd=tmp_path)
    assert "Samples  14 (of 200 asked for; the data has no more)" in done.stdout
    assert not server.requests and not Path("trial").exists()


# --- what is refused, before anything is spent


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--arms", "evolve"), "at least two arms"),
        (("--arms", "original"), "at least two arms"),
        (("--arms", ""), "at least two arms"),
        (("--arms", "evolve,magic"), "unknown arm 'magic'"),
        (("--samples", "5"), "5 is not in the range"),
        (("--referee", "openai:gpt-5.4"), "no outside referee"),
        (("--referee", "glm:glm-4.6"), "named twice"),
        (("--referee", "vllm:other", "--base-url", "referee_3=http://h/v1"), "unknown role 'referee_3'"),
        (("--referee", "ernie:ernie-4.5"), "QIANFAN_API_KEY is not set"),
        (("--referee", "nowhere:x"), "is not a model"),
        (("--referee", "claude"), "rehearsal:; a reward model is reward:NAME"),
        (("--referee", "deepseek:x-qwen"), "--referee 'deepseek:x-qwen' is not a model"),
        (("--model", "judge=vllm:qwen3", "--referee", "vllm:deepseek-r1-qwen"), "same family (Qwen), which"),
        (("--budget", "5", "--referee", "vllm:other"), "needs the price of every model"),
        (("--model", "judge=reward:r"), "does not chat"),
        (("--pairs", "some"), "'some' is not one of"),
    ],
)
def test_what_cannot_be_a_trial_is_refused_in_one_line(
    more: tuple[str, ...], message: str, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QIANFAN_API_KEY", raising=False)
    status = 2
    refused = look(*words(server, *more), cwd=tmp_path, status=status)
    last = [line for line in refused.stderr.splitlines() if message in line]
    assert len(last) == 1 and not server.chats() and not is_trial(Path("trial")), refused.stderr


def test_a_trial_without_a_referee_is_refused(server: StandIn, tmp_path: Path) -> None:
    command = ("trial", ALPACA, "-o", "trial", "--model", "openai:gpt-4o-mini")
    refused = look(*command, cwd=tmp_path, status=2)
    assert "needs a referee" in refused.stderr and "Traceback" not in refused.stderr
    few = write(tmp_path / "few.json", records(9))
    assert "9 samples" in look(*words(server, data=few), cwd=tmp_path, status=2).stderr
    assert not server.requests and not Path("trial").exists()


def test_a_referee_that_cannot_be_asked_is_found_before_arms_are_paid_for(
    server: StandIn, tmp_path: Path
) -> None:
    refused = look(*words(server, "--referee", "vllm:no-such", "--base-url",
                          f"referee_2={server.base_url('vllm')}", "--samples", 10),
                   cwd=tmp_path, status=3)  # fmt: skip
    assert "no-such" in refused.stderr
    assert not server.chats("openai")


def test_a_related_referee_is_taken_if_allowed_and_told(server: StandIn, tmp_path: Path) -> None:
    command = ["trial", ALPACA, "-o", "trial", "--model", "openai:gpt-4o-mini", "--samples", 10]
    command += ["--base-url", server.base_url("openai"), "--referee", "openai:gpt-4.1-mini"]
    command += ["--base-url", f"referee={server.base_url('openai')}", "--arms", "original,edit"]
    assert "--allow-related" in look(*command, cwd=tmp_path, status=2).stderr
    done = look(*command, "--allow-related", cwd=tmp_path)
    assert "is of the family of openai:gpt-4o-mini" in done.stdout


# --- referees


def test_a_reward_model_scores_each_response_once(server: StandIn, tmp_path: Path) -> None:
    reward = ("--referee", "reward:standin-rewards", "--base-url", f"referee_2={server.base_url('vllm')}")
    command = words(server, *reward, "--samples", 10, "--arms", "original,edit", "--verdict", "score")
    look(*command, cwd=tmp_path)
    asked = [request for request in server.requests if request.path.endswith("/classify")]
    bodies = [json.loads(request.raw) for request in asked]
    assert all(
        body["use_activation"] is False and body["messages"][-1]["role"] == "assistant" for body in bodies
    )
    assert len(asked) == 2 * 10 + 1
    trial = RecordedTrial(Path("trial"))
    texts = {(row["sample"], row["arm"]): row["response"] for row in trial.responses()}
    seen = 0
    for row in trial.comparisons():
        if row["referee"] == "reward:standin-rewards":
            seen += 1
            ours, theirs = (len(texts[row["sample"], row[arm]].split()) for arm in ("arm", "rival"))
            assert row["order"] is None
            assert row["outcome"] == (1.0 if ours > theirs else 0.0 if ours < theirs else 0.5)
    assert seen
    look(*command, cwd=tmp_path)
    assert len([request for request in server.requests if request.path.endswith("/classify")]) == len(asked)


def test_a_reward_model_without_a_chat_template_scores_pairs(server: StandIn, tmp_path: Path) -> None:
    command = ["trial", ALPACA, "-o", "trial", "--model", "openai:gpt-4o-mini", "--samples", 10]
    command += ["--base-url", server.base_url("openai"), "--arms", "original,edit"]
    command += ["--referee", "reward:standin-scores", "--base-url", f"referee={server.base_url('vllm')}"]
    look(*command, cwd=tmp_path)
    scored = [json.loads(request.raw) for request in server.requests if request.path.endswith("/score")]
    texts = {row["response"] for row in RecordedTrial(Path("trial")).responses()}
    assert texts <= {body["text_2"] for body in scored}
    assert not any("assistant 1" in chat for chat in prompts(server, "vllm"))
    labels = [word if word != "reward:standin-scores" else "reward:standin-classifies" for word in command]
    labels[3] = "labels"
    refused = look(*labels, cwd=tmp_path, status=3)
    assert "2 numbers for a response" in refused.stderr


def test_a_referee_whose_calls_fail_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with StandIn("content_filter:provider=ernie,rate=0.3") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        more = ("--referee", "ernie:ernie-4.5-turbo-128k", "--base-url")
        settings, limits = settings_from(
            {
                "models": ("openai:gpt-4o-mini",),
                "base_urls": (
                    server.base_url("openai"),
                    f"referee={server.base_url('glm')}",
                    f"referee_2={server.base_url('ernie')}",
                ),
                "extra_bodies": (),
                "prices": (),
            },
            ("glm:glm-4.6", more[1]),
        )
        plan = make_trial_plan(ALPACA, settings, limits, arms=["original", "edit"], samples=12)
        folder = Path("trial")
        made = prepare(plan, folder)
        asyncio.run(TrialRun(plan, folder, made, notify=lambda _: None, policy=QUICK).run())
    trial = RecordedTrial(folder)
    by_referee = Counter((row["referee"], row["outcome"] is None) for row in trial.comparisons())
    assert by_referee["ernie:ernie-4.5-turbo-128k", True] and by_referee["ernie:ernie-4.5-turbo-128k", False]
    ledger = trial.referee_ledger()
    assert ledger and {call["model"] for call in ledger.all_calls() if call["failure"]} == {
        "ernie:ernie-4.5-turbo-128k"
    }
    assert any("could not be read, or the call failed" in note for note in trial.notes())
    assert any("ernie-4.5-turbo-128k could be read in one order alone" in note for note in trial.notes())


# --- people


def test_decisions_of_people_count_at_once(small: Finished, tmp_path: Path) -> None:
    trial = RecordedTrial(Path(shutil.copytree(small.folder, tmp_path / "trial")))
    before = trial.report()
    sample = trial.manifest["ids"][0]
    trial.decide("Anna", sample, 0, "original", "edit", "edit")
    trial.decide("Anna", sample, 0, "edit", "original", "original")
    trial.decide("Anna", sample, 0, "evolve", "edit", "")
    one, other = trial.decisions()
    assert (one.arm_a, one.arm_b, one.order, one.outcome) == ("edit", "original", "forward", 0.0)
    assert (other.arm_a, other.arm_b, other.outcome) == ("evolve", "edit", 0.5)
    assert "Anna (person)" in {each.referee for each in trial.report().referees}
    assert trial.report().arms == before.arms  # which are models' win rates
    trial.decide("Anna", sample, 0, "edit", "original", None)
    with (trial.folder / "people.jsonl").open("a") as file:
        file.write('{"person": "cut of\n[]\n{"person": 1}\n')
    assert len(trial.decisions()) == 1
    for person, first, second in (("", "edit", "original"), ("Anna", "edit", "edit"), ("Anna", "edit", "x")):
        with pytest.raises(coevol.RunError):
            trial.decide(person, sample, 0, first, second, "edit")


def test_a_trial_is_no_run(small: Finished) -> None:
    assert "is a trial" in look("stats", small.folder, cwd=DATA, status=2).stderr
    assert "referees" in look("show", small.folder / "referees", "0", cwd=DATA, status=2).stderr


def test_a_folder_that_is_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: StandIn) -> None:
    with pytest.raises(coevol.RunError, match="is not a trial"):
        coevol.load_trial(tmp_path / "none")
    Path("trial").mkdir()
    Path("trial/letter.txt").write_text("Dear …")
    assert "letter.txt" in look(*words(server), cwd=tmp_path, status=2).stderr
    Path("trial/letter.txt").unlink()
    Path("trial/trial.json").write_text("{}")
    assert "damaged" in look(*words(server), cwd=tmp_path, status=2).stderr
    assert not server.chats()
