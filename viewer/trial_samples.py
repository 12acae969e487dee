"""The table of a trial's samples: how each arm fared, and where arms, referees and people disagree."""

from fastapi import Request
from nicegui import ui

from reporting import trial_tables
from reporting.trial_snapshot import DISAGREEING, DISAGREEMENTS
from viewer.paging import SIZE, page_begin, page_links
from viewer.trial_frame import SAMPLES, WAIT, TrialPages, TrialQuery, frame


def add(pages: TrialPages) -> None:
    """Add the page."""

    @ui.page(SAMPLES, title=f"Samples · {pages.name}", response_timeout=WAIT + 10)
    async def samples(request: Request) -> None:
        view = TrialQuery.read(request.query_params, pages.trial.arms[1:])
        found = await pages.samples.latest(WAIT) or ()
        matching = view.matching(found)
        counts = {kind: sum(kind in each.disagreements for each in found) for kind in DISAGREEMENTS}
        with frame(pages, SAMPLES):
            with ui.element("div").classes("filters"):
                _filter(f"all: {len(found):,}", view.link(disagreement=""), here=not view.disagreement)
                for kind, number in counts.items():
                    name = f"{DISAGREEMENTS[kind]}: {number:,}"
                    here = kind == view.disagreement
                    _filter(name, view.link(disagreement=kind), here=here).tooltip(DISAGREEING[kind])
                if view.arm:
                    label = f"{view.arm} {view.outcome} ✕"
                    link = _filter(label, view.link(arm="", outcome=""), here=True)
                    link.props('aria-label="leave this filter out"')
            begin = page_begin(view.begin, len(matching))
            end = min(begin + SIZE, len(matching))
            where = f"{begin + 1:,} to {end:,} of {len(matching):,}"
            none = "nothing matches" if found else "no sample is finished in all arms yet"
            ui.label(where if matching else none).classes("faint small where")
            if shown := matching[begin:end]:
                table = trial_tables.samples(shown, pages.trial.arms, view.sample_link)
                ui.html(trial_tables.in_panel(table, "Samples"), sanitize=False).classes("w-full")
                ui.label(f"won, tie, lost: against {pages.trial.arms[0]}.").classes("faint small")
            page_links(begin, end, len(matching), lambda begin: view.link(begin=begin))


def _filter(label: str, link: str, *, here: bool) -> ui.link:
    return ui.link(label, link).classes("tag here" if here else "tag")
