"""Chromium, for tests of the pages of `coevol view` and of reports."""

import http.client
import os
import queue
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests import program

Value = TypeVar("Value")

PATIENCE = 30.0
"""Seconds after which a condition fails; a busy machine takes a few."""

STILL = 0.05
"""Seconds for which an element has to stand still before it is clicked, some frames of an animation."""

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


class Browser:
    """Headless Chromium. Needs the programs `chromium` and `chromedriver`."""

    def __init__(self, profile: Path) -> None:
        programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
        if not all(programs):
            (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium and chromedriver are needed")
        options = webdriver.ChromeOptions()
        options.binary_location = str(programs[0])
        for option in (*_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(str(programs[1])))
        self.review_as("")

    def review_as(self, name: str | None) -> None:
        """Be a reviewer of this name, empty for none; None for one who has not been asked yet."""
        cookie = {"name": "coevol_reviewer", "url": "http://127.0.0.1/"}
        driver: Any = self.driver
        driver.execute_cdp_cmd("Network.deleteCookies", cookie)
        if name is not None:
            kept = {**cookie, "value": quote(name, safe=""), "sameSite": "Lax"}
            driver.execute_cdp_cmd("Network.setCookie", kept)

    def forget_form(self) -> None:
        """Forget how texts were shown: differences, rendered or raw."""
        driver: Any = self.driver
        driver.execute_cdp_cmd("Network.deleteCookies", {"name": "coevol_form", "url": "http://127.0.0.1/"})

    def open(self, url: str) -> None:
        """Open a page and wait until it is connected to its server."""
        self.driver.get("about:blank")
        self.console()  # of the previous page, whose server may be gone
        self.driver.get(with_token(url))
        self.wait_connected()

    def wait_connected(self) -> None:
        """Wait until the page is connected: until then it ignores keys and clicks."""
        self.until(lambda: self.script("return !!window.socket?.connected"))

    def script(self, code: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(code, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that a CSS selector matches now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """Return the first element that a CSS selector matches, waiting for it."""
        return self.until(lambda: self.all(selector))[0]

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that a CSS selector matches."""
        found: list[str] = self.script(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )
        return found

    def rows(self, table: str) -> list[list[str]]:
        """Return the texts of the cells of a table."""
        found: list[list[str]] = self.script(
            "return [...document.querySelectorAll(arguments[0] + ' tr')]"
            ".map(r => [...r.cells].map(c => c.textContent))",
            table,
        )
        return found

    def ids(self) -> list[str]:
        """Return the ids in a table of samples."""
        return self.texts(".data tr td:first-child")

    def tiles(self) -> dict[str, str]:
        """Return the headline metrics by name; of several modes the last one counts."""
        return dict(zip(self.texts(".tile .name"), self.texts(".tile .value"), strict=True))

    def press(self, *keys: str) -> None:
        """Press keys on the page once it is connected."""
        self.wait_connected()
        for key in keys:
            self.one("body").send_keys(key)

    def click(self, selector: str, number: int = 0) -> None:
        """Click an element once the page is connected, moving it away from under the bar.

        A button that moves while it is clicked, since what is above it grows or folds, is not clicked:
        it is pressed in one place and released in another. So it is clicked once it stands still.
        """
        self.wait_connected()

        def click() -> bool:
            found = self.all(selector)[number : number + 1]
            for element in found:
                self.script("arguments[0].scrollIntoView({block: 'center'})", element)
                place = self._place(element)
                time.sleep(STILL)
                if self._place(element) != place:
                    return False
                element.click()
            return bool(found)

        self.until(click)

    def _place(self, element: WebElement) -> object:
        """Return where an element is on the screen, and how large."""
        return self.script("return arguments[0].getBoundingClientRect().toJSON()", element)

    def type(self, selector: str, *keys: str) -> None:
        """Type into a field, once it is there and accepts input."""

        def send() -> bool:
            found = self.all(selector)[:1]
            for field in found:
                field.send_keys(*keys)
            return bool(found)

        self.until(send)

    def until(self, condition: Callable[[], Value]) -> Value:
        """Return what the condition returns once it is true."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = condition()
            except WebDriverException:  # the page is changing
                value = None
            if value:
                return value
            if time.monotonic() > end:
                shown = self.script("return document.body.innerText")
                pytest.fail(f"still false after {PATIENCE:g} s: {self.driver.current_url}\n{shown[:5_000]}")
            time.sleep(0.05)

    def console(self) -> list[str]:
        """Return what the page wrote to the console since the last call.

        On a busy machine the connection to the server may lapse; the page restores it and logs that.
        """
        driver: Any = self.driver
        messages = [entry["message"] for entry in driver.get_log("browser")]
        return [message for message in messages if "already in CLOSING or CLOSED state" not in message]


_tokens: dict[str, str] = {}
"""The tokens of servers by their addresses."""


def with_token(url: str) -> str:
    """Return the link to a page that lets its visitor in."""
    parts = urlsplit(url)
    token = _tokens.get(f"{parts.scheme}://{parts.netloc}")
    return f"{url}{'&' if parts.query else '?'}token={token}" if token else url


def entered(url: str) -> dict[str, str]:
    """Return the headers of a browser that has entered by the link to a server of pages."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", f"/?token={_tokens[url]}")
        cookie = connection.getresponse().headers["set-cookie"]
    finally:
        connection.close()
    return {"Cookie": cookie.partition(";")[0]}


@contextmanager
def viewing(
    run: Path, *others: Path, browser: Path | None = None, options: Sequence[object] = ()
) -> Iterator[str]:
    """Run `coevol view` over a run or two; yields the address it prints, without the slash at the end.

    It opens the program `browser`, if there is one.
    """
    words, env = (["--browser"], {"BROWSER": str(browser)}) if browser else (["--no-browser"], {})
    process = program.start("view", run, *others, *words, *options, cwd=run.parent, env=env)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout and process.stderr
    reader = threading.Thread(target=lambda: lines.put(process.stdout.readline()))  # type: ignore[union-attr]
    reader.start()
    try:
        link = r"(http://[\w.-]+:\d+)/\?token=([\w-]{43}) "
        found = re.search(link, line := lines.get(timeout=2 * PATIENCE))
        assert found, line + process.stderr.read()
        url, _tokens[url] = found.groups()
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        reader.join()
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    assert "Error" not in err, err
