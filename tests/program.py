"""The program as users start it, in a process of its own, and data for it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

DATA = Path(__file__).parent / "data"
"""Our own data sets."""

EXAMPLES = ROOT / "examples"

COMMAND = [sys.executable, "-c", "from runners.cli import main; main()"]
_KEYS = ("OPENAI_API_KEY", "VLLM_API_KEY", "QIANFAN_API_KEY", "ZHIPUAI_API_KEY")


def start(*words: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `coevol` with these words. Keys come from `env` only."""
    inherited = {name: value for name, value in os.environ.items() if name not in _KEYS}
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env=inherited | {"COLUMNS": "100", "PYTHONPATH": str(EXAMPLES.parent)} | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def coevol(
    *words: object,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    status: int | None = 0,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run `coevol` to its end, which must have this exit status (None: any)."""
    process = start(*words, cwd=cwd, env=env)
    out, err = process.communicate(timeout=timeout)
    assert status is None or process.returncode == status, f"exit {process.returncode}\n{out}\n{err}"
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def records(count: int) -> list[dict[str, str]]:
    """Return so many Alpaca records, all different."""
    return [
        {"instruction": f"Say something about number {n}.", "input": "", "output": f"It is {n}. " * 20}
        for n in range(count)
    ]


def write(path: Path, data: Any) -> Path:
    """Write JSON into a file and return the file."""
    path.write_text(json.dumps(data), encoding="utf-8")
    return path
