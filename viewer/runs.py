"""The list of the runs of a folder, and the pages of those that are opened from it."""

import asyncio
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from fastapi import Request, Response
from nicegui import ui
from starlette.responses import RedirectResponse

from ledger.ledger import LedgerError
from reporting.comparison_table import open_both
from reporting.manifest import RunError
from reporting.run import is_at_work, is_run, open_run
from viewer.access import asked_path
from viewer.frame import RUNS, frame, missing_page
from viewer.paging import SIZE, page_begin, page_links
from viewer.run import RunPages, address, number_in, run_pages
from viewer.runs_folder import MOST, RunsFolder, slug

REFRESH = 3.0
"""Seconds between two looks at the runs of a page."""

PATIENCE = 0.5
"""Seconds that a page waits for the numbers of its runs."""

OPENED = "/run/"
"""Where the pages of opened runs begin."""

_SLUG = re.compile(r"[A-Za-z0-9_~-]{1,80}")


class OpenedRuns:
    """The runs whose pages there are. Each run, and each two, has pages from the first time it is opened."""

    def __init__(self, folder: RunsFolder, add_pages: Callable[[Sequence[RunPages]], None]) -> None:
        self._folder = folder
        self._add_pages = add_pages
        self._opened: dict[str, list[RunPages]] = {}
        self._opening = asyncio.Lock()

    async def missing(self, request: Request) -> Response:
        """Answer an address without a page: open the runs that it names, or say why not."""
        path = request.url.path
        base = OPENED + path.removeprefix(OPENED).partition("/")[0]
        if not path.startswith(OPENED) or base in self._opened:
            return missing_page(request, self._opened.get(base, []))
        try:
            async with self._opening:
                if base not in self._opened:
                    runs = await asyncio.to_thread(self._open, base.removeprefix(OPENED).split("+"))
                    self._opened[base] = run_pages(runs, base)
                    self._add_pages(self._opened[base])
        except (RunError, LedgerError) as error:
            return missing_page(request, [], str(error), title="Cannot be shown")
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{asked_path(request.scope)}{'' if path != base else '/'}{query}", 307)

    def _open(self, slugs: Sequence[str]) -> Sequence[Any]:
        by_slug = {slug(name): self._folder.path / name for name in self._folder.names(now=True)}
        if len(slugs) > 2 or (unknown := [each for each in slugs if each not in by_slug]):
            raise RunError(f"There is no run {unknown[0] if len(slugs) < 3 else '+'.join(slugs)} here.")
        folders = [by_slug[each] for each in slugs]
        return [open_run(folders[0])] if len(folders) == 1 else open_both(*folders)


def add(folder: RunsFolder) -> None:
    """Add the page."""

    @ui.page(RUNS, title=f"Runs · {folder.path.resolve().name}", response_timeout=30)
    async def runs(request: Request) -> None:
        begin = number_in(request.query_params.get("begin", "")) or 0
        part = RunsPart(
            folder, request.query_params.get("name", ""), begin, request.query_params.get("with", "")
        )
        await part.show()


