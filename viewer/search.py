"""Searches that continue while a page is open, which shows what was found so far."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nicegui import ui

from ledger.search import Search
from viewer.frame import keys

Hit = TypeVar("Hit")

FIRST_WAIT = 0.4
"""Seconds that a page waits for first hits."""

PAUSE = 0.02
"""Seconds between two parts of a search, for other work."""


def search_field(text: str, go: Callable[..., None]) -> ui.input:
    """Show the search field; `go` navigates to the hits, with the text in the field or a given `text`."""
    field = ui.input("Search in requests and responses", value=text).classes("w-60")
    field.props("dense outlined clearable").on("keydown.enter", lambda: go())
    field.on("clear", lambda: go(text=""))
    return field


async def first_look(search: Search[Hit], most: int) -> list[Hit]:
    """Return what a search finds in the time that a page waits for it."""
    return await asyncio.to_thread(search.look, most, FIRST_WAIT)


def searched(
    search: Search[Hit],
    found: Sequence[Hit],
    most: int,
    *,
    begin: int,
    total: int,
    table: Callable[[Sequence[Hit]], str],
    link: Callable[[int | None], str],
) -> None:
    """Show what a search from position `begin` has found among `total` results, and continue it.

    It ends with `most` rows and a link to continue from there.
    """
    rows = list(found)
    where = ui.label().classes("faint small where")
    shown = ui.html("", sanitize=False).classes("w-full overflow-x-auto")
    with ui.row().classes("gap-4"):
        if begin:
            # Where the search before this one began is unknown here; the first one began at the start.
            ui.link("← to the beginning", link(None))
        on = ui.link("search on →", "").classes("search-on")

    def say() -> None:
        says = f"{len(rows):,} found in results {begin + 1:,} to {search.place:,} of {total:,}"
        if not total:
            says = "nothing to search"
        elif len(rows) < most and not search.ended:
            says += ": searching on …"
        where.set_text(says)
        on.props["href"] = link(search.place)
        on.update()
        on.set_visibility(len(rows) == most and search.place < total)

    def more(some: list[Hit]) -> None:
        rows.extend(some)
        if some:
            shown.set_content(table(rows))
        say()

    if rows:
        shown.set_content(table(rows))
    say()
    if len(rows) < most and not search.ended:
        _search_on(search, most - len(rows), more)


def _search_on(search: Search[Hit], most: int, found: Callable[[list[Hit]], None]) -> None:
    """Continue until so many are found, the search ends or the page is left; `found` receives new hits."""
    left = most

    async def look() -> None:
        nonlocal left
        some = await asyncio.to_thread(search.look, left)
        left -= len(some)
        if search.ended or not left:
            timer.cancel()
        found(some)

    timer = ui.timer(PAUSE, look)


def neighbours(links: Mapping[str, str]) -> None:
    """Show links to the sample before (key k) and after (key j); empty where there is none."""
    for key, name in _NAMES.items():
        if links[key]:
            ui.link(f"{name} ({key})", links[key]).classes(name)
    keys({key: lambda link=link: ui.navigate.to(link) for key, link in links.items() if link})  # type: ignore[misc]


def neighbours_searched(searches: Mapping[str, Search[Hit]], link: Callable[[Hit], str]) -> None:
    """Show the same links to what a search finds before and after; until then, how far it is."""
    keys({key: _searched(key, name, searches[key], link) for key, name in _NAMES.items()})


def _searched(key: str, name: str, search: Search[Hit], link: Callable[[Hit], str]) -> Callable[[], None]:
    with ui.row().classes("gap-0"):
        way = ui.link("", "").classes(name)
        says = ui.label(f"{name} ({key}): searching …").classes(f"faint small {name}-searched")
    way.set_visibility(False)
    to = ""

    def found(some: list[Hit]) -> None:
        nonlocal to
        for hit in some:
            to = link(hit)
            way.set_text(f"{name} ({key})")
            way.props["href"] = to
            way.update()
        way.set_visibility(bool(to))
        says.set_visibility(not to)
        says.set_text(f"no {name} one" if search.ended else f"{name} ({key}): {search.place:,} searched …")

    def go() -> None:
        if to:
            ui.navigate.to(to)
        elif not search.ended:
            ui.notify(f"The search for the {name} one is still going on")

    _search_on(search, 1, found)
    return go


_NAMES = {"k": "previous", "j": "next"}
