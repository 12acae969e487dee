"""`coevol view RUN [OTHER_RUN]`: shows a run in the browser, compares two, or lists those of a folder."""

import errno
import socket
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors.exceptions import MissingExtra
from reporting.comparison_table import open_both
from reporting.manifest import FILE as MANIFEST
from reporting.manifest import RunError
from reporting.run import Run, is_run, open_run
from reporting.trial_manifest import is_trial
from runners.folder import may_begin
from runners.options import PATH
from runners.terminal import say

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial

WAIT = 0.5
"""Seconds between two looks whether a run has begun."""

LOOKED_AT = 1000
"""Folders in which a run is looked for, to know a folder of runs."""


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
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="The address or name of this machine to listen on, so that others can review over a network, not "
    "encrypted; 0.0.0.0 is all of its addresses. Default: 127.0.0.1, which only this machine reaches.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the browser. Default: yes.")
def view(run: Path, other_run: Path | None, port: int, host: str, browser: bool) -> int:
    """View a run in the browser: overview, samples, debates.

    Where RUN is a folder of runs, all of them are listed, to open one or to compare two. Where nothing is in
    RUN yet, it waits for the run to begin. Where RUN is a trial, its
    result is shown, with a page to judge on, blind.

    With OTHER_RUN over the same data, also compare the two, and the samples whose responses differ. A run of
    several modes has its modes compared.

    The pages are served until Ctrl+C, to this machine only unless --host says otherwise, and to who has the
    link. They need no internet, and `coevol evolve` may be working on the run meanwhile.
    """
    trial = _trial(run, other_run)
    try:
        opened = [] if trial else [*open_both(run, other_run)] if other_run else _opened(run)
    except KeyboardInterrupt:
        return 0  # while waiting
    try:
        from viewer import hosts
        from viewer.run import run_pages
        from viewer.runs_folder import RunsFolder
        from viewer.server import serve
        from viewer.trial_frame import TrialPages
    except ModuleNotFoundError as error:
        raise MissingExtra("`coevol view`", error.name, "view") from None
    from runners.selection import selected_records

    shown = TrialPages(trial) if trial else run_pages(opened) if opened else RunsFolder(run)
    try:
        serve(shown, hosts.host(host), port, browser=browser, notify=say, records=selected_records)
    except OSError as error:
        is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        what = f"--host {host}" if is_host else f"--port {port}"
        raise click.UsageError(f"{what} cannot be used: {error.strerror}") from None
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


def _opened(folder: Path) -> list[Run]:
    """Return the run in a folder, waiting for it to begin; none for a folder of runs."""
    if may_begin(folder) and not _has_begun(folder):
        say(f"{folder}: no run yet, waiting for one to begin (Ctrl+C ends it)", err=True)
        while may_begin(folder) and not _has_begun(folder):
            time.sleep(WAIT)
    return [] if not is_run(folder) and _has_runs(folder) else [open_run(folder)]


def _has_begun(folder: Path) -> bool:
    # The manifest is written last.
    return (folder / MANIFEST).exists()


def _has_runs(folder: Path) -> bool:
    try:
        return any(is_run(each) for each in islice(folder.iterdir(), LOOKED_AT))
    except OSError:
        return False
