"""What a trainer needs beside the file with its records: a data card, and how the trainer finds the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runners.data_card import Contents, axolotl_path, card, card_path, usage
from runners.folder import RunError
from samples.files import write_text
from samples.trainers import DpoTrainer, SftTrainer, axolotl_lines, check_layout, llamafactory_entry

_AXOLOTL_MARK = "# Written by coevol export."


def check_beside(file: Path, to: SftTrainer | DpoTrainer) -> None:
    """Makes sure that what belongs beside a file can stand there, without taking another's place.

    Raises:
        RunError: it cannot; the message says what is in the way.
        DataError: the trainer takes no such file.
    """
    check_layout(file, to)
    card_path(file)
    if to in ("llamafactory", "llamafactory-dpo"):
        _known_to_llamafactory(file)
    if to == "axolotl":
        path = axolotl_path(file)
        if path.exists() and not path.read_bytes().startswith(_AXOLOTL_MARK.encode()):
            raise RunError(f"{path} is where the lines for Axolotl would stand, and is another file: move it")


def write_beside(
    file: Path, to: SftTrainer | DpoTrainer, mode: str, contents: Contents, run: Mapping[str, Any]
) -> list[str]:
    """Writes what belongs beside a file, and says what a person has to know of it, in lines.

    `run` is the object of `stats --json`.
    """
    path = card_path(file)
    write_text(path, card(file, to, mode, contents, run, usage(file, to)))
    said = [f"{path}: its data card"]
    if to in ("llamafactory", "llamafactory-dpo"):
        known = _known_to_llamafactory(file)
        known[file.stem] = llamafactory_entry(file.name, to)
        index = file.with_name("dataset_info.json")
        write_text(index, json.dumps(known, indent=2, ensure_ascii=False) + "\n")
        said.append(f"{index}: its entry, under the name {file.stem}")
    if to == "axolotl":
        lines = axolotl_lines(file)
        write_text(axolotl_path(file), f"{_AXOLOTL_MARK} The path is as seen from where it ran.\n{lines}")
        said.append(f"{axolotl_path(file)}: the lines for Axolotl's configuration:\n{lines}")
    return said


def _known_to_llamafactory(file: Path) -> dict[str, Any]:
    """The entries in the `dataset_info.json` beside a file."""
    index = file.with_name("dataset_info.json")
    try:
        known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    except (OSError, ValueError) as error:
        raise RunError(f"{index} cannot take an entry: {error}") from None
    if not isinstance(known, dict):
        raise RunError(f"{index} cannot take an entry: expected a JSON object")
    other = known.get(file.stem)
    if other is not None and (not isinstance(other, dict) or other.get("file_name") != file.name):
        raise RunError(f"{index} has another data set under the name {file.stem}: name the file differently")
    return known
