"""`coevol evolve DATA -o RUN`: improves the responses of a data set."""

import asyncio
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from runners.command_help import GroupedCommand
from runners.command_settings import settings_from
from runners.options import (
    PATH,
    data_options,
    limits_options,
    mode_option,
    settings_options,
    workers_options,
)
from runners.terminal import drop, say

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from nodes.settings import VerdictForm


EXAMPLES = (
    "coevol evolve data.json -o runs/try --stop 20",
    "coevol evolve data.json -o runs/1 --model openai:gpt-5.4-mini --dry-run",
    "coevol evolve data.jsonl -o runs/2 --model vllm:Qwen/Qwen3-8B --mode refine",
)


@click.command(cls=GroupedCommand, examples=EXAMPLES)
@click.argument("data", shell_complete=lambda context, argument, begun: [CompletionItem(begun, type="file")])
@click.option(
    "-o",
    "--output",
    "run",
    required=True,
    metavar="RUN",
    type=PATH,
    help="The folder of the run. The same command on the same folder resumes where it stopped.",
)
@mode_option
@data_options
@click.option(
    "--start",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="The first record to work on, counted from 0.",
)
@click.option("--stop", type=click.IntRange(min=0), metavar="NUMBER", help="The record to stop before.")
@limits_options
@workers_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Estimate what the run takes (calls, tokens, dollars) and stop: no call, no folder.",
)
@click.option("--retry-failed", is_flag=True, help="Work again on the samples that failed before.")
@click.option(
    "--shared",
    is_flag=True,
    help="Let others use the folder RUN, as your umask says; otherwise it is yours alone.",
)
@settings_options
def evolve(
    data: str,
    run: Path,
    modes: tuple[str, ...],
    form: str,
    columns: dict[str, str],
    improve: str | None,
    reference: str | None,
    skip_bad: bool,
    max_record_size: int,
    start: int,
    stop: int | None,
    dry_run: bool,
    retry_failed: bool,
    shared: bool,
    workers: int | None,
    ray: str | None,
    **given: Any,
) -> int:
    """Improve the responses of a data set.

    DATA is a file of records such as Alpaca, ShareGPT or messages: a JSON array, JSON lines, Parquet, Arrow,
    CSV or TSV, also compressed (.gz, .zst, .bz2); a folder of such files, which are one data set; or - for
    standard input. Every call is recorded in the folder RUN before its reply is used, so nothing that was
    paid for is lost.
    """
    settings, limits = settings_from(given)
    # Slow to load, and of no use to `--help` or to options that cannot be used.
    from ledger.ledger import Ledger, LedgerError
    from models.errors.exceptions import RunStopped
    from reporting.run import LEDGER
    from runners.api import execute_in_own_loop
    from runners.plan import make_plan
    from runners.progress import Progress

    plan = make_plan(
        data,
        settings,
        limits,
        modes=modes,
        format=form,
        columns=columns,
        improve=improve,
        reference=reference,
        skip_bad=skip_bad,
        max_record_size=max_record_size,
        start=start,
        stop=stop,
        retry_failed=retry_failed,
    ).resuming(run)
    say(f"{data}: {plan.data.describe()}", err=True)
    for notice in plan.notices():
        say(notice, err=True)
    manifest = plan.check_data(run)
    for notice in plan.data_notices():
        say(notice, err=True)
    if dry_run:
        from langsmith import tracing_context

        from runners.folder import in_progress
        from runners.forecast import forecast, lines

        with tracing_context(enabled=False):  # a forecast makes no calls worth tracing
            expected = asyncio.run(forecast(plan, in_progress(run, manifest)))
        for line in lines(expected, plan):
            say(line)
        return 0
    try:
        execute_in_own_loop(
            plan, run, manifest, notify=_notify, watch=Progress, shared=shared, workers=workers, ray=ray
        )
    except RunStopped:
        from reporting.failures import failures

        # What ended the run says the rest.
        with suppress(LedgerError):  # nothing was started
            if failed := failures(Ledger.open(run / LEDGER)):
                _notify(failed)
        raise
    status = _report(Ledger.open(run / LEDGER), plan.settings.verdict)
    _say_next(run, rehearsed=plan.is_rehearsed)
    return status


def _report(ledger: "Ledger", verdict: "VerdictForm") -> int:
    """Say what did not succeed, why, and what to do; return the exit status of a run that is done."""
    from reporting.failures import (
        failures,
        nothing_written,
        one_sided_verdicts,
        refused_drafts,
        unread_judges,
        unread_verdicts,
    )

    for notice in (
        refused_drafts(ledger),
        unread_verdicts(ledger),
        unread_judges(ledger),
        one_sided_verdicts(ledger, verdict),
        nothing_written(ledger),
    ):
        if notice:
            _notify(notice)
    if failed := failures(ledger):
        _notify(failed)
    return 1 if failed else 0


def _say_next(run: Path, *, rehearsed: bool) -> None:
    """Say what to do next, looking first; and again what a rehearsal is, since that scrolled away."""
    if rehearsed:
        from models.providers.rehearsal import NOTICE

        _notify(f"{NOTICE} For a real run, choose a model: --model PROVIDER:NAME.")
    folder = shlex.quote(str(run))
    try:
        say(
            f"Next:\n  coevol view {folder}\n  coevol stats {folder}\n  coevol export {folder} -o better.json"
        )
    except OSError:  # what was asked for is done
        drop("stdout")


def _notify(notice: str) -> None:
    say(notice, err=True)
