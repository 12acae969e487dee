"""`coevol completion`: completion of commands, options and files in the shell."""

import os
import shlex
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from reporting.manifest import RunError
from runners.terminal import say
from samples.files import whole_file

SHELLS = ("bash", "zsh", "fish")

_RC = {"bash": ".bashrc", "zsh": ".zshrc"}
"""The file in the user's home that a shell reads when it starts; fish finds the completion by its place."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Install it for this user, in new shells.")
def completion(shell: str | None, install: bool) -> int:
    """Print the completion of a shell, or install it.

    SHELL is that of the environment unless it is given. --install writes the completion into a file of yours
    and, for bash and zsh, a line that reads it into ~/.bashrc or ~/.zshrc; it says which.
    """
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise click.UsageError(f"which shell? coevol completion {'|'.join(SHELLS)}")
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has all three
    script = made(_command(), {}, "coevol", "_COEVOL_COMPLETE").source()
    if not install:
        say(script)
        return 0
    home = Path(os.environ.get("HOME") or Path.home())
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    file = (
        config / "fish/completions/coevol.fish" if shell == "fish" else config / f"coevol/completion.{shell}"
    )
    try:
        with whole_file(file) as output:
            output.write(f"{script}\n".encode())
        say(f"{file}: the completion of coevol")
        if shell in _RC:
            _read_from(home / _RC[shell], file, shell)
    except OSError as error:
        raise RunError(f"{error.filename or file} cannot be written: {error.strerror}") from None
    say("It works in new shells.")
    return 0


def _command() -> click.Command:
    from runners.cli import coevol  # which loads this module

    return coevol


def _read_from(rc: Path, file: Path, shell: str) -> None:
    """Add the line that reads the completion to a file of the shell, unless it is there."""
    line = f"source {shlex.quote(str(file))}"
    if shell == "zsh":  # which completes nothing by itself
        line = f"(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}; {line}"
    before = rc.read_text(encoding="utf-8", errors="surrogateescape") if rc.exists() else ""
    if line in before.splitlines():
        return
    with rc.open("a", encoding="utf-8") as output:
        output.write(f"{'' if before.endswith(chr(10)) or not before else chr(10)}{line}\n")
    say(f"{rc}: a line that reads it")
