"""Checks of a draft against the reference of its record: `exact`, `math`, or a command of the user's.

A check only refuses: a draft that passes is still judged. What each compares, and the limits of a command,
are in docs/references.md. `math` and commands work on strangers' texts, so they run in processes of their
own, within limits (`nodes.sandbox`), as many at a time as there are cores.
"""

import asyncio
import importlib.util
import json
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, Self, TypeVar

from models.errors.exceptions import MissingExtra, RunStopped
from models.secret_fields import masked_command
from nodes.answers import agrees, final_answer, right_answer

SECONDS, CPU_SECONDS = 20, 20
"""How long a command may take, and the processor time of each of its processes."""
MEMORY, LARGEST_FILE, PROCESSES = 2 << 30, 64 << 20, 64
"""Bytes of address space of each process of a command, bytes of each file it writes, and how many processes
it may have; the last does not bind root."""

_MATH_CPU, _MATH_WAIT, _MATH_START = 5, 60, 120
"""Seconds of processor time that one comparison may take, and how long to wait for it and for the library,
however busy the machine is."""
_MATH_MEMORY = 1 << 30

_SANDBOX, _MATH_WORKER = (str(Path(__file__).with_name(f"{name}.py")) for name in ("sandbox", "math_worker"))
"""Programs; importing them needs POSIX."""

_SHOWN = 200
"""Characters of a remark."""


class Candidate(NamedTuple):
    """A response that is checked."""

    response: str
    references: Sequence[str]
    """Answers known to be right, of which one is enough; empty where the record has none."""
    record: Mapping[str, Any]
    """What a command is given besides `response` and `reference`; at least `id`, `exchange`, `request` and
    `input`."""


class Outcome(NamedTuple):
    """The outcome of a check."""

    agrees: bool | None
    """None where the check came to no result: it took too long or too much memory, or failed."""
    remark: str = ""
    """Why, in a few words."""


class Check(Protocol):
    """How a graph checks a response."""

    async def __call__(self, check: str, candidate: Candidate) -> Outcome | None:
        """Check a response as the setting `check` says; None where there is nothing to check it by.

        Raises:
            RunStopped: the check can no longer be started.
        """
        ...


async def no_checks(check: str, candidate: Candidate) -> Outcome | None:
    """Stand for the checks of a graph whose settings have none."""
    shown = masked_command(check)
    raise RuntimeError(f"this graph was built without checks, and its settings ask for {shown!r}")


class CheckUnusable(RunStopped):
    """A check cannot be used. The message says why and what to do."""


def require_check(check: str | None) -> None:
    """Make sure that a check has what it needs.

    Raises:
        MissingExtra: the library of `math` is not installed.
        CheckUnusable: there is no such command.
    """
    if check == "math" and importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("--check math", "math-verify", "math")
    if check and check != "exact" and os.name != "posix":
        raise CheckUnusable(f"--check {check} needs Linux or macOS; exact works everywhere")
    if check and is_command(check):
        _resolved(check)


def is_command(check: str) -> bool:
    """Return whether a check is a command."""
    return check not in ("exact", "math")


Result = TypeVar("Result")


class Checks:
    """Carries out checks. A context manager; leaving it ends the processes.

    Args:
        commands: whether commands may be run. In Studio, settings may come from any page that reaches the
            server.
    """

    def __init__(self, *, commands: bool = True) -> None:
        self._commands = commands
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="check")
        self._workers: list[_MathWorker] = []
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in list(self._running):
            _end(process)
        self._threads.shutdown()
        for worker in self._workers:
            worker.end()

    async def __call__(self, check: str, candidate: Candidate) -> Outcome | None:
        """Do what `Check` says. A command needs no reference."""
        if not (candidate.references or is_command(check)):
            return None
        if not candidate.response.strip():
            return Outcome(agrees=False, remark="it is empty")
        if is_command(check):
            return await self._in_thread(lambda: self._command(check, candidate))
        if agrees(candidate.response, candidate.references):
            return Outcome(agrees=True)
        right = _brief(" or ".join(map(right_answer, candidate.references)), _SHOWN // 2)
        refused = Outcome(agrees=False, remark=f"“{_brief(final_answer(candidate.response))}”, not “{right}”")
        if check == "exact":
            return refused
        outcome = await self._in_thread(lambda: self._math(candidate))
        return refused if outcome.agrees is False else outcome

    async def try_out(self, check: str, first: Candidate | None) -> None:
        """Make sure that a check works before there is anything to check: `math` on an example, a command on
        the first response.

        Raises:
            CheckUnusable: it does not; the message says why.
        """
        if check == "math":
            outcome = await self._in_thread(lambda: self._math(Candidate("0.5", ["1/2"], {})))
            if not outcome.agrees:
                raise CheckUnusable(
                    f"--check math: the library does not work here ({outcome.remark or 'it finds 1/2 ≠ 0.5'})"
                )
        elif first:
            outcome = await self._in_thread(lambda: self._command(check, first))
            if outcome.agrees is None:
                raise CheckUnusable(
                    f"--check {masked_command(check)}: no result for record {first.record['id']} with "
                    f"its own response: {outcome.remark}. A command ends with status 0 where the response "
                    "agrees, and with 1 where it does not"
                )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _math(self, candidate: Candidate) -> Outcome:
        # What a worker did before must not decide: where one fails, a new one is asked.
        used = self._workers.pop() if self._workers else None
        outcome = self._compared(used, candidate) if used else Outcome(None)
        return self._compared(_MathWorker(self._start), candidate) if outcome.agrees is None else outcome

    def _compared(self, worker: "_MathWorker", candidate: Candidate) -> Outcome:
        result = worker.ask(candidate)
        if isinstance(result, bool):
            self._workers.append(worker)
            return Outcome(result)
        worker.end()
        self._running.discard(worker.process)
        return Outcome(None, result)

    def _command(self, check: str, candidate: Candidate) -> Outcome:
        if not self._commands:
            raise CheckUnusable(
                "a command (--check) runs in `coevol evolve` only, not in Studio: use exact or math here"
            )
        command = _resolved(check)
        given = {"reference": None, **candidate.record, "response": candidate.response}
        if candidate.references:
            one, *others = candidate.references
            given["reference"] = [one, *others] if others else one
        try:
            text = json.dumps(given, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):  # a number of thousands of digits, or a deep nest
            return Outcome(None, "the record cannot be written as JSON")
        with (
            tempfile.TemporaryDirectory(prefix="coevol-check-", ignore_cleanup_errors=True) as folder,
            tempfile.TemporaryFile() as record,
            tempfile.TemporaryFile() as errors,
        ):
            record.write(text.encode("utf-8", "replace"))
            record.seek(0)
            limits = (SECONDS, CPU_SECONDS, MEMORY, LARGEST_FILE, PROCESSES)
            process = self._start(limits, command, folder, record, subprocess.DEVNULL, errors)
            try:
                # The sandbox ends by itself after `SECONDS`, also if this process is no more.
                status = process.wait(SECONDS + 10)
            except subprocess.TimeoutExpired:
                status = -signal.SIGKILL
            finally:
                _end(process)
                self._running.discard(process)
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 10_000))
            return _outcome(status, errors.read(10_000).decode("utf-8", "replace"))

    def _start(
        self,
        limits: tuple[int, int, int, int, int],
        command: Sequence[str],
        folder: str,
        stdin: int | IO[bytes],
        stdout: int,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise CheckUnusable("the run has ended")
        own = {"HOME": folder, "TMPDIR": folder}
        process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
            [sys.executable, "-I", "-S", _SANDBOX, *map(str, limits), *command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            # Keys of providers are in the environment.
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **own},
            start_new_session=True,
        )
        self._running.add(process)
        return process


