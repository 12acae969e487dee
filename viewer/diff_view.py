"""Texts beside each other: as they stand with their differences marked, or rendered."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nicegui import ui

from reporting import html_text as texts
from viewer.frame import more, text


class Column(NamedTuple):
    """A text, what it is, and the class by which its differences are coloured."""

    name: str
    content: str
    style: str


Marking = Callable[[Sequence[str]], Sequence[str]]
"""Gives the texts of all columns as HTML, with differences marked."""

RENDERED = "Rendered"


def beside(columns: Sequence[Column], ways: Mapping[str, Marking]) -> None:
    """The columns, and a choice of the ways in which differences are marked."""
    names = [*ways, RENDERED]
    how = ui.toggle(names, value=names[0]).props("dense no-caps flat").classes("how")
    places = []
    with ui.element("div").classes("beside"):
        for column in columns:
            with ui.column().classes(f"panel {column.style}"):
                ui.label(f"{column.name} · {len(column.content):,} characters").classes("faint small")
                places.append(ui.column().classes("w-full"))

    async def show() -> None:
        for place in places:
            place.clear()
        if how.value == RENDERED:
            for place, column in zip(places, columns, strict=True):
                with place:
                    text(column.content)
            return
        shortened = [column.content[: texts.MOST] for column in columns]
        marked = await asyncio.to_thread(ways[str(how.value)], shortened)
        for place, html, column in zip(places, marked, columns, strict=True):
            with place:
                _marked(html, column.content)

    how.on_value_change(show)
    ui.timer(0, show, once=True)


def _marked(html: str, content: str) -> None:
    part = ui.html(html, sanitize=False).classes("text plain").props("dir=auto")
    if len(content) > texts.MOST:

        def show_all() -> None:
            part.set_content(texts.plain(content))
            button.delete()

        button = more(content, show_all)
