"""What commands print for users, on a terminal or into a file.

Texts of a data set or a model are only printed as `printable` leaves them, and never read as markup.
"""

import io
import re
import sys

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Control characters other than tab and line feed; marks that change the text direction, and other line
# separators; unpaired surrogates, which cannot be encoded.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return the text with everything escaped that is not plain text, as in \\x1b."""
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text.replace("\r\n", "\n"))


_ANY_WIDTH = 1_000_000


class Output:
    """Standard output for texts: wrapped on a terminal, as they are in a file."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that cannot show a character shows its escape.
            sys.stdout.reconfigure(errors="backslashreplace")
        width = None if sys.stdout.isatty() else _ANY_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)

    def heading(self, text: str, style: str = "bold") -> None:
        """Print a heading after an empty line."""
        self._console.print()
        self.text(text, style)

    def table(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def text(self, text: str | Text, style: str = "", indent: int = 0) -> None:
        """Print a text. A `str` may hold anything; a `Text` must be `printable`."""
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
