"""Runs that are disturbed, and what they are compared with: the same run left alone."""

import json
import random
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from standin import StandIn
from tests.conftest import look
from tests.program import records, start, write

CONCURRENCY = 8
IN_FLIGHT = 2 * CONCURRENCY
"""The most calls that are sent and not recorded yet: so many samples are in progress, with two calls each."""


def write_data(folder: Path, count: int) -> Path:
    return write(folder / "data.json", records(count))


def command(server: StandIn, data: Path, run: Path | str) -> tuple[object, ...]:
    at = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
    return ("evolve", data, "-o", run, *at, "--concurrency", CONCURRENCY)


@contextmanager
def slow_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Run a server whose replies take 20 ms, its keys in the environment."""
    with StandIn(latency=0.02) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def exported(run: Path, folder: Path) -> Any:
    """Return the data set exported from a run."""
    target = folder / f"{time.monotonic_ns()}.json"
    look("export", run, "-o", target, cwd=folder)
    return json.loads(target.read_text(encoding="utf-8"))


def undisturbed(server: StandIn, data: Path, folder: Path) -> tuple[Any, Counter[str]]:
    """Return the export of a run that nothing happens to, and the requests it makes."""
    before = len(server.chats())
    look(*command(server, data, folder / "undisturbed"), cwd=folder)
    return exported(folder / "undisturbed", folder), requests(server, before)


def requests(server: StandIn, since: int = 0) -> Counter[str]:
    return Counter(chat.digest for chat in server.chats()[since:])


def recorded(run: Path) -> int:
    """Return how many calls a ledger holds, whose file must be intact."""
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    return int(count)


def wait_for_calls(server: StandIn, count: int, process: subprocess.Popen[str]) -> None:
    """Return once the server has so many calls, or the process has ended."""
    while len(server.chats()) < count and process.poll() is None:
        time.sleep(0.01)


def kill_at_random(kills: int, samples: int, server: StandIn, folder: Path) -> None:
    """Kill a run again and again, resume it, and make sure that only calls in flight were lost."""
    data = write_data(folder, samples)
    expected, asked = undisturbed(server, data, folder)
    before = known = len(server.chats())
    chance, lost, saved = random.Random(4), 0, 0
    for kill in range(kills):
        process = start(*command(server, data, "run"), cwd=folder, env=server.environment())
        # Among them moments before the first call, and moments while recorded calls are replayed.
        some = chance.randrange(2 * asked.total() // (kills + 1))
        wait_for_calls(server, known + some, process)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.communicate()
        time.sleep(0.2)  # what had been sent arrives
        known, was_saved = len(server.chats()), saved
        saved = recorded(folder / "run") if (folder / "run" / "ledger.sqlite").exists() else 0
        in_flight = known - before - lost - saved
        assert 0 <= in_flight <= IN_FLIGHT, f"kill {kill}: {saved - was_saved} calls recorded"
        lost += in_flight
    look(*command(server, data, "run"), cwd=folder)
    assert exported(folder / "run", folder) == expected
    again = requests(server, before)
    assert again.keys() == asked.keys()
    assert (again - asked).total() == lost
    assert recorded(folder / "run") == asked.total()
