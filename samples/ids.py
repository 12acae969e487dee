"""Ids of records: which a record has of its own, and how those that repeat are told apart."""

import re
from array import array
from typing import Any

from samples.fields import is_missing, json_type

_LONGEST_ID = 1000
"""Characters. Every call is recorded under its sample's id."""

_NUMBERED = re.compile(r"#\d+#*$")


def own_id(record: dict[str, Any], name: str) -> tuple[str | None, str | None]:
    """Return a record's id, None if it has none; and why it cannot be used."""
    value = record.get(name)
    if value is None:
        return None, None
    if type(value) in (str, int) and (length := len(str(value))) > _LONGEST_ID:
        return None, f'expected at most {_LONGEST_ID:,} characters in "{name}", found {length:,}'
    if type(value) is str and value != "":
        # Consumers of ids need valid UTF-8, so an unpaired surrogate is escaped.
        return (value if value.isascii() else value.encode(errors="backslashreplace").decode()), None
    if type(value) is int or (type(value) is float and value.is_integer()):  # as pandas has it next to none
        return str(int(value)), None
    if value == "" or is_missing(value):
        return None, None
    return None, f'expected a string or an integer in "{name}", found {json_type(value)}'


class Ids:
    """Which ids of a data set repeat, as far as its records were read.

    Hashes take 8 bytes each; a million ids would take 100 MB. None are needed until a record has an id of its
    own, since positions are unique.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._repeats = bytearray()
        self._numbered: set[int] = set()
        """The hashes of ids that look as if a position had been appended."""

    def add(self, position: int, own: str | None) -> None:
        """Take the next record, and the id that it has."""
        if own is not None:
            self._hashes = self._hashes or array("q", (hash(str(earlier)) for earlier in range(position)))
            self._hashes.append(hash(own))
            if own[-1:] in "0123456789#" and _NUMBERED.search(own):
                self._numbered.add(self._hashes[-1])
        elif self._hashes:
            self._hashes.append(hash(str(position)))

    def compare(self) -> None:
        """Find out which repeat, once all are there."""
        self._repeats, self._hashes = _repeated(self._hashes), array("q")

    def repeated(self) -> tuple[int, int]:
        """Return how many ids repeat an earlier one, and the position of the first."""
        number = sum(self._repeats)
        return number, self._repeats.index(1) if number else 0

    def id_of(self, position: int, own: str | None) -> str:
        """Return the id of a sample: the record's own, or its position; with both if it repeats."""
        sample_id = str(position) if own is None else own
        if self._repeats and self._repeats[position]:
            sample_id += f"#{position}"
            while hash(sample_id) in self._numbered:
                sample_id += "#"
        return sample_id


def _repeated(hashes: "array[int]") -> bytearray:
    """Return for each hash 1 if it occurred before; an empty array if none did."""
    if not hashes:
        return bytearray()
    import pyarrow as pa  # slow to load (0.1 s), and many data sets have no ids

    column = pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])
    if len(column.unique()) == len(column):
        return bytearray()
    counts = column.value_counts().to_pylist()
    suspects = {entry["values"] for entry in counts if entry["counts"] > 1}
    repeats = bytearray(len(hashes))
    seen: set[int] = set()
    for position, value in enumerate(hashes):
        if value in suspects:
            repeats[position] = value in seen
            seen.add(value)
    return repeats
