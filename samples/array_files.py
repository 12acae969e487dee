"""The records of a JSON array, many at a time, where the file is written as programs write them.

A piece of the file that ends where a record ends is an array of its own between brackets, and a decoder in C
takes it whole. Where a record ends is guessed: before the last place that looks like the beginning of the
first record. A guess that is wrong cannot be taken for right, since what it cuts is no JSON; whatever is not
as expected is left to `json_files.read_array`, which reads anything and says what is wrong, and where.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from samples.json_files import REFUSALS, decode, read_array

_CHUNK_BYTES = 256 * 1024

_MOST_BYTES = 16 * 1024 * 1024
"""Of a record that is read here; there are few larger ones, and `read_array` knows their limit."""

_OPENING = re.compile(rb'\s*\[\s*(\{\s*"[^"\\]*")')


def array_records(path: Path, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[dict[str, Any]]:
    """The records of a JSON array. Raises DataError that names file, line and record."""
    count = 0
    batches = _batches(path, chunk_bytes)
    while (batch := next(batches, None)) is not None:
        if not batch:  # the end
            return
        count += len(batch)
        yield from batch
    yield from (record for _, record in islice(read_array(path), count, None))


def _batches(path: Path, chunk_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """The records in some order of batches, an empty one at the end; it stops short at what is unusual."""
    with path.open("rb") as file:
        text = file.read(chunk_bytes).removeprefix(codecs.BOM_UTF8)
        opening = _OPENING.match(text)
        if opening is None:
            return
        text = text[opening.start(1) :]
        while more := file.read(max(chunk_bytes, len(text))):
            text += more
            end = _end(text, opening[1])
            if not end:
                if len(text) > _MOST_BYTES:
                    return
                continue
            batch = _records(b"[" + text[: end + 1] + b"]")
            if not batch:
                return
            yield batch
            text = text[text.index(b",", end) + 1 :]
        batch = _records(b"[" + text)
        if batch:
            yield batch
            yield []


def _end(text: bytes, opening: bytes) -> int:
    """Where the last record but one ends in a text, 0 where that is not seen."""
    before = text[: max(text.rfind(opening), 0)].rstrip()
    if not before.endswith(b","):
        return 0
    before = before[:-1].rstrip()
    return len(before) - 1 if before.endswith(b"}") else 0


def _records(text: bytes) -> list[dict[str, Any]]:
    """The records of an array, none where it is none of records alone."""
    try:
        found = decode(text)
    except REFUSALS:
        return []
    return found if all(type(record) is dict for record in found) else []
