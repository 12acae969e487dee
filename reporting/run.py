"""A run: its ledger and its manifest."""

import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sqlalchemy import text

from ledger.ledger import Ledger, Result
from prompts.method import MODES
from reporting.labels import reason
from reporting.manifest import FILE, Manifest, RunError, read_manifest
from reporting.trial_manifest import FILE as TRIAL
from samples.sample import Sample

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LEDGER, LOCK, DRAFTS = "ledger.sqlite", "lock", "drafts.sqlite"
"""Files in the folder of a run; see `runners.folder` for the lock, `viewer.drafts` for the drafts."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, finished or in progress."""

    folder: Path
    name: str
    ledger: Ledger
    manifest: Manifest

    @property
    def modes(self) -> list[str]:
        """The modes it was made with."""
        return self.manifest["modes"]

    @property
    def expected(self) -> int:
        """How many results there are when it is finished: one for each record and mode."""
        return self.manifest["data"]["records"] * len(self.modes)

    @property
    def lazy(self) -> bool:
        """Whether the second judgment was left out if the first decided."""
        return bool(self.manifest["settings"].get("lazy_judge"))

    def mode(self, wanted: str | None) -> str:
        """Return the wanted mode, or the run's last one.

        Raises:
            RunError: the run has no such mode.
        """
        if wanted is not None and wanted not in self.modes:
            has = ", ".join(self.modes)
            raise RunError(f"{self.folder} has no results of mode {wanted}; its modes: {has}")
        return wanted or self.modes[-1]

    def sample(self, sample_id: str) -> tuple[Sample, dict[str, Result]]:
        """Return a finished sample and its results by mode.

        Raises:
            RunError: there is none with that id; the message names similar ones.
        """
        if found := self.ledger.sample(sample_id):
            return found
        if self.ledger.calls(sample_id):
            raise RunError(f"sample {sample_id} of {self.folder} is not finished yet")
        ids = self.ledger.ids(_IDS_SEARCHED)
        close = get_close_matches(sample_id, ids, n=5, cutoff=0.5) or ids[:5]
        if not close:
            raise RunError(f"{self.folder} has no finished sample yet")
        raise RunError(
            f"{self.folder} has no finished sample {sample_id}; it has, for instance, {', '.join(close)}"
        )

    def why_nothing_finished(self, finished: int) -> str:
        """Return why the last call failed if there is no result that says what failed; empty otherwise.
        `finished` is how many samples are."""
        failed = None if finished else self.ledger.last_failed_call()
        return reason(*failed) if failed else ""


def open_run(folder: Path, *, upgrades: bool = True) -> Run:
    """Open a run for reading; `upgrades` says whether the ledger of an earlier version may be changed.

    Raises:
        LedgerError, RunError: the folder is not a run, or cannot be read.
    """
    if (folder / TRIAL).is_file():
        raise RunError(f"{folder} is a trial, not a run; each arm is one, in {folder / 'arms'}")
    ledger, manifest = Ledger.open(folder / LEDGER, upgrades=upgrades), read_manifest(folder)
    if any(mode not in MODES for mode in manifest["modes"]):
        raise RunError(f"{folder} is what the referees of a trial said: open the trial, {folder.parent}")
    return Run(folder, folder.resolve().name, ledger, manifest)


_IDS_SEARCHED = 10_000
"""How many ids are compared with an unknown one."""


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or what is left of one."""
    return (folder / LEDGER).exists() or (folder / FILE).exists()


def is_at_work(folder: Path) -> bool:
    """Whether a command is working on a run; always false where that cannot be found out."""
    try:
        with (folder / LOCK).open("rb") as file:
            if fcntl:
                # A command that begins at this moment waits for a moment, see `runners.folder.locked`.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


RECENT = 500
"""The results by which the time left is estimated."""


def seconds_left(run: Run, left: int) -> float | None:
    """Estimate the seconds until so many more results are there, by the latest ones of the command at work.

    None where there are too few, or no command is at work.
    """
    if left <= 0 or not is_at_work(run.folder):
        return None
    began = (run.folder / LOCK).stat().st_mtime
    rows = run.ledger.rows(text("SELECT finished FROM results ORDER BY rowid DESC LIMIT :n"), n=RECENT)
    times = [row[0] for row in rows if row[0] >= began]
    if len(times) < _FEW:
        return None
    since = min(times) if len(times) == RECENT else began
    return left * max(time.time() - since, 0.0) / len(times)


_FEW = 5
