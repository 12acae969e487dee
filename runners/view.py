"""`coevol view RUN [OTHER_RUN]`: shows a run in the browser, also while it is going on, or compares two."""

from pathlib import Path

import click

from reporting.comparison_table import open_both
from runners.folder import made_by, open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other_run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    help="The port to listen on. Default: a free one.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the browser. Default: yes.")
def view(run: Path, other_run: Path | None, port: int, browser: bool) -> int:
    """Look at a run in the browser: overview, samples, debates.

    With OTHER_RUN over the same data, also both beside each other, and the samples whose responses differ.
    A run of several modes has its modes compared.

    The pages are served to this machine only, until Ctrl+C. They need no internet and may be looked at
    while `coevol evolve` works on the run.
    """
    folders = [run] if other_run is None else [run, other_run]
    opened = [(open_run(run), made_by(run))] if other_run is None else open_both(run, other_run)
    try:
        from viewer.run import PREFIXES, Run
        from viewer.server import serve
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the pages need {error.name}, which is not installed: pip install 'coevol[view]'"
        ) from None
    names = _names(folders)
    shown = dict(zip(names, PREFIXES, strict=False)) if other_run else {}
    runs = [
        Run(name, *known, prefix, shown) for name, known, prefix in zip(names, opened, PREFIXES, strict=False)
    ]
    try:
        serve(runs, port, browser=browser)
    except OSError as error:
        raise click.UsageError(f"--port {port} cannot be used: {error.strerror}") from None
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0


def _names(folders: list[Path]) -> list[str]:
    """The folders' own names, or all of their paths where those are the same."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder.resolve()) for folder in folders]
