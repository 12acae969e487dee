"""The table of samples. Its address holds what it shows, so that a link shows the same."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import quote

from fastapi import Request
from nicegui import app as pages
from nicegui import ui
from starlette.responses import StreamingResponse

from ledger import browse
from ledger.browse import Filter, ResultRow
from ledger.decisions import Decisions, Reviews, load_reviews, of_reviewer, reviewers
from ledger.ledger import Status
from ledger.search import Search
from reporting import labels
from reporting.labels import DECISION_FILTERS, ENDINGS, JUDGING, failure_label
from reporting.run import Run
from reporting.snapshot import state
from samples.fields import plural
from viewer.drafts import result_of
from viewer.frame import choice, frame
from viewer.paging import SIZE, page_begin, page_links
from viewer.results_table import COLUMNS, decision_tags
from viewer.results_table import table as results_table
from viewer.reviewer import reviewer_in, this_reviewer
from viewer.run import RunPages
from viewer.samples_query import SamplesQuery
from viewer.search import first_hits, search_field, search_results

REFRESH = 3.0
"""Seconds between two checks for new results."""


Records = Callable[[Run, str, Iterator[ResultRow], Decisions], Iterator[str]]
"""Returns the records of results of a mode as `coevol export` writes them, as JSON lines; these decisions are
followed."""


def add(run: RunPages, records: Records) -> None:
    """Add the page, and the file of what its filters select."""

    @ui.page(run.address("/samples"), title=f"Samples · {run.name}", response_timeout=30)
    async def samples(request: Request) -> None:
        view = SamplesQuery.read(run, request.query_params)
        reasons, accepted, people = await asyncio.gather(
            asyncio.to_thread(browse.reasons, run.ledger),
            asyncio.to_thread(browse.accepted, run.ledger, view.wanted.mode),
            asyncio.to_thread(reviewers, run.ledger),
        )
        people += [name for name in (reviewer_in(request.cookies),) if name and name not in people]
        with frame(run, "/samples"):
            if ignored := view.ignored(request.query_params):
                asked = labels.shorten(", ".join(ignored), 200)
                ui.label(f"No such filter, left out here: {asked}").classes("ignored").props("dir=auto")
            filters = ui.row().classes("items-center w-full filters")
            page = ResultsPart(view)
            with filters:
                _filters(page, reasons, accepted, people)
        await page.show()

    @pages.get(run.address("/selection.jsonl"))
    def selection(request: Request) -> StreamingResponse:
        view = SamplesQuery.read(run, request.query_params)
        mode = view.wanted.mode if view.wanted.mode in run.modes else run.modes[-1]
        view = replace(view, wanted=replace(view.wanted, mode=mode))
        by_people = "by_user" in request.query_params
        reviews = load_reviews(run.ledger) if by_people else {}
        lines = records(run, mode, view.results(), _decisions(view, reviews))
        name = quote(f"{run.name}.{mode}.jsonl", safe="", errors="replace")
        attached = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return StreamingResponse(lines, media_type="application/jsonl", headers=attached)


class ResultsPart:
    """The part of the page that changes while the user types, chooses columns, or the run goes on."""

    def __init__(self, view: SamplesQuery) -> None:
        self.view = view
        self._shown: object = None
        with ui.element("div").classes("w-full results-part"):
            with ui.row().classes("gap-1 results-tools"):
                _columns(self)
                _export(self)
            self._part = ui.column().classes("w-full gap-2")
        ui.timer(REFRESH, self._follow, immediate=False)

    async def change(self, **changes: Any) -> None:
        """Show what another address asks for, and make it the address."""
        self.view = self.view.changed(**changes)
        ui.navigate.history.replace(self.view.link(begin=self.view.begin or None))
        await self.show()

    async def show(self) -> None:
        """Show the page of the table that the address asks for."""
        view = self.view
        shown = await asyncio.to_thread(state, view.run.ledger)
        build = await _rows(view)
        if view is not self.view or self._part.is_deleted:  # something else was typed meanwhile
            return
        self._shown = shown
        self._part.clear()
        with self._part:
            build()

    async def _follow(self) -> None:
        # A search goes on by itself, and its hits stay where they are.
        if self.view.wanted.is_searched:
            return
        # This is faster than counting the results that match a filter.
        if await asyncio.to_thread(state, self.view.run.ledger) != self._shown:
            await self.show()


def _columns(page: ResultsPart) -> None:
    async def choose() -> None:
        await page.change(columns=",".join(name for name, box in boxes.items() if box.value) or "id")

    with _menu("Columns", "view_column"):
        boxes = {
            name: ui.checkbox(column.name, value=name in page.view.columns, on_change=choose)
            for name, column in COLUMNS.items()
        }
        for box in boxes.values():
            box.props("dense")


def _export(page: ResultsPart) -> None:
    def fill() -> None:
        run, wanted = page.view.run, page.view.wanted
        mode = wanted.mode if wanted.mode in run.modes else run.modes[-1]
        values = {**page.view.values(), "begin": None, "columns": None}
        links.clear()
        with links:
            ui.label(f"What the filters select, in mode {mode}, as JSON lines").classes("faint small")
            people = "people decided (the latest counts)"
            if reviewer := wanted.reviewer:
                people = f"{labels.shorten(reviewer, 40)} decided, where they did"
            for name, by_user in (("as the judge decided", False), (f"as {people}", True)):
                address = run.address("/selection.jsonl", {**values, "by_user": by_user})
                ui.link(name, address).props("download").classes("selection")

    links = _menu("Export", "download", fill)


def _menu(name: str, icon: str, opened: Callable[[], None] | None = None) -> ui.column:
    """Show a button with a menu, whose content goes into the returned column."""
    with ui.button(name, icon=icon, on_click=opened).props("flat dense no-caps"), ui.menu():
        return ui.column().classes("p-3 gap-1")


def _filters(
    page: ResultsPart, reasons: Mapping[str, int], accepted: Mapping[int, int], people: Sequence[str]
) -> None:
    view = page.view
    wanted = view.wanted

    def go(**changes: Any) -> None:
        # The text in the field counts even if it has not been searched for yet.
        ui.navigate.to(page.view.link(**{"text": search.value or "", **changes}))

    search = search_field(wanted.text, go, lambda text: page.change(text=text, begin=None))
    if len(view.run.modes) > 1:
        choice("Mode", {"": "all", **{m: m for m in view.run.modes}}, wanted.mode, lambda v: go(mode=v))
    status = {"": "all", **{s: s for s in get_args(Status)}}
    choice("Outcome", status, wanted.status, lambda v: go(status=v, reason=""))
    if reasons:
        why = {name: f"{failure_label(name)[:60]} ({count:,})" for name, count in reasons.items()}
        choice("Reason", {"": "all", **why}, wanted.reason, lambda v: go(reason=v))
    counted = {str(n): f"{n}, in {plural(number, 'exchange')}" for n, number in accepted.items()}
    rounds = {"": "all", "changed": "changed", **counted}
    wanted_rounds = "changed" if wanted.changed else "" if wanted.accepted is None else str(wanted.accepted)
    rounds.setdefault(wanted_rounds, wanted_rounds)

    def choose_rounds(value: str) -> None:
        changed = value == "changed"
        go(accepted="" if changed else value, changed=changed)

    choice("Accepted rounds", rounds, wanted_rounds, choose_rounds)
    choice("Decision", {"": "all", **DECISION_FILTERS}, wanted.decided, lambda v: go(decided=v))
    if people:
        names = {"": "all", **{name: labels.shorten(name, 40) for name in people}}
        choice("Reviewer", names, wanted.reviewer, lambda v: go(reviewer=v))
    for name, label in (("contradict", "verdicts contradict"), ("grew", "grew more than 2×")):
        box = ui.checkbox(label, value=getattr(wanted, name)).props("dense").classes("small")
        box.on_value_change(lambda event, name=name: go(**{name: event.value}))


def _chart_filters(view: SamplesQuery) -> None:
    """Show the filters that charts lead to, each with a way to leave it out."""
    wanted = view.wanted
    shown = {
        "old_length": f"old responses of {wanted.old_length} tokens",
        "new_length": f"new responses of {wanted.new_length} tokens",
        "ending": ENDINGS.get(wanted.ending, ""),
        "orders": JUDGING.get(wanted.orders, ""),
    }
    for name, label in shown.items():
        if getattr(wanted, name):
            link = ui.link(f"{label} ✕", view.link(**{name: ""})).classes("tag here chart-filter")
            link.props(f'aria-label="{label}: leave this filter out"')


async def _rows(view: SamplesQuery) -> Callable[[], None]:
    """Return a function that builds this page of the table."""
    ledger, wanted, order = view.run.ledger, view.wanted, view.order
    total = await asyncio.to_thread(browse.count, ledger, wanted) if view.begin or wanted.is_searched else 0
    view = replace(view, begin=page_begin(view.begin, total))
    begin = view.begin
    if wanted.is_searched:
        search = view.search(begin=begin)
        found = await first_hits(search)
        return lambda: _hits(view, search, found, total)
    page = await asyncio.to_thread(browse.page, ledger, wanted, order, down=view.down, begin=begin, size=SIZE)
    decided = await asyncio.to_thread(_decisions_on, view, page.found)
    left = await asyncio.to_thread(browse.count, ledger, replace(wanted, decided="some"))
    return lambda: _page(view, page, decided, left)


def _decisions_on(view: SamplesQuery, found: Sequence[ResultRow]) -> Decisions:
    return _decisions(view, load_reviews(view.run.ledger, {hit.sample.position for hit in found}))


def _decisions(view: SamplesQuery, reviews: Reviews) -> Decisions:
    """Return those that the address is about: a reviewer's, or those that count."""
    return {key: of_reviewer(by, view.wanted.reviewer) for key, by in reviews.items()}


