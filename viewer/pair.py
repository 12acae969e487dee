"""One sample on both sides: what was asked, the response it had, and what it became at A and at B."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from nicegui import ui

from ledger.ledger import Result
from samples.sample import Sample
from viewer import texts
from viewer.beside import Column, beside
from viewer.compare import WAIT
from viewer.frame import COMPARE, frame, keyboard, plain_text
from viewer.sample import request_panel
from viewer.sides import Side, Sides, View
from viewer.words import ENDINGS, brief, outcome_tags

Done = Mapping[str, Any] | None
"""What came of an exchange, None where it was not worked on."""


def add(sides: Sides) -> None:
    """Adds the page."""

    @ui.page(f"{COMPARE}/sample/{{position}}", title="Sample compared · coevol", response_timeout=30)
    async def pair(request: Request, position: int) -> None:
        view = View.read(sides, request.query_params)
        compared = await sides.compared(view.a, view.b).latest(WAIT)
        found = compared.at(position) if compared else None
        with frame(view.a.run, COMPARE):
            if compared is None or found is None:
                ui.label(f"The sample at place {position} of A has no result on both sides yet.")
                return
            before, after = await asyncio.to_thread(
                compared.beside, view.kind, view.order, down=view.down, position=position
            )
            links = {
                "k": view.pair_link(before) if before is not None else "",
                "j": view.pair_link(after) if after is not None else "",
                "u": view.link(),
            }
            here = await asyncio.to_thread(_results, view.a, position)
            there = await asyncio.to_thread(_results, view.b, found.other)
            if here is None or there is None:
                ui.label("One of its results is being worked on again: load the page anew in a while.")
                return
            _title(view, here, there, links)
            chosen = request.query_params.get("exchange", "")
            _body(view, here, there, int(chosen) - 1 if chosen.isdecimal() else 0)


def _results(side: Side, position: int) -> tuple[Sample, Result] | None:
    for sample, by_mode in side.run.ledger.at([position]):
        if side.mode in by_mode:
            return sample, by_mode[side.mode]
    return None


def _title(
    view: View, here: tuple[Sample, Result], there: tuple[Sample, Result], links: Mapping[str, str]
) -> None:
    keyboard(links)
    with ui.row().classes("items-center w-full gap-3"):
        ui.link("← table", links["u"]).classes("faint").tooltip("key u")
        ui.label(here[0].id).classes("text-lg font-semibold sample-id").props("dir=auto")
        ui.space()
        for key, name in (("k", "previous"), ("j", "next")):
            if links[key]:
                ui.link(f"{name} ({key})", links[key]).classes(name)
    with ui.element("div").classes("two"):
        for letter, side, (sample, result) in (("a", view.a, here), ("b", view.b, there)):
            with ui.row().classes("items-center gap-3"):
                ui.label(letter.upper()).classes(f"side {letter}")
                ui.label(side.name).classes("side-name")
                ui.html(outcome_tags(result), sanitize=False)
                debate = side.run.address(f"/sample/{sample.position}", {"of": side.mode})
                ui.link("its whole debate", debate).classes(f"debate {letter}")


def _body(view: View, here: tuple[Sample, Result], there: tuple[Sample, Result], number: int) -> None:
    sample, other = here[0], there[0]
    if number not in range(len(sample.exchanges)):
        number = 0
    done = [_done(result, number) for _, result in (here, there)]
    if len(sample.exchanges) > 1:
        with ui.row().classes("exchanges"):
            for place in range(len(sample.exchanges)):
                a, b = (_says(_done(result, place)) for _, result in (here, there))
                link = view.pair_link(sample.position, exchange=place + 1)
                words = f"{place + 1}: {a}" if a == b else f"{place + 1}: A {a}, B {b}"
                ui.link(words, link).classes("here" if place == number else "")
    request_panel(sample.exchanges[number])
    for letter, each in zip("AB", done, strict=True):
        if each and "failure" in each:
            with ui.column().classes("panel"):
                failure = each["failure"]
                ui.label(f"Why {letter} failed").classes("faint small")
                plain_text(f"{failure['step']}, round {failure['round']}: {failure['message']}")
    originals = [each.exchanges[number].response for each in (sample, other)]
    columns = [Column("Original", originals[0], "original")]
    if originals[0] != originals[1]:
        columns = [Column(f"Original of {x}", t, "original") for x, t in zip("AB", originals, strict=True)]
    for letter, original, each in zip("AB", originals, done, strict=True):
        ending = ENDINGS.get(each["ending"], each["ending"]) if each else "not worked on"
        response = each["response"] if each else original
        columns.append(Column(f"{letter}, {ending}", response, letter.lower()))
    beside(columns, _WAYS)


def _done(result: Result, number: int) -> Done:
    return next((done for done in result.outcome if done["exchange"] == number), None)


def _says(done: Done) -> str:
    return brief(done) if done else "not worked on"


def _each_other(contents: Sequence[str]) -> list[str]:
    *originals, a, b = contents
    return [*map(texts.plain, originals), *texts.marked(a, b)]


def _the_original(contents: Sequence[str]) -> list[str]:
    *originals, a, b = contents
    new = texts.marked(originals[0], a)[1], texts.marked(originals[-1], b)[1]
    return [*map(texts.plain, originals), *new]


_WAYS = {"A against B": _each_other, "Against the original": _the_original}
