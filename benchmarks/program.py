"""Runs the program as a user starts it, in its own process, and measures that process."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COEVOL = ("-c", "from runners.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used."""

    wall: float
    """Seconds."""
    cpu: float
    """CPU seconds."""
    peak: float
    """MiB at the last measurement; without any, as the system reports it, which on Linux includes the
    parent's memory."""
    memory: list[float]
    """MiB every half second, on Linux; elsewhere empty."""
    output: str


def python(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    until: Callable[[], bool] | None = None,
    status: int = 0,
) -> Usage:
    """Run Python with these arguments; with `until`, kill it as soon as that is true.

    Raises:
        RuntimeError: the exit status is another; the message includes the output.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        memory: list[float] = []
        peaks: list[float] = []
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process, memory, peaks, over, until))
        watcher.start()
        # Unlike `process.wait`, this returns the resources that the process used.
        _, code, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(code)
        over.set()
        watcher.join()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if until is None and process.returncode != status:
        raise RuntimeError(f"{arguments} ended with status {process.returncode}:\n{text}")
    unit = 2**10 if sys.platform != "darwin" else 2**20
    peak = peaks[-1] if peaks else used.ru_maxrss / unit
    return Usage(wall, used.ru_utime + used.ru_stime, peak, memory, text)


def coevol(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    until: Callable[[], bool] | None = None,
    status: int = 0,
) -> Usage:
    """Run `coevol`, as `python` does."""
    return python(*COEVOL, *arguments, cwd=cwd, env=env, until=until, status=status)


def _watch(
    process: subprocess.Popen[bytes],
    memory: list[float],
    peaks: list[float],
    over: threading.Event,
    until: Callable[[], bool] | None,
) -> None:
    status = Path(f"/proc/{process.pid}/status")
    last = 0.0
    while not over.wait(0.01 if until else 0.5):
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            with suppress(OSError, KeyError):  # it has ended, or this is not Linux
                held = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status.read_text(), re.MULTILINE))
                memory.append(int(held["VmRSS"]) / 2**10)
                peaks.append(int(held["VmHWM"]) / 2**10)
        if until and until():
            process.kill()
            return
