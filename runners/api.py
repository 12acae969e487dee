"""The Python API: run a data set, or load a run."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph.settings import Settings
from ledger.ledger import LedgerError
from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.policy import GatewayPolicy
from models.settings import Limits
from models.token_counter import asking_server
from models.tracing import start_tracing
from prompts.pack import held_pack
from reporting.manifest import Manifest, read_manifest, reply_limits
from runners.checking import first_candidate, working_checks
from runners.engine import Engine, Tally
from runners.folder import locked, prepare
from runners.plan import Plan, make_plan
from runners.worker import Workplace
from samples.bounds import MAX_RECORD_MB
from samples.fields import plural
from samples.printable import printable

if TYPE_CHECKING:
    from reporting.recorded_run import RecordedRun
    from reporting.recorded_trial import RecordedTrial

STOPPING = {"SIGINT", "SIGTERM", "SIGHUP"}
"""The signals that stop a run; Windows has no SIGHUP."""


def run(
    data: str | Path,
    folder: str | Path,
    settings: Settings | None = None,
    limits: Limits | None = None,
    *,
    modes: Sequence[str] = ("evolve",),
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    improve: str | None = None,
    skip_bad: bool = False,
    reference: str | None = None,
    max_record_size: int = MAX_RECORD_MB,
    start: int = 0,
    stop: int | None = None,
    retry_failed: bool = False,
    shared: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> "RecordedRun":
    """Improve the responses of a data set, as `coevol evolve` does, and return the record of the run.

        >>> import coevol
        >>> run = coevol.run("data.json", "runs/first", coevol.Settings(model="openai:gpt-5.4-mini"))
        >>> run.stats()["modes"]["evolve"]["changed"]

    The same call on the same folder resumes a run that stopped, and repeats no finished call. Ctrl-C (SIGINT,
    SIGTERM or SIGHUP, in the main thread and without a handler of yours) lets the calls in flight finish, a
    second one abandons them; then it raises RunStopped.

    Args:
        data: a file of records, or a folder of files, as `coevol evolve` takes it.
        folder: the folder of the run.
        settings: models, prompts and method; the fields are the options of `coevol evolve`.
        limits: concurrency, rates and budgets.
        modes: which agents take part; each mode gives a result of its own.
        format: the records' format, such as alpaca, sharegpt or messages; auto detects it.
        columns: the fields of records of another format, such as {"request": "ask", "response": "reply"};
            also input, system, history and id.
        improve: which response of preference records to work on: chosen or rejected.
        skip_bad: pass over records that cannot be read, and leave them as they are.
        reference: the field of an answer known to be right, which only the judge is shown.
        max_record_size: the largest record that is read, in MB.
        start: the first record to work on, counted from 0.
        stop: the record to stop before.
        retry_failed: work again on samples that failed before.
        shared: let others use the folder, as the umask says; a run is otherwise its owner's alone.
        workers: work in so many processes, on a Ray of this run's own on this machine.
        ray: work on the Ray cluster at this address (HOST:PORT, or auto), with so many workers, or as many as
            fit.
        notify: receives what a user should know, such as parameters that a provider does not take.

    Raises:
        DataError, PackError, RunError, LedgerError: nothing was started.
        RunStopped: the run cannot continue; finished work is kept. Its subclasses MissingKey, MissingExtra,
            ProxyUnusable and CheckUnusable are raised before the start.
        RuntimeError: an event loop is running; use `arun`.
    """
    given = {"modes": modes, "start": start, "stop": stop, "retry_failed": retry_failed}
    given |= {"format": format, "columns": columns, "improve": improve, "skip_bad": skip_bad}
    given |= {"reference": reference, "max_record_size": max_record_size}
    notify = _printable(notify)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with _printable_errors():
            planned = _planned(data, folder, settings, limits, notify, given)
            execute_in_own_loop(*planned, notify=notify, shared=shared, workers=workers, ray=ray)
        return load_run(folder)
    raise RuntimeError("an event loop is running, as in a notebook: use `await coevol.arun(…)`")


async def arun(
    data: str | Path,
    folder: str | Path,
    settings: Settings | None = None,
    limits: Limits | None = None,
    *,
    modes: Sequence[str] = ("evolve",),
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    improve: str | None = None,
    skip_bad: bool = False,
    reference: str | None = None,
    max_record_size: int = MAX_RECORD_MB,
    start: int = 0,
    stop: int | None = None,
    retry_failed: bool = False,
    shared: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
    policy: GatewayPolicy | None = None,
) -> "RecordedRun":
    """Do what `run` does in a running event loop, such as a notebook's, whose signals it leaves alone.

    `policy` sets retries and waits. Cancelling it abandons the calls in flight.
    """
    given = {"modes": modes, "start": start, "stop": stop, "retry_failed": retry_failed}
    given |= {"format": format, "columns": columns, "improve": improve, "skip_bad": skip_bad}
    given |= {"reference": reference, "max_record_size": max_record_size}
    notify = _printable(notify)
    with _printable_errors():
        planned = _planned(data, folder, settings, limits, notify, given)
        await execute(*planned, notify=notify, policy=policy, shared=shared, workers=workers, ray=ray)
    return load_run(folder)


def _printable(notify: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: notify(printable(text))


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Escape what errors quote of strangers' texts: a program or a notebook prints them as they are."""
    try:
        yield
    except Exception as error:
        error.args = tuple(printable(each) if isinstance(each, str) else each for each in error.args)
        raise


