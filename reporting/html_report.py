"""The HTML report: one file with the summary of a run and some of its samples, to send to a colleague.

It holds no script and loads nothing, and its content security policy says so: a script that slipped past
`reporting.html_text` would not run. Its size is bounded: long texts are cut.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from ledger.decisions import Decision, Decisions, load_decisions
from ledger.ledger import SKIPPED, Result
from prompts.method import STEPS
from reporting import charts, headline, html_tables, html_tags, html_text, labels
from reporting.charts_svg import chart_svg
from reporting.explanation import ABOUT, method_of
from reporting.graph_counts import graph_counts
from reporting.graph_svg import graph_svg
from reporting.run import Run
from reporting.snapshot import Snapshot
from reporting.theme import ROLE_COLORS
from reporting.transcript import REPEATED, CallRow, StepCalls, transcript
from samples.fields import plural
from samples.sample import Exchange, Sample

MAX_CHARS = 10_000
"""Characters of a request or a response that are shown."""

MAX_CALL_CHARS = 4_000
"""Characters of an agent's reply that are shown."""

MAX_EXCHANGES = 4
"""Exchanges of a conversation that are shown: those that failed or changed come first."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_ADDRESS = re.compile(r" at https?://\S+")


def html_report(run: Run, snapshot: Snapshot, chosen: Mapping[int, str], notice: str = "") -> Iterator[str]:
    """Yield the report in parts, the notice at its top. `chosen` says why samples were chosen, by position.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    finished, expected = headline.progress(snapshot, run)
    graphs = {
        mode: graph_svg(graph_counts(run.ledger, mode, lazy=run.lazy), f"The graph of mode {mode}")
        for mode, found in snapshot.statistics.modes.items()
        if found.finished
    }
    yield from _TEMPLATE.generate(
        policy=POLICY,
        styles=STYLES,
        run=run,
        facts=snapshot.summary["run"],
        as_of=labels.minute(snapshot.counted),
        notice=notice,
        finished=finished,
        expected=expected,
        share=round(min(100 * finished / expected, 100) if expected else 100, 2),
        snapshot=snapshot,
        headline=headline,
        charts={mode: _charts(mode, snapshot) for mode in snapshot.statistics.modes},
        throughput=charts.throughput(snapshot.throughput) if snapshot.throughput else None,
        chart_svg=chart_svg,
        failures=html_tables.failures,
        not_judged=html_tables.not_judged,
        kept=labels.NOT_JUDGED,
        bill=html_tables.bill(snapshot.summary["calls"], with_total=False),  # which is above
        manifest=html_tables.manifest(snapshot.summary["run"], for_others=True),
        graphs=graphs,
        about=ABOUT,
        methods={mode: method_of(mode, run.manifest["settings"]) for mode in run.modes},
        contents=_contents(run, graphs, chosen),
        some=bool(chosen),
        # One at a time: their texts may be long.
        samples=(
            _sample(run, found, why) for at, why in chosen.items() for found in run.ledger.samples_at([at])
        ),
    )


class Entry(NamedTuple):
    """A line of the list of contents."""

    anchor: str
    name: str
    why: str = ""
    is_sample: bool = False


def _contents(run: Run, graphs: Iterable[str], chosen: Mapping[int, str]) -> list[Entry]:
    entries = [Entry(f"mode-{mode}", f"Results of mode {mode}") for mode in run.modes]
    entries += [Entry("calls", "Calls"), Entry("made", "What made this run")]
    entries += [Entry(f"graph-{mode}", f"The graph of mode {mode}") for mode in graphs]
    if chosen:
        entries.append(Entry("samples", "Samples"))
    for position, why in chosen.items():
        for sample, _ in run.ledger.samples_at([position]):
            entries.append(Entry(f"sample-{position}", labels.shorten(sample.id, 80), why, is_sample=True))
    return entries


def _charts(mode: str, snapshot: Snapshot) -> list[charts.Chart]:
    found = snapshot.statistics.modes[mode]
    lengths = charts.lengths(*snapshot.lengths[mode])
    deciding = [charts.deciding(found.deciding)] if found.deciding else []
    if not found.judging:
        return [lengths, *deciding]
    return [charts.accepted(found.accepted_rounds), lengths, charts.judging(found.judging), *deciding]


def _sample(run: Run, found: tuple[Sample, dict[str, Result]], why: str) -> dict[str, Any]:
    sample, by_mode = found
    calls = run.ledger.calls(sample.id)
    decided = load_decisions(run.ledger, [sample.position])
    skipped = by_mode.get(SKIPPED)
    results = [by_mode[mode] for mode in run.modes if mode in by_mode]
    shown = _select_exchanges(sample, results)
    left_out = len(sample.exchanges) - len(shown)
    return {
        "position": sample.position,
        "id": sample.id,
        "why": f"skipped: {skipped.reason}" if skipped else why,
        "outcomes": [
            (result.mode if len(run.modes) > 1 else "", html_tags.sample_outcome(result))
            for result in results
        ],
        "record": plain(labels.record_text(sample.record), MAX_CHARS) if skipped else "",
        "system": plain(sample.system, MAX_CHARS) if sample.system and shown else "",
        "exchanges": (_exchange(run, sample, number, results, calls, decided) for number in shown),
        "left_out": f"Not shown: {plural(left_out, 'more exchange')} of this conversation."
        if left_out
        else "",
    }


def _select_exchanges(sample: Sample, results: Sequence[Result]) -> list[int]:
    """Return the exchanges to show: failed ones first, then changed ones, then the first ones."""
    failed = {done["exchange"] for result in results for done in result.outcome if "failure" in done}
    new = (done for result in results for done in result.outcome if done["response"] != done["original"])
    changed = {done["exchange"] for done in new}
    numbers = range(len(sample.exchanges)) if results else ()
    return sorted(sorted(numbers, key=lambda n: (n not in failed, n not in changed, n))[:MAX_EXCHANGES])


