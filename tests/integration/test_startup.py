"""What a command loads: packages that take long to load only where they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import look
from tests.program import EXAMPLES, ROOT

SLOW = {
    *("aiohttp", "anyio", "genai_prices", "httpx", "httpx2", "jinja2", "langchain_core", "langchain_openai"),
    *("langgraph", "langgraph_sdk", "langsmith", "lingua", "nicegui", "numpy", "openai", "pyarrow", "rich"),
    "sqlalchemy",
}

_RUN = """
import sys
from runners.cli import main
try:
    main()
except SystemExit as ended:
    print(ended.code, *{name.partition(".")[0] for name in sys.modules}, len(sys.modules), file=sys.stderr)
"""


def loaded(*words: object, cwd: Path) -> tuple[set[str], int]:
    """Return the slow packages that a command loads, and how many modules."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, words)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    status, *names, number = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    return SLOW.intersection(names), int(number)


@pytest.mark.parametrize(
    ("words", "most"), [(("--help",), 200), (("--version",), 200), (("evolve", "--help"), 420)]
)
def test_help_loads_nothing_slow(words: tuple[str, ...], most: int, tmp_path: Path) -> None:
    packages, modules = loaded(*words, cwd=tmp_path)
    assert not packages
    assert modules < most


def test_looking_at_a_run_loads_no_graph_and_no_client(tmp_path: Path) -> None:
    look("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 1, "--mode", "edit", cwd=tmp_path)
    for words in (("stats", "run"), ("show", "run", "leap-years")):
        packages, modules = loaded(*words, cwd=tmp_path)
        assert packages <= {"jinja2", "rich", "sqlalchemy"}
        assert modules < 700
