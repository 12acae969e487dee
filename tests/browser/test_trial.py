"""The pages and the report of a trial, and judging blind, in a real browser."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from reporting.recorded_trial import RecordedTrial
from tests.browser.conftest import ENGLISH, assert_harmless
from tests.chromium import Browser, entered, viewing
from tests.conftest import HOSTILE, look
from trials.blind import shuffled

IDS = ("<img src=x onerror=window.hacked=1>", "a/b?c#d", "..", "7")
PERSON = "<b>Ann</b>"
SOURCE = """
const page = document.documentElement.cloneNode(true);
page.querySelectorAll(".text, style").forEach(each => each.remove());
return page.outerHTML;
"""
"""All of a page but the texts of the data, which may have any word; its script has them too, as JSON."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial of two arms over 10 samples, with odd ids and texts."""
    folder = tmp_path_factory.mktemp("trials")
    records = [
        {"id": IDS[n] if n < len(IDS) else f"n{n}", **record}
        for n, record in enumerate(json.loads(ENGLISH.read_text(encoding="utf-8"))[:10])
    ]
    records[0] |= {"instruction": HOSTILE, "output": HOSTILE}
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")
    words = ("--referee", "rehearsal:outside", "--referee", "rehearsal:other", "--samples", 10)
    arms = ("--arms", "edit,advise", "--pairs", "all")
    done = look("trial", "data.json", "-o", "trial", *words, *arms, cwd=folder)
    assert "coevol view trial" in done.stdout.splitlines()[-1]
    return folder / "trial"


@pytest.fixture(scope="module")
def trial(folder: Path) -> RecordedTrial:
    return RecordedTrial(folder)


@pytest.fixture(scope="module")
def pages(folder: Path) -> Iterator[str]:
    with viewing(folder) as url:
        urlopen(Request(f"{url}/", headers=entered(url))).close()  # which begins to compute the figures
        yield url


def test_disagreements_are_a_click_away_and_each_sample_has_a_page(
    browser: Browser, trial: RecordedTrial, pages: str
) -> None:
    browser.open(f"{pages}/samples")
    browser.until(lambda: browser.all(".judged"))
    assert {row[0] for row in browser.rows(".judged")[1:]} == {*trial.manifest["ids"]}
    filters = dict(text.split(": ") for text in browser.texts(".filters a"))
    kind = max([*filters][1:], key=lambda name: int(filters[name]))
    browser.click(".filters a", [*filters].index(kind))
    browser.until(lambda: len(browser.rows(".judged")) == int(filters[kind]) + 1)
    first, second = (row[0] for row in browser.rows(".judged")[1:3])
    browser.click(".judged a")
    browser.until(lambda: browser.texts(".sample-id") == [first])
    browser.press("j")
    browser.until(lambda: browser.texts(".sample-id") == [second])
    pairs = browser.until(lambda: browser.texts(".pair > .font-semibold"))
    assert pairs == ["edit against original", "advise against original", "advise against edit"]
    browser.until(lambda: browser.all(".side-by-side .text"))
    browser.click(".words-of-referees .q-item")
    browser.until(lambda: browser.all(".bubble .text"))
    assert "drawn from the texts by a rule" in "".join(browser.texts(".bubble .text"))
    browser.click(".debates a", 1)
    browser.until(lambda: browser.texts(".bar a")[0] == "← trial")
    assert browser.texts(".sample-id") == [second]


def test_texts_and_names_of_strangers_have_no_effect(browser: Browser, pages: str) -> None:
    for page in ("/samples", "/sample/?position=0", "/judge?as=<i>Bob</i>&at=1"):
        browser.open(pages + page)
        browser.until(lambda: browser.all(".judged, .pair, .verdict-bar"))
        assert_harmless(browser, pages)
    hostile = "/sample/" + "%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E"
    browser.open(pages + hostile)
    browser.until(lambda: browser.texts(".sample-id") == [IDS[0]])
    assert_harmless(browser, pages)
    browser.open(f"{pages}/sample/nowhere")
    assert "nowhere" in browser.one(".page").text


def test_the_overview_has_the_figures_of_the_command(
    browser: Browser, trial: RecordedTrial, pages: str
) -> None:
    browser.open(f"{pages}/")
    browser.until(lambda: browser.all(".answer .said") or browser.all(".missing"))
    assert browser.texts(".said") == trial.sentences()
    assert {*trial.notes()} <= {*browser.texts(".noted li")}
    assert browser.texts(".none-better") == [trial.none_better()] != [""]
    tiles = " ".join(browser.one(".tiles").text.split())
    assert f"{trial.report().judged} samples judged" in tiles and "2 referees" in tiles
    rows = {row[0]: row for row in browser.rows(".arms table")[1:]}
    for result in trial.results():
        assert rows[result["arm"]][1] == f"{100 * result['win_rate']:.0f} %"
        assert rows[result["arm"]][3] == f"{result['wins']} / {result['ties']} / {result['losses']}"
        (alt,) = (each.get_attribute("aria-label") or "" for each in browser.all(".forest svg.plot"))
        figure = f"{result['arm']}: win rate {100 * result['win_rate']:.0f} % ["
        assert figure in alt
    assert len(browser.all(".scatter svg.plot")) == 2
    assert [row[0] for row in browser.rows(".referees table")[1:]] == sorted(trial.referees)
    # A number leads to its samples.
    (most,) = (row for row in browser.all(".arms tbody tr")[:1])
    assert most.text
    link = browser.all(".arms td a")[0]
    number = int(link.text)
    link.click()
    browser.until(lambda: browser.all(".judged"))
    assert len(browser.rows(".judged")) == number + 1


