"""Ways to start work, and to look at what came of it. In a notebook: `from runners import load_run`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reporting.recorded_run import RecordedRun

__all__ = ["load_run"]


def load_run(folder: str | Path) -> "RecordedRun":
    """The run in a folder, finished or going on, as rows for pandas or Polars.

        >>> run = load_run("runs/demo")
        >>> pandas.DataFrame(run.samples()).groupby("mode").accepted_rounds.mean()
        >>> polars.DataFrame(run.rounds())

    Raises:
        LedgerError, RunError: the folder holds no run, or one that cannot be read.
    """
    # Every command imports this package, and most need nothing of what this does.
    from reporting.recorded_run import RecordedRun

    return RecordedRun(Path(folder))
