"""Each benchmark runs and prints its table; the numbers are not checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT

SMALL = {
    "endpoint_use": ("--samples", 3, "--latency", 0.01, "--concurrency", 4, "--no-spread"),
    "cpu": ("--samples", 2, "--repeat", 1),
    "job": ("--samples", 2, "--edited", 3, "--latency", 0.01, "--repeat", 1),
    "startup": ("--repeat", 1),
    "depth": ("--latency", 0.01, "--repeat", 1),
    "million": ("--records", 30, "--left", 5, "--worked-on", 5),
    "pages": ("--samples", 60, "--repeat", 1),
    "memory": ("--samples", 20),
    "ledger": ("--samples", 2, "--repeat", 1),
    "workers": ("--samples", 10, "--workers", "0", "--servers", 1, "--nodes", 0, "--written", 50),
    "coverage": ("--trials", 2, "--resamples", 50),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_its_table(name: str, tmp_path: Path) -> None:
    words = ["-m", f"benchmarks.{name}", *map(str, SMALL[name])]
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={"PATH": "", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    header, _, *rows = [line for line in ended.stdout.splitlines() if line.startswith("|")]
    assert rows
    assert {len(row.split("|")) for row in rows} == {len(header.split("|"))}
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_prefixes_names_an_address_without_a_server(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.prefixes", "--server", "http://127.0.0.1:9/v1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 1
    assert "http://127.0.0.1:9/v1" in ended.stderr
    assert "Traceback" not in ended.stderr
