"""Lists what coevol depends on directly, how old it is and what it is for: `make audit`.

What each is for is in ARCHITECTURE.md. When a release was uploaded only the package index knows, which uv is
asked, or its cache; where that does not answer, ages are left out.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.program import ROOT

OLD_DAYS = 730
"""Days after which a release is marked: its project may be unmaintained."""


def direct() -> dict[str, list[str]]:
    """Return the direct dependencies of pyproject.toml, each with the extras that have it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, list[str]] = {}
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for line in lines:
            name = re.match(r"[\w.-]+", line)
            if name and name.group() != "coevol":
                found.setdefault(_normalized(name.group()), []).append(extra)
    return dict(sorted(found.items()))


def purposes() -> dict[str, str]:
    """Return what ARCHITECTURE.md says each is for."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| package | is for |\n|---|---|\n")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table.partition("\n\n")[0], re.MULTILINE)
    return {name: purpose for names, purpose in rows for name in re.findall(r"`([\w.-]+)`", names)}


def uploaded(lock: str) -> dict[str, datetime]:
    """Return when each release of a lock file (pylock.toml) was uploaded."""
    found = {}
    for package in tomllib.loads(lock).get("packages", []):
        files = [*package.get("wheels", []), package.get("sdist", {})]
        if times := [file["upload-time"] for file in files if "upload-time" in file]:
            found[_normalized(package["name"])] = min(times)
    return found


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the table."""
    installed = {}
    for name in direct():
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    pinned = "".join(f"{name}=={number}\n" for name, number in installed.items())
    command = ["pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", "--no-header", "-"]
    try:
        uv = Path(sys.executable).with_name("uv")
        # Outside of this folder, whose settings are for something else.
        asked = subprocess.run([uv, *command], input=pinned, capture_output=True, text=True, cwd="/")
        times, problem = uploaded(asked.stdout), asked.stderr
    except (OSError, ValueError) as error:
        times, problem = {}, str(error)
    Console(width=None if sys.stdout.isatty() else 200).print(table(installed, times, datetime.now(UTC)))
    if not times:
        print(f"no ages, for the package index was not reached: {problem.strip()}", file=sys.stderr)


def table(installed: Mapping[str, str], times: Mapping[str, datetime], now: datetime) -> Table:
    """Return the table, with the ages in days."""
    shown, known = Table("package", "extras", "version", "days", "is for"), purposes()
    for name, extras in direct().items():
        days = f"{(now - times[name]).days:,}" if name in times else "?"
        mark = " !" if name in times and (now - times[name]).days > OLD_DAYS else ""
        groups = ", ".join(filter(None, extras))
        shown.add_row(name, groups, installed.get(name, "not installed"), days + mark, known.get(name, "?"))
    return shown


if __name__ == "__main__":
    main()