def test_people_judge_blind_with_the_keyboard(browser: Browser, trial: RecordedTrial, pages: str) -> None:
    texts = {each.sample.id: each.responses for each in trial.samples()}

    def shown() -> list[str]:
        browser.until(lambda: browser.all(".verdict-bar"))
        browser.wait_connected()
        for side in (".left", ".right"):
            browser.click(f"{side} .raw")
        browser.until(lambda: len(browser.all(".two .text.plain")) == 2)
        return browser.texts(".two .text")

    def at(number: int) -> bool:
        return f"at={number}" in browser.driver.current_url and bool(browser.all(".verdict-bar"))

    browser.open(f"{pages}/judge")
    browser.type(".person input", PERSON, "\n")
    browser.until(lambda: browser.texts(".reviewer") == [PERSON])
    total = int(browser.texts(".progress")[0].split()[2])
    left, right = shown()
    source = browser.script(SOURCE)
    assert not [arm for arm in trial.arms if re.search(rf"\b{arm}\b", source + browser.driver.current_url)]

    browser.press("1")
    browser.until(lambda: at(2))
    (decided,) = trial.decisions()
    sides = [decided.arm_a, decided.arm_b] if decided.order == "forward" else [decided.arm_b, decided.arm_a]
    assert [texts[decided.sample][decided.exchange][arm] for arm in sides] == [left, right]
    assert decided.outcome == (1 if decided.order == "forward" else 0)
    assert decided.person == PERSON
    assert browser.texts(".progress") == [f"1 of {total} judged, {total - 1} left"]

    browser.press("=")
    browser.until(lambda: at(3))
    assert sorted(each.outcome or 0 for each in trial.decisions()) == sorted([decided.outcome, 0.5])
    browser.press("z")  # the last one, and shows it
    browser.until(lambda: at(2))
    assert trial.decisions() == [decided]
    browser.press("k")
    browser.until(lambda: at(1))
    browser.until(lambda: "left is better" in browser.one(".verdict-bar .tag").text)
    browser.press("2")
    browser.until(lambda: at(2))
    (changed,) = trial.decisions()
    assert changed.outcome == 1 - decided.outcome

    # The rest, from the other side's program: the page then says that it is done.
    pairs = [
        (row["sample"], row["exchange"], row["arm"], row["rival"])
        for row in trial.comparisons()
        if row["referee"] != "unchanged" and not row["person"]
    ]
    for each in shuffled({*pairs}, PERSON, trial.manifest["seed"]):
        trial.decide(PERSON, each.sample, each.exchange, each.left, each.right, "")
    browser.open(f"{pages}/judge?as={PERSON}")
    browser.until(lambda: browser.all(".finished"))
    assert browser.texts(".progress") == [f"{total} of {total} judged, 0 left"]
    assert not browser.console()


def test_the_report_of_a_trial_is_one_file_without_script(trial: RecordedTrial, tmp_path: Path) -> None:
    look("report", trial.folder, "-o", "report.html", "--sample", IDS[0], "--samples", 3, cwd=tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|iframe|object|link)\b|<[^>]*\son\w+=", text)
    shown = html.unescape(text)
    assert "default-src 'none'" in shown
    assert all(line in shown for line in (*trial.sentences(), *trial.notes(), trial.none_better()))
    assert trial.none_better() and "at about the cost" not in shown  # there is no evolve to cost as much as
    assert html.escape(IDS[0]) in text
    assert text.count('<section class="sample"') == 4
    assert text.count('<svg class="plot"') == 3
    look("report", trial.folder, "-o", "other.html", "--mode", "edit", cwd=tmp_path, status=2)
    look("report", trial.folder, "-o", "other.html", "--sample", "none", cwd=tmp_path, status=2)
    own = trial.folder / "own.html"
    own.write_text("", encoding="utf-8")
    look("report", trial.folder, "-o", own, cwd=tmp_path, status=2)
    own.unlink()


def test_a_trial_is_viewed_by_itself(trial: RecordedTrial) -> None:
    shown = look("view", trial.folder, trial.folder, cwd=trial.folder.parent, status=2)
    assert "by itself" in shown.stderr
