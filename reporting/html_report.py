"""A report: one file with what a run amounts to and a choice of its samples, to send to a colleague.

It holds no script and loads nothing, and says so to the browser: whatever a text of a model or of a data set
were to smuggle past `reporting.html_text` would not run. Its size is bounded by what is chosen: long texts are cut.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from ledger.decisions import Decision, Decisions, on_file
from ledger.ledger import SKIPPED, Result
from models.call import ROLE_OF_STEP
from reporting import charts
from reporting import charts_svg as plots
from reporting import headline as figures
from reporting import html_tables as tables
from reporting import html_text as texts
from reporting.graph_counts import walked
from reporting.graph_svg import svg
from reporting.labels import (
    ENDINGS,
    STEP_NAMES,
    brief,
    cost,
    decided_tags,
    decision,
    outcome_tags,
    record_text,
    verdict,
)
from reporting.snapshot import Numbers
from reporting.theme import ROLE_COLOURS
from reporting.transcript import ANEW, Call, Said, debate
from samples.sample import Exchange, Sample
from viewer.run import Run

MOST = 10_000
"""Characters of a request or a response that are shown."""

MOST_SAID = 4_000
"""Characters of what an agent said that are shown."""

EXCHANGES = 4
"""Exchanges of a conversation that are shown: those that failed or changed come first."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_ADDRESS = re.compile(r" at https?://\S+")


