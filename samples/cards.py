"""The configurations of a data set in a folder, as its card (`README.md`) names them.

The front matter of a card is YAML, as the Hub documents it ("Manual configuration"): `configs` is a list with
a `config_name` and its `data_files`, one or more patterns, or a list of splits and their patterns; or with a
`data_dir`.
"""

from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

CARD = "README.md"

_LONGEST_FRONT = 100_000
_TRAIN = "train"

Splits = dict[str, list[str]]
"""Patterns of files by the name of their split."""


def configurations(folder: Path) -> dict[str, Splits]:
    """Return the configurations that the card of a folder names; none if there is no such card."""
    try:
        with (folder / CARD).open(encoding="utf-8") as card:
            before, mark, front = card.read(_LONGEST_FRONT).partition("---\n")
    except (OSError, ValueError):
        return {}
    if before.strip("\ufeff") or not mark or "config_name" not in front:
        return {}
    import yaml  # slow to load (20 ms), and few folders have a card

    with suppress(yaml.YAMLError, ValueError, RecursionError):
        facts = yaml.safe_load(front.partition("\n---")[0])
        found = facts.get("configs") if isinstance(facts, dict) else None
        return {
            str(each["config_name"]): _splits(each)
            for each in (found if isinstance(found, list) else [])
            if isinstance(each, dict) and isinstance(each.get("config_name"), str | int | float)
        }
    return {}


def files_of(folder: Path, splits: Splits) -> dict[str, list[Path]]:
    """Return the files of a configuration in a folder, by the name of their split."""
    found: dict[str, list[Path]] = {}
    for split, patterns in splits.items():
        for pattern in patterns:
            inside = PurePosixPath(pattern.removeprefix("./"))
            if pattern and not inside.is_absolute() and ".." not in inside.parts:
                files = sorted(file for file in folder.glob(str(inside)) if file.is_file())
                found.setdefault(split, []).extend(file for file in files if file not in found[split])
    return {split: files for split, files in found.items() if files}


def _splits(configuration: dict[str, Any]) -> Splits:
    given = configuration.get("data_files")
    if given is None and isinstance(folder := configuration.get("data_dir"), str):
        given = f"{folder}/**/*"
    if isinstance(given, dict):
        given = [{"split": split, "path": path} for split, path in given.items()]
    found: Splits = {}
    for each in given if isinstance(given, list) else [given]:
        split, path = (
            (each.get("split", _TRAIN), each.get("path")) if isinstance(each, dict) else (_TRAIN, each)
        )
        paths = path if isinstance(path, list) else [path]
        found.setdefault(str(split), []).extend(one for one in paths if isinstance(one, str))
    return found
