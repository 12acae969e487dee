"""Of fschat, which is unmaintained, only one module is ever imported."""

import ast
import importlib.util
import sys
from pathlib import Path

from tests.program import ROOT

PACKAGES = (
    "graph",
    "nodes",
    "samples",
    "models",
    "prompts",
    "reporting",
    "runners",
    "viewer",
    "ledger",
    "trials",
)


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_its_templates_need_nothing_else() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    ours = {name for file in files for name in imported(file) if name.startswith("fastchat")}
    assert ours == {"fastchat.conversation"}
    spec = importlib.util.find_spec("fastchat.conversation")
    assert spec
    assert spec.origin
    package = Path(spec.origin).parent / "__init__.py"
    assert not imported(package)
    needed = {name.partition(".")[0] for name in imported(Path(spec.origin))} - {"fastchat"}
    assert needed <= sys.stdlib_module_names | {"PIL", "requests"}, needed
