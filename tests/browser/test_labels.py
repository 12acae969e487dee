"""Commands, pages and reports describe the same run in the same words."""

import json
import shutil
from html import unescape
from pathlib import Path

import pytest

from ledger.decisions import decide
from prompts.method import MODES, STEPS
from reporting import labels
from reporting.labels import AGREEMENT, DECISIONS, ENDINGS, JUDGING
from samples.fields import percent
from tests.browser.conftest import ledger
from tests.chromium import Browser, viewing
from tests.conftest import look


@pytest.fixture(scope="module")
def run(failing_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with accepted and failed exchanges, and with a decision."""
    run = shutil.copytree(failing_run, tmp_path_factory.mktemp("labels") / "run")
    (result,) = (results["evolve"] for sample, results in ledger(run).samples() if sample.id == "middle")
    decide(ledger(run), 0, result, 0, result.outcome[0]["original"])
    return run


def report(run: Path, sample: str, folder: Path) -> str:
    look("report", run, "-o", "report.html", "--sample", sample, cwd=folder)
    return unescape((folder / "report.html").read_text(encoding="utf-8"))


def test_the_same_words_everywhere(browser: Browser, run: Path, tmp_path: Path) -> None:
    found = ledger(run).sample("middle")
    assert found
    outcome = found[1]["evolve"].outcome
    failure = outcome[1]["failure"]
    stats = look("stats", run, cwd=tmp_path).stdout
    story = look("show", run, "middle", "--calls", cwd=tmp_path).stdout
    html = report(run, "middle", tmp_path)
    with viewing(run) as url:
        browser.open(f"{url}/sample/0?exchange=1")
        browser.until(lambda: browser.all(".bubble"))
        accepted = browser.one(".page").text
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: browser.all(".bubble"))
        failed = browser.one(".page").text
        browser.open(f"{url}/samples")
        table = browser.one(".page").text
        browser.open(f"{url}/")
        browser.until(lambda: browser.all(".failures"))
        overview = browser.one(".page").text

    assert (outcome[0]["ending"], outcome[1]["ending"]) == ("max_rounds", "failed")
    for text in (stats, story, html, accepted):
        assert ENDINGS["max_rounds"] in text
        assert DECISIONS["rejected"] in text
    # Tables show a decision without a date, and the others with one.
    assert DECISIONS["rejected"] in table

    kind = labels.failure_label(failure["reason"])
    for text in (stats, overview, table):
        assert kind in text
    for text in (story, html, failed):
        # Reports leave out the address of the model.
        assert f"{STEPS[failure['step']].label}, round {failure['round']}: {kind}: " in text
        assert labels.reason(failure["reason"], failure["message"]).split(" at http")[0] in text

    for step in MODES["evolve"].steps:
        for text in (story, html, accepted):
            assert STEPS[step].label in text
    round_ = outcome[0]["rounds"][0]
    for text in (story, html, accepted):
        assert labels.verdict({"step": "judge_forward", "model": ""}, round_) in text
        assert labels.round_outcome(round_).casefold() in text.casefold()


def test_superseded_calls_are_described_alike(
    browser: Browser, retried: Path, failing_pages: str, tmp_path: Path
) -> None:
    browser.open(f"{failing_pages}/other/sample/0?exchange=3")
    browser.until(lambda: browser.all(".not-counted"))
    words = labels.not_counted("the sample was worked on again")
    assert words in browser.one(".page").text
    assert words in look("show", retried, "middle", "--calls", cwd=tmp_path).stdout
    assert words in report(retried, "middle", tmp_path)


def test_shares_of_all_rounds_and_of_readable_ones_have_different_names(
    browser: Browser, alpaca: Path, pages: str, tmp_path: Path
) -> None:
    """Both orders agree in a share of all judged rounds, or of those in which both verdicts are readable."""
    judging = json.loads(look("stats", alpaca, "--json", cwd=tmp_path).stdout)["modes"]["evolve"]["judging"]
    of_all, of_readable = judging["agreed"] / judging["rounds"], judging["agreement"]
    assert percent(of_all) != percent(of_readable)
    shown = look("stats", alpaca, cwd=tmp_path).stdout.splitlines()
    for name, share in ((JUDGING["agreed"], of_all), (AGREEMENT, of_readable)):
        (row,) = (line for line in shown if line.strip().startswith(name))
        assert row.split()[-2:] == f"{100 * share:.0f} %".split()

    browser.open(pages + "/")
    tiles = browser.until(browser.tiles)
    assert tiles[AGREEMENT] == percent(of_readable)
    assert JUDGING["agreed"] not in tiles
    bars = browser.until(lambda: browser.script(BARS, ".judging canvas"))
    assert bars[JUDGING["agreed"]] == judging["agreed"]
    assert AGREEMENT not in bars


BARS = """
const element = document.querySelector(arguments[0]).closest("[id^=c]");
const {yAxis, series} = getElement(Number(element.id.slice(1))).chart.getOption();
return Object.fromEntries(yAxis[0].data.map((name, n) => [name, series[0].data[n].value]));
"""
"""The names and the values of a bar chart."""
