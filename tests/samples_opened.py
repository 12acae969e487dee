"""Data sets and samples of given records, for the tests of samples."""

from pathlib import Path
from typing import Any

from samples.detection import find_format
from samples.files import find_layout, read_records, write_records
from samples.formats import make_sample
from samples.reader import DataSet, open_data
from samples.sample import Sample


def opened(folder: Path, written: list[Any], **how: Any) -> DataSet:
    """Write records to a file in a folder, open it, and check it."""
    path = folder / "data.jsonl"
    write_records(path, written)
    data = open_data(path, **how)
    data.check()
    return data


def sample_of(record: dict[str, Any], improve: Any = None) -> Sample:
    """Return the sample of a record whose format is detected."""
    found = find_format(record, "auto", improve, None)
    assert found.format is not None, found.why
    return make_sample(0, "0", record, found.format)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [record for _, record in read_records(path, find_layout(path))]
