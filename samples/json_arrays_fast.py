"""Fast reader for JSON arrays that are laid out as programs usually write them.

Each piece of the file that ends at a record boundary is wrapped in brackets and decoded in C as an array of
its own. The boundary is guessed: it is just before the last text that looks like the start of the first
record. A wrong guess is harmless, since the piece it cuts is not valid JSON; anything unexpected is left to
`json_arrays.read_array`, which reads every valid array and reports errors with their position.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from samples.bounds import MAX_RECORD_BYTES, count_names
from samples.compressed import open_binary
from samples.json_arrays import read_array
from samples.json_values import DECODE_ERRORS, decode, may_repeat

_CHUNK_BYTES = 256 * 1024

_OPENING = re.compile(rb'\s*\[\s*(\{\s*"[^"\\]*")')


def array_records(
    path: Path,
    chunk_bytes: int = _CHUNK_BYTES,
    *,
    keep_bad: bool = False,
    max_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON array. Raises DataError, and keeps what is no record, as `read_array`."""
    count = 0
    batches = _batches(path, min(chunk_bytes, max_bytes), max_bytes)
    while (batch := next(batches, None)) is not None:
        if not batch:  # end of the array
            return
        count += len(batch)
        yield from batch
    rest = read_array(path, keep_bad=keep_bad, max_bytes=max_bytes)
    yield from (record for _, record in islice(rest, count, None))


def _batches(path: Path, chunk_bytes: int, max_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the records in batches, then an empty batch; stop without it at anything unexpected."""
    with open_binary(path) as file:
        text = file.read(chunk_bytes).removeprefix(codecs.BOM_UTF8)
        opening = _OPENING.match(text)
        if opening is None:
            return
        text = text[opening.start(1) :]
        while more := file.read(min(max(chunk_bytes, len(text)), max_bytes - len(text))):
            text += more
            end = _boundary(text, opening[1])
            if not end:
                if len(text) >= max_bytes:
                    return
                continue
            batch = _decode_records(b"[" + text[: end + 1] + b"]")
            if not batch:
                return
            yield batch
            text = text[text.index(b",", end) + 1 :]
        if batch := _decode_records(b"[" + text):
            yield batch
            yield []


def _boundary(text: bytes, opening: bytes) -> int:
    """Return the index of the brace that closes the last record but one, or 0 if there seems to be none."""
    before = text[: max(text.rfind(opening), 0)].rstrip()
    if not before.endswith(b","):
        return 0
    before = before[:-1].rstrip()
    return len(before) - 1 if before.endswith(b"}") else 0


def _decode_records(text: bytes) -> list[dict[str, Any]]:
    """Decode an array of records; return an empty list if it is anything else."""
    try:
        found = decode(text)
    except DECODE_ERRORS:
        return []
    names = 0
    for record in found:
        if type(record) is not dict or (more := count_names(record)) < 0:
            return []
        names += more
    return [] if may_repeat(text, names) else found
