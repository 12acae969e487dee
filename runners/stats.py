"""`coevol stats RUN [OTHER_RUN]`: the summary of a run, as tables or as JSON; or of two, compared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table
from rich.text import Text

from reporting.common_samples import paired_sentence
from reporting.comparison_table import COUNT, DECIMAL, GROWTH, PAIR_LABELS, PERCENT, compare, open_both, rows
from reporting.labels import (
    AGREEMENT,
    CHECKING,
    DECISIONS,
    ENDINGS,
    JUDGING,
    NO_PRICE,
    OUTDATED,
    REVIEWERS_AGREE,
    REVIEWERS_ALPHA,
    USER_AGREES,
    dollars,
    failure_label,
    is_best_of,
    is_judged,
)
from reporting.run import Run, open_run
from reporting.summary import summary
from runners.console import Output
from runners.options import PATH
from runners.terminal import say_json
from samples.fields import percent, plural
from samples.printable import printable
from samples.thoughts import WHAT_BECOMES


@click.command()
@click.argument("run", type=PATH)
@click.argument("other_run", type=PATH, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def stats(run: Path, other_run: Path | None, as_json: bool) -> None:
    """Summarize a run.

    How many drafts were accepted, how responses grew, how far the judge can be trusted, and what the calls
    took. Also for a run in progress. With OTHER_RUN, compare A and B: what they were made with, the numbers
    of the modes that both have, and how their responses differ.
    """
    if other_run is None:
        opened = open_run(run)
        found = summary(opened)
    else:
        found = compare(*open_both(run, other_run))
    if as_json:
        say_json(found)
    elif other_run is None:
        _print_summary(opened, found)
    else:
        _print_comparison(run, other_run, found)


def _print_comparison(a: Path, b: Path, compared: Mapping[str, Any]) -> None:
    output = Output()
    output.text(f"A {a}\nB {b}", "bold")
    output.heading("What was different")
    table = _table("", "A", "B", justify="left")
    for each in compared["differences"]:
        table.add_row(*(_text(each[key]) for key in ("name", "a", "b")))
    output.table(table) if table.row_count else output.text("nothing")
    for mode, kinds in compared["samples"].items():
        output.heading(f"Mode {mode}, {plural(kinds['all'], 'sample')} in both")
        if not kinds["all"]:
            alone = f"{kinds['alone_a']:,} in A alone, {kinds['alone_b']:,} in B alone"
            output.text(f"No sample has a result in both ({alone}), so there is nothing to compare.")
            continue
        table = _table("", "A", "B", "B − A")
        both = compared["common"][mode]
        for row in rows(both["a"], both["b"]):
            table.add_row(*row)
        output.figures(table)
        counts = ", ".join(f"{kinds[kind]:,} {name}" for kind, name in PAIR_LABELS.items() if kind != "all")
        output.text(f"\n{plural(kinds['all'], 'sample')} in both: {counts}")
        if shares := compared["paired"][mode]:
            output.text(paired_sentence(shares))
        if kinds["alone_a"] or kinds["alone_b"]:
            output.text(
                f"Left out: {plural(kinds['alone_a'], 'sample')} in A alone, {kinds['alone_b']:,} in B alone."
            )
    if not compared["samples"]:
        output.text("\nThey have no mode in common: run `coevol stats` on each, or `coevol view` on both.")


def _print_summary(run: Run, report: Mapping[str, Any]) -> None:
    output = Output()
    output.text(f"Run {run.folder}", "bold")
    output.table(_manifest(report))
    output.heading("Results")
    output.figures(_results(report["modes"]))
    output.heading("Calls")
    output.figures(_bill(report["calls"]))
    total = report["calls"]["total"]
    if total["without_usage"]:
        calls = plural(total["without_usage"], "call")
        output.text(f"{calls} came back without token counts: what that cost is unknown and in no sum.")
    if why := run.why_nothing_finished(report["samples"]["finished"]):
        output.text(f"Why the last call failed: {why}")
    if total["shortened"]:
        output.text(f"The debate was shortened to fit in {plural(total['shortened'], 'prompt')}.")
    for tier, some in report["calls"].get("by_tier", {}).items():
        output.text(f"{some['calls']:,} of {total['calls']:,} calls were served and billed as {tier}.")
    if any(map(_is_unpriced, report["calls"]["by_model"].values())):
        output.text(
            f"Unknown cost: {NO_PRICE.format(model='this model', address='the address that was called')}."
        )


def _manifest(report: Mapping[str, Any]) -> Table:
    made, samples = report["run"], report["samples"]
    data, models = made["data"], made["models"]
    names = list(dict.fromkeys(models.values()))
    table = _table("", "")
    records = plural(data["records"], f"{data['format']} record")
    table.add_row("data", _text(f"{data['path']}: {records} ({data['layout']})"))
    table.add_row(
        "models",
        _text(names[0] if len(names) == 1 else ", ".join(f"{role} {name}" for role, name in models.items())),
    )
    settings = made["settings"]
    drafts = f", {settings['drafts']} drafts of best-of-n" if is_best_of(made["modes"]) else ""
    table.add_row(
        "prompts",
        _text(
            f"{made['prompts']['pack']}, verdict {settings['verdict']}, "
            f"at most {plural(settings['max_rounds'], 'round')}{drafts}"
        ),
    )
    table.add_row("created", _text(f"{made['created']} with coevol {made['versions']['coevol']}"))
    finished = f"{samples['finished']:,} of {samples['records']:,} finished"
    if samples["skipped"]:
        finished += f", {samples['skipped']:,} of them skipped"
    table.add_row("samples", finished)
    for reason, number in samples["skipped_by_reason"].items():
        table.add_row("", _text(f"{number:,} skipped: {reason}"))
    if thinking := data.get("thinking"):
        what = WHAT_BECOMES[settings.get("thoughts", "text")]
        table.add_row("thoughts", _text(f"in {plural(thinking, 'response')} of the data: {what}"))
    return table


def _results(modes: Mapping[str, Any]) -> Table:
    table = _table("", *modes)
    each = list(modes.values())

    def row(name: str, values: Iterable[str]) -> None:
        table.add_row(_text(name), *values)

    def counts(name: str, numbers: Sequence[int], wholes: Sequence[int]) -> None:
        row(name, [_share(n, of) for n, of in zip(numbers, wholes, strict=True)])

    worked_on = [mode["finished"] for mode in each]
    exchanges = [mode["exchanges"] for mode in each]
    row("samples worked on", (f"{number:,}" for number in worked_on))
    counts("  with a new response", [mode["changed"] for mode in each], worked_on)
    counts("  with a failure", [mode["failed"] for mode in each], worked_on)
    row("exchanges worked on", (f"{number:,}" for number in exchanges))
    counts("  with a new response", [mode["changed_exchanges"] for mode in each], exchanges)
    accepted = [numbers["accepted_rounds"] if is_judged(mode) else {} for mode, numbers in modes.items()]
    for rounds in sorted({rounds for of in accepted for rounds in of}):
        name = f"  {plural(rounds, 'round')} accepted"
        row(
            name,
            (_share(of.get(rounds, 0), n) if of else "" for of, n in zip(accepted, exchanges, strict=True)),
        )
    table.add_row()
    row("how they ended", ())
    for ending, label in ENDINGS.items():
        numbers = [mode["endings"].get(ending, 0) for mode in each]
        if any(numbers):
            counts(f"  {label}", numbers, exchanges)
    for reason in dict.fromkeys(reason for mode in each for reason in mode["failures"]):
        counts(f"    {failure_label(reason)}", [mode["failures"].get(reason, 0) for mode in each], exchanges)
    table.add_row()
    row("tokens of a response, on average (estimated)", ())
    lengths = [mode["lengths"] for mode in each]
    row("  original", (COUNT.text(of["average_original_tokens"]) for of in lengths))
    row("  evolved", (COUNT.text(of["average_evolved_tokens"]) for of in lengths))
    row("  growth of the average", (GROWTH.text(of["ratio_of_averages"]) for of in lengths))
    row("  growth of the median sample", (GROWTH.text(of["median_ratio"]) for of in lengths))
    row("  the same, of changed samples", (GROWTH.text(of["median_ratio_of_changed"]) for of in lengths))
    row("  samples that grew more than 2×", (PERCENT.text(of["doubled"]) for of in lengths))
    if any(mode["judging"] for mode in each):
        table.add_row()
        row("judged rounds", (f"{mode['judging']['rounds']:,}" if mode["judging"] else "" for mode in each))
        for name, label in JUDGING.items():
            if name == "calls_saved" and not any(mode["judging"] and mode["judging"][name] for mode in each):
                continue
            values = (
                _share(mode["judging"][name], mode["judging"]["rounds"]) if mode["judging"] else ""
                for mode in each
            )
            row(f"{_INDENTED.get(name, '  ')}{label}", values)
        row(f"  {AGREEMENT}", (PERCENT.text((mode["judging"] or {}).get("agreement")) for mode in each))
    _panels(each, row)
    if any(mode["checking"] for mode in each):
        table.add_row()
        checking = [mode["checking"] or dict.fromkeys(("checked", *CHECKING), 0) for mode in each]
        counts(CHECKING["with_reference"], [of["with_reference"] for of in checking], exchanges)
        if any(of["checked"] for of in checking):
            wholes = [of["checked"] for of in checking]
            row("exchanges checked", (f"{number:,}" for number in wholes))
            for name in ("original_agrees", "final_agrees", "no_result"):
                numbers = [of[name] for of in checking]
                if name != "no_result" or any(numbers):
                    counts(f"  {CHECKING[name]}", numbers, wholes)
    if any(mode["deciding"] for mode in each):
        table.add_row()
        deciding = [
            mode["deciding"] or dict.fromkeys(("decided", *DECISIONS, "outdated"), 0) for mode in each
        ]
        row("decided by a user", (f"{of['decided']:,}" for of in deciding))
        for name, label in DECISIONS.items():
            counts(f"  {label}", [of[name] for of in deciding], [of["decided"] for of in deciding])
        row(f"  {USER_AGREES}", (PERCENT.text(of.get("agreement")) for of in deciding))
        if any(of["outdated"] for of in deciding):
            row(f"decided {OUTDATED}", (f"{of['outdated']:,}" for of in deciding))
    if any(mode["reviewing"] for mode in each):
        reviewing = [mode["reviewing"] or {"exchanges": 0} for mode in each]
        row("decided by several reviewers", (f"{of['exchanges']:,}" for of in reviewing))
        row(f"  {REVIEWERS_AGREE}", (PERCENT.text(of.get("agreement")) for of in reviewing))
        row(f"  {REVIEWERS_ALPHA}", (DECIMAL.text(of.get("alpha")) for of in reviewing))
    return table


def _panels(each: Sequence[Mapping[str, Any]], row: Callable[[str, Iterable[str]], None]) -> None:
    """Add what the judges of a panel said, in the modes that have one."""
    panels: list[Mapping[str, Any]] = [mode.get("panel") or {"rounds": 0, "judges": {}} for mode in each]
    if not any(of["rounds"] for of in panels):
        return
    disagreed = (_share(of["disagreed"], of["rounds"]) if of["rounds"] else "" for of in panels)
    row("  the judges disagree", disagreed)
    for model in dict.fromkeys(model for of in panels for model in of["judges"]):
        row(f"  {model}", ())
        for word, label in _OF_JUDGE.items():
            values = (of["judges"].get(model, {}).get(word) for of in panels)
            row(f"    {label}", ("" if n is None else f"{n:,}" for n in values))


_OF_JUDGE = {
    "draft": "prefers the draft",
    "current": "prefers the current response",
    "neither": "prefers neither",
    "unreadable": "cannot be read",
}

_INDENTED = {"favoured_first": "    ", "favoured_second": "    "}


def _bill(calls: Mapping[str, Any]) -> Table:
    heads = ("calls", "failed", "attempts", "input", "cached", "output", "mean s", "95 % s", "cost")
    table = _table("", *heads)
    for name in ("by_role", "by_model"):
        for key, some in calls[name].items():
            _add_calls(table, key, some)
        table.add_row()
    _add_calls(table, "total", calls["total"])
    return table


def _is_unpriced(some: Mapping[str, Any]) -> bool:
    """Whether calls of a model have no price, rather than no token counts."""
    if some["without_usage"]:
        return some["cost_usd"] is None and some["input_tokens"] > 0
    return not some["cost_complete"]


def _add_calls(table: Table, name: str, some: Mapping[str, Any]) -> None:
    counts = ("calls", "failed", "attempts", "input_tokens", "cached_tokens", "output_tokens")
    table.add_row(
        _text(name),
        *(f"{some[count]:,}" for count in counts),
        DECIMAL.text(some["mean_latency"]),
        DECIMAL.text(some["p95_latency"]),
        dollars(some),
    )


def _table(first: str, *others: str, justify: Literal["left", "right"] = "right") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=any(others))
    table.add_column(first, overflow="fold")
    for name in others:
        is_number = bool(name) and justify == "right"
        table.add_column(_text(name), justify=justify if name else "left", overflow="fold", no_wrap=is_number)
    return table


def _text(text: str) -> Text:
    return Text(printable(text))


def _share(number: int, of: int) -> str:
    return f"{number:,}  {percent(number / of) if of else '':>5}"
