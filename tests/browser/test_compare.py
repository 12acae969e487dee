"""The comparison of two runs, or of two modes of one: on pages and by `coevol stats`."""

import json
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.ledger import Result
from prompts.method import STEPS
from reporting.labels import AGREEMENT
from samples.sample import Sample
from tests.browser.conftest import ENGLISH, HOSTILE_NAME, ledger
from tests.chromium import Browser, viewing
from tests.conftest import look
from tests.program import DATA

Pairs = dict[str, tuple[tuple[Sample, Result], tuple[Sample, Result]]]


def pairs(a: tuple[Path, str], b: tuple[Path, str]) -> Pairs:
    """Return the results that two modes share, by the samples' ids."""
    one, two = (
        {s.id: (s, by_mode[mode]) for s, by_mode in ledger(run).samples() if mode in by_mode}
        for run, mode in (a, b)
    )
    return {id: (one[id], two[id]) for id in one if id in two}


def responses(sample: Sample, result: Result) -> list[str]:
    """Return the final responses of a sample."""
    worked_on = {done["exchange"]: done["response"] for done in result.outcome}
    return [worked_on.get(number, exchange.response) for number, exchange in enumerate(sample.exchanges)]


def differ(a: tuple[Sample, Result], b: tuple[Sample, Result]) -> bool:
    return responses(*a) != responses(*b)


def more_growth(a: tuple[Sample, Result], b: tuple[Sample, Result]) -> float:
    one, two = (r.final_tokens / max(r.original_tokens, 1) for _, r in (a, b))
    return two - one


def tiles(browser: Browser) -> dict[str, str]:
    browser.until(lambda: browser.all(".numbers"))
    return browser.tiles()


def stats(run: Path) -> Any:
    return json.loads(look("stats", run, "--json", cwd=run.parent).stdout)


def test_the_numbers_of_both_runs_are_shown_side_by_side(
    browser: Browser, alpaca: Path, other: Path, pages: str
) -> None:
    both = pairs((alpaca, "evolve"), (other, "evolve")).values()
    changed = [(a.accepted_rounds > 0, b.accepted_rounds > 0) for (_, a), (_, b) in both]
    browser.open(pages + "/compare")
    assert tiles(browser) == {
        "samples in both": "30",
        "responses differ": str(sum(differ(a, b) for a, b in both)),
        "changed in both": str(changed.count((True, True))),
        "changed in A only": str(changed.count((True, False))),
        "changed in B only": str(changed.count((False, True))),
        "changed in neither": str(changed.count((False, False))),
        "failed in one": "0",
    }
    assert "10 of A have no result on the other side" in browser.one(".matched").text
    # All numbers are of the samples in both, whatever else a run has.
    numbers = {cells[0].strip(): cells[1:] for cells in browser.rows(".numbers")[1:]}
    assert numbers["samples worked on"] == ["30", "30", "="]
    rounds = [sum(len(done["rounds"]) for pair in both for done in pair[side][1].outcome) for side in (0, 1)]
    judged = [stats(run)["modes"]["evolve"]["judging"]["rounds"] for run in (alpaca, other)]
    assert numbers["judged rounds"][:2] == [f"{number:,}" for number in rounds]
    assert rounds[0] < judged[0] and rounds[1] == judged[1]
    ids = {sample.id for (sample, _), _ in both}
    calls = [
        sum(call["sample"] in ids and call["mode"] == "evolve" for call in ledger(run).all_calls())
        for run in (alpaca, other)
    ]
    difference = f"{calls[1] - calls[0]:+,}".replace("-", "−")
    assert numbers["calls"] == [f"{calls[0]:,}", f"{calls[1]:,}", difference]
    compared = json.loads(look("stats", alpaca, other, "--json", cwd=alpaca.parent).stdout)
    assert [compared["common"]["evolve"][side]["calls"]["calls"] for side in "ab"] == calls
    assert browser.texts(".paired")[0] in look("stats", alpaca, other, cwd=alpaca.parent).stdout
    made = browser.rows(".made")
    packs = next(row[1:] for row in made if row[0] == "texts of the prompts")
    assert [text.partition(" (")[0] for text in packs] == ["default", "classic"]
    assert ["rehearsal_wins", "0.7", "0.9"] in made
    assert not [row for row in made if row[0] == "modes"]  # each side is one mode
    browser.until(lambda: len(browser.all("canvas")) == 3)
    assert not browser.console()


