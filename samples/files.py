"""Read files of records (JSON arrays, JSON lines, Parquet, Arrow, CSV), and write all but Arrow.

Files are streamed, so memory does not grow with the number of records. The layout of a file is detected from
its content when reading, except CSV in files that are named so, and from its extension when writing.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar
from uuid import uuid4

from samples.bounds import MAX_RECORD_BYTES
from samples.compressed import codec_of, compressing, open_binary
from samples.fields import plural
from samples.file_names import what_to_do
from samples.json_arrays import LONGEST_WRAPPER, WRAPPER, read_array, write_array
from samples.json_arrays_fast import array_records
from samples.json_lines import read_lines, write_lines
from samples.sample import DataError

if TYPE_CHECKING:
    from samples.csv_files import Dialect

Layout = Literal["JSON array", "JSON lines", "Parquet", "Arrow", "CSV", "TSV"]

Read = TypeVar("Read")

_LAYOUTS: dict[str, Layout] = {
    **{".json": "JSON array", ".jsonl": "JSON lines", ".csv": "CSV", ".tsv": "TSV", ".parquet": "Parquet"}
}
_COMPRESSED = (".gz", ".zst")
_BY_ENDING: dict[str, Layout] = {".csv": "CSV", ".tsv": "TSV", ".CSV": "CSV", ".TSV": "TSV"}
_ARROW = (b"\xff\xff\xff\xff", b"ARROW1")
_UTF8_BOM = b"\xef\xbb\xbf"
_NOT_READ = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV",
    b"\xfd7zXZ": "compressed with xz: decompress it first",
    b"SQLite format": "an SQLite database: write its table as JSON lines or CSV",
}
"""What other files that may hold data are, by their first bytes."""
_SNIFFED_BYTES = 64 * 1024

UNFINISHED = ".unfinished"
"""How the name of a file ends that is not written as a whole yet; one is left where a program is killed."""


def find_layout(path: Path) -> Layout:
    """Detect the layout of a file from its first bytes.

    Raises DataError if the file cannot be read, is empty, or has an unknown layout.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; expected a file")
        # Data is read twice, once to check it and once to process it; a pipe can only be read once.
        if not path.is_file():
            raise DataError(f"{path} " + ("is not a regular file" if path.exists() else "does not exist"))
        codec = codec_of(path)
        with open_binary(path) as file:
            beginning = file.read(_SNIFFED_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    if beginning.startswith((b"PAR1", *_ARROW)):
        if codec:
            raise DataError(f"{path} is compressed with {codec}; decompress it first")
        return "Parquet" if beginning.startswith(b"PAR1") else "Arrow"
    expected = "expected a JSON array of records, JSON lines, Parquet, or a table (CSV or TSV)"
    if beginning.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} only says where Git LFS has the data; get it with git lfs pull")
    if other := next((what for first, what in _NOT_READ.items() if beginning.startswith(first)), None):
        raise DataError(f"{path} is {other}; {expected}")
    if beginning and beginning[:1] not in b"[{" and (todo := what_to_do(path)):
        raise DataError(f"{path} is a file that is not read: {todo}; {expected}")
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in beginning[:4]:
        raise DataError(f"{path}: expected UTF-8, found UTF-16 without its mark, or UTF-32: save it as UTF-8")
    text = beginning.removeprefix(_UTF8_BOM).lstrip()
    by_ending = next((_BY_ENDING[suffix] for suffix in path.suffixes[-2:] if suffix in _BY_ENDING), None)
    if by_ending and text:
        return by_ending
    is_named = path.suffix.lower() not in (".txt", ".tab", "")  # as what it is meant to be
    if not is_named and text[:1] not in (b"[", b"{", b"") and _is_table(text):
        return "CSV"
    match text[:1]:
        case b"[":
            return "JSON array"
        case b"{":
            return "JSON array" if _is_one_object(text) else "JSON lines"
        case b"":
            raise DataError(f"{path} is empty; {expected}")
        case _:
            line = beginning.count(b"\n", 0, len(beginning) - len(text)) + 1
            raise DataError(f"{path}, line {line}: {expected}, found {ascii(text[:20])[1:]}")


def _is_table(text: bytes) -> bool:
    from samples.csv_files import looks_like_table

    return looks_like_table(text.decode(errors="replace"))


