"""The pages of a run with a million samples: how long each takes.

A page is complete in the response to its request; only changes come over its connection afterwards. The
overview is the exception: if counting takes over half a second it responds without numbers, and is requested
again. The floor is a page without content by the same server (of a sample that does not exist), requested in
turn with the others. The ledger is generated (`benchmarks.finished`), with one call a sample: pages read
totals of calls, and the calls of one sample.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from benchmarks.finished import finished_run
from benchmarks.program import COEVOL, ROOT
from benchmarks.records import write_lines
from benchmarks.table import show

FLOOR = "a page without content"


def _pages(count: int) -> dict[str, str]:
    deep, middle = count * 4 // 10, count // 2
    return {
        FLOOR: f"/sample/{10 * count}",
        "overview": "/",
        "graph": "/graph",
        "samples": "/samples",
        "samples, in the middle": f"/samples?begin={deep}",
        "by growth": "/samples?order=growth&down=1",
        "by growth, in the middle": f"/samples?order=growth&down=1&begin={deep}",
        "by length, two accepted, deep": f"/samples?order=length&accepted=2&begin={deep // 6}",
        "by accepted rounds, contradicting": "/samples?order=accepted&down=1&contradict=1&begin=1000",
        "failed, with a reason": "/samples?status=failed&reason=timeout&begin=500",
        "search, found": "/samples?text=people",
        "search, not there": "/samples?text=xyzzy",
        "a sample": f"/sample/{middle}",
        "a sample, one of a list by growth": f"/sample/{middle}?order=growth&down=1&grew=1",
    }


@click.command()
@click.option("--samples", default=1_000_000)
@click.option("--repeat", default=5)
@click.option("--run", type=click.Path(path_type=Path), help="An existing run, instead of a generated one.")
def main(samples: int, repeat: int, run: Path | None) -> None:
    """Measure how long pages take."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = run or finished_run(folder, write_lines(folder / "data.jsonl", samples), samples, 1)
        with _viewing(run) as link:
            pages, site = _pages(samples), _entered(link)
            _seconds(site, pages[FLOOR])  # warm up the server
            first = _seconds(site, pages["overview"])
            times: dict[str, list[float]] = {name: [] for name in pages}
            for _ in range(repeat):
                for name, path in pages.items():
                    times[name].append(_seconds(site, path))
    floor = median(times[FLOOR])
    show(
        f"Pages of a run with {samples:,} samples, median of {repeat}",
        ["page", "seconds", "worst", "× floor"],
        [(name, median(some), max(some), median(some) / floor) for name, some in times.items()],
        f"The overview before anything is counted: {first:.2f} s.",
    )


@contextmanager
def _viewing(run: Path) -> Iterator[str]:
    """Serve the pages of a run while the context lasts; yield the link to them."""
    command = [sys.executable, *COEVOL, "view", str(run), "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield next(part for part in line.split() if part.startswith("http"))
        finally:
            server.terminate()


class _Site(NamedTuple):
    address: str
    headers: dict[str, str]


def _entered(link: str) -> _Site:
    """Enter by a link, as a browser does, which keeps the cookie."""
    parts = urlsplit(link)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        cookie = connection.getresponse().headers["set-cookie"]
    return _Site(parts.netloc, {"Cookie": cookie.partition(";")[0]})


def _seconds(site: _Site, path: str) -> float:
    """Measure the time until a page is complete, which may take the overview several requests."""
    began = time.perf_counter()
    while b"Counting" in _content(site, path):
        pass
    return time.perf_counter() - began


def _content(site: _Site, path: str) -> bytes:
    with closing(http.client.HTTPConnection(site.address, timeout=60)) as connection:
        connection.request("GET", path, headers=site.headers)
        answer = connection.getresponse()
        content = answer.read()
    if answer.status not in (200, 404):  # the latter without content
        raise RuntimeError(f"{path}: status {answer.status}")
    return content


if __name__ == "__main__":
    main()
