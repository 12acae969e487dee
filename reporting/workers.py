"""The workers of a run in progress, for those who look at it: a file that the run writes now and then."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from samples.fields import plural
from samples.files import file_mode

FILE = "workers.json"

FRESH = 10.0
"""Seconds after which a file is one that a killed run left."""

NAMED = 4
"""Workers that are described one by one on a line."""


class AtWork(msgspec.Struct):
    """What one worker does."""

    name: str
    """As in "worker 2 on node1"."""
    samples: int
    in_flight: int
    """Calls."""
    calls: int
    """Recorded so far."""


class _File(msgspec.Struct):
    at: float
    workers: list[AtWork]


def write(folder: Path, workers: Sequence[AtWork]) -> None:
    """Write down what the workers do. That it cannot be written is no reason to end a run."""
    new = folder / f"{FILE}.new"
    try:
        new.unlink(missing_ok=True)  # with a mode of its own
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode(folder))
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(msgspec.json.encode(_File(time.time(), list(workers))))
        new.replace(folder / FILE)
    except OSError:
        return


def remove(folder: Path) -> None:
    """Remove what `write` left."""
    for name in (FILE, f"{FILE}.new"):
        (folder / name).unlink(missing_ok=True)


def read(folder: Path) -> list[AtWork]:
    """Return the workers of a run in progress; none where there is only one process, or none."""
    try:
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError):
        return []
    return found.workers if time.time() - found.at < FRESH else []


def line(workers: Sequence[AtWork]) -> str:
    """Describe the workers on one line: each of a few, or all together."""
    if len(workers) <= NAMED:
        return f"{plural(len(workers), 'worker')}: {'; '.join(lines(workers))}"
    nodes = len({found.name.rpartition(" on ")[2] for found in workers})
    least, most = min(found.samples for found in workers), max(found.samples for found in workers)
    samples = f"{least} to {plural(most, 'sample')}" if least < most else plural(most, "sample")
    in_flight = plural(sum(found.in_flight for found in workers), "call")
    return f"{len(workers)} workers on {plural(nodes, 'node')}: {samples} each, {in_flight} in flight"


def lines(workers: Sequence[AtWork]) -> list[str]:
    """Describe each worker."""
    return [
        f"{found.name} has {plural(found.samples, 'sample')}, {found.in_flight} in flight"
        for found in workers
    ]
