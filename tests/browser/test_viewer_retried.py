"""Samples whose calls were made more than once, on pages, in reports and by `coevol show`."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger import browse
from ledger.browse import Filter
from ledger.decisions import decide, load_decisions
from reporting.graph_counts import graph_counts
from reporting.labels import DECISIONS
from reporting.transcript import FAILED, REPEATED, UNREADABLE, transcript
from tests.browser.conftest import evolve, ledger
from tests.chromium import Browser, viewing
from tests.conftest import look


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose judges failed in the second round."""
    folder = tmp_path_factory.mktemp("failed")
    record = {"instruction": "Name a fruit.", "output": "Apple."}
    (folder / "data.json").write_text(json.dumps([record]), encoding="utf-8")
    # The judges' calls are the seventh and the eighth of each round.
    return evolve(folder, "content_filter:nth=15-", status=1)


def story(run: Path, position: int, exchange: int) -> tuple[dict[str, Any], Any]:
    """Return the outcome of an exchange, and its debate."""
    ((sample, results),) = ledger(run).samples_at([position])
    done = results["evolve"].outcome[exchange]
    calls = [call for call in ledger(run).calls(sample.id) if call["mode"] == "evolve"]
    return done, transcript(calls, done, "evolve")


def test_superseded_calls_are_folded(browser: Browser, retried: Path, failing_pages: str) -> None:
    done, rounds = story(retried, 0, 2)
    assert list(rounds) == [round_["round"] for round_ in done["rounds"]] == [1, 2, 3]
    steps = [each for by_step in rounds.values() for each in by_step.values()]
    assert all(each.counted and [why for _, why in each.superseded] == [REPEATED] for each in steps)
    # The calls that count saw the second exchange as it is now.
    evolved = story(retried, 0, 1)[0]["response"]
    assert evolved in "".join(message["content"] for message in rounds[1]["editor"].counted["messages"])

    browser.open(f"{failing_pages}/other/sample/0?exchange=3")
    browser.until(lambda: browser.all(".bubble"))
    assert len(browser.all(".bubble")) == 24
    folds = browser.texts(".not-counted .q-item")
    assert len(folds) == 3
    assert all(f"not counted ({REPEATED})" in fold for fold in folds)
    browser.click(".not-counted .q-item")
    browser.until(lambda: len(browser.all(".not-counted .bubble")) == 8)
    browser.open(f"{failing_pages}/other/sample/0?exchange=2")
    browser.until(lambda: browser.all(".bubble"))
    (fold,) = browser.texts(".not-counted .q-item")
    assert f"not counted ({FAILED})" in fold


def test_counts_are_those_of_the_latest_results(retried: Path) -> None:
    assert browse.accepted(ledger(retried)) == {3: 3}
    found = [browse.count(ledger(retried), Filter(mode="evolve", accepted=number)) for number in (0, 1, 3)]
    assert found == [0, 0, 1]
    assert browse.count(ledger(retried), Filter(accepted=3, status="done")) == 1


def test_graph_story_and_report_agree(browser: Browser, retried: Path, tmp_path: Path) -> None:
    rounds = 3 * 3
    counts = graph_counts(ledger(retried), "evolve", lazy=False, sample="middle").calls
    assert {step: numbers.visits for step, numbers in counts.items()} == dict.fromkeys(counts, rounds)
    assert counts["editor"].calls > rounds

    shown = look("show", retried, "middle", cwd=tmp_path).stdout
    assert shown.count("Editor\n") == rounds
    assert "not counted" not in shown
    whole = look("show", retried, "middle", "--calls", cwd=tmp_path).stdout
    assert whole.count(f"not counted ({REPEATED})") == 24

    look("report", retried, "-o", "report.html", cwd=tmp_path)
    browser.driver.get((tmp_path / "report.html").as_uri())
    assert len(browser.all(".bubble")) == len(ledger(retried).calls("middle"))
    failed = counts["critical_opening"].failed + counts["positive_opening"].failed
    assert len(browser.all(".not-counted .bubble")) == 24 + failed


def test_a_verdict_is_shown_with_the_reply_it_was_read_from(
    browser: Browser, alpaca: Path, pages: str
) -> None:
    # Some replies of a rehearsed judge are unreadable, and it is asked again.
    sample, outcome, number, step, calls = next(
        (sample, results["evolve"].outcome[0], number, step, each)
        for sample, results in ledger(alpaca).samples()
        for number, steps in story(alpaca, sample.position, 0)[1].items()
        for step, each in steps.items()
        if each.superseded
    )
    assert {why for _, why in calls.superseded} == {UNREADABLE}
    assert calls.counted["reply"] == outcome["rounds"][number - 1][step.removeprefix("judge_")]["reply"]
    browser.open(f"{pages}/sample/{sample.position}?of=evolve")
    browser.until(lambda: browser.all(".not-counted"))
    assert f"not counted ({UNREADABLE})" in browser.texts(".not-counted .q-item")[0]
    browser.click(".not-counted .q-item")
    browser.until(lambda: browser.all(".not-counted .bubble"))
    assert not browser.all(".not-counted .tag")


def test_a_draft_that_was_never_judged_can_be_chosen(browser: Browser, failed: Path) -> None:
    done, rounds = story(failed, 0, 0)
    assert (done["ending"], done["rounds"], done["failure"]["round"]) == ("failed", [], 2)
    draft = rounds[2]["editor"].counted["reply"]
    assert draft != done["original"]
    with viewing(failed) as url:
        browser.open(f"{url}/sample/0")
        assert len(browser.until(lambda: browser.all(".use"))) == 2
        browser.click(".use", 1)
        browser.until(lambda: DECISIONS["chosen"] in browser.one(".decision").text)
        (decision,) = load_decisions(ledger(failed))[0, "evolve"].values()
        assert (decision.kind, decision.response) == ("chosen", draft)
        # A note does not change the kind of the decision.
        browser.type(".note input", "why not", "\n")
        browser.until(lambda: load_decisions(ledger(failed))[0, "evolve"][0].note == "why not")
        assert load_decisions(ledger(failed))[0, "evolve"][0].kind == "chosen"


def test_the_report_shows_decisions_and_nothing_private(
    failed: Path, browser: Browser, tmp_path: Path
) -> None:
    ((_, results),) = ledger(failed).samples_at([0])
    decide(ledger(failed), 0, results["evolve"], 0, "A pear.", "it is <b>riper</b>")
    look("report", failed, "-o", "report.html", cwd=tmp_path)
    browser.driver.get((tmp_path / "report.html").as_uri())
    shown = browser.one(".panel.decision").text
    assert DECISIONS["edited"] in shown
    assert "A pear." in shown
    assert "it is <b>riper</b>" in shown
    # Addresses and folders, and settings that had no effect, are left out.
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http://127.0.0.1" not in html
    assert str(failed.parent) not in html
    assert "data.json" in html
    assert "rehearsal_wins" not in html
    assert "max_rounds" in html
    assert "history_window" not in html
