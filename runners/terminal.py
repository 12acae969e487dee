"""What commands print for people to read, on a terminal or into a file.

Texts from a data set or a model are only ever printed as `printable` leaves them, and never read as markup.
"""

import io
import re
import sys

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Control characters but for tab and line end, which could command the terminal; marks that turn the direction
# of what follows, and other line ends; halves of surrogate pairs, which no terminal can be sent.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """The text with everything that is no plain text as its escape, such as \\x1b."""
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text.replace("\r\n", "\n"))


_ANY_WIDTH = 1_000_000


class Page:
    """Standard output, for texts to read: wrapped on a terminal, and in a file each line as it is."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that cannot show a letter shows its escape.
            sys.stdout.reconfigure(errors="backslashreplace")
        width = None if sys.stdout.isatty() else _ANY_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)

    def heading(self, words: str, style: str = "bold") -> None:
        """A heading, with an empty line before it."""
        self._console.print()
        self.text(words, style)

    def table(self, table: Table) -> None:
        """A table."""
        self._console.print(table)

    def text(self, text: str | Text, style: str = "", indent: int = 0) -> None:
        """A text of one or more lines. A `str` may hold anything; a `Text` what is `printable`."""
        shown = text if isinstance(text, Text) else Text(printable(text), style)
        if not self._console.is_terminal:
            lines = (" " * indent + line if line else "" for line in shown.plain.split("\n"))
            self._console.file.write("\n".join(lines) + "\n")
            return
        for line in shown.split("\n", allow_blank=True):
            if not indent or not line.plain:
                self._console.print(line)
            else:
                self._console.print(Padding(line, (0, 0, 0, indent), expand=False))
