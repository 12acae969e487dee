"""Open a data set file, check all of it, and stream its samples."""

from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from samples.fields import field_names, json_type
from samples.files import Layout, find_layout, locate, records
from samples.formats import check_record, detect_format, parse_record
from samples.sample import DataError, Format, Sample


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a full pass over a data set."""

    count: int  # number of records
    sha256: str  # of the file


@dataclass(frozen=True, slots=True)
class DataSet:
    """Records of one format in one file, as opened by `open_data`.

    Call `check` before any work is done: `samples` relies on unique ids.
    """

    path: Path
    format: Format
    layout: Layout
    stamp: tuple[int, int] | None
    """The file's modification time in nanoseconds and its size when it was opened; None if it was gone."""

    def describe(self) -> str:
        """Describe the data set for display, such as "alpaca records in a JSON array"."""
        return f"{self.format} records in {_IN_LAYOUT[self.layout]}"

    def check(self, known: Checked | None = None) -> Checked:
        """Read the file once: check every record, check that ids are unique, and hash the file.

        If the hash equals that of a `known` valid file, the records are not checked again. Takes 8 bytes of
        memory per record. Raises DataError for the first error found.
        """
        # Hashing releases the GIL, so it runs in parallel with the checks.
        with ThreadPoolExecutor(max_workers=1) as executor:
            sha256 = executor.submit(_sha256, self.path)
            if known and sha256.result() == known.sha256:
                return known
            return Checked(self._check_records(), sha256.result())

    def samples(
        self, start: int = 0, stop: int | None = None, exclude: Callable[[int], bool] = lambda position: False
    ) -> Iterator[Sample]:
        """Yield the samples from position `start` up to but not including `stop`.

        Positions for which `exclude` is true are left out. Raises DataError if the file is broken or was
        modified since it was opened, and so may differ from what was checked.
        """
        for position, record in islice(enumerate(self._records()), start, stop):
            if exclude(position):
                continue
            self._refuse_modified()
            try:
                parsed = parse_record(record, self.format)
            except DataError as error:
                raise self._error(position, error) from error
            sample_id = self._id(position, record)
            yield Sample(
                position, sample_id, self.format, record, parsed.system, parsed.exchanges, parsed.skip
            )
        self._refuse_modified()  # the file may have been truncated

    def _records(self) -> Iterator[dict[str, Any]]:
        return records(self.path, self.layout)

    def _check_records(self) -> int:
        """Check every record and return how many there are."""
        count = 0
        # Hashes take 8 bytes each; a million ids would take 100 MB. None are needed until a record has an id
        # of its own, since positions are unique.
        hashes = array("q")
        for position, record in enumerate(self._records()):
            try:
                check_record(record, self.format)
            except DataError as error:
                raise self._error(position, error) from error
            own = record.get("id")
            if own is not None and own != "":
                hashes = hashes or array("q", (hash(str(earlier)) for earlier in range(position)))
                hashes.append(hash(self._id(position, record)))
            elif hashes:
                hashes.append(hash(str(position)))
            count += 1
        if hashes:
            self._refuse_duplicates(hashes)
        return count

    def _id(self, position: int, record: dict[str, Any]) -> str:
        value = record.get("id")
        if value is None or value == "":
            return str(position)
        if type(value) is str:
            # Consumers of ids need valid UTF-8, so an unpaired surrogate is escaped.
            return value if value.isascii() else value.encode(errors="backslashreplace").decode()
        if type(value) is int:
            return str(value)
        raise self._error(position, f'expected a string or an integer in "id", found {json_type(value)}')

    def _refuse_duplicates(self, hashes: "array[int]") -> None:
        import pyarrow as pa  # slow to load (0.1 s), and many data sets have no ids

        # The ids are only read again if two hashes are equal.
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
                other = locate(self.path, self.layout, seen[sample_id])
                raise self._error(
                    position, f"the id {sample_id[:40]!a} is already used at {other}; ids must be unique"
                )
            seen[sample_id] = position

    def _error(self, position: int, message: object) -> DataError:
        return DataError(f"{locate(self.path, self.layout, position)}: {message}")

    def _refuse_modified(self) -> None:
        if _stamp(self.path) not in (self.stamp, None):
            raise DataError(f"{self.path} was modified during the run")


_IN_LAYOUT: dict[Layout, str] = {
    "JSON array": "a JSON array",
    "JSON lines": "JSON lines",
    "Parquet": "a Parquet file",
}


def open_data(path: Path, format: Format | Literal["auto"] = "auto") -> DataSet:
    """Open the data set in a file. With "auto", its format is detected from the first record.

    Reads only the beginning of the file. Raises DataError if that is not a data set.
    """
    layout, stamp = find_layout(path), _stamp(path)
    first = next(records(path, layout), None)
    if first is None:
        raise DataError(f"{path} contains no records")
    if format == "auto":
        detected = detect_format(first)
        if detected is None:
            raise DataError(
                f"{locate(path, layout, 0)}: cannot detect the format; expected exactly one of instruction "
                f"(Alpaca), conversations (ShareGPT) and messages (OpenAI-style), found {field_names(first)}"
            )
        format = detected
    return DataSet(path, format, layout, stamp)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return the modification time and size of a file, or None if it is gone; open readers keep working."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
