"""A data set in a file: what it is, whether all of it is sound, and its samples one by one."""

from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from samples.fields import kind, names
from samples.files import Layout, find_layout, place, read_records
from samples.formats import Parsed, detect_format, parse_record
from samples.sample import DataError, Format, Sample


@dataclass(frozen=True, slots=True)
class Checked:
    """What a full pass over a data set found: how many records, and the hash of the file."""

    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """Records of one format in one file. Made by `open_data`.

    `check` looks at all of it and is to be called before any work is done; `samples` takes for
    granted that ids are unique.
    """

    path: Path
    format: Format
    layout: Layout

    def describe(self) -> str:
        """What the data set is, for the screen, such as "alpaca records in a JSON array"."""
        return f"{self.format} records in {_IN_LAYOUT[self.layout]}"

    def check(self) -> Checked:
        """Read everything once: check each record and that ids are unique, and hash the file.

        Takes 8 bytes of memory a record. Raises DataError for the first thing that is wrong.
        """
        # Hashing needs no interpreter lock: the two passes over the file run side by side.
        with ThreadPoolExecutor(max_workers=1) as aside:
            sha256 = aside.submit(_sha256, self.path)
            hashes = array("q")
            for position, number, record in self._records():
                self._parsed(position, number, record)
                hashes.append(hash(self._id(position, number, record)))
            self._refuse_duplicates(hashes)
            return Checked(len(hashes), sha256.result())

    def samples(
        self,
        start: int = 0,
        stop: int | None = None,
        passed_over: Callable[[int], bool] = lambda position: False,
    ) -> Iterator[Sample]:
        """The samples from position `start` up to, not including, `stop`, as a stream.

        Positions that are `passed_over` are left out. Raises DataError where the file is broken.
        """
        for position, number, record in islice(self._records(), start, stop):
            if passed_over(position):
                continue
            parsed = self._parsed(position, number, record)
            sample_id = self._id(position, number, record)
            yield Sample(
                position,
                sample_id,
                self.format,
                record,
                parsed.system,
                parsed.exchanges,
                parsed.skip,
            )

    def _records(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for position, (number, record) in enumerate(read_records(self.path, self.layout)):
            yield position, number, record

    def _parsed(self, position: int, number: int, record: dict[str, Any]) -> Parsed:
        try:
            return parse_record(record, self.format)
        except DataError as error:
            where = place(self.path, self.layout, number, position)
            raise DataError(f"{where}: {error}") from error

    def _id(self, position: int, number: int, record: dict[str, Any]) -> str:
        value = record.get("id")
        if value is None or value == "":
            return str(position)
        if type(value) is str:
            # An id is used in places that take text only, which half a surrogate pair is not.
            return value if value.isascii() else value.encode(errors="backslashreplace").decode()
        if type(value) is int:
            return str(value)
        where = place(self.path, self.layout, number, position)
        raise DataError(f'{where}: expected text or a whole number in "id", found {kind(value)}')

    def _refuse_duplicates(self, hashes: "array[int]") -> None:
        # Hashes are 8 bytes each, where a million ids would be 100 MB; the ids are only read again
        # where two hashes are the same.
        column = pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])
        if len(column.unique()) == len(column):
            return
        counts = column.value_counts().to_pylist()
        suspects = {entry["values"] for entry in counts if entry["counts"] > 1}
        seen: dict[str, str] = {}
        for position, number, record in self._records():
            sample_id = self._id(position, number, record)
            if hash(sample_id) not in suspects:
                continue
            here = place(self.path, self.layout, number, position)
            if sample_id in seen:
                raise DataError(
                    f"{here}: the id {sample_id[:40]!a} is that of {seen[sample_id]} too; "
                    "expected a different one for each record"
                )
            seen[sample_id] = here


_IN_LAYOUT: dict[Layout, str] = {
    "JSON array": "a JSON array",
    "JSON lines": "JSON lines",
    "Parquet": "a Parquet file",
}


def open_data(path: Path, format: Format | Literal["auto"] = "auto") -> DataSet:
    """The data set in a file; with "auto" its format is that of its first record.

    Only the beginning of the file is read. Raises DataError where that is not a data set.
    """
    layout = find_layout(path)
    first = next(read_records(path, layout), None)
    if first is None:
        raise DataError(f"{path}: expected records, found none")
    if format == "auto":
        number, record = first
        detected = detect_format(record)
        if detected is None:
            raise DataError(
                f"{place(path, layout, number, 0)}: expected a record of one format, with "
                "instruction (Alpaca), conversations (ShareGPT) or messages (OpenAI-style), "
                f"found {names(record)}"
            )
        format = detected
    return DataSet(path, format, layout)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
