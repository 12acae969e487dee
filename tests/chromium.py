"""A real browser that looks at the pages of `coevol view`."""

import os
import queue
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests import program

Value = TypeVar("Value")

PATIENCE = 30.0
"""Seconds until something counts as not happening; a busy machine takes a few."""

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
    """Chromium without a window. Needs the programs `chromium` and `chromedriver`."""

    def __init__(self, profile: Path) -> None:
        programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
        if not all(programs):
            # On a developer's machine the rest can be tested without; where it counts, nothing is left out.
            (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium and chromedriver are needed")
        options = webdriver.ChromeOptions()
        options.binary_location = str(programs[0])
        for option in (*_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(str(programs[1])))

    def open(self, url: str) -> None:
        """Open a page and wait until it is connected to its server."""
        self.driver.get("about:blank")
        self.complaints()  # of the page before, whose server may be gone
        self.driver.get(url)
        self.until(lambda: self.script("return !!window.socket?.connected"))

    def script(self, code: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(code, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a CSS selector finds now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The first element that a CSS selector finds, once there is one."""
        return self.until(lambda: self.all(selector))[0]

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a CSS selector finds."""
        found: list[str] = self.script(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )
        return found

    def press(self, key: str) -> None:
        """Press a key on the page."""
        self.one("body").send_keys(key)

    def until(self, condition: Callable[[], Value]) -> Value:
        """What the condition gives, once it is true."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = condition()
            except WebDriverException:  # the page has just been left, or built anew
                value = None
            if value:
                return value
            assert time.monotonic() < end, f"not so after {PATIENCE:g} s: {self.driver.current_url}"
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """What the page wrote to the console since the last time.

        A busy machine may let the connection to the server lapse; the page renews it and says so.
        """
        driver: Any = self.driver
        messages = [entry["message"] for entry in driver.get_log("browser")]
        return [message for message in messages if "already in CLOSING or CLOSED state" not in message]


@contextmanager
def viewing(run: Path, *others: Path) -> Iterator[str]:
    """`coevol view` over a run, or two; gives the address it prints, with no slash at the end."""
    process = program.start("view", run, *others, "--no-browser", cwd=run.parent)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout and process.stderr
    reader = threading.Thread(target=lambda: lines.put(process.stdout.readline()))  # type: ignore[union-attr]
    reader.start()
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+", line := lines.get(timeout=2 * PATIENCE))
        assert found, line + process.stderr.read()
        yield found.group()
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        reader.join()
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    assert "Error" not in err, err