class RunsPart:
    """A page of the list.

    Args:
        folder: the folders.
        name: a part of the names that are wanted.
        begin: the position of the first one.
        first: the one that another one is to be compared with, if any, as in addresses.
    """

    def __init__(self, folder: RunsFolder, name: str, begin: int, first: str) -> None:
        self._folder, self._name, self._begin = folder, name[:200], begin
        self._first = first if _SLUG.fullmatch(first) else ""
        self._first_name = self._first
        self._looking: asyncio.Task[None] | None = None
        with frame(None, RUNS):
            with ui.row().classes("items-center w-full gap-3"):
                field = ui.input("Find a run by its name", value=name, on_change=self._find)
                field.props("dense outlined clearable debounce=250").classes("w-60")
                ui.label(str(folder.path.resolve())).classes("faint small").props("dir=auto")
            self._part = ui.column().classes("w-full gap-2")
        ui.timer(REFRESH, self.show, immediate=False)

    async def show(self) -> None:
        """Show what is known of the runs, and read those that have changed."""
        try:
            names = await asyncio.to_thread(self._folder.names)
        except RunError as error:
            self._part.clear()
            with self._part:
                ui.label(str(error))
            return
        wanted = [name for name in names if self._name.strip().casefold() in name.casefold()]
        self._begin = page_begin(self._begin, len(wanted))
        if self._first:
            found = next((name for name in names if slug(name) == self._first), None)
            self._first_name = found or self._first
            self._first = self._first if found else ""
        shown = wanted[self._begin : self._begin + SIZE]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._look, shown))
        _, unread = await asyncio.wait([self._looking], timeout=PATIENCE)
        at_work = await asyncio.to_thread(
            lambda: {name for name in shown if is_at_work(self._folder.path / name)}
        )
        if self._part.is_deleted:
            return
        self._part.clear()
        with self._part:
            self._build(wanted, shown, at_work, len(names) == MOST)
            if unread:
                ui.timer(PATIENCE, self.show, once=True)

    def _look(self, names: Sequence[str]) -> None:
        for name in names:
            self._folder.look(name)

    async def _find(self, event: Any) -> None:
        self._name, self._begin = event.value or "", 0
        ui.navigate.history.replace(self._link())
        await self.show()

    def _link(self, **changes: Any) -> str:
        return address(
            RUNS, {"name": self._name, "with": self._first, "begin": self._begin or None, **changes}
        )

    def _build(self, wanted: Sequence[str], shown: Sequence[str], at_work: set[str], more: bool) -> None:
        where = (
            f"{self._begin + 1:,} to {self._begin + len(shown):,} of {len(wanted):,}" if shown else "no runs"
        )
        with ui.row().classes("gap-3 faint small"):
            ui.label(where + (f"; only {MOST:,} folders are looked at" if more else "")).classes("where")
            if self._first_name and not self._first:
                ui.label(f"There is no run {self._first_name} here.").classes("first")
            if self._first:
                first = ui.label(f"Compare {_shown(self._first_name)} with another one:")
                first.classes("first").props("dir=auto")
                ui.link("leave it", self._link(**{"with": ""}))
        if shown:
            head = ("Run", "Results", "Changed", "Cost", "Models", "Modes", "Begun (UTC)", "")
            numbers = ("Results", "Changed", "Cost")
            cells = "".join(
                f"<th scope=col{' class=number' * (each in numbers)}>{each}</th>" for each in head
            )
            rows = "".join(self._row(name, name in at_work) for name in shown)
            ui.html(
                f'<table class="data runs"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>',
                sanitize=False,
            ).classes("w-full overflow-x-auto")
        end = self._begin + len(shown)
        page_links(self._begin, end, len(wanted), lambda begin: self._link(begin=begin))

    def _row(self, name: str, is_at_work: bool) -> str:
        found, shown = self._folder.known(name), escape(_shown(name))
        if found is None:
            return f"<tr><td class=id dir=auto>{shown}</td><td colspan=7 class=faint>reading …</td></tr>"
        if found.why:
            opened = (
                f'<a href="{OPENED}{slug(name)}/">{shown}</a>' if is_run(self._folder.path / name) else shown
            )
            why = escape(_shown(found.why))
            return f"<tr><td class=id dir=auto>{opened}</td><td colspan=7 class=why>{why}</td></tr>"
        tag = ' <span class="tag user">at work</span>' if is_at_work else ""
        state = f"{found.finished:,} of {found.expected:,}{tag}"
        if self._first == slug(name):
            link = ""
        elif self._first:
            link = f'<a href="{OPENED}{escape(self._first)}+{slug(name)}/compare">with this one</a>'
        else:
            link = f'<a href="{escape(self._link(**{"with": slug(name)}))}">compare …</a>'
        return (
            f'<tr><td class=id dir=auto><a href="{OPENED}{slug(name)}/">{shown}</a></td>'
            f"<td class=number>{state}</td><td class=number>{escape(found.changed)}</td>"
            f"<td class=number>{escape(found.cost)}</td><td class=words>{escape(_shown(found.models))}</td>"
            f"<td>{escape(found.modes)}</td><td>{escape(found.created)}</td>"
            f"<td>{link}</td></tr>"
        )


def _shown(text: str) -> str:
    """Return a text that a page can hold: names of files may not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()[:300]
