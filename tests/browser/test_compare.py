"""Two runs, or two modes of one, beside each other: the pages say what comparing sample by sample gives."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.ledger import Ledger, Result
from samples.sample import Sample
from standin import StandIn
from tests import program
from tests.chromium import Browser, viewing
from tests.conftest import look
from tests.program import coevol

pytestmark = pytest.mark.skipif(not program.DATA.exists(), reason="the data sets are not at hand")

ENGLISH = program.DATA / "alpaca_en_300.json"
HOSTILE_NAME = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(folder: Path) -> Path:
    coevol("evolve", ENGLISH, "-o", folder / "one", "--stop", 60, cwd=folder)
    return folder / "one"


@pytest.fixture(scope="module")
def other(folder: Path) -> Path:
    """Fewer samples, two modes, another prompt pack, a judge that likes drafts more, an odd name."""
    words = ("--mode", "advise", "--mode", "evolve", "--prompts", "classic", "--rehearsal-wins", 0.8)
    coevol("evolve", ENGLISH, "-o", folder / HOSTILE_NAME, "--stop", 50, *words, cwd=folder)
    return folder / HOSTILE_NAME


@pytest.fixture(scope="module")
def pages(one: Path, other: Path) -> Iterator[str]:
    with viewing(one, other) as url:
        yield url


Pairs = dict[str, tuple[tuple[Sample, Result], tuple[Sample, Result]]]


def pairs(one: tuple[Path, str], other: tuple[Path, str]) -> Pairs:
    """The results of both by the samples' ids."""
    here, there = (
        {
            s.id: (s, by_mode[mode])
            for s, by_mode in Ledger.open(run / "ledger.sqlite").samples()
            if mode in by_mode
        }
        for run, mode in (one, other)
    )
    return {id: (here[id], there[id]) for id in here if id in there}


def responses(sample: Sample, result: Result) -> list[str]:
    """The responses that a sample has in the end."""
    worked_on = {done["exchange"]: done["response"] for done in result.outcome}
    return [worked_on.get(place, exchange.response) for place, exchange in enumerate(sample.exchanges)]


def differ(a: tuple[Sample, Result], b: tuple[Sample, Result]) -> bool:
    return responses(*a) != responses(*b)


def more_growth(a: tuple[Sample, Result], b: tuple[Sample, Result]) -> float:
    here, there = (r.final_tokens / max(r.original_tokens, 1) for _, r in (a, b))
    return there - here


def tiles(browser: Browser) -> dict[str, str]:
    browser.until(lambda: browser.all(".numbers"))
    return dict(zip(browser.texts(".tile .name"), browser.texts(".tile .value"), strict=True))


def shown_ids(browser: Browser) -> list[str]:
    return browser.texts(".data tr td:first-child")


def stats(run: Path) -> Any:
    return json.loads(coevol("stats", run, "--json", cwd=run.parent).stdout)


def test_both_runs_stand_beside_each_other(browser: Browser, one: Path, other: Path, pages: str) -> None:
    both = pairs((one, "evolve"), (other, "evolve")).values()
    changed = [(a.accepted_rounds > 0, b.accepted_rounds > 0) for (_, a), (_, b) in both]
    browser.open(pages + "/compare")
    assert tiles(browser) == {
        "samples in both": "50",
        "responses differ": str(sum(differ(a, b) for a, b in both)),
        "changed in both": str(changed.count((True, True))),
        "changed in A only": str(changed.count((True, False))),
        "changed in B only": str(changed.count((False, True))),
        "changed in neither": str(changed.count((False, False))),
        "failed in one": "0",
    }
    assert "10 of A have no result on the other side" in browser.one(".matched").text
    numbers = {cells[0].strip(): cells[1:] for cells in rows(browser, ".numbers")[1:]}
    here, there = (stats(run)["modes"]["evolve"] for run in (one, other))
    assert numbers["samples worked on"] == ["60", "50", "−10"]
    assert numbers["judged rounds"][:2] == [str(side["judging"]["rounds"]) for side in (here, there)]
    calls = [side["calls"]["calls"] for side in (here, there)]
    assert numbers["calls"] == [
        f"{calls[0]:,}",
        f"{calls[1]:,}",
        f"{calls[1] - calls[0]:+,}".replace("-", "−"),
    ]
    made = rows(browser, ".made")
    assert ["prompts", '"default"', '"classic"'] in made
    assert ["rehearsal_wins", "0.5", "0.8"] in made
    assert not [row for row in made if row[0] == "modes"]  # each side is one mode
    browser.until(lambda: len(browser.all("canvas")) == 3)
    assert not browser.complaints()


def rows(browser: Browser, table: str) -> list[list[str]]:
    found: list[list[str]] = browser.script(
        "return [...document.querySelectorAll(arguments[0] + ' tr')]"
        ".map(r => [...r.cells].map(c => c.textContent))",
        table,
    )
    return found


