"""Compares two sides: how they were made, their results, and the samples they share."""

import time
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from fastapi import Request
from nicegui import ui

from reporting import charts
from reporting.charts import Chart, Series
from reporting.common_samples import CommonNumbers, paired_sentence
from reporting.comparison import Comparison
from reporting.comparison_table import PAIR_LABELS, rows
from reporting.manifest import differences
from reporting.statistics import ModeStatistics
from reporting.theme import BLUE, GRAY, ORANGE
from samples.fields import plural
from viewer.compared_table import PairsPart
from viewer.comparison_links import ComparisonQuery, Side, Sides
from viewer.frame import COMPARE, choice, frame, tile
from viewer.overview import PATIENCE, REFRESH, chart

WAIT = 10.0
"""Seconds that a table waits for a comparison; that of a million samples takes as long."""


def add(sides: Sides) -> None:
    """Add the pages, including the table of pairs."""

    @ui.page(sides.base + COMPARE, response_timeout=30)
    async def compare(request: Request) -> None:
        view = ComparisonQuery.read(sides, request.query_params)
        a, b = view.a, view.b
        shown: list[object] = []

        async def refresh() -> None:
            compared = await sides.compared(a, b).latest(PATIENCE)
            numbers = await sides.numbers(a, b).latest(PATIENCE) if compared else None
            found = [compared, numbers]
            if compared is None or numbers is None or found == shown:
                return
            shown[:] = found
            panel.clear()
            with panel:
                _overview(view, compared, numbers)

        with frame(a.run, COMPARE):
            ui.page_title(f"Compare {view.names}")
            _choose(sides, view)
            panel = ui.column().classes("w-full gap-4 overview")
            with panel:
                ui.label("Comparing …").classes("faint")
        await refresh()
        ui.timer(REFRESH, refresh)

    @ui.page(f"{sides.base}{COMPARE}/samples", response_timeout=30)
    async def table(request: Request) -> None:
        view = ComparisonQuery.read(sides, request.query_params)
        compared = await sides.compared(view.a, view.b).latest(WAIT)
        with frame(view.a.run, COMPARE):
            ui.page_title(f"Samples · {view.names}")
            _legend(view)
            if compared is None:
                ui.label("Comparing … Reload the page in a moment.").classes("faint")
                return
            part = PairsPart(view, compared)
        await part.show()


def _choose(sides: Sides, view: ComparisonQuery) -> None:
    names = {key: side.name for key, side in sides.all.items()}

    def go(a: str, b: str) -> None:
        ui.navigate.to(view.link("", a=a, b=b))

    with ui.row().classes("items-center gap-3"):
        ui.label("A").classes("side a")
        choice("A", names, view.a.key, lambda key: go(key, view.b.key))
        ui.label("B").classes("side b")
        choice("B", names, view.b.key, lambda key: go(view.a.key, key))
        swap = ui.button(icon="swap_horiz", on_click=lambda: go(view.b.key, view.a.key))
        swap.props('flat dense aria-label="swap A and B"').tooltip("swap A and B")


def _legend(view: ComparisonQuery) -> None:
    with ui.row().classes("items-center gap-3"):
        ui.link("← overview", view.link("", kind=None, order=None, down=None, text=None)).classes("faint")
        for letter, side in (("a", view.a), ("b", view.b)):
            with ui.row(wrap=False).classes("items-center gap-3"):
                ui.label(letter.upper()).classes(f"side {letter}")
                ui.label(side.name)


def _overview(view: ComparisonQuery, compared: Comparison, numbers: CommonNumbers) -> None:
    _pairs(view, compared, numbers.counted)
    if numbers.paired:
        ui.label(paired_sentence(numbers.paired)).classes("paired")
    a, b = view.a, view.b
    with ui.element("div").classes("two"):
        with ui.column().classes("panel numbers"):
            ui.label(f"The {plural(compared.kinds['all'], 'sample')} in both").classes("faint small")
            compared_rows = rows(numbers.a.summary, numbers.b.summary)
            cells = [(row.name, row.a, row.b, row.difference) for row in compared_rows]
            ui.html(_numbers_table(("", "A", "B", "B − A"), cells), sanitize=False).classes("w-full")
        with ui.column().classes("gap-3 min-w-0"):
            _differences(a, b)
            with ui.row().classes("gap-4 small"):
                for letter, side in (("A", a), ("B", b)):
                    ui.link(f"all samples of {letter}", side.run.address("/samples", {"mode": side.mode}))
    statistics = numbers.a.statistics, numbers.b.statistics
    with ui.element("div").classes("three"):
        for each in _charts(statistics, (numbers.a.lengths, numbers.b.lengths)):
            chart(each)


