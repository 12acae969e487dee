"""What the pages of a trial share: the trial, their addresses, the bar."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nicegui import ui

from reporting.trial_snapshot import (
    DISAGREEMENTS,
    OUTCOMES,
    JudgedSample,
    TrialSnapshot,
    arms_state,
    comparisons,
    judged_samples,
    made_at,
    trial_snapshot,
    trial_state,
)
from trials.blind import Comparison, Shown
from viewer.background_refresh import BackgroundRefresh
from viewer.frame import page
from viewer.run import RunPages, address, number_in, sample_path

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial

OVERVIEW, SAMPLES, JUDGE = "/", "/samples", "/judge"

_PAGES = {OVERVIEW: "Overview", SAMPLES: "Samples", JUDGE: "Judge"}

WAIT = 60.0
"""Seconds a page waits for what it is about."""

KEYS = {
    "?": "the keys",
    "j, →": "next sample or comparison",
    "k, ←": "previous one",
    "u": "back to the table of samples",
    "n": "next exchange of a conversation",
    "p": "previous exchange",
    "1": "the left response is better, and on to the next comparison",
    "2": "the right response is better",
    "0, =": "a tie",
    "z": "take the last decision back",
}
"""What keys do."""


class TrialPages:
    """A trial and what its pages remember."""

    def __init__(self, trial: "RecordedTrial") -> None:
        self._trial, self._made = trial, made_at(trial)
        self.name = trial.folder.resolve().name
        self.snapshots: BackgroundRefresh[TrialSnapshot] = BackgroundRefresh(
            lambda: trial_state(self.trial), lambda: trial_snapshot(self.trial)
        )
        self.samples: BackgroundRefresh[Sequence[JudgedSample]] = BackgroundRefresh(
            lambda: trial_state(self.trial), lambda: judged_samples(self.trial)
        )
        self.comparisons: BackgroundRefresh[Mapping[Comparison, str]] = BackgroundRefresh(
            lambda: arms_state(self.trial), lambda: comparisons(self.trial)
        )
        self.person = ""
        """The last name that a reviewer gave."""
        self.decided: dict[str, list[Shown]] = {}
        """By person, what was decided since the pages are open, the last at the end."""
        self.arms: dict[str, RunPages] = {}
        """The arms whose own pages there are."""

    @property
    def trial(self) -> "RecordedTrial":
        """The trial as its manifest says by now: it may be continued with more samples."""
        if (made := made_at(self._trial)) != self._made:
            self._trial, self._made = type(self._trial)(self._trial.folder), made
        return self._trial


@contextmanager
def frame(pages: TrialPages, current: str) -> Iterator[None]:
    """Show a page of a trial around its content; `current` is the path of the page in the bar."""

    def links() -> None:
        for path, name in _PAGES.items():
            ui.link(name, path).classes("here" if path == current else "")
        ui.space()
        ui.label(pages.name).classes("run-name")

    with page(links, KEYS):
        yield


@dataclass(frozen=True, slots=True)
class TrialQuery:
    """What an address of the table of samples asks for."""

    disagreement: str = ""
    """One of `DISAGREEMENTS`; empty for all samples."""
    arm: str = ""
    outcome: str = ""
    """One of `OUTCOMES`, of the arm."""
    begin: int = 0

    @classmethod
    def read(cls, query: Mapping[str, str], arms: Sequence[str]) -> "TrialQuery":
        """Read an address; invalid values count as not given."""

        def one(name: str, of: Sequence[str]) -> str:
            given = query.get(name, "")
            return given if given in of else ""

        arm, outcome = one("arm", arms), one("outcome", [*OUTCOMES])
        arm, outcome = (arm, outcome) if arm and outcome else ("", "")
        return cls(
            one("disagreement", [*DISAGREEMENTS]), arm, outcome, number_in(query.get("begin", "")) or 0
        )

    def values(self) -> dict[str, object]:
        """Return the values of the address."""
        begin = self.begin or None
        return {"disagreement": self.disagreement, "arm": self.arm, "outcome": self.outcome, "begin": begin}

    def link(self, **changes: object) -> str:
        """Return the address of the table with changed values, from its first row."""
        return address(SAMPLES, {**self.values(), "begin": None, **changes})

    def sample_link(self, sample: JudgedSample, **more: object) -> str:
        """Return the address of a sample, with a way back to the table."""
        path, named = sample_path(sample)
        return address(path, {**named, **self.values(), **more})

    def matching(self, samples: Sequence[JudgedSample]) -> list[JudgedSample]:
        """Return the samples that the table shows on all its pages."""
        return [
            each
            for each in samples
            if (not self.disagreement or self.disagreement in each.disagreements)
            and (not self.arm or each.outcome(self.arm) == self.outcome)
        ]
