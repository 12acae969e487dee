"""Read records from CSV and TSV files: one a row, all fields as text."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from samples.bounds import too_large
from samples.compressed import open_binary
from samples.fields import plural, unreadable
from samples.json_files import MAX_RECORD_BYTES, to_json
from samples.sample import DataError

_SEPARATORS = (",", ";", "\t", "|")
_QUOTED = re.compile(r'"[^"]*"')


def read_rows(
    path: Path, delimiter: str, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record with the number of the line on which it starts, from 1.

    The first row has the names of the fields. If it has no `delimiter`, the fields are separated by what it
    has instead: a semicolon, a tab or a bar. Raises DataError naming the file, line and record; with
    `keep_bad`, a row with another number of fields is yielded as `samples.fields.unreadable` instead.
    """
    csv.field_size_limit(max_bytes + 1)  # `_Lines` is stricter
    with open_binary(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as file:
        lines = _Lines(file, max_bytes)
        record_number, line = 0, 1
        try:
            rows = csv.reader(lines, delimiter=_separator(lines.first(), delimiter), strict=True)
            names = next(rows, [])
            if len(set(names)) < len(names):
                raise DataError(f"{path}, line 1: expected unique column names, found {names}")
            while True:
                line = rows.line_num + 1
                lines.read = 0
                row = next(rows, None)
                if row is None:
                    return
                if not row:
                    continue
                record_number += 1
                if len(row) == len(names):
                    yield line, dict(zip(names, row, strict=True))
                    continue
                why = f"expected {plural(len(names), 'field')}, as in the first line, found {len(row)}"
                if not keep_bad:
                    raise DataError(f"{path}, line {line} (record {record_number}): {why}")
                yield line, unreadable(to_json(row), why)
        except _TooLarge:
            where = f"{path}, line {line} (record {record_number + 1})"
            raise DataError(f"{where}: {too_large(max_bytes)}") from None
        except (csv.Error, UnicodeDecodeError) as error:
            is_text = not isinstance(error, UnicodeDecodeError)
            what = f"{error}" if is_text else f"expected UTF-8, save the file as that: {error}"
            raise DataError(f"{path}, line {line} (record {record_number + 1}): {what}") from error


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
        self._first = self._file.readline(self._max_bytes + 1)
        return self._first

    def __iter__(self) -> Iterator[str]:
        while line := self._first or self._file.readline(self._max_bytes + 1):
            self._first = ""
            self.read += len(line)
            if self.read > self._max_bytes:
                raise _TooLarge
            yield line
