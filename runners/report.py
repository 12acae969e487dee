"""`coevol report RUN -o report.html`: one file about a run, to send to a colleague."""

from pathlib import Path

import click

from models.errors.kinds import MissingExtra
from models.providers.rehearsal import NOTICE
from prompts.method import MODES
from runners.folder import RunError, endpoints, made_by, open_run, refuse_to_overwrite
from runners.show import the_sample
from samples.files import whole_file

SAMPLES = 12
"""How many samples are chosen where nothing is said."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write: a name that ends in .html.",
)
@click.option(
    "--sample",
    "ids",
    multiple=True,
    metavar="ID",
    help="A sample to show; may be repeated. None but these are shown, unless --samples is given too.",
)
@click.option(
    "--samples",
    "number",
    type=click.IntRange(0, 200),
    metavar="NUMBER",
    help=f"How many samples to choose: some that failed, whose verdicts contradict each other, that changed "
    f"most, and some of the others. Default: {SAMPLES}.",
)
@click.option("--mode", type=click.Choice(MODES), help="The mode to choose by. Default: the run's last one.")
def report(run: Path, file: Path, ids: tuple[str, ...], number: int | None, mode: str | None) -> None:
    """Write what a run amounts to and a choice of its samples into one file.

    The file needs no server and no network, runs no script, and prints well. Each sample is there with its
    request, what changed in its response, and its debate. Also of a run that is going on.
    """
    ledger, made = open_run(run), made_by(run)
    if mode is not None and mode not in made["modes"]:
        raise RunError(f"{run} has no results of mode {mode}; its modes: {', '.join(made['modes'])}")
    if file.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{file}: expected a name that ends in .html")
    refuse_to_overwrite(file, run, made)
    named = [the_sample(ledger, run, sample_id)[0].position for sample_id in ids]
    try:
        from reporting.html_report import html
        from reporting.sample_selection import choose
        from reporting.snapshot import counted
        from viewer.run import Run
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"a report needs {error.name}, which is not installed: pip install 'coevol[view]'"
        ) from None
    if number is None:
        number = 0 if ids else SAMPLES
    chosen = dict.fromkeys(named, "asked for")
    if number:
        chosen |= choose(ledger, mode or made["modes"][-1], number, but=named)
    about = Run(run.resolve().name, ledger, made)
    rehearsed = any(endpoint.provider == "rehearsal" for endpoint in endpoints(made).values())
    with whole_file(file) as output:
        for part in html(about, counted(about), chosen, notice=NOTICE if rehearsed else ""):
            output.write(part.encode(errors="backslashreplace"))
    click.echo(f"{file}: {len(chosen)} sample{'s' * (len(chosen) != 1)}", err=True)
