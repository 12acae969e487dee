"""Runs one command within limits: `python -I sandbox.py SECONDS CPU MEMORY FILE PROCESSES COMMAND…`.

A program of its own, so that nothing has to run between fork and exec of a process with threads. SECONDS is
how long the command may take, CPU the processor time of each of its processes in seconds, MEMORY the address
space of each in bytes, FILE the largest file in bytes; 0 is no limit.

Where Linux lets ordinary users make namespaces, the command has no network, and nothing that it started
outlives it. Elsewhere (macOS, containers that forbid it) only its process group is ended, by the caller.

It ends with the command's status, 128 plus the signal that ended it, or `CANNOT_START`.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

CANNOT_START = 127

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000


def main(arguments: list[str]) -> NoReturn:
    """Run the command."""
    seconds, cpu, memory, file, processes = map(int, arguments[:5])
    _isolate()
    for name, most in (("CPU", cpu), ("AS", memory), ("FSIZE", file), ("NPROC", processes), ("CORE", 0)):
        if most or name == "CORE":
            _limit(getattr(resource, f"RLIMIT_{name}"), most)
    if seconds:
        signal.signal(signal.SIGALRM, _end)
        signal.alarm(seconds)
    # The first child is the first process of the new namespace: when it ends, the kernel ends the others.
    init = os.fork()
    if not init:
        os._exit(_init(arguments[5:]))
    sys.exit(_status(os.waitpid(init, 0)[1]))


def _init(command: list[str]) -> int:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        try:
            os.execv(command[0], command)  # noqa: S606 - what the user asked for, and without a shell
        except OSError as error:
            sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
            sys.stderr.flush()
            os._exit(CANNOT_START)
    while True:
        ended, status = os.wait()  # orphans too
        if ended == child:
            return _status(status)


def _status(wait_status: int) -> int:
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def _end(number: int, frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _limit(which: int, most: int) -> None:
    # The kernel ends a process by SIGKILL only at the hard limit.
    hard = most + 1 if which == resource.RLIMIT_CPU else most
    _, least = resource.getrlimit(which)
    if least != resource.RLIM_INFINITY:
        hard = min(hard, least)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (min(most, hard), hard))


def _isolate() -> None:
    user, group = os.getuid(), os.getgid()
    try:
        libc = ctypes.CDLL(None)
        if libc.unshare(_NEW_USER | _NEW_PROCESSES | _NEW_NETWORK):
            return
    except (OSError, AttributeError):
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


if __name__ == "__main__":
    main(sys.argv[1:])
