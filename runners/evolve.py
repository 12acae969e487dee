"""`coevol evolve DATA -o RUN`: works through a data set."""

import asyncio
import gc
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from langsmith import tracing_context

from ledger.ledger import LedgerError
from models.errors.kinds import RunStopped
from models.keys import Keys
from models.providers.langchain_community import need
from models.providers.parameters import notices, unlimited
from models.providers.proxies import need_usable_proxies
from models.providers.rehearsal import NOTICE
from models.settings import ROLES, located
from models.tracing import begin_tracing
from prompts.pack import held_pack
from reporting.cost import unpriced
from runners.engine import Engine, Options, Tally
from runners.folder import began_with, checked_before, facts, in_progress, locked, prepare
from runners.forecast import forecast, lines
from runners.options import Number, mode_option, ordered, settings_from, settings_options
from runners.progress import Progress
from samples.reader import open_data

try:
    import resource
except ImportError:  # Windows, where nobody counts
    resource = None  # type: ignore[assignment]

OTHER_FILES = 40
"""Open files besides connections: the data, the ledger, the locks, Python's own; twice what was counted."""

OBJECTS_A_COLLECTION = 10_000
"""New objects after which Python looks for garbage. With its own 700, that takes a sixth of the CPU and finds
next to nothing: what a call leaves behind is freed as it is dropped."""


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "run",
    required=True,
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="The folder of the run. The same command on the same folder goes on where it stopped.",
)
@mode_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "alpaca", "sharegpt", "messages"]),
    default="auto",
    help="The records' format. Default: auto.",
)
@click.option(
    "--start",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="The first record to work on, counted from 0.",
)
@click.option(
    "--stop",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="The record to stop before.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=64,
    metavar="NUMBER",
    help="The most calls in flight. Default: 64.",
)
@click.option(
    "--max-failures",
    type=Number(0, 1),
    default=0.5,
    metavar="SHARE",
    help="The share of failed samples above which the run stops itself. Default: 0.5.",
)
@click.option(
    "--rpm",
    type=Number(min=0, min_open=True),
    metavar="NUMBER",
    help="The most calls a minute to each endpoint (a model and where it is served, each replica by itself). "
    "Default: no limit.",
)
@click.option(
    "--tpm",
    type=Number(min=0, min_open=True),
    metavar="NUMBER",
    help="The most tokens a minute to each endpoint, of prompts and replies. Default: no limit.",
)
@click.option(
    "--budget",
    type=Number(min=0, min_open=True),
    metavar="DOLLARS",
    help="The most that the run may spend in all, in US dollars at list prices. Default: no limit.",
)
@click.option(
    "--budget-tokens",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="The most tokens that the run may use in all, of prompts and replies. Default: no limit.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what the run would take (calls, tokens, dollars) and stop: no call, no folder.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Work on the samples again that failed before.",
)
@settings_options
def evolve(
    data: Path,
    run: Path,
    modes: tuple[str, ...],
    form: Any,
    start: int,
    stop: int | None,
    concurrency: int,
    max_failures: float,
    rpm: float | None,
    tpm: float | None,
    budget: float | None,
    budget_tokens: int | None,
    dry_run: bool,
    retry_failed: bool,
    **given: Any,
) -> int:
    """Improve the responses of a data set.

    DATA is a file of Alpaca, ShareGPT or messages records: a JSON array, JSON lines or Parquet. Every
    call is on file in the folder RUN before its reply is used, so nothing that was paid for is lost.
    """
    settings = settings_from(given)
    chosen = ordered(modes)
    options = Options(concurrency, max_failures, start, stop, retry_failed, rpm, tpm, budget, budget_tokens)
    if budget is not None and (without := unpriced(settings)):
        raise click.UsageError(
            f"--budget needs the price of every model, and there is none of {without[0].model} at "
            f"{located(without[0]).base_url or 'no address'}: limit its tokens with --budget-tokens instead"
        )
    if (budget or budget_tokens) and (roles := unlimited(settings)):
        raise click.UsageError(
            f"a budget needs a limit on replies, and --extra-body takes it away for {', '.join(roles)}"
        )
    dataset = open_data(data, form)
    click.echo(f"{data}: {dataset.describe()}", err=True)
    if any(settings.endpoint(role).provider == "rehearsal" for role in ROLES):
        click.echo(NOTICE, err=True)
    for notice in notices(settings):
        click.echo(notice, err=True)
    checked = dataset.check(checked_before(run, dataset))
    if dry_run:
        ledger_so_far = in_progress(run, facts(dataset, checked, settings, chosen))
        with tracing_context(enabled=False):  # what nobody said is nothing to look at
            expected = asyncio.run(forecast(dataset, chosen, settings, options, ledger_so_far))
        for line in lines(expected, settings, chosen, options):
            click.echo(line)
        return 0
    # What is wrong with these, or missing, ends it here, before there is a folder.
    need_usable_proxies()
    if any(settings.endpoint(role).provider != "rehearsal" for role in ROLES):
        allow_connections(concurrency)
    keys = Keys.load()
    for role in ROLES:
        keys.of(settings.endpoint(role), role)
        need(settings.endpoint(role).provider)
    last = checked.count if stop is None else min(stop, checked.count)
    tally = Tally(samples=max(0, last - start) * len(chosen), modes=chosen)
    with locked(run), held_pack(settings.prompts):
        ledger = prepare(run, facts(dataset, checked, settings, chosen))
        engine = Engine(
            dataset, chosen, settings, options, ledger, keys, tally, tell=_tell, began_with=began_with(run)
        )
        end_tracing = begin_tracing(keys, _tell)
        try:
            asyncio.run(_work(engine, tally))
            failed = len(ledger.finished()) - len(ledger.finished(but_failed=True))
        except asyncio.CancelledError:
            raise RunStopped("interrupted twice; the calls in flight were given up") from None
        except LedgerError as error:
            raise RunStopped(str(error)) from None
        finally:
            end_tracing()
    if failed:
        _tell(f"{failed:,} failed: they keep their responses; --retry-failed tries them again")
    return 1 if failed else 0


def _tell(notice: str) -> None:
    with suppress(OSError):  # nobody has to read it
        click.echo(notice, err=True)


def allow_connections(concurrency: int) -> None:
    """Let this process have the files that so many connections take, as far as the system lets it.

    Raises:
        UsageError: it does not, and the run would break off at the first calls.
    """
    if resource is None:
        return
    needed = concurrency + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    # Connections that rest for a moment, to other endpoints say, come on top.
    wanted = 2 * concurrency + OTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft < needed:
        raise click.UsageError(
            f"--concurrency {concurrency} takes up to {needed} open files, and this process may have {soft}: "
            f"raise the limit with `ulimit -n {wanted}`, or lower --concurrency"
        )


async def _work(engine: Engine, tally: Tally) -> None:
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted and main:
            main.cancel()
        if not interrupted and (calls := engine.in_flight):
            progress.tell(f"stopping: {calls} calls in flight are finished first; once more gives them up")
        interrupted = True
        engine.stop(RunStopped("interrupted; the same command goes on from here"))

    for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signal_) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(signal_, interrupt)
    gc.set_threshold(OBJECTS_A_COLLECTION)
    async with Progress(tally, engine) as progress:
        await engine.run()
