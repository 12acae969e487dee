"""What commands print: everything goes through here, on a terminal or into a file.

Texts of a data set, a model, a server or a file system are only printed as `samples.printable` leaves them,
and never read as markup. `guard` sees to it for what is not ours to print: tracebacks, warnings, logs and the
progress bars of libraries. Commands that this module or a library needs on a terminal (colors, the display of
a run) are written past the guard by `SafeConsole`.
"""

import codecs
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Literal, Protocol, TextIO, cast

import click

from samples.printable import printable


class Guarded:
    """A text stream that escapes what it is given to write.

    A carriage return stays where it can only overwrite a progress bar: at the beginning of a line, and at the
    beginning of what is written to a line that began with one.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream
        self._at_start, self._is_bar = True, False

    def write(self, text: str) -> int:
        """Write a text, escaped."""
        written = len(text)
        text = _redacted(text) if self is sys.stderr else text
        returns = text.startswith("\r") and (self._at_start or self._is_bar) and self.unguarded.isatty()
        shown = "\r" + printable(text[1:]) if returns else printable(text)
        self.unguarded.write(shown)
        if text:
            ends = shown.endswith("\n")
            self._is_bar = not ends and (returns or (self._is_bar and "\n" not in shown))
            self._at_start = ends
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


class Redacts(Protocol):
    """Removes keys (`models.keys.Keys`)."""

    def redact(self, text: str) -> str:
        """Remove all keys from a text."""
        ...

    def redact_reply(self, text: str) -> str:
        """Remove all keys that cannot be words."""
        ...


_keys: Redacts | None = None


def hide(keys: Redacts) -> None:
    """Keep keys out of what this process writes to standard error from now on: logs and tracebacks, too."""
    global _keys
    _keys = keys


def _redacted(text: str) -> str:
    # Ours is redacted where it is made, words too.
    return _keys.redact_reply(text) if _keys else text


def open_standard_streams() -> None:
    """Put nothing in place of standard streams that are closed, lest a file that is opened take theirs."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def flush(name: Literal["stdout", "stderr"]) -> None:
    """Write what a standard stream still holds. Raises OSError where it cannot be written."""
    getattr(sys, name).flush()


def drop(name: Literal["stdout", "stderr"]) -> None:
    """Write what a standard stream still holds, and what follows, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), getattr(sys, name).fileno())


def guard() -> None:
    """Escape whatever is written to this process's standard streams from now on, by whom ever."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Guarded):
            if hasattr(stream, "reconfigure"):
                # A terminal that cannot show a character shows its escape.
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, cast(TextIO, Guarded(stream)))


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text and a line end, to standard output, or to standard error where it may get lost."""
    with suppress(OSError) if err else nullcontext():
        click.echo(printable(text), nl=nl, err=err)


def confirmed(question: str) -> bool:
    """Ask the user a question to be answered by yes or no. Raises `click.Abort` if there is no answer."""
    return click.confirm(printable(question), err=True)


def say_json(value: Any) -> None:
    """Print JSON as it is: in ASCII, with escapes of its own."""
    # The one control character that JSON leaves alone.
    click.echo(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def say_bytes(data: bytes) -> None:
    """Write a file to standard output."""
    click.echo(data, nl=False)


def say_error(error: click.ClickException) -> None:
    """Print an error of usage."""
    with suppress(OSError):  # the status is right even if the message cannot be written
        error.show(sys.stderr)  # otherwise click may look for the stream below the guard


def say_traceback(error: BaseException) -> None:
    """Print where an internal error comes from."""
    text = "".join(traceback.format_exception(error))
    say(_keys.redact(text) if _keys else text, err=True, nl=False)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


@contextmanager
def filtered() -> Iterator[None]:
    """Escape what this process and programs that it becomes write to a terminal, past Python too: a server's
    log quotes its model's file and its clients' requests.

    A process of its own does it, until the streams are closed.
    """
    streams = [number for number in (1, 2) if os.isatty(number)]
    if not streams:
        yield
        return
    terminal = os.dup(streams[0])
    # Nothing is imported from the working directory.
    command = [sys.executable, "-P", "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal) as filter:  # noqa: S603
        assert filter.stdin  # noqa: S101 - for the type
        for number in streams:
            os.dup2(filter.stdin.fileno(), number)
        filter.stdin.close()
        try:
            yield
        finally:
            for number in streams:
                os.dup2(terminal, number)
            os.close(terminal)


def _filter() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which ends the server, whose last lines are to be read
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    while data := os.read(0, 65536):
        text = decoder.decode(data).replace("\r\n", "\n").replace("\r", "\n")
        sys.stdout.write(printable(text))
        sys.stdout.flush()


if __name__ == "__main__":
    _filter()
