"""One sample of a trial: the request, the responses of all arms, and what was said of each pair."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fastapi import Request, Response
from nicegui import ui

from reporting import html_text, labels, trial_tables
from reporting.trial import TrialSample
from reporting.trial_snapshot import JudgedSample
from reporting.trial_verdicts import Compared, Verdict, compared
from viewer import conversation
from viewer.conversation import Chip, ModeResult, exchanges
from viewer.diff_view import Column, diff_view
from viewer.frame import key_links, plain_text, text
from viewer.run import number_in, sample_path
from viewer.search import neighbors
from viewer.trial_frame import SAMPLES, WAIT, TrialPages, TrialQuery, frame


def add(pages: TrialPages) -> None:
    """Add the page."""

    @ui.page("/sample/{sample_id:path}", title=f"Sample · {pages.name}", response_timeout=WAIT + 10)
    async def sample(request: Request, sample_id: str) -> Response | None:
        view = TrialQuery.read(request.query_params, pages.trial.arms[1:])
        given = sample_id or request.query_params.get("position", "")
        found = await asyncio.to_thread(_find, pages, sample_id, number_in(given))
        with frame(pages, SAMPLES):
            if found is None:
                ui.page_title(f"Not found · {pages.name}")
                ui.label(f"No sample {labels.shorten(given, 100)} is finished in all arms.").classes(
                    "text-lg"
                )
                ui.link("← table", view.link())
                return ui.context.client.build_response(request, 404)
            ui.page_title(f"{labels.shorten(found.sample.id, 60)} · {pages.name}")
            judged = await pages.samples.latest(WAIT) or ()
            here = next((each for each in judged if each.position == found.position), None)
            _title(pages, view, found, judged, here)
            worked_on = [*found.responses]
            number = (number_in(request.query_params.get("exchange", "")) or 0) - 1
            number = number if number in range(len(found.sample.exchanges)) else next(iter(worked_on), 0)
            if here:
                chips = [
                    Chip(
                        "compared" if index in worked_on else "not worked on",
                        view.sample_link(here, exchange=index + 1),
                    )
                    for index in range(len(found.sample.exchanges))
                ]
                exchanges(chips, number)
            await _exchange(pages, found, number, here)
        return None


def _find(pages: TrialPages, sample_id: str, number: int | None) -> TrialSample | None:
    """Return the sample that an address names by its id or, where no sample has it, by its position."""
    ids = pages.trial.manifest["ids"]
    found = pages.trial.find_sample(sample_id) if sample_id else None
    if found is None and number is not None and number < len(ids):
        found = pages.trial.find_sample(ids[number])
    return found


def _title(
    pages: TrialPages,
    view: TrialQuery,
    found: TrialSample,
    judged: Sequence[JudgedSample],
    here: JudgedSample | None,
) -> None:
    around = ["", *(view.sample_link(each) for each in view.matching(judged)), ""]
    positions = [each.position for each in view.matching(judged)]
    at = positions.index(found.position) + 1 if found.position in positions else 0
    links = {"k": around[at - 1] if at else "", "j": around[at + 1] if at else ""}
    back = view.link(begin=view.begin or None)
    key_links({"u": back})
    with ui.row().classes("items-center w-full gap-3"):
        ui.link("← table", back).classes("faint").tooltip("key u")
        ui.label(found.sample.id).classes("text-lg font-semibold sample-id").props("dir=auto")
        if here:
            ui.html(trial_tables.disagreements(here), sanitize=False)
        ui.space()
        neighbors(links)
    with ui.row().classes("items-baseline gap-3 small debates"):
        ui.label("its debates:").classes("faint")
        for arm, run in pages.arms.items():
            path, named = sample_path(found.sample)
            ui.link(arm, run.address(path, {**named, "of": arm}))


async def _exchange(pages: TrialPages, found: TrialSample, number: int, here: JudgedSample | None) -> None:
    results = next(iter(found.results.values()))
    # Referees see the exchanges before as they were.
    conversation.request(found.sample, number, [ModeResult(found.sample, replace(results, outcome=[]))])
    if number not in found.responses:
        ui.label("No arm worked on this exchange.").classes("faint")
        with ui.column().classes("panel"):
            ui.label("Response").classes("faint small")
            text(found.sample.exchanges[number].response)
        return
    responses = found.responses[number]
    baseline, *arms = pages.trial.arms
    columns = [Column(baseline, responses[baseline], baseline)]
    for arm in arms:
        said = here.outcomes(arm, number) if here else []
        said += ["failed"] if found.results[arm].status == "failed" else []
        said += ["unchanged"] if responses[arm] == responses[baseline] else []
        columns.append(Column(", ".join([arm, *said]), responses[arm], "b"))
    diff_view(columns, {f"Against {baseline}": _against_first})
    ui.html("<h2>What referees said</h2>", sanitize=False)
    for each in await asyncio.to_thread(compared, pages.trial, found, number):
        _pair(each)


def _against_first(contents: Sequence[str]) -> list[str]:
    first, *others = contents
    return [html_text.plain(first), *(html_text.marked(first, each, fold=True)[1] for each in others)]


def _pair(each: Compared) -> None:
    with ui.column().classes("panel pair"):
        ui.label(" against ".join(each.pair)).classes("font-semibold")
        if each.is_unchanged:
            ui.label("The same text: a tie, and no one was asked.").classes("faint small")
        elif not each.verdicts:
            ui.label("Not judged yet.").classes("faint small")
        else:
            ui.html(trial_tables.verdicts(each.verdicts), sanitize=False).classes("w-full overflow-x-auto")
        for failure in each.failures:
            plain_text(failure, style="small")
        if written := [verdict for verdict in each.verdicts if verdict.words.strip()]:
            _words(written)


def _words(verdicts: Sequence[Verdict]) -> None:
    def fill() -> None:
        # Built when opened: it may be long.
        if opened.value and not filled:
            filled.append(True)
            with opened:
                for each in verdicts:
                    with ui.column().classes("bubble judge wide"):
                        with ui.row().classes("gap-2"):
                            ui.label(each.referee).classes("who")
                            ui.label(f"{each.first} shown first").classes("faint small")
                        text(each.words)

    filled: list[bool] = []
    opened = ui.expansion(f"What they wrote ({len(verdicts)})", on_value_change=fill)
    opened.classes("w-full words-of-referees")
