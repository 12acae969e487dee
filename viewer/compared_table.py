"""The table of the samples that two sides share."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import NamedTuple

from nicegui import ui

from ledger.browse import ResultRow
from reporting.comparison import ComparedSample, Comparison
from reporting.comparison_table import GROWTH, PAIR_LABELS, subtracted
from reporting.labels import accepted as accepted_label
from reporting.result_pairs import PairSortKey, ResultPair
from samples.sample import Sample
from viewer.comparison_links import ComparisonQuery, Side
from viewer.frame import choice
from viewer.paging import SIZE, page_begin, page_links
from viewer.results_table import excerpt, marked, request_excerpt, shown_texts
from viewer.run import MAX_TEXT
from viewer.search import first_hits, search_field, search_results

SORT_LABELS: dict[PairSortKey, str] = {
    "position": "position in the data",
    "growth": "growth, B − A",
    "accepted": "accepted rounds, B − A",
}


class PairsPart:
    """The filters, and the table that changes while the user types."""

    def __init__(self, view: ComparisonQuery, compared: Comparison) -> None:
        self.view = view
        self._compared = compared
        _filters(self, compared)
        self._part = ui.column().classes("w-full gap-2")

    async def search(self, text: str) -> None:
        """Show the pairs with a text, and make that the address."""
        self.view = replace(self.view, text=text.strip()[:MAX_TEXT], begin=0)
        ui.navigate.history.replace(self.view.link())
        await self.show()

    async def show(self) -> None:
        """Show the page of the table that the address asks for."""
        view = self.view
        build = await _rows(view, self._compared)
        if view is not self.view or self._part.is_deleted:  # something else was typed meanwhile
            return
        self._part.clear()
        with self._part:
            build()


class _Row(NamedTuple):
    pair: ResultPair
    sample: Sample
    words: str
    """The request or, where that is not what was found, the words around it, as HTML."""


def _filters(page: PairsPart, compared: Comparison) -> None:
    view = page.view
    kinds = {kind: f"{name} ({compared.kinds[kind]:,})" for kind, name in PAIR_LABELS.items()}

    def go(**changes: object) -> None:
        # The text in the field counts even if another filter is chosen before it is searched for.
        ui.navigate.to(page.view.link(**{"text": search.value or "", **changes}))

    with ui.row().classes("items-center w-full gap-3"):
        search = search_field(view.text, go, page.search)
        choice("Samples", kinds, view.kind, lambda kind: go(kind=kind))
        choice("Order", SORT_LABELS, view.order, lambda order: go(order=order, down=order != "position"))
        arrow, hint = ("south", "largest first") if view.down else ("north", "smallest first")
        ui.button(icon=arrow, on_click=lambda: go(down=not view.down)).props(
            f'flat dense aria-label="{hint}"'
        ).tooltip(hint)


async def _rows(view: ComparisonQuery, compared: Comparison) -> Callable[[], None]:
    """Return a function that builds this page of the table."""
    total = compared.kinds[view.kind]
    view = replace(view, begin=page_begin(view.begin, total))
    begin = view.begin
    if view.text:
        search = view.search(compared, begin=begin)
        hits = await first_hits(search)
        return lambda: search_results(
            search,
            hits,
            begin=begin,
            total=total,
            table=lambda hits: _table(view, [_hit(hit, view.text) for hit in hits]),
            link=lambda begin: view.link(begin=begin),
        )
    found = await asyncio.to_thread(_page, view, compared)

    def build() -> None:
        where = f"{begin + 1:,} to {begin + len(found):,} of {total:,}" if found else "no samples"
        ui.label(where).classes("faint small where")
        if found:
            ui.html(_table(view, found), sanitize=False).classes("w-full overflow-x-auto")
        page_links(begin, begin + len(found), total, lambda begin: view.link(begin=begin))

    return build


def _page(view: ComparisonQuery, compared: Comparison) -> list[_Row]:
    pairs = compared.page(view.kind, view.order, down=view.down, begin=view.begin, size=SIZE)
    ledger = view.a.run.ledger
    samples = {sample.position: sample for sample, _ in ledger.samples_at({pair.position for pair in pairs})}
    found = ((pair, samples[pair.position]) for pair in pairs if pair.position in samples)
    return [_Row(pair, sample, request_excerpt(sample)) for pair, sample in found]


def _hit(hit: ComparedSample, text: str) -> _Row:
    one, other = (shown_texts(ResultRow(*side), text) for side in (hit.a, hit.b))
    words = excerpt(one["request"], text)
    if "<mark>" not in words:
        # What was found is in another text.
        texts: Mapping[str, str] = {"old response": one["old"], "A": one["new"], "B": other["new"]}
        found = ((name, excerpt(each, text)) for name, each in texts.items())
        where = next((f"{name}: {each}" for name, each in found if "<mark>" in each), "")
        words += f'<div class="faint small">{where}</div>' if where else ""
    return _Row(hit.pair, hit.a[0], words)


def _table(view: ComparisonQuery, found: Sequence[_Row]) -> str:
    head = (
        "<tr><th>Id</th><th>Request</th><th>A</th><th>B</th><th class=number>Growth of A</th>"
        "<th class=number>of B</th><th class=number>B − A</th><th></th></tr>"
    )
    return f"<table class=data>{head}{''.join(_row(view, row) for row in found)}</table>"


def _row(view: ComparisonQuery, row: _Row) -> str:
    pair, sample, words = row
    link = escape(view.pair_link(sample))
    growth_a, growth_b, more = subtracted(pair.growth_a, pair.growth_b, GROWTH)
    return (
        f'<tr><td class=id><a href="{link}">{marked(sample.id, view.text)}</a></td>'
        f'<td class=excerpt dir=auto><a href="{link}">{words}</a></td>'
        f"<td>{_outcome(view.a, pair.accepted_a, failed=pair.failed_a)}</td>"
        f"<td>{_outcome(view.b, pair.accepted_b, failed=pair.failed_b)}</td>"
        f"<td class=number>{growth_a}</td><td class=number>{growth_b}</td>"
        f"<td class=number>{more}</td>"
        f"<td class=faint>{'' if pair.differ else 'same text'}</td></tr>"
    )


def _outcome(side: Side, accepted: int, *, failed: bool) -> str:
    """Return the outcome of a sample on a side, as an HTML tag."""
    if failed:
        return '<span class="tag bad">failed</span>'
    word = accepted_label(accepted, side.mode)
    return f'<span class="tag good">{word}</span>' if accepted else "<span class=tag>kept</span>"