def test_tiles_and_filters_lead_to_the_pairs(browser: Browser, alpaca: Path, other: Path, pages: str) -> None:
    both = pairs((alpaca, "evolve"), (other, "evolve"))
    browser.open(pages + "/compare")
    tiles(browser)
    browser.script(
        "[...document.querySelectorAll('.tile')].find(t => t.innerText.includes('differ')).click()"
    )
    browser.until(lambda: browser.ids())
    # In the order of the data; texts of the same length differ too.
    assert browser.ids() == [id for id, (a, b) in both.items() if differ(a, b)]
    assert any(a[1].final_tokens == b[1].final_tokens for a, b in both.values() if differ(a, b))

    browser.open(pages + "/compare/samples?kind=only_b&order=growth&down=1")
    only_b = [id for id, (a, b) in both.items() if not a[1].accepted_rounds and b[1].accepted_rounds]
    only_b.sort(key=lambda id: (more_growth(*both[id]), both[id][0][0].position), reverse=True)
    assert browser.ids() == only_b
    assert len(only_b) > 3

    # Keys move through the rows of the table.
    browser.one(".data td a").click()
    browser.until(lambda: browser.texts(".sample-id") == only_b[:1])
    for key, row in (("j", 1), (Keys.ARROW_RIGHT, 2), ("k", 1)):
        browser.press(key)
        browser.until(lambda row=row: browser.texts(".sample-id") == [only_b[row]])  # type: ignore[misc]
    browser.press("u")
    browser.until(lambda: browser.ids() == only_b)

    browser.open(pages + "/compare/samples?kind=nonsense&a=9-none&order=x&begin=-1")
    assert browser.until(lambda: browser.texts(".where"))[0].endswith(
        f"of {sum(differ(*pair) for pair in both.values())}"
    )


def test_a_pair_of_responses(browser: Browser, alpaca: Path, other: Path, pages: str) -> None:
    both = pairs((alpaca, "evolve"), (other, "advise"))
    a, b = next((a, b) for a, b in both.values() if a[1].accepted_rounds > 1)
    position = a[0].position
    browser.open(f"{pages}/compare/sample/{position}?a=1-evolve&b=2-advise&kind=both")
    browser.until(lambda: browser.all(".b ins"))
    texts = {
        name: browser.script(f"return document.querySelector('.panel.{name} .text').innerText")
        for name in "ab"
    }
    assert [texts["a"]] == responses(*a)
    assert [texts["b"]] == responses(*b)
    assert browser.texts(".panel.a del") == [f"{a[1].accepted_rounds}"]
    assert browser.texts(".panel.b ins") == ["1"]
    assert a[0].exchanges[0].response in browser.script(
        "return document.querySelector('.original .text').innerText"
    )
    browser.click(".how button", 1)
    browser.until(lambda: any("rehearsed" in text for text in browser.texts(".panel.a ins")))

    # Each has its own debate, in its own run.
    browser.one(".debate.b").click()
    browser.until(
        lambda: f"/other/sample/{position}" in browser.driver.current_url and browser.all(".bubble")
    )
    assert browser.texts(".bubble .who") == [STEPS["advisor"].label, STEPS["editor"].label]
    browser.script("window.scrollTo(0, 0)")
    assert [link.text for link in browser.all(".bar a.here")] == ["Samples", HOSTILE_NAME]
    browser.all(".bar a")[-2].click()
    browser.until(lambda: browser.texts(".where") == ["1 to 50 of 120"])


def test_stats_compares_in_a_terminal(alpaca: Path, other: Path) -> None:
    both = pairs((alpaca, "evolve"), (other, "evolve")).values()
    found = json.loads(look("stats", alpaca, other, "--json", cwd=alpaca.parent).stdout)
    assert found["samples"]["evolve"]["differ"] == sum(differ(a, b) for a, b in both)
    assert found["samples"]["evolve"]["alone_a"] == 10
    assert (found["a"], found["b"]) == (stats(alpaca), stats(other))
    assert {"name": "rehearsal_wins", "a": "0.7", "b": "0.9"} in found["differences"]
    shown = look("stats", alpaca, other, cwd=alpaca.parent).stdout
    assert "\x1b" not in shown
    for words in (
        HOSTILE_NAME,
        "prompts",
        "Mode evolve",
        AGREEMENT,
        "30 samples in both",
    ):
        assert words in shown
    for same in (alpaca, alpaca / ".." / alpaca.name):
        for command in ("stats", "view"):
            refused = look(command, alpaca, same, cwd=alpaca.parent, status=2)
            assert "are the same run" in refused.stderr


