"""What all pages have in common: the bar at the top, the colours, and how texts look."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from typing import Any

from nicegui import Client, ui
from nicegui.events import KeyEventArguments

from reporting import html_text as texts
from reporting.theme import ROLE_COLOURS
from viewer.run import Run

PAGES = {"/": "Overview", "/samples": "Samples", "/graph": "Graph"}
"""The pages of each run."""

COMPARE = "/compare"
"""The page that is about two runs, or two modes of one."""


@contextmanager
def frame(run: Run, current: str) -> Iterator[None]:
    """The page around its content; `current` is the path of the page in the bar."""
    ui.add_css(_STYLES)
    ui.colors(primary="#2f7fd1")
    with ui.header().classes("bar items-center"):
        ui.label("coevol").classes("brand")
        for path, name in PAGES.items():
            ui.link(name, run.address(path)).classes("here" if path == current else "")
        if run.is_compared:
            ui.link("Compare", COMPARE).classes("here" if current == COMPARE else "")
        ui.space()
        if not run.shown:
            ui.label(run.name).classes("run-name")
        for name, prefix in run.shown.items():
            # The same page of the other run, except where both are on the page.
            here = current != COMPARE and prefix == run.prefix
            ui.link(name, prefix + (current if current in PAGES else "/")).classes("here" if here else "")
    with ui.column().classes("page"):
        yield


def text(content: str, *, style: str = "", most: int = texts.MOST) -> None:
    """A text of the data or of a model as Markdown; one that is long is cut until all of it is asked for.

    All of a long text is shown as it stands, not rendered: that takes the same time whatever it holds.
    """
    classes = f"text {style}"
    if len(content) <= most:
        ui.html(texts.rendered(content), sanitize=False).classes(classes).props("dir=auto")
        return
    part = ui.html(texts.rendered(content[:most]), sanitize=False).classes(classes).props("dir=auto")

    def show_all() -> None:
        part.classes(add="plain").set_content(texts.plain(content))
        button.delete()

    button = more(content, show_all)


def plain_text(content: str, *, style: str = "", most: int = texts.MOST) -> None:
    """A text exactly as it stands, cut like `text`."""
    shown = ui.html(texts.plain(content[:most]), sanitize=False).classes(f"text plain {style}")
    shown.props("dir=auto")
    if len(content) > most:

        def show_all() -> None:
            shown.set_content(texts.plain(content))
            button.delete()

        button = more(content, show_all)


def more(content: str, show_all: Callable[[], None]) -> ui.button:
    """The button under a text that is cut."""
    return ui.button(f"Show all {len(content):,} characters", on_click=show_all).props("flat dense no-caps")


def choice(name: str, options: Mapping[Any, str], value: Any, chosen: Callable[[Any], None]) -> None:
    """A choice among values, by their names."""
    select = ui.select(dict(options), label=name, value=value if value in options else None)
    select.props("dense outlined options-dense").classes("min-w-36")
    select.on_value_change(lambda event: chosen(event.value))


def turning(begin: int, end: int, total: int, size: int, link: Callable[[int | None], str]) -> None:
    """The way from one part of a table to the others: it shows the rows from `begin` to `end` of `total`."""
    with ui.row().classes("gap-4"):
        if begin:
            ui.link("← previous", link(max(0, begin - size) or None))
        if end < total:
            ui.link("next →", link(end))
        if total > 2 * size:
            ui.link("last", link((total - 1) // size * size)).classes("faint")


def keys(actions: Mapping[str, Callable[[], Awaitable[None] | None]]) -> None:
    """Keys that do something; the arrows to the right and to the left stand for j and k.

    They do nothing while a person is in a field, or a dialog lies over the page that they are about.
    """
    arrows = {"ArrowRight": "j", "ArrowLeft": "k"}

    async def pressed(event: KeyEventArguments) -> None:
        modified = event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta
        if not event.action.keydown or modified or _is_covered(event.client):
            return
        name = str(event.key.name)
        action = actions.get(arrows.get(name, name))
        if action and (waiting := action()):
            await waiting

    ui.keyboard(on_key=pressed, repeating=False)


def _is_covered(client: Client) -> bool:
    return any(isinstance(element, ui.dialog) and element.value for element in client.elements.values())


def keyboard(links: Mapping[str, str]) -> None:
    """Keys that lead to other pages; those without an address do nothing."""
    keys({key: partial(ui.navigate.to, link) for key, link in links.items() if link})


def tile(value: str, name: str, hint: str = "") -> None:
    """A number with its name."""
    with ui.column().classes("tile"):
        ui.label(value).classes("value")
        ui.label(name).classes("name")
        if hint:
            ui.tooltip(hint)


_STYLES = "\n".join(
    [
        files("reporting").joinpath("style.css").read_text(encoding="utf-8"),
        *(f".{role} {{ --role: {colour}; }}" for role, colour in ROLE_COLOURS.items()),
        texts.code_styles("friendly", ".text pre"),
        texts.code_styles("monokai", ".body--dark .text pre"),
    ]
)
