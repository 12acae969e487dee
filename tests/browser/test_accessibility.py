"""No page has a serious fault that axe finds: for screen readers, for the keyboard alone, in contrast."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.chromium import Browser, viewing

AXE = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")

FAULTS = """
    const done = arguments[arguments.length - 1];
    const serious = (each) => ["serious", "critical"].includes(each.impact);
    const told = (node) => [node.html.slice(0, 200), node.failureSummary];
    axe.run(arguments[0]).then((found) => done(
        found.violations.filter(serious).map((each) => [each.id, each.nodes.map(told)])));
"""

PAGES = {
    "/": ".bill",
    "/samples?text=the&columns=request,old,new,outcome": ".data mark",
    "/graph": ".drawing svg",
    "/sample/1?of=evolve&text=the": "mark",
    "/compare": ".numbers",
    "/compare/samples?kind=all": ".data td",
    "/compare/sample/1": ".panel.b .text",
    "/sample/none": ".page a",
    "/none": ".page a",
}
"""Each page, and what is there when it is complete."""


def faults(browser: Browser) -> list[Any]:
    """Return the serious faults of the page as it is, and those of its colors in the other scheme."""
    driver: Any = browser.driver
    browser.script(AXE)
    browser.script(
        f"document.head.append(Object.assign(document.createElement('style'), {{textContent: '{STILL}'}}))"
    )
    found: list[Any] = []
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        shown_in(browser, scheme)
        browser.until(lambda scheme=scheme: browser.script(IS_DARK) == (scheme == "dark"))  # type: ignore[misc]
        found += driver.execute_async_script(FAULTS, options)
    shown_in(browser, "light")
    return found


STILL = "*, *::before, *::after {transition: none !important; animation: none !important}"
"""While something fades in, its colors are others."""

IS_DARK = "return document.body.classList.contains('body--dark')"


def shown_in(browser: Browser, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_pages_have_no_serious_fault(browser: Browser, pages: str) -> None:
    for path, complete in PAGES.items():
        browser.open(pages + path)
        browser.until(lambda complete=complete: browser.all(complete))  # type: ignore[misc]
        assert faults(browser) == [], path
    # What opens on a page: the editor, and the keys.
    browser.open(pages + "/sample/1?of=evolve")
    browser.press("e")
    browser.until(lambda: browser.all(".editing textarea"))
    assert faults(browser) == []
    browser.open(pages + "/samples")
    browser.press("?")
    browser.until(lambda: browser.all(".keys kbd"))
    assert faults(browser) == []


def test_the_list_and_conversations_have_no_serious_fault(
    browser: Browser, talks: Path, talks_pages: str
) -> None:
    with viewing(talks.parent) as url:
        browser.open(url + "/")
        browser.until(lambda: browser.all(".runs td a"))
        assert faults(browser) == []
    browser.open(talks_pages + "/sample/1?exchange=2")
    browser.until(lambda: browser.all(".bubble"))
    assert faults(browser) == []
