"""One browser, and runs with their pages that several tests look at."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.ledger import Ledger
from standin import StandIn
from tests.chromium import Browser, viewing
from tests.conftest import FAILING, look
from tests.program import DATA

ENGLISH = DATA / "alpaca_en_40.json"
HOSTILE_NAME = "<img src=x onerror=window.hacked=1>"


def ledger(run: Path) -> Ledger:
    return Ledger.open(run / "ledger.sqlite")


def assert_harmless(browser: Browser, url: str) -> None:
    """Assert that no text on the page has had any effect on it."""
    assert browser.script("return window.hacked") is None
    assert browser.one(".bar").is_displayed()
    inside = ".text script, .text img, .text svg, .text iframe, .text style, .text [onclick], .text [style]"
    assert not browser.all(inside)
    links = browser.script("return [...document.querySelectorAll('.page a')].map(a => a.protocol)")
    assert set(links) <= {"http:"}
    loaded = browser.script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith((url, "data:", "blob:")) for name in loaded), loaded


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Starting one takes a second, and longer where it finds no cached files."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture(autouse=True)
def new_form(request: pytest.FixtureRequest) -> None:
    """Each test begins with differences."""
    if "browser" in request.fixturenames:
        request.getfixturevalue("browser").forget_form()


@pytest.fixture(scope="session")
def alpaca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 results of single exchanges, in three modes."""
    folder = tmp_path_factory.mktemp("alpaca")
    modes = ("--mode", "edit", "--mode", "advise", "--mode", "evolve")
    look("evolve", ENGLISH, "-o", folder / "alpaca", *modes, "--rehearsal-wins", 0.7, cwd=folder)
    return folder / "alpaca"


@pytest.fixture(scope="session")
def other(alpaca: Path) -> Path:
    """Fewer samples, two modes, another prompt pack, a judge that prefers drafts more often, an odd name."""
    words = ("--mode", "advise", "--mode", "evolve", "--prompts", "classic", "--rehearsal-wins", 0.9)
    look("evolve", ENGLISH, "-o", alpaca.parent / HOSTILE_NAME, "--stop", 30, *words, cwd=alpaca.parent)
    return alpaca.parent / HOSTILE_NAME


@pytest.fixture(scope="session")
def pages(alpaca: Path, other: Path) -> Iterator[str]:
    """The pages of `alpaca`, of `other` under `/other`, and of their comparison."""
    with viewing(alpaca, other) as url:
        yield url


@pytest.fixture(scope="session")
def retried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation whose second exchange failed at first, so that the third was worked on twice."""
    folder = tmp_path_factory.mktemp("retried")
    (folder / "data.json").write_text(json.dumps(FAILING[:1]), encoding="utf-8")
    # The first call about the second exchange fails; none about the third does.
    evolve(folder, "content_filter:word=withheld,nth=1", status=1)
    return evolve(folder, more=("--retry-failed",))


@pytest.fixture(scope="session")
def failing_pages(failing_run: Path, retried: Path) -> Iterator[str]:
    """The pages of `failing_run`, of `retried` under `/other`, and of their comparison."""
    with viewing(failing_run, retried) as url:
        yield url


def evolve(folder: Path, *faults: str, more: tuple[object, ...] = (), status: int = 0) -> Path:
    """Evolve `data.json` with a judge that always prefers the draft."""
    with StandIn(*faults, wins=1.0) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        words = ("evolve", "data.json", "-o", "run", "--max-rounds", 3, "--history-window", 2)
        look(*words, *model, *more, cwd=folder, env=server.environment(), status=status)
    return folder / "run"


@pytest.fixture(scope="session")
def odd_pages(odd_run: Path) -> Iterator[str]:
    with viewing(odd_run) as url:
        yield url


@pytest.fixture(scope="session")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conversations of up to three exchanges."""
    folder = tmp_path_factory.mktemp("talks")
    look("evolve", DATA / "sharegpt_multi_30.json", "-o", folder / "run", "--stop", 12, cwd=folder)
    return folder / "run"


@pytest.fixture(scope="session")
def talks_pages(talks: Path) -> Iterator[str]:
    with viewing(talks) as url:
        yield url
