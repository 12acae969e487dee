"""Searches that continue while a page is open and shows the hits so far."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from nicegui import ui

from ledger.search import Search
from viewer.frame import keys
from viewer.paging import SIZE

Hit = TypeVar("Hit")

FIRST_WAIT = 0.4
"""Seconds that a page waits for the first hits."""

TYPING = 250
"""Milliseconds after the last key until a text is searched for."""

PAUSE = 0.02
"""Seconds between two parts of a search, so that other requests are answered."""


def search_field(
    text: str, go: Callable[..., None], typed: Callable[[str], Awaitable[None]] | None = None
) -> ui.input:
    """Show the search field; `go` navigates to the hits, with the text in the field or a given `text`.

    With `typed`, hits are shown while the user types, and `go` is not needed.
    """
    field = ui.input("Search in requests and responses", value=text).classes("w-60 search")
    field.props(f"dense outlined clearable {f'debounce={TYPING}' if typed else ''}")
    if typed:
        field.on_value_change(lambda event: typed(event.value or ""))
    else:
        field.on("keydown.enter", lambda: go()).on("clear", lambda: go(text=""))
    return field


async def first_hits(search: Search[Hit]) -> list[Hit]:
    """Return the hits of a search in the time that a page waits for it."""
    return await asyncio.to_thread(search.find, SIZE, FIRST_WAIT)


def search_results(
    search: Search[Hit],
    found: Sequence[Hit],
    *,
    begin: int,
    total: int,
    table: Callable[[Sequence[Hit]], str],
    link: Callable[[int | None], str],
) -> None:
    """Show the hits of a search from position `begin` among `total` results, and continue it.

    It stops at `SIZE` rows, with a link to continue from there.
    """
    rows = list(found)
    where = ui.label().classes("faint small where")
    shown = ui.html("", sanitize=False).classes("w-full overflow-x-auto")
    with ui.row().classes("gap-4"):
        if begin:
            # Where the previous search began is unknown.
            ui.link("← to the beginning", link(None))
        next_part = ui.link("continue the search →", "").classes("search-on")

    def update() -> None:
        text = f"{len(rows):,} found in results {begin + 1:,} to {search.position:,} of {total:,}"
        if not total:
            text = "nothing to search"
        elif len(rows) < SIZE and not search.ended:
            text += ": searching …"
        where.set_text(text)
        next_part.props["href"] = link(search.position)
        next_part.update()
        next_part.set_visibility(len(rows) == SIZE and search.position < total)

    def more(hits: list[Hit]) -> None:
        if where.is_deleted:  # another text was typed meanwhile
            return
        rows.extend(hits)
        if hits or search.ended:
            shown.set_content(table(rows) if rows else "")
        update()

    def sooner(hits: list[Hit]) -> None:
        # They may be others than the first in order, which take their place.
        if hits and not where.is_deleted:
            shown.set_content(table(hits))

    if rows:
        shown.set_content(table(rows))
    update()
    if len(rows) < SIZE and not search.ended:
        _continue(search, SIZE - len(rows), more, None if rows or begin else sooner)


def _continue(
    search: Search[Hit],
    limit: int,
    found: Callable[[list[Hit]], None],
    early: Callable[[list[Hit]], None] | None = None,
) -> None:
    """Continue until `limit` hits, the end or the closing of the page; `found` receives new hits, `early`
    before the first of them those that are known already."""
    left = limit

    async def find() -> None:
        nonlocal left
        if not timer.client.has_socket_connection:  # the page was left, or may come back
            return
        hits = await asyncio.to_thread(search.find, left)
        if early and left == limit and not hits and not search.ended:
            early(await asyncio.to_thread(search.early, limit))
        left -= len(hits)
        if search.ended or not left:
            timer.cancel()
        found(hits)

    timer = ui.timer(PAUSE, find)


def neighbors(links: Mapping[str, str]) -> None:
    """Show links to the previous sample (key k) and the next one (key j); empty where there is none."""
    for key, name in _NAMES.items():
        if links[key]:
            ui.link(f"{name} ({key})", links[key]).classes(name)
    keys({key: lambda link=link: ui.navigate.to(link) for key, link in links.items() if link})  # type: ignore[misc]


def search_neighbors(searches: Mapping[str, Search[Hit]], link: Callable[[Hit], str]) -> None:
    """Show the same links for searches back and forth; until these find something, their progress."""
    keys({key: _search_neighbor(key, name, searches[key], link) for key, name in _NAMES.items()})


def _search_neighbor(
    key: str, name: str, search: Search[Hit], link: Callable[[Hit], str]
) -> Callable[[], None]:
    with ui.row().classes("gap-0"):
        neighbor = ui.link("", "").classes(name)
        progress = ui.label(f"{name} ({key}): searching …").classes(f"faint small {name}-searched")
    neighbor.set_visibility(False)
    to = ""

    def found(hits: list[Hit]) -> None:
        nonlocal to
        for hit in hits:
            to = link(hit)
            neighbor.set_text(f"{name} ({key})")
            neighbor.props["href"] = to
            neighbor.update()
        neighbor.set_visibility(bool(to))
        progress.set_visibility(not to)
        progress.set_text(
            f"no {name} one" if search.ended else f"{name} ({key}): {search.position:,} searched …"
        )

    def go() -> None:
        if to:
            ui.navigate.to(to)
        elif not search.ended:
            ui.notify(f"Still searching for the {name} one")

    _continue(search, 1, found)
    return go


_NAMES = {"k": "previous", "j": "next"}
