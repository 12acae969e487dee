"""The graph of a mode with what happened on it, for all samples or for one."""

import asyncio

from fastapi import Request
from nicegui import ui

from reporting.graph_counts import graph_counts
from reporting.graph_svg import graph_svg
from reporting.labels import shorten
from viewer.frame import frame
from viewer.run import RunPages, sample_path


def add(run: RunPages) -> None:
    """Add the page."""

    @ui.page(run.address("/graph"), title=f"Graph · {run.name}", response_timeout=30)
    async def graph(request: Request) -> None:
        wanted, position = request.query_params.get("mode"), request.query_params.get("sample", "")
        mode = wanted if wanted in run.modes else run.modes[-1]
        sample_id, sample_link = None, ""
        found = await asyncio.to_thread(run.sample_at, "", {"position": position})
        if found and mode in found[1]:
            sample_id = found[0].id
            path, named = sample_path(found[0])
            sample_link = run.address(path, {**named, "of": mode})
            ui.page_title(f"{shorten(sample_id, 60)} · Graph · {run.name}")
        counts = await asyncio.to_thread(graph_counts, run.ledger, mode, lazy=run.lazy, sample=sample_id)
        with frame(run, "/graph"):
            with ui.row().classes("items-center gap-3"):
                for name in run.modes:
                    link = run.address("/graph", {"mode": name, "sample": position if sample_id else ""})
                    ui.link(name, link).classes("tag here" if name == mode else "tag")
                if sample_id is not None:
                    ui.label("The path of sample").classes("faint")
                    ui.link(sample_id, sample_link).classes("sample-id").props("dir=auto")
                    ui.link("all samples", run.address("/graph", {"mode": mode})).classes("faint")
            with ui.column().classes("w-full items-center drawing"):
                ui.html(graph_svg(counts, f"The graph of mode {mode}"), sanitize=False)
