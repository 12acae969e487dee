"""One sample on both sides: the request, the original response, and the results at A and B."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from nicegui import ui

from ledger.ledger import Result
from reporting import html_tags, html_text, labels
from reporting.comparison import Comparison
from viewer import conversation
from viewer.compare import WAIT
from viewer.comparison_links import ComparisonQuery, Side, Sides
from viewer.conversation import Chip, ModeResult, exchanges, mentioning, shown_exchange
from viewer.diff_view import Column, diff_view
from viewer.frame import COMPARE, frame, key_links, mark_in_texts, missing_sample, plain_text
from viewer.run import sample_path
from viewer.search import neighbors, search_neighbors

Done = Mapping[str, Any] | None
"""The outcome of an exchange, None where it was not worked on."""


def add(sides: Sides) -> None:
    """Add the page."""

    path = f"{sides.base}{COMPARE}/sample/{{sample_id:path}}"

    @ui.page(path, response_timeout=30)
    async def pair(request: Request, sample_id: str) -> Response | None:
        view = ComparisonQuery.read(sides, request.query_params)
        compared = await sides.compared(view.a, view.b).latest(WAIT)
        named = await asyncio.to_thread(view.a.run.sample_at, sample_id, request.query_params)
        found = compared.pair_at(named[0].position) if compared and named else None
        if compared is None or named is None or found is None:
            return missing_sample(request, view.a.run, COMPARE, sample_id, view.link(), "on both sides")
        position = named[0].position
        with frame(view.a.run, COMPARE):
            ui.page_title(f"{labels.shorten(named[0].id, 60)} · {view.names}")
            if view.text:
                mark_in_texts(view.text)
            show_neighbors = await _neighbors(view, compared, position)
            here = await asyncio.to_thread(_results, view.a, position)
            there = await asyncio.to_thread(_results, view.b, found.other)
            if here is None or there is None:
                ui.label("One of its results is being replaced: reload the page in a moment.")
                return None
            _title(view, here, there, show_neighbors)
            matching = _matching(view, here, there)
            number = shown_exchange(request.query_params, here.sample, matching)
            _body(view, here, there, matching, number)
        return None


async def _neighbors(view: ComparisonQuery, compared: Comparison, position: int) -> Callable[[], None]:
    """Return a function that shows links to the previous and the next pair."""
    if view.text:
        searches = {
            key: view.search(compared, position=position, back=back)
            for key, back in (("k", True), ("j", False))
        }
        return lambda: search_neighbors(searches, lambda found: view.pair_link(found.a[0]))
    found = await asyncio.to_thread(
        compared.adjacent, view.kind, view.order, down=view.down, position=position
    )
    around = {position for position in found if position is not None}
    samples = {s.position: s for s, _ in await asyncio.to_thread(view.a.run.ledger.samples_at, around)}
    links = {
        key: view.pair_link(samples[neighbor]) if neighbor in samples else ""
        for key, neighbor in zip("kj", found, strict=True)
    }
    return lambda: neighbors(links)


def _matching(view: ComparisonQuery, here: ModeResult, there: ModeResult) -> Sequence[int]:
    """Return the exchanges for which the pair matches the filter, or in which the text occurs."""
    if view.text:
        found = mentioning(view.text, here.sample, here.result, there.result)
        return sorted(found | mentioning(view.text, there.sample))
    indices = range(len(here.sample.exchanges))
    pairs = {index: [_done(each.result, index) for each in (here, there)] for index in indices}
    failed = {index: ["failure" in (done or {}) for done in pair] for index, pair in pairs.items()}
    changed = {
        index: [bool(done and done["accepted_rounds"]) for done in pair] for index, pair in pairs.items()
    }
    match view.kind:
        case "failed":
            return [index for index in indices if failed[index][0] != failed[index][1]]
        case "both":
            return [index for index in indices if all(changed[index])]
        case "only_a" | "only_b":
            return [index for index in indices if any(changed[index])]
        case _:
            differ = zip(here.responses, there.responses, strict=False)
            return [index for index, (a, b) in enumerate(differ) if a != b]


def _results(side: Side, position: int) -> ModeResult | None:
    for sample, by_mode in side.run.ledger.samples_at([position]):
        if side.mode in by_mode:
            return ModeResult(sample, by_mode[side.mode])
    return None


def _title(
    view: ComparisonQuery, here: ModeResult, there: ModeResult, show_neighbors: Callable[[], None]
) -> None:
    link_back = view.link(begin=view.begin or None)
    key_links({"u": link_back})
    with ui.row().classes("items-center w-full gap-3"):
        ui.link("← table", link_back).classes("faint").tooltip("key u")
        ui.label(here.sample.id).classes("text-lg font-semibold sample-id").props("dir=auto")
        ui.space()
        show_neighbors()
    with ui.element("div").classes("two"):
        for letter, side, (sample, result, _) in (("a", view.a, here), ("b", view.b, there)):
            with ui.row().classes("items-center gap-3"):
                ui.label(letter.upper()).classes(f"side {letter}")
                ui.label(side.name).classes("side-name")
                ui.html(html_tags.sample_outcome(result), sanitize=False)
                path, named = sample_path(sample)
                debate = side.run.address(path, {**named, "of": side.mode})
                ui.link("its debate", debate).classes(f"debate {letter}")


def _body(
    view: ComparisonQuery, here: ModeResult, there: ModeResult, matching: Sequence[int], number: int
) -> None:
    sample, other = here.sample, there.sample
    done = [_done(each.result, number) for each in (here, there)]
    chips = []
    for index in range(len(sample.exchanges)):
        a, b = (_outcome(_done(each.result, index)) for each in (here, there))
        label = a if a == b else f"A {a}, B {b}"
        chips.append(Chip(label, view.pair_link(sample, exchange=index + 1), index in matching))
    exchanges(chips, number)
    conversation.request(sample, number, [here._replace(by="A"), there._replace(by="B")])
    for letter, each in zip("AB", done, strict=True):
        if each and "failure" in each:
            with ui.column().classes("panel"):
                ui.label(f"Why {letter} failed").classes("faint small")
                plain_text(labels.failure_line(each["failure"]))
    originals = [each.exchanges[number].response for each in (sample, other)]
    columns = [Column("Original", originals[0], "original")]
    if originals[0] != originals[1]:
        columns = [Column(f"Original of {x}", t, "original") for x, t in zip("AB", originals, strict=True)]
    for letter, original, each in zip("AB", originals, done, strict=True):
        ending = labels.ENDINGS[each["ending"]] if each else "not worked on"
        response = each["response"] if each else original
        columns.append(Column(f"{letter}, {ending}", response, letter.lower()))
    diff_view(columns, _MARKINGS)


def _done(result: Result, number: int) -> Done:
    return next((done for done in result.outcome if done["exchange"] == number), None)


def _outcome(done: Done) -> str:
    return labels.exchange_outcome(done) if done else "not worked on"


def _each_other(contents: Sequence[str]) -> list[str]:
    *originals, a, b = contents
    return [*map(html_text.plain, originals), *html_text.marked(a, b, fold=True)]


def _the_original(contents: Sequence[str]) -> list[str]:
    *originals, a, b = contents
    new = (html_text.marked(originals[i], each, fold=True)[1] for i, each in ((0, a), (-1, b)))
    return [*map(html_text.plain, originals), *new]


_MARKINGS = {"A against B": _each_other, "Against the original": _the_original}
