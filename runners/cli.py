"""The command line. Each command stands in a file of its own.

Exit status: 0 all done; 1 done, and some samples failed (they keep their responses); 2 wrong usage or
unusable input, nothing was started; 3 stopped early, and the same command goes on from there.
"""

import sys
from importlib import import_module

import click

from ledger.ledger import LedgerError
from models.failures import MissingExtra, RunStopped
from models.keys import MissingKey
from prompts.pack import PackError
from runners.folder import RunError
from samples.sample import DataError

UNUSABLE = (DataError, PackError, RunError, LedgerError, MissingKey, MissingExtra)
"""What a person can put right before anything was started."""


COMMANDS = {
    "check": "runners.check",
    "serve": "runners.serve",
    "evolve": "runners.evolve",
    "export": "runners.export",
    "stats": "runners.stats",
    "show": "runners.show",
    "graph": "runners.draw",
    "view": "runners.view",
    "report": "runners.report",
}
"""Each command and the module that has it, under the same name."""


class Commands(click.Group):
    """Loads a command's module when the command is wanted: most need a fraction of what `evolve` does."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands, in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name]), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="coevol")
def coevol() -> None:
    """Better responses for instruction-tuning data."""


def main() -> None:
    """Runs a command and ends the process with its exit status."""
    try:
        status = coevol(prog_name="coevol", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = 2
    except click.Abort:
        status = 3
    except UNUSABLE as error:
        click.echo(f"coevol: {error}", err=True)
        status = 2
    except RunStopped as error:
        click.echo(f"coevol: stopped: {error}", err=True)
        status = 3
    sys.exit(status or 0)
