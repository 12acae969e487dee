"""The overview of a run: progress, results, whether the judge can be trusted, cost."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from html import escape

from nicegui import ui

from reporting import chart_data, charts, headline, html_tables, labels, workers
from reporting.charts import Chart
from reporting.headline import Metric, progress, records
from reporting.run import is_at_work, seconds_left
from reporting.snapshot import Snapshot
from reporting.statistics import ModeStatistics
from viewer.background_refresh import BackgroundRefresh
from viewer.frame import frame, plain_text, tile
from viewer.run import RunPages

REFRESH = 2.0
"""Seconds between two updates of a run in progress."""

PATIENCE = 0.5
"""Seconds a page waits for numbers before it is shown without them."""


def add(run: RunPages, snapshots: BackgroundRefresh[Snapshot]) -> None:
    """Add the page."""

    @ui.page(run.address("/"), title=f"Overview · {run.name}")
    async def overview() -> None:
        shown: list[Snapshot] = []

        async def refresh() -> None:
            snapshot = await snapshots.latest(PATIENCE)
            if snapshot is not None:
                await follow.show(snapshot)
            if snapshot is None or snapshot in shown:
                return
            failure = await asyncio.to_thread(run.why_nothing_finished, snapshot.finished)
            if not shown:
                # Built once: it never changes, and stays open if it was opened.
                with made, ui.expansion("What made this run").classes("w-full panel"):
                    manifest = html_tables.manifest(snapshot.summary["run"])
                    ui.html(manifest, sanitize=False).classes("w-full")
            shown[:] = [snapshot]
            panel.clear()
            with panel:
                _overview(run, snapshot, failure)

        with frame(run, "/"):
            follow = AtWork(run)
            panel = ui.column().classes("w-full gap-4 overview")
            with panel:
                ui.label("Counting …").classes("faint")
            made = ui.column().classes("w-full")
        await refresh()
        ui.timer(REFRESH, refresh)


class AtWork:
    """Says whether a command is at work on the run, and the time that is left."""

    def __init__(self, run: RunPages) -> None:
        self._run = run
        self._label = ui.label().classes("at-work faint small")

    async def show(self, numbers: Snapshot) -> None:
        """Look again."""
        finished, expected = progress(numbers, self._run)
        self._label.set_text(await asyncio.to_thread(self._text, expected - finished))

    def _text(self, left: int) -> str:
        if not is_at_work(self._run.folder):
            return "No command is at work on it." if left > 0 else ""
        seconds = seconds_left(self._run, left)
        return "A command is at work on it" + (f": {labels.duration(seconds)} left." if seconds else ".")


def _overview(run: RunPages, snapshot: Snapshot, failure: str) -> None:
    _progress(run, snapshot)
    if failure:
        with ui.column().classes("panel last-failure"):
            ui.label("Why the last call failed").classes("faint small")
            plain_text(failure)
    for mode, found in snapshot.statistics.modes.items():
        _mode(run, mode, found, snapshot)
    ui.html("<h2>Calls</h2>", sanitize=False)
    with ui.element("div").classes("two"):
        with ui.column().classes("panel"):
            ui.html(html_tables.bill(snapshot.summary["calls"]), sanitize=False).classes(
                "w-full overflow-x-auto bill"
            )
        if snapshot.throughput:
            chart(charts.throughput(snapshot.throughput))


def _progress(run: RunPages, snapshot: Snapshot) -> None:
    finished, expected = progress(snapshot, run)
    share = min(finished / expected, 1.0) if expected else 1.0
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            ui.label(f"{finished:,} of {expected:,} results").classes("font-semibold progress")
            ui.label(records(snapshot, run)).classes("faint records")
            ui.space()
            at = time.strftime("%H:%M:%S", time.localtime(snapshot.counted))
            ui.label(f"counted at {at}").classes("faint small")
        if at_work := workers.read(run.folder):
            with ui.label(workers.line(at_work)).classes("faint small workers"):
                if len(at_work) > workers.NAMED:
                    ui.tooltip("\n".join(workers.lines(at_work))).classes("whitespace-pre")
        ui.linear_progress(share, show_value=False, size="6px").props(
            'rounded instant-feedback aria-label="results so far"'
        )
    _tiles(run, headline.of_run(snapshot))


def _mode(run: RunPages, mode: str, found: ModeStatistics, snapshot: Snapshot) -> None:
    judging, deciding = found.judging, found.deciding

    def samples(values: Mapping[str, object]) -> str:
        return run.address("/samples", {"mode": mode, **values})

    ui.html(f"<h2>Mode {escape(mode)}</h2>", sanitize=False)
    if not found.finished:
        ui.label("nothing finished yet").classes("faint")
        return
    _tiles(run, headline.of_mode(mode, found))
    with ui.element("div").classes("three"):
        if judging:
            chart(charts.accepted(found.accepted_rounds), door=lambda name, _: samples({"accepted": name}))
        chart(
            charts.lengths(*snapshot.lengths[mode]),
            door=lambda name, series: samples({f"{series}_length": chart_data.token_range(name)}),
        )
        if judging:
            link = samples({"contradict": 1}) if judging.contradicted else ""
            chart(
                charts.judging(judging),
                "samples whose verdicts contradict each other",
                link,
                lambda name, _: samples({"orders": _ORDERS[name]}),
            )
        if deciding:
            left = f"{deciding.decided:,} of {found.exchanges:,} decided: show the others"
            chart(
                charts.deciding(deciding),
                left,
                samples({"decided": "some"}),
                lambda name, _: samples({"decided": _DECIDED[name]}),
            )
    if not_judged := html_tables.not_judged(found.endings, lambda ending: samples({"ending": ending})):
        with ui.column().classes("panel"):
            ui.label(labels.NOT_JUDGED).classes("faint small")
            ui.html(not_judged, sanitize=False).classes("w-full not-judged")
    if found.failures:
        with ui.column().classes("panel"):
            ui.label("Failures by reason").classes("faint small")
            ui.html(
                html_tables.failures(found.failures, lambda reason: samples({"reason": reason})),
                sanitize=False,
            ).classes("w-full failures")


def _tiles(run: RunPages, metrics: Iterable[Metric]) -> None:
    with ui.row().classes("tiles"):
        for metric in metrics:
            if metric.samples is None:
                tile(metric.value, metric.name, metric.hint)
                continue
            with ui.link(target=run.address("/samples", metric.samples)).classes("plain-link"):
                tile(metric.value, metric.name, metric.hint)


def _doors(chart: Chart, door: Callable[[str, str], str]) -> None:
    """Show where the bars of a chart lead as links, in sight while one has the focus."""
    with ui.element("div").classes("doors").props(f'role=group aria-label="{escape(chart.title)}: samples"'):
        for series in chart.series:
            for name, value in zip(chart.categories, series.values, strict=True):
                if value:
                    of = f"{name} {chart.of}".strip() + (f", {series.name}" if series.name else "")
                    ui.link(f"{of}: {value:,}", door(name, series.name))


_ORDERS = {name: field for field, name in labels.JUDGING.items()}
_DECIDED = {**{name: kind for kind, name in labels.DECISIONS.items()}, labels.OUTDATED: "outdated"}


def chart(
    chart: Chart, more: str = "", link: str = "", door: Callable[[str, str], str] | None = None
) -> ui.echart:
    """Show a chart in a panel of its own, with a link to `more` below if there is one.

    `door` returns where a click on a bar leads, by the names of its category and its series.
    """
    with ui.column().classes(f"panel {chart.name}"):
        with ui.row().classes("w-full gap-2 small"):
            ui.label(chart.title).classes("faint")
            if door:
                ui.label("click a bar for its samples").classes("faint italic")
        drawn = ui.echart(charts.echarts(chart)).classes("w-full h-60")
        drawn.props(f'role=img aria-label="{escape(chart.title)}"')
        if door:
            _doors(chart, door)
            drawn.on_point_click(lambda event: ui.navigate.to(door(event.name, event.series_name)))
        if link:
            ui.link(more, link).classes("small")
    return drawn
