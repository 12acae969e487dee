"""A reviewer's decision on the result of an exchange: by buttons or keys, stored in the ledger at once."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from nicegui import ui

from ledger.decisions import Change, Decision, decide, delete_decision, load_history, load_reviews
from ledger.ledger import LedgerError, Result
from reporting import html_tags
from reporting.labels import DECISIONS, REVIEWERS_DISAGREE
from samples.fields import as_text
from viewer.diff_view import Column, differences
from viewer.drafts import MAX_CHARS, Draft, Place, another
from viewer.frame import keys, plain_text
from viewer.history import history
from viewer.reviewer import ask_name
from viewer.run import RunPages

_KEPT = "Kept as a draft until you save or discard it, also when you leave this page."
_IN_SIGHT = """setTimeout(() => {
    const area = document.querySelector(".decision .editing");
    const top = area?.getBoundingClientRect().top ?? 0;
    const bar = document.querySelector(".decision-bar")?.getBoundingClientRect();
    const isHidden = bar && (top < bar.bottom - 10 || top > innerHeight - 120);
    if (isHidden) scrollTo({ top: scrollY + top - bar.height - 60 });
}, 50)"""
"""Shows the beginning of the text that is edited, below the bar: it may have been opened from far below."""

_FURTHER = "Another window changed the draft meanwhile. It is kept; what you type here is a draft of its own."
_NOT_WRITTEN = "Kept as a draft until `coevol view` ends: it cannot be written to the run's folder."


class Review(NamedTuple):
    """Who reviews an exchange, and what was decided on it."""

    reviewer: str | None
    """None until the name was asked for, which the first decision does."""
    reviews: Sequence[Decision]
    """The decisions of all reviewers."""
    changes: Sequence[Change]


class Panel:
    """The decision of a reviewer on one exchange of a result as shown, and what changes it.

    Its keys are a (accept), r (reject), e (edit), z (take back) and g (go on after a decision). What is
    typed and not saved is kept as a draft.
    """

    def __init__(
        self,
        run: RunPages,
        position: int,
        result: Result,
        done: Mapping[str, Any],
        review: Review,
        drafts: Collection[str],
        next_undecided: Callable[[], Awaitable[str]],
    ) -> None:
        self._run = run
        self._position = position
        self._result = result
        self._done = done
        self._reviewer, self._reviews, self._changes = review
        self._drafts = drafts
        self._next_undecided = next_undecided
        self._place = (position, result.mode, int(done["exchange"]))
        self._area: ui.textarea | None = None
        self._seen: Draft | None = None
        self._further: Place | None = None
        self._writing = asyncio.Lock()
        self._panel = ui.element("div").classes("decision")
        actions: dict[str, Callable[[], Awaitable[None] | None]] = {
            "a": self.accept,
            "r": self.reject,
            "e": self.edit,
            "z": self.take_back,
            "g": self._toggle_going_on,
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
        if self._area:
            self._notify("Save or close the text you are writing first")
        elif self._reviewer is None:
            self._ask_name(partial(self._decide, response))
        else:
            await self._decide(response)

    @property
    def _decision(self) -> Decision | None:
        """The reviewer's own decision."""
        return next((each for each in self._reviews if each.reviewer == (self._reviewer or "")), None)

    @property
    def _key(self) -> Place:
        return self._further or (self._reviewer or "", *self._place)

    def _ask_name(self, then: Callable[[], Awaitable[None] | None] | None = None) -> None:
        async def given(name: str) -> None:
            draft = self._run.drafts.drop(self._key) if self._reviewer is None else None
            self._reviewer, self._further = name, None
            if draft:
                self._further = another(self._key) if self._draft() else None
                self._run.drafts.keep(self._key, draft)
            with self._panel:
                if then is None:
                    self._show()
                elif waiting := then():
                    await waiting

        with self._panel:
            ask_name(self._reviewer or "", given)

    async def take_back(self) -> None:
        """Withdraw the decision."""
        if self._decision:
            mode, exchange = self._result.mode, self._done["exchange"]
            await self._change(delete_decision, mode, exchange, self._reviewer or "")

    def edit(self) -> None:
        """Open the current text, or the draft of another, for editing."""
        if self._reviewer is None:
            self._ask_name(self.edit)
            return
        draft = self._seen = self._draft()
        text = self._text() if draft is None or draft.text is None else draft.text
        if len(text) > MAX_CHARS:
            self._notify(f"A response of more than {MAX_CHARS:,} characters cannot be edited here")
            return
        self._panel.clear()
        with self._panel:
            with ui.row().classes("decision-bar items-center gap-2"):
                ui.label("The response as you want it").classes("faint small")
                self._note_field()
                _button("Save (Ctrl+Enter)", self._save, "save").props(remove="flat")
                _button("Close (Esc)", self._close, "cancel")
                _button("Discard", self._discard, "discard")
            with ui.column().classes("panel"):
                area = self._area = ui.textarea(value=as_text(text), on_change=self._keep)
                area.classes("w-full editing").props(
                    f"outlined autogrow autofocus maxlength={MAX_CHARS} dir=auto"
                )
                area.props('aria-label="The response as you want it" spellcheck=false')
                area.on("keydown.ctrl.enter", self._save).on("keydown.meta.enter", self._save)
                area.on("keydown.esc", self._close)
                ui.run_javascript(_IN_SIGHT)
                self._kept = ui.label(_FURTHER if self._further else _KEPT).classes("faint small kept")

    async def _save(self) -> None:
        text = str(self._area.value or "") if self._area else ""
        # No trainer learns from it; to keep an empty original, reject the result.
        if text.strip():
            await self._decide(text)
        elif self._area:
            self._notify("An empty text is not a response: write one, or discard it", type="negative")

    def _close(self) -> None:
        if self._area and (draft := self._draft()) and draft.text is not None:
            self._notify("Kept as a draft: Edit (e) goes on with it")
        self._show()

    def _discard(self) -> None:
        self._leave_to_others()
        self._run.drafts.drop(self._key)
        self._show()

    def _draft(self) -> Draft | None:
        return self._run.drafts.get(self._key)

    def _leave_to_others(self) -> None:
        """Write another draft from now on, if this one was changed in another window."""
        if (draft := self._draft()) and draft != self._seen:
            self._further = another(self._key)
            self._notify(_FURTHER, type="warning", multi_line=True)

    def _keep(self) -> None:
        """Keep what is typed and not saved."""
        self._leave_to_others()
        draft = self._draft()
        text = draft.text if draft else None
        if self._area:
            text = str(self._area.value or "")
            text = None if text == as_text(self._text()) else text
        note = str(self._note.value or "")
        if text is None and note == (self._decision.note if self._decision else ""):
            self._run.drafts.drop(self._key)
            self._seen = None
        else:
            self._seen = Draft(text, note)
            is_written = self._run.drafts.keep(self._key, self._seen)
            if self._area:
                kept = _FURTHER if self._further else _KEPT
                self._kept.set_text(kept if is_written else _NOT_WRITTEN)

    def _text(self) -> str:
        """Return the text that editing begins with."""
        return self._decision.response if self._decision else str(self._done["response"])

    def _toggle_going_on(self) -> None:
        self._going_on.value = not self._going_on.value

    def _set_going_on(self) -> None:
        change = set.add if self._going_on.value else set.discard
        change(self._run.review.going_on, self._reviewer or "")

    async def _go_on(self) -> None:
        if (self._reviewer or "") in self._run.review.going_on:
            with self._panel:
                if link := await self._next_undecided():
                    ui.navigate.to(link)
                else:
                    ui.notify("Nothing here is left undecided")

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
        self._area = None if change is decide else self._area
        # The user may not see the panel.
        self._notify(DECISIONS[self._decision.kind] if self._decision else "taken back", timeout=1500)
        self._show()
        if self._decision:
            await self._go_on()

    async def _save_note(self) -> None:
        # The panel is not rebuilt: the user may be clicking a button in it.
        async with self._writing:
            decision, note = self._decision, self._note.value
            if decision and decision.stands and note != decision.note:
                await self._saved(*self._decision_change(decision.response))

    def _decision_change(self, response: str) -> tuple[Callable[..., Decision], *tuple[Any, ...]]:
        """Return the change that makes this the response, with the current note."""
        exchange = self._done["exchange"]
        note = str(self._note.value or "")
        return decide, self._result, exchange, response, note, self._drafts, self._reviewer or ""

    async def _saved(self, change: Callable[..., Decision | None], *what: Any) -> bool:
        try:
            await asyncio.to_thread(change, self._run.ledger, self._position, *what)
            await asyncio.to_thread(self._load)
        except LedgerError as error:
            self._notify(
                f"Not saved: {error}", type="negative", multi_line=True, timeout=0, close_button="Close"
            )
            return False
        # A text that is still being written stays, whatever is decided meanwhile.
        self._leave_to_others()
        draft = self._run.drafts.drop(self._key)
        self._seen = None
        if draft and draft.text is not None and not self._area:
            self._seen = Draft(draft.text, self._decision.note if self._decision else "")
            self._run.drafts.keep(self._key, self._seen)
        return True

    def _load(self) -> None:
        """Read what all reviewers have decided by now."""
        position, mode, exchange = self._place
        by_exchange = load_reviews(self._run.ledger, [position]).get((position, mode), {})
        self._reviews = by_exchange.get(exchange, ())
        self._changes = load_history(self._run.ledger, self._place)

    def _show(self) -> None:
        if self._further and not self._draft():
            self._further = None
        decision, draft = self._decision, self._draft()
        self._area, self._seen = None, draft
        self._panel.clear()
        with self._panel:
            with ui.row().classes("decision-bar items-center gap-2"):
                name = _button(self._reviewer or "Your decision", self._ask_name, "reviewer")
                name.props("icon=person dir=auto").tooltip("decide under another name")
                ui.html(self._tags(), sanitize=False)
                self._note_field()
                self._note.on("blur", self._save_note)
                _button("Accept (a)", self.accept, "accept")
                if self._done["response"] != self._done["original"]:
                    _button("Reject (r)", self.reject, "reject")
                _button(
                    "Go on writing (e)" if draft and draft.text is not None else "Edit (e)", self.edit, "edit"
                )
                if decision:
                    _button("Take back (z)", self.take_back, "take-back")
                self._going_on = ui.checkbox(
                    "then the next undecided (g)",
                    value=(self._reviewer or "") in self._run.review.going_on,
                    on_change=self._set_going_on,
                )
                self._going_on.props("dense").classes("small goes-on")
            if decision and (decision.kind in ("chosen", "edited") or not decision.stands):
                result = Column("The result", self._done["response"], "result")
                wanted = Column("The response you want", decision.response, "wanted")
                with ui.column().classes("panel"):
                    differences(result, wanted)
            for place, other in self._run.drafts.others(self._key).items():
                self._show_other(place, other)
            if self._changes:
                history(self._changes, self._done["response"], self.choose)

    def _show_other(self, place: Place, draft: Draft) -> None:
        def go_on() -> None:
            self._further = place
            self.edit()

        def discard() -> None:
            self._run.drafts.drop(place)
            self._show()

        with ui.column().classes("panel other-draft"):
            with ui.row().classes("items-center gap-2"):
                ui.label("Another draft of yours, from another window").classes("faint small")
                _button("Go on with it", go_on, "go-on-with")
                _button("Discard", discard, "discard-other")
            plain_text(draft.note if draft.text is None else draft.text)

    def _tags(self) -> str:
        tags = '<span class="tag">none yet</span>'
        if self._decision:
            tags = html_tags.decision(replace(self._decision, reviewer=""))
        elif any(each.disputed for each in self._reviews):
            tags += f' <span class="tag bad">{REVIEWERS_DISAGREE}</span>'
        draft = self._draft()
        return tags + (draft.tag if draft else "")

    def _note_field(self) -> None:
        draft, decision = self._draft(), self._decision
        note = draft.note if draft else decision.note if decision else ""
        self._note = ui.input(placeholder="why (optional)", value=note, on_change=self._keep)
        self._note.props('dense outlined dir=auto maxlength=1000 aria-label="why"').classes("grow note")
        # Without the focus, so that the keys work again.
        self._note.on("keydown.enter", js_handler="event => event.target.blur()")

    async def _unless_editing(self, action: Callable[[], Awaitable[None] | None]) -> None:
        if not self._area and (waiting := action()):
            await waiting


def _button(name: str, action: Callable[[], Any], role: str) -> ui.button:
    return ui.button(name, on_click=action).props("dense no-caps flat padding='2px 10px'").classes(role)
