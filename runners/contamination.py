"""Keeps records that share long runs of words with benchmarks out of an export, or marks them."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runners.provenance import PREFIX
from samples.fields import plural
from samples.files import whole_file
from samples.overlap import HAN, UNSPACED, WORDS, Benchmarks

COLUMN = f"{PREFIX}contaminated"
"""The column that marks records."""


def hits_path(file: Path) -> Path:
    """Return the path of the list of what was found in a file."""
    return file.with_name(f"{file.name}.contaminated.jsonl")


class Screen:
    """Looks for benchmarks in the records of a file; what it finds goes to a list on disk."""

    def __init__(self, benchmarks: Benchmarks, *, marks: bool) -> None:
        self.benchmarks = benchmarks
        self.marks = marks
        """Whether records are marked in a column, and not left out."""
        self.found = 0
        """The records in which something was found."""
        self._list = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - kept as long as this

    def screened(self, sample_id: str, record: dict[str, Any], texts: Iterable[str]) -> dict[str, Any] | None:
        """Return a record with these texts as it is to be written; None if it is left out."""
        hits = self.benchmarks.hits(texts)
        self.found += bool(hits)
        for hit in hits:
            line = {
                "id": sample_id,
                "benchmark": hit.benchmark,
                "line": hit.line,
                "entry": hit.entry,
                "shared": hit.run,
            }
            text = json.dumps(line, ensure_ascii=False)
            self._list.write(text.encode(errors="backslashreplace").decode() + "\n")
        if self.marks:
            return {**record, COLUMN: bool(hits)}
        return None if hits else record

    def close(self) -> None:
        """Delete the list."""
        self._list.close()

    def write_list(self, file: Path) -> str:
        """Write what was found in a file next to it, and close; return a line that says so."""
        path = hits_path(file)
        self._list.seek(0)
        with self._list, whole_file(path) as written:
            for line in self._list:
                written.write(line.encode())
        return f"{path}: what {plural(self.found, 'record')} shared with benchmarks"

    def describe(self) -> str:
        """Describe what was found."""
        done = "marked" if self.marks else "left out"
        return f"{plural(self.found, 'record')} {done} for runs of words shared with benchmarks"

    def facts(self) -> Mapping[str, str]:
        """Return what was compared and found, for a card."""
        found = self.benchmarks
        return {
            "benchmarks": ", ".join(found.files),
            "entries": f"{found.entries:,}",
            "a run": f"{WORDS} words; {HAN} characters of Chinese or Japanese, {UNSPACED} of Thai, Lao, "
            "Khmer or Burmese; case, punctuation, and width do not matter",
            "runs not counted, since they are in many entries": f"{found.common:,}",
            "entries of which nothing can be found (too short, or such runs only)": f"{found.without_runs:,}",
            "records " + ("marked" if self.marks else "left out"): f"{self.found:,}",
        }
