"""The consoles of rich's: tables and styled texts of commands, and the display of a run."""

import re
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from runners.terminal import Guarded, is_terminal
from samples.printable import COMMANDS, printable


class SafeConsole(Console):
    """A console of rich's that writes its own codes and no others."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        stream = sys.stderr if stderr else sys.stdout
        file = stream.unguarded if isinstance(stream, Guarded) else stream
        super().__init__(file=file, width=width, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, and escape what a text was not `printable` in."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else _COMMANDS.sub(_escaped, text), style, control)


_COMMANDS = re.compile(f"[{COMMANDS}]")


def _escaped(found: re.Match[str]) -> str:
    return printable(found[0])


_ANY_WIDTH = 1_000_000

_WRAPPED = 16
"""Characters that are left of the lines of a column that is wrapped."""


def _natural_width(table: Table) -> int:
    wide = SafeConsole(width=_ANY_WIDTH)
    return Measurement.get(wide, wide.options, table).maximum


def _part(table: Table, columns: Sequence[Column]) -> Table:
    """Return a table of some columns of another."""
    part = Table(
        box=table.box, padding=table.padding, pad_edge=table.pad_edge, header_style=table.header_style
    )
    for column in columns:
        part.add_column(
            column.header, justify=column.justify, no_wrap=column.no_wrap, overflow=column.overflow
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        part.add_row(*row)
    return part


class Output:
    """Standard output for texts: wrapped on a terminal, as they are in a file."""

    def __init__(self) -> None:
        self._console = SafeConsole(width=None if is_terminal() else _ANY_WIDTH)

    def heading(self, text: str, style: str = "bold") -> None:
        """Print a heading after an empty line."""
        self._console.print()
        self.text(text, style)

    def table(self, table: Table) -> None:
        """Print a table. On a narrow terminal, columns that may be wrapped are; others are never cut, and
        lines longer than the terminal if need be."""
        width = self._console.width
        if _natural_width(table) > width:
            table.padding = (0, 1, 0, 0)
            for column in table.columns:
                column.max_width = None if column.no_wrap else _WRAPPED
            width = max(width, _natural_width(table))
            for column in table.columns:
                column.max_width = None
        SafeConsole(width=width).print(table)

    def figures(self, table: Table) -> None:
        """Print a table of figures, of which none may be cut: where there is no room for all columns, in
        parts, each with the first column."""
        first, *others = table.columns
        while others:
            for number in range(len(others), 0, -1):
                part = _part(table, [first, *others[:number]])
                if _natural_width(part) <= self._console.width:
                    break
            self.table(part)
            others = others[number:]

    def text(self, text: str | Text, style: str = "", indent: int = 0) -> None:
        """Print a text. A `str` may hold anything; a `Text` should be `printable`."""
        shown = text if isinstance(text, Text) else Text(printable(text), style)
        if not self._console.is_terminal:
            lines = (" " * indent + line if line else "" for line in shown.plain.split("\n"))
            self._console.file.write(printable("\n".join(lines)) + "\n")
            return
        for line in shown.split("\n", allow_blank=True):
            if not indent or not line.plain:
                self._console.print(line)
            else:
                self._console.print(Padding(line, (0, 0, 0, indent), expand=False))
