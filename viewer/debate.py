"""The debate on an exchange, round by round: what each agent said, and what became of it."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nicegui import ui

from prompts.cleaning import clean_draft
from prompts.method import STEPS
from prompts.pack import request_text
from reporting import html_tags, labels
from reporting.transcript import REPEATED, CallRow, StepCalls, Transcript
from samples.sample import Exchange
from viewer.diff_view import Column, differences
from viewer.frame import plain_text, text
from viewer.on_demand import expansion, show_dialog


def drafts_of(
    exchange: Exchange, done: Mapping[str, Any], debate: Transcript, *, clean: bool
) -> dict[int, str]:
    """Return the draft of each round; those of a failed exchange are in the editor's replies."""
    drafts: dict[int, str] = {each["round"]: each["draft"] for each in done["rounds"]}
    current, request = exchange.response, request_text(exchange.instruction, exchange.input)
    for number, steps in debate.items():
        editor = steps.get("editor")
        if number not in drafts and editor and editor.counted and not editor.counted["failure"]:
            # As the editor's node does.
            reply = editor.counted["reply"]
            drafts[number] = clean_draft(reply, request, current) if clean else reply
        current = drafts.get(number, current)
    return drafts


def rounds(
    done: Mapping[str, Any],
    debate: Transcript,
    drafts: Mapping[int, str],
    choose: Callable[[str], Awaitable[None]],
) -> None:
    """Show the rounds of an exchange; `choose` decides for the draft of one."""
    outcomes = {each["round"]: each for each in done["rounds"]}
    current = done["original"]
    for number in sorted(debate.keys() | outcomes.keys()):
        outcome, steps = outcomes.get(number), debate.get(number, {})
        if outcome is None and not any(each.counted for each in steps.values()):
            _superseded(number, steps, current)
            continue
        with ui.row().classes("items-center gap-3"):
            ui.label(f"Round {number}").classes("text-lg font-semibold")
            if outcome:
                ui.html(html_tags.round_outcome(outcome), sanitize=False)
            if drafts.get(number, "") not in ("", done["response"], done["original"]):
                use = partial(choose, drafts[number])
                ui.button("use this draft", on_click=use).props("flat dense no-caps").classes("use")
        with ui.column().classes("w-full gap-3 round"):
            for step in STEPS.values():
                if step.purpose != "verdict":
                    _calls_of(steps.get(step.name), current)
            with ui.element("div").classes("two"):
                for step in STEPS.values():
                    if step.purpose == "verdict":
                        with ui.column().classes("w-full"):
                            _calls_of(steps.get(step.name), current, outcome)
        before = [
            each for step_calls in steps.values() for each in step_calls.superseded if each[1] == REPEATED
        ]
        if before:
            _folded(f"Earlier calls of this round: {labels.not_counted(REPEATED)}", before, current)
        # Of a failed exchange, the accepted drafts are not recorded: they are those that a round followed.
        if number in drafts and (outcome["accepted"] if outcome else "failure" in done):
            current = drafts[number]


def _calls_of(calls: StepCalls | None, current: str, outcome: Mapping[str, Any] | None = None) -> None:
    if calls is None:
        return
    if calls.counted:
        for call in (calls.counted, *calls.others):
            _bubble(call, current, outcome)
    others = [each for each in calls.superseded if each[1] != REPEATED]
    if others:
        why = labels.not_counted("; ".join(dict.fromkeys(why for _, why in others)))
        _folded(f"{STEPS[others[0][0]['step']].label}: {why}", others, current)


def _superseded(number: int, steps: Mapping[str, StepCalls], current: str) -> None:
    calls = [each for step_calls in steps.values() for each in step_calls.superseded]
    _folded(f"Round {number}: {labels.not_counted(REPEATED)}", calls, current)


def _folded(title: str, calls: Sequence[tuple[CallRow, str]], current: str) -> None:
    """Show calls that do not count, folded."""

    def bubbles() -> None:
        for call, _ in calls:
            _bubble(call, current)

    expansion(title, bubbles, "not-counted")


def _bubble(call: CallRow, current: str, outcome: Mapping[str, Any] | None = None) -> None:
    step = call["step"]
    role = STEPS[step].role
    side = "other" if role == "critical" else "wide" if role in ("advisor", "editor", "judge") else ""
    with ui.column().classes(f"bubble {role} {side}"):
        with ui.row().classes("items-center w-full gap-2"):
            ui.label(labels.speaker(call, outcome)).classes("who")
            if outcome:
                ui.html(html_tags.verdict(call, outcome), sanitize=False)
            if call["failure"]:
                ui.html('<span class="tag bad">failed</span>', sanitize=False)
            ui.space()
            with ui.row().classes("items-center gap-x-2 gap-y-0") as tools:
                ui.label(labels.call_summary(call)).classes("faint small")
                if STEPS[step].purpose == "draft" and call["reply"]:
                    _on_demand("differences", lambda: _draft(current, call["reply"]))
                _on_demand("messages", lambda: _messages(call))
        if call["failure"]:
            plain_text(labels.reason(call["failure_kind"], call["failure"]), style="small")
        if call["thoughts"]:
            title = labels.thoughts(call)
            expansion(title[0].upper() + title[1:], lambda: plain_text(call["thoughts"]), "thoughts small")
        if call["reply"]:
            text(call["reply"], tools)


def _on_demand(name: str, content: Callable[[], None]) -> None:
    """Show a button that opens a dialog."""
    button = ui.button(name, on_click=partial(show_dialog, name, content))
    button.props("flat dense no-caps").classes(f"open-{name}")


def _draft(current: str, draft: str) -> None:
    differences(Column("Current response", current, "old"), Column("The editor's reply", draft, "new"))


def _messages(call: Mapping[str, Any]) -> None:
    ui.label(STEPS[call["step"]].label).classes("text-lg font-semibold")
    cached = f", {call['cached_tokens']:,} of them cached" if call["cached_tokens"] else ""
    given, made, to = call["input_tokens"], call["output_tokens"], call["shortened_to"]
    facts = {
        "model": call["model"],
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(call["started"])),
        "latency": labels.seconds(call["latency"]),
        "attempts": call["attempts"],
        "tokens in": f"{given:,}{cached}" if given is not None else "not reported",
        "tokens out": f"{made:,}" if made is not None else "not reported",
        **({"debate shortened to fit": f"to {to:,} characters a speech"} if to is not None else {}),
        "finish reason": call["finish_reason"] or "none",
        "request": call["request"],
    }
    ui.label(" · ".join(f"{name}: {value}" for name, value in facts.items())).classes("faint small")
    for message in [*call["messages"], {"role": "reply", "content": call["reply"]}]:
        with ui.column().classes("message"):
            ui.label(message["role"]).classes("faint small")
            plain_text(message["content"], style="small")