def test_samples_where_they_differ(browser: Browser, one: Path, other: Path, pages: str) -> None:
    both = pairs((one, "evolve"), (other, "evolve"))
    browser.open(pages + "/compare")
    tiles(browser)
    browser.one(".tile .name")
    browser.script(
        "[...document.querySelectorAll('.tile')].find(t => t.innerText.includes('differ')).click()"
    )
    browser.until(lambda: shown_ids(browser))
    # In the order of the data, and texts as long as each other are told apart too.
    assert shown_ids(browser) == [id for id, (a, b) in both.items() if differ(a, b)]
    assert any(a[1].final_tokens == b[1].final_tokens for a, b in both.values() if differ(a, b))

    browser.open(pages + "/compare/samples?kind=only_b&order=growth&down=1")
    only_b = [id for id, (a, b) in both.items() if not a[1].accepted_rounds and b[1].accepted_rounds]
    only_b.sort(key=lambda id: (more_growth(*both[id]), both[id][0][0].position), reverse=True)
    assert shown_ids(browser) == only_b
    assert len(only_b) > 3

    # The keys lead through what the table showed.
    browser.one(".data td a").click()
    browser.until(lambda: browser.texts(".sample-id") == only_b[:1])
    for key, place in (("j", 1), (Keys.ARROW_RIGHT, 2), ("k", 1)):
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press(key)
        browser.until(lambda place=place: browser.texts(".sample-id") == only_b[place : place + 1])  # type: ignore[misc]
    browser.until(lambda: browser.script("return !!window.socket?.connected"))
    browser.press("u")
    browser.until(lambda: shown_ids(browser) == only_b)

    browser.open(pages + "/compare/samples?kind=nonsense&a=9-none&order=x&begin=-1")
    assert browser.until(lambda: browser.texts(".where"))[0].endswith(
        f"of {sum(differ(*p) for p in both.values())}"
    )


def test_a_pair_of_responses(browser: Browser, one: Path, other: Path, pages: str) -> None:
    both = pairs((one, "evolve"), (other, "advise"))
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
    browser.script("window.scrollTo(0, 0)")
    browser.all(".how button")[1].click()
    browser.until(lambda: any("rehearsed" in text for text in browser.texts(".panel.a ins")))

    # Each has its own debate, in its own run.
    browser.one(".debate.b").click()
    browser.until(
        lambda: f"/other/sample/{position}" in browser.driver.current_url and browser.all(".bubble")
    )
    assert browser.texts(".bubble .who") == ["Advisor · suggestions", "Editor · draft"]
    browser.script("window.scrollTo(0, 0)")
    assert [link.text for link in browser.all(".bar a.here")] == ["Samples", HOSTILE_NAME]
    browser.all(".bar a")[-2].click()
    browser.until(lambda: shown_ids(browser))
    assert browser.texts(".where") == ["1 to 50 of 60"]


def test_the_same_in_a_terminal(one: Path, other: Path) -> None:
    both = pairs((one, "evolve"), (other, "evolve")).values()
    said = json.loads(look("stats", one, other, "--json", cwd=one.parent).stdout)
    assert said["samples"]["evolve"]["differ"] == sum(differ(a, b) for a, b in both)
    assert said["samples"]["evolve"]["alone_a"] == 10
    assert (said["a"], said["b"]) == (stats(one), stats(other))
    assert {"name": "rehearsal_wins", "a": "0.5", "b": "0.8"} in said["differences"]
    shown = look("stats", one, other, cwd=one.parent).stdout
    assert "\x1b" not in shown
    for words in (HOSTILE_NAME, "prompts", "Mode evolve", "both orders agree", "50 samples in both"):
        assert words in shown
    assert "are one run" in look("stats", one, one, cwd=one.parent, status=2).stderr


def test_modes_of_one_run(browser: Browser, other: Path) -> None:
    both = pairs((other, "advise"), (other, "evolve"))
    with viewing(other) as url:
        browser.open(url + "/")
        browser.one(".bar a[href='/compare']").click()
        assert tiles(browser)["responses differ"] == str(sum(differ(a, b) for a, b in both.values()))
        assert browser.texts(".side") == ["A", "B"]
        # Nobody accepts or judges anything in mode advise: only the lengths are drawn beside each other.
        numbers = {cells[0].strip(): cells[1:] for cells in rows(browser, ".numbers")[1:]}
        assert numbers["accepted rounds of an exchange, on average"][::2] == ["–", ""]
        browser.until(lambda: len(browser.all("canvas")) == 1)
        browser.open(url + "/compare/samples?kind=only_a")
        unchanged = [id for id, (_, b) in both.items() if not b[1].accepted_rounds]
        browser.until(lambda: shown_ids(browser) == unchanged)