def _pairs(view: ComparisonQuery, compared: Comparison, counted: float) -> None:
    with ui.row().classes("items-center w-full"):
        ui.label(_matched(view, compared)).classes("matched")
        ui.space()
        ui.label(f"counted at {time.strftime('%H:%M:%S', time.localtime(counted))}").classes("faint small")
    with ui.row().classes("tiles"):
        for kind, name in PAIR_LABELS.items():
            with ui.link(target=view.link(kind=kind)).classes("plain-link"):
                tile(f"{compared.kinds[kind]:,}", name if kind != "all" else "samples in both")


def _matched(view: ComparisonQuery, compared: Comparison) -> str:
    text = "Both read the same data."
    if view.a.results().data != view.b.results().data:
        text = "The runs read different data: samples match by id and requests."
    alone = [
        f"{number:,} of {letter}"
        for letter, number in (("A", compared.alone_a), ("B", compared.alone_b))
        if number
    ]
    if alone:
        text += f" {' and '.join(alone)} have no result on the other side and count nowhere here."
    return text


def _differences(a: Side, b: Side) -> None:
    with ui.column().classes("panel made"):
        if a.run is b.run:
            ui.label("Two modes of one run, made with the same settings").classes("faint small")
            return
        different = [row for row in differences(a.run.manifest, b.run.manifest) if row[0] != "modes"]
        if a.mode != b.mode:
            different.insert(0, ("mode", a.mode, b.mode))
        for package, version in a.run.manifest["versions"].items():
            other = b.run.manifest["versions"].get(package, "–")
            if version != other:
                different.append((package, version, other))
        if not different:
            ui.label("Made with the same data, settings and prompts").classes("faint small")
            return
        ui.label("What was different").classes("faint small")
        ui.html(_differences_table(("", "A", "B"), different), sanitize=False).classes("w-full")


def _numbers_table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th class=number>{escape(name)}</th>" for name in head[1:])
    lines = "".join(
        f"<tr><td class=indented>{escape(first)}</td>"
        + "".join(f"<td class=number>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in cells
    )
    return f"<table class=data><tr><th></th>{names}</tr>{lines}</table>"


def _differences_table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(
        "<tr>" + "".join(f"<td class=words>{escape(cell)}</td>" for cell in line) + "</tr>" for line in cells
    )
    return f"<table class=data><tr>{names}</tr>{lines}</table>"


def _charts(found: tuple[ModeStatistics, ModeStatistics], lengths: tuple[Any, Any]) -> list[Chart]:
    drawn: list[Chart] = []
    judged = [side for side in found if side.judging]
    if len(judged) == 2:
        drawn.append(_merged(*(charts.accepted(side.accepted_rounds) for side in judged)))
    (old, new), (other_old, other_new) = lengths
    series = [Series(old, GRAY, "old"), Series(new, BLUE, "A"), Series(other_new, ORANGE, "B")]
    if old != other_old:
        series[0:1] = [Series(old, GRAY, "A, old"), Series(other_old, "#5b6472", "B, old")]
    drawn.append(charts.lengths_of(series))
    if len(judged) == 2:
        drawn.append(_merged(*(charts.judging(side.judging) for side in judged if side.judging)))
    return drawn


def _merged(a: Chart, b: Chart) -> Chart:
    """Combine two charts of the same kind, in the colors of A and B."""
    categories = list(dict.fromkeys([*a.categories, *b.categories]))
    series = []
    for each, color, name in ((a, BLUE, "A"), (b, ORANGE, "B")):
        values = dict(zip(each.categories, each.series[0].values, strict=True))
        series.append(Series([values.get(category, 0) for category in categories], color, name))
    return replace(a, categories=categories, series=series)
