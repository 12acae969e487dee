"""What all pages share: the bar at the top, colors, keys, and how texts look."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from typing import Any

from fastapi import Request, Response
from nicegui import Client, ui
from nicegui.events import KeyboardKey, KeyEventArguments

from reporting import html_text
from reporting.labels import shorten
from reporting.theme import ROLE_COLORS
from samples.fields import as_text
from samples.json_values import to_json
from viewer.run import RunPages

PAGES = {"/": "Overview", "/samples": "Samples", "/graph": "Graph"}
"""The pages of each run."""

COMPARE = "/compare"
"""The page that compares two runs, or two modes of one."""

RUNS = "/"
"""The list of the runs of a folder, where there is one."""

MATH_FONT = "/math-font.ttf"
"""Browsers lay out formulas by the tables of a mathematical font; many machines have none."""


@contextmanager
def frame(run: RunPages | None, current: str) -> Iterator[None]:
    """Show the page around its content; `current` is the path of the page in the bar.

    Without a run it is the list of runs.
    """
    with page(lambda: _links(run, current), KEYS):
        yield


@contextmanager
def page(links: Callable[[], None], meanings: Mapping[str, str]) -> Iterator[None]:
    """Show a page with these links in its bar, and what its keys mean."""
    ui.add_css(_STYLES)
    ui.colors(primary="#14589c")
    show_keys = partial(_show_keys, meanings)
    keys({"?": show_keys})
    with ui.header(wrap=False).classes("bar items-center"):
        ui.label("coevol").classes("brand")
        links()
        ui.button("?", on_click=show_keys).props('flat dense aria-label="Keys"').classes("show-keys")
    with ui.column().classes("page"):
        yield


def _links(run: RunPages | None, current: str) -> None:
    if run is None or run.base:
        ui.link("Runs", RUNS).classes("" if run else "here")
    if run is None:
        ui.space()
        return
    if run.trial:
        ui.link(f"← {run.trial}", "/")
    for path, name in PAGES.items():
        ui.link(name, run.address(path)).classes("here" if path == current else "")
    if run.is_compared:
        ui.link("Compare", run.base + COMPARE).classes("here" if current == COMPARE else "")
    ui.space()
    if not run.shown:
        ui.label(run.name).classes("run-name")
    for name, prefix in run.shown.items():
        # The same page of the other run, except where both are on the page.
        here = current != COMPARE and prefix == run.prefix
        ui.link(name, prefix + (current if current in PAGES else "/")).classes("here" if here else "")


def missing_sample(
    request: Request, run: RunPages, current: str, sample_id: str, back: str, where: str = ""
) -> Response:
    """Answer an address of a sample that has no result, with the way back to the table."""
    name = shorten(sample_id or request.query_params.get("position", ""), 100)
    with frame(run, current):
        ui.page_title(f"Not found · {run.name}")
        ui.label(f"There is no sample {name} with a result {where}".strip() + ".").classes("text-lg").props(
            "dir=auto"
        )
        ui.label(_MISSING).classes("faint")
        ui.link("← table", back)
    return ui.context.client.build_response(request, 404)


_MISSING = (
    "Where a run is in progress, it may come yet: reload the page then. Addresses name a sample by its id "
    "or, where none has that id, by its position in the data, from 0."
)


def missing_page(
    request: Request,
    runs: Sequence[RunPages],
    why: str = "There is no such page.",
    *,
    title: str = "Not found",
    status: int = 404,
) -> Response:
    """Answer an address that no page has, or whose page cannot be shown; without runs, of a list of runs."""
    run = next((run for run in reversed(runs) if request.url.path.startswith(f"{run.prefix}/")), None)
    run = run or next(iter(runs), None)
    with Client(ui.page(""), request=request) as client:
        with frame(run, ""):
            ui.page_title(f"{title} · {run.name if run else 'coevol'}")
            ui.label(why).classes("text-lg")
            with ui.row().classes("gap-4"):
                addresses = (
                    {name: run.address(path) for path, name in PAGES.items()} if run else {"Runs": RUNS}
                )
                for name, address in addresses.items():
                    ui.link(name, address)
        return client.build_response(request, status)


KEYS = {
    "?": "the keys",
    "j, →": "next sample",
    "k, ←": "previous sample",
    "u": "back to the table",
    "n": "next exchange of a conversation",
    "p": "previous exchange",
    "a": "accept the result",
    "r": "reject it: keep the original",
    "e": "edit it, or go on with a draft",
    "d": "show differences, rendered or raw, here and from now on",
    "z": "take the decision on this sample back; where g has led on, go back in the browser first",
    "g": "after a decision, go on to the next undecided result, or no longer",
    "Ctrl+Enter": "save what is edited",
    "Esc": "close what is edited; it is kept as a draft",
}
"""What keys do; all but the first on the page of a sample."""


def _show_keys(meanings: Mapping[str, str]) -> None:
    with ui.dialog(value=True).props("aria-label=Keys") as dialog, ui.card().classes("keys"):
        ui.label("Keys").classes("text-lg font-semibold")
        rows = "".join(f"<tr><td><kbd>{key}</kbd></td><td>{what}</td></tr>" for key, what in meanings.items())
        ui.html(f"<table class=data>{rows}</table>", sanitize=False)
        ui.label("They do nothing while a field has the focus.").classes("faint small")
        ui.button("Close", on_click=dialog.close).props("flat dense no-caps autofocus").classes("self-end")
    dialog.on("hide", dialog.delete)


def text(content: str, tools: ui.element | None = None) -> None:
    """Show a text of the data or a model as Markdown, or as it is; all of a long one is shown as it is.

    Its buttons are in `tools`, if given, and else above it.
    """
    content = as_text(content)

    def toggle() -> None:
        form = html_text.rendered if "plain" in shown.classes else html_text.plain
        shown.classes(toggle="plain").set_content(form(content[: html_text.MAX_CHARS]))
        raw.props(f"aria-pressed={str('plain' in shown.classes).lower()}")
        if more:
            more.set_visibility(True)

    with ui.element("div").classes("text-box"):
        with tools or ui.row().classes("tools"):
            raw = ui.button("Raw", on_click=toggle).props("flat dense no-caps aria-pressed=false")
            raw.classes("raw").tooltip("the exact characters")
            copy_button(content)
        shown = ui.html(html_text.rendered(content[: html_text.MAX_CHARS]), sanitize=False).classes("text")
        more = cut(shown, content)


FOLDED_CHARS, FOLDED_LINES = 1_500, 20
"""Above these a text is long."""


@contextmanager
def folding(name: str, *contents: str) -> Iterator[None]:
    """Show only the beginning of long texts until the user asks for the rest."""
    box = ui.element("div").classes("folding")
    with box:
        yield
    if sum(map(len, contents)) <= FOLDED_CHARS and sum(each.count("\n") for each in contents) <= FOLDED_LINES:
        return

    def toggle() -> None:
        box.classes(toggle="folded")
        is_folded = "folded" in box.classes
        button.set_text(f"Show the whole {name}" if is_folded else "Show less")
        button.props(f"aria-expanded={str(not is_folded).lower()}")

    box.classes("folded")
    button = ui.button(f"Show the whole {name}", on_click=toggle)
    button.props("flat dense no-caps aria-expanded=false").classes("unfold")


def plain_text(content: str, *, style: str = "") -> None:
    """Show a text exactly as it is."""
    with ui.element("div").classes("text-box"):
        with ui.row().classes("tools"):
            copy_button(content)
        shown = ui.html(html_text.plain(content[: html_text.MAX_CHARS]), sanitize=False)
        cut(shown.classes(f"text plain {style}"), content)


def mark_in_texts(wanted: str) -> None:
    """Mark what was searched for in all texts of the page, and scroll to the first."""
    # As a property, so that no character of it is read as anything else.
    ui.element("span").classes("hidden")._props["data-marked"] = wanted
    ui.context.client.on_connect(lambda: ui.run_javascript(_MARKS))


_MARKS = files("viewer").joinpath("marks.js").read_text(encoding="utf-8")


def copy_button(content: str) -> None:
    """Show a button that copies a text."""

    def copy() -> None:
        ui.run_javascript(f"({_COPY})({to_json(as_text(content))})")
        ui.notify("copied", timeout=1000)

    ui.button("Copy", on_click=copy).props("flat dense no-caps").classes("copy")


_COPY = """text => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
}"""
"""Browsers have a clipboard only for pages of this machine, and encrypted ones."""


def cut(shown: ui.html, content: str) -> ui.button | None:
    """Set the direction of a text and, where it is cut, show a button for all of it.

    All of it is shown as it is, not rendered, so that the time does not depend on its content.
    """
    shown.props("dir=auto")
    if len(content) <= html_text.MAX_CHARS:
        return None

    def show_all() -> None:
        shown.classes(add="plain").set_content(html_text.plain(content))
        button.set_visibility(False)

    button = ui.button(f"Show all {len(content):,} characters", on_click=show_all)
    button.props("flat dense no-caps").classes("show-all")
    return button


def choice(name: str, options: Mapping[Any, str], value: Any, chosen: Callable[[Any], None]) -> None:
    """Show a select field of values with their names."""
    select = ui.select(dict(options), label=name, value=value if value in options else None)
    select.props("dense outlined options-dense").classes("min-w-36")
    select.on_value_change(lambda event: chosen(event.value))


def keys(actions: Mapping[str, Callable[[], Awaitable[None] | None]]) -> None:
    """Bind keys to actions; the right and left arrows count as j and k.

    They do nothing while a field has the focus or a dialog is open. A button keeps the focus after it was
    used, so there they work.
    """
    arrows = {"ArrowRight": "j", "ArrowLeft": "k"}

    async def pressed(event: KeyEventArguments) -> None:
        modified = event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta
        if not event.action.keydown or modified or _has_dialog(event.client):
            return
        name = _latin(event.key)
        action = actions.get(arrows.get(name, name))
        if action and (waiting := action()):
            await waiting

    ui.keyboard(on_key=pressed, repeating=False, ignore=["input", "select", "textarea"])


def _latin(key: KeyboardKey) -> str:
    """Return the name of a key, of a letter the one on a Latin keyboard without Caps Lock."""
    is_latin = len(key.name) == 1 and key.name.isascii()
    letter = key.name if is_latin or not key.code.startswith("Key") else key.code.removeprefix("Key")
    return letter.lower() if len(letter) == 1 else letter


def _has_dialog(client: Client) -> bool:
    return any(isinstance(element, ui.dialog) and element.value for element in client.elements.values())


def key_links(links: Mapping[str, str]) -> None:
    """Bind keys to links; those without an address do nothing."""
    keys({key: partial(ui.navigate.to, link) for key, link in links.items() if link})


def tile(value: str, name: str, hint: str = "") -> None:
    """Show a number with its name."""
    with ui.column().classes("tile"):
        ui.label(value).classes("value")
        ui.label(name).classes("name")
        if hint:
            ui.tooltip(hint)


_STYLES = "\n".join(
    [
        f'@font-face {{ font-family: "Formulas"; src: url("{MATH_FONT}"); }}',
        *(
            files("reporting").joinpath(name).read_text(encoding="utf-8")
            for name in ("style.css", "trial.css")
        ),
        *(f".{role} {{ --role: {color}; }}" for role, color in ROLE_COLORS.items()),
        html_text.code_styles("friendly", ".text pre"),
        html_text.code_styles("monokai", ".body--dark .text pre"),
    ]
)
