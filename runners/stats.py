"""`coevol stats RUN [OTHER_RUN]`: what a run amounts to, as tables or as JSON; or two beside each other.

The JSON of `--json` stays as it is from version to version, but for new fields. It is one object:

- `run`: what made it: `created`, `data`, `modes`, `models` by role, `prompts`, `settings`, `versions`,
  and `later`: limits on replies that it was gone on with, each with its time (`at`, `max_tokens`).
- `samples`: `records` in the data, `finished` in at least one mode, `skipped`, and `skipped_by_reason`.
- `modes`: by mode the fields of `reporting.statistics.ModeStatistics`, with those of `Lengths`, `Judging` (null
  in modes without a judge) and `Deciding` (null where no person has decided anything), and `calls`, with
  those of `Calls` but the 95th percentile.
- `calls`: `total`, `by_role` and `by_model`, each with the fields of `reporting.statistics.Calls`.

With OTHER_RUN it is what `reporting.comparison_table.beside` gives.

Calls and modes also have `cost_usd`, null where no price is known, and `cost_complete`: where it is false,
the price or the tokens of some of the calls are not known, and their cost is not in it.

Shares and ratios are plain numbers (0.5 is half, a ratio of 2 is twice), latencies are seconds; what cannot
be said (an average of nothing) is null.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ledger.ledger import Ledger
from models.providers.prices import cost
from models.settings import Endpoint, Role, split_model
from prompts.method import JUDGED
from reporting.comparison_table import beside, open_both, show
from reporting.statistics import Calls, ModeStatistics, Statistics, statistics
from runners.folder import endpoints, made_by, open_run
from runners.terminal import Page, printable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other_run", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def stats(run: Path, other_run: Path | None, as_json: bool) -> None:
    """Say what a run amounts to.

    How many drafts were accepted, how responses grew, how far the judge can be trusted, and what the calls
    took. Also of a run that is going on. With OTHER_RUN, A and B beside each other: what they were made
    with, the numbers of the modes that both have, and how their responses differ.
    """
    if other_run is not None:
        a, b = open_both(run, other_run)
        compared = beside(a, b, (_report(*a), _report(*b)))
        click.echo(json.dumps(compared, indent=2)) if as_json else show(run, other_run, compared)
        return
    numbers = _report(open_run(run), made_by(run))
    if as_json:
        click.echo(json.dumps(numbers, indent=2))
    else:
        _print(run, numbers)


def _report(ledger: Ledger, made: Mapping[str, Any]) -> dict[str, Any]:
    return report(made, statistics(ledger, made["modes"]))


def report(made: Mapping[str, Any], found: Statistics) -> dict[str, Any]:
    """The object of `--json`, from what made the run and what was counted in it."""
    models = endpoints(made)
    bill = _Bill(models, datetime.fromisoformat(made["created"]), found.lines)
    return {
        "run": {
            "created": made["created"],
            "data": made["data"],
            "modes": made["modes"],
            "models": {role: endpoint.model for role, endpoint in models.items()},
            "prompts": made["prompts"],
            "settings": made["settings"],
            "versions": made["versions"],
            "later": made.get("later", []),
        },
        "samples": {
            "records": made["data"]["records"],
            "finished": found.samples,
            "skipped": sum(found.skipped.values()),
            "skipped_by_reason": found.skipped,
        },
        "modes": {
            mode: _mode(numbers, found.calls_of(mode), bill.of(mode=mode))
            for mode, numbers in found.modes.items()
        },
        "calls": {
            "total": _calls(found.calls) | bill.of(),
            "by_role": {role: _calls(calls) | bill.of(role=role) for role, calls in found.by_role.items()},
            "by_model": {
                model: _calls(calls) | bill.of(model=model) for model, calls in found.by_model.items()
            },
        },
    }


class _Bill:
    """What the calls of a run cost, in all and in part."""

    def __init__(
        self, models: Mapping[Role, Endpoint], at: datetime, lines: Mapping[tuple[str, Role, str], Calls]
    ) -> None:
        self._costs: dict[tuple[str, Role, str], tuple[float | None, bool]] = {}
        self._lines = lines
        for (mode, role, model), calls in lines.items():
            endpoint = models[role]
            if endpoint.model != model:
                endpoint = Endpoint(*split_model(model), None)
            counted = calls.calls - calls.without_usage
            tokens = calls.input_tokens, calls.cached_tokens, calls.output_tokens
            known = cost(endpoint, counted, *tokens, at)
            self._costs[mode, role, model] = known, known is not None and not calls.without_usage

    def of(
        self, *, mode: str | None = None, role: Role | None = None, model: str | None = None
    ) -> dict[str, Any]:
        """The fields `cost_usd` and `cost_complete` of the calls that these name."""
        part = [
            price
            for line, price in self._costs.items()
            if mode in (None, line[0]) and role in (None, line[1]) and model in (None, line[2])
        ]
        known = [price for price, _ in part if price is not None]
        return {"cost_usd": sum(known) if known else None, "cost_complete": all(whole for _, whole in part)}


def _mode(numbers: ModeStatistics, calls: Calls, price: dict[str, Any]) -> dict[str, Any]:
    fields = asdict(numbers)
    if numbers.judging:
        fields["judging"]["agreement"] = numbers.judging.agreement
    of_calls = _calls(calls)
    del of_calls["p95_latency"]  # which is not counted by mode
    return fields | price | {"calls": of_calls}


def _calls(calls: Calls) -> dict[str, Any]:
    fields = asdict(calls)
    del fields["latency_sum"]
    return fields | {"mean_latency": calls.mean_latency}


def _print(run: Path, report: Mapping[str, Any]) -> None:
    page = Page()
    page.text(f"Run {run}", "bold")
    page.table(_facts(report))
    page.heading("Results")
    page.table(_results(report["modes"]))
    page.heading("Calls")
    page.table(_bill(report["calls"]))
    total = report["calls"]["total"]
    if total["without_usage"]:
        page.text(f"For {total['without_usage']:,} calls no token counts were given.")
    if total["shortened"]:
        page.text(f"In {total['shortened']:,} prompts the debate was shortened, so that they fit.")
    if not total["cost_complete"]:
        page.text("Cost not known: no price list has this model at the address where it was called.")


def _facts(report: Mapping[str, Any]) -> Table:
    made, samples = report["run"], report["samples"]
    data, models = made["data"], made["models"]
    names = list(dict.fromkeys(models.values()))
    table = _table("", "")
    table.add_row(
        "data", _text(f"{data['path']}: {data['records']:,} {data['format']} records ({data['layout']})")
    )
    table.add_row(
        "models",
        _text(names[0] if len(names) == 1 else ", ".join(f"{role} {name}" for role, name in models.items())),
    )
    settings = made["settings"]
    table.add_row(
        "prompts",
        _text(
            f"{made['prompts']['pack']}, verdict {settings['verdict']}, "
            f"at most {settings['max_rounds']} rounds"
        ),
    )
    table.add_row("begun", _text(f"{made['created']} with coevol {made['versions']['coevol']}"))
    finished = f"{samples['finished']:,} of {samples['records']:,} finished"
    if samples["skipped"]:
        finished += f", {samples['skipped']:,} of them skipped"
    table.add_row("samples", finished)
    for reason, number in samples["skipped_by_reason"].items():
        table.add_row("", _text(f"{number:,} skipped: {reason}"))
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
    accepted = [numbers["accepted_rounds"] if mode == JUDGED else {} for mode, numbers in modes.items()]
    for rounds in sorted({rounds for of in accepted for rounds in of}):
        name = f"  {rounds} round{'s' * (rounds != 1)} accepted"
        row(
            name,
            (_share(of.get(rounds, 0), n) if of else "" for of, n in zip(accepted, exchanges, strict=True)),
        )
    table.add_row()
    row("how they ended", ())
    for ending, words in _ENDINGS.items():
        numbers = [mode["endings"].get(ending, 0) for mode in each]
        if any(numbers):
            counts(f"  {words}", numbers, exchanges)
    for reason in dict.fromkeys(reason for mode in each for reason in mode["failures"]):
        counts(f"    {reason}", [mode["failures"].get(reason, 0) for mode in each], exchanges)
    table.add_row()
    row("tokens of a response, on average (estimated)", ())
    lengths = [mode["lengths"] for mode in each]
    row("  original", (_number(of["average_original_tokens"]) for of in lengths))
    row("  evolved", (_number(of["average_evolved_tokens"]) for of in lengths))
    row("  growth of the average", (_times(of["ratio_of_averages"]) for of in lengths))
    row("  growth of the median sample", (_times(of["median_ratio"]) for of in lengths))
    row("  the same, of changed samples", (_times(of["median_ratio_of_changed"]) for of in lengths))
    row("  samples that grew more than 2×", (_percent(of["doubled"]) for of in lengths))
    if any(mode["judging"] for mode in each):
        table.add_row()
        row("judged rounds", (f"{mode['judging']['rounds']:,}" if mode["judging"] else "" for mode in each))
        for name, words in _JUDGING.items():
            if name == "calls_saved" and not any(mode["judging"] and mode["judging"][name] for mode in each):
                continue
            values = (
                _share(mode["judging"][name], mode["judging"]["rounds"]) if mode["judging"] else ""
                for mode in each
            )
            row(f"  {words}", values)
    if any(mode["deciding"] for mode in each):
        table.add_row()
        deciding = [
            mode["deciding"] or dict.fromkeys(("decided", *_DECIDING, "outdated"), 0) for mode in each
        ]
        row("decided by a person", (f"{of['decided']:,}" for of in deciding))
        for name, words in _DECIDING.items():
            counts(f"  {words}", [of[name] for of in deciding], [of["decided"] for of in deciding])
        row("  person and judge agree", (_percent(of.get("agreement")) for of in deciding))
        if any(of["outdated"] for of in deciding):
            row("decided on an earlier result", (f"{of['outdated']:,}" for of in deciding))
    return table


_ENDINGS = {
    "not_accepted": "the last draft was not accepted",
    "max_rounds": "the limit of rounds was reached",
    "judge_error": "no verdict could be read",
    "one_pass": "rewritten, without a judge",
    "failed": "failed",
}

_JUDGING = {
    "accepted": "draft accepted",
    "agreed": "both orders agree",
    "one_tie": "one order sees a tie, the other none",
    "contradicted": "the orders contradict each other",
    "favoured_first": "  for whichever is shown first",
    "favoured_second": "  for whichever is shown second",
    "one_unreadable": "one verdict unreadable",
    "both_unreadable": "both verdicts unreadable",
    "calls_saved": "decided by the first order, a call saved",
}

_DECIDING = {
    "accepted": "the result accepted",
    "rejected": "rejected, the original kept",
    "chosen": "another draft chosen",
    "edited": "edited",
}


def _bill(calls: Mapping[str, Any]) -> Table:
    heads = ("calls", "failed", "attempts", "input", "cached", "output", "mean s", "95 % s", "cost")
    table = _table("", *heads)
    for name in ("by_role", "by_model"):
        for key, some in calls[name].items():
            _add_calls(table, key, some)
        table.add_row()
    _add_calls(table, "total", calls["total"])
    return table


def _add_calls(table: Table, name: str, some: Mapping[str, Any]) -> None:
    counts = ("calls", "failed", "attempts", "input_tokens", "cached_tokens", "output_tokens")
    price = "not known"
    if some["cost_usd"] is not None:
        price = f"{'' if some['cost_complete'] else 'at least '}${some['cost_usd']:,.4f}"
    table.add_row(
        _text(name),
        *(f"{some[count]:,}" for count in counts),
        _number(some["mean_latency"], 2),
        _number(some["p95_latency"], 2),
        price,
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=any(others))
    table.add_column(first, no_wrap=bool(any(others)))
    for name in others:
        table.add_column(_text(name), justify="right" if any(others) else "left", no_wrap=bool(name))
    return table


def _text(words: str) -> Text:
    return Text(printable(words))


def _share(number: int, of: int) -> str:
    return f"{number:,}  {f'{100 * number / of:.0f} %' if of else '':>5}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
