"""Several reviewers of a run: each has decisions of their own, the latest counts, agreement is measured."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coevol import load_run
from ledger import browse
from ledger.browse import Filter
from ledger.decisions import (
    MAX_NAME,
    DecisionFilter,
    decide,
    delete_decision,
    load_decisions,
    load_reviews,
    reviewer_name,
    reviewers,
)
from ledger.ledger import Ledger, Result
from tests.conftest import look
from tests.program import DATA

MINE, YOURS = "What one of us would say.", "What the other would say."


@pytest.fixture
def run(modes_run: Path, tmp_path: Path) -> Path:
    """A copy of a run in modes edit and evolve, to decide on."""
    shutil.copytree(modes_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def ledger(run: Path) -> Ledger:
    return Ledger.open(run / "ledger.sqlite")


def changed(ledger: Ledger) -> list[tuple[int, Result]]:
    """Return the results of mode evolve with a new response, by position."""
    found = ((sample.position, results["evolve"]) for sample, results in ledger.samples())
    return [(position, result) for position, result in found if result.accepted_rounds]


def made(ledger: Ledger, choices: dict[str, str]) -> dict[int, str]:
    """Let reviewers decide: a letter for each changed result, `-` for none. Return responses by position."""
    some = changed(ledger)
    for reviewer, letters in choices.items():
        for (position, result), letter in zip(some, letters, strict=False):
            (done,) = result.outcome
            texts = {"a": done["response"], "r": done["original"], "m": MINE, "y": YOURS}
            if letter in texts:
                decide(ledger, position, result, 0, texts[letter], f"by {reviewer}", reviewer=reviewer)
    return {position: result.outcome[0]["response"] for position, result in some}


def found(ledger: Ledger, choice: DecisionFilter | str, reviewer: str = "") -> list[int]:
    wanted = Filter(mode="evolve", decided=choice, reviewer=reviewer)  # type: ignore[arg-type]
    page = browse.page(ledger, wanted, "position", down=False, begin=0, size=50)
    assert page.total == len(page.found)
    return [hit.sample.position for hit in page.found]


def test_reviewers_do_not_overwrite_one_another_and_the_latest_counts(ledger: Ledger) -> None:
    first, second, *_ = made(ledger, {"Ann": "aa", "Bo": "ra"})
    of_first, of_second = (load_reviews(ledger)[position, "evolve"][0] for position in (first, second))
    assert [(each.reviewer, each.kind, each.counts) for each in of_first] == [
        ("Bo", "rejected", True), ("Ann", "accepted", False),
    ]  # fmt: skip
    assert [each.disputed for each in (*of_first, *of_second)] == [True, True, False, False]
    assert load_decisions(ledger)[first, "evolve"][0].reviewer == "Bo"
    # Who withdraws a decision leaves that of the other.
    delete_decision(ledger, first, "evolve", 0, "Bo")
    (left,) = load_reviews(ledger)[first, "evolve"][0]
    assert (left.reviewer, left.counts, left.disputed) == ("Ann", True, False)
    assert reviewers(ledger) == ["Ann", "Bo"]


def test_results_are_found_by_reviewer_and_by_disagreement(ledger: Ledger) -> None:
    one, two, three, four, *_ = made(ledger, {"Ann": "aam-", "Bo": "-rya"})
    assert found(ledger, "disputed") == [two, three]
    assert found(ledger, "", "Ann") == [one, two, three]
    assert found(ledger, "accepted", "Ann") == [one, two]
    assert found(ledger, "accepted") == [one, four]
    assert four in found(ledger, "some", "Ann")
    assert four not in found(ledger, "some")
    assert found(ledger, "all", "Bo") == [two, three, four]
    assert found(ledger, "", "nobody") == []


def test_agreement_is_a_share_and_an_alpha(run: Path, ledger: Ledger) -> None:
    assert all(mode["reviewing"] is None for mode in load_run(run).stats()["modes"].values())
    made(ledger, {"Ann": "aaarmm", "Bo": "aarrmy", "": "a"})
    reviewing = load_run(run).stats()["modes"]["evolve"]["reviewing"]
    assert {name: reviewing[name] for name in ("reviewers", "exchanges", "agreed")} == {
        "reviewers": 3, "exchanges": 6, "agreed": 4,
    }  # fmt: skip
    assert reviewing["agreement"] == pytest.approx(4 / 6)
    # By hand, from the values a, a, a, r, m, m and a, a, r, r, m, y, the first with a third a: observed
    # disagreement 4 of 13 pairable values, expected 1 - (6 * 5 + 3 * 2 + 3 * 2) / (13 * 12).
    assert reviewing["alpha"] == pytest.approx(1 - (4 / 13) / (1 - 42 / 156))
    shown = look("stats", run, cwd=run).stdout
    assert "decided by several reviewers" in shown
    assert "67 %" in next(line for line in shown.splitlines() if "reviewers agree" in line)
    assert f"{reviewing['alpha']:.2f}" in next(line for line in shown.splitlines() if "alpha" in line)
    look("report", run, "-o", "report.html", cwd=run.parent)
    assert "reviewers agree" in (run.parent / "report.html").read_text(encoding="utf-8")


def test_there_is_no_alpha_where_all_decisions_are_alike(run: Path, ledger: Ledger) -> None:
    made(ledger, {"Ann": "aa", "Bo": "aa"})
    reviewing = load_run(run).stats()["modes"]["evolve"]["reviewing"]
    assert (reviewing["agreement"], reviewing["alpha"]) == (1.0, None)


def test_exports_follow_the_latest_decision_and_name_nobody(run: Path, ledger: Ledger) -> None:
    first, *_ = made(ledger, {"Ann": "m", "Bo": "y"})
    words = ("--mode", "evolve", "--decided-by", "human", "--with-provenance")

    def exported(name: str) -> tuple[list[Any], str]:
        err = look("export", run, "-o", name, *words, cwd=run.parent).stderr
        return [json.loads(line) for line in (run.parent / name).read_text().splitlines()], err

    records, err = exported("latest.jsonl")
    assert "1 exchange on which reviewers disagree, where the latest decision counts" in err
    assert records[first]["output"] == YOURS
    assert "Bo" not in (run.parent / "README.md").read_text() + str(records[first])
    made(ledger, {"Ann": "m"})
    assert exported("again.jsonl")[0][first]["output"] == MINE
    assert "Ann decided: edited (" in look("show", run, records[first]["id"], cwd=run).stdout
    shown = look("show", run, records[first]["id"], cwd=run).stdout
    assert "another reviewer decided later: not followed" in next(
        line for line in shown.splitlines() if "Bo decided" in line
    )


def test_decisions_and_their_history_are_rows(run: Path, ledger: Ledger) -> None:
    first, *_ = made(ledger, {"Ann": "m", "Bo": "y"})
    delete_decision(ledger, first, "evolve", 0, "Ann")
    (row,) = load_run(run).decisions()
    assert (row["reviewer"], row["response"], row["counts"], row["disputed"]) == ("Bo", YOURS, True, False)
    history = [
        (row["reviewer"], row["decision"], row["response"]) for row in load_run(run).decision_history()
    ]
    assert history == [("Ann", "edited", MINE), ("Bo", "edited", YOURS), ("Ann", "withdrawn", "")]


def test_a_name_is_one_line_of_bounded_length() -> None:
    assert reviewer_name(" Ann\n\x1b[31m \u202eLee\0 ") == "Ann [31m Lee"
    assert reviewer_name("x" * 1000) == "x" * MAX_NAME
    assert reviewer_name("\ud800 <b>") == "\ufffd <b>"


def test_decisions_of_a_program_of_the_version_before_are_a_nameless_reviewers(ledger: Ledger) -> None:
    first, *_ = made(ledger, {"Ann": "r"})
    with closing(sqlite3.connect(ledger.path)) as earlier, earlier:
        for text in ("one", "other"):
            row = (
                first,
                "evolve",
                0,
                "edited",
                f'"{text}"',
                changed(ledger)[0][1].outcome[0]["response"],
                '""',
                1.0,
            )
            earlier.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    reviews = load_reviews(ledger)[first, "evolve"][0]
    assert {each.reviewer: each.response for each in reviews}[""] == "other"
    with closing(sqlite3.connect(ledger.path)) as earlier, earlier:
        earlier.execute("DELETE FROM decisions")
    assert [each.reviewer for each in load_reviews(ledger)[first, "evolve"][0]] == ["Ann"]


def test_decisions_of_an_older_ledger_are_a_nameless_reviewers(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as older:
        older.execute("PRAGMA journal_mode = WAL")
        older.executescript((DATA / "run_7" / "ledger.sql").read_text(encoding="utf-8"))
        older.execute(
            "INSERT INTO decisions SELECT position, mode, exchange, 'edited', '\"Mine.\"', response, "
            "'\"why\"', 5.0 FROM responses LIMIT 1"
        )
        older.commit()
    (by_exchange,) = load_reviews(Ledger.open(tmp_path / "ledger.sqlite")).values()
    ((decision,),) = by_exchange.values()
    assert (decision.reviewer, decision.response, decision.note) == ("", "Mine.", "why")
    assert (decision.decided, decision.stands, decision.counts) == (5.0, True, True)
