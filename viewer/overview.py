"""The run at a glance: how far it is, what came out of it, whether the judge can be trusted, what it cost."""

import time
from html import escape

from nicegui import ui

from ledger.statistics import ModeStatistics
from viewer import charts, tables
from viewer.charts import Chart
from viewer.frame import address, frame, tile
from viewer.look import dollars
from viewer.numbers import Counting, Numbers
from viewer.run import Run

REFRESH = 2.0
"""Seconds between two looks at a run that is going on."""

PATIENCE = 0.5
"""Seconds a page waits for numbers before it is shown without them."""


def add(run: Run, counting: Counting) -> None:
    """Adds the page."""

    @ui.page("/", title=f"Overview · {run.name}")
    async def overview() -> None:
        shown: list[Numbers] = []

        async def refresh() -> None:
            numbers = await counting.latest(PATIENCE)
            if numbers is None or numbers in shown:
                return
            shown[:] = [numbers]
            panel.clear()
            with panel:
                _overview(run, numbers)

        with frame(run, "/"):
            panel = ui.column().classes("w-full gap-4 overview")
            with panel:
                ui.label("Counting …").classes("faint")
        await refresh()
        ui.timer(REFRESH, refresh)


def _overview(run: Run, numbers: Numbers) -> None:
    _progress(run, numbers)
    for mode, found in numbers.statistics.modes.items():
        _mode(mode, found, numbers)
    ui.html("<h2>Calls</h2>", sanitize=False)
    with ui.element("div").classes("two"):
        with ui.column().classes("panel"):
            ui.html(tables.bill(numbers.report["calls"]), sanitize=False).classes(
                "w-full overflow-x-auto bill"
            )
        if numbers.pace:
            chart(charts.pace(numbers.pace))
    with ui.expansion("What made this run").classes("w-full panel"):
        ui.html(tables.made_by(numbers.report["run"]), sanitize=False).classes("w-full")


def _progress(run: Run, numbers: Numbers) -> None:
    finished, skipped = numbers.finished, numbers.results.get("skipped", 0)
    # A skipped sample has one result, whatever the number of modes.
    expected = run.expected - skipped * (len(run.modes) - 1)
    share = min(finished / expected, 1.0) if expected else 1.0
    total = numbers.report["calls"]["total"]
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            ui.label(f"{finished:,} of {expected:,} results").classes("font-semibold progress")
            ui.space()
            at = time.strftime("%H:%M:%S", time.localtime(numbers.counted))
            ui.label(f"counted at {at}").classes("faint small")
        ui.linear_progress(share, show_value=False, size="6px").props("rounded instant-feedback")
    with ui.row().classes("tiles"):
        tile(f"{numbers.statistics.samples:,}", "samples")
        failed = numbers.results.get("failed", 0)
        with ui.link(target=address("/samples", {"status": "failed"})).classes("plain-link"):
            tile(f"{failed:,}", "failed")
        if skipped:
            with ui.link(target=address("/samples", {"status": "skipped"})).classes("plain-link"):
                tile(f"{skipped:,}", "skipped")
        tile(f"{total['calls']:,}", "calls")
        tile(f"{total['input_tokens']:,}", "input tokens")
        tile(f"{total['output_tokens']:,}", "output tokens")
        tile(dollars(total), "cost", "List prices, where they are known.")


def _mode(mode: str, found: ModeStatistics, numbers: Numbers) -> None:
    lengths, judging = found.lengths, found.judging
    ui.html(f"<h2>Mode {escape(mode)}</h2>", sanitize=False)
    if not found.finished:
        ui.label("nothing finished yet").classes("faint")
        return
    with ui.row().classes("tiles"):
        tile(f"{found.changed / found.finished:.0%}", "of responses changed")
        if lengths.ratio_of_averages is not None:
            growth = "New tokens over old tokens, of all samples that did not fail."
            tile(f"{lengths.ratio_of_averages:.2f}×", "length, new to old", growth)
        if lengths.doubled is not None:
            with ui.link(target=address("/samples", {"mode": mode, "grew": 1})).classes("plain-link"):
                tile(f"{lengths.doubled:.0%}", "grew more than 2×")
        if judging and judging.agreement is not None:
            hint = "Rounds in which both orders name the same winner, of those where both can be read."
            tile(f"{judging.agreement:.0%}", "judge agrees with itself", hint)
    with ui.element("div").classes("three"):
        if judging:
            drawn = chart(charts.accepted(found.accepted_rounds))
            drawn.on_point_click(
                lambda event: ui.navigate.to(address("/samples", {"mode": mode, "accepted": event.name}))
            )
        chart(charts.lengths(*numbers.lengths[mode]))
        if judging:
            link = address("/samples", {"mode": mode, "contradict": 1}) if judging.contradicted else ""
            chart(charts.judging(judging), "samples whose verdicts contradict each other", link)
    if found.failures:

        def by_reason(reason: str) -> str:
            return address("/samples", {"mode": mode, "reason": reason})

        with ui.column().classes("panel"):
            ui.label("Failures by reason").classes("faint small")
            ui.html(tables.failures(found.failures, by_reason), sanitize=False).classes("w-full failures")


def chart(chart: Chart, more: str = "", link: str = "") -> ui.echart:
    """A chart in a panel of its own, below it a link to `more` where there is one."""
    with ui.column().classes(f"panel {chart.name}"):
        ui.label(chart.title).classes("faint small")
        drawn = ui.echart(charts.options(chart)).classes("w-full h-56")
        if link:
            ui.link(more, link).classes("small")
    return drawn
