"""`coevol report RUN -o report.html`: one file about a run or a trial, to send to a colleague."""

from collections.abc import Iterator
from pathlib import Path

import click

from models.errors.exceptions import MissingExtra
from models.providers.rehearsal import NOTICE
from reporting.manifest import RunError, is_rehearsed
from reporting.run import open_run
from reporting.sample_selection import select_samples
from reporting.snapshot import snapshot
from reporting.trial_manifest import is_trial
from runners.folder import refuse_to_overwrite
from runners.options import MODE, PATH, output_option
from runners.terminal import say
from samples.fields import plural
from samples.files import whole_file

SAMPLES = 12
"""How many samples are selected by default."""


@click.command()
@click.argument("run", type=PATH)
@output_option("Where to write: a name that ends in .html.")
@click.option(
    "--sample",
    "ids",
    multiple=True,
    metavar="ID",
    help="A sample to show; may be repeated. Only these are shown, unless --samples is given too.",
)
@click.option(
    "--samples",
    "number",
    type=click.IntRange(0, 200),
    metavar="NUMBER",
    help=f"How many samples to select: some that failed, whose verdicts contradict each other, that changed "
    f"most, and some of the others. Default: {SAMPLES}.",
)
@click.option("--mode", type=MODE, help="The mode to select by. Default: the run's last one.")
def report(run: Path, file: Path, ids: tuple[str, ...], number: int | None, mode: str | None) -> None:
    """Write the summary of a run and some of its samples into one file.

    The file needs no server and no network, runs no script, and prints well. Each sample is there with its
    request, what changed in its response, and its debate. Also for a run in progress, and for a trial.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{file}: expected a name that ends in .html")
    if number is None:
        number = 0 if ids else SAMPLES
    if is_trial(run):
        _report_trial(run, file, ids, number, mode)
        return
    opened = open_run(run)
    chosen_mode = opened.mode(mode)
    refuse_to_overwrite(file, opened)
    named = [opened.sample(sample_id)[0].position for sample_id in ids]
    try:
        from reporting.html_report import html_report
    except ModuleNotFoundError as error:
        raise MissingExtra("a report", error.name, "view") from None
    chosen = dict.fromkeys(named, "asked for")
    if number:
        chosen |= select_samples(opened.ledger, chosen_mode, number, exclude=named)
    notice = NOTICE if is_rehearsed(opened.manifest) else ""
    _write(file, html_report(opened, snapshot(opened), chosen, notice), len(chosen))


def _report_trial(trial: Path, file: Path, ids: tuple[str, ...], number: int, mode: str | None) -> None:
    if mode is not None:
        raise RunError(f"{trial} is a trial: its report is on all modes; leave out --mode")
    try:
        from runners.trial_report import trial_report_parts
    except ModuleNotFoundError as error:
        raise MissingExtra("a report", error.name, "view") from None
    _write(file, *trial_report_parts(trial, file, ids, number))


def _write(file: Path, parts: Iterator[str], samples: int) -> None:
    with whole_file(file) as output:
        for part in parts:
            output.write(part.encode(errors="backslashreplace"))
    say(f"{file}: {plural(samples, 'sample')}", err=True)
