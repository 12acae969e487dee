"""Writes what a file needs besides its records: a data card, and how a trainer finds it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reporting.manifest import RunError
from runners.data_card import Contents, Form, axolotl_path, card, card_path, usage
from samples.files import write_text
from samples.trainers import DPO_TRAINERS, SFT_TRAINERS, axolotl_lines, check_layout, llamafactory_entry

_AXOLOTL_MARK = "# Written by coevol export."


def check_companions(file: Path, to: Form) -> None:
    """Make sure that a file's companions can be written without overwriting others.

    Raises:
        RunError: they cannot; the message names the file in the way.
        DataError: the trainer takes no such file.
    """
    if to in SFT_TRAINERS or to in DPO_TRAINERS:
        check_layout(file, to)
    card_path(file)
    if to in ("llamafactory", "llamafactory-dpo"):
        _llamafactory_entries(file)
    if to == "axolotl":
        path = axolotl_path(file)
        if path.exists() and not path.read_bytes().startswith(_AXOLOTL_MARK.encode()):
            raise RunError(f"{path} is needed for the lines for Axolotl and is another file: move it")


def write_companions(
    file: Path, to: Form, mode: str, contents: Contents, run: Mapping[str, Any], *, tools: bool
) -> list[str]:
    """Write a file's companions; return what a user should know, line by line.

    `run` is the object of `stats --json`; `tools` says whether records have a column for them.
    """
    path = card_path(file)
    known = _llamafactory_entries(file) if to in ("llamafactory", "llamafactory-dpo") else {}
    name = _llamafactory_name(file, known)
    write_text(path, card(file, to, mode, contents, run, usage(file, to, name)))
    notes = [f"{path}: its data card"]
    if to in ("llamafactory", "llamafactory-dpo"):
        known[name] = llamafactory_entry(file.name, to, tools=tools)
        index = file.with_name("dataset_info.json")
        write_text(index, json.dumps(known, indent=2, ensure_ascii=False) + "\n")
        notes.append(f"{index}: its entry, under the name {name}")
    if to == "axolotl":
        lines = axolotl_lines(file)
        write_text(axolotl_path(file), f"{_AXOLOTL_MARK} The path is as seen from where it ran.\n{lines}")
        notes.append(f"{axolotl_path(file)}: the lines for Axolotl's configuration:\n{lines}")
    return notes


def _llamafactory_entries(file: Path) -> dict[str, Any]:
    """Return the entries in the `dataset_info.json` next to a file."""
    index = file.with_name("dataset_info.json")
    try:
        known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    except (OSError, ValueError) as error:
        raise RunError(f"{index} cannot take an entry: {error}") from None
    if not isinstance(known, dict):
        raise RunError(f"{index} cannot take an entry: expected a JSON object")
    _llamafactory_name(file, known)
    return known


def _llamafactory_name(file: Path, known: Mapping[str, Any]) -> str:
    """Return the name of a file's entry: that of the file, with its ending where another file has it."""
    names = (file.stem, f"{file.stem}_{file.suffix[1:]}")
    for name in names:
        other = known.get(name)
        if other is None or (isinstance(other, dict) and other.get("file_name") == file.name):
            return name
    index = file.with_name("dataset_info.json")
    raise RunError(f"{index} has other data sets named {' and '.join(names)}; choose another file name")