def _planned(
    data: Any, folder: Any, settings: Any, limits: Any, notify: Callable[[str], None], given: dict[str, Any]
) -> tuple[Plan, Path, Manifest]:
    plan = make_plan(data, settings or Settings(), limits or Limits(), **given).resuming(Path(folder))
    for notice in plan.notices():
        notify(notice)
    manifest = plan.check_data(Path(folder))
    for notice in plan.data_notices():
        notify(notice)
    return plan, Path(folder), manifest


def execute_in_own_loop(plan: Plan, folder: Path, manifest: Manifest, **more: Any) -> None:
    """Do what `execute` does in a new event loop, see `in_own_loop`."""
    in_own_loop(lambda signals: execute(plan, folder, manifest, signals=signals, **more))


def in_own_loop(work: Callable[[Sequence[signal.Signals]], Coroutine[Any, Any, None]]) -> None:
    """Do work in a new event loop, where signals stop it: the first lets the calls in flight finish, the
    second abandons them."""
    default = (signal.SIG_DFL, signal.default_int_handler)  # not ignored, as by `nohup`, or the caller's own
    signals = [each for each in signal.Signals if each.name in STOPPING and signal.getsignal(each) in default]
    try:
        asyncio.run(work(signals))
    except asyncio.CancelledError:
        raise RunStopped("interrupted twice; the calls in flight were abandoned") from None


