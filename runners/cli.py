"""The command line. Each command stands in a file of its own.

Exit status: 0 all done; 1 done, and some samples failed (they keep their responses); 2 wrong usage or
unusable input, nothing was started; 3 stopped early, and the same command goes on from there.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module

import click

COMMANDS = {
    "check": ("runners.check", "Call each model once, and tell whether a run can use it."),
    "serve": ("runners.serve", "Serve a model with vLLM, for runs on this machine."),
    "evolve": ("runners.evolve", "Improve the responses of a data set."),
    "export": ("runners.export", "Write the data set with its evolved responses, also for a trainer."),
    "stats": ("runners.stats", "Say what a run amounts to."),
    "show": ("runners.show", "Tell the story of one sample."),
    "graph": ("runners.graph", "Draw the graph of a mode, or of a run."),
    "view": ("runners.view", "Look at a run in the browser: overview, samples, debates."),
    "report": ("runners.report", "Write what a run amounts to and a choice of its samples into one file."),
}
"""Each command, the module that has it under the same name, and what it does."""


UNREAD = 141
"""The exit status where nobody reads what a command writes: a shell's for a program that SIGPIPE ended."""


class Commands(click.Group):
    """Loads a command's module when the command is wanted: most need a fraction of what `evolve` does."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands, in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`, which loads none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


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
        with suppress(OSError):
            error.show()
        status = 2
    except click.Abort:
        status = 3
    except BrokenPipeError:
        # Whoever read what a command writes has enough, `head` for one.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = UNREAD
    except Exception as error:
        status = _told(error)
    sys.exit(status or 0)


def _told(error: Exception) -> int:
    """Says what ended a command, and gives its exit status; raises what is a mistake of the program."""
    # Loaded only where something went wrong: most commands need little of it.
    from ledger.ledger import LedgerError
    from models.errors.kinds import MissingExtra, RunStopped
    from models.keys import MissingKey
    from models.providers.proxies import ProxyUnusable
    from prompts.pack import PackError
    from runners.folder import RunError
    from samples.sample import DataError

    # What a person can put right before anything was started; some of it also stops a run.
    unusable = (DataError, PackError, RunError, LedgerError, MissingKey, MissingExtra, ProxyUnusable)
    if isinstance(error, unusable):
        return _ended(f"coevol: {error}", 2)
    if isinstance(error, RunStopped):
        return _ended(f"coevol: stopped: {error}", 3)
    raise error


def _ended(words: str, status: int) -> int:
    with suppress(OSError):  # the status is true also where nobody reads the words
        click.echo(words, err=True)
    return status
