"""The table of samples. Its address holds what it shows, so that a link shows the same."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any, get_args

from fastapi import Request
from nicegui import ui

from ledger import browse
from ledger.browse import Filter, ResultRow, SortKey
from ledger.decisions import FILTERS, Decision, DecisionFilter, Decisions, load_decisions
from ledger.ledger import Status
from reporting import html_tags
from reporting.labels import DECISION_FILTERS, ENDINGS, JUDGING, failure_label
from reporting.snapshot import state
from samples.fields import plural
from samples.sample import Sample
from viewer.frame import choice, frame, page_links
from viewer.run import RunPages, number_in, sample_path
from viewer.search import first_hits, search_field, search_results

SIZE = 50
"""Rows of a page."""

_LENGTH = re.compile(r"[0-9]{1,9}-[0-9]{0,9}")

REFRESH = 3.0
"""Seconds between two checks for new results."""

SORT_LABELS: dict[SortKey, str] = {
    "position": "position in the data",
    "accepted": "accepted rounds",
    "growth": "growth",
    "length": "length of the new response",
}


@dataclass(frozen=True, slots=True)
class SamplesQuery:
    """What an address of the table asks for."""

    run: RunPages
    wanted: Filter
    order: SortKey = "position"
    down: bool = False
    begin: int = 0

    @classmethod
    def read(cls, run: RunPages, query: Any) -> "SamplesQuery":
        """Read an address; invalid values count as not given."""
        order = query.get("order")
        decided = query.get("decided")
        lengths = {name: query.get(name, "") for name in ("old_length", "new_length")}
        return cls(
            run,
            Filter(
                mode=query.get("mode", ""),
                status=query.get("status", ""),
                reason=query.get("reason", ""),
                accepted=number_in(query.get("accepted", "")),
                contradict="contradict" in query,
                grew="grew" in query,
                decided=decided if decided in FILTERS else "",
                ending=query.get("ending", "") if query.get("ending") in ENDINGS else "",
                orders=query.get("orders", "") if query.get("orders") in JUDGING else "",
                **{name: given for name, given in lengths.items() if _LENGTH.fullmatch(given)},
                text=query.get("text", ""),
            ),
            order=order if order in browse.SORT_KEYS else "position",
            down="down" in query,
            begin=number_in(query.get("begin", "")) or 0,
        )

    def values(self) -> dict[str, object]:
        """Return the values of the address."""
        order = "" if self.order == "position" else self.order
        return {**asdict(self.wanted), "order": order, "down": self.down, "begin": self.begin or None}

    def link(self, **changes: Any) -> str:
        """Return the address of the table with changed values, from its first row."""
        return self.run.address("/samples", {**self.values(), "begin": None, **changes})

    def sample_link(self, sample: Sample, mode: str, **more: object) -> str:
        """Return the address of a sample, with a way back here."""
        path, named = sample_path(sample)
        return self.run.address(path, {**named, "of": mode, **self.values(), **more})


def add(run: RunPages) -> None:
    """Add the page."""

    @ui.page(run.address("/samples"), title=f"Samples · {run.name}", response_timeout=30)
    async def samples(request: Request) -> None:
        view = SamplesQuery.read(run, request.query_params)

        reasons, accepted, rows = await asyncio.gather(
            asyncio.to_thread(browse.reasons, run.ledger),
            asyncio.to_thread(browse.accepted, run.ledger, view.wanted.mode),
            _rows(view),
        )
        with frame(run, "/samples"):
            _filters(view, reasons, accepted)
            rows()


def _filters(view: SamplesQuery, reasons: Mapping[str, int], accepted: Mapping[int, int]) -> None:
    wanted = view.wanted

    def go(**changes: Any) -> None:
        # The text in the field counts even if another filter is chosen before it is submitted.
        ui.navigate.to(view.link(**{"text": search.value or "", **changes}))

    with ui.row().classes("items-center w-full gap-2"):
        search = search_field(wanted.text, go)
        choice("Mode", {"": "all", **{m: m for m in view.run.modes}}, wanted.mode, lambda v: go(mode=v))
        status = {"": "all", **{s: s for s in get_args(Status)}}
        choice("Outcome", status, wanted.status, lambda v: go(status=v, reason=""))
        if reasons:
            why = {
                "": "all",
                **{name: f"{failure_label(name)[:60]} ({count:,})" for name, count in reasons.items()},
            }
            choice("Reason", why, wanted.reason, lambda v: go(reason=v))
        counted = {str(n): f"{n}, in {plural(number, 'exchange')}" for n, number in accepted.items()}
        rounds = {"": "all", **counted}
        wanted_rounds = "" if wanted.accepted is None else str(wanted.accepted)
        rounds.setdefault(wanted_rounds, wanted_rounds)
        choice("Accepted rounds", rounds, wanted_rounds, lambda v: go(accepted=v))
        ui.checkbox("verdicts contradict", value=wanted.contradict).on_value_change(
            lambda event: go(contradict=event.value)
        )
        ui.checkbox("grew more than 2×", value=wanted.grew).on_value_change(
            lambda event: go(grew=event.value)
        )
        choice("Decision", {"": "all", **DECISION_FILTERS}, wanted.decided, lambda v: go(decided=v))
        _chart_filters(view)
        with ui.row().classes("items-center no-wrap gap-1"):
            choice("Order", SORT_LABELS, view.order, lambda v: go(order=v, down=v != "position"))
            arrow, hint = ("south", "largest first") if view.down else ("north", "smallest first")
            ui.button(icon=arrow, on_click=lambda: go(down=not view.down)).props("flat dense").tooltip(hint)


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
    ledger, wanted, order, begin = view.run.ledger, view.wanted, view.order, view.begin
    if wanted.is_searched:
        search = browse.search(ledger, wanted, order, down=view.down, begin=begin)
        found = await first_hits(search, SIZE)
        total = await asyncio.to_thread(browse.count, ledger, wanted)
        return lambda: search_results(
            search,
            found,
            SIZE,
            begin=begin,
            total=total,
            table=lambda found: _table(view, found, _decisions(view, found)),
            link=lambda begin: view.link(begin=begin),
        )
    page = await asyncio.to_thread(browse.page, ledger, wanted, order, down=view.down, begin=begin, size=SIZE)
    decided = await asyncio.to_thread(_decisions, view, page.found)
    left = await asyncio.to_thread(browse.count, ledger, replace(wanted, decided="some"))
    return lambda: _page(view, page, decided, left)


def _decisions(view: SamplesQuery, found: Sequence[ResultRow]) -> Decisions:
    return load_decisions(view.run.ledger, {hit.sample.position for hit in found})


def _page(view: SamplesQuery, page: browse.ResultsPage, decided: Decisions, left: int) -> None:
    where = f"{page.begin + 1:,} to {page.end:,} of {page.total:,}"
    if not page.found:
        where = "no results yet" if view == SamplesQuery(view.run, Filter()) else "nothing matches"
    with ui.row().classes("gap-3 faint small"):
        ui.label(where).classes("where")
        if page.found:
            ui.link(f"{left:,} left undecided", view.link(decided="some")).classes("undecided")
        _more_since(view, page.total)
    if page.found:
        ui.html(_table(view, page.found, decided), sanitize=False).classes("w-full overflow-x-auto")
    page_links(page.begin, page.end, page.total, SIZE, lambda begin: view.link(begin=begin))


def _more_since(view: SamplesQuery, shown: int) -> None:
    """Show when there are more results than in the table."""
    seen: object = None

    async def count() -> None:
        number = await asyncio.to_thread(browse.count, view.run.ledger, view.wanted)
        more.set_text(f"{number - shown:,} more since: reload" if number > shown else "")

    async def check() -> None:
        # This is faster than counting the results that match a filter.
        nonlocal seen
        now = await asyncio.to_thread(state, view.run.ledger)
        if seen is not None and now != seen:
            await count()
        seen = now

    more = ui.link("", view.link(begin=view.begin or None)).classes("more")
    ui.timer(REFRESH, check)


def _table(view: SamplesQuery, found: Sequence[ResultRow], decided: Decisions) -> str:
    head = (
        "<tr><th>Id</th><th>Mode</th><th>Request</th><th>Outcome</th><th class=number>Exchanges</th>"
        "<th class=number>Tokens, old → new</th><th class=number>Growth</th></tr>"
    )
    rows = "".join(_row(view, hit, decided.get(hit.key, {})) for hit in found)
    return f'<table class="data results">{head}{rows}</table>'


def _row(view: SamplesQuery, found: ResultRow, decided: Mapping[int, Decision]) -> str:
    sample, result = found.sample, found.result
    link = escape(view.sample_link(sample, result.mode))
    growth = f"{result.final_tokens / result.original_tokens:.2f}×" if result.original_tokens else "–"
    tokens = f"{result.original_tokens:,} → <span>{result.final_tokens:,}</span>" if result.exchanges else "–"
    return (
        f'<tr><td class=id><a href="{link}">{escape(sample.id)}</a></td><td>{escape(result.mode or "–")}</td>'
        f'<td class=excerpt dir=auto><a href="{link}">{escape(excerpt(sample))}</a></td>'
        f"<td>{html_tags.sample_outcome(result)}{_decision_tags(decided)}{_draft_tag(view, found.key)}</td>"
        f"<td class=number>{result.exchanges or '–'}</td>"
        f'<td class="number tokens">{tokens}</td>'
        f"<td class=number>{growth}</td></tr>"
    )


def _decision_tags(decided: Mapping[int, Decision]) -> str:
    kinds = Counter[DecisionFilter](each.kind if each.stands else "outdated" for each in decided.values())
    return "".join(
        f' <span class="tag user {kind}">✓ {DECISION_FILTERS[kind]}{f" {number}×" * (number > 1)}</span>'
        for kind, number in kinds.items()
    )


def _draft_tag(view: SamplesQuery, key: browse.ResultKey) -> str:
    written = any(
        place[:2] == key and draft.text is not None for place, draft in view.run.review.drafts.items()
    )
    return ' <span class="tag user">draft not saved</span>' if written else ""


def excerpt(sample: Sample) -> str:
    """Return the beginning of its first request, on one line."""
    request = " ".join(f"{e.instruction} {e.input}" for e in sample.exchanges[:1]) or "(no request)"
    return " ".join(request.split())[:160]
