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

from samples.cards import CARD, Splits, configurations, files_of
from samples.fields import brief, plural
from samples.files import Layout, find_layout, locate, records
from samples.hub import PREFIX, HubFiles, hub_files
from samples.json_files import MAX_RECORD_BYTES
from samples.sample import DataError

STDIN = "-"

_ENDINGS = {".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow", ".feather"}
_COMPRESSED = {".gz", ".zst", ".bz2"}
_OTHER_ENDINGS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "save it as CSV"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"), "unpack it"),
    **dict.fromkeys((".xz", ".lzma", ".lz4", ".br", ".sz", ".snappy", ".z", ".lz"), "decompress it"),
    **dict.fromkeys(
        (
            *(".db", ".sqlite", ".sqlite3", ".duckdb", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5"),
            *(
                ".avro",
                ".orc",
                ".tfrecord",
                ".tfrecords",
                ".msgpack",
                ".mdb",
                ".lmdb",
                ".dta",
                ".sav",
                ".rds",
            ),
        ),
        "write its records as JSON lines",
    ),
}
"""Other files that hold data, and what to do with them."""
_NOT_DATA_ENDINGS = (".contaminated.jsonl", ".unreadable.jsonl")  # what `coevol export` writes next to data
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "run.json"}

# How Hugging Face names shards and splits: train-00000-of-00002.parquet, validation.jsonl.
_SHARD = re.compile(r"([\w.]*?\w)(?:-\d+-of-\d+)(?:-[0-9a-f]+)?$")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""What names of splits mean, as words of the names of files and folders."""
_WORD = re.compile(r"[^-._ 0-9]+")

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
    its card has them), a pattern such as `data/train-*.parquet`
    or `data/*/*.jsonl`, `hf://…` (see `samples.hub`), a named pipe, or `-` for standard input. What comes
    from a pipe is copied to a temporary file, since data is read twice. Raises DataError if there is none, or
    it has several splits.
    """
    if str(name) == STDIN:
        return _spooled("-", sys.stdin.buffer)
    if str(name).startswith(PREFIX):
        found = hub_files(str(name))
        _refuse_unread_on_hub(str(name), found)
        return _source(str(name), found.files)
    path = Path(name)
    try:
        if path.is_fifo():
            with path.open("rb") as file:
                return _spooled(str(path), file)
        if path.is_dir():
            if files := _of_only_configuration(path):
                return _source(str(path), files, by_card=True)
            return _source(str(path), _in_folder(path))
        if "*" in str(path) and not path.exists():
            return _source(str(path), _matching(path))
        if not path.exists() and (files := _of_configuration(path)):
            return _source(str(path), files, by_card=True)
        if (
            not path.exists()
            and path.parent.is_dir()
            and (files := _by_split(path.parent).get(path.name, []))
        ):
            unread = _unread(path.parent.rglob("*"), path.parent)
            _refuse_unread(
                path, [file for file in unread if _split(file.relative_to(path.parent)) == path.name]
            )
            names = list(configurations(path.parent))
            if len(names) > 1 and len(files) > 1:
                raise _Several(path.parent, names, f", as {CARD} says", path.name)
            _one_configuration(path.parent, files, path.name)
            return _source(str(path), _sorted(files))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return Source(str(path), (Shard(path, find_layout(path), stamp_of(path)),))


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file; open readers keep working when it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _source(name: str, files: list[Path], *, by_card: bool = False) -> Source:
    """Return the source of several files, empty ones left out."""
    shards = tuple(Shard(file, find_layout(file), stamp_of(file)) for file in files if file.stat().st_size)
    if not shards:
        kinds = ", ".join(sorted(_ENDINGS))
        raise DataError(f"{name} has no data: expected files that end in {kinds}, compressed or not")
    return Source(name, shards, by_card=by_card)


def _in_folder(path: Path) -> list[Path]:
    if (index := path / "dataset_dict.json").is_file():
        splits = [str(split) for split in _json(index).get("splits", [])]
        _one_split(path, splits)
        return _in_folder(path / splits[0])
    if (index := path / "state.json").is_file():
        files = [each.get("filename") for each in _json(index).get("_data_files") or []]
        if not all(isinstance(file, str) for file in files):
            raise DataError(f"{index} does not name the files of a saved data set")
        return [path / Path(file).name for file in files]
    _refuse_unread(path, _unread(path.rglob("*"), path))
    by_split = _by_split(path)
    if len(names := list(configurations(path))) > 1 and sum(map(len, by_split.values())) > 1:
        raise _Several(path, names, f", as {CARD} says")
    files = _sorted([file for files in by_split.values() for file in files])
    _one_configuration(path, files)
    if {_SPLITS.get(str(name).lower()) for name in by_split} - {None} != {"train"} or len(by_split) > 2:
        _one_split(path, by_split)  # files of no split next to those of `train` are for training too
    _refuse_copies(path, files)
    return files


