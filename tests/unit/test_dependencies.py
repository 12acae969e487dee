"""What each direct dependency is for is written down, and of the unmaintained one little is loaded."""

import ast
import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.audit import direct, purposes, table, uploaded
from tests.program import ROOT

LOCK = """
[[packages]]
name = "fschat"
version = "0.2.36"
sdist = { upload-time = 2024-02-11T10:00:00Z }
wheels = [{ upload-time = 2024-02-12T10:00:00Z }]

[[packages]]
name = "click"
version = "8"
"""


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_what_each_is_for_is_in_the_architecture() -> None:
    assert purposes().keys() == direct().keys()


def test_old_releases_are_marked() -> None:
    console = Console(width=250)
    with console.capture() as captured:
        console.print(table({"fschat": "0.2.36"}, uploaded(LOCK), datetime(2026, 2, 11, 10, tzinfo=UTC)))
    rows = {line.split()[1]: line for line in captured.get().splitlines() if line.startswith("│")}
    assert " 0.2.36 " in rows["fschat"]
    assert " 731 ! " in rows["fschat"]
    assert purposes()["fschat"] in rows["fschat"]
    assert " not installed " in rows["click"]
    assert " ? " in rows["click"]


def test_of_fschat_the_templates_alone_are_loaded() -> None:
    """They need no other module of it, and none of what it requires."""
    packages = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").is_file()]
    files = [file for package in packages for file in package.rglob("*.py")]
    ours = {name for file in files for name in imported(file) if name.startswith("fastchat")}
    assert ours == {"fastchat.conversation"}
    spec = importlib.util.find_spec("fastchat.conversation")
    assert spec
    assert spec.origin
    assert not imported(Path(spec.origin).with_name("__init__.py"))
    needed = {name.partition(".")[0] for name in imported(Path(spec.origin))} - {"fastchat"}
    # The last two in functions about images, which nothing calls.
    assert needed <= sys.stdlib_module_names | {"PIL", "requests"}, needed