def _exchange(
    run: Run,
    sample: Sample,
    number: int,
    results: Sequence[Result],
    calls: Sequence[CallRow],
    decided: Decisions,
) -> dict[str, Any]:
    exchange = sample.exchanges[number]
    several = len(sample.exchanges) > 1
    return {
        "title": f"Exchange {number + 1} of {len(sample.exchanges)}" if several else "",
        "request": request(exchange),
        "outcomes": [
            _outcome(run, exchange, number, result, calls)
            | _decided(result, number, decided.get((sample.position, result.mode), {}).get(number))
            for result in results
        ],
    }


def request(exchange: Exchange) -> str:
    """Return the request of an exchange with its input."""
    html = rendered(exchange.instruction, MAX_CHARS)
    if exchange.input:
        html += '<div class="faint small">Input</div>' + rendered(exchange.input, MAX_CHARS)
    return html


def _decided(result: Result, number: int, decision: Decision | None) -> dict[str, Any]:
    """Return what a user decided on the result of an exchange."""
    if decision is None:
        return {"decision": "", "wanted": "", "note": ""}
    done = next(done for done in result.outcome if done["exchange"] == number)
    own = decision.kind in ("chosen", "edited")
    wanted = html_text.marked(done["response"][:MAX_CHARS], decision.response[:MAX_CHARS])[1] if own else ""
    return {
        "decision": html_tags.decision(decision),
        "wanted": cut(wanted, decision.response, MAX_CHARS) if own else "",
        "note": decision.note,
    }


def _outcome(
    run: Run, exchange: Exchange, number: int, result: Result, calls: Sequence[CallRow]
) -> dict[str, Any]:
    done = next((done for done in result.outcome if done["exchange"] == number), None)
    outcome = {
        "mode": result.mode if len(run.modes) > 1 else "",
        "brief": "",
        "ending": "not worked on",
        "failure": "",
        "old": plain(exchange.response, MAX_CHARS),
        "new": "",
        "rounds": [],
    }
    if done is None:
        return outcome
    failure = done.get("failure")
    old, new = exchange.response, done["response"]
    if new != old:
        left, right = html_text.marked(old[:MAX_CHARS], new[:MAX_CHARS])
        outcome |= {"old": cut(left, old, MAX_CHARS), "new": cut(right, new, MAX_CHARS)}
    rounds = {each["round"]: each for each in done["rounds"]}
    debate = transcript((call for call in calls if call["mode"] == result.mode), done, result.mode)
    return outcome | {
        "brief": labels.exchange_outcome(done),
        "ending": f"ended: {labels.ENDINGS.get(done['ending'], done['ending'])}",
        "failure": plain(_without_address(labels.failure_line(failure)), MAX_CHARS) if failure else "",
        "rounds": [
            {
                "number": round_,
                "tags": _round_tags(rounds.get(round_), steps.values()),
                "calls": [
                    _call(call, rounds.get(round_), why_not)
                    for each in steps.values()
                    for call, why_not in each.all
                ],
            }
            for round_, steps in debate.items()
        ],
    }


def _round_tags(outcome: Mapping[str, Any] | None, steps: Iterable[StepCalls]) -> str:
    if outcome:
        return html_tags.round_outcome(outcome)
    counted = any(step.counted for step in steps)
    return "" if counted else f'<span class="tag">{labels.not_counted(REPEATED)}</span>'


def _without_address(failure: str) -> str:
    """Remove the address of the model from a failure."""
    return _ADDRESS.sub("", failure)


def _call(call: CallRow, outcome: Mapping[str, Any] | None, why_not: str) -> dict[str, Any]:
    step = call["step"]
    judged = outcome is not None and STEPS[step].purpose == "verdict" and not why_not
    failure = labels.reason(call["failure_kind"], call["failure"])
    texts = [plain(_without_address(failure), MAX_CALL_CHARS)] if failure else []
    texts += [rendered(call["reply"], MAX_CALL_CHARS)] if call["reply"] else []
    return {
        "role": STEPS[step].role,
        "name": labels.speaker(call, outcome),
        "tags": html_tags.verdict(call, outcome) if judged and outcome else "",
        "summary": labels.call_summary(call),
        "not_counted": labels.not_counted(why_not) if why_not else "",
        "text": "".join(texts),
    }


def rendered(text: str, limit: int) -> str:
    """Return the first characters of a text, as Markdown, with a note about the rest."""
    return cut(html_text.rendered(text[:limit]), text, limit, "text")


def plain(text: str, limit: int) -> str:
    """Return the first characters of a text as they are, with a note about the rest."""
    return cut(html_text.plain(text[:limit]), text, limit)


def cut(html: str, text: str, limit: int, style: str = "text plain") -> str:
    """Return the HTML of a text's first `limit` characters, with a note about the rest."""
    more = len(text) - limit
    note = f'<p class="faint small">… and {plural(more, "more character")}</p>' if more > 0 else ""
    return f'<div class="{style}" dir="auto">{html}</div>{note}'


STYLES = "\n".join(
    [
        *(
            files("reporting").joinpath(name).read_text(encoding="utf-8")
            for name in ("style.css", "html_report.css", "trial.css")
        ),
        *(f".{role} {{ --role: {color}; }}" for role, color in ROLE_COLORS.items()),
        html_text.code_styles("friendly", ".text pre"),
        "@media screen and (prefers-color-scheme: dark) {",
        html_text.code_styles("monokai", ".text pre"),
        "}",
    ]
)

_TEMPLATE = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string(files("reporting").joinpath("html_report.jinja").read_text(encoding="utf-8"))
