"""Read and write records as CSV and TSV: one a row, all fields as text.

What is no text is written as JSON: numbers, and lists and objects, which `samples.nested` reads as what they
are where it expects turns. Null and an empty text are both an empty field, and read as an empty text.
"""

import codecs
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, cast, get_args

from typing_extensions import TypedDict

from samples.bounds import MAX_RECORD_BYTES, too_large
from samples.compressed import open_binary
from samples.fields import brief, plural, unreadable
from samples.json_lines import write_lines
from samples.json_values import read_json, to_json
from samples.sample import DataError

Separator = Literal[",", ";", "\t", "|"]
_SEPARATORS: tuple[Separator, ...] = get_args(Separator)
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
"""The first line that tells spreadsheets what separates the fields."""
_DOUBLED = (
    "in a field in quotes a quote is written twice (in Spark with the option escape), or save JSON lines"
)
"""What to do about a quote where none may be."""
_LONGEST_HEADER = 65_536
_COLUMN = re.compile(r"[^\W\d][\w .:/()-]{0,59}")
_QUOTED = re.compile(r'"[^"]*"')


class Dialect(TypedDict):
    """How a table is written."""

    separator: Separator
    mark: bool
    """Whether it begins with the mark of UTF-8, by which spreadsheets know it."""


def dialect_of(path: Path, delimiter: str) -> Dialect:
    """Return how the table in a file is written that was read with this `delimiter`."""
    with open_binary(path) as file:
        beginning = file.read(_LONGEST_HEADER)
    text = beginning.removeprefix(codecs.BOM_UTF8).decode(errors="replace").lstrip(" \r\n")
    first = text.partition("\n")[0]
    head = _SEPARATOR.fullmatch(first)
    return Dialect(
        separator=cast(Separator, head[1] if head else _separator(first, delimiter)),
        mark=beginning.startswith(codecs.BOM_UTF8),
    )


