"""`coevol view RUN`: shows a run in the browser, also while it is going on."""

from pathlib import Path

import click

from runners.folder import made_by, open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    help="The port to listen on. Default: a free one.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the browser. Default: yes.")
def view(run: Path, port: int, browser: bool) -> int:
    """Look at a run in the browser: overview, samples, debates.

    The pages are served to this machine only, until Ctrl+C. They need no internet and may be looked at
    while `coevol evolve` works on the run.
    """
    ledger = open_run(run)
    made = made_by(run)
    try:
        from viewer.run import Run
        from viewer.server import serve
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the pages need {error.name}, which is not installed: pip install 'coevol[view]'"
        ) from None
    try:
        serve(Run(run.resolve().name, ledger, made), port, browser=browser)
    except OSError as error:
        raise click.UsageError(f"--port {port} cannot be used: {error.strerror}") from None
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0