async def execute(
    plan: Plan,
    folder: Path,
    manifest: Manifest,
    *,
    notify: Callable[[str], None],
    policy: GatewayPolicy | None = None,
    watch: Callable[[Tally, Engine], AbstractAsyncContextManager[Any]] = lambda tally, engine: nullcontext(),
    signals: Sequence[signal.Signals] = (),
    shared: bool = False,
    engine_of: Callable[..., Engine] = Engine,
    workers: int | None = None,
    ray: str | None = None,
) -> None:
    """Carry out a plan in the folder of a run. `watch` is entered while the engine works; `signals` stop it.
    `engine_of` creates the engine; `shared`, `workers` and `ray` are those of `run`.

    Raises:
        As `run`.
    """
    remote = workers is not None or ray is not None
    keys = plan.load_keys(0 if remote else plan.limits.concurrency)
    notify = _without_keys(notify, keys)
    async with AsyncExitStack() as stack:
        checks = await stack.enter_async_context(working_checks(plan))
        workplaces = await _elsewhere(stack, plan, keys, workers, ray, notify, signals) if remote else None
        stack.enter_context(locked(folder, shared=shared))
        pack = stack.enter_context(held_pack(plan.settings.prompts))
        ledger = prepare(folder, manifest, keys, shared=shared)
        began_with = reply_limits(read_manifest(folder))[0]
        tally = Tally(samples=plan.expected(manifest["data"]["records"]), modes=plan.modes)
        engine = engine_of(
            plan,
            ledger,
            keys,
            tally,
            checks,
            notify=notify,
            began_with=began_with,
            policy=policy,
            workplace=workplaces and partial(workplaces, pack=pack),
        )
        main, interrupted = asyncio.current_task(), False

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted and main:
                main.cancel()
            if not interrupted and (calls := engine.in_flight):
                flying = f"{plural(calls, 'call')} in flight"
                notify(f"stopping: {flying} will finish first; Ctrl-C again abandons them")
            interrupted = True
            engine.stop(RunStopped("interrupted; the same command resumes the run"))

        _handle(signals, interrupt)
        end_tracing = start_tracing(keys, notify)
        try:
            counting = asking_server(plan.settings, plan.settings.tokenizer, keys, notify)
            async with counting, watch(tally, engine):
                await engine.run()
        except LedgerError as error:
            raise RunStopped(str(error)) from None
        finally:
            end_tracing()


async def _elsewhere(
    stack: AsyncExitStack,
    plan: Plan,
    keys: Keys,
    workers: int | None,
    ray: str | None,
    notify: Callable[[str], None],
    signals: Sequence[signal.Signals],
) -> Callable[..., Workplace]:
    """Return what makes the place where other processes work on the samples. Signals stop it."""
    # Ray takes a while to load.
    from runners.fleet import Fleet
    from runners.ray_workers import ray_workers

    main, interrupted = asyncio.current_task(), False

    def interrupt() -> None:
        nonlocal interrupted
        if main and not interrupted:
            notify("stopping: Ray is still starting, and ends as soon as it can")
            main.cancel()
        interrupted = True

    _handle(signals, interrupt)
    try:
        given = workers, ray, plan.limits.concurrency, notify
        found = await stack.enter_async_context(ray_workers(*given))
    except asyncio.CancelledError:
        if interrupted:
            raise RunStopped("interrupted; the same command resumes the run") from None
        raise
    first = first_candidate(plan)
    return partial(Fleet, keys=keys, first=first, number=found.workers, hire=found.hire, end=found.end)


def _handle(signals: Sequence[signal.Signals], interrupt: Callable[[], None]) -> None:
    for each in signals:
        with suppress(RuntimeError):  # in a thread, or on Windows
            asyncio.get_running_loop().add_signal_handler(each, interrupt)


def _without_keys(notify: Callable[[str], None], keys: Keys) -> Callable[[str], None]:
    return lambda text: notify(keys.redact(text))


def load_run(folder: str | Path) -> "RecordedRun":
    """Load a run, finished or in progress, as rows for pandas or Polars.

        >>> run = coevol.load_run("runs/demo")
        >>> pandas.DataFrame(run.samples()).groupby("mode").accepted_rounds.mean()
        >>> polars.DataFrame(run.rounds())

    Raises:
        LedgerError, RunError: the folder is not a run, or cannot be read.
    """
    # The command `evolve` imports this module and needs no Arrow.
    from reporting.recorded_run import RecordedRun

    with _printable_errors():
        return RecordedRun(Path(folder))


def load_trial(folder: str | Path) -> "RecordedTrial":
    """Load a trial, finished or in progress: its figures, what they say, and rows for pandas or Polars.

        >>> trial = coevol.load_trial("trials/demo")
        >>> trial.sentences()
        >>> pandas.DataFrame(trial.results())
        >>> polars.DataFrame(trial.comparisons())

    Figures need the extra `trial`.

    Raises:
        RunError: the folder is not a trial, or cannot be read.
    """
    from reporting.recorded_trial import RecordedTrial

    with _printable_errors():
        return RecordedTrial(Path(folder))
