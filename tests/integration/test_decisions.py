"""What users decide: stored next to the judge's results, counted, and followed by exports on request."""

import json
import shutil
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coevol import load_run
from ledger import browse
from ledger.browse import Filter
from ledger.decisions import (
    FILTERS,
    DecisionFilter,
    DecisionKind,
    decide,
    delete_decision,
    load_decisions,
    load_history,
    revision,
)
from ledger.ledger import Ledger, LedgerError, Result
from reporting.labels import DECISIONS, OUTDATED
from samples.sample import Sample
from standin import StandIn
from tests.conftest import FAILING, look, remount
from tests.program import start

OWN = "What I would say: \ud800 <b>bold</b>\x00 \u202e."
"""A text that may break a database, a terminal or a page."""


def opened(run: Path) -> Ledger:
    return Ledger.open(run / "ledger.sqlite")


def by_id(run: Path) -> dict[str, tuple[Sample, dict[str, Result]]]:
    return {sample.id: (sample, results) for sample, results in opened(run).samples()}


@pytest.fixture
def run(modes_run: Path, tmp_path: Path) -> Path:
    """A copy of a run in modes edit and evolve, to decide on."""
    shutil.copytree(modes_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def decided(run: Path) -> dict[str, tuple[DecisionKind, str]]:
    """One decision of each kind on results of mode evolve, by sample: the kind and the response."""
    made: dict[str, tuple[DecisionKind, str]] = {}
    for sample, results in by_id(run).values():
        (done,) = results["evolve"].outcome
        drafts = [each["draft"] for each in done["rounds"]]
        wanted: dict[DecisionKind, str | None] = {
            "accepted": done["response"] if not done["accepted_rounds"] else None,
            "rejected": done["original"] if done["accepted_rounds"] == 1 else None,
            "chosen": drafts[0] if done["accepted_rounds"] == 3 else None,
            "edited": OWN,
        }
        for kind, text in wanted.items():
            if text is not None and kind not in dict(made.values()):
                decision = decide(opened(run), sample.position, results["evolve"], 0, text, f"why {kind}")
                assert decision.kind == kind
                made[sample.id] = kind, text
                break
    assert sorted(kind for kind, _ in made.values()) == ["accepted", "chosen", "edited", "rejected"]
    return made


def exported(run: Path, *words: object, name: str = "out.json") -> tuple[Any, str]:
    stderr = look("export", run, "-o", name, "--mode", "evolve", *words, cwd=run.parent).stderr
    text = (run.parent / name).read_text(encoding="utf-8")
    return (
        [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
    ), stderr


def test_a_decision_is_stored_replaced_and_taken_back(run: Path) -> None:
    sample, results = by_id(run)["haiku"]
    (done,) = results["edit"].outcome
    before = revision(opened(run))
    decide(opened(run), sample.position, results["edit"], 0, done["response"])
    decide(opened(run), sample.position, results["edit"], 0, OWN, "better so")
    assert revision(opened(run)) != before
    (kept,) = load_decisions(opened(run), [sample.position])[sample.position, "edit"].values()
    assert (kept.kind, kept.response, kept.note, kept.stands) == ("edited", OWN, "better so", True)
    assert kept.decided == pytest.approx(time.time(), abs=60)
    delete_decision(opened(run), sample.position, "edit", 0)
    assert not load_decisions(opened(run))
    history = load_history(opened(run), (sample.position, "edit", 0))
    assert [each.kind for each in history] == ["accepted", "edited", "withdrawn"]
    assert history[1].response == OWN
    assert history == load_history(opened(run))


def test_exports_follow_the_user_on_request(run: Path, decided: dict[str, tuple[DecisionKind, str]]) -> None:
    judged, stderr = exported(run)
    assert "4 decisions by users; --decided-by human follows them" in stderr
    human, stderr = exported(run, "--decided-by", "human")
    assert "4 exchanges as a user decided, the others as they were judged" in stderr
    for one, other in zip(judged, human, strict=True):
        wanted = decided.get(one["id"], ("", one["output"]))[1]
        assert other == one | {"output": wanted}
    accepted, _ = exported(run, "--decided-by", "human", "--only-accepted")
    kept = {id for id, (kind, _) in decided.items() if kind in ("rejected", "accepted")}
    assert not kept & {record["id"] for record in accepted}
    assert {id for id, (kind, _) in decided.items() if kind in ("chosen", "edited")} <= {
        record["id"] for record in accepted
    }


def test_pairs_hold_what_the_user_prefers(run: Path, decided: dict[str, tuple[DecisionKind, str]]) -> None:
    results = {id: results["evolve"].outcome[0] for id, (_, results) in by_id(run).items()}
    kinds = {kind: id for id, (kind, _) in decided.items()}

    def pairs(wanted: str) -> dict[str, list[tuple[str, str, str]]]:
        words = ("--to", "trl-dpo", "--pairs", wanted, "--decided-by", "human")
        records, _ = exported(run, *words, name=f"{wanted}.jsonl")
        found: dict[str, list[tuple[str, str, str]]] = {}
        for record in records:
            texts = record["chosen"][0]["content"], record["rejected"][0]["content"]
            found.setdefault(record["id"], []).append((record["pair"], *texts))
        return found

    final, steps, whole = pairs("final"), pairs("steps"), pairs("all")
    for kind in ("rejected", "chosen", "edited"):
        id = kinds[kind]
        text, original, judged = decided[id][1], results[id]["original"], results[id]["response"]
        against = ("overruled", text, judged)
        assert final[id] == [("final", text, original)] if kind != "rejected" else [against]
        assert steps[id] == [against]
        if original not in (judged, text):
            assert whole[id] == [("final", text, original), against]
    # Accepted: the judge kept the original, and its own pairs stay.
    assert kinds["accepted"] not in final
    card = (run.parent / "README.md").read_text()
    assert "4 exchanges decided by users, 3 of them with pairs here" in card
    assert "| by users: accepted | 1 |" in card
    who = (
        "and by users, who decided on 3 exchanges: rejected, the original kept (1); another draft "
        "chosen (1); edited (1)."
    )
    assert who in card
    exported(run, "--to", "trl-dpo", name="judged.jsonl")
    assert "by users, who decided" not in (run.parent / "judged.jsonl-README.md").read_text()


@pytest.mark.parametrize("to", ["trl-dpo", "llamafactory-dpo"])
@pytest.mark.parametrize("wanted", ["final", "steps", "all"])
def test_no_pair_has_an_empty_side(run: Path, to: str, wanted: str) -> None:
    sample, results = by_id(run)["haiku"]
    decide(opened(run), sample.position, results["evolve"], 0, " \n")
    records, stderr = exported(
        run, "--to", to, "--pairs", wanted, "--decided-by", "human", name="pairs.jsonl"
    )
    assert records
    assert "haiku" not in {record["id"] for record in records}
    assert f"left out because {to} cannot express them (the first: sample haiku" in stderr
    assert "1 exchange decided by users, 0 of them with pairs here" in stderr


def test_a_pair_follows_the_conversation_that_it_was_compared_in(failing_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(failing_run, tmp_path / "run")
    sample, results = by_id(run)["middle"]
    decide(opened(run), sample.position, results["evolve"], 0, OWN)
    judged, _ = exported(run, "--to", "trl-dpo", name="judged.jsonl")
    human, _ = exported(run, "--to", "trl-dpo", "--decided-by", "human", name="human.jsonl")
    one, other = ([pair for pair in pairs if pair["exchange"] == 2] for pairs in (judged, human))
    assert one == other
    assert one[0]["prompt"][1]["content"] == results["evolve"].outcome[0]["response"]
    (first, *_), _ = exported(run, "--to", "trl-sft", "--decided-by", "human", name="train.jsonl")
    assert first["messages"][1]["content"] == OWN


def test_pairs_of_a_mode_without_a_judge_are_those_that_a_user_decided(run: Path) -> None:
    samples = by_id(run)
    for id, text in (("haiku", None), ("train-sum", OWN)):
        sample, results = samples[id]
        decide(
            opened(run), sample.position, results["edit"], 0, text or results["edit"].outcome[0]["response"]
        )
    words = ("export", run, "--to", "trl-dpo", "--decided-by", "human", "-o", "pairs.jsonl", "--mode", "edit")
    look(*words, cwd=run.parent)
    records = [json.loads(line) for line in (run.parent / "pairs.jsonl").read_text().splitlines()]
    assert {record["id"]: record["chosen"][0]["content"] for record in records} == {
        "haiku": samples["haiku"][1]["edit"].outcome[0]["response"],
        "train-sum": OWN,
    }
    assert "needs pairs" in look(*words[:4], *words[6:], cwd=run.parent, status=2).stderr


def test_statistics_count_decisions_by_kind_and_agreement_with_the_judge(
    run: Path, decided: dict[str, tuple[DecisionKind, str]]
) -> None:
    modes = json.loads(look("stats", run, "--json", cwd=run).stdout)["modes"]
    assert modes["edit"]["deciding"] is None
    results = {id: results["evolve"].outcome[0] for id, (_, results) in by_id(run).items()}
    compared = [
        kind for id, (kind, _) in decided.items()
        if kind != "edited" and results[id]["ending"] in ("max_rounds", "not_accepted")
    ]  # fmt: skip
    assert modes["evolve"]["deciding"] == {
        "decided": 4, "accepted": 1, "rejected": 1, "chosen": 1, "edited": 1, "outdated": 0,
        "compared": len(compared), "agreement": compared.count("accepted") / len(compared),
    }  # fmt: skip
    shown = look("stats", run, cwd=run).stdout
    assert "decided by a user" in shown
    assert "user and judge agree" in shown


def test_a_story_has_the_decision(run: Path, decided: dict[str, tuple[DecisionKind, str]]) -> None:
    for id, (kind, _) in decided.items():
        story = look("show", run, id, "--mode", "evolve", cwd=run).stdout
        assert f"A user decided: {DECISIONS[kind]} (" in story
        assert f"Note: why {kind}" in story
        assert ("<b>bold</b>" in story) == (kind == "edited")
        assert "A user" not in look("show", run, id, "--mode", "edit", cwd=run).stdout


def test_decisions_are_rows_for_data_frames(run: Path, decided: dict[str, tuple[DecisionKind, str]]) -> None:
    rows = list(load_run(run).decisions())
    # Data frames hold UTF-8, which half a surrogate pair is not.
    assert {row["sample"]: (row["decision"], row["response"]) for row in rows} == {
        id: (kind, text.replace("\ud800", "\ufffd")) for id, (kind, text) in decided.items()
    }
    assert {row["mode"] for row in rows} == {"evolve"}
    assert all(row["stands"] and row["note"] for row in rows)


def test_results_are_found_by_what_was_decided(
    run: Path, decided: dict[str, tuple[DecisionKind, str]]
) -> None:
    def found(choice: DecisionFilter) -> list[str]:
        wanted = Filter(mode="evolve", decided=choice)
        page = browse.page(opened(run), wanted, "position", down=False, begin=0, size=50)
        assert page.total == len(page.found)
        return [hit.sample.id for hit in page.found]

    everything = list(by_id(run))
    assert found("all") == [id for id in everything if id in decided]
    assert found("some") == [id for id in everything if id not in decided]
    for kind in ("accepted", "rejected", "chosen", "edited"):
        assert found(kind) == [id for id, (made, _) in decided.items() if made == kind]
    assert set(found("disagree")) <= {
        id for id, (kind, _) in decided.items() if kind in ("rejected", "chosen")
    }
    assert found("disagree")
    assert found("outdated") == []


# Samples that are worked on again


def test_a_decision_does_not_pass_to_another_result(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps(FAILING[:1]), encoding="utf-8")
    words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-4o-mini", "--max-rounds", 1)
    run = tmp_path / "run"
    with StandIn("content_filter:word=withheld", wins=1.0) as server:
        at = ("--base-url", server.base_url("openai"), "--history-window", 1)
        look(*words, *at, cwd=tmp_path, env=server.environment(), status=1)
    _, results = by_id(run)["middle"]
    shown = results["evolve"]
    for number, done in enumerate(shown.outcome):
        decide(opened(run), 0, shown, number, done["response"])
    assert {d.kind for d in load_decisions(opened(run))[0, "evolve"].values()} == {"accepted"}
    with StandIn(wins=1.0) as server:
        at = ("--base-url", server.base_url("openai"), "--history-window", 1)
        look(*words, *at, "--retry-failed", cwd=tmp_path, env=server.environment())
    # The exchange that failed has another result now; those of the others are the same.
    standing = {n: d.stands for n, d in load_decisions(opened(run))[0, "evolve"].items()}
    assert standing == {0: True, 1: False, 2: True}
    _, stderr = exported(run, "--decided-by", "human")
    assert "2 exchanges as a user decided" in stderr
    assert "1 decision ignored, made on an earlier result" in stderr
    again = by_id(run)["middle"][1]["evolve"]
    (record,) = exported(run, "--decided-by", "human")[0]
    assert [t["value"] for t in record["conversations"][1::2]] == [d["response"] for d in again.outcome]
    deciding = json.loads(look("stats", run, "--json", cwd=run).stdout)["modes"]["evolve"]["deciding"]
    assert (deciding["accepted"], deciding["outdated"]) == (2, 1)
    assert f"{OUTDATED}: not followed" in look("show", run, "middle", cwd=run).stdout
    expected: dict[DecisionFilter, int] = {"outdated": 1, "some": 1, "all": 0, "accepted": 1}
    for choice, total in expected.items():
        wanted = Filter(decided=choice)
        assert browse.page(opened(run), wanted, "position", down=False, begin=0, size=9).total == total
    # A user cannot decide on the earlier result any more, only on this one.
    with pytest.raises(LedgerError, match="worked on again since it was shown"):
        decide(opened(run), 0, shown, 1, "Leek.")
    decide(opened(run), 0, again, 1, "Leek.")
    assert all(decision.stands for decision in load_decisions(opened(run))[0, "evolve"].values())


# Several processes with the same ledger


def test_users_decide_while_the_run_is_in_progress(tmp_path: Path) -> None:
    records = [{"instruction": f"Say {n}.", "output": f"It is {n}. " * 20} for n in range(400)]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    process = start("evolve", "data.json", "-o", "run", "--mode", "edit", "--concurrency", 8, cwd=tmp_path)
    made: Counter[str] = Counter()
    try:
        while not Ledger.exists(tmp_path / "run" / "ledger.sqlite"):
            time.sleep(0.05)
        in_progress = 0
        while process.poll() is None:
            for sample, results in opened(tmp_path / "run").samples():
                decide(opened(tmp_path / "run"), sample.position, results["edit"], 0, f"Mine: {sample.id}")
                made[sample.id] += 1
                in_progress += process.poll() is None
                if process.poll() is not None:
                    break
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "400/400 samples · 400 responses rewritten · 0 failed" in err
    assert in_progress > 20
    kept = load_decisions(opened(tmp_path / "run"))
    assert {str(position) for position, _ in kept} == set(made)
    assert all(decision.stands for of in kept.values() for decision in of.values())


def test_a_writer_and_a_user_wait_for_each_other(run: Path) -> None:
    sample, results = by_id(run)["haiku"]
    with closing(sqlite3.connect(run / "ledger.sqlite", check_same_thread=False)) as writer:
        writer.execute("INSERT INTO texts VALUES (1000000, NULL, 'in a transaction')")
        release = threading.Timer(1, writer.commit)
        release.start()
        decide(opened(run), sample.position, results["edit"], 0, OWN)
        release.join()
    assert len(load_decisions(opened(run))) == 1


def test_decisions_cannot_be_stored_in_a_read_only_folder(run: Path, disk: Path) -> None:
    remount(disk, "size=50m")
    shutil.copytree(run, disk / "run")
    remount(disk, "ro")
    sample, results = by_id(disk / "run")["haiku"]
    with pytest.raises(LedgerError, match="readonly"):
        decide(opened(disk / "run"), sample.position, results["edit"], 0, OWN)
    assert not load_decisions(opened(disk / "run"))


def test_the_database_knows_every_filter(modes_run: Path) -> None:
    for choice in FILTERS:
        wanted = Filter(decided=choice)
        total = browse.page(opened(modes_run), wanted, "growth", down=True, begin=0, size=5).total
        assert total == (24 if choice == "some" else 0)
