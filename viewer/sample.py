"""One sample: the request, the old and the new response, and how the agents got from one to the other."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request, Response
from nicegui import ui

from ledger import browse
from ledger.browse import ResultKey
from ledger.decisions import Decision, load_history, load_reviews, of_reviewer
from ledger.ledger import Result
from reporting import html_tags, labels
from reporting.transcript import CallRow, transcript
from samples.sample import Sample
from viewer import conversation
from viewer.conversation import Chip, ModeResult, contradicts, exchanges, matching_exchanges, shown_exchange
from viewer.debate import drafts_of, rounds
from viewer.decision import Panel, Review
from viewer.diff_view import Column, differences
from viewer.frame import frame, key_links, mark_in_texts, missing_sample, plain_text, text
from viewer.reviewer import reviewer_in
from viewer.run import RunPages
from viewer.samples_query import SamplesQuery
from viewer.search import neighbors, search_neighbors

SEARCH = 5.0
"""Seconds that a search for the next undecided sample may take."""


RECONNECT = 60.0
"""Seconds without a connection after which a page is built again, without what was typed meanwhile."""


def add(run: RunPages) -> None:
    """Add the page."""

    @ui.page(
        run.address("/sample/{sample_id:path}"),
        title=f"Sample · {run.name}",
        response_timeout=30,
        reconnect_timeout=RECONNECT,
    )
    async def sample(request: Request, sample_id: str) -> Response | None:
        view = SamplesQuery.read(run, request.query_params)
        found = await asyncio.to_thread(run.sample_at, sample_id, request.query_params)
        if not found:
            return missing_sample(request, run, "/samples", sample_id, view.link(begin=view.begin or None))
        with frame(run, "/samples"):
            sample, by_mode = found
            ui.page_title(f"{labels.shorten(sample.id, 60)} · {run.name}")
            mode = request.query_params.get("of", "")
            if mode not in by_mode:
                mode = next(iter(by_mode))
            if view.wanted.text:
                mark_in_texts(view.wanted.text)
            _title(view, sample, by_mode, mode, await _neighbors(view, (sample.position, mode)))
            if not sample.exchanges:
                ui.label("The record as it is").classes("faint small")
                plain_text(labels.record_text(sample.record))
                return None
            calls = await asyncio.to_thread(_calls, run, sample.id, mode)
            reviews = await asyncio.to_thread(_reviews, run, (sample.position, mode))
            decided = of_reviewer(reviews, view.wanted.reviewer)
            matching = matching_exchanges(view.wanted, sample, by_mode[mode], decided)
            number = shown_exchange(request.query_params, sample, matching)
            _exchanges(view, sample, by_mode[mode], decided, matching, number)
            place = sample.position, mode, number
            review = Review(
                reviewer_in(request.cookies),
                reviews.get(number, ()),
                await asyncio.to_thread(load_history, run.ledger, place),
            )
            _body(view, sample, by_mode[mode], calls, review, number)
        return None


def _reviews(run: RunPages, key: ResultKey) -> Mapping[int, Sequence[Decision]]:
    return load_reviews(run.ledger, [key[0]]).get(key, {})


def _calls(run: RunPages, sample_id: str, mode: str) -> list[dict[str, Any]]:
    return [call for call in run.ledger.calls(sample_id) if call["mode"] == mode]


async def _neighbors(view: SamplesQuery, key: ResultKey) -> Callable[[], None]:
    """Return a function that shows links to the previous and the next sample."""
    ledger, wanted, order = view.run.ledger, view.wanted, view.order
    if wanted.is_searched:
        searches = {
            name: view.search(down=down, key=key) for name, down in (("k", not view.down), ("j", view.down))
        }
        return lambda: search_neighbors(
            searches, lambda found: view.sample_link(found.sample, found.result.mode)
        )
    found = await asyncio.to_thread(browse.adjacent, ledger, wanted, order, down=view.down, key=key)
    links = {name: await _link(view, each) for name, each in zip("kj", found, strict=True)}
    return lambda: neighbors(links)


async def _link(view: SamplesQuery, key: ResultKey | None) -> str:
    found = await asyncio.to_thread(view.run.ledger.samples_at, [key[0]]) if key else []
    return view.sample_link(found[0][0], key[1]) if key and found else ""


def _title(
    view: SamplesQuery,
    sample: Sample,
    by_mode: Mapping[str, Result],
    mode: str,
    show_neighbors: Callable[[], None],
) -> None:
    link_back = view.link(begin=view.begin or None)
    key_links({"u": link_back})
    result = by_mode[mode]
    with ui.row().classes("items-center w-full gap-3"):
        ui.link("← table", link_back).classes("faint").tooltip("key u")
        ui.label(sample.id).classes("text-lg font-semibold sample-id").props("dir=auto")
        ui.html(html_tags.sample_outcome(result), sanitize=False)
        for other in by_mode:
            if len(by_mode) > 1:
                link = ui.link(other, view.sample_link(sample, other))
                link.classes("tag" if other != mode else "tag here")
        if result.outcome:
            path = view.run.address("/graph", {"mode": mode, "sample": str(sample.position)})
            ui.link("its path", path).classes("faint sample-path")
        ui.space()
        show_neighbors()
    # The failure of a single exchange is shown below.
    if result.reason and (result.status == "skipped" or len(sample.exchanges) > 1):
        with ui.column().classes("panel"):
            ui.label("Why it was skipped" if result.status == "skipped" else "Why it failed").classes(
                "faint small"
            )
            plain_text(labels.reason(result.failure_kind, result.reason))


def _exchanges(
    view: SamplesQuery,
    sample: Sample,
    result: Result,
    decided: Mapping[int, Decision],
    matching: Sequence[int],
    number: int,
) -> None:
    worked_on = {done["exchange"]: done for done in result.outcome}
    chips = []
    for index in range(len(sample.exchanges)):
        done = worked_on.get(index)
        label = labels.exchange_outcome(done) if done else "not worked on"
        label += ", verdicts contradict" if done and contradicts(done) else ""
        label += " ✓" if index in decided and decided[index].stands else ""
        link = view.sample_link(sample, result.mode, exchange=index + 1)
        chips.append(Chip(label, link, index in matching))
    exchanges(chips, number)


def _body(
    view: SamplesQuery,
    sample: Sample,
    result: Result,
    calls: Sequence[CallRow],
    review: Review,
    number: int,
) -> None:
    done = next((done for done in result.outcome if done["exchange"] == number), None)
    exchange = sample.exchanges[number]
    conversation.request(sample, number, [ModeResult(sample, result)])
    if done is None:
        ui.label("This exchange was not worked on.").classes("faint")
        with ui.column().classes("panel"):
            ui.label("Response").classes("faint small")
            text(exchange.response)
        return
    debate = transcript(calls, done, result.mode)
    drafts = drafts_of(exchange, done, debate, clean=view.run.manifest["settings"].get("clean", True))
    next_undecided = partial(_next_undecided, view, sample, result, number)
    panel = Panel(view.run, sample.position, result, done, review, set(drafts.values()), next_undecided)
    _responses(exchange.response, done)
    rounds(done, debate, drafts, panel.choose)


async def _next_undecided(view: SamplesQuery, sample: Sample, result: Result, number: int) -> str:
    """Return the link to the next undecided exchange or sample of the table, from its end also to the first;
    empty if there is none."""
    ledger, key = view.run.ledger, (sample.position, result.mode)
    wanted = replace(view.wanted, decided="some")
    decided = of_reviewer(await asyncio.to_thread(_reviews, view.run, key), wanted.reviewer)
    for done in result.outcome:
        if done["exchange"] > number and not (
            done["exchange"] in decided and decided[done["exchange"]].stands
        ):
            return view.sample_link(sample, result.mode, exchange=done["exchange"] + 1)
    if wanted.is_searched:
        search = replace(view, wanted=wanted).search(key=key)
        hits = await asyncio.to_thread(search.find, 1, SEARCH)
        return view.sample_link(hits[0].sample, hits[0].result.mode) if hits else ""
    _, found = await asyncio.to_thread(browse.adjacent, ledger, wanted, view.order, down=view.down, key=key)
    if found is None:
        first = await asyncio.to_thread(
            browse.page, ledger, wanted, view.order, down=view.down, begin=0, size=1
        )
        found = first.found[0].key if first.found else None
    return await _link(view, found)


def _responses(original: str, done: Mapping[str, Any]) -> None:
    new = done["response"]
    ui.label(f"Ended: {labels.ENDINGS[done['ending']]}.").classes("faint small ending")
    if reference := done.get("reference"):
        with ui.column().classes("panel"):
            ui.label(labels.REFERENCE).classes("faint small")
            plain_text(reference)
    if "failure" in done:
        with ui.column().classes("panel"):
            ui.label("Why it failed").classes("faint small")
            plain_text(labels.failure_line(done["failure"]))
    if new == original:
        with ui.column().classes("panel"):
            ui.label("Response, unchanged").classes("faint small")
            text(original)
        return
    differences(Column("Old response", original, "old"), Column("New response", new, "new"))
