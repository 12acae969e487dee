"""`coevol view RUN [OTHER_RUN]`: shows a run in the browser, also one in progress, or compares two."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors.exceptions import MissingExtra
from reporting.comparison_table import open_both
from reporting.manifest import RunError
from reporting.run import open_run
from reporting.trial_manifest import is_trial
from runners.options import PATH
from runners.terminal import say

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial


@click.command()
@click.argument("run", type=PATH)
@click.argument("other_run", type=PATH, required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    help="The port to listen on. Default: a free one.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the browser. Default: yes.")
def view(run: Path, other_run: Path | None, port: int, browser: bool) -> int:
    """View a run in the browser: overview, samples, debates.

    Where RUN is a trial, its result is shown, with a page to judge on, blind.

    With OTHER_RUN over the same data, also compare the two, and the samples whose responses differ. A run of
    several modes has its modes compared.

    The pages are served to this machine only, until Ctrl+C. They need no internet, and `coevol evolve` may be
    working on the run meanwhile.
    """
    trial = _trial(run, other_run)
    opened = [] if trial else [open_run(run)] if other_run is None else [*open_both(run, other_run)]
    try:
        from viewer.run import run_pages
        from viewer.server import serve
        from viewer.trial_frame import TrialPages
    except ModuleNotFoundError as error:
        raise MissingExtra("`coevol view`", error.name, "view") from None
    try:
        serve(TrialPages(trial) if trial else run_pages(opened), port, browser=browser, notify=say)
    except OSError as error:
        raise click.UsageError(f"--port {port} cannot be used: {error.strerror}") from None
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0


def _trial(folder: Path, other: Path | None) -> "RecordedTrial | None":
    """Return the trial in a folder; None for a run."""
    if other and (is_trial(folder) or is_trial(other)):
        raise RunError("a trial is viewed by itself; its arms are runs, to be compared as all: TRIAL/arms/…")
    if not is_trial(folder):
        return None
    from reporting.recorded_trial import RecordedTrial  # which loads what a run's pages do without

    return RecordedTrial(folder)
