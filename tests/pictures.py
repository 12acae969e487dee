"""Takes the pictures of the README anew: `make pictures`.

They show the examples, rehearsed.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chromium import Browser, viewing
from tests.program import EXAMPLES, coevol

DRAWN = 1.5
"""Seconds after which charts, which know no moment at which they are ready, have been drawn."""


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    with TemporaryDirectory() as temporary:
        here = Path(temporary)
        data = EXAMPLES / "alpaca_en.json"
        coevol("evolve", data, "-o", here / "demo", cwd=here)
        words = ("--prompts", "classic", "--rehearsal-wins", 0.7, "--max-rounds", 2)
        coevol("evolve", data, "-o", here / "classic", *words, cwd=here)
        browser = Browser(here / "profile")
        browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        with viewing(here / "demo", here / "classic") as url:
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
"""Each picture's page, what is on it once it is complete, and its width and height."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
