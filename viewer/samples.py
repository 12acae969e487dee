"""The table of samples. What it shows stands in its address, so that a link shows the same."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any, get_args

from fastapi import Request
from nicegui import ui

from ledger import browse
from ledger.browse import Filter, Found, Order
from ledger.decisions import CHOICES, Choice, Decision, Decisions, on_file
from ledger.ledger import Status
from samples.sample import Sample
from viewer.frame import choice, frame, turning
from viewer.run import Run
from viewer.words import outcome_tags

SIZE = 50
"""Rows of a page."""

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
        return self.run.address(f"/sample/{position}", {"of": mode, **self.values(), "begin": None, **more})


def add(run: Run) -> None:
    """Adds the page."""

    @ui.page(run.address("/samples"), title=f"Samples · {run.name}", response_timeout=30)
    async def samples(request: Request) -> None:
        view = View.read(run, request.query_params)

        def look() -> browse.Page:
            return browse.page(
                run.ledger, view.wanted, view.order, down=view.down, begin=view.begin, size=SIZE
            )

        page, reasons = await asyncio.gather(
            asyncio.to_thread(look),
            asyncio.to_thread(browse.reasons, run.ledger),
        )
        decided = await asyncio.to_thread(on_file, run.ledger, {hit.sample.position for hit in page.found})
        with frame(run, "/samples"):
            _filters(view, reasons)
            _where(view, page)
            if page.found:
                table = _table(view, page.found, decided)
                ui.html(table, sanitize=False).classes("w-full overflow-x-auto")
            _turning(view, page)


def _filters(view: View, reasons: dict[str, int]) -> None:
    wanted = view.wanted

    def go(**changes: Any) -> None:
        ui.navigate.to(view.link(**changes))

    with ui.row().classes("items-center w-full gap-2"):
        search = ui.input("Search in requests and responses", value=wanted.text).classes("w-60")
        search.props("dense outlined clearable").on("keydown.enter", lambda: go(text=search.value or ""))
        search.on("clear", lambda: go(text=""))
        choice("Mode", {"": "all", **{m: m for m in view.run.modes}}, wanted.mode, lambda v: go(mode=v))
        status = {"": "all", **{s: s for s in get_args(Status)}}
        choice("Outcome", status, wanted.status, lambda v: go(status=v, reason=""))
        if reasons:
            why = {"": "all", **{name: f"{name[:60]} ({count:,})" for name, count in reasons.items()}}
            choice("Reason", why, wanted.reason, lambda v: go(reason=v))
        rounds = {"": "all"} | {
            str(n): str(n) for n in range(int(view.run.made_by["settings"]["max_rounds"]) + 1)
        }
        accepted = "" if wanted.accepted is None else str(wanted.accepted)
        rounds |= {accepted: accepted or "all"}
        choice("Accepted rounds", rounds, accepted, lambda v: go(accepted=v))
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


def _where(view: View, page: browse.Page) -> None:
    if view.wanted.text:
        says = f"{len(page.found):,} found in results {page.begin + 1:,} to {page.end:,} of {page.total:,}"
        if not page.total:
            says = "nothing to search"
    elif not page.found:
        says = "no results yet" if view == View(view.run, Filter()) else "nothing matches"
    else:
        says = f"{page.begin + 1:,} to {page.end:,} of {page.total:,}"
    ui.label(says).classes("faint small where")


def _turning(view: View, page: browse.Page) -> None:
    if not view.wanted.text:
        turning(page.begin, page.end, page.total, SIZE, lambda begin: view.link(begin=begin))
        return
    with ui.row().classes("gap-4"):
        if page.begin:
            # Where a search before this one began cannot be told from here; its beginning can.
            ui.link("← to the beginning", view.link())
        if page.end < page.total:
            ui.link("search on →", view.link(begin=page.end))


def _table(view: View, found: list[Found], decided: Decisions) -> str:
    head = (
        "<tr><th>Id</th><th>Mode</th><th>Request</th><th>Outcome</th><th class=number>Exchanges</th>"
        "<th class=number>Tokens, old → new</th><th class=number>Growth</th></tr>"
    )
    rows = "".join(_row(view, hit, decided.get(hit.key, {})) for hit in found)
    return f"<table class=data>{head}{rows}</table>"


def _row(view: View, found: Found, decided: Mapping[int, Decision]) -> str:
    sample, result = found.sample, found.result
    link = escape(replace(view, begin=0).sample_link(found.key))
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
