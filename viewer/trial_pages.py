"""The pages of `coevol view TRIAL`, and those of its arms, which are runs."""

from collections.abc import Callable, Sequence

from fastapi import Request, Response
from nicegui import Client, ui

from reporting.run import open_run
from viewer import frame as run_frame
from viewer import trial_judge, trial_overview, trial_sample, trial_samples
from viewer.run import RunPages
from viewer.trial_frame import OVERVIEW, TrialPages, frame

AddPages = Callable[[Sequence[RunPages]], None]
"""Adds the pages of runs."""

ARMS = "/arms"


def add(pages: TrialPages, add_runs: AddPages) -> None:
    """Add all pages; those of an arm once it has begun."""

    def add_arms() -> None:
        for arm in pages.trial.arms[1:]:
            if arm not in pages.arms and pages.trial.ledger_of(arm):
                run = open_run(pages.trial.arm_folder(arm))
                pages.arms[arm] = RunPages(
                    run.folder, arm, run.ledger, run.manifest, f"{ARMS}/{arm}", trial=pages.name
                )
                add_runs([pages.arms[arm]])

    add_arms()
    trial_overview.add(pages, add_arms)
    trial_samples.add(pages)
    trial_sample.add(pages)
    trial_judge.add(pages)


def missing(request: Request, pages: TrialPages) -> Response:
    """Answer an address that no page has."""
    arms = [run for run in pages.arms.values() if request.url.path.startswith(f"{run.prefix}/")]
    if arms:
        return run_frame.missing_page(request, arms)
    with Client(ui.page(""), request=request) as client:
        with frame(pages, ""):
            ui.page_title(f"Not found · {pages.name}")
            ui.label("There is no such page.").classes("text-lg")
            ui.link("Overview", OVERVIEW)
        return client.build_response(request, 404)