def _matching(pattern: Path) -> list[Path]:
    """Return the files of a pattern: any that its last part names by their ending, otherwise data."""
    first = next(number for number, part in enumerate(pattern.parts) if "*" in part)
    base, rest = Path(*pattern.parts[:first]), Path(*pattern.parts[first:])
    is_deep = "**" in rest.parts
    if not rest.suffix:
        _refuse_unread(pattern, _unread(base.glob(str(rest)), base))
    return _sorted(
        [
            file
            for file in base.glob(str(rest))
            if file.is_file()
            and (inside := file.relative_to(base))
            and (bool(rest.suffix) or _is_data(file) or not (file.suffix or is_deep))
            and not _is_hidden(inside if is_deep else inside.parent)
        ]
    )


def _unread(files: Iterable[Path], base: Path) -> list[Path]:
    """Return those of the files below a folder that hold data, as their endings say, that is not read."""
    return _sorted([file for file in files if _is_unread(file.relative_to(base)) and file.is_file()])


def _is_unread(file: Path) -> bool:
    """Return whether a file in a folder holds data, as its ending says, that is not read."""
    return (
        file.suffix.lower() in _OTHER_ENDINGS.keys() | _COMPRESSED
        and bool(_what_to_do(file))
        and not _is_hidden(file)
        and not file.name.startswith("~$")  # a spreadsheet that is open
    )


def _what_to_do(file: Path) -> str:
    return _OTHER_ENDINGS.get(file.suffix.lower()) or _OTHER_ENDINGS.get(_ending(file), "")


def _refuse_unread(
    path: Path | str,
    files: list[Path],
    instead: str = "move it away, or name the files to read, also by a pattern such as *.jsonl",
) -> None:
    """Refuse a folder with data that would be left out without a word; say what a user can do `instead`."""
    if files:
        more = f" and {plural(len(files) - 1, 'more file')}" if len(files) > 1 else ""
        raise DataError(
            f"{path} has {files[0]}{more} of data that coevol does not read: {_what_to_do(files[0])}, or "
            f"{instead}"
        )


def _refuse_unread_on_hub(name: str, found: HubFiles) -> None:
    """Refuse a data set on the Hub as `_refuse_unread` does a folder."""
    is_meant = [*found.names, *(each for each in found.others if _split(Path(each)) == found.split)]
    unread = _sorted([file for file in map(Path, is_meant) if _is_unread(file)])
    instead = "download the data set, and name the files to read"
    if not unread and not found.split:
        unread = _sorted([file for file in map(Path, found.others) if _is_unread(file)])
        instead = f"name a split, such as {name}/train"
    _refuse_unread(name, unread, instead)


def _is_hidden(file: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.parts)


def _by_split(path: Path) -> dict[str | None, list[Path]]:
    """Return the data files in a folder and the folders in it, by the name of their split."""
    found: dict[str | None, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        if not _is_hidden(file.relative_to(path)) and _is_data(file) and file.is_file():
            found.setdefault(_split(file.relative_to(path)), []).append(file)
    return found


def _is_data(file: Path) -> bool:
    return (
        file.name not in _NOT_DATA and not file.name.endswith(_NOT_DATA_ENDINGS) and _ending(file) in _ENDINGS
    )


def _of_only_configuration(path: Path) -> list[Path]:
    """Return the files of the only configuration that a folder's card names; none if it names no files."""
    if len(named := list(configurations(path).values())) != 1:
        return []
    if not (found := _only_configuration(path)):
        _refuse_no_match(path, named[0])
    _one_split(path, found)
    files = _sorted(next(iter(found.values()), []))
    _refuse_unread(path, _unread(files, path))
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
            if not _is_hidden(inside := file.relative_to(path)) and (_is_data(file) or _is_unread(inside))
        ]
        for file in known or files:
            # Within a folder (`data_dir`), the names of files speak of their splits.
            name = (is_folder and _split(file.relative_to(path))) or split
            by_split.setdefault(name, []).append(file)
    return by_split


def _refuse_no_match(folder: Path, splits: Splits) -> None:
    """Refuse a configuration with patterns, none of which matches a file."""
    if patterns := [brief(each) for of_split in splits.values() for each in of_split]:
        shown = ", ".join(patterns[:8]) + ", …" * (len(patterns) > 8)
        raise DataError(f"{folder}: no files match {shown}, as {CARD} says")


