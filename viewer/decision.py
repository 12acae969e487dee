"""The user's decision on the result of an exchange: by buttons or keys, stored in the ledger at once."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from nicegui import ui

from ledger.decisions import Decision, decide, delete_decision
from ledger.ledger import LedgerError, Result
from reporting import html_tags, html_text
from reporting.labels import DECISIONS
from samples.fields import as_text
from viewer.diff_view import Column, diff_view
from viewer.frame import keys
from viewer.run import RunPages

MAX_CHARS = 100_000
"""Characters of a text that can be edited here: each key press sends all of it to the server, which accepts
messages of up to 1 MB."""


class Panel:
    """The decision on one exchange of a result as shown, and what changes it.

    Its keys are a (accept), r (reject), e (edit) and z (take back).
    """

    def __init__(
        self,
        run: RunPages,
        position: int,
        result: Result,
        done: Mapping[str, Any],
        decision: Decision | None,
        drafts: Collection[str],
    ) -> None:
        self._run = run
        self._position = position
        self._result = result
        self._done = done
        self._decision = decision
        self._drafts = drafts
        self._editing = False
        self._writing = asyncio.Lock()
        self._panel = ui.column().classes("panel decision")
        actions: dict[str, Callable[[], Awaitable[None] | None]] = {
            "a": self.accept,
            "r": self.reject,
            "e": self.edit,
            "z": self.take_back,
        }
        keys({key: partial(self._unless_editing, action) for key, action in actions.items()})
        self._show()

    async def accept(self) -> None:
        """Accept the result."""
        await self.choose(self._done["response"])

    async def reject(self) -> None:
        """Keep the original response."""
        if self._done["response"] == self._done["original"]:
            self._notify("The result is the original response: there is nothing to reject")
        else:
            await self.choose(self._done["original"])

    async def choose(self, response: str) -> None:
        """Choose this response, unless another one is being written."""
        if self._editing:
            self._notify("Save or cancel the text you are writing first")
        else:
            await self._decide(response)

    async def take_back(self) -> None:
        """Withdraw the decision."""
        if self._decision:
            await self._change(delete_decision, self._result.mode, self._done["exchange"])

    def edit(self) -> None:
        """Open the current text for editing."""
        current = self._decision.response if self._decision else self._done["response"]
        if len(current) > MAX_CHARS:
            self._notify(f"A response of more than {MAX_CHARS:,} characters cannot be edited here")
            return
        self._editing = True
        self._panel.clear()
        with self._panel:
            # Leaving the page would lose the text: the browser asks first.
            ui.run_javascript("window.onbeforeunload = () => true")
            ui.label("The response as you want it").classes("faint small")
            area = ui.textarea(value=as_text(current)).classes("w-full editing")
            area.props(f"outlined autogrow autofocus maxlength={MAX_CHARS} dir=auto")

            async def save() -> None:
                text = area.value or ""
                # No trainer learns from it; to keep an empty original, reject the result.
                if text.strip():
                    await self._decide(text)
                else:
                    self._notify("An empty text is not a response: write one, or cancel", type="negative")

            area.on("keydown.ctrl.enter", save).on("keydown.meta.enter", save)
            area.on("keydown.esc", self._close)
            with ui.row().classes("items-center w-full gap-2"):
                self._note_field()
                _button("Save (Ctrl+Enter)", save, "save").props(remove="flat")
                _button("Cancel (Esc)", self._close, "cancel")

    def _close(self) -> None:
        if self._editing:
            self._editing = False
            with self._panel:
                ui.run_javascript("window.onbeforeunload = null")
        self._show()

    def _notify(self, message: str, **options: Any) -> None:
        # The clicked button may be gone by now; the panel is not.
        with self._panel:
            ui.notify(message, **options)

    async def _decide(self, response: str) -> None:
        await self._change(*self._decision_change(response))

    async def _change(self, change: Callable[..., Decision | None], *what: Any) -> None:
        async with self._writing:
            if not await self._saved(change, *what):
                return
        # The user may not see the panel.
        self._notify(DECISIONS[self._decision.kind] if self._decision else "taken back", timeout=1500)
        self._close()

    async def _save_note(self) -> None:
        # The panel is not rebuilt: the user may be clicking a button in it.
        async with self._writing:
            decision, note = self._decision, self._note.value
            if decision and decision.stands and note != decision.note:
                await self._saved(*self._decision_change(decision.response))

    def _decision_change(self, response: str) -> tuple[Callable[..., Decision], *tuple[Any, ...]]:
        """Return the change that makes this the response, with the current note."""
        exchange = self._done["exchange"]
        return decide, self._result, exchange, response, self._note.value, self._drafts

    async def _saved(self, change: Callable[..., Decision | None], *what: Any) -> bool:
        try:
            self._decision = await asyncio.to_thread(change, self._run.ledger, self._position, *what)
        except LedgerError as error:
            self._notify(
                f"Not saved: {error}", type="negative", multi_line=True, timeout=0, close_button="Close"
            )
            return False
        return True

    def _show(self) -> None:
        decision = self._decision
        self._panel.clear()
        with self._panel:
            with ui.row().classes("items-center w-full gap-2"):
                ui.label("Your decision").classes("faint small")
                ui.html(self._tags(), sanitize=False)
                self._note_field()
                self._note.on("blur", self._save_note)
                _button("Accept (a)", self.accept, "accept")
                if self._done["response"] != self._done["original"]:
                    _button("Reject (r)", self.reject, "reject")
                _button("Edit (e)", self.edit, "edit")
                if decision:
                    _button("Take back (z)", self.take_back, "take-back")
            if decision and (decision.kind in ("chosen", "edited") or not decision.stands):
                result = Column("The result", self._done["response"], "judged")
                wanted = Column("The response you want", decision.response, "wanted")
                diff_view([result, wanted], {"Differences": lambda both: html_text.marked(*both)})

    def _tags(self) -> str:
        return html_tags.decision(self._decision) if self._decision else '<span class="tag">none yet</span>'

    def _note_field(self) -> None:
        decision = self._decision
        self._note = ui.input(placeholder="why (optional)", value=decision.note if decision else "")
        self._note.props("dense outlined dir=auto maxlength=1000").classes("grow note")
        # Without the focus, so that the keys work again.
        self._note.on("keydown.enter", js_handler="event => event.target.blur()")

    async def _unless_editing(self, action: Callable[[], Awaitable[None] | None]) -> None:
        if not self._editing and (waiting := action()):
            await waiting


def _button(name: str, action: Callable[[], Any], role: str) -> ui.button:
    return ui.button(name, on_click=action).props("dense no-caps flat padding='2px 10px'").classes(role)