def _hits(view: SamplesQuery, search: Search[ResultRow], found: Sequence[ResultRow], total: int) -> None:
    _chart_filters(view)
    search_results(
        search,
        found,
        begin=view.begin,
        total=total,
        table=lambda found: _table(view, found, _decisions_on(view, found)),
        link=lambda begin: view.link(begin=begin),
    )


def _page(view: SamplesQuery, page: browse.ResultsPage, decided: Decisions, left: int) -> None:
    where = f"{page.begin + 1:,} to {page.end:,} of {page.total:,}"
    if not page.found:
        where = "no results yet" if view.wanted == Filter() and not page.total else "nothing matches"
    with ui.row().classes("gap-3 faint small"):
        ui.label(where).classes("where")
        if page.found:
            by = f" by {view.wanted.reviewer}" if view.wanted.reviewer else ""
            ui.link(f"{left:,} left undecided{by}", view.link(decided="some")).classes("undecided")
        _chart_filters(view)
    if page.found:
        table = ui.html(_table(view, page.found, decided), sanitize=False)
        table.classes("w-full overflow-x-auto")
    page_links(page.begin, page.end, page.total, lambda begin: view.link(begin=begin))


def _table(view: SamplesQuery, found: Sequence[ResultRow], decided: Decisions) -> str:
    positions = [row.sample.position for row in found]
    drafts = view.run.drafts.of(this_reviewer(), positions)
    tags = {result_of(place): draft.tag for place, draft in drafts.items()}
    return results_table(
        view.columns,
        view.sorted_by,
        found,
        lambda row: view.sample_link(row.sample, row.result.mode),
        lambda row: decision_tags(decided.get(row.key, {})) + tags.get(row.key, ""),
        view.wanted.text,
    )
