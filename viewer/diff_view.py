"""Shows texts side by side: with their differences marked, rendered, or as they are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nicegui import ui

from reporting import html_text
from viewer.frame import copy_button, cut, keys, plain_text, text


class Column(NamedTuple):
    """A text to show."""

    name: str
    content: str
    style: str
    """The CSS class that colors its differences."""


Marking = Callable[[Sequence[str]], Sequence[str]]
"""Returns the texts of all columns as HTML, with differences marked."""

RENDERED, RAW = "Rendered", "Raw"

_COOKIE = "coevol_form"


def differences(old: Column, new: Column) -> None:
    """Show two texts and a choice of how their differences are marked."""
    diff_view([old, new], {"Differences": lambda both: html_text.marked(*both, fold=True)})


def diff_view(columns: Sequence[Column], markings: Mapping[str, Marking]) -> None:
    """Show the columns and a choice of how differences are marked. The browser keeps it; key d changes it."""
    names = [*markings, RENDERED, RAW]
    kept = ui.context.client.request.cookies.get(_COOKIE)
    how = ui.toggle(names, value=kept if kept in names else names[0])
    how.props("dense no-caps flat").classes("how")
    cells = []
    with ui.element("div").classes("side-by-side"):
        for column in columns:
            with ui.column().classes(f"panel {column.style}"):
                ui.label(f"{column.name} · {len(column.content):,} characters").classes("faint small")
                cells.append(ui.column().classes("w-full"))

    def choose_next() -> None:
        how.value = names[(names.index(str(how.value)) + 1) % len(names)]

    async def chosen() -> None:
        form = how.value if how.value in (RENDERED, RAW) else ""
        ui.run_javascript(f"document.cookie = '{_COOKIE}={form}; path=/; samesite=lax'")
        await show()

    async def show() -> None:
        for cell in cells:
            cell.clear()
        if how.value in (RENDERED, RAW):
            form = text if how.value == RENDERED else plain_text
            for cell, column in zip(cells, columns, strict=True):
                with cell:
                    form(column.content)
            return
        shortened = [column.content[: html_text.MAX_CHARS] for column in columns]
        marked = await asyncio.to_thread(markings[str(how.value)], shortened)
        for cell, html, column in zip(cells, marked, columns, strict=True):
            with cell, ui.element("div").classes("text-box"):
                with ui.row().classes("tools"):
                    copy_button(column.content)
                cut(ui.html(html, sanitize=False).classes("text plain"), column.content)

    how.on_value_change(chosen)
    keys({"d": choose_next})
    ui.timer(0, show, once=True)
