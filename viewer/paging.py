"""Tables that are shown a page at a time."""

from collections.abc import Callable

from nicegui import ui

SIZE = 50
"""Rows of a page."""


def page_begin(asked: int, total: int) -> int:
    """Return the position at which a page begins: as asked, or that of the last page where it is beyond."""
    return asked if asked < total else max(total - 1, 0) // SIZE * SIZE


def page_links(begin: int, end: int, total: int, link: Callable[[int | None], str]) -> None:
    """Show links to the other pages of a table that shows the rows from `begin` to `end` of `total`."""
    with ui.row().classes("gap-4"):
        if begin:
            ui.link("← previous", link(max(0, begin - SIZE) or None))
        if end < total:
            ui.link("next →", link(end))
        if total > 2 * SIZE:
            ui.link("last", link(page_begin(total, total))).classes("faint")
