"""The record of a trial, without a call: decisions on disk, its forecast, its seed, its notes."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from models.settings import Limits
from reporting.recorded_trial import RecordedTrial
from reporting.trial_manifest import TrialManifest, write_trial_manifest
from reporting.trial_notes import notes
from reporting.trial_snapshot import rehearsed
from runners.command_settings import settings_from
from runners.trial import trial
from runners.trial_forecast import forecast_trial, trial_lines
from runners.trial_plan import TrialPlan, make_trial_plan
from runners.trial_run import prepare
from tests.program import records, write
from trials.bootstrap import Bootstrap
from trials.judgments import Judgment
from trials.report import analyze


def planned(tmp_path: Path, *words: str, referee: str = "glm:glm-4.6") -> TrialPlan:
    data = write(tmp_path / "data.json", records(12))
    command = [str(data), "-o", "trial", "--referee", referee, *words]
    values = trial.make_context("trial", command).params
    settings, _ = settings_from(values, values["referees"])
    return make_trial_plan(data, settings, Limits(), arms=("edit", "evolve"), samples=10)


def begun(tmp_path: Path, *words: str, referee: str = "glm:glm-4.6") -> tuple[TrialManifest, RecordedTrial]:
    folder = tmp_path / "trial"
    made = prepare(planned(tmp_path, *words, referee=referee), folder)
    folder.mkdir()
    write_trial_manifest(folder, made)
    return made, RecordedTrial(folder)


@pytest.mark.parametrize("left", [-30, -1, 1, 0])
def test_a_decision_after_a_line_that_was_cut_off_counts(left: int, tmp_path: Path) -> None:
    _, found = begun(tmp_path)
    texts = {"original": "A.", "edit": "B."}
    people = found.folder / "people.jsonl"
    for sample in ("1", "2"):
        found.decide("Anna", sample, 0, "original", "edit", "edit", texts)
    people.write_bytes(people.read_bytes()[: left or None])
    before = found.decisions()
    found.decide("Bob", "3", 0, "original", "edit", "original", texts)
    assert [*before, *found.decisions()[-1:]] == found.decisions()
    assert found.decisions()[-1].person == "Bob"
    assert people.read_bytes().endswith(b"}\n") and b"\n\n" not in people.read_bytes()


def test_a_line_that_is_no_text_takes_no_other_with_it(tmp_path: Path) -> None:
    _, found = begun(tmp_path)
    found.decide("Anna", "1", 0, "original", "edit", "edit", {})
    with (found.folder / "people.jsonl").open("ab") as file:
        file.write(b'{"person": "Ren\xe9"}\n\x00\x00')
    found.decide("Bob", "1", 0, "original", "edit", "edit", {})
    assert [each.person for each in found.decisions()] == ["Anna", "Bob"]


@pytest.mark.parametrize(("first", "then"), [((), ("--seed", "0")), (("--seed", "0"), ())])
def test_a_trial_resumes_with_the_seed_that_it_was_drawn_with(
    first: tuple[str, ...], then: tuple[str, ...], tmp_path: Path
) -> None:
    made, found = begun(tmp_path, *first)
    assert made["seed"] == 0
    plan = planned(tmp_path, *then).resuming(found.folder)
    # Models get the seed that they got, or none: their calls are the same.
    assert plan.run.settings.seed == plan.referees.seed == made["run"]["settings"]["seed"]
    assert planned(tmp_path, "--seed", "3").resuming(found.folder).run.settings.seed == 3


PRICED = ("--model", "openai:gpt-5.4-mini", "--price", "glm:glm-4.6=0.6,0.1,2.2")


def test_a_forecast_says_what_is_likely(tmp_path: Path) -> None:
    plan = planned(tmp_path, *PRICED)
    made = prepare(plan, tmp_path / "trial")
    expected = asyncio.run(forecast_trial(plan, made, tmp_path / "trial"))

    def said(budget: float | None = None) -> dict[str, str]:
        limited = replace(plan, run=replace(plan.run, limits=Limits(budget=budget)))
        lines = trial_lines(expected, limited, made)
        return {name: rest for line in lines for name, _, rest in [line.partition(" ")] if name}

    found = said()
    least, most = (float(number) for number in re.findall(r"\$([\d.]+)", found["Dollars"]))
    likely = float(found["Likely"].rpartition("$")[2])
    assert least < likely < most
    calls = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", found["Calls"])]
    assert calls[0] < int(found["Likely"].split()[0].replace(",", "")) < calls[1]
    assert found["Shows"].strip().startswith("a win rate of 88 % or more, or 12 % or less, in 4 of 5 trials")
    assert "less than the most" in said((likely + most) / 2)["--budget"]
    assert "less than is likely" in said((least + likely) / 2)["--budget"]


def judged(referee: str, number: int = 0) -> list[Judgment]:
    """Return what a referee said of 64 samples; those of different numbers agree by chance."""
    person = "person" in referee
    return [
        Judgment(f"{n}", "edit", "original", referee, None, float(n >> number & 1), person=person)
        for n in range(64)
    ]


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (("rehearsal:", "Anna (person)"), "The referee and people agree little with each other (alpha"),
        (("rehearsal:", "rehearsal:b"), "The referees agree little with each other (alpha"),
        (("rehearsal:", "rehearsal:b", "Anna (person)"), "The referees and people agree little"),
        (("Anna (person)", "Bob (person)"), "People agree little with each other (alpha"),
    ],
)
def test_those_who_agree_little_are_named(who: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    _, found = begun(tmp_path, "--referee", "rehearsal:b", referee="rehearsal")
    rows = [row for number, name in enumerate(who) for row in judged(name, number)]
    report = analyze(rows, ["original", "edit"], bootstrap=Bootstrap(0, 200))
    assert any(note.startswith(sentence) for note in notes(found, report))


def test_a_referee_without_a_name_has_no_colon(tmp_path: Path) -> None:
    _, found = begun(tmp_path, referee="rehearsal")
    rows = [*judged("rehearsal:"), Judgment("64", "edit", "original", "rehearsal:", None, None)]
    report = analyze(rows, ["original", "edit"], bootstrap=Bootstrap(0, 200))
    said = [*notes(found, report), *rehearsed(found)]
    assert "1 of 65 judgments of rehearsal could not be read, or the call failed." in said
    assert not any("rehearsal:" in line for line in said)


def test_samples_that_are_too_few_to_show_a_win_rate_show_none(tmp_path: Path) -> None:
    _, found = begun(tmp_path)
    report = analyze(judged("glm:glm-4.6")[:5], ["original", "edit"], bootstrap=Bootstrap(0, 200))
    assert next(notes(found, report)) == "5 samples are too few to show any win rate."
    report = analyze(judged("glm:glm-4.6"), ["original", "edit"], bootstrap=Bootstrap(0, 200))
    assert next(notes(found, report)).startswith("64 samples can show a win rate of ")
