"""The memory of a run over 100,000 samples."""

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.program import records, start

pytestmark = pytest.mark.long

EARLY, LATE = 10_000, 100_000
"""Finished samples at which memory is measured."""


def test_a_long_run_leaks_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for record in records(LATE + 2000):
            file.write(json.dumps(record) + "\n")
    process = start("evolve", data, "-o", "run", "--max-rounds", 1, cwd=tmp_path)
    used = [resident_after(count, process, tmp_path / "run") for count in (EARLY, LATE)]
    process.kill()
    process.communicate()
    assert used[1] <= 1.1 * used[0]


def resident_after(count: int, process: subprocess.Popen[str], run: Path) -> int:
    """Return the memory of a run's process once so many samples are finished, in KiB."""
    while True:
        assert process.poll() is None, "the run ended early"
        time.sleep(1)
        try:
            uri = f"file:{run / 'ledger.sqlite'}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                (finished,) = connection.execute("SELECT count(*) FROM results").fetchone()
        except sqlite3.OperationalError:
            continue  # the ledger is being created
        if finished >= count:
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])