def _is_one_object(text: bytes) -> bool:
    """Return whether a file that begins so is one object, and not one a line."""
    first_line, _, rest = text.partition(b"\n")
    if first_line.strip() == b"{":
        return True
    is_wrapper = WRAPPER.match(text[:LONGEST_WRAPPER].decode(errors="replace"))
    return bool(is_wrapper) and not (first_line.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{"))


def records(
    path: Path, layout: Layout, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[dict[str, Any]]:
    """Yield the records of a file.

    Raises DataError naming the position at which the file is broken or a record larger than `max_bytes`; with
    `keep_bad`, what is no record but has an end is yielded as `samples.fields.unreadable`.
    """
    if layout == "JSON array":
        return _explained(path, array_records(path, keep_bad=keep_bad, max_bytes=max_bytes))
    if layout in ("Parquet", "Arrow"):
        from samples.parquet_files import read_batches

        return chain.from_iterable(read_batches(path, arrow=layout == "Arrow", max_bytes=max_bytes))
    return (record for _, record in read_records(path, layout, keep_bad=keep_bad, max_bytes=max_bytes))


def read_records(
    path: Path, layout: Layout, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record of a file with its number, from 1; slower than `records`, and raises as it does.

    The number is that of the Parquet row, or of the line on which the record starts.
    """
    match layout:
        case "JSON array":
            return _explained(path, read_array(path, keep_bad=keep_bad, max_bytes=max_bytes))
        case "JSON lines":
            return _explained(path, read_lines(path, keep_bad=keep_bad, max_bytes=max_bytes))
        case "CSV" | "TSV":
            from samples import csv_files

            delimiter = "," if layout == "CSV" else "\t"
            rows = csv_files.read_rows(path, delimiter, keep_bad=keep_bad, max_bytes=max_bytes)
            return _explained(path, rows)
        case "Parquet" | "Arrow":
            # Imported here, since pyarrow is slow to load.
            from samples.parquet_files import read_rows

            return read_rows(path, arrow=layout == "Arrow", max_bytes=max_bytes)


def _explained(path: Path, found: Iterator[Read]) -> Iterator[Read]:
    """Yield what is found; an error of the file system or of decompression is a DataError."""
    count = 0
    try:
        for count, each in enumerate(found, 1):  # noqa: B007 - how far it was read
            yield each
    except OSError as error:
        read = plural(count, "record")
        raise DataError(f"{path} cannot be read beyond {read}: {error.strerror or error}") from error


def locate(path: Path, layout: Layout, position: int, max_bytes: int = MAX_RECORD_BYTES) -> str:
    """Describe where the record at a position (from 0) is, for a message. Reads the file up to there."""
    rest = islice(read_records(path, layout, keep_bad=True, max_bytes=max_bytes), position, None)
    number = next((number for number, _ in rest), position + 1)
    if layout in ("Parquet", "Arrow"):
        return f"{path}, row {number}"
    return f"{path}, line {number} (record {position + 1})"


def layout_to_write(path: Path) -> Layout:
    """Return the layout for a path's extension. Raises DataError if the extension is unknown."""
    first, second = _endings(path)
    layout = _LAYOUTS.get(first.lower())
    if layout is None or (second and layout == "Parquet"):
        raise DataError(
            f"{path}: expected a name that ends in {', '.join(_LAYOUTS)}, or in {' or '.join(_COMPRESSED)} "
            "after one of these but the last"
        )
    return layout


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed when it is written."""
    return bool(_endings(path)[1])


def with_part(path: Path, part: str) -> Path:
    """Return the path with a part of the name before its ending, as in data.PART.jsonl.gz."""
    ending = "".join(_endings(path))
    return path.with_name(f"{path.name.removesuffix(ending)}.{part}{ending}")


def _endings(path: Path) -> tuple[str, str]:
    """Return the ending of a name that says the layout, and the one behind it that says the compression."""
    if path.suffix.lower() in _COMPRESSED:
        return Path(path.stem).suffix, path.suffix
    return path.suffix, ""


def write_records(
    path: Path,
    records: Iterable[dict[str, Any]],
    types: str | None = None,
    dialect: "Dialect | None" = None,
) -> list[str]:
    """Write records to a file, as its extension says (`layout_to_write`).

    Parquet columns have the recorded `types` of the data (`DataSet.types`), others are inferred. CSV is
    written in the `dialect` of the data (`DataSet.dialect`). Returns the fields that Parquet has as texts,
    since their values have no type in common.

    The file appears, or replaces an older one, only once it is complete. Raises DataError if the extension is
    unknown, the folder is missing or not writable, or a record cannot be written.
    """
    layout = layout_to_write(path)
    with whole_file(path) as whole, compressing(whole, _endings(path)[1].lower()) as file:
        match layout:
            case "CSV" | "TSV":
                from samples import csv_files

                default = csv_files.Dialect(separator="," if layout == "CSV" else "\t", mark=False)
                csv_files.write_rows(file, records, (layout == "CSV" and dialect) or default)
            case "JSON array":
                write_array(file, records)
            case "JSON lines":
                write_lines(file, records)
            case "Parquet":
                from samples.parquet_files import write_rows

                return write_rows(file, records, types)
    return []


def write_text(path: Path, text: str) -> None:
    """Write a text to a file as UTF-8, atomically. Raises DataError as `write_records` does."""
    with whole_file(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def file_mode(folder: Path) -> int:
    """Return the mode of a new file in a folder: next to the ledger of a run, or the lock of a trial, it is
    for whom that is for; elsewhere the umask decides."""
    own = (folder / name for name in ("ledger.sqlite", "lock"))
    return next((file.stat().st_mode & 0o666 for file in own if file.is_file()), 0o666)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` when the block ends without an error.

    Missing folders are made.

    Raises:
        DataError: the file cannot be written, or the block raised OSError or DataError.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{uuid4().hex}{UNFINISHED}")
    try:
        if target.is_dir():
            raise DataError("it is a folder")
        if target.parent.is_file():
            raise DataError(f"{path.parent} is a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode(target.parent))
        with open(descriptor, "wb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
