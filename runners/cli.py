"""The command line. Each command has a module of its own.

Exit status: 0 all done; 1 done, but some samples failed (they keep their responses); 2 wrong usage or
unusable input, nothing was started; 3 stopped early, and the same command resumes the run.
"""

import gc
import sys
from difflib import get_close_matches
from errno import EAGAIN, EBADF, EDQUOT, EFBIG, EIO, ENOSPC
from importlib import import_module

from runners.interrupted import INTERRUPTED, end_at_once

try:
    import click
    from click.shell_completion import CompletionItem

    from runners import GC_THRESHOLD
    from runners.terminal import drop, flush, guard, open_standard_streams, say, say_error, say_traceback
except KeyboardInterrupt:
    end_at_once()

COMMANDS = {
    "check": ("runners.check", "Call each model once, and report whether a run can use it."),
    "serve": ("runners.serve", "Serve a model on this machine: with vLLM, or a GGUF file with llama.cpp."),
    "evolve": ("runners.evolve", "Improve the responses of a data set."),
    "trial": ("runners.trial", "Compare ways to improve responses, at equal cost, on part of a data set."),
    "export": ("runners.export", "Write the data set with its evolved responses, also for a trainer."),
    "publish": ("runners.publish", "Publish the results of a run as a data set on the Hugging Face Hub."),
    "stats": ("runners.stats", "Summarize a run."),
    "show": ("runners.show", "Show the whole story of one sample."),
    "graph": ("runners.graph", "Draw the graph of a mode, or of a run."),
    "view": ("runners.view", "View a run in the browser: overview, samples, debates."),
    "report": ("runners.report", "Write the summary of a run and some of its samples into one file."),
    "completion": ("runners.completion", "Complete commands, options and files in the shell."),
}
"""Each command, its module (which has it under the same name), and its summary."""


_OUTPUT_FULL = (ENOSPC, EDQUOT, EFBIG, EAGAIN, EIO, EBADF)

UNREAD = 141
"""The exit status if the reader of the output is gone: a shell's for a program that SIGPIPE ended."""


class Commands(click.Group):
    """Loads a command's module only when it is used: most need a fraction of what `evolve` does."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the commands, in the order in which users need them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of this name."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named; where there is none, name one that is nearly it."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without loading any."""
        names = (name for name in COMMANDS if name.startswith(incomplete))
        items = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands in `--help`, which loads none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="coevol")
def coevol() -> None:
    """Better responses for instruction-tuning data."""


def main() -> None:
    """Run a command and end the process with its exit status."""
    gc.set_threshold(GC_THRESHOLD)
    open_standard_streams()
    guard()
    try:
        status = coevol(prog_name="coevol", standalone_mode=False)
        flush("stdout")
    except click.ClickException as error:
        say_error(error)
        status = 2
    except (click.Abort, KeyboardInterrupt):
        status = _ended(INTERRUPTED, 3)
    except BrokenPipeError:
        # The reader of the output, such as `head`, is gone.
        drop("stdout")
        status = UNREAD
    except OSError as error:
        if error.filename is None and error.errno in _OUTPUT_FULL:
            drop("stdout")
            status = _ended(f"coevol: the output cannot be written: {error.strerror or error}", 2)
        else:
            status = _report(error)
    except Exception as error:
        status = _report(error)
    try:
        flush("stderr")
    except OSError:  # Python would end with a status of its own
        drop("stderr")
    sys.exit(status or 0)


def _report(error: Exception) -> int:
    """Print what ended a command and return its exit status."""
    # Loaded only if something went wrong: most commands need little of it.
    from ledger.ledger import LedgerError
    from models.errors.exceptions import MissingExtra, RunStopped
    from models.keys import MissingKey
    from models.providers.proxies import ProxyUnusable
    from nodes.checks import CheckUnusable
    from prompts.pack import PackError
    from reporting.manifest import RunError
    from samples.sample import DataError

    # Errors that the user can correct.
    usage_errors = (DataError, PackError, RunError, LedgerError)
    unusable = (MissingKey, MissingExtra, ProxyUnusable, CheckUnusable)
    if isinstance(error, (*usage_errors, *unusable)):
        return _ended(f"coevol: {error}", 2)
    if isinstance(error, RunStopped):
        return _ended(f"coevol: stopped: {error}", 3)
    if isinstance(error, MemoryError):
        # Also of a run: what was finished is kept, and the same command resumes it.
        return _ended("coevol: there is not enough memory for this", 2)
    say_traceback(error)
    return 1


def _ended(message: str, status: int) -> int:
    say(message, err=True)
    return status
