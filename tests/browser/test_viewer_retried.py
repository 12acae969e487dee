"""What is told of a sample whose calls were made more than once: on pages, in a report, by `coevol show`."""

import json
from pathlib import Path
from typing import Any

import pytest
from reporting.step_counts import steps

from ledger import browse
from ledger.browse import Filter
from ledger.decisions import decide, on_file
from ledger.ledger import Ledger
from reporting.transcript import ANEW, FAILED, UNREADABLE, Said, debate
from standin import StandIn
from tests.chromium import Browser, viewing
from tests.conftest import FAILING, look
from tests.program import EXAMPLES, coevol


def evolve(folder: Path, *faults: str, more: tuple[object, ...] = (), status: int = 0) -> Path:
    """Works on `data.json`; the judge always prefers the draft."""
    with StandIn(*faults, wins=1.0) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        words = ("evolve", "data.json", "-o", "run", "--max-rounds", 2, "--history-window", 2)
        coevol(*words, *model, *more, cwd=folder, env=server.environment(), status=status)
    return folder / "run"


@pytest.fixture(scope="module")
def retried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation whose second exchange failed at first, so that the third was gone through twice."""
    folder = tmp_path_factory.mktemp("retried")
    (folder / "data.json").write_text(json.dumps(FAILING[:1]), encoding="utf-8")
    # The first that is asked about the second exchange; nobody who is asked about the third.
    evolve(folder, "content_filter:word=withheld,nth=1", status=1)
    return evolve(folder, more=("--retry-failed",))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose judges failed in the second round."""
    folder = tmp_path_factory.mktemp("failed")
    record = {"instruction": "Name a fruit.", "output": "Apple."}
    (folder / "data.json").write_text(json.dumps([record]), encoding="utf-8")
    # In each round the judges are the seventh and the eighth to be asked.
    return evolve(folder, "empty:nth=15-", status=1)


def story(run: Path, place: int, exchange: int) -> tuple[dict[str, Any], Any]:
    """The outcome of an exchange, and its debate."""
    ledger = Ledger.open(run / "ledger.sqlite")
    ((sample, results),) = ledger.at([place])
    done = results["evolve"].outcome[exchange]
    return done, debate([call for call in ledger.calls(sample.id) if call["mode"] == "evolve"], done)


def test_what_was_gone_through_again_is_folded_away(browser: Browser, retried: Path) -> None:
    done, said = story(retried, 0, 2)
    assert list(said) == [round_["round"] for round_ in done["rounds"]] == [1, 2]
    places = [each for steps in said.values() for each in steps.values()]
    assert all(each.counts and [why for _, why in each.others] == [ANEW] for each in places)
    # What counts was asked with the second exchange as it is now.
    evolved = story(retried, 0, 1)[0]["response"]
    told = [each for message in said[1]["editor"].counts["messages"] for each in [message["content"]]]
    assert evolved in "".join(told)

    with viewing(retried) as url:
        browser.open(f"{url}/sample/0?exchange=3")
        browser.until(lambda: browser.all(".bubble"))
        assert len(browser.all(".bubble")) == 16
        folds = browser.texts(".not-counted .q-item")
        assert len(folds) == 2
        assert all("did not count (the sample was worked on again)" in fold for fold in folds)
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.one(".not-counted .q-item").click()
        browser.until(lambda: len(browser.all(".not-counted .bubble")) == 8)
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: browser.all(".bubble"))
        (fold,) = browser.texts(".not-counted .q-item")
        assert f"did not count ({FAILED})" in fold


def test_what_is_counted_follows_what_was_replaced(retried: Path) -> None:
    ledger = Ledger.open(retried / "ledger.sqlite")
    assert browse.accepted(ledger) == {2: 3}
    found = [browse.count(ledger, Filter(mode="evolve", accepted=number)) for number in (0, 1, 2)]
    assert found == [0, 0, 1]
    assert browse.count(ledger, Filter(accepted=2, status="done")) == 1