def _of_configuration(path: Path) -> list[Path]:
    """Return the files of a folder's configuration, or of a split of one, as its card has them."""
    if files := _only_configuration(path.parent).get(path.name):
        _refuse_unread(path, _unread(files, path.parent))
        return _sorted(files)
    for folder, name, split in (
        (path.parent, path.name, None),
        (path.parent.parent, path.parent.name, path.name),
    ):
        splits = configurations(folder).get(name, {})
        if not (found := files_of(folder, splits)):
            _refuse_no_match(folder, splits)
        else:
            if split is None:
                _one_split(path, found)
            elif split not in found:
                have = f"{path.parent} has the splits {', '.join(map(brief, found))}"
                raise DataError(f"{have}: name one, such as {path.parent / next(iter(found))}")
            return found[split or next(iter(found))]
    return []


def _one_split(path: Path, splits: Iterable[str | None]) -> None:
    if len(found := list(splits)) > 1:
        named = sorted(filter(None, found), key=lambda name: ("train" not in name.lower(), name))
        others = ", and files of none" if None in found else ""
        have = "splits" if len(named) > 1 else "split"
        raise DataError(
            f"{path} has the {have} {', '.join(named)}{others}: name one, such as {path}/{named[0]}, or all "
            f"by a pattern, {path}/**/*"
        )


def _one_configuration(path: Path, files: list[Path], split: str = "") -> None:
    """Refuse several data sets in one folder: folders in it with the same files of splits.

    `split` is the one that was named.
    """
    folders: dict[tuple[Path, Path], list[str]] = {}
    for file in files:
        parts = file.relative_to(path).parts
        for number, name in enumerate(parts[:-1]):
            if name.lower() not in _SPLITS and _split(inside := Path(*parts[number + 1 :])):
                folders.setdefault((path.joinpath(*parts[:number]), inside), []).append(name)
    for (base, _), names in folders.items():
        if len(names) > 1:
            splits = sorted({str(_split(inside)) for each, inside in folders if each == base})
            if not split and len(splits) > 1:
                split = next((each for each in splits if "train" in each.lower()), splits[0])
            raise _Several(base, names, split=split)


class _Several(DataError):
    """A folder has several configurations."""

    def __init__(self, path: Path, names: list[str], why: str = "", split: str = "") -> None:
        shown = ", ".join(map(brief, names[:8])) + ", …" * (len(names) > 8)
        super().__init__(
            f"{path} has the configurations {shown}{why}: name {'both' if split else 'one'}, such as "
            f"{path / names[0] / split}, or all by a pattern, {path}/**/*"
        )


def _split(file: Path) -> str | None:
    """Return the split that the path of a file names, as `datasets` understands it; None if it names none."""
    stem = _stem(file)
    if found := _SHARD.match(stem):
        return found[1]
    for part in (stem, *reversed(file.parent.parts)):
        if part.lower() in _SPLITS:
            return part
        if named := [word for word in _WORD.findall(part) if word.lower() in _SPLITS]:
            return named[0] if part == stem else part
    return None


def _refuse_copies(path: Path, files: list[Path]) -> None:
    """Refuse the same data in two forms, such as a file next to its compressed copy."""
    known: dict[Path, Path] = {}
    for file in files:
        first = known.setdefault(file.with_name(_stem(file)), file)
        if first is not file:
            raise DataError(
                f"{path} has {first.name} and {file.name}, which seem to be the same data: name one, or a "
                f"pattern, such as {path}/*{''.join(file.suffixes)}"
            )


def _stem(file: Path) -> str:
    name = file.name
    for suffix in reversed(file.suffixes):
        if suffix.lower() in _COMPRESSED | _ENDINGS:
            name = name.removesuffix(suffix)
    return name


def _ending(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _sorted(files: list[Path]) -> list[Path]:
    return sorted(files, key=str)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{file} cannot be read: expected a JSON object")
    return found


def _spooled(name: str, stream: Any) -> Source:
    copy = tempfile.NamedTemporaryFile(prefix="coevol-")  # noqa: SIM115 - kept as long as the source
    shutil.copyfileobj(stream, copy, _CHUNK_BYTES)
    copy.flush()
    path = Path(copy.name)
    try:
        return Source(name, (Shard(path, find_layout(path), stamp_of(path)),), spooled=copy)
    except DataError as error:
        raise DataError(str(error).replace(str(path), "standard input" if name == STDIN else name)) from None
