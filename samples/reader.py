"""A data set in a file: what it is, whether all of it is sound, and its samples one by one."""

from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from samples.fields import kind, names
from samples.files import Layout, find_layout, place, records
from samples.formats import Parsed, check_record, detect_format, parse_record
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
    granted that ids are unique. `written` is when the file was written to last, and its size.
    """

    path: Path
    format: Format
    layout: Layout
    written: tuple[int, int] | None

    def describe(self) -> str:
        """What the data set is, for the screen, such as "alpaca records in a JSON array"."""
        return f"{self.format} records in {_IN_LAYOUT[self.layout]}"

    def check(self, known: Checked | None = None) -> Checked:
        """Read everything once: check each record and that ids are unique, and hash the file.

        A file that has the hash of one `known` to be sound is sound: no record is looked at. Takes 8
        bytes of memory a record. Raises DataError for the first thing that is wrong.
        """
        # Hashing needs no interpreter lock: the two passes over the file run side by side.
        with ThreadPoolExecutor(max_workers=1) as aside:
            sha256 = aside.submit(_sha256, self.path)
            if known and sha256.result() == known.sha256:
                return known
            return Checked(self._checked(), sha256.result())

    def samples(
        self,
        start: int = 0,
        stop: int | None = None,
        passed_over: Callable[[int], bool] = lambda position: False,
    ) -> Iterator[Sample]:
        """The samples from position `start` up to, not including, `stop`, as a stream.

        Positions that are `passed_over` are left out. Raises DataError where the file is broken, or was
        written to since it was opened: what comes then is not what was checked.
        """
        for position, record in islice(enumerate(self._records()), start, stop):
            if passed_over(position):
                continue
            self._refuse_other()
            parsed = self._parsed(position, record)
            sample_id = self._id(position, record)
            yield Sample(
                position,
                sample_id,
                self.format,
                record,
                parsed.system,
                parsed.exchanges,
                parsed.skip,
            )
        self._refuse_other()  # it may have been cut

    def _records(self) -> Iterator[dict[str, Any]]:
        return records(self.path, self.layout)

    def _checked(self) -> int:
        """How many records there are, all of them sound."""
        count = 0
        # Hashes are 8 bytes each, where a million ids would be 100 MB. While no record has an id of its
        # own there are none: places are all different.
        ids = array("q")
        for position, record in enumerate(self._records()):
            try:
                check_record(record, self.format)
            except DataError as error:
                raise self._wrong(position, error) from error
            own = record.get("id")
            if own is not None and own != "":
                ids = ids or array("q", (hash(str(earlier)) for earlier in range(position)))
                ids.append(hash(self._id(position, record)))
            elif ids:
                ids.append(hash(str(position)))
            count += 1
        if ids:
            self._refuse_duplicates(ids)
        return count

    def _parsed(self, position: int, record: dict[str, Any]) -> Parsed:
        try:
            return parse_record(record, self.format)
        except DataError as error:
            raise self._wrong(position, error) from error

    def _id(self, position: int, record: dict[str, Any]) -> str:
        value = record.get("id")
        if value is None or value == "":
            return str(position)
        if type(value) is str:
            # An id is used in places that take text only, which half a surrogate pair is not.
            return value if value.isascii() else value.encode(errors="backslashreplace").decode()
        if type(value) is int:
            return str(value)
        raise self._wrong(position, f'expected text or a whole number in "id", found {kind(value)}')

    def _refuse_duplicates(self, hashes: "array[int]") -> None:
        import pyarrow as pa  # takes a tenth of a second, and many data sets have no ids

        # The ids are only read again where two hashes are the same.
        column = pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])
        if len(column.unique()) == len(column):
            return
        counts = column.value_counts().to_pylist()
        suspects = {entry["values"] for entry in counts if entry["counts"] > 1}
        seen: dict[str, int] = {}
        for position, record in enumerate(self._records()):
            sample_id = self._id(position, record)
            if hash(sample_id) not in suspects:
                continue
            if sample_id in seen:
                other = place(self.path, self.layout, seen[sample_id])
                raise self._wrong(
                    position,
                    f"the id {sample_id[:40]!a} is that of {other} too; "
                    "expected a different one for each record",
                )
            seen[sample_id] = position

    def _wrong(self, position: int, what: object) -> DataError:
        return DataError(f"{place(self.path, self.layout, position)}: {what}")

    def _refuse_other(self) -> None:
        if _written(self.path) not in (self.written, None):
            raise DataError(f"{self.path} was written to while it was worked on")


_IN_LAYOUT: dict[Layout, str] = {
    "JSON array": "a JSON array",
    "JSON lines": "JSON lines",
    "Parquet": "a Parquet file",
}


def open_data(path: Path, format: Format | Literal["auto"] = "auto") -> DataSet:
    """The data set in a file; with "auto" its format is that of its first record.

    Only the beginning of the file is read. Raises DataError where that is not a data set.
    """
    layout, written = find_layout(path), _written(path)
    first = next(records(path, layout), None)
    if first is None:
        raise DataError(f"{path}: expected records, found none")
    if format == "auto":
        detected = detect_format(first)
        if detected is None:
            raise DataError(
                f"{place(path, layout, 0)}: expected a record of one format, with "
                "instruction (Alpaca), conversations (ShareGPT) or messages (OpenAI-style), "
                f"found {names(first)}"
            )
        format = detected
    return DataSet(path, format, layout, written)


def _written(path: Path) -> tuple[int, int] | None:
    """When a file was written to last, and its size; None where it is gone, which harms no reader."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
