"""Files of records: JSON arrays, JSON lines and Parquet, in and out.

Files are read and written as streams: memory does not grow with the number of records. What a file
is, is told by its content when it is read, and by its ending when it is written.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal
from uuid import uuid4

from samples.array_files import array_records
from samples.json_files import read_array, read_json, read_lines, to_json, write_array, write_lines
from samples.sample import DataError

__all__ = [
    "Layout",
    "find_layout",
    "layout_to_write",
    "place",
    "read_json",
    "read_records",
    "records",
    "to_json",
    "write_records",
    "write_text",
]

Layout = Literal["JSON array", "JSON lines", "Parquet"]

_LAYOUT_OF_ENDING: dict[str, Layout] = {
    ".json": "JSON array",
    ".jsonl": "JSON lines",
    ".parquet": "Parquet",
}
_UTF8_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 64 * 1024


def find_layout(path: Path) -> Layout:
    """What kind of file this is, by its first bytes.

    Raises DataError where it cannot be read, is empty, or is none of the known kinds.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; expected a file")
        # Data is read twice (checked, then worked on), which a pipe does not allow.
        if not path.is_file():
            raise DataError(f"{path} " + ("is not a plain file" if path.exists() else "does not exist"))
        with path.open("rb") as file:
            beginning = file.read(_LOOKED_AT)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error

    if beginning.startswith(b"PAR1"):
        return "Parquet"
    expected = "expected a JSON array of records, JSON lines, or Parquet"
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}, line 1: expected UTF-8, found UTF-16 (byte offset 0)")
    if beginning.startswith(b"\x1f\x8b"):
        raise DataError(f"{path} is compressed with gzip; {expected}")
    text = beginning.removeprefix(_UTF8_BOM).lstrip()
    match text[:1]:
        case b"[":
            return "JSON array"
        case b"{":
            return "JSON lines"
        case b"":
            raise DataError(f"{path} is empty; {expected}")
        case _:
            line = beginning.count(b"\n", 0, len(beginning) - len(text)) + 1
            raise DataError(f"{path}, line {line}: {expected}, found {ascii(text[:20])[1:]}")


def records(path: Path, layout: Layout) -> Iterator[dict[str, Any]]:
    """The records of a file as they are.

    Raises DataError that names the place where the file is broken.
    """
    if layout == "JSON array":
        return array_records(path)
    return (record for _, record in read_records(path, layout))


def read_records(path: Path, layout: Layout) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file as they are, each with its number, which takes longer.

    That is the number of the line it begins on, or of the Parquet row, from 1. Raises DataError
    that names the place where the file is broken.
    """
    match layout:
        case "JSON array":
            return read_array(path)
        case "JSON lines":
            return read_lines(path)
        case "Parquet":
            # Only what reads or writes such a file waits for the library.
            from samples.parquet_files import read_rows

            return read_rows(path)


def place(path: Path, layout: Layout, position: int) -> str:
    """Where the record at a position (from 0) is, for a message: the file is read up to there once more."""
    from_there = islice(read_records(path, layout), position, None)
    number = next((number for number, _ in from_there), position + 1)
    if layout == "Parquet":
        return f"{path}, row {number}"
    return f"{path}, line {number} (record {position + 1})"


def layout_to_write(path: Path) -> Layout:
    """The kind of file that the path's ending asks for. Raises DataError where it is not known."""
    layout = _LAYOUT_OF_ENDING.get(path.suffix.lower())
    if layout is None:
        raise DataError(f"{path}: expected a name that ends in {', '.join(_LAYOUT_OF_ENDING)}")
    return layout


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records to a file, as JSON array, JSON lines or Parquet by its ending.

    The file appears, or takes the place of an older one, only when all is written. Raises DataError
    where the ending is not known, the folder is missing or not writable, or a record cannot be
    written.
    """
    layout = layout_to_write(path)
    with whole_file(path) as file:
        match layout:
            case "JSON array":
                write_array(file, records)
            case "JSON lines":
                write_lines(file, records)
            case "Parquet":
                from samples.parquet_files import write_rows

                write_rows(file, records)


def write_text(path: Path, text: str) -> None:
    """Write a text to a file in UTF-8, whole or not at all. Raises DataError as `write_records` does."""
    with whole_file(path) as file:
        file.write(text.encode(errors="backslashreplace"))


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at the end of the block, and only where that ends well.

    Raises:
        DataError: from the block, where it cannot be written.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{uuid4().hex}.unfinished")
    try:
        if target.is_dir():
            raise DataError("it is a folder")
        with unfinished.open("xb") as file:
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
