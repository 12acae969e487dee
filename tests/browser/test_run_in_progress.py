"""The pages of a run in progress follow it, and users decide on what is finished."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.records import write_lines
from ledger.decisions import load_decisions
from ledger.ledger import Ledger
from standin import StandIn
from tests import program
from tests.browser.conftest import ledger
from tests.chromium import Browser, viewing
from tests.conftest import look


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that stays in progress until all tests are over."""
    folder = tmp_path_factory.mktemp("progress")
    data = write_lines(folder / "data.jsonl", 600)
    with StandIn(latency=0.2) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 4)
        process = program.start("evolve", data, "-o", "run", *model, cwd=folder, env=server.environment())
        try:
            while not (Ledger.exists(folder / "run" / "ledger.sqlite") and ledger(folder / "run").finished()):
                assert process.poll() is None
            yield folder / "run"
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 3, out + err
            assert "Traceback" not in err
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def pages(run: Path) -> Iterator[str]:
    """Its pages, those of another run over the same data, and of their comparison."""
    look("evolve", run.parent / "data.jsonl", "-o", "other", "--stop", 60, cwd=run.parent)
    with viewing(run, run.parent / "other") as url:
        yield url


def test_the_overview_and_the_table_follow(browser: Browser, pages: str) -> None:
    browser.open(pages + "/")

    def finished() -> int:
        (text,) = browser.texts(".progress")
        return int(text.split()[0].replace(",", ""))

    first = browser.until(finished)
    browser.click(".q-expansion-item .q-item")
    assert browser.until(lambda: finished() > first)
    # What a user opened stays open while the numbers around it change.
    assert browser.until(lambda: browser.one(".q-expansion-item .data").is_displayed())
    second = finished()
    assert browser.until(lambda: finished() > second)
    assert browser.one(".q-expansion-item .data").is_displayed()
    browser.open(pages + "/samples?order=length&down=1")
    assert (seen := len(browser.ids())) >= first
    assert browser.until(lambda: len(browser.ids()) > seen)


def test_the_comparison_follows(browser: Browser, pages: str) -> None:
    def both() -> int:
        browser.until(lambda: browser.all(".numbers"))
        return int(browser.tiles()["samples in both"])

    browser.open(pages + "/compare")
    first = both()
    assert browser.until(lambda: both() > first)
    for path in ("/graph", "/sample/0", "/other/", "/compare/samples?kind=all"):
        browser.open(pages + path)
        browser.until(lambda: browser.all(".bill, .data, .drawing svg, .bubble"))
    browser.one(".data td a").click()
    browser.until(lambda: browser.all(".panel.b .text"))
    assert not browser.console()


def test_users_decide_meanwhile(browser: Browser, run: Path, pages: str) -> None:
    positions = sorted(sample.position for sample, _ in ledger(run).samples())[:3]
    assert len(positions) == 3
    for position in positions:
        browser.open(f"{pages}/sample/{position}")
        browser.press("a")
        browser.until(lambda: "accepted" in browser.one(".decision").text)
    decided = load_decisions(ledger(run))
    assert [position for position, _ in sorted(decided)] == positions
    assert all(decision.stands for by_exchange in decided.values() for decision in by_exchange.values())
