"""`coevol view RUN [OTHER_RUN]`: shows a run in the browser, also one in progress, or compares two."""

from pathlib import Path

import click

from models.errors.exceptions import MissingExtra
from reporting.comparison_table import open_both
from reporting.run import open_run
from runners.options import PATH
from runners.terminal import say


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

    With OTHER_RUN over the same data, also compare the two, and the samples whose responses differ. A run of
    several modes has its modes compared.

    The pages are served to this machine only, until Ctrl+C. They need no internet, and `coevol evolve` may be
    working on the run meanwhile.
    """
    opened = [open_run(run)] if other_run is None else [*open_both(run, other_run)]
    try:
        from viewer.run import run_pages
        from viewer.server import serve
    except ModuleNotFoundError as error:
        raise MissingExtra("`coevol view`", error.name, "view") from None
    from runners.selection import selected_records

    try:
        serve(run_pages(opened), port, browser=browser, notify=say, records=selected_records)
    except OSError as error:
        raise click.UsageError(f"--port {port} cannot be used: {error.strerror}") from None
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0
