"""Shows the progress of a run: a live line on a terminal, a line now and then in a log."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from rich.cells import cell_len
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.limits.rate_limiter import WaitReason
from models.routing.circuit_breaker import Outage
from prompts.method import MODES
from reporting.labels import duration, failure_label
from runners.console import SafeConsole
from runners.engine import Engine, Tally
from runners.terminal import guard
from samples.fields import plural
from samples.printable import printable

SEPARATOR = " · "

SHORTEST_BAR = 8
"""In columns; a shorter one says nothing."""

ON_TERMINAL, IN_LOG = 0.5, 30.0
"""Seconds between two lines."""

LAST = 253_370_000_000.0
"""A Unix time in the year 9998: a cap of nearly no calls a minute can make one wait for longer."""


class _Display(SafeConsole):
    """Standard error. A display that cannot be written must not end a run."""

    def on_broken_pipe(self) -> None:
        """Stop writing; rich itself would end the program."""
        self.quiet = True


class Progress:
    """Shows a run's tally on standard error while it runs. An async context manager."""

    def __init__(self, tally: Tally, engine: Engine) -> None:
        self._tally = tally
        self._engine = engine
        self._console = _Display(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    async def __aenter__(self) -> Self:
        self._showing = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._showing.cancel()
        await asyncio.gather(self._showing, return_exceptions=True)
        self.print(self._line())

    def print(self, text: str) -> None:
        """Print a line that stays, above the live one."""
        with suppress(OSError):
            self._console.print(text, soft_wrap=True)

    async def _show(self) -> None:
        if not self._console.is_terminal:
            while True:
                self._console.print(self._line(), soft_wrap=True)
                await asyncio.sleep(IN_LOG)
        with self._live:
            guard()  # what is written above the display, by libraries too
            while True:
                self._live.update(self._bar(), refresh=True)
                await asyncio.sleep(ON_TERMINAL)

    def _bar(self) -> RenderableType:
        """Return a bar and the line next to it. What a run waits for is shown in full, if need be without the
        bar; of the rest, what fits."""
        tally, width = self._tally, self._console.width
        parts, needed = self._parts()
        room = width - cell_len(SEPARATOR.join(parts[:needed])) - len("  ")
        bar = min(width // 5, 30, room)
        if bar < SHORTEST_BAR:
            return Text(fitting(parts, needed, width - 1), no_wrap=True, overflow="ellipsis")
        shown = Table.grid(padding=(0, 1))
        completed = tally.earlier + tally.finished
        text = fitting(parts, needed, width - bar - len("  "))
        shown.add_row(
            ProgressBar(total=max(tally.samples, 1), completed=completed, width=bar),
            Text(text, no_wrap=True, overflow="ellipsis"),
        )
        return shown

    def _line(self) -> str:
        return SEPARATOR.join(self._parts()[0])

    def _parts(self) -> tuple[list[str], int]:
        engine = self._engine
        waiting, outages = engine.waiting(), engine.outages()
        parts = describe(self._tally, engine.in_flight, waiting, outages, engine.loads())
        return [printable(part) for part in parts], 1 + len(waiting) + len(outages)


def fitting(parts: Sequence[str], needed: int, width: int) -> str:
    """Return the first `needed` parts of a line, and of the others those that fit into its width."""
    text = SEPARATOR.join(parts[:needed])
    for part in parts[needed:]:
        if cell_len(longer := f"{text}{SEPARATOR}{part}") <= width:
            text = longer
    return text


def describe(
    tally: Tally,
    in_flight: int,
    waiting: Sequence[WaitReason] = (),
    outages: Sequence[Outage] = (),
    loads: Sequence[int] | None = None,
) -> list[str]:
    """Describe the run so far in parts: how far it is, what waits for what, what is down, and the rest.
    `loads` are the samples that each worker has."""
    seconds = time.monotonic() - tally.began
    finished = tally.earlier + tally.finished
    is_run = all(mode in MODES for mode in tally.modes)  # and not the referees of a trial
    modes = [MODES[mode] for mode in tally.modes] if is_run else []
    unit = "samples" if is_run else "comparisons and scores" if MODES.keys() & tally.modes else "comparisons"
    parts = [
        f"{finished:,}/{tally.samples:,} {unit}",
        *(f"{held.calls} waiting ({_reason(held)})" for held in waiting),
        *(f"{out.name} down since {_clock(out.since)} ({failure_label(out.reason)})" for out in outages),
    ]
    left = tally.samples - finished
    if tally.finished and left > 0:
        parts.append(f"{duration(left * seconds / tally.finished)} left")
    if any(mode.is_judged for mode in modes):
        parts.append(f"{plural(tally.accepted_rounds, 'round')} accepted")
    if any(not mode.is_judged for mode in modes):
        parts.append(f"{plural(tally.rewritten, 'response')} rewritten")
    if tally.skipped:
        parts.append(f"{tally.skipped:,} skipped")
    if loads is not None:
        parts.append(_workers(loads))
    parts += [
        f"{tally.failed:,} failed",
        f"{plural(tally.calls, 'call')}, {in_flight} in flight",
        f"{tally.input_tokens:,} + {tally.output_tokens:,} tokens",
        f"{tally.calls / max(seconds, 0.001):.1f} calls/s",
    ]
    if tally.recorded:
        parts.insert(-1, f"{tally.recorded:,} from the ledger")
    if not tally.finished or left <= 0:
        parts.append(f"{duration(seconds)}")
    return parts


def _workers(loads: Sequence[int]) -> str:
    if not loads:
        return "no worker yet"
    samples = plural(max(loads), "sample")
    at_work = f"{min(loads)} to {samples}" if min(loads) < max(loads) else samples
    return f"{plural(len(loads), 'worker')} with {at_work}{' each' * (len(loads) > 1)}"


def _reason(held: WaitReason) -> str:
    # A short wait needs no time of day.
    if held.until is None or held.until < time.time() + 2:
        return held.reason
    return f"{held.reason} until {_clock(held.until)}"


def _clock(at: float) -> str:
    when = time.localtime(min(at, LAST))
    today = when[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", when)