def read_rows(
    path: Path, delimiter: str, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record with the number of the line on which it starts, from 1.

    The first row, or the one after a line such as `sep=;`, has the names of the fields. If it has no
    `delimiter`, the fields are separated by what it has instead: a semicolon, a tab or a bar. Raises
    DataError naming the file, line and record; with `keep_bad`, a row with another number of fields is
    yielded as `samples.fields.unreadable` instead.
    """
    csv.field_size_limit(max_bytes + 1)  # `_Lines` is stricter
    with open_binary(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as file:
        lines = _Lines(file, max_bytes)
        record_number, line = 0, 1
        try:
            before = 0
            while lines.first() and not lines.first().strip(" \r\n"):
                before += 1
                lines.drop_first()
            separator = _separator(lines.first(), delimiter)
            if head := _SEPARATOR.fullmatch(lines.first()):
                separator = head[1]
                before += 1
                lines.drop_first()
            is_spaced = bool(re.search(rf"\S{re.escape(separator)} +\S", _QUOTED.sub("x", lines.first())))
            rows = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=is_spaced)
            names = [name.strip() for name in next(rows, [])]
            named = [name for name in names if name]
            if len(set(named)) < len(named):
                raise DataError(f"{path}, line {before + 1}: expected unique column names, found {names}")
            while True:
                line = rows.line_num + before + 1
                lines.read = 0
                row = next(rows, None)
                if row is None:
                    return
                if not row:
                    continue
                record_number += 1
                record, why = _record(names, row)
                if record is not None:
                    yield line, record
                    continue
                if not keep_bad:
                    raise DataError(f"{path}, line {line} (record {record_number}): {why}")
                yield line, unreadable(to_json(row), why)
        except _TooLarge:
            where = f"{path}, line {line} (record {record_number + 1})"
            raise DataError(f"{where}: {too_large(max_bytes)}") from None
        except csv.Error as error:
            raise DataError(
                f"{path}, line {line} (record {record_number + 1}): {error}; {_DOUBLED}"
            ) from error
        except UnicodeDecodeError:
            raise DataError(_not_utf8(path, max_bytes)) from None


def write_rows(file: BinaryIO, records: Iterable[dict[str, Any]], dialect: Dialect) -> None:
    """Write records as a table with a column for every field of any record, in UTF-8.

    Columns are only known after the last record, so records are first written to a temporary file. Raises
    DataError if a text cannot be written, or if two names are the same when the table is read.
    """
    names: dict[str, None] = {}

    def named() -> Iterator[dict[str, Any]]:
        for record in records:
            names.update(dict.fromkeys(record))
            yield record

    with tempfile.TemporaryFile() as spool:
        write_lines(cast(BinaryIO, spool), named())
        read_as: dict[str, str] = {}
        for name in names:
            if (first := read_as.setdefault(name.strip(), name)) != name:
                raise DataError(
                    f"the fields {to_json(brief(first))} and {to_json(brief(name))} differ only by blanks, "
                    "which the names in a table do not keep; write JSON lines (.jsonl) or Parquet instead"
                )
        spool.seek(0)
        encoding = "utf-8-sig" if dialect["mark"] else "utf-8"
        text = io.TextIOWrapper(file, encoding, newline="", write_through=True)
        delimiter = dialect["separator"]
        rows = csv.writer(text, delimiter=delimiter)
        # A name must not look like several, whatever separates them, nor blanks like those behind separators.
        is_plain = not any(
            name != name.strip() or any(each in name for each in (*_SEPARATORS, '"')) for name in names
        )
        header = rows if is_plain else csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        try:
            header.writerow(names)
            for line in spool:
                record = read_json(line.decode())
                rows.writerow([_cell(record.get(name)) for name in names])
        except UnicodeEncodeError:
            raise DataError(
                "a field has an unpaired surrogate, which a table cannot store; write JSON lines "
                "(.jsonl) instead"
            ) from None
        finally:
            text.detach()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value)


def _record(names: list[str], row: list[str]) -> tuple[dict[str, Any] | None, str]:
    """Return the record of a row; or None, and why it is none.

    Spreadsheets write empty columns without a name; these are left out. A single one may have values, such
    as the numbers of rows that pandas writes.
    """
    while len(row) > len(names) and not row[-1]:
        row = row[:-1]
    least = len(names)
    while least and not names[least - 1]:
        least -= 1
    if not least <= len(row) <= len(names):
        return None, f"expected {plural(len(names), 'field')}, as in the first line, found {len(row)}"
    filled = [*row, *[""] * (len(names) - len(row))]
    is_several = names.count("") > 1
    if is_several and any(value for name, value in zip(names, filled, strict=True) if not name):
        return None, "found a value in a column without a name; name it in the first line"
    is_left_out = is_several or (names[-1:] == [""] and not filled[-1])
    return {name: value for name, value in zip(names, filled, strict=True) if name or not is_left_out}, ""


def looks_like_table(text: str) -> bool:
    """Return whether a text that is named as nothing begins with the names of columns and a row of them."""
    lines = text.splitlines(keepends=True)
    if lines and _SEPARATOR.fullmatch(lines[0]):
        return True
    separator = _separator(lines[0], ",") if lines else ","
    try:
        rows = list(islice(csv.reader(lines, delimiter=separator), 2))
    except csv.Error:
        return False
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [name.strip() for name in rows[0]]
    is_one = len(set(names)) == len(names) and all(_COLUMN.fullmatch(name) for name in names if name)
    return is_one and len(rows[1]) == len(names)


def _not_utf8(path: Path, max_bytes: int) -> str:
    """Say where the first byte is that is not UTF-8, and what the file may be."""
    with open_binary(path) as file:
        number = 0
        for number, line in enumerate(iter(partial(file.readline, max_bytes), b""), 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                try:
                    line.decode("gb2312")
                    is_likely = "GBK (of Chinese spreadsheets)", "GB18030"
                except UnicodeDecodeError:
                    is_likely = "Windows-1252 (of Western spreadsheets)", "CP1252"
                return (
                    f"{path}, line {number}: expected UTF-8, found byte 0x{line[error.start]:02x}; it may be "
                    f'{is_likely[0]}: save it as "CSV UTF-8", or convert it with '
                    f"iconv -f {is_likely[1]} -t UTF-8"
                )
    return f"{path}, line {number}: expected UTF-8"


def _separator(line: str, expected: str) -> str:
    """Return what separates the fields of the first line: `expected`, unless another one does alone."""
    names = _QUOTED.sub("", line)
    if expected in names:
        return expected
    return max(_SEPARATORS, key=lambda each: (names.count(each), each == expected))


class _TooLarge(Exception):
    """A row is larger than it may be."""


class _Lines:
    """The lines of a file, as long as those since `read` was set to 0 are no larger than one row may be."""

    def __init__(self, file: TextIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.read = 0
        self._first = ""

    def first(self) -> str:
        """Return the first line, which is read again."""
        self._first = self._first or self._file.readline(self._max_bytes + 1)
        return self._first

    def drop_first(self) -> None:
        """Leave the first line out."""
        self._first = ""

    def __iter__(self) -> Iterator[str]:
        while line := self._first or self._file.readline(self._max_bytes + 1):
            self._first = ""
            self.read += len(line)
            if self.read > self._max_bytes:
                raise _TooLarge
            yield line
