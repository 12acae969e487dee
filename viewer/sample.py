"""One sample: what was asked, the old and the new response, and how the agents got from one to the other."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastapi import Request
from nicegui import ui

from ledger import browse
from ledger.browse import Key
from ledger.decisions import Decision, on_file
from ledger.ledger import Result
from models.call import ROLE_OF_STEP, STEPS, Step
from samples.sample import Exchange, Sample
from viewer import texts
from viewer.beside import Column, beside
from viewer.decision import Panel
from viewer.frame import frame, keyboard, plain_text, text
from viewer.look import seconds
from viewer.run import Run
from viewer.samples import View
from viewer.words import ENDINGS, STEP_NAMES, brief, cost, decision, outcome_tags, verdict

Calls = Mapping[tuple[int, int, str], list[dict[str, Any]]]
"""The calls of a sample in a mode, by exchange, round and step."""


def add(run: Run) -> None:
    """Adds the page."""

    @ui.page(run.address("/sample/{position}"), title=f"Sample · {run.name}", response_timeout=30)
    async def sample(request: Request, position: int) -> None:
        view = View.read(run, request.query_params)
        found = await asyncio.to_thread(run.ledger.at, [position])
        with frame(run, "/samples"):
            if not found:
                ui.label(f"There is no result for the sample at place {position} yet.")
                return
            sample, by_mode = found[0]
            mode = request.query_params.get("of", "")
            if mode not in by_mode:
                mode = next(iter(by_mode))
            before, after = await asyncio.to_thread(
                browse.beside, run.ledger, view.wanted, view.order, down=view.down, key=(position, mode)
            )
            _title(view, sample, by_mode, mode, before, after)
            calls = await asyncio.to_thread(_calls, run, sample.id, mode)
            decided = (await asyncio.to_thread(on_file, run.ledger, [position])).get((position, mode), {})
            chosen = request.query_params.get("exchange", "")
            number = int(chosen) - 1 if chosen.isdecimal() else 0
            _body(view, sample, by_mode[mode], calls, decided, number)


def _calls(run: Run, sample_id: str, mode: str) -> Calls:
    grouped: dict[tuple[int, int, str], list[dict[str, Any]]] = defaultdict(list)
    for call in run.ledger.calls(sample_id):
        if call["mode"] == mode:
            grouped[call["exchange"], call["round"], call["step"]].append(call)
    return grouped


def _title(
    view: View,
    sample: Sample,
    by_mode: Mapping[str, Result],
    mode: str,
    before: Key | None,
    after: Key | None,
) -> None:
    links = {
        "k": view.sample_link(before) if before else "",
        "j": view.sample_link(after) if after else "",
        "u": view.link(),
    }
    keyboard(links)
    result = by_mode[mode]
    with ui.row().classes("items-center w-full gap-3"):
        ui.link("← table", links["u"]).classes("faint").tooltip("key u")
        ui.label(sample.id).classes("text-lg font-semibold sample-id").props("dir=auto")
        ui.html(outcome_tags(result), sanitize=False)
        for other in by_mode:
            if len(by_mode) > 1:
                link = ui.link(other, view.sample_link((sample.position, other)))
                link.classes("tag" if other != mode else "tag here")
        if result.outcome:
            way = view.run.address("/graph", {"mode": mode, "sample": str(sample.position)})
            ui.link("its way", way).classes("faint its-way")
        ui.space()
        for key, name in (("k", "previous"), ("j", "next")):
            if links[key]:
                ui.link(f"{name} ({key})", links[key]).classes(name)
    # Of a single exchange its failure is said below.
    if result.reason and (result.status == "skipped" or len(sample.exchanges) > 1):
        with ui.column().classes("panel"):
            ui.label("Why it was skipped" if result.status == "skipped" else "Why it failed").classes(
                "faint small"
            )
            plain_text(result.reason)


def _body(
    view: View,
    sample: Sample,
    result: Result,
    calls: Calls,
    decided: Mapping[int, Decision],
    number: int,
) -> None:
    if not sample.exchanges:
        ui.label("The record as it is").classes("faint small")
        plain_text(str(sample.record))
        return
    number = number if number in range(len(sample.exchanges)) else 0
    if len(sample.exchanges) > 1:
        _exchanges(view, sample, result, decided, number)
    done = next((done for done in result.outcome if done["exchange"] == number), None)
    exchange = sample.exchanges[number]
    if sample.system:
        with ui.expansion("System prompt").classes("w-full panel"):
            plain_text(sample.system)
    if number:
        _conversation_before(sample, result, number)
    request_panel(exchange)
    if done is None:
        ui.label("This exchange was not worked on.").classes("faint")
        with ui.column().classes("panel"):
            ui.label("Response").classes("faint small")
            text(exchange.response)
        return
    panel = Panel(view.run, sample.position, result, done, decided.get(number))
    _responses(exchange.response, done)
    _rounds(done, calls, panel)


def request_panel(exchange: Exchange) -> None:
    """What was asked."""
    with ui.column().classes("panel request"):
        ui.label("Request").classes("faint small")
        text(exchange.instruction)
        if exchange.input:
            ui.label("Input").classes("faint small")
            text(exchange.input)


def _exchanges(
    view: View, sample: Sample, result: Result, decided: Mapping[int, Decision], number: int
) -> None:
    worked_on = {done["exchange"]: done for done in result.outcome}
    links = [
        view.sample_link((sample.position, result.mode), exchange=place + 1)
        for place in range(len(sample.exchanges))
    ]
    with ui.row().classes("exchanges items-center"):
        for place, link in enumerate(links):
            done = worked_on.get(place)
            says = brief(done) if done else "not worked on"
            mark = " ✓" if place in decided and decided[place].stands else ""
            ui.link(f"{place + 1}: {says}{mark}", link).classes("here" if place == number else "")
        ui.label("keys p and n").classes("faint small")
    around = ["", *links, ""]
    keyboard({"p": around[number], "n": around[number + 2]})


def _conversation_before(sample: Sample, result: Result, number: int) -> None:
    evolved = {done["exchange"]: done["response"] for done in result.outcome}

    def fill() -> None:
        # Built when it is opened: most people never do, and it may be long.
        if not opened.value or filled:
            return
        filled.append(True)
        with opened:
            for place, exchange in enumerate(sample.exchanges[:number]):
                _turn(place, exchange, evolved.get(place, exchange.response))

    filled: list[bool] = []
    opened = ui.expansion(f"The conversation before ({number})", on_value_change=fill).classes("w-full panel")


def _turn(place: int, exchange: Exchange, response: str) -> None:
    ui.label(f"Request {place + 1}").classes("faint small")
    text(exchange.instruction)
    ui.label("Response" + (", evolved" if response != exchange.response else "")).classes("faint small")
    text(response)
    ui.separator()


def _responses(original: str, done: Mapping[str, Any]) -> None:
    new = done["response"]
    ui.label(f"Ended: {ENDINGS.get(done['ending'], done['ending'])}.").classes("faint small ending")
    if "failure" in done:
        with ui.column().classes("panel"):
            ui.label("Why it failed").classes("faint small")
            plain_text(
                f"{done['failure']['step']}, round {done['failure']['round']}: {done['failure']['message']}"
            )
    if new == original:
        with ui.column().classes("panel"):
            ui.label("Response, unchanged").classes("faint small")
            text(original)
        return
    _side_by_side(original, new, "Old response", "New response")


def _side_by_side(old: str, new: str, old_name: str, new_name: str) -> None:
    beside(
        [Column(old_name, old, "old"), Column(new_name, new, "new")],
        {"Differences": lambda both: texts.marked(*both)},
    )


def _rounds(done: Mapping[str, Any], calls: Calls, panel: Panel) -> None:
    outcomes = {each["round"]: each for each in done["rounds"]}
    numbers = {round_ for exchange, round_, _ in calls if exchange == done["exchange"]} | set(outcomes)
    current = done["original"]
    for number in sorted(numbers):
        outcome = outcomes.get(number)
        with ui.row().classes("items-center gap-3"):
            ui.label(f"Round {number}").classes("text-lg font-semibold")
            if outcome:
                ui.html(decision(outcome), sanitize=False)
                if outcome["draft"] not in (done["response"], done["original"]):
                    choose = partial(panel.choose, outcome["draft"])
                    ui.button("use this draft", on_click=choose).props("flat dense no-caps").classes("use")
        made = {step: calls.get((done["exchange"], number, step), []) for step in STEPS}
        with ui.column().classes("w-full gap-3 round"):
            for step in STEPS[:6]:
                for call in made[step]:
                    _bubble(call, current)
            with ui.element("div").classes("two"):
                for step in STEPS[6:]:
                    with ui.column().classes("w-full"):
                        for call in made[step]:
                            _bubble(call, current, outcome)
        if outcome and outcome["accepted"]:
            current = outcome["draft"]


def _bubble(call: dict[str, Any], current: str, outcome: Mapping[str, Any] | None = None) -> None:
    step: Step = call["step"]
    role = ROLE_OF_STEP[step]
    side = "other" if role == "critical" else "wide" if role in ("advisor", "editor", "judge") else ""
    with ui.column().classes(f"bubble {role} {side}"):
        with ui.row().classes("items-center w-full gap-2"):
            ui.label(STEP_NAMES[step]).classes("who")
            if outcome:
                ui.html(verdict(step, outcome), sanitize=False)
            if call["failure"]:
                ui.html('<span class="tag bad">failed</span>', sanitize=False)
            ui.space()
            with ui.row().classes("items-center gap-2 no-wrap"):
                ui.label(cost(call)).classes("faint small")
                if step == "editor" and call["reply"]:
                    _on_demand("differences", lambda: _draft(current, call["reply"]))
                _on_demand("messages", lambda: _messages(call))
        if call["failure"]:
            plain_text(call["failure"], style="small")
        if call["reply"]:
            text(call["reply"])


def _on_demand(name: str, content: Callable[[], None]) -> None:
    """A button that opens a dialog; what is in it is made and sent only then."""

    def show() -> None:
        with ui.dialog(value=True) as dialog, ui.card().classes("w-full").style("max-width: 1100px"):
            content()
            ui.button("Close", on_click=dialog.close).props("flat dense no-caps").classes("self-end")
        dialog.on("hide", dialog.delete)

    ui.button(name, on_click=show).props("flat dense no-caps").classes(f"open-{name}")


def _draft(current: str, draft: str) -> None:
    _side_by_side(current, draft, "Current response", "The editor's reply")


def _messages(call: Mapping[str, Any]) -> None:
    ui.label(STEP_NAMES[call["step"]]).classes("text-lg font-semibold")
    cached = f", {call['cached_tokens']:,} of them cached" if call["cached_tokens"] else ""
    given, made, to = call["input_tokens"], call["output_tokens"], call["shortened_to"]
    facts = {
        "model": call["model"],
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(call["started"])),
        "latency": seconds(call["latency"]),
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
