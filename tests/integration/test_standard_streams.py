"""Standard streams that are full or closed, and a process with little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import COMMAND, ROOT

resource = pytest.importorskip("resource")

SCRIPT = f'exec "{sys.executable}" -c "{COMMAND[2]}" "$@"'


def shell(redirected: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `coevol` with a redirection."""
    return subprocess.run(
        ["/bin/sh", "-c", f"{SCRIPT} {redirected}", "sh", *map(str, words)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_and_closed_streams(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    assert shell("2>/dev/full", "evolve", "data.json", "-o", "full", cwd=tmp_path).returncode == 0
    assert shell("2>&-", "evolve", "data.json", "-o", "closed", cwd=tmp_path).returncode == 0
    full = shell(">/dev/full", "stats", "full", cwd=tmp_path)
    assert full.returncode == 2
    assert full.stderr == "coevol: the output cannot be written: No space left on device\n"


def test_little_memory_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "line.jsonl"
    path.write_bytes(b'{"instruction": "a", "output": "')
    with path.open("r+b") as file:
        file.truncate(1_500_000_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000,) * 2); "
    for size, message in (
        (16, "line 1 (record 1): the record is larger than 16 MB (--max-record-size)"),
        (2000, "memory"),
    ):
        words = ["evolve", path.name, "-o", "run", "--dry-run", "--max-record-size", str(size)]
        ended = subprocess.run(
            [sys.executable, "-c", limit + COMMAND[2], *words],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        assert message in ended.stderr.splitlines()[-1]
