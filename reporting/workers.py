"""The workers of a run in progress, for those who look at it: a file that the run writes now and then."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from samples.fields import plural

FILE = "workers.json"

FRESH = 10.0
"""Seconds after which a file is one that a killed run left."""


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
        new.write_bytes(msgspec.json.encode(_File(time.time(), list(workers))))
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
    """Describe the workers on one line."""
    each = (f"{found.name} has {found.samples} samples, {found.in_flight} in flight" for found in workers)
    return f"{plural(len(workers), 'worker')}: {'; '.join(each)}"
