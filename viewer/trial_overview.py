"""The overview of a trial: what it found, in words, charts and tables."""

import time
from collections.abc import Callable, Iterable
from html import escape

from nicegui import ui

from reporting import trial_charts, trial_tables
from reporting.trial_snapshot import DISAGREEING, DISAGREEMENTS, TrialSnapshot
from samples.fields import plural
from viewer.frame import copy_button, tile
from viewer.run import address
from viewer.trial_frame import JUDGE, OVERVIEW, SAMPLES, TrialPages, frame

REFRESH = 2.0
"""Seconds between two updates."""

PATIENCE = 0.5
"""Seconds a page waits for figures before it is shown without them."""


def add(pages: TrialPages, add_arms: Callable[[], None]) -> None:
    """Add the page; `add_arms` adds those of the arms that have begun."""

    @ui.page(OVERVIEW, title=f"Trial · {pages.name}")
    async def overview() -> None:
        shown: list[TrialSnapshot] = []

        async def refresh() -> None:
            snapshot = await pages.snapshots.latest(PATIENCE)
            if snapshot is None or snapshot in shown:
                return
            add_arms()
            if not shown:
                # Built once, and stays open if it was opened.
                with made, ui.expansion("What made this trial").classes("w-full panel"):
                    table = trial_tables.what_made_trial(snapshot)
                    ui.html(table, sanitize=False).classes("w-full overflow-x-auto")
            shown[:] = [snapshot]
            panel.clear()
            with panel:
                _overview(pages, snapshot)

        with frame(pages, OVERVIEW):
            panel = ui.column().classes("w-full gap-4 trial")
            with panel:
                ui.label("Computing …").classes("faint")
            made = ui.column().classes("w-full")
        await refresh()
        ui.timer(REFRESH, refresh)


def _overview(pages: TrialPages, snapshot: TrialSnapshot) -> None:
    _head(snapshot)
    with ui.column().classes("w-full gap-0 answer"):
        for sentence in snapshot.sentences:
            ui.label(sentence).classes("said")
    if snapshot.missing:
        ui.label(f"No figures yet: {snapshot.missing}").classes("faint missing")
    if snapshot.notes:
        _notes(snapshot.notes)
    with ui.element("div").classes("two"):
        if forest := trial_charts.forest(snapshot):
            _chart(forest, "Each arm against the original responses", "forest")
        with ui.column().classes("w-full gap-3"):
            for chart, title in (
                (trial_charts.cost_chart(snapshot), "Cost against win rate"),
                (trial_charts.length_chart(snapshot), "Length against win rate"),
            ):
                if chart:
                    _chart(chart, title, "scatter")
    if snapshot.report:
        _table("Arms", trial_tables.arms(snapshot, _samples_link), "arms")
        if refused := trial_tables.refusals(snapshot.report):
            _notes(refused)
        if direct := trial_tables.direct(snapshot.report):
            _table("Arms against each other", direct, "direct")
        _table("Referees", trial_tables.referees(snapshot.report), "referees")
        _notes(trial_tables.trust(snapshot.report))
    _samples(snapshot)
    _arms(pages)


def _head(snapshot: TrialSnapshot) -> None:
    finished, drawn = len(snapshot.samples), snapshot.drawn
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            progress = f"{finished:,} of {drawn:,} samples of {trial_tables.data_name(snapshot)}"
            ui.label(progress).classes("font-semibold progress")
            ui.label("finished in all arms").classes("faint")
            ui.space()
            at = time.strftime("%H:%M:%S", time.localtime(snapshot.counted))
            ui.label(f"counted at {at}").classes("faint small")
        ui.linear_progress(finished / drawn if drawn else 1, show_value=False, size="6px").props(
            'rounded instant-feedback aria-label="samples finished"'
        )
    people = {each.person for each in snapshot.trial.decisions()}
    with ui.row().classes("tiles"):
        number = len(snapshot.trial.arms) - 1
        tile(f"{number:,}", f"arm{'s' * (number != 1)} next to the original")
        if snapshot.report:
            tile(f"{snapshot.report.judged:,}", "samples judged")
            tile(f"{snapshot.report.judgments:,}", "judgments")
        tile(f"{len(snapshot.trial.referees):,}", "referee" + "s" * (len(snapshot.trial.referees) != 1))
        if people:
            tile(f"{len(people):,}", "person who judged" if len(people) == 1 else "people who judged")


def _notes(lines: Iterable[str]) -> None:
    """Show what should be known of a figure."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    ui.html(f'<ul class="noted faint small">{items}</ul>', sanitize=False)


def _chart(drawn: str, title: str, style: str) -> None:
    with ui.column().classes(f"panel {style}"):
        ui.label(title).classes("faint small")
        ui.html(drawn, sanitize=False).classes("w-full")


def _table(title: str, table: str, style: str) -> None:
    ui.html(f"<h2>{title}</h2>", sanitize=False)
    ui.html(trial_tables.in_panel(table, title), sanitize=False).classes(f"w-full {style}")


def _samples_link(arm: str, outcome: str) -> str:
    return address(SAMPLES, {"arm": arm, "outcome": outcome})


def _samples(snapshot: TrialSnapshot) -> None:
    ui.html("<h2>Samples worth a look</h2>", sanitize=False)
    with ui.column().classes("gap-1 w-full disagreements"):
        for kind, label in DISAGREEMENTS.items():
            number = snapshot.disagreeing(kind)
            with ui.row().classes("gap-2 items-baseline"):
                name = f"{plural(number, 'sample')}: {label}"
                if number:
                    ui.link(name, address(SAMPLES, {"disagreement": kind}))
                else:
                    ui.label(name)
                ui.label(DISAGREEING[kind]).classes("faint small")
        ui.link(f"all {plural(len(snapshot.samples), 'sample')}", SAMPLES)
    ui.html("<h2>Go on</h2>", sanitize=False)
    ui.link("Judge comparisons yourself, blind", JUDGE)
    if snapshot.best:
        command = snapshot.trial.command(snapshot.best)
        with ui.row().classes("gap-2 items-baseline text small"):
            ui.html(f"<code>{escape(command)}</code>", sanitize=False)
            copy_button(command)
    elif snapshot.none_better:
        ui.label(snapshot.none_better).classes("none-better")


def _arms(pages: TrialPages) -> None:
    with ui.row().classes("gap-4 items-baseline arms-pages"):
        ui.label("The debates of an arm, with all pages of a run:").classes("faint")
        for arm, run in pages.arms.items():
            ui.link(arm, run.address("/"))
