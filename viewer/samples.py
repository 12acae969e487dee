"""The table of samples. What it shows stands in its address, so that a link shows the same."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, get_args

from fastapi import Request
from nicegui import ui

from ledger import browse
from ledger.browse import Filter, Found, Order
from ledger.decisions import CHOICES, Choice, Decision, Decisions, on_file
from ledger.ledger import Status
from reporting.labels import outcome_tags
from reporting.snapshot import state
from samples.sample import Sample
from viewer.frame import choice, frame, turning
from viewer.run import Run
from viewer.search import first_look, search_field, searched

SIZE = 50
"""Rows of a page."""

REFRESH = 3.0
"""Seconds between two looks for new results."""

ORDER_NAMES: dict[Order, str] = {
    "position": "place in the data",
    "accepted": "accepted rounds",
    "growth": "growth",
    "length": "length of the new response",
}

CHOICE_NAMES: Mapping[Choice, str] = {
    "all": "decided",
    "some": "left to decide",
    "accepted": "accepted",
    "rejected": "rejected",
    "chosen": "another draft chosen",
    "edited": "edited",
    "disagree": "person and judge disagree",
    "outdated": "on an earlier result",
}


@dataclass(frozen=True, slots=True)
class View:
    """What an address of the table asks for."""

    run: Run
    wanted: Filter
    order: Order = "position"
    down: bool = False
    begin: int = 0

    @classmethod
    def read(cls, run: Run, query: Any) -> "View":
        """What is in an address; values that make no sense count as not given."""
        order = query.get("order")
        accepted, begin = query.get("accepted", ""), query.get("begin", "")
        decided = query.get("decided")
        return cls(
            run,
            Filter(
                mode=query.get("mode", ""),
                status=query.get("status", ""),
                reason=query.get("reason", ""),
                accepted=int(accepted) if accepted.isdecimal() else None,
                contradict="contradict" in query,
                grew="grew" in query,
                decided=decided if decided in CHOICES else "",
                text=query.get("text", ""),
            ),
            order=order if order in browse.ORDERS else "position",
            down="down" in query,
            begin=int(begin) if begin.isdecimal() else 0,
        )

    def values(self) -> dict[str, object]:
        """The same as values of an address."""
        order = "" if self.order == "position" else self.order
        return {**asdict(self.wanted), "order": order, "down": self.down, "begin": self.begin or None}

    def link(self, **changes: Any) -> str:
        """The address of the table with some of it changed, from its beginning on."""
        return self.run.address("/samples", {**self.values(), "begin": None, **changes})

    def sample_link(self, key: browse.Key, **more: object) -> str:
        """The address of a sample that was reached from here."""
        position, mode = key
        return self.run.address(f"/sample/{position}", {"of": mode, **self.values(), **more})


def add(run: Run) -> None:
    """Adds the page."""

    @ui.page(run.address("/samples"), title=f"Samples · {run.name}", response_timeout=30)
    async def samples(request: Request) -> None:
        view = View.read(run, request.query_params)

        reasons, accepted, rows = await asyncio.gather(
            asyncio.to_thread(browse.reasons, run.ledger),
            asyncio.to_thread(browse.accepted, run.ledger, view.wanted.mode),
            _rows(view),
        )
        with frame(run, "/samples"):
            _filters(view, reasons, accepted)
            rows()


def _filters(view: View, reasons: Mapping[str, int], accepted: Mapping[int, int]) -> None:
    wanted = view.wanted

    def go(**changes: Any) -> None:
        # What is in the field counts, also where something else is chosen before it is sent off.
        ui.navigate.to(view.link(**{"text": search.value or "", **changes}))

    with ui.row().classes("items-center w-full gap-2"):
        search = search_field(wanted.text, go)
        choice("Mode", {"": "all", **{m: m for m in view.run.modes}}, wanted.mode, lambda v: go(mode=v))
        status = {"": "all", **{s: s for s in get_args(Status)}}
        choice("Outcome", status, wanted.status, lambda v: go(status=v, reason=""))
        if reasons:
            why = {"": "all", **{name: f"{name[:60]} ({count:,})" for name, count in reasons.items()}}
            choice("Reason", why, wanted.reason, lambda v: go(reason=v))
        counted = {
            str(n): f"{n}, in {number:,} exchange{'s' * (number != 1)}" for n, number in accepted.items()
        }
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
        choice("Decision", {"": "all", **CHOICE_NAMES}, wanted.decided, lambda v: go(decided=v))
        with ui.row().classes("items-center no-wrap gap-1"):
            choice("Order", ORDER_NAMES, view.order, lambda v: go(order=v, down=v != "position"))
            arrow, hint = ("south", "largest first") if view.down else ("north", "smallest first")
            ui.button(icon=arrow, on_click=lambda: go(down=not view.down)).props("flat dense").tooltip(hint)


async def _rows(view: View) -> Callable[[], None]:
    """What builds the part of the table that is wanted."""
    ledger, wanted, order, begin = view.run.ledger, view.wanted, view.order, view.begin
    if wanted.text:
        search = browse.search(ledger, wanted, order, down=view.down, begin=begin)
        found = await first_look(search, SIZE)
        total = await asyncio.to_thread(browse.count, ledger, wanted)
        return lambda: searched(
            search,
            found,
            SIZE,
            begin=begin,
            total=total,
            table=lambda found: _table(view, found, _decided(view, found)),
            link=lambda begin: view.link(begin=begin),
        )
    page = await asyncio.to_thread(browse.page, ledger, wanted, order, down=view.down, begin=begin, size=SIZE)
    decided = await asyncio.to_thread(_decided, view, page.found)
    return lambda: _page(view, page, decided)


def _decided(view: View, found: Sequence[Found]) -> Decisions:
    return on_file(view.run.ledger, {hit.sample.position for hit in found})


def _page(view: View, page: browse.Page, decided: Decisions) -> None:
    says = f"{page.begin + 1:,} to {page.end:,} of {page.total:,}"
    if not page.found:
        says = "no results yet" if view == View(view.run, Filter()) else "nothing matches"
    with ui.row().classes("gap-3 faint small"):
        ui.label(says).classes("where")
        _more_since(view, page.total)
    if page.found:
        ui.html(_table(view, page.found, decided), sanitize=False).classes("w-full overflow-x-auto")
    turning(page.begin, page.end, page.total, SIZE, lambda begin: view.link(begin=begin))


def _more_since(view: View, shown: int) -> None:
    """Says when there are more results than a table knows of."""

    seen: object = None

    async def look() -> None:
        number = await asyncio.to_thread(browse.count, view.run.ledger, view.wanted)
        more.set_text(f"{number - shown:,} more since: reload" if number > shown else "")

    async def if_anything_is_new() -> None:
        # Which is found more quickly than how many of the results a filter lets through.
        nonlocal seen
        now = await asyncio.to_thread(state, view.run.ledger)
        if seen is not None and now != seen:
            await look()
        seen = now

    more = ui.link("", view.link(begin=view.begin or None)).classes("more")
    ui.timer(REFRESH, if_anything_is_new)


def _table(view: View, found: Sequence[Found], decided: Decisions) -> str:
    head = (
        "<tr><th>Id</th><th>Mode</th><th>Request</th><th>Outcome</th><th class=number>Exchanges</th>"
        "<th class=number>Tokens, old → new</th><th class=number>Growth</th></tr>"
    )
    rows = "".join(_row(view, hit, decided.get(hit.key, {})) for hit in found)
    return f"<table class=data>{head}{rows}</table>"


def _row(view: View, found: Found, decided: Mapping[int, Decision]) -> str:
    sample, result = found.sample, found.result
    link = escape(view.sample_link(found.key))
    growth = f"{result.final_tokens / result.original_tokens:.2f}×" if result.original_tokens else "–"
    tokens = f"{result.original_tokens:,} → {result.final_tokens:,}" if result.exchanges else "–"
    return (
        f'<tr><td class=id><a href="{link}">{escape(sample.id)}</a></td><td>{escape(result.mode or "–")}</td>'
        f'<td class=excerpt dir=auto><a href="{link}">{escape(excerpt(sample))}</a></td>'
        f"<td>{outcome_tags(result)}{_decision_tags(decided)}</td>"
        f"<td class=number>{result.exchanges or '–'}</td>"
        f"<td class=number>{tokens}</td><td class=number>{growth}</td></tr>"
    )


def _decision_tags(decided: Mapping[int, Decision]) -> str:
    kinds = Counter[Choice](each.kind if each.stands else "outdated" for each in decided.values())
    return "".join(
        f' <span class="tag person {kind}">✓ {CHOICE_NAMES[kind]}{f" {number}×" if number > 1 else ""}</span>'
        for kind, number in kinds.items()
    )


def excerpt(sample: Sample) -> str:
    """The beginning of its first request, in one line."""
    request = " ".join(f"{e.instruction} {e.input}" for e in sample.exchanges[:1]) or "(no request)"
    return " ".join(request.split())[:160]
