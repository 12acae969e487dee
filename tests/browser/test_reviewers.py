"""Several reviewers of a run at one server: names, what each decides, history, disagreement."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.decisions import load_history, load_reviews
from tests.browser.conftest import ENGLISH, HOSTILE_NAME, assert_harmless, ledger
from tests.chromium import Browser, entered, viewing
from tests.conftest import look


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples whose responses changed; each test decides on one of its own."""
    folder = tmp_path_factory.mktemp("reviewers")
    look("evolve", ENGLISH, "-o", "run", "--stop", 6, "--rehearsal-wins", 1, cwd=folder)
    return folder / "run"


@pytest.fixture(scope="module")
def pages(run: Path) -> Iterator[str]:
    with viewing(run) as url:
        yield url


@pytest.fixture
def reviewer(browser: Browser) -> Iterator[Browser]:
    """The browser of someone who has given no name yet."""
    browser.review_as(None)
    yield browser
    browser.review_as("")


def made(run: Path, position: int) -> dict[str, str]:
    """Return the kind of each reviewer's decision on a sample."""
    reviews = load_reviews(ledger(run), [position]).get((position, "evolve"), {})
    return {each.reviewer: each.kind for each in reviews.get(0, ())}


def decide(browser: Browser, run: Path, position: int, reviewer: str, key: str, kind: str) -> None:
    browser.press(key)
    browser.until(lambda: made(run, position).get(reviewer) == kind)


def exported(pages: str, query: str) -> dict[str, str]:
    """Return the responses that are exported as people decided, by position."""
    address = f"{pages}/selection.jsonl?by_user=1{query}"
    with urllib.request.urlopen(urllib.request.Request(address, headers=entered(pages))) as answer:
        records = [json.loads(line) for line in answer]
    data = json.loads(ENGLISH.read_text(encoding="utf-8"))
    positions = {each["instruction"] + each["input"]: str(number) for number, each in enumerate(data)}
    return {positions[each["instruction"] + each["input"]]: each["output"] for each in records}


def test_a_name_is_asked_for_once_and_kept(reviewer: Browser, run: Path, pages: str) -> None:
    reviewer.open(f"{pages}/sample/0")
    reviewer.press("a")
    reviewer.until(lambda: reviewer.all(".reviewer-name"))
    assert not made(run, 0)
    reviewer.type(".reviewer-name input", HOSTILE_NAME, Keys.ENTER)
    reviewer.until(lambda: made(run, 0) == {HOSTILE_NAME: "accepted"})
    reviewer.until(lambda: HOSTILE_NAME in reviewer.one(".decision-bar").text)
    reviewer.open(f"{pages}/sample/1")
    assert HOSTILE_NAME in reviewer.one(".decision .reviewer").text
    decide(reviewer, run, 1, HOSTILE_NAME, "r", "rejected")
    # Another name is another reviewer.
    reviewer.click(".decision .reviewer")
    reviewer.until(lambda: reviewer.all(".reviewer-name"))
    reviewer.type(".reviewer-name input", Keys.CONTROL, "a")
    reviewer.type(".reviewer-name input", "Ann", Keys.ENTER)
    reviewer.until(lambda: "none yet" in reviewer.one(".decision-bar").text)
    decide(reviewer, run, 1, "Ann", "a", "accepted")
    reviewer.open(f"{pages}/samples")
    assert_harmless(reviewer, pages)
    assert not reviewer.console()


def test_two_at_a_time_do_not_overwrite_one_another(reviewer: Browser, run: Path, pages: str) -> None:
    reviewer.review_as("Ann")
    reviewer.open(f"{pages}/sample/2")
    reviewer.press("e")
    reviewer.type(".editing textarea", "Ann's draft. ", Keys.ESCAPE)
    reviewer.until(lambda: "draft not saved" in reviewer.one(".decision").text)
    own = reviewer.driver.current_window_handle
    reviewer.review_as("Bo")
    reviewer.driver.switch_to.new_window("tab")
    reviewer.open(f"{pages}/sample/2")
    assert "draft not saved" not in reviewer.one(".decision").text
    decide(reviewer, run, 2, "Bo", "r", "rejected")
    reviewer.driver.close()
    reviewer.driver.switch_to.window(own)
    # Ann's page is as old as it was.
    reviewer.press("e")
    reviewer.type(".editing textarea", Keys.CONTROL, Keys.ENTER)
    reviewer.until(lambda: made(run, 2) == {"Bo": "rejected", "Ann": "edited"})
    reviewer.until(lambda: "reviewers disagree" in reviewer.one(".decision-bar").text)

    reviewer.click(".history .q-item")
    reviewer.until(lambda: len(reviewer.all(".change")) == 2)
    assert reviewer.texts(".change .by") == ["Ann", "Bo"]
    reviewer.click(".change .open-text", 1)
    reviewer.until(lambda: "What Bo wanted" in reviewer.one(".q-dialog").text)
    reviewer.press(Keys.ESCAPE)
    reviewer.until(lambda: not reviewer.all(".q-dialog"))
    reviewer.click(".change .take", 1)
    reviewer.until(lambda: made(run, 2) == {"Bo": "rejected", "Ann": "rejected"})
    reviewer.until(lambda: "disagree" not in reviewer.one(".decision-bar").text)
    assert [each.kind for each in load_history(ledger(run), (2, "evolve", 0))] == [
        *("rejected", "edited", "rejected")
    ]
    assert not reviewer.console()


def test_disagreement_is_found_and_measured(reviewer: Browser, run: Path, pages: str) -> None:
    for name, key, kind in (("Ann", "a", "accepted"), ("Bo", "r", "rejected")):
        reviewer.review_as(name)
        for position in (3, 4) if name == "Ann" else (3,):
            reviewer.open(f"{pages}/sample/{position}")
            decide(reviewer, run, position, name, key, kind)
    reviewer.open(f"{pages}/samples?decided=disputed")
    assert "3" in reviewer.ids()
    assert "4" not in reviewer.ids()
    assert "reviewers disagree" in reviewer.one(".results").text
    # What is left to a reviewer: the table, and where a decision goes on to.
    reviewer.open(f"{pages}/samples?decided=some&reviewer=Bo")
    assert "4" in reviewer.ids()
    assert "left undecided by Bo" in reviewer.texts(".undecided")[0]
    reviewer.open(f"{pages}/samples?reviewer=Bo")
    assert "3" in reviewer.ids()
    assert "4" not in reviewer.ids()
    # What is exported is theirs, whoever decided later.
    original = str(json.loads(ENGLISH.read_text(encoding="utf-8"))[3]["output"])
    for name, key, kind in (("Ann", "r", "rejected"), ("Bo", "a", "accepted")):
        reviewer.review_as(name)
        reviewer.open(f"{pages}/sample/3")
        decide(reviewer, run, 3, name, key, kind)
    assert exported(pages, "")["3"] != original
    assert exported(pages, "&reviewer=Bo")["3"] != original
    assert exported(pages, "&reviewer=Ann")["3"] == original
    reviewer.open(f"{pages}/samples?reviewer=Bo")
    reviewer.click(".results-tools button", 1)
    reviewer.until(lambda: reviewer.texts("a.selection")[1:] == ["as Bo decided, where they did"])
    reviewer.open(pages)
    reviewer.until(lambda: "reviewers agree" in reviewer.tiles())
