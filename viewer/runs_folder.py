"""The runs in a folder, and what is known of each, for their list."""

import os
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from ledger.ledger import LedgerError
from reporting.headline import progress
from reporting.labels import dollars
from reporting.manifest import FILE, RunError, endpoints
from reporting.run import LEDGER, open_run
from reporting.snapshot import Snapshot, snapshot
from samples.fields import percent

MOST = 10_000
"""Folders that are looked at."""

PAUSE = 10
"""The pause after the folders were listed, as a multiple of its time."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the list says of a run."""

    models: str = ""
    modes: str = ""
    created: str = ""
    finished: int = 0
    expected: int = 0
    changed: str = ""
    """The share of changed responses."""
    cost: str = ""
    why: str = ""
    """Why it cannot be read; empty where it can."""


class RunsFolder:
    """The folders of a folder, and what is known of the runs in them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []
        self._not_before = 0.0
        self._rows: OrderedDict[str, tuple[object, RunRow]] = OrderedDict()

    def names(self, *, now: bool = False) -> list[str]:
        """Return the folders, that in which something was written last first: as of now, or of late.

        Raises:
            RunError: they cannot be listed.
        """
        began = time.monotonic()
        if not now and began < self._not_before:
            return self._names
        try:
            with os.scandir(self.path) as found:
                folders = [each.name for each in islice(found, MOST) if _is_shown(each)]
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}") from None
        self._names = sorted(folders, key=lambda name: (-_last_change(self.path / name), name))
        self._not_before = time.monotonic() + PAUSE * (time.monotonic() - began)
        return self._names

    def known(self, name: str) -> RunRow | None:
        """Return what is known of a run, also if it may have changed since."""
        return self._rows[name][1] if name in self._rows else None

    def look(self, name: str) -> None:
        """Read a run, unless it is as it was when it was last read."""
        changed = _changes(self.path / name)
        if name in self._rows and self._rows[name][0] == changed:
            return
        self._rows[name] = changed, _row(self.path / name)
        self._rows.move_to_end(name)
        while len(self._rows) > MOST:
            self._rows.popitem(last=False)


def slug(name: str) -> str:
    """Return the name of a run as it is in addresses: without special characters, and as unique."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60]
    return plain if plain == name else f"{plain}~{sha256(os.fsencode(name)).hexdigest()[:10]}"


def _is_shown(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:
        return False


_WRITTEN = (FILE, LEDGER, f"{LEDGER}-wal")


def _changes(folder: Path) -> object:
    """Return a value that changes with what is written into a run."""
    return [_time(folder / name) for name in _WRITTEN]


def _last_change(folder: Path) -> float:
    return max(map(_time, (folder / name for name in _WRITTEN)), default=0.0)


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _row(folder: Path) -> RunRow:
    try:
        run = open_run(folder, upgrades=False)
        numbers = snapshot(run)
    except (RunError, LedgerError) as error:
        return RunRow(why=str(error).replace(f"{folder} is", "is").replace(f"{folder}{os.sep}", ""))
    except Exception as error:  # whatever it is that a stranger's folder holds
        return RunRow(why=f"cannot be read: {type(error).__name__}")
    finished, expected = progress(numbers, run)
    return RunRow(
        models=", ".join(dict.fromkeys(each.model.rstrip(":") for each in endpoints(run.manifest).values())),
        modes=", ".join(run.modes),
        created=run.manifest["created"][:16].replace("T", " "),
        finished=finished,
        expected=expected,
        changed=_changed(numbers),
        cost=dollars(numbers.summary["calls"]["total"]),
    )


def _changed(numbers: Snapshot) -> str:
    modes = {mode: found for mode, found in numbers.statistics.modes.items() if found.exchanges}
    shares = {mode: percent(found.changed_exchanges / found.exchanges) for mode, found in modes.items()}
    if len(shares) > 1:
        return ", ".join(f"{mode} {share}" for mode, share in shares.items())
    return "".join(shares.values())
