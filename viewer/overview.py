"""The run at a glance: how far it is, what came out of it, whether the judge can be trusted, what it cost."""

import time
from collections.abc import Iterable
from html import escape

from nicegui import ui

from reporting import charts
from reporting import headline as figures
from reporting import html_tables as tables
from reporting.charts import Chart
from reporting.headline import Figure, progress
from reporting.snapshot import Counting, Numbers
from reporting.statistics import ModeStatistics
from viewer.frame import frame, tile
from viewer.run import Run

REFRESH = 2.0
"""Seconds between two looks at a run that is going on."""

PATIENCE = 0.5
"""Seconds a page waits for numbers before it is shown without them."""


def add(run: Run, counting: Counting) -> None:
    """Adds the page."""

    @ui.page(run.address("/"), title=f"Overview · {run.name}")
    async def overview() -> None:
        shown: list[Numbers] = []

        async def refresh() -> None:
            numbers = await counting.latest(PATIENCE)
            if numbers is None or numbers in shown:
                return
            if not shown:
                # Made once: it stays as it is, and open where a person has opened it.
                with made, ui.expansion("What made this run").classes("w-full panel"):
                    ui.html(tables.made_by(numbers.report["run"]), sanitize=False).classes("w-full")
            shown[:] = [numbers]
            panel.clear()
            with panel:
                _overview(run, numbers)

        with frame(run, "/"):
            panel = ui.column().classes("w-full gap-4 overview")
            with panel:
                ui.label("Counting …").classes("faint")
            made = ui.column().classes("w-full")
        await refresh()
        ui.timer(REFRESH, refresh)


def _overview(run: Run, numbers: Numbers) -> None:
    _progress(run, numbers)
    for mode, found in numbers.statistics.modes.items():
        _mode(run, mode, found, numbers)
    ui.html("<h2>Calls</h2>", sanitize=False)
    with ui.element("div").classes("two"):
        with ui.column().classes("panel"):
            ui.html(tables.bill(numbers.report["calls"]), sanitize=False).classes(
                "w-full overflow-x-auto bill"
            )
        if numbers.pace:
            chart(charts.pace(numbers.pace))


def _progress(run: Run, numbers: Numbers) -> None:
    finished, expected = progress(numbers, run)
    share = min(finished / expected, 1.0) if expected else 1.0
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            ui.label(f"{finished:,} of {expected:,} results").classes("font-semibold progress")
            ui.space()
            at = time.strftime("%H:%M:%S", time.localtime(numbers.counted))
            ui.label(f"counted at {at}").classes("faint small")
        ui.linear_progress(share, show_value=False, size="6px").props("rounded instant-feedback")
    _tiles(run, figures.of_run(numbers))


def _mode(run: Run, mode: str, found: ModeStatistics, numbers: Numbers) -> None:
    judging, deciding = found.judging, found.deciding
    ui.html(f"<h2>Mode {escape(mode)}</h2>", sanitize=False)
    if not found.finished:
        ui.label("nothing finished yet").classes("faint")
        return
    _tiles(run, figures.of_mode(mode, found))
    with ui.element("div").classes("three"):
        if judging:
            drawn = chart(charts.accepted(found.accepted_rounds))
            drawn.on_point_click(
                lambda event: ui.navigate.to(run.address("/samples", {"mode": mode, "accepted": event.name}))
            )
        chart(charts.lengths(*numbers.lengths[mode]))
        if judging:
            link = run.address("/samples", {"mode": mode, "contradict": 1}) if judging.contradicted else ""
            chart(charts.judging(judging), "samples whose verdicts contradict each other", link)
        if deciding:
            link = run.address("/samples", {"mode": mode, "decided": "some"})
            left = f"{deciding.decided:,} of {found.exchanges:,} decided: see what is left"
            chart(charts.deciding(deciding), left, link)
    if found.failures:

        def by_reason(reason: str) -> str:
            return run.address("/samples", {"mode": mode, "reason": reason})

        with ui.column().classes("panel"):
            ui.label("Failures by reason").classes("faint small")
            ui.html(tables.failures(found.failures, by_reason), sanitize=False).classes("w-full failures")


def _tiles(run: Run, figures: Iterable[Figure]) -> None:
    with ui.row().classes("tiles"):
        for figure in figures:
            if not figure.samples:
                tile(figure.value, figure.name, figure.hint)
                continue
            with ui.link(target=run.address("/samples", figure.samples)).classes("plain-link"):
                tile(figure.value, figure.name, figure.hint)


def chart(chart: Chart, more: str = "", link: str = "") -> ui.echart:
    """A chart in a panel of its own, below it a link to `more` where there is one."""
    with ui.column().classes(f"panel {chart.name}"):
        ui.label(chart.title).classes("faint small")
        drawn = ui.echart(charts.options(chart)).classes("w-full h-56")
        if link:
            ui.link(more, link).classes("small")
    return drawn
