"""Keeps records that cannot be read next to a file with no place for them: Parquet, a table, a JSON array."""

import tempfile
from pathlib import Path
from typing import IO, BinaryIO, cast

from samples.fields import plural, raw_text
from samples.files import Layout, whole_file
from samples.formats import parse_record
from samples.json_arrays import fits_array
from samples.json_lines import write_lines
from samples.layouts import id_field
from samples.sample import DataError, Sample


def unreadable_path(file: Path) -> Path:
    """Return the path of what is kept next to a file."""
    return file.with_name(f"{file.name}.unreadable.jsonl")


def is_readable(sample: Sample) -> bool:
    """Return whether a sample's record can be read in its format."""
    try:
        parse_record(sample.read, sample.read_as)
    except DataError:
        return False
    own_id = sample.read.get(id_field(sample.read_as))
    return not isinstance(own_id, bool | list | dict)


class Unreadable:
    """The records that a file cannot hold, in a list on disk until they are written next to it."""

    def __init__(self, layout: Layout, *, typed: bool) -> None:
        self._layout = layout
        self._typed = typed
        """Whether the columns have the types of the data, so that any record of it has a place in them."""
        self.found = 0
        self._list: IO[bytes] | None = None

    def takes(self, sample: Sample) -> bool:
        """Return whether a skipped sample's record is kept here and not in the file."""
        if self._layout == "JSON array":
            if fits_array(sample.read):
                return False
        elif raw_text(sample.read) is None and (self._typed or is_readable(sample)):
            return False
        self._list = self._list or tempfile.TemporaryFile()  # noqa: SIM115 - kept as long as this
        write_lines(cast(BinaryIO, self._list), [sample.read])
        self.found += 1
        return True

    def close(self) -> None:
        """Delete the list."""
        if self._list:
            self._list.close()

    def write_next_to(self, file: Path) -> str:
        """Write the records, as they were, and close; return a line that says so, empty if there are none."""
        if self._list is None:
            return ""
        path = unreadable_path(file)
        self._list.seek(0)
        with self._list, whole_file(path) as written:
            for line in self._list:
                written.write(line)
        return f"{path}: {plural(self.found, 'record')} that cannot be read, as they were"