class _MathWorker:
    """A process that compares mathematical answers, see `nodes.math_worker`."""

    def __init__(self, start: Callable[..., "subprocess.Popen[bytes]"]) -> None:
        program = [sys.executable, "-I", "-B", _MATH_WORKER]
        limits = (0, 0, _MATH_MEMORY, 1, 16)
        self.process = start(limits, program, "/", subprocess.PIPE, subprocess.PIPE)
        self._error = "" if self._tell(sys.path, _MATH_START) == "true" else "it cannot be loaded"

    def ask(self, candidate: Candidate) -> bool | str:
        """Return whether a response agrees; or why there is no result."""
        if self._error:
            return self._error
        question = {
            "draft": candidate.response[-_MATH_END:],
            "right": [answer[-_MATH_END:] for answer in candidate.references],
            "seconds": _MATH_CPU,
        }
        reply = self._tell(question, _MATH_WAIT)
        if reply in ("true", "false"):
            return reply == "true"
        return f"more than {_MATH_CPU} s or {_MATH_MEMORY >> 30} GB, or a formula that cannot be compared"

    def end(self) -> None:
        """End the process."""
        _end(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def _tell(self, what: object, seconds: float) -> str:
        """Write a line and return the one that comes back; empty if none does."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin and stdout  # noqa: S101 - for the type
        until = time.monotonic() + seconds
        try:
            stdin.write(json.dumps(what).encode() + b"\n")
            stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(stdout, selectors.EVENT_READ)
                line = b""
                while not line.endswith(b"\n"):
                    if not selector.select(max(0, until - time.monotonic())):
                        return ""
                    if not (more := os.read(stdout.fileno(), 100)):
                        return ""
                    line += more
        except OSError:
            return ""
        return line.decode("utf-8", "replace").strip()


_MATH_END = 10_000
"""Characters at the end of a text that are compared."""


def _resolved(check: str) -> list[str]:
    """Return a command as it is started from any folder: what names a file is absolute.

    Raises:
        CheckUnusable: there is no such command.
    """
    try:
        program, *arguments = shlex.split(check) or [""]
    except ValueError as error:
        shown = masked_command(check)
        raise CheckUnusable(f"--check {shown}: not exact or math, nor a command ({error})") from None
    found = shutil.which(program)
    if found is None:
        is_file = _absolute(program) != program
        why = "is a file: begin with its interpreter, such as python" if is_file else "is not found"
        shown = masked_command(check)
        raise CheckUnusable(f"--check {shown}: not exact or math, and the command {program!r} {why}")
    return [str(Path(found).absolute()), *map(_absolute, arguments)]


def _absolute(word: str) -> str:
    with suppress(OSError, ValueError):  # a program text, say, is too long for a name
        if Path(word).is_file():
            return str(Path(word).absolute())
    return word


def _outcome(status: int, errors: str) -> Outcome:
    said = _brief((errors.strip().splitlines() or [""])[-1])
    match status:
        case 0:
            return Outcome(agrees=True)
        case 1:
            return Outcome(agrees=False, remark=said)
        case _ if status < 0:
            return Outcome(None, f"ended after {SECONDS} s")
        case _ if status > 128 and status - 128 in set(signal.Signals):
            return Outcome(None, _brief(f"ended by {signal.Signals(status - 128).name}. {said}".strip(" .")))
        case _:
            return Outcome(None, _brief(f"status {status}: {said}".strip(": ")))


def _brief(text: str, most: int = _SHOWN) -> str:
    text = " ".join(text[: 10 * most].split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
