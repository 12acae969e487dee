"""What all pages have in common: the bar at the top, the colours, and how texts look."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from urllib.parse import urlencode

from nicegui import ui

from viewer import texts
from viewer.look import ROLE_COLOURS
from viewer.run import Run

PAGES = {"/": "Overview", "/samples": "Samples", "/graph": "Graph"}


@contextmanager
def frame(run: Run, current: str) -> Iterator[None]:
    """The page around its content; `current` is the path of the page in the bar."""
    ui.add_css(_STYLES)
    ui.colors(primary="#2f7fd1")
    with ui.header().classes("bar items-center"):
        ui.label("coevol").classes("brand")
        for path, name in PAGES.items():
            ui.link(name, path).classes("here" if path == current else "")
        ui.space()
        ui.label(run.name).classes("run-name")
    with ui.column().classes("page"):
        yield


def address(path: str, values: Mapping[str, object]) -> str:
    """A link to a page with these values; those that are empty are left out, so that links stay short."""
    given = {name: value for name, value in values.items() if value not in ("", None, False)}
    query = urlencode({name: 1 if value is True else value for name, value in given.items()})
    return f"{path}?{query}" if query else path


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


def tile(value: str, name: str, hint: str = "") -> None:
    """A number with its name."""
    with ui.column().classes("tile"):
        ui.label(value).classes("value")
        ui.label(name).classes("name")
        if hint:
            ui.tooltip(hint)


_STYLES = "\n".join(
    [
        files("viewer").joinpath("style.css").read_text(encoding="utf-8"),
        *(f".{role} {{ --role: {colour}; }}" for role, colour in ROLE_COLOURS.items()),
        texts.code_styles("friendly", ".text pre"),
        texts.code_styles("monokai", ".body--dark .text pre"),
    ]
)