def test_all_tell_the_same(browser: Browser, retried: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(retried / "ledger.sqlite")
    rounds = 2 * 3
    asked = steps(ledger, "evolve", "middle")
    assert {step: numbers.visits for step, numbers in asked.items()} == dict.fromkeys(asked, rounds)
    assert asked["editor"].calls > rounds

    shown = look("show", retried, "middle", cwd=tmp_path).stdout
    assert shown.count("Editor: the draft") == rounds
    assert "did not count" not in shown
    whole = look("show", retried, "middle", "--calls", cwd=tmp_path).stdout
    assert whole.count(f"did not count, {ANEW}") == 16

    look("report", retried, "-o", "report.html", cwd=tmp_path)
    browser.driver.get((tmp_path / "report.html").as_uri())
    assert len(browser.all(".bubble")) == len(ledger.calls("middle"))
    assert (
        len(browser.all(".not-counted .bubble"))
        == 16 + asked["critical_opening"].failed + asked["positive_opening"].failed
    )


def test_a_verdict_stands_with_the_reply_that_it_was_read_from(browser: Browser, tmp_path: Path) -> None:
    # A judge that is rehearsed cannot be read now and then, and is asked again.
    coevol("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", cwd=tmp_path)
    ledger = Ledger.open(tmp_path / "run" / "ledger.sqlite")
    found = [
        (sample, number, step, each)
        for sample, results in ledger.samples()
        for number, steps in debate(ledger.calls(sample.id), results["evolve"].outcome[0]).items()
        for step, each in steps.items()
        if each.others
    ]
    sample, number, step, said = found[0]
    assert isinstance(said, Said)
    assert said.counts
    assert {why for _, why in said.others} == {UNREADABLE}
    ((_, results),) = ledger.at([sample.position])
    judgement = results["evolve"].outcome[0]["rounds"][number - 1][step.removeprefix("judge_")]
    assert said.counts["reply"] == judgement["reply"]
    with viewing(tmp_path / "run") as url:
        browser.open(f"{url}/sample/{sample.position}")
        browser.until(lambda: browser.all(".not-counted"))
        assert "the verdict could not be read" in browser.texts(".not-counted .q-item")[0]
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.one(".not-counted .q-item").click()
        browser.until(lambda: browser.all(".not-counted .bubble"))
        assert not browser.all(".not-counted .tag")


def test_a_draft_that_was_never_judged_can_be_chosen(browser: Browser, failed: Path) -> None:
    done, said = story(failed, 0, 0)
    assert (done["ending"], done["rounds"], done["failure"]["round"]) == ("failed", [], 2)
    draft = said[2]["editor"].counts["reply"]
    assert draft != done["original"]
    with viewing(failed) as url:
        browser.open(f"{url}/sample/0")
        buttons = browser.until(lambda: browser.all(".use"))
        assert len(buttons) == 2
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        buttons[1].click()
        browser.until(lambda: "another draft chosen" in browser.one(".decision").text)
        ledger = Ledger.open(failed / "ledger.sqlite")
        (decision,) = on_file(ledger)[0, "evolve"].values()
        assert (decision.kind, decision.response) == ("chosen", draft)
        # A note does not make it another kind of decision.
        browser.one(".note input").send_keys("why not", "\n")
        browser.until(lambda: on_file(ledger)[0, "evolve"][0].note == "why not")
        assert on_file(ledger)[0, "evolve"][0].kind == "chosen"


def test_the_report_has_what_people_decided(failed: Path, browser: Browser, tmp_path: Path) -> None:
    ledger = Ledger.open(failed / "ledger.sqlite")
    ((_, results),) = ledger.at([0])
    decide(ledger, 0, results["evolve"], 0, "A pear.", "it is <b>riper</b>")
    look("report", failed, "-o", "report.html", cwd=tmp_path)
    browser.driver.get((tmp_path / "report.html").as_uri())
    said = browser.one(".panel.decision").text
    assert "edited" in said
    assert "A pear." in said
    assert "it is <b>riper</b>" in said
    # What is nobody's business elsewhere is not in it.
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http://127.0.0.1" not in html
    assert str(failed.parent) not in html
    assert "data.json" in html
    assert "rehearsal_wins" not in html
    assert "max_rounds" in html
    assert "history_window" not in html
