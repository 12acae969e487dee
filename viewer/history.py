"""The history of an exchange: who decided what and when, with the texts."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from nicegui import ui

from ledger.decisions import Change
from reporting import labels
from samples.fields import plural
from viewer.diff_view import Column, differences
from viewer.on_demand import expansion, show_dialog

SHOWN = 100
"""Entries that are shown, the last ones."""


def history(changes: Sequence[Change], response: str, choose: Callable[[str], Awaitable[None]]) -> None:
    """Show the changes of an exchange, folded, so as not to sway those who have yet to decide.

    Texts are compared with `response`, the result; `choose` decides for one of them.
    """

    def entries() -> None:
        if len(changes) > SHOWN:
            ui.label(f"The last {SHOWN:,} of {len(changes):,}").classes("faint small")
        for change in reversed(changes[-SHOWN:]):
            _entry(change, response, choose)

    people = len({change.reviewer for change in changes})
    by = f" by {plural(people, 'reviewer')}" if people > 1 else ""
    expansion(f"History: {plural(len(changes), 'decision')}{by}", entries, "panel history")


def _entry(change: Change, response: str, choose: Callable[[str], Awaitable[None]]) -> None:
    what = "took the decision back" if change.kind == "withdrawn" else labels.DECISIONS[change.kind]
    with ui.row().classes("items-center gap-2 change"):
        ui.label(labels.minute(change.decided)).classes("faint small")
        ui.label(change.reviewer or labels.NAMELESS).classes("font-semibold by").props("dir=auto")
        ui.label(what).classes("what")
        if change.note:
            ui.label(change.note).classes("faint small note-text").props("dir=auto")
        if change.kind != "withdrawn":
            show = partial(show_dialog, "A text of the history", partial(_compared, change, response))
            ui.button("Open", on_click=show).props("flat dense no-caps").classes("open-text")
            take = partial(choose, change.response)
            ui.button("Take this text", on_click=take).props("flat dense no-caps").classes("take")


def _compared(change: Change, response: str) -> None:
    wanted = Column(f"What {change.reviewer or labels.NAMELESS} wanted", change.response, "wanted")
    differences(Column("The result", response, "result"), wanted)
