"""What makes reviewing many samples bearable: drafts, going on, keys, addresses, long texts."""

import html
import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.decisions import load_decisions
from reporting.run import DRAFTS
from tests.browser.conftest import ENGLISH, ledger
from tests.chromium import Browser, entered, viewing
from tests.conftest import look

EULER = "Euler: \\(e^{i\\pi}+1=0\\), so $x_1$ \\\\ and $5 and $6."
TABLE = "So $$x$$\nand $$\ny\n$$\n\n|a|b|c|d|\n|:-|:-:|-:|-|\n|1|2|3|4|"
IDS = (
    "a/b c",
    "100%",
    "..",
    "7",
    "数 1",
    "q?x=1#y\\z",
    "2",
    "x" * 900,
    "<img src=x onerror=window.hacked=1>",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples with odd ids; the last two have long texts and formulas."""
    folder = tmp_path_factory.mktemp("review")
    records = [{"id": id, "instruction": f"Say {n}.", "output": "Well."} for n, id in enumerate(IDS)]
    long = "\n\n".join(f"Paragraph {n} of many words." for n in range(200))
    records.append({"id": "long", "instruction": long, "output": long})
    records.append({"id": "math", "instruction": TABLE, "output": EULER})
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")
    look("evolve", "data.json", "-o", "run", "--rehearsal-wins", 1, "--max-rounds", 1, cwd=folder)
    return folder / "run"


@pytest.fixture(scope="module")
def pages(run: Path) -> Iterator[str]:
    with viewing(run) as url:
        yield url


def decided(run: Path) -> set[int]:
    return {position for position, _ in load_decisions(ledger(run))}


def test_formulas_are_typeset_and_texts_can_be_read_as_they_are(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/math")
    browser.until(lambda: browser.all("ins"))
    assert EULER in browser.one(".new .text").text
    browser.click(".how button", 1)
    browser.until(lambda: len(browser.all(".new math")) == 2)
    assert "\\\\ and $5 and $6." in browser.one(".new .text").text
    assert "Math" in browser.script("return getComputedStyle(document.querySelector('.new math')).fontFamily")
    browser.click(".new .raw")
    browser.until(lambda: browser.texts(".new .text")[0].startswith(EULER))
    browser.click(".how button", 2)
    browser.until(lambda: browser.texts(".old .text") == [EULER])
    assert not browser.console()


def test_columns_are_aligned_and_formulas_below_each_other(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/math")
    browser.one(".request td")
    for cells in ("th", "td"):
        aligned = browser.script(
            f"return [...document.querySelectorAll('.request {cells}')]"
            ".map(each => getComputedStyle(each).textAlign)"
        )
        assert aligned == ["left", "center", "right", "start"]
    middles = browser.script(
        "return [...document.querySelectorAll('.request .eq math > *')].map(e => {"
        " const box = e.getBoundingClientRect(); return Math.round((box.left + box.right) / 2); })"
    )
    assert len(middles) == 2
    assert middles[0] == middles[1]


def test_the_buttons_of_a_speech_are_in_its_heading(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/math")
    for name in ("messages", "raw", "copy"):
        assert browser.one(f".bubble .open-messages ~ .{name}, .bubble .open-{name}")
    browser.click(".bubble .raw")
    browser.until(lambda: browser.all(".bubble .text.plain"))


def test_what_is_typed_is_kept_until_it_is_saved(browser: Browser, run: Path, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    browser.press("e")
    browser.type(".editing textarea", "Mine. ", Keys.ESCAPE)
    browser.until(lambda: "draft not saved" in browser.one(".decision").text)
    assert "Kept as a draft" in " ".join(browser.texts(".q-notification"))
    browser.press("j")
    browser.until(lambda: browser.texts(".sample-id") == ["数 1"])
    browser.press("e")
    # Neither a note nor a text is lost when the page is left in the middle of a word.
    browser.type(".note input", "as it sho")
    browser.type(".editing textarea", "Other. ")
    browser.click("a.previous")
    browser.until(lambda: browser.texts(".sample-id") == ["7"])
    browser.press("e")
    text = browser.one(".editing textarea").get_attribute("value")
    assert text is not None
    assert "Mine. " in text
    font = browser.script("return getComputedStyle(document.querySelector('.editing textarea')).fontFamily")
    assert "monospace" in font
    browser.type(".editing textarea", Keys.CONTROL, Keys.ENTER)
    browser.until(lambda: "draft" not in browser.one(".decision-bar").text)
    browser.open(f"{pages}/samples")
    assert browser.texts(".data .user") == ["✓ edited", "draft not saved"]
    browser.open(f"{pages}/sample/{IDS.index('数 1')}?of=evolve")
    assert browser.one(".note input").get_attribute("value") == "as it sho"
    browser.press("e")
    browser.click(".discard")
    browser.until(lambda: "draft" not in browser.one(".decision-bar").text)
    assert decided(run) == {3}


def test_what_is_typed_without_a_connection_is_kept(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    browser.press("e")
    browser.type(".editing textarea", "Before. ")
    driver: Any = browser.driver
    online = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**online, "offline": True})
    try:
        browser.script("window.socket.io.engine.close()")
        browser.until(lambda: browser.script("return !window.socket.connected"))
        browser.type(".editing textarea", "Meanwhile. ")
        time.sleep(4)  # after 3 s the page library forgets a page by itself
    finally:
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)
    browser.wait_connected()
    browser.press()
    browser.type(".editing textarea", "After.", Keys.ESCAPE)
    browser.press("e")
    text = browser.one(".editing textarea").get_attribute("value")
    assert text is not None
    assert text.endswith("Before. Meanwhile. After.")
    browser.click(".discard")
    browser.console()  # of requests that failed


def test_a_draft_of_two_windows_becomes_two(browser: Browser, pages: str) -> None:
    def text() -> str:
        return str(browser.one(".editing textarea").get_attribute("value"))

    first = browser.driver.current_window_handle
    browser.open(f"{pages}/sample/math")
    browser.press("e")
    browser.type(".editing textarea", "First. ")
    browser.driver.switch_to.new_window("tab")
    try:
        browser.open(f"{pages}/sample/math")
        browser.press("e")
        browser.until(lambda: "First. " in text())
        browser.type(".editing textarea", "Second. ")
        browser.until(lambda: "Kept as a draft" in browser.one(".kept").text)
        browser.driver.close()
    finally:
        browser.driver.switch_to.window(first)
    browser.type(".editing textarea", "Third. ")
    browser.until(lambda: "Another window changed the draft" in browser.one(".kept").text)
    browser.open(f"{pages}/sample/math")
    browser.until(lambda: "Third. " in browser.one(".other-draft").text)
    assert "Second. " not in browser.one(".other-draft").text
    # Neither loses its text when the other one is saved.
    browser.press("e")
    browser.until(lambda: "Second. " in text() and "Third. " not in text())
    browser.type(".editing textarea", Keys.CONTROL, Keys.ENTER)
    browser.until(lambda: "edited" in browser.one(".decision-bar").text)
    browser.click(".go-on-with")
    browser.until(lambda: "Third. " in text())
    browser.click(".discard")
    browser.until(lambda: not browser.all(".editing, .other-draft"))
    browser.press("z")
    browser.until(lambda: "none yet" in browser.one(".decision-bar").text)


def test_drafts_outlive_the_command(browser: Browser, tmp_path: Path) -> None:
    look("evolve", ENGLISH, "-o", "run", "--stop", 3, "--rehearsal-wins", 1, cwd=tmp_path)
    run = tmp_path / "run"
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        browser.press("e")
        browser.type(".editing textarea", "Mine. ")
        browser.until(lambda: (run / DRAFTS).exists())
        browser.open(f"{url}/sample/1")
        browser.type(".note input", "as it sho")
        # What is a note alone is shown as well, and another command of the same run sees it.
        with viewing(run) as other:
            browser.open(f"{other}/samples")
            browser.until(lambda: browser.texts(".data .user") == ["draft not saved", "note not saved"])
    assert (run / DRAFTS).stat().st_mode & 0o777 == 0o600
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        browser.press("e")
        browser.until(lambda: "Mine. " in str(browser.one(".editing textarea").get_attribute("value")))
        browser.click(".discard")
        browser.open(f"{url}/samples")
        assert browser.texts(".data .user") == ["note not saved"]
        # A file that is none stops nothing, and what is typed is kept as long as it can be.
        (run / DRAFTS).write_bytes(b"no database" * 1000)
        browser.open(f"{url}/sample/2")
        browser.press("e")
        browser.type(".editing textarea", "Yes. ")
        browser.until(lambda: "cannot be written" in browser.one(".kept").text)
        browser.open(f"{url}/samples")
        assert browser.texts(".data .user") == ["draft not saved"]
    # It is a file of the run, which goes on.
    look("evolve", ENGLISH, "-o", "run", "--stop", 4, "--rehearsal-wins", 1, cwd=tmp_path)


def test_a_decision_goes_on_to_the_next_undecided_sample(browser: Browser, run: Path, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    browser.press("a")
    browser.until(lambda: 3 in decided(run))
    before = decided(run)
    browser.open(f"{pages}/samples")
    left = f"{len(IDS) + 2 - len(before)} left undecided"
    assert browser.texts(".undecided") == [left]
    browser.open(f"{pages}/sample/..%2F..")
    browser.open(f"{pages}/sample/100%25")
    browser.press("g")
    browser.until(lambda: browser.all(".goes-on[aria-checked=true]"))
    browser.press("a")
    browser.until(lambda: browser.texts(".sample-id") == [".."])
    browser.press("a")
    # Position 3 is decided.
    browser.until(lambda: browser.texts(".sample-id") == ["数 1"])
    browser.press("g")
    browser.until(lambda: browser.all(".goes-on[aria-checked=false]"))
    assert decided(run) == before | {1, 2}


def test_the_keys_are_shown(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    browser.press("?")
    browser.until(lambda: "next sample" in browser.one(".q-dialog .keys").text)
    browser.press(Keys.ESCAPE)
    browser.until(lambda: not browser.all(".q-dialog .keys"))


def page(pages: str, path: str) -> tuple[int, str]:
    """Return the status of a page and its title."""
    connection = http.client.HTTPConnection(pages.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", path, headers=entered(pages))
        answer = connection.getresponse()
        found = re.search("<title>(.*?)</title>", answer.read().decode())
    finally:
        connection.close()
    assert found, path
    return answer.status, html.unescape(found.group(1))


def test_keys_work_after_a_button_and_the_chosen_form_stays(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    browser.until(lambda: browser.all(".old .text"))
    browser.script("document.querySelector('.request .raw').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: browser.all(".request .raw[aria-pressed=true]"))
    browser.driver.switch_to.active_element.send_keys("d")
    pressed = ".side-by-side, .how [aria-pressed=true]"
    browser.until(lambda: browser.texts(pressed)[0] == "Rendered")
    browser.driver.switch_to.active_element.send_keys("j")
    browser.until(lambda: browser.texts(".sample-id") == ["数 1"])
    browser.until(lambda: browser.texts(pressed)[0] == "Rendered")
    browser.press("d", "d")
    browser.until(lambda: browser.texts(pressed)[0] == "Differences")
    browser.press("k")
    browser.until(lambda: browser.texts(".sample-id") == ["7"])
    browser.until(lambda: browser.texts(pressed)[0] == "Differences")


def test_keys_work_in_other_layouts(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/7")
    driver: Any = browser.driver
    reached = ["7"]
    for key, code, name in (("о", "KeyJ", "数 1"), ("K", "KeyK", "7"), ("j", "KeyC", "数 1")):
        pressed = {"key": key, "code": code, "text": key}
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", **pressed})
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **pressed})
        reached[:] = [name]
        browser.until(lambda: browser.texts(".sample-id") == reached)
        browser.wait_connected()


def test_what_is_edited_is_in_sight(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/long")
    browser.until(lambda: browser.all(".round"))
    browser.script("scrollTo(0, document.body.scrollHeight)")
    browser.press("e")
    place = (
        "const top = document.querySelector('.editing').getBoundingClientRect().top;"
        "return top > document.querySelector('.decision-bar').getBoundingClientRect().bottom - 10 "
        "&& top < innerHeight - 100"
    )
    browser.until(lambda: browser.script(place))
    browser.click(".discard")


def test_each_sample_has_an_address(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/samples")
    links = browser.script(
        "return [...document.querySelectorAll('td.id a')].map(a => a.getAttribute('href'))"
    )
    for id, link in zip((*IDS, "long", "math"), links, strict=True):
        assert len(link) < 1_000
        status, title = page(pages, link)
        assert status == 200
        assert title.startswith(id[:59])
    # A number is an id if a sample has it, and else a position, as it used to be.
    assert page(pages, "/sample/2?of=evolve")[1].startswith("2 ·")
    assert page(pages, "/sample/1?of=evolve")[1].startswith("100% ·")


@pytest.mark.parametrize(
    "path",
    ["/sample/nothing", "/sample/", f"/sample/{2**64}", f"/sample/{'9' * 5_000}", "/sample/-1", "/x/y"],
)
def test_what_is_not_there_has_a_page(pages: str, path: str) -> None:
    status, title = page(pages, path)
    assert status == 404
    assert title.startswith("Not found")


def test_long_texts_are_folded(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/sample/long")
    browser.until(lambda: browser.all(".new details"))
    assert "unchanged characters" in browser.one(".new summary").text
    height = "return document.querySelector('.request').offsetHeight"
    assert browser.script(height) < 400
    browser.click(".unfold")
    browser.until(lambda: browser.script(height) > 1_000)
    # The decision stays in sight, before its place and after it.
    bounds = (
        "const b = document.querySelector('.decision-bar').getBoundingClientRect(); return [b.top, b.bottom]"
    )
    browser.script("window.scrollTo(0, 500)")
    assert browser.script(bounds)[1] <= browser.script("return window.innerHeight")
    browser.script("window.scrollTo(0, document.body.scrollHeight)")
    assert 0 <= browser.script(bounds)[0] <= 60


PAGES = ("/", "/samples", "/sample/math", "/sample/long", "/graph", "/nothing")
LONG_NAMES = (f"/sample/{'x' * 200}", f"/samples?{'x' * 200}=1", "/graph?sample=7")


@pytest.mark.parametrize("path", [*PAGES, *LONG_NAMES])
def test_no_page_is_wider_than_a_phone(browser: Browser, pages: str, path: str) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.open(pages + path)
        browser.until(lambda: browser.all(".bill, .data, .text, .drawing svg, .text-lg"))
        assert browser.script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.console()
