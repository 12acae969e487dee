"""The graph of a mode as it was walked: by all samples, or by one."""

import asyncio

from fastapi import Request
from nicegui import ui

from reporting.graph_counts import walked
from reporting.graph_svg import svg
from viewer.frame import frame
from viewer.run import Run


def add(run: Run) -> None:
    """Adds the page."""

    @ui.page(run.address("/graph"), title=f"Graph · {run.name}", response_timeout=30)
    async def graph(request: Request) -> None:
        wanted, place = request.query_params.get("mode"), request.query_params.get("sample", "")
        mode = wanted if wanted in run.modes else run.modes[-1]
        sample_id = None
        if place.isdecimal():
            found = await asyncio.to_thread(run.ledger.at, [int(place)])
            if found and mode in found[0][1]:
                sample_id = found[0][0].id
        walk = await asyncio.to_thread(walked, run.ledger, mode, lazy=run.lazy, sample=sample_id)
        with frame(run, "/graph"):
            with ui.row().classes("items-center gap-3"):
                for name in run.modes:
                    link = run.address("/graph", {"mode": name, "sample": place if sample_id else ""})
                    ui.link(name, link).classes("tag here" if name == mode else "tag")
                if sample_id is not None:
                    ui.label("The way of sample").classes("faint")
                    ui.link(sample_id, run.address(f"/sample/{place}", {"of": mode}))
                    ui.link("all samples", run.address("/graph", {"mode": mode})).classes("faint")
            with ui.column().classes("w-full items-center drawing"):
                ui.html(svg(walk, f"The graph of mode {mode}"), sanitize=False)
