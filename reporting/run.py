"""A run: its ledger and its manifest."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ledger.ledger import Ledger, Result
from prompts.method import MODES
from reporting.manifest import Manifest, RunError, read_manifest
from reporting.trial_manifest import FILE as TRIAL
from samples.sample import Sample


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


def open_run(folder: Path) -> Run:
    """Open a run for reading.

    Raises:
        LedgerError, RunError: the folder is not a run, or cannot be read.
    """
    if (folder / TRIAL).is_file():
        raise RunError(f"{folder} is a trial, not a run; each arm is one, in {folder / 'arms'}")
    ledger, manifest = Ledger.open(folder / "ledger.sqlite"), read_manifest(folder)
    if any(mode not in MODES for mode in manifest["modes"]):
        raise RunError(f"{folder} is what the referees of a trial said: open the trial, {folder.parent}")
    return Run(folder, folder.resolve().name, ledger, manifest)


_IDS_SEARCHED = 10_000
"""How many ids are compared with an unknown one."""
