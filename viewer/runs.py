"""The list of the runs of a folder, and the pages of those that are opened from it."""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from nicegui import ui
from starlette.responses import RedirectResponse

from ledger.ledger import LedgerError
from reporting.comparison_table import open_both
from reporting.headline import progress
from reporting.labels import dollars
from reporting.manifest import FILE, RunError, endpoints
from reporting.run import LEDGER, is_at_work, is_run, open_run
from reporting.snapshot import Snapshot, snapshot
from samples.fields import percent
from viewer.frame import RUNS, frame, missing_page
from viewer.paging import SIZE, page_begin, page_links
from viewer.run import RunPages, address, number_in, run_pages

MOST = 10_000
"""Folders that are looked at."""

PAUSE = 10
"""The pause after the folders were listed, as a multiple of its time."""

REFRESH = 3.0
"""Seconds between two looks at the runs of a page."""

PATIENCE = 0.5
"""Seconds that a page waits for the numbers of its runs."""

OPENED = "/run/"
"""Where the pages of opened runs begin."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the list says of a run."""

    models: str = ""
    modes: str = ""
    created: str = ""
    finished: int = 0
    expected: int = 0
    changed: str = ""
    """The share of changed responses."""
    cost: str = ""
    why: str = ""
    """Why it cannot be read; empty where it can."""


class RunsFolder:
    """The folders of a folder, and what is known of the runs in them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []
        self._not_before = 0.0
        self._rows: OrderedDict[str, tuple[object, RunRow]] = OrderedDict()

    def names(self, *, now: bool = False) -> list[str]:
        """Return the folders, that in which something was written last first: as of now, or of late.

        Raises:
            RunError: they cannot be listed.
        """
        began = time.monotonic()
        if not now and began < self._not_before:
            return self._names
        try:
            with os.scandir(self.path) as found:
                folders = [each.name for each in islice(found, MOST) if _is_shown(each)]
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}") from None
        self._names = sorted(folders, key=lambda name: (-_last_change(self.path / name), name))
        self._not_before = time.monotonic() + PAUSE * (time.monotonic() - began)
        return self._names

    def known(self, name: str) -> RunRow | None:
        """Return what is known of a run, also if it may have changed since."""
        return self._rows[name][1] if name in self._rows else None

    def look(self, name: str) -> None:
        """Read a run, unless it is as it was when it was last read."""
        changed = _changes(self.path / name)
        if name in self._rows and self._rows[name][0] == changed:
            return
        self._rows[name] = changed, _row(self.path / name)
        self._rows.move_to_end(name)
        while len(self._rows) > MOST:
            self._rows.popitem(last=False)


def slug(name: str) -> str:
    """Return the name of a run as it is in addresses: without special characters, and as unique."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60]
    return plain if plain == name else f"{plain}~{sha256(os.fsencode(name)).hexdigest()[:10]}"


_SLUG = re.compile(r"[A-Za-z0-9_~-]{1,80}")


def _is_shown(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:
        return False


_WRITTEN = (FILE, LEDGER, f"{LEDGER}-wal")


def _changes(folder: Path) -> object:
    """Return a value that changes with what is written into a run."""
    return [_time(folder / name) for name in _WRITTEN]


def _last_change(folder: Path) -> float:
    return max(map(_time, (folder / name for name in _WRITTEN)), default=0.0)


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _row(folder: Path) -> RunRow:
    try:
        run = open_run(folder, upgrades=False)
        numbers = snapshot(run)
    except (RunError, LedgerError) as error:
        return RunRow(why=str(error).replace(f"{folder} is", "is").replace(f"{folder}{os.sep}", ""))
    except Exception as error:  # whatever it is that a stranger's folder holds
        return RunRow(why=f"cannot be read: {type(error).__name__}")
    finished, expected = progress(numbers, run)
    return RunRow(
        models=", ".join(dict.fromkeys(each.model.rstrip(":") for each in endpoints(run.manifest).values())),
        modes=", ".join(run.modes),
        created=run.manifest["created"][:16].replace("T", " "),
        finished=finished,
        expected=expected,
        changed=_changed(numbers),
        cost=dollars(numbers.summary["calls"]["total"]),
    )


def _changed(numbers: Snapshot) -> str:
    modes = {mode: found for mode, found in numbers.statistics.modes.items() if found.exchanges}
    shares = {mode: percent(found.changed_exchanges / found.exchanges) for mode, found in modes.items()}
    if len(shares) > 1:
        return ", ".join(f"{mode} {share}" for mode, share in shares.items())
    return "".join(shares.values())


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
            return missing_page(request, [], str(error))
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{path}{'' if path != base else '/'}{query}", 307)

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
            self._first_name = next((name for name in names if slug(name) == self._first), self._first)
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
            if self._first:
                first = ui.label(f"Compare {_shown(self._first_name)} with another one:")
                first.classes("first").props("dir=auto")
                ui.link("leave it", self._link(**{"with": ""}))
        if shown:
            head = ("Run", "Models", "Modes", "Begun (UTC)", "Results", "Changed", "Cost", "")
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
            f"<td class=words>{escape(_shown(found.models))}</td><td>{escape(found.modes)}</td>"
            f"<td>{escape(found.created)}</td><td class=number>{state}</td>"
            f"<td class=number>{escape(found.changed)}</td><td class=number>{escape(found.cost)}</td>"
            f"<td>{link}</td></tr>"
        )


def _shown(text: str) -> str:
    """Return a text that a page can hold: names of files may not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()[:300]
