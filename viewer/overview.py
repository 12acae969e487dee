"""The run at a glance."""

from nicegui import ui

from viewer.frame import frame
from viewer.run import Run


def add(run: Run) -> None:
    """Adds the page."""

    @ui.page("/", title=f"Overview · {run.name}")
    async def overview() -> None:
        with frame(run, "/"):
            ui.label("…")
