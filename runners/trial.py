"""`coevol trial DATA -o TRIAL`: says whether debate beats simpler ways on this data at equal cost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from langsmith import tracing_context
from rich.table import Table
from rich.text import Text

from reporting.failures import failures
from reporting.trial_command import LEFT_OUT
from reporting.trial_manifest import ARMS, TARGET
from reporting.trial_snapshot import rehearsed
from runners.command_help import GroupedCommand
from runners.command_settings import settings_from
from runners.console import Output
from runners.options import (
    PATH,
    complete_modes,
    data_options,
    limits_options,
    settings_options,
)
from runners.progress import Progress
from runners.terminal import say, say_json
from runners.trial_forecast import forecast_trial, trial_lines
from runners.trial_plan import MIN_SAMPLES, SAMPLES, make_trial_plan
from runners.trial_run import load_keys, prepare, trial_in_own_loop
from samples.fields import percent
from samples.printable import printable
from trials.pairs import PAIRS

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial


@click.command(cls=GroupedCommand)
@click.argument("data")
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    metavar="TRIAL",
    type=PATH,
    help="The folder of the trial. The same command on the same folder resumes where it stopped.",
)
@click.option(
    "--referee",
    "referees",
    multiple=True,
    metavar="PROVIDER:NAME",
    help="A model that compares the arms and took no part; several are a panel: referee, referee_2 and so on "
    "in --base-url, --extra-body and the variables of keys. reward:NAME is a reward model on a vLLM server.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=MIN_SAMPLES),
    default=SAMPLES,
    metavar="NUMBER",
    help=f"How many samples are drawn, by --seed. Default: {SAMPLES}.",
)
@click.option(
    "--arms",
    default=",".join(ARMS),
    metavar="MODE,…",
    shell_complete=complete_modes,
    help=f"What is compared, next to the original responses. Default: {','.join(ARMS)}.",
)
@click.option(
    "--pairs",
    type=click.Choice(PAIRS),
    default="balanced",
    help="Which arms are compared: each with the original responses (baseline), in each sample with one "
    "other arm as well (balanced), or all with each other. Default: balanced.",
)
@click.option(
    "--allow-related",
    is_flag=True,
    help="Take referees of the family of a model that writes or judges here; the result says so.",
)
@data_options
@limits_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Estimate what the trial takes and can detect, and stop: no call, no folder.",
)
@click.option("--retry-failed", is_flag=True, help="Work again on what failed before.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@settings_options
def trial(
    data: str,
    folder: Path,
    referees: tuple[str, ...],
    arms: str,
    form: str,
    dry_run: bool,
    as_json: bool,
    samples: int,
    pairs: str,
    allow_related: bool,
    columns: dict[str, str],
    improve: str | None,
    reference: str | None,
    skip_bad: bool,
    max_record_size: int,
    retry_failed: bool,
    **given: Any,
) -> int:
    """Say whether debate pays on a data set: compare ways to improve responses at equal cost.

    A random part of DATA is improved in each arm. `refine` gets more rounds and `best-of-n` more drafts, so
    that they cost as much as `evolve`. Then the referees compare the arms' responses, blind and in both
    orders, and statistics say what that proves.
    """
    settings, limits = settings_from(given, referees)
    plan = make_trial_plan(
        data,
        settings,
        limits,
        arms=[arm.strip() for arm in arms.split(",") if arm.strip()],
        samples=samples,
        pairs=pairs,
        allow_related=allow_related,
        format=form,
        columns=columns,
        improve=improve,
        reference=reference,
        skip_bad=skip_bad,
        max_record_size=max_record_size,
        retry_failed=retry_failed,
    ).resuming(folder)
    say(f"{data}: {plan.run.data.describe()}", err=True)
    for notice in plan.notices():
        say(notice, err=True)
    if not dry_run:
        load_keys(plan)
    made = prepare(plan, folder)
    for notice in plan.run.data.notices():
        say(notice, err=True)
    with tracing_context(enabled=False):
        expected = asyncio.run(forecast_trial(plan, made, folder))
    for line in trial_lines(expected, plan, made):
        say(line, err=not dry_run)
    if dry_run:
        return 0
    trial_in_own_loop(plan, folder, made, notify=lambda notice: say(notice, err=True), watch=Progress)
    from reporting.recorded_trial import RecordedTrial  # with Arrow, which no refusal needs

    done = RecordedTrial(folder)
    failed = list(_failures(done))
    for notice in failed:
        say(notice, err=True)
    if as_json:
        say_json(done.stats())
    else:
        show(done)
    return 1 if failed else 0


def _failures(done: "RecordedTrial") -> Iterator[str]:
    for arm in done.arms[1:]:
        ledger = done.ledger_of(arm)
        if ledger and (failed := failures(ledger)):
            yield f"arm {arm}: {failed}"
    ledger = done.referee_ledger()
    if ledger and (failed := failures(ledger, "What was judged counts")):
        yield f"referees: {failed}"


def show(done: "RecordedTrial") -> None:
    """Print the table of a trial, what it says in words, and the commands to go on with."""
    from reporting.trial_tables import verdict

    output = Output()
    found, unit = done.report(), done.unit
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "Arm",
        "Won",
        "95 %",
        "W/T/L",
        "Verdict",
        "Equal length",
        "Equal style",
        "Cost",
        f"Of {TARGET}",
        "Per win",
    ):
        table.add_column(name, justify="left" if name == "Arm" else "right")
    for each in done.results():
        arm = next(result for result in found.arms if result.arm == each["arm"])
        rate: Any = arm.win_rate
        known = each["win_rate"] is not None
        controlled = [
            figure.rate.in_percent if hasattr(figure, "rate") else "–"
            for figure in (arm.length_controlled, arm.style_controlled)
        ]
        table.add_row(
            Text(printable(each["arm"])),
            percent(rate.rate.value) if known else "–",
            rate.rate.interval if known else "–",
            f"{rate.wins}/{rate.ties}/{rate.losses}" if known else "–",
            verdict(found, arm) if known else "–",
            *controlled,
            _cost(each["cost_per_sample"], unit),
            "–" if each["cost_share"] is None else percent(each["cost_share"]),
            _cost(each["cost_per_win"], unit),
        )
    output.figures(table)
    what = "US dollars" if unit == "dollars" else "tokens"
    output.text(
        f"Won: against {found.baseline}, ties as halves; won in one order and tied in the other counts three "
        f"quarters, and is a W. Cost: {what} a sample; per win: over the share of W."
    )
    output.text("")
    for line in (*done.sentences(), *done.notes()):
        output.text(line)
    for line in rehearsed(done):
        output.text(line)
    output.text("")
    if best := done.best():
        command = done.command(best)
        output.text(f"To go on with it, in the same way: {command}")
        if LEFT_OUT in command:
            output.text(f"Put in what {LEFT_OUT} stands for, such as a key.")
    else:
        output.text(done.none_better())
    output.text(f"To see it, and to judge yourself, blind: coevol view {done.folder}")


def _cost(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"${value:,.4f}" if unit == "dollars" else f"{value:,.0f}"
