"""The page on which people judge: two responses, and nothing that says which arm they come from.

Neither the page nor its address holds more than the reviewer's name and a number in an order that is the
reviewer's own (`trials.blind`); what belongs to a number is known to the server alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fastapi import Request
from nicegui import ui

from ledger.decisions import MAX_NAME
from ledger.ledger import LedgerError
from reporting.manifest import RunError
from reporting.trial import TrialSample
from reporting.trial_decisions import Decision
from trials.blind import Shown, shuffled
from viewer import conversation
from viewer.conversation import ModeResult
from viewer.frame import keys, text
from viewer.reviewer import this_reviewer
from viewer.run import address, number_in
from viewer.search import neighbors
from viewer.trial_frame import JUDGE, OVERVIEW, WAIT, TrialPages, frame

_INTRODUCTION = (
    "You will see a request and two responses, in random order and without a hint of where they come from. "
    "Say which one is better, or that neither is. You can stop at any time, and go on later under the same "
    "name."
)


def add(pages: TrialPages) -> None:
    """Add the page."""

    @ui.page(JUDGE, title=f"Judge · {pages.name}", response_timeout=WAIT + 10)
    async def judge(request: Request) -> None:
        person = request.query_params.get("as", "").strip()[:MAX_NAME]
        with frame(pages, JUDGE):
            if not person:
                _ask_name(pages)
                return
            pages.person = person
            work = await _work(pages, person)
            if not work.order:
                ui.label("No sample is finished in all arms yet, or all responses are the same text.")
                return
            given = number_in(request.query_params.get("at", ""))
            at = given - 1 if given else work.next_open(-1)
            _progress(work)
            if at is None or at not in range(len(work.order)):
                _finished(work)
                return
            found = await asyncio.to_thread(pages.trial.find_sample, work.order[at].sample)
            if found is None:
                ui.label("This sample is being worked on again: reload the page in a moment.")
                return
            _comparison(pages, work, at, found)


class Work(NamedTuple):
    """What a person has to judge, and has judged."""

    person: str
    order: Sequence[Shown]
    decided: Mapping[int, Decision]
    """By position in the order."""

    def link(self, at: int | None) -> str:
        """Return the address of a comparison by its position; that of the next open one for None."""
        return address(JUDGE, {"as": self.person, "at": None if at is None else at + 1})

    def next_open(self, after: int) -> int | None:
        """Return the position of the next comparison that is not decided, from the last also to the first."""
        positions = [*range(after + 1, len(self.order)), *range(after + 1)]
        return next((at for at in positions if at not in self.decided), None)


async def _work(pages: TrialPages, person: str) -> Work:
    found = await pages.comparisons.latest(WAIT) or {}
    order = shuffled(found, person, pages.trial.manifest["seed"])
    decisions = {
        (each.sample, each.exchange, frozenset((each.arm_a, each.arm_b))): each
        for each in await asyncio.to_thread(pages.trial.decisions)
        if each.person == person and each.texts in (None, found.get(each.key[1:]))
    }
    decided = {
        at: decisions[key]
        for at, each in enumerate(order)
        if (key := (each.sample, each.exchange, each.arms)) in decisions
    }
    return Work(person, order, decided)


def _ask_name(pages: TrialPages) -> None:
    def begin() -> None:
        if given := str(name.value or "").strip():
            ui.navigate.to(address(JUDGE, {"as": given}))
        else:
            ui.notify("A name is needed, to tell one reviewer's decisions from another's")

    ui.html("<h2>Judge, blind</h2>", sanitize=False)
    ui.label(_INTRODUCTION).classes("said")
    with ui.row().classes("items-center gap-3"):
        name = ui.input("Your name", value=this_reviewer()).props(
            f"outlined dense autofocus maxlength={MAX_NAME}"
        )
        name.classes("person").on("keydown.enter", begin)
        ui.button("Begin", on_click=begin).props("no-caps").classes("begin")
        if pages.person:
            again = address(JUDGE, {"as": pages.person})
            ui.link(f"go on as {pages.person}", again).props("dir=auto").classes("again")


def _progress(work: Work) -> None:
    done, total = len(work.decided), len(work.order)
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center gap-3"):
            ui.label(f"{done:,} of {total:,} judged, {total - done:,} left").classes("font-semibold progress")
            ui.label(work.person).classes("faint reviewer").props("dir=auto")
        ui.linear_progress(done / total, show_value=False, size="6px").props(
            'rounded instant-feedback aria-label="comparisons judged"'
        )


def _finished(work: Work) -> None:
    ui.label("Nothing is left to judge. Thank you.").classes("text-lg finished")
    with ui.row().classes("gap-4"):
        ui.link("look at your decisions again", work.link(0))
        ui.link("what the trial found", OVERVIEW)


def _comparison(pages: TrialPages, work: Work, at: int, found: TrialSample) -> None:
    shown = work.order[at]
    ui.page_title(f"{at + 1} of {len(work.order)} · {pages.name}")
    results = next(iter(found.results.values()))
    # As referees, people see the exchanges before as they were.
    conversation.request(
        found.sample, shown.exchange, [ModeResult(found.sample, replace(results, outcome=[]))]
    )
    responses = found.responses.get(shown.exchange, {})
    with ui.element("div").classes("two"):
        for name, arm in (("Left", shown.left), ("Right", shown.right)):
            with ui.column().classes(f"panel {name.lower()}"):
                ui.label(name).classes("faint small")
                text(responses.get(arm, ""))
    _Decide(pages, work, at, responses)


class _Decide:
    """The bar in which a person decides."""

    def __init__(self, pages: TrialPages, work: Work, at: int, responses: Mapping[str, str]) -> None:
        self._pages, self._work, self._at, self._responses = pages, work, at, responses
        self._shown = work.order[at]
        self._is_left_behind = False
        """Whether the page is about to be another: a key that is pressed twice decides once."""
        size = len(work.order)
        with ui.row().classes("verdict-bar items-center"):
            self._button("Left is better (1)", self.left, "left-better")
            self._button("Tie (0)", self.tie, "tie")
            self._button("Right is better (2)", self.right, "right-better")
            self._button("Take back (z)", self.take_back, "take-back")
            if at in work.decided:
                ui.html(f'<span class="tag user">you said: {self._said()}</span>', sanitize=False)
            ui.space()
            ui.label(f"{at + 1:,} of {size:,}").classes("faint small")
            neighbors({"k": work.link(at - 1) if at else "", "j": work.link(at + 1) if at + 1 < size else ""})
        keys({"1": self.left, "2": self.right, "0": self.tie, "=": self.tie, "z": self.take_back})

    def _button(self, name: str, action: object, style: str) -> None:
        button = ui.button(name, on_click=action)  # type: ignore[arg-type]
        button.props("dense no-caps flat padding='2px 10px'").classes(style)

    def _said(self) -> str:
        decision = self._work.decided[self._at]
        if decision.outcome == 0.5:
            return "a tie"
        better = decision.arm_a if decision.outcome == 1 else decision.arm_b
        return "left is better" if better == self._shown.left else "right is better"

    async def left(self) -> None:
        """Decide for the left response."""
        await self._decide(self._shown.left)

    async def right(self) -> None:
        """Decide for the right response."""
        await self._decide(self._shown.right)

    async def tie(self) -> None:
        """Decide that neither is better."""
        await self._decide("")

    async def take_back(self) -> None:
        """Withdraw the decision on this comparison or, if there is none, the last one, and show it."""
        last = self._pages.decided.get(self._work.person, [])
        shown = self._shown if self._at in self._work.decided else last[-1] if last else None
        if shown is None or shown not in self._work.order:
            ui.notify("There is nothing to take back")
        elif await self._write(shown, None):
            if shown in last:
                last.remove(shown)
            ui.navigate.to(self._work.link(self._work.order.index(shown)))

    async def _decide(self, better: str) -> None:
        if await self._write(self._shown, better):
            last = self._pages.decided.setdefault(self._work.person, [])
            if self._shown in last:
                last.remove(self._shown)
            last.append(self._shown)
            decided = {**self._work.decided, self._at: None}
            following = self._work._replace(decided=decided).next_open(self._at)  # type: ignore[arg-type]
            ui.navigate.to(self._work.link(following))

    async def _write(self, shown: Shown, better: str | None) -> bool:
        if self._is_left_behind:
            return False
        self._is_left_behind = True
        try:
            await asyncio.to_thread(
                self._pages.trial.decide,
                self._work.person,
                shown.sample,
                shown.exchange,
                shown.left,
                shown.right,
                better,
                self._responses if shown == self._shown else None,
            )
        except (OSError, RunError, LedgerError) as error:
            self._is_left_behind = False
            ui.notify(
                f"Not saved: {error}", type="negative", multi_line=True, timeout=0, close_button="Close"
            )
            return False
        return True
