"""Takes the pictures of the README, which show rehearsed examples: `make pictures`."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chromium import Browser, viewing
from tests.program import EXAMPLES, coevol

DRAWN = 1.5
"""Seconds after which charts are drawn; they have no event that says so."""


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    with TemporaryDirectory() as temporary:
        runs = Path(temporary)
        data = EXAMPLES / "alpaca_en.json"
        coevol("evolve", data, "-o", runs / "demo", cwd=runs)
        words = ("--prompts", "classic", "--rehearsal-wins", 0.7, "--max-rounds", 2)
        coevol("evolve", data, "-o", runs / "classic", *words, cwd=runs)
        browser = Browser(runs / "profile")
        browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        with viewing(runs / "demo", runs / "classic") as url:
            for name, (path, ready, width, height) in PICTURES.items():
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                browser.open(url + path)
                browser.until(lambda ready=ready: browser.all(ready))  # type: ignore[misc]
                time.sleep(DRAWN)
                browser.driver.save_screenshot(str(folder / f"{name}.png"))
        browser.driver.quit()


PICTURES = {
    "overview": ("/", ".bill", 1366, 960),
    "sample": ("/sample/2?of=evolve", "ins", 1366, 960),
    "compare": ("/compare", ".numbers", 1366, 1080),
    "graph": ("/graph?mode=evolve", ".drawing svg", 1000, 1390),
}
"""Each picture's page, an element of the complete page, and its width and height."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