def test_modes_of_one_run(browser: Browser, other: Path, pages: str, odd_pages: str) -> None:
    both = pairs((other, "advise"), (other, "evolve"))
    query = "?a=2-advise&b=2-evolve"
    browser.open(f"{pages}/compare{query}")
    assert tiles(browser)["responses differ"] == str(sum(differ(a, b) for a, b in both.values()))
    # Mode advise has no judge: only the lengths are compared in a chart.
    numbers = {cells[0].strip(): cells[1:] for cells in browser.rows(".numbers")[1:]}
    assert numbers["accepted rounds of an exchange, on average"][::2] == ["–", ""]
    browser.until(lambda: len(browser.all("canvas")) == 1)
    browser.open(f"{pages}/compare/samples{query}&kind=only_a")
    unchanged = [id for id, (_, b) in both.items() if not b[1].accepted_rounds]
    browser.until(lambda: browser.ids() == unchanged)

    # Without another run, its own modes are compared.
    browser.open(odd_pages + "/")
    browser.one(".bar a[href='/compare']").click()
    assert tiles(browser)["samples in both"] == "4"
    assert browser.texts(".side") == ["A", "B"]


def test_conversations_of_which_one_failed(browser: Browser, failing_pages: str) -> None:
    browser.open(failing_pages + "/compare/samples?kind=failed")
    browser.until(lambda: browser.ids() == ["middle"])
    browser.one(".data td a").click()
    browser.until(lambda: browser.texts(".sample-id") == ["middle"])
    assert browser.texts(".exchanges a")[1] == "2: A failed, B 3 accepted"
    assert browser.texts(".exchanges a.here") == browser.texts(".exchanges a.matching")
    browser.until(lambda: browser.all(".b ins"))
    assert browser.script("return document.querySelector('.panel.a .text').innerText") == "Carrot."
    assert "Why A failed" in browser.one(".page").text

    # The earlier exchanges are there, with both responses, and keys move through the conversation.
    browser.click(".before .q-item")
    browser.until(lambda: "Response of B" in browser.one(".before").text)
    before = browser.one(".before").text
    assert "Response of A, evolved" in before
    assert "Name a fruit." in before
    browser.press("n")
    browser.until(lambda: browser.texts(".exchanges a.here")[0].startswith("3:"))
    browser.press("p")
    browser.until(lambda: browser.texts(".exchanges a.here")[0].startswith("2:"))

    browser.open(failing_pages + "/compare/samples?kind=all")
    # Hits are shown while one types, with the words around them, and the address follows.
    browser.type("input[aria-label='Search in requests and responses']", "VEGETABLE")
    browser.until(lambda: "text=VEGETABLE" in browser.driver.current_url)
    browser.until(lambda: [mark.lower() for mark in browser.texts(".data mark")[:1]] == ["vegetable"])
    assert browser.ids() == ["middle"]
    browser.one(".data td a").click()
    browser.until(
        lambda: browser.texts(".exchanges a.here")[0:1] == browser.texts(".exchanges a.matching")[0:1]
    )
    browser.until(lambda: "vegetable" in [text.lower() for text in browser.texts(".text mark")])
    browser.until(lambda: browser.texts(".next-searched") == ["no next one"])


@pytest.fixture
def reordered(tmp_path: Path) -> Path:
    """The same data in reverse order with ids of their own, one request and one original response changed."""
    records = json.loads(ENGLISH.read_text(encoding="utf-8"))[:30]
    for number, record in enumerate(records):
        record["id"] = number
    records[3]["instruction"] = "Something else."
    records[5]["output"] = "Another original response."
    records.reverse()
    (tmp_path / "reordered.json").write_text(json.dumps(records), encoding="utf-8")
    look("evolve", "reordered.json", "-o", "reordered", cwd=tmp_path)
    return tmp_path / "reordered"


def test_samples_of_other_data_match_by_id_and_request(
    browser: Browser, alpaca: Path, reordered: Path
) -> None:
    with viewing(alpaca, reordered) as url:
        browser.open(url + "/compare")
        assert tiles(browser)["samples in both"] == "29"
        assert "11 of A and 1 of B have no result on the other side" in browser.one(".matched").text
        browser.open(url + "/compare/sample/5?kind=all")
        browser.until(lambda: len(browser.all(".original .text")) == 2)
        assert browser.texts(".original .text")[1] == "Another original response."
        browser.one(".debate.b").click()
        browser.until(lambda: "/other/sample/5?" in browser.driver.current_url)


def test_runs_without_a_sample_in_common_are_refused(alpaca: Path, tmp_path: Path) -> None:
    look("evolve", DATA / "alpaca_zh_20.json", "-o", "zh", "--stop", 3, cwd=tmp_path)
    refused = look("view", alpaca, "zh", "--no-browser", cwd=tmp_path, status=2)
    assert "they read different data" in refused.stderr
    assert refused.stderr.count("\n") == 1
