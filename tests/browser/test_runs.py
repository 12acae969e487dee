"""The list of the runs of a folder, and a run that is waited for."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from samples.fields import percent
from tests import program
from tests.browser.conftest import ENGLISH, HOSTILE_NAME, assert_harmless
from tests.chromium import Browser, viewing
from tests.conftest import look
from tests.program import ROOT
from viewer.runs_folder import slug


@pytest.fixture(scope="module")
def folder(alpaca: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one that lost its manifest, a damaged one, one of an earlier version, and no runs."""
    folder = tmp_path_factory.mktemp("list") / "runs"
    folder.mkdir()
    for run in (alpaca, other):
        shutil.copytree(run, folder / run.name)
    shutil.copytree(alpaca, folder / "lost")
    (folder / "lost" / "run.json").unlink()
    (folder / "damaged").mkdir()
    (folder / "damaged" / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    (folder / "exports {x}").mkdir()
    (folder / "notes.txt").write_text("not a folder")
    shutil.copytree(ROOT / "tests" / "data" / "run_7", folder / "old")
    script = (folder / "old" / "ledger.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(folder / "old" / "ledger.sqlite")) as connection:
        connection.executescript(script)
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> Iterator[str]:
    with viewing(folder) as url:
        yield url


def rows(browser: Browser) -> dict[str, list[str]]:
    browser.until(lambda: browser.all(".runs td") and "reading" not in browser.one(".runs").text)
    return {name: others for name, *others in browser.rows(".runs")[1:]}


def test_all_runs_are_listed_and_what_is_none_says_why(browser: Browser, folder: Path, pages: str) -> None:
    stats = json.loads(look("stats", folder / "alpaca", "--json", cwd=folder).stdout)
    ledger = (folder / "old" / "ledger.sqlite").read_bytes()
    browser.open(pages + "/")
    listed = rows(browser)
    assert set(listed) == {"alpaca", HOSTILE_NAME, "lost", "damaged", "exports {x}", "old"}
    results, changed, cost, models, modes, _, _ = listed["alpaca"]
    assert (models, modes, results, cost) == ("rehearsal", "edit, advise, evolve", "120 of 120", "unknown")
    evolve = stats["modes"]["evolve"]
    assert f"evolve {percent(evolve['changed_exchanges'] / evolve['exchanges'])}" in changed
    assert "run.json" in listed["lost"][0]
    assert "not a database" in listed["damaged"][0]
    assert "is not a run" in listed["exports {x}"][0]
    assert "earlier version" in listed["old"][0]
    # Looking at the list changes no run.
    assert (folder / "old" / "ledger.sqlite").read_bytes() == ledger
    assert_harmless(browser, pages)
    browser.type(".q-field input", "alp")
    browser.until(lambda: list(rows(browser)) == ["alpaca"])
    assert browser.driver.current_url.endswith("/?name=alp")


def test_one_run_or_two_are_opened(browser: Browser, pages: str) -> None:
    browser.open(pages + "/")
    rows(browser)
    links = {each.text: each for each in browser.all(".runs td.id a")}
    links[HOSTILE_NAME].click()
    browser.until(lambda: browser.texts(".progress") == ["60 of 60 results"])
    browser.all(".bar a")[2].click()
    browser.until(lambda: len(browser.ids()) == 50)
    address = browser.driver.current_url
    browser.all(".bar a")[0].click()
    browser.until(lambda: browser.all(".runs td"))

    # What is compared is called by its name, whatever it is in addresses.
    browser.open(f"{pages}/?with={slug(HOSTILE_NAME)}&begin=900")
    browser.until(lambda: browser.texts(".first") == [f"Compare {HOSTILE_NAME} with another one:"])
    assert set(rows(browser)) > {"alpaca"}  # of a page past the end the last one is shown
    browser.open(f"{pages}/?with=nope")
    browser.until(lambda: browser.texts(".first") == ["There is no run nope here."])
    browser.open(pages + "/")

    # Two are compared by choosing one after the other.
    listed = rows(browser)
    compared = [name for name, cells in listed.items() if cells[-1] == "compare …"]
    browser.driver.find_elements("link text", "compare …")[compared.index("alpaca")].click()
    browser.until(lambda: "with=alpaca" in browser.driver.current_url)
    browser.until(lambda: browser.all(".first"))
    assert browser.texts(".first") == ["Compare alpaca with another one:"]
    rows(browser)
    browser.driver.find_element("link text", "with this one").click()
    browser.until(lambda: browser.all(".numbers"))
    assert browser.tiles()["samples in both"] == "30"
    assert browser.driver.title == f"Compare alpaca · evolve and {HOSTILE_NAME} · evolve"
    browser.one(".plain-link").click()
    browser.until(lambda: "/compare/samples" in browser.driver.current_url and browser.all(".data td"))
    assert_harmless(browser, pages)

    # An address that was kept opens its run again, and one without a run says so.
    browser.open(address)
    assert len(browser.ids()) == 50
    browser.open(f"{pages}/run/{slug(HOSTILE_NAME)}+alpaca/sample/a%3Fb%2520c")
    assert urlsplit(browser.driver.current_url).path.endswith("/sample/a%3Fb%2520c")
    browser.open(pages + "/run/lost/")
    assert "run.json cannot be read" in browser.one(".page").text
    assert browser.driver.title == "Cannot be shown · coevol"
    browser.open(pages + "/run/nothing+alpaca/")
    assert browser.one(".page").text.startswith("There is no run nothing here.")
    browser.open(pages + "/run/alpaca/nothing")
    assert browser.one(".page").text.startswith("There is no such page.")


def test_a_run_is_waited_for(tmp_path: Path) -> None:
    waiting = program.start("view", "run", "--no-browser", cwd=tmp_path)
    assert waiting.stdout and waiting.stderr
    try:
        assert waiting.stderr.readline() == "run: no run yet, waiting for one to begin (Ctrl+C ends it)\n"
        look("evolve", ENGLISH, "-o", "run", "--stop", 1, cwd=tmp_path)
        assert re.match(r"run: http://127\.0\.0\.1:\d+/", waiting.stdout.readline())
    finally:
        waiting.terminate()
        waiting.communicate()
