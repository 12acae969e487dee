"""The HTML report of a trial: one file with what it found and some of its samples, to send to a colleague.

As the report of a run, it holds no script and loads nothing, and its size is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from reporting import html_text, labels, trial_charts, trial_tables
from reporting.html_report import (
    MAX_CALL_CHARS,
    MAX_CHARS,
    MAX_EXCHANGES,
    POLICY,
    STYLES,
    cut,
    plain,
    rendered,
    request,
)
from reporting.trial import TrialSample
from reporting.trial_manifest import TARGET, shown
from reporting.trial_snapshot import DISAGREEING, DISAGREEMENTS, JudgedSample, TrialSnapshot
from reporting.trial_verdicts import Verdict, compared


def trial_report(snapshot: TrialSnapshot, chosen: Sequence[JudgedSample]) -> Iterator[str]:
    """Yield the report in parts, with these samples.

    Raises:
        LedgerError: a ledger cannot be read.
    """
    trial, report = snapshot.trial, snapshot.report
    yield from _TEMPLATE.generate(
        policy=POLICY,
        styles=STYLES,
        name=trial.folder.resolve().name,
        made=trial.manifest["run"],
        data=trial_tables.data_name(snapshot),
        as_of=labels.minute(snapshot.counted),
        snapshot=snapshot,
        baseline=trial.arms[0],
        has_target=TARGET in trial.arms,
        charts={
            "forest": trial_charts.forest(snapshot),
            "cost": trial_charts.cost_chart(snapshot),
            "length": trial_charts.length_chart(snapshot),
        },
        arms=trial_tables.in_panel(trial_tables.arms(snapshot), "Arms"),
        refusals=trial_tables.refusals(report) if report else [],
        direct=trial_tables.direct(report) if report else "",
        referees=trial_tables.in_panel(trial_tables.referees(report), "Referees") if report else "",
        trust=trial_tables.trust(report) if report else [],
        disagreements={DISAGREEMENTS[kind]: snapshot.disagreeing(kind) for kind in DISAGREEMENTS},
        disagreeing={DISAGREEMENTS[kind]: what for kind, what in DISAGREEING.items()},
        made_by=trial_tables.what_made_trial(snapshot, for_others=True),
        some=bool(chosen),
        # One at a time: their texts may be long.
        samples=(
            _sample(snapshot, each, found)
            for each in chosen
            if (found := trial.find_sample(each.id)) is not None
        ),
    )


def select(samples: Sequence[JudgedSample], number: int, exclude: Sequence[str] = ()) -> list[JudgedSample]:
    """Return some samples to show: those with most kinds of disagreement first."""
    left = [each for each in samples if each.id not in exclude]
    return sorted(left, key=lambda each: -len(each.disagreements))[:number]


def _sample(snapshot: TrialSnapshot, judged: JudgedSample, found: TrialSample) -> dict[str, Any]:
    numbers = [*found.responses][:MAX_EXCHANGES]
    left_out = len(found.responses) - len(numbers)
    return {
        "position": judged.position,
        "id": judged.id,
        "tags": trial_tables.disagreements(judged),
        "exchanges": (_exchange(snapshot, judged, found, number) for number in numbers),
        "left_out": f"{left_out:,} more exchanges of this conversation are not shown." if left_out else "",
    }


def _exchange(
    snapshot: TrialSnapshot, judged: JudgedSample, found: TrialSample, number: int
) -> dict[str, Any]:
    exchanges, responses = found.sample.exchanges, found.responses[number]
    baseline, *arms = snapshot.trial.arms
    return {
        "title": f"Exchange {number + 1} of {len(exchanges)}" if len(exchanges) > 1 else "",
        "request": request(exchanges[number]),
        "original": plain(responses[baseline], MAX_CHARS),
        "arms": [
            (
                arm,
                " ".join(trial_tables.tag(said, said) for said in outcomes),
                _marked(responses, baseline, arm),
            )
            for arm in arms
            for outcomes in [judged.outcomes(arm, number)]
        ],
        "pairs": [
            {
                "name": " against ".join(each.pair),
                "table": trial_tables.verdicts(each.verdicts),
                "words": [_words(verdict) for verdict in each.verdicts if verdict.words.strip()],
            }
            for each in compared(snapshot.trial, found, number)
            if each.verdicts
        ],
    }


def _marked(responses: Mapping[str, str], baseline: str, arm: str) -> str:
    """Return an arm's response with what differs from the original; empty if nothing does."""
    old, new = responses[baseline], responses[arm]
    if old == new:
        return ""
    return cut(html_text.marked(old[:MAX_CHARS], new[:MAX_CHARS], fold=True)[1], new, MAX_CHARS)


def _words(verdict: Verdict) -> tuple[str, str]:
    return f"{shown(verdict.referee)}, {verdict.first} shown first", rendered(verdict.words, MAX_CALL_CHARS)


_TEMPLATE = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string(files("reporting").joinpath("trial_report.jinja").read_text(encoding="utf-8"))
