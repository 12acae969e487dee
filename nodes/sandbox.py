"""Runs one command within limits: `python -I sandbox.py SECONDS CPU MEMORY FILE PROCESSES COMMAND…`.

A program of its own, so that nothing has to run between fork and exec of a process with threads. SECONDS is
how long the command may take, CPU the processor time of each of its processes in seconds, MEMORY the address
space of each in bytes, FILE the largest file in bytes; 0 is no limit.

Where Linux lets ordinary users make namespaces, the command has no network, and nothing that it started
outlives it. Elsewhere (macOS, containers that forbid it) only its process group is ended, by the caller.

It ends with the command's status, 128 plus the signal that ended it, or `CANNOT_START`. It is started for
every draft, so it imports next to nothing.
"""

import os
import resource
import signal
import sys

CANNOT_START = 127

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000


def main(arguments: list[str]) -> None:
    """Run the command."""
    seconds, cpu, memory, file, processes = map(int, arguments[:5])
    if _isolate() and _counts_by_namespace():
        _limit("NPROC", processes)
    for name, most in (("CPU", cpu), ("AS", memory), ("FSIZE", file)):
        if most:
            _limit(name, most)
    _limit("CORE", 0)
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


def _end(number: int, frame: object) -> None:
    os.killpg(0, signal.SIGKILL)


def _limit(name: str, most: int) -> None:
    which = getattr(resource, f"RLIMIT_{name}")
    # The kernel ends a process by SIGKILL only at the hard limit.
    hard = most + 1 if name == "CPU" else most
    _, least = resource.getrlimit(which)
    if least != resource.RLIM_INFINITY:
        hard = min(hard, least)
    try:
        resource.setrlimit(which, (min(most, hard), hard))
    except ValueError:  # macOS takes none for the address space
        return


def _isolate() -> bool:
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(_NEW_USER | _NEW_PROCESSES | _NEW_NETWORK)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            file = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(file, text.encode())
            os.close(file)
    except (OSError, AttributeError):  # not Linux, or not allowed
        return False
    return True


def _counts_by_namespace() -> bool:
    """Whether the kernel counts the processes of a namespace for its limit, and not all of the user's."""
    major, minor, *_ = (*os.uname().release.split("."), "0")
    return major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= (5, 14)


def _unshare(what: int) -> None:
    if sys.version_info >= (3, 12):
        os.unshare(what)
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(what):
        raise OSError(ctypes.get_errno(), "no namespaces")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:
        sys.stderr.write(f"the sandbox failed: {error!r}\n")
        sys.exit(CANNOT_START)  # not 1, which means that a draft does not agree
