"""What names of files say: whether they hold data, of which split, and if it is not read, what would do."""

import re
from pathlib import Path

ENDINGS = {".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow", ".feather"}
_COMPRESSED = {".gz", ".zst", ".bz2"}
_DATABASES = (".db", ".sqlite", ".sqlite3", ".duckdb", ".mdb", ".lmdb", ".dta", ".sav", ".rds")
_ARRAYS = (".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5")
_RECORDS = (".avro", ".orc", ".tfrecord", ".tfrecords", ".msgpack")
_OTHER_ENDINGS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "save it as CSV"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"), "unpack it"),
    **dict.fromkeys((".xz", ".lzma", ".lz4", ".br", ".sz", ".snappy", ".z", ".lz"), "decompress it"),
    **dict.fromkeys((*_DATABASES, *_ARRAYS, *_RECORDS), "write its records as JSON lines"),
}
"""Other files that hold data, and what to do with them."""
_NOT_DATA_ENDINGS = (".contaminated.jsonl", ".unreadable.jsonl")  # what `coevol export` writes next to data
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "run.json"}

# How Hugging Face names shards and splits: train-00000-of-00002.parquet, validation.jsonl.
_SHARD = re.compile(r"([\w.]*?\w)(?:-\d+-of-\d+)(?:-[0-9a-f]+)?$")
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""What names of splits mean, as words of the names of files and folders."""
_WORD = re.compile(r"[^-._ 0-9]+")


def is_data(file: Path) -> bool:
    """Return whether a file holds records that are read, as its name says."""
    return (
        file.name not in _NOT_DATA and not file.name.endswith(_NOT_DATA_ENDINGS) and _ending(file) in ENDINGS
    )


def is_unread(file: Path) -> bool:
    """Return whether a file in a folder holds data, as its ending says, that is not read."""
    return (
        file.suffix.lower() in _OTHER_ENDINGS.keys() | _COMPRESSED
        and bool(what_to_do(file))
        and not is_hidden(file)
        and not file.name.startswith("~$")  # a spreadsheet that is open
    )


def what_to_do(file: Path) -> str:
    """Say what makes data of a file that is not read; empty for files that hold no data."""
    return _OTHER_ENDINGS.get(file.suffix.lower()) or _OTHER_ENDINGS.get(_ending(file), "")


def is_hidden(file: Path) -> bool:
    """Return whether a file, or a folder in its path, is hidden, as `datasets` has it."""
    return any(part.startswith((".", "_")) for part in file.parts)


def split_of(file: Path) -> str | None:
    """Return the split that the path of a file names, as `datasets` understands it; None if it names none."""
    name = stem(file)
    if found := _SHARD.match(name):
        return found[1]
    for part in (name, *reversed(file.parent.parts)):
        if part.lower() in SPLITS:
            return part
        if named := [word for word in _WORD.findall(part) if word.lower() in SPLITS]:
            return named[0] if part == name else part
    return None


def stem(file: Path) -> str:
    """Return the name of a file without the endings of its layout and compression."""
    name = file.name
    for suffix in reversed(file.suffixes):
        if suffix.lower() in _COMPRESSED | ENDINGS:
            name = name.removesuffix(suffix)
    return name


def _ending(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def by_name(files: list[Path]) -> list[Path]:
    """Return files in the order of their names."""
    return sorted(files, key=str)