def html(run: Run, numbers: Numbers, chosen: Mapping[int, str], notice: str = "") -> Iterator[str]:
    """The report, in parts; the notice stands at its top. `chosen` are samples by position, and why they are.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    finished, expected = figures.progress(numbers, run)
    pace = numbers.pace
    graphs = {
        mode: svg(walked(run.ledger, mode, lazy=run.lazy), f"The graph of mode {mode}")
        for mode, found in numbers.statistics.modes.items()
        if found.finished
    }
    yield from _TEMPLATE.generate(
        policy=POLICY,
        styles=_STYLES,
        run=run,
        facts=numbers.report["run"],
        as_of=time.strftime("%Y-%m-%d %H:%M", time.localtime(numbers.counted)),
        notice=notice,
        finished=finished,
        expected=expected,
        share=round(min(100 * finished / expected, 100) if expected else 100, 2),
        numbers=numbers,
        figures=figures,
        charts={mode: _charts(mode, numbers) for mode in numbers.statistics.modes},
        pace=charts.pace(pace) if pace else None,
        plotted=lambda chart: plots.svg(chart),
        failures=lambda failures: tables.failures(failures),
        bill=tables.bill(numbers.report["calls"]),
        made_by=tables.made_by(numbers.report["run"], sent_away=True),
        graphs=graphs,
        some=bool(chosen),
        # One at a time: their texts may be long.
        samples=(_sample(run, found, why) for at, why in chosen.items() for found in run.ledger.at([at])),
    )


def _charts(mode: str, numbers: Numbers) -> list[charts.Chart]:
    found = numbers.statistics.modes[mode]
    lengths = charts.lengths(*numbers.lengths[mode])
    deciding = [charts.deciding(found.deciding)] if found.deciding else []
    if not found.judging:
        return [lengths, *deciding]
    return [charts.accepted(found.accepted_rounds), lengths, charts.judging(found.judging), *deciding]


def _sample(run: Run, found: tuple[Sample, dict[str, Result]], why: str) -> dict[str, Any]:
    sample, by_mode = found
    calls = run.ledger.calls(sample.id)
    decided = on_file(run.ledger, [sample.position])
    skipped = by_mode.get(SKIPPED)
    results = [by_mode[mode] for mode in run.modes if mode in by_mode]
    shown = _most_telling(sample, results)
    left_out = len(sample.exchanges) - len(shown)
    return {
        "position": sample.position,
        "id": sample.id,
        "why": f"skipped: {skipped.reason}" if skipped else why,
        "outcomes": [(result.mode if len(run.modes) > 1 else "", outcome_tags(result)) for result in results],
        "record": _plain(record_text(sample.record), MOST) if skipped else "",
        "system": _plain(sample.system, MOST) if sample.system and shown else "",
        "exchanges": (_exchange(run, sample, number, results, calls, decided) for number in shown),
        "left_out": f"{left_out:,} more exchanges of this conversation are not shown." if left_out else "",
    }


def _most_telling(sample: Sample, results: Sequence[Result]) -> list[int]:
    """The exchanges to show: of many those that failed, then those that changed, then the first ones."""
    failed = {done["exchange"] for result in results for done in result.outcome if "failure" in done}
    changed = {
        done["exchange"]
        for result in results
        for done in result.outcome
        if done["response"] != done["original"]
    }
    numbers = range(len(sample.exchanges)) if results else ()
    return sorted(sorted(numbers, key=lambda n: (n not in failed, n not in changed, n))[:EXCHANGES])


def _exchange(
    run: Run,
    sample: Sample,
    number: int,
    results: Sequence[Result],
    calls: Sequence[Call],
    decided: Decisions,
) -> dict[str, Any]:
    exchange = sample.exchanges[number]
    several = len(sample.exchanges) > 1
    return {
        "title": f"Exchange {number + 1} of {len(sample.exchanges)}" if several else "",
        "request": _request(exchange),
        "outcomes": [
            _outcome(run, exchange, number, result, calls)
            | _decided(result, number, decided.get((sample.position, result.mode), {}).get(number))
            for result in results
        ],
    }


def _request(exchange: Exchange) -> str:
    request = _rendered(exchange.instruction, MOST)
    if exchange.input:
        request += '<div class="faint small">Input</div>' + _rendered(exchange.input, MOST)
    return request


def _decided(result: Result, number: int, decision: Decision | None) -> dict[str, Any]:
    """What a person decided on the result of an exchange."""
    if decision is None:
        return {"decision": "", "wanted": "", "note": ""}
    done = next(done for done in result.outcome if done["exchange"] == number)
    own = decision.kind in ("chosen", "edited")
    wanted = texts.marked(done["response"][:MOST], decision.response[:MOST])[1] if own else ""
    return {
        "decision": decided_tags(decision),
        "wanted": _cut(wanted, decision.response, MOST) if own else "",
        "note": decision.note,
    }


def _outcome(
    run: Run, exchange: Exchange, number: int, result: Result, calls: Sequence[Call]
) -> dict[str, Any]:
    done = next((done for done in result.outcome if done["exchange"] == number), None)
    outcome = {
        "mode": result.mode if len(run.modes) > 1 else "",
        "brief": "",
        "ending": "not worked on",
        "failure": "",
        "old": _plain(exchange.response, MOST),
        "new": "",
        "rounds": [],
    }
    if done is None:
        return outcome
    failure = done.get("failure")
    old, new = exchange.response, done["response"]
    if new != old:
        left, right = texts.marked(old[:MOST], new[:MOST])
        outcome |= {"old": _cut(left, old, MOST), "new": _cut(right, new, MOST)}
    rounds = {each["round"]: each for each in done["rounds"]}
    said = debate((call for call in calls if call["mode"] == result.mode), done)
    return outcome | {
        "brief": brief(done),
        "ending": f"ended: {ENDINGS.get(done['ending'], done['ending'])}",
        "failure": _plain(
            f"{failure['step']}, round {failure['round']}: {_nowhere(failure['message'])}", MOST
        )
        if failure
        else "",
        "rounds": [
            {
                "number": round_,
                "tags": _round_tags(rounds.get(round_), steps.values()),
                "calls": [
                    _call(call, rounds.get(round_), why_not)
                    for each in steps.values()
                    for call, why_not in each.calls
                ],
            }
            for round_, steps in said.items()
        ],
    }


def _round_tags(outcome: Mapping[str, Any] | None, said: Iterable[Said]) -> str:
    if outcome:
        return decision(outcome)
    return "" if any(each.counts for each in said) else f'<span class="tag">did not count ({ANEW})</span>'


def _nowhere(failure: str) -> str:
    """What was said of a failure, without where the model is served."""
    return _ADDRESS.sub("", failure)


def _call(call: Call, outcome: Mapping[str, Any] | None, why_not: str) -> dict[str, Any]:
    step = call["step"]
    judged = outcome is not None and step.startswith("judge") and not why_not
    said = [_plain(_nowhere(call["failure"]), MOST_SAID)] if call["failure"] else []
    said += [_rendered(call["reply"], MOST_SAID)] if call["reply"] else []
    return {
        "role": ROLE_OF_STEP[step],
        "name": STEP_NAMES[step],
        "tags": verdict(step, outcome) if judged and outcome else "",
        "cost": cost(call),
        "why_not": why_not,
        "text": "".join(said),
    }


def _rendered(text: str, most: int) -> str:
    return _cut(texts.rendered(text[:most]), text, most, "text")


def _plain(text: str, most: int) -> str:
    return _cut(texts.plain(text[:most]), text, most)


def _cut(html: str, text: str, most: int, style: str = "text plain") -> str:
    """A text as HTML, made from its first `most` characters; says how much of it is left out."""
    more = (
        f'<p class="faint small">… and {len(text) - most:,} more characters</p>' if len(text) > most else ""
    )
    return f'<div class="{style}" dir="auto">{html}</div>{more}'


_STYLES = "\n".join(
    [
        *(files("reporting").joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "report.css")),
        *(f".{role} {{ --role: {colour}; }}" for role, colour in ROLE_COLOURS.items()),
        texts.code_styles("friendly", ".text pre"),
        "@media screen and (prefers-color-scheme: dark) {",
        texts.code_styles("monokai", ".text pre"),
        "}",
    ]
)

_TEMPLATE = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string(files("reporting").joinpath("report.jinja").read_text(encoding="utf-8"))
