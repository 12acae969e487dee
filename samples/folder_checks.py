"""Folders that do not say which of their files are meant, or hold data that is not read."""

import re
from collections.abc import Iterable
from pathlib import Path

from samples.cards import CARD, Splits
from samples.fields import brief, plural
from samples.file_names import SPLITS, by_name, is_unread, split_of, stem, what_to_do
from samples.hub import HubFiles
from samples.sample import DataError


def refuse_unread(
    path: Path | str,
    files: list[Path],
    instead: str = "move it away, or name the files to read, also by a pattern such as *.jsonl",
) -> None:
    """Refuse a folder with data that would be left out without a word; say what a user can do `instead`."""
    if files:
        more = f" and {plural(len(files) - 1, 'more file')}" if len(files) > 1 else ""
        raise DataError(
            f"{path} has {files[0]}{more} of data that coevol does not read: {what_to_do(files[0])}, or "
            f"{instead}"
        )


def refuse_unread_on_hub(name: str, found: HubFiles) -> None:
    """Refuse a data set on the Hub as `refuse_unread` does a folder."""
    is_meant = [*found.names, *(each for each in found.others if split_of(Path(each)) == found.split)]
    unread = by_name([file for file in map(Path, is_meant) if is_unread(file)])
    instead = "download the data set, and name the files to read"
    if not unread and not found.split:
        unread = by_name([file for file in map(Path, found.others) if is_unread(file)])
        instead = f"name a split, such as {name}/train"
    refuse_unread(name, unread, instead)


def refuse_no_match(folder: Path, splits: Splits) -> None:
    """Refuse a configuration with patterns, none of which matches a file."""
    if patterns := [brief(each) for of_split in splits.values() for each in of_split]:
        shown = ", ".join(patterns[:8]) + ", …" * (len(patterns) > 8)
        raise DataError(f"{folder}: no files match {shown}, as {CARD} says")


def refuse_several_splits(path: Path, splits: Iterable[str | None]) -> None:
    """Refuse a folder with several splits, None being files of no split."""
    if len(found := list(splits)) > 1:
        named = sorted(filter(None, found), key=lambda name: ("train" not in name.lower(), name))
        others = ", and files of none" if None in found else ""
        have = "splits" if len(named) > 1 else "split"
        raise DataError(
            f"{path} has the {have} {', '.join(named)}{others}: name one, such as {path}/{named[0]}, or all "
            f"by a pattern, {path}/**/*"
        )


def refuse_several_configurations(path: Path, files: list[Path], split: str = "") -> None:
    """Refuse several data sets in one folder: folders in it with the same files of splits.

    `split` is the one that was named.
    """
    folders: dict[tuple[Path, Path], list[str]] = {}
    for file in files:
        parts = file.relative_to(path).parts
        for number, name in enumerate(parts[:-1]):
            if name.lower() not in SPLITS and split_of(inside := Path(*parts[number + 1 :])):
                folders.setdefault((path.joinpath(*parts[:number]), inside), []).append(name)
    for (base, _), names in folders.items():
        if len(names) > 1:
            splits = sorted({str(split_of(inside)) for each, inside in folders if each == base})
            if not split and len(splits) > 1:
                split = next((each for each in splits if "train" in each.lower()), splits[0])
            raise SeveralConfigurations(base, names, split=split)


class SeveralConfigurations(DataError):
    """A folder has several configurations."""

    def __init__(self, path: Path, names: list[str], why: str = "", split: str = "") -> None:
        shown = ", ".join(map(brief, names[:8])) + ", …" * (len(names) > 8)
        super().__init__(
            f"{path} has the configurations {shown}{why}: name {'both' if split else 'one'}, such as "
            f"{path / names[0] / split}, or all by a pattern, {path}/**/*"
        )


_SHARD = re.compile(r"(?<![0-9])(\d{1,9})([-_]of[-_])(\d{1,9})(?![0-9])")


def refuse_missing(path: Path | str, files: list[Path]) -> None:
    """Refuse a part of the files of a data set whose names say how many there are, as in 00001-of-00003."""
    numbers: dict[tuple[Path, int], dict[int, tuple[Path, re.Match[str]]]] = {}
    for file in files:
        for found in [*_SHARD.finditer(file.name)][-1:]:
            base, all_of_them = file.name[: found.start()], int(found[3])
            numbers.setdefault((file.parent / base, all_of_them), {})[int(found[1])] = (file, found)
    for (_, count), known in numbers.items():
        first = 1 if 0 not in known and count in known else 0
        missing = count - len(known)
        if missing <= 0 or not all(first <= number < first + count for number in known):
            continue  # these numbers mean something else
        number = next(number for number in range(first, first + count) if number not in known)
        file, found = next(iter(known.values()))
        base, endings = file.name[: found.start()], "".join(file.suffixes)
        lacking = f"{base}{number:0{len(found[1])}}{found[2]}{found[3]}{endings}"
        more = f" and {plural(missing - 1, 'more file')}" if missing > 1 else ""
        raise DataError(
            f"{path} lacks {lacking}{more}, as the names of its files say: get what is missing, or name the "
            f"files to read by a pattern, such as {file.parent / base}*{endings}"
        )


def refuse_copies(path: Path, files: list[Path]) -> None:
    """Refuse the same data in two forms, such as a file next to its compressed copy."""
    known: dict[Path, Path] = {}
    for file in files:
        first = known.setdefault(file.with_name(stem(file)), file)
        if first is not file:
            raise DataError(
                f"{path} has {first.name} and {file.name}, which seem to be the same data: name one, or a "
                f"pattern, such as {path}/*{''.join(file.suffixes)}"
            )
