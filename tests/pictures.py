"""Takes the pictures of the README, of examples or of runs: `make pictures OF="RUN OTHER SAMPLE"`."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chromium import Browser, viewing
from tests.program import EXAMPLES, coevol

DRAWN = 1.5
"""Seconds after which charts are drawn; they have no event that says so."""


def main(folder: Path, run: str = "", other: str = "", sample: str = "2") -> None:
    """Write pictures of a run, one of its samples, and another run into a folder."""
    with TemporaryDirectory() as temporary:
        browser = Browser(Path(temporary, "profile"))
        browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        runs = (Path(run), Path(other)) if run else rehearsed(Path(temporary))
        with viewing(*runs) as url:
            for name, (page, ready, width, height) in PICTURES.items():
                path = page.replace("SAMPLE", sample)
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                browser.open(url + path)
                browser.until(lambda ready=ready: browser.all(ready))  # type: ignore[misc]
                time.sleep(DRAWN)
                browser.driver.save_screenshot(str(folder / f"{name}.png"))
        browser.driver.quit()


def rehearsed(folder: Path) -> tuple[Path, Path]:
    """Make two runs by rules."""
    data = EXAMPLES / "alpaca_en.json"
    coevol("evolve", data, "-o", folder / "demo", cwd=folder)
    words = ("--prompts", "classic", "--rehearsal-wins", 0.7, "--max-rounds", 2)
    coevol("evolve", data, "-o", folder / "classic", *words, cwd=folder)
    return folder / "demo", folder / "classic"


PICTURES = {
    "overview": ("/", ".bill", 1366, 960),
    "sample": ("/sample/SAMPLE?of=evolve", "ins", 1366, 960),
    "compare": ("/compare", ".numbers", 1366, 1080),
    "graph": ("/graph?mode=evolve", ".drawing svg", 1000, 1390),
}
"""Each picture's page, an element of the complete page, and its width and height."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
