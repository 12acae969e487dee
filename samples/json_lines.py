"""Read and write records as JSON lines: one object per line."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from samples.bounds import MAX_RECORD_BYTES, TOO_DEEP, TWICE, count_names, nested_too_deeply, too_large
from samples.compressed import open_binary
from samples.fields import brief, raw_text, unreadable
from samples.json_errors import describe_value, explain, may_be_truncated, not_utf8
from samples.json_values import (
    BLANK,
    DECODE_ERRORS,
    DECODER,
    decode,
    raw_to_utf8,
    repeated_name,
    to_json,
    to_utf8,
)
from samples.sample import DataError

_ONE_PER_LINE = "expected one JSON object per line"
_NEW_LINE = re.compile(r"\r?\n")  # which may be in what is JSON between its tokens only


def read_lines(
    path: Path, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record of a JSON lines file with its line number, from 1.

    Blank lines are skipped. Raises DataError naming the file, line and record; with `keep_bad`, a line that
    is no record, or nested too deeply, is yielded as `unreadable` instead, unless it is too large.
    """
    with open_binary(path) as file:
        record_number, end_offset = 1, 0
        read_line = partial(file.readline, max_bytes + 1)
        for line_number, line in enumerate(iter(read_line, b""), start=1):
            end_offset += len(line)
            if len(line) > max_bytes:
                raise DataError(
                    f"{path}, line {line_number} (record {record_number}): {too_large(max_bytes)}"
                )
            line = line.removeprefix(codecs.BOM_UTF8)  # which is on others too where files were joined
            if line.isspace():
                continue
            try:
                record = decode(line)
            except DECODE_ERRORS:
                record = None
            if (
                type(record) is dict
                and (names := count_names(record)) >= 0
                and not repeated_name(line, names)
            ):
                yield line_number, record
                record_number += 1
                continue
            try:
                text = line.decode().strip(BLANK)
                if not text:
                    continue
                record, end = DECODER.raw_decode(text)
            except (ValueError, RecursionError) as error:
                message = _explain_line(error, line, line_number, end_offset)
            else:
                if type(record) is dict and text[end:].strip() == ",":  # as lines of an array have it
                    end = len(text)
                if end != len(text):
                    message = f"{_ONE_PER_LINE}, found {text[end : end + 20]!a} after it"
                elif type(record) is not dict:
                    message = f"expected an object, found {describe_value(record)}"
                elif nested_too_deeply(record):
                    message = f"the record is {TOO_DEEP}"
                elif name := repeated_name(line, count_names(record)):
                    message = f'"{brief(name)}" {TWICE}'
                else:
                    yield line_number, record
                    record_number += 1
                    continue
            if not keep_bad:
                raise DataError(f"{path}, line {line_number} (record {record_number}): {message}")
            yield line_number, unreadable(line.rstrip(b"\r\n").decode(errors="surrogateescape"), message)
            record_number += 1


def write_lines(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSON lines in UTF-8, and what could not be read as it was, but on one line."""
    for record in records:
        if (raw := raw_text(record)) is not None:
            file.write(raw_to_utf8(_NEW_LINE.sub(" ", raw)) + b"\n")
        else:
            file.write(to_utf8(to_json(record)) + b"\n")


def _explain_line(error: ValueError | RecursionError, line: bytes, line_number: int, end_offset: int) -> str:
    """Explain why a line, which ends at an offset in the file, could not be decoded."""
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(line[error.start], end_offset - len(line) + error.start)
    if isinstance(error, json.JSONDecodeError) and may_be_truncated(error, error.doc):
        if not line.endswith(b"\n"):
            return f"the file ends inside this record; {_ONE_PER_LINE}"
        if line_number == 1:
            return f"the object that starts here does not end on this line; {_ONE_PER_LINE}, or a JSON array"
    return f"{explain(error)}; {_ONE_PER_LINE}"
