"""Where a data set lies: a file, the shards in a folder, a saved data set, the Hub, standard input."""

import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any

from samples.bounds import MAX_RECORD_BYTES
from samples.cards import CARD, configurations, files_of
from samples.fields import brief, plural
from samples.file_names import ENDINGS, SPLITS, by_name, is_data, is_hidden, is_unread, split_of
from samples.files import Layout, find_layout, locate, records
from samples.folder_checks import (
    SeveralConfigurations,
    refuse_copies,
    refuse_missing,
    refuse_no_match,
    refuse_several_configurations,
    refuse_several_splits,
    refuse_unread,
    refuse_unread_on_hub,
)
from samples.hub import PREFIX, hub_files
from samples.sample import DataError

STDIN = "-"

_CHUNK_BYTES = 1024 * 1024

_IN_LAYOUT: dict[Layout, str] = {
    "JSON array": "a JSON array",
    "JSON lines": "JSON lines",
    "Parquet": "a Parquet file",
    "Arrow": "an Arrow file",
    "CSV": "a CSV file",
    "TSV": "a TSV file",
}

Stamp = tuple[int, int] | None
"""A file's modification time in nanoseconds and its size; None if it is gone."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a data set."""

    path: Path
    layout: Layout
    stamp: Stamp
    """As it was when the data set was opened."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a data set, in order."""

    name: str
    """What the user gave."""
    shards: tuple[Shard, ...]
    max_bytes: int = MAX_RECORD_BYTES
    """The largest record that is read."""
    spooled: IO[bytes] | None = field(default=None, repr=False)
    """The temporary file with what standard input had; it is deleted with this."""
    by_card: bool = False
    """Whether these are the files that the card of a folder names."""

    @property
    def layout(self) -> str:
        """The layout of the only file, or how many files there are of which layouts."""
        if len(self.shards) == 1:
            return self.shards[0].layout
        counts = Counter(shard.layout for shard in self.shards)
        return ", ".join(f"{plural(count, 'file')} of {layout}" for layout, count in counts.items())

    def describe(self) -> str:
        """Describe the files for display, such as "a JSON array"."""
        found = _IN_LAYOUT[self.shards[0].layout] if len(self.shards) == 1 else self.layout
        return f"{found}, as {CARD} says" if self.by_card else found

    def records(self, shard: Shard, *, keep_bad: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a shard, as `samples.files.records` does."""
        return records(shard.path, shard.layout, keep_bad=keep_bad, max_bytes=self.max_bytes)

    def sha256(self) -> str:
        """Return the hash of all files, one after the other."""
        digest = sha256()
        for shard in self.shards:
            with shard.path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()

    def locate(self, position: int) -> str:
        """Describe where the record at a position (from 0) is, for a message. Reads the data up to there."""
        for shard in self.shards[:-1]:
            count = sum(1 for _ in islice(self.records(shard, keep_bad=True), position + 1))
            if count > position:
                return locate(shard.path, shard.layout, position, self.max_bytes)
            position -= count
        return locate(self.shards[-1].path, self.shards[-1].layout, position, self.max_bytes)


def find_source(name: str | Path) -> Source:
    """Find the files of a data set.

    `name` is a file, a folder of files (one data set, by name), a folder that `datasets` saved, a folder and
    one of its splits (`data/train`, whatever the files are named) or configurations (`data/NAME[/SPLIT]`, as
    its card has them), a pattern such as `data/train-*.parquet` or `data/*/*.jsonl`, `hf://…` (see
    `samples.hub`), a named pipe, or `-` for standard input. What comes from a pipe is copied to a temporary
    file, since data is read twice. Raises DataError if there is none, or it has several splits.
    """
    if str(name) == STDIN:
        return _spooled("-", sys.stdin.buffer)
    if str(name).startswith(PREFIX):
        found = hub_files(str(name))
        refuse_unread_on_hub(str(name), found)
        return _source(str(name), found.files)
    if "://" in str(name):
        raise DataError(_no_file(str(name)))
    path = Path(name)
    try:
        if path.is_fifo():
            with path.open("rb") as file:
                return _spooled(str(path), file)
        if path.is_dir():
            if files := _of_only_configuration(path):
                return _source(str(path), files, by_card=True)
            return _source(str(path), _in_folder(path))
        if not path.exists():
            if "*" in str(path):
                return _source(str(path), _matching(path), is_pattern=True)
            if files := _of_configuration(path):
                return _source(str(path), files, by_card=True)
            if files := _of_split(path):
                return _source(str(path), files)
            if _HUB_NAME.fullmatch(str(name)) and not path.parent.exists():
                raise DataError(f"{path} does not exist; on the Hub it would be {PREFIX}datasets/{name}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return Source(str(path), (Shard(path, find_layout(path), stamp_of(path)),))


_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_PAGE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/datasets/([^/?#]+/[^/?#]+).*")


def _no_file(address: str) -> str:
    """Say what to name in place of an address."""
    # What is in it besides may be a key.
    shown = re.sub("//[^/@]*@", "//", address.partition("?")[0])
    if page := _HUB_PAGE.fullmatch(address):
        return f"{shown} is a page: name the data set {PREFIX}datasets/{page[1]}"
    if address.startswith("file://"):
        return f"{shown} is an address: name the file {shown.removeprefix('file://')}"
    return f"{shown} is an address, which is not read: download it, and name the file"


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file; open readers keep working when it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _source(name: str, files: list[Path], *, by_card: bool = False, is_pattern: bool = False) -> Source:
    """Return the source of several files, empty ones left out."""
    if not is_pattern:
        refuse_missing(name, files)
    shards = tuple(Shard(file, find_layout(file), stamp_of(file)) for file in files if file.stat().st_size)
    if not shards:
        kinds = ", ".join(sorted(ENDINGS))
        raise DataError(f"{name} has no data: expected files that end in {kinds}, compressed or not")
    return Source(name, shards, by_card=by_card)


def _in_folder(path: Path) -> list[Path]:
    if splits := _listed(path / "dataset_dict.json", "splits"):
        refuse_several_splits(path, splits)
        return _in_folder(path / splits[0])
    if names := _listed(path / "state.json", "_data_files", "filename"):
        files = [path / Path(name).name for name in names]
        if lacking := next((file for file in files if not file.is_file()), None):
            raise DataError(
                f"{path} lacks {lacking.name}, which its state.json names: save the data set again"
            )
        return files
    refuse_unread(path, _unread(path.rglob("*"), path))
    by_split = _by_split(path)
    if len(names := list(configurations(path))) > 1 and sum(map(len, by_split.values())) > 1:
        raise SeveralConfigurations(path, names, f", as {CARD} says")
    files = by_name([file for files in by_split.values() for file in files])
    refuse_several_configurations(path, files)
    if {SPLITS.get(str(name).lower()) for name in by_split} - {None} != {"train"} or len(by_split) > 2:
        # Files of no split next to those of `train` are for training too.
        refuse_several_splits(path, by_split)
    refuse_copies(path, files)
    return files


def _of_split(path: Path) -> list[Path]:
    """Return the files of a folder's split, as their names have it."""
    folder = path.parent
    if not folder.is_dir() or not (files := _by_split(folder).get(path.name)):
        return []
    unread = _unread(folder.rglob("*"), folder)
    refuse_unread(path, [file for file in unread if split_of(file.relative_to(folder)) == path.name])
    names = list(configurations(folder))
    if len(names) > 1 and len(files) > 1:
        raise SeveralConfigurations(folder, names, f", as {CARD} says", path.name)
    refuse_several_configurations(folder, files, path.name)
    return by_name(files)


def _matching(pattern: Path) -> list[Path]:
    """Return the files of a pattern: any that its last part names by their ending, otherwise data."""
    first = next(number for number, part in enumerate(pattern.parts) if "*" in part)
    base, rest = Path(*pattern.parts[:first]), Path(*pattern.parts[first:])
    is_deep = "**" in rest.parts
    if not rest.suffix:
        refuse_unread(pattern, _unread(base.glob(str(rest)), base))
    return by_name(
        [
            file
            for file in base.glob(str(rest))
            if file.is_file()
            and (inside := file.relative_to(base))
            and (bool(rest.suffix) or is_data(file) or not (file.suffix or is_deep))
            and not is_hidden(inside if is_deep else inside.parent)
        ]
    )


def _unread(files: Iterable[Path], base: Path) -> list[Path]:
    """Return those of the files below a folder that hold data, as their endings say, that is not read."""
    return by_name([file for file in files if is_unread(file.relative_to(base)) and file.is_file()])


def _by_split(path: Path) -> dict[str | None, list[Path]]:
    """Return the data files in a folder and the folders in it, by the name of their split."""
    found: dict[str | None, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        if not is_hidden(file.relative_to(path)) and is_data(file) and file.is_file():
            found.setdefault(split_of(file.relative_to(path)), []).append(file)
    return found


def _of_only_configuration(path: Path) -> list[Path]:
    """Return the files of the only configuration that a folder's card names; none if it names no files."""
    if len(named := list(configurations(path).values())) != 1:
        return []
    if not (found := _only_configuration(path)):
        refuse_no_match(path, named[0])
    refuse_several_splits(path, found)
    files = by_name(next(iter(found.values()), []))
    refuse_unread(path, _unread(files, path))
    return files


def _only_configuration(path: Path) -> dict[str, list[Path]]:
    """Return the data files of the only configuration that a folder's card names, by split."""
    if len(named := list(configurations(path).values())) != 1:
        return {}
    is_folder = any(pattern.endswith("/**/*") for patterns in named[0].values() for pattern in patterns)
    by_split: dict[str, list[Path]] = {}
    for split, files in files_of(path, named[0]).items():
        known = [
            file
            for file in files
            if not is_hidden(inside := file.relative_to(path)) and (is_data(file) or is_unread(inside))
        ]
        for file in known or files:
            # Within a folder (`data_dir`), the names of files speak of their splits.
            name = (is_folder and split_of(file.relative_to(path))) or split
            by_split.setdefault(name, []).append(file)
    return by_split


def _of_configuration(path: Path) -> list[Path]:
    """Return the files of a folder's configuration, or of a split of one, as its card has them."""
    if files := _only_configuration(path.parent).get(path.name):
        refuse_unread(path, _unread(files, path.parent))
        return by_name(files)
    for folder, name, split in (
        (path.parent, path.name, None),
        (path.parent.parent, path.parent.name, path.name),
    ):
        splits = configurations(folder).get(name, {})
        if not (found := files_of(folder, splits)):
            refuse_no_match(folder, splits)
        else:
            if split is None:
                refuse_several_splits(path, found)
            elif split not in found:
                have = f"{path.parent} has the splits {', '.join(map(brief, found))}"
                raise DataError(f"{have}: name one, such as {path.parent / next(iter(found))}")
            return found[split or next(iter(found))]
    return []


def _listed(file: Path, field: str, of_each: str = "") -> list[str]:
    """Return the names that a file of a saved data set lists; none if it is no such file."""
    if not file.is_file():
        return []
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None
    listed = found.get(field) if isinstance(found, dict) else None
    items = listed if isinstance(listed, list) else []
    names = [each.get(of_each) if isinstance(each, dict) else each for each in items]
    found_names = [name for name in names if isinstance(name, str)]
    if len(found_names) < len(names):
        raise DataError(f"{file} does not name the files of a saved data set")
    return found_names


def _spooled(name: str, stream: Any) -> Source:
    copy = tempfile.NamedTemporaryFile(prefix="coevol-")  # noqa: SIM115 - kept as long as the source
    shutil.copyfileobj(stream, copy, _CHUNK_BYTES)
    copy.flush()
    path = Path(copy.name)
    try:
        return Source(name, (Shard(path, find_layout(path), stamp_of(path)),), spooled=copy)
    except DataError as error:
        raise DataError(str(error).replace(str(path), "standard input" if name == STDIN else name)) from None