def test_conversations_of_which_one_failed(browser: Browser, failing_run: Path, tmp_path: Path) -> None:
    words = ("--history-window", 1, "--max-rounds", 1, "--rehearsal-wins", 0.99)
    coevol("evolve", failing_run.parent / "data.json", "-o", tmp_path / "whole", *words, cwd=tmp_path)
    with viewing(failing_run, tmp_path / "whole") as url:
        browser.open(url + "/compare/samples?kind=failed")
        browser.until(lambda: shown_ids(browser) == ["middle"])
        browser.one(".data td a").click()
        browser.until(lambda: browser.texts(".sample-id") == ["middle"])
        assert browser.texts(".exchanges a")[1] == "2: A failed, B 1 accepted"
        assert browser.texts(".exchanges a.here") == browser.texts(".exchanges a.looked-for")
        browser.until(lambda: browser.all(".b ins"))
        assert browser.script("return document.querySelector('.panel.a .text').innerText") == "Carrot."
        assert "Why A failed" in browser.one(".page").text

        # What was said before is there, from both, and the keys lead through the conversation.
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.one(".before .q-item").click()
        browser.until(lambda: "Response of B" in browser.one(".before").text)
        before = browser.one(".before").text
        assert "Response of A, evolved" in before
        assert "Name a fruit." in before
        browser.press("n")
        browser.until(lambda: browser.texts(".exchanges a.here")[0].startswith("3:"))
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press("p")
        browser.until(lambda: browser.texts(".exchanges a.here")[0].startswith("2:"))

        browser.open(url + "/compare/samples?kind=all")
        browser.one("input[aria-label='Search in requests and responses']").send_keys("VEGETABLE", Keys.ENTER)
        browser.until(lambda: "text=VEGETABLE" in browser.driver.current_url)
        browser.until(lambda: shown_ids(browser) == ["middle"])
        browser.one(".data td a").click()
        browser.until(lambda: browser.texts(".exchanges a.here")[0:1] == browser.texts(".looked-for")[0:1])
        browser.until(lambda: browser.texts(".next-searched") == ["no next one"])


def test_other_data_is_matched_by_id_and_request(browser: Browser, one: Path, folder: Path) -> None:
    records = json.loads(ENGLISH.read_text())[:40]
    for number, record in enumerate(records):
        record["id"] = number
    records[3]["instruction"] = "Something else."
    records[5]["output"] = "Another response to begin with."
    records.reverse()
    (folder / "turned.json").write_text(json.dumps(records))
    coevol("evolve", folder / "turned.json", "-o", folder / "turned", cwd=folder)
    with viewing(one, folder / "turned") as url:
        browser.open(url + "/compare")
        assert tiles(browser)["samples in both"] == "39"
        assert "21 of A and 1 of B have no result on the other side" in browser.one(".matched").text
        browser.open(url + "/compare/sample/5?kind=all")
        browser.until(lambda: len(browser.all(".original .text")) == 2)
        assert browser.texts(".original .text")[1] == "Another response to begin with."
        browser.one(".debate.b").click()
        browser.until(lambda: "/other/sample/34" in browser.driver.current_url)

    coevol("evolve", program.DATA / "alpaca_zh_100.json", "-o", folder / "zh", "--stop", 3, cwd=folder)
    refused = coevol("view", one, folder / "zh", "--no-browser", cwd=folder, status=2)
    assert "they read different data" in refused.stderr
    assert refused.stderr.count("\n") == 1
    same = coevol("view", one, one / ".." / "one", "--no-browser", cwd=folder, status=2)
    assert "are one run" in same.stderr


def test_a_run_that_goes_on_is_compared(browser: Browser, one: Path, folder: Path) -> None:
    with going_on(folder) as run, viewing(run, one) as url:
        browser.open(url + "/compare")
        first = int(tiles(browser)["samples in both"])
        assert browser.until(lambda: int(tiles(browser)["samples in both"]) > first)
        for path in ("/", "/samples", "/graph", "/sample/0", "/other/", "/compare/samples?kind=all"):
            browser.open(url + path)
            browser.until(lambda: browser.all(".bill, .data, .drawing svg, .bubble"))
        browser.one(".data td a").click()
        browser.until(lambda: browser.all(".panel.b .text"))
        assert not browser.complaints()


@contextmanager
def going_on(folder: Path) -> Iterator[Path]:
    """A run that has begun and takes its time."""
    run = folder / "going"
    with StandIn(latency=0.3) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 8)
        process = program.start("evolve", ENGLISH, "-o", run, *model, cwd=folder, env=server.environment())
        try:
            while not (
                Ledger.exists(run / "ledger.sqlite") and Ledger.open(run / "ledger.sqlite").finished()
            ):
                assert process.poll() is None
            yield run
            assert process.poll() is None  # so it was going on all the while
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
            shutil.rmtree(run)
