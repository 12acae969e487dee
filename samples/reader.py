"""Open a data set, check all of it, and stream its samples."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samples.bounds import MAX_RECORD_MB, MB, TOO_DEEP, TWICE
from samples.common_types import EVERY, LOOKED_AT, CommonTypes
from samples.detection import NO_FORMAT, find_format, question_about, records_inside
from samples.fields import brief, field_names, is_missing, json_type, plural, why_unreadable
from samples.formats import READ_FORMATS, check_record, make_sample, parse_record, unreadable_sample
from samples.layouts import (
    columns_layout,
    describe,
    id_field,
)
from samples.preferences import (
    Side,
)
from samples.references import fields_of_turn, has_reference, refuse_part, with_references
from samples.sample import DataError, Sample
from samples.sources import Shard, Source, find_source, stamp_of
from samples.thoughts import WHAT_BECOMES, Thoughts

if TYPE_CHECKING:
    from samples.csv_files import Dialect

SKIP_BAD = "--skip-bad passes over such records"

_LOOKED_AT = 1000
"""Records among which the first one with a known format is looked for if bad ones are passed over."""

_ASKED_ABOUT = 100
"""Records behind the first one of which a user may have to choose something."""

_REASONS, _EXAMPLES = 5, 3
"""How many reasons, and records of each, are shown of records that cannot be read."""

_MOST_FIELDS = 8
"""Fields that are named in a line."""

_MOST_REASONS = 1000
"""Different reasons that are counted apart."""

_DETAIL = re.compile(
    r" near '.*'(?=; )| near \".*\"(?=; )|, found byte 0x\w\w at file offset \d+|^turn \d+: "
)

_LONGEST_ID = 1000
"""Characters. Every call is recorded under its sample's id."""

_NUMBERED = re.compile(r"#\d+#*$")


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a full pass over a data set."""

    count: int  # number of records
    sha256: str  # of the file, or of all files one after the other
    thinking: int = 0  # number of responses with thoughts


@dataclass(slots=True)
class _Found:
    """What a pass over the records found."""

    count: int = 0
    thinking: int = 0
    """How many responses have thoughts."""
    first_bad: tuple[int, str] | None = None
    """The position of the first record that cannot be read, and the reason."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """How many records cannot be read, by the reason."""
    _has_reference: bool = False
    examples: dict[str, list[int]] = field(default_factory=dict)
    """The positions of the first ones of each reason."""
    repeats: bytearray = field(default_factory=bytearray)
    """For each position 1 if an earlier record has the same id; empty if none has."""
    without_reference: int = 0
    """How many records that are worked on have no reference."""
    no_reference: str = ""
    """What the first of them has; and nothing once one with a reference was found."""
    types: CommonTypes | None = None
    """The types of the fields; None if the files have types of their own."""
    numbered: frozenset[int] = frozenset()
    """The hashes of ids that look as if a position had been appended."""
    is_worked_on: bool = False
    """Whether there is a record to work on."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many records before it are not worked on, by the reason."""

    def look_for_work(self, record: dict[str, Any], format: str, thoughts: Thoughts) -> None:
        """Count a record that is not worked on, until one is."""
        skip = parse_record(record, format, thoughts).skip
        self.is_worked_on = skip is None
        if skip is not None and (skip in self.skipped or len(self.skipped) < _MOST_REASONS):
            self.skipped[skip] += 1

    def look_for_reference(self, record: dict[str, Any], format: str, field: str) -> None:
        """Count a record that is worked on and has no reference."""
        parsed = parse_record(record, format)
        if parsed.skip:
            return
        if has_reference(with_references(parsed, record, field)):
            self.no_reference, self._has_reference = "", True
            return
        self.without_reference += 1
        if not self._has_reference and not self.no_reference:
            turns = {name: None for place in parsed.responses for name in fields_of_turn(record, place)}
            of_turns = f", and its responses have {field_names(turns)}" if turns else ""
            self.no_reference = f"{field_names(record)}{of_turns}"

    def object_to(self, position: int, reason: str) -> None:
        """Count a record that cannot be read."""
        self.first_bad = self.first_bad or (position, reason)
        reason = _kind(reason)
        if reason not in self.unreadable and len(self.unreadable) == _MOST_REASONS:
            reason = "other reasons"
        self.unreadable[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(position)


@dataclass(slots=True)
class DataSet:
    """Records of one format, as opened by `open_data`. Call `check` before any work is done."""

    source: Source
    format: str
    skip_bad: bool = False
    """Whether records that cannot be read are samples to skip; they are errors otherwise."""
    is_detected: bool = False
    """Whether the format was detected and not given."""
    question: str = ""
    """What a user has to choose before records of this format are worked on."""
    format_before: str | None = None
    """The format that earlier versions read such records with."""
    thoughts: Thoughts = "keep"
    """How responses are read that have thoughts, see `samples.thoughts`."""
    reference: str | None = None
    """The field of answers known to be right, of the record or of a response's turn."""
    ids: Sequence[str] = ()
    """The ids of its samples, where these are not those in the records: a part of another data set."""
    _found: _Found | None = field(default=None, repr=False, compare=False)
    _reading: Shard | None = field(default=None, repr=False, compare=False)

    def describe(self) -> str:
        """Describe the data set for display, such as "alpaca records in a JSON array"."""
        return f"{describe(self.format)} in {self.source.describe()}"

    @property
    def path(self) -> str:
        """The file, folder, or other place as the user gave it."""
        return self.source.name

    @property
    def layout(self) -> str:
        """The layout of the file or files."""
        return self.source.layout

    def types(self) -> str | None:
        """Return the types of columns, for exports; None if the files have none of their own."""
        layouts = {shard.layout for shard in self.source.shards}
        if not layouts <= {"Parquet", "Arrow"}:
            return None
        from samples.parquet_types import recorded_schema  # pyarrow is slow to load

        return recorded_schema((shard.path, shard.layout == "Arrow") for shard in self.source.shards)

    def dialect(self) -> "Dialect | None":
        """Return how CSV is written, for exports; None if the data is anything else."""
        shard = self.source.shards[0]
        if shard.layout != "CSV":
            return None
        from samples.csv_files import dialect_of

        return dialect_of(shard.path, ",")

    def resume(self, format: str | None) -> None:
        """Take the format that a run in progress has for these records; None if there is no such run."""
        if format and (format == self.format_before or (self.is_detected and format in READ_FORMATS)):
            self.format, self.question = format, ""  # what is detected may be more than it was then

    def check(self, known: Checked | None = None) -> Checked:
        """Read the data once: check every record, compare ids, and hash the file.

        If the hash equals that of a `known` valid file, the records are not checked again. Takes 8 bytes of
        memory per record. Raises DataError for the first error found; it says how many more there are.
        Raises it, too, if the user has a question to answer first.
        """
        if self.question:
            raise DataError(self.question)
        # Hashing releases the GIL, so it runs in parallel with the checks.
        with ThreadPoolExecutor(max_workers=1) as executor:
            sha256 = executor.submit(self.source.sha256)
            if known and sha256.result() == known.sha256:
                return known
            self._found = self._look()
            if self._found.unreadable and not self.skip_bad:
                raise self._first_error(self._found)
            if self._found.no_reference:
                raise DataError(
                    f'no record has a reference in "{self.reference}" (--reference); the first has '
                    f"{self._found.no_reference}"
                )
            return Checked(self._found.count, sha256.result(), self._found.thinking)

    def notices(self) -> list[str]:
        """Return what a user should know about the records that were checked."""
        found = self._found
        if found is None:
            return []
        lines = []
        if found.thinking:
            responses = plural(found.thinking, "response")
            lines.append(f"{responses} with thoughts: {WHAT_BECOMES[self.thoughts]}")
        if found.skipped and not found.is_worked_on:
            reasons = (f"{reason} ({count:,})" for reason, count in found.skipped.most_common(_REASONS))
            lines.append(f"no record can be worked on; all stay as they are: {', '.join(reasons)}")
        if number := found.unreadable.total():
            lines.append(
                f"{number:,} of {plural(found.count, 'record')} cannot be read and stay as they are:"
            )
            for reason, count in found.unreadable.most_common(_REASONS):
                examples = ", ".join(f"{position + 1:,}" for position in found.examples[reason])
                lines.append(f"  {count:,}: {reason} (record {examples}{', …' * (count > _EXAMPLES)})")
            if len(found.unreadable) > _REASONS:
                lines.append(f"  and others, for {plural(len(found.unreadable) - _REASONS, 'other reason')}")
        if found.types and (mixed := found.types.found()):
            shown = ", ".join(f"{brief(name)} ({what})" for name, what in list(mixed.items())[:_MOST_FIELDS])
            lines.append(
                "text in Parquet, and so on the Hub, since their values have no type in common: "
                f"{shown}{', …' * (len(mixed) > _MOST_FIELDS)}"
            )
        if found.without_reference:
            lines.append(
                f'records without a reference in "{self.reference}": {found.without_reference:,} of '
                f"{found.count:,}; they are worked on without one"
            )
        if repeated := sum(found.repeats):
            first = found.repeats.index(1)
            name = self._id(first, next(islice(self._records(), first, None)))
            lines.append(f"ids that repeat: {repeated:,}; the position is appended, as in {name[:60]!a}")
        return lines

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
            sample_id = self._id(position, record)
            _, reason = _own_id(record, self._id_field)
            try:
                sample = make_sample(position, sample_id, record, self.format, self.thoughts, self.reference)
            except DataError as error:
                reason = why_unreadable(record) or str(error)
            if reason is None:
                yield sample
            elif self.skip_bad or TOO_DEEP in reason or TWICE in reason:  # runs begun without these resume
                yield unreadable_sample(position, sample_id, record, self.format, _kind(reason))
            else:
                raise self._error(position, f"{reason}; {SKIP_BAD}")
        self._refuse_modified(self.source.shards)  # one may have been truncated

    def _records(self) -> Iterator[dict[str, Any]]:
        for shard in self.source.shards:
            self._reading = shard
            yield from self.source.records(shard, keep_bad=True)

    @property
    def _id_field(self) -> str:
        return id_field(self.format)

    def _look(self, *, check: bool = True) -> _Found:
        """Compare the ids of all records, and `check` the records."""
        found, name = _Found(), self._id_field
        if check and any(shard.layout.startswith("JSON") for shard in self.source.shards):
            found.types = CommonTypes(name)
        types, id_types = found.types, found.types.id_types if found.types else set()
        # Hashes take 8 bytes each; a million ids would take 100 MB. None are needed until a record has an id
        # of its own, since positions are unique.
        hashes = array("q")
        numbered: set[int] = set()
        for position, record in enumerate(self._records()):
            own, objection = _own_id(record, name)
            try:
                if check:
                    found.thinking += check_record(record, self.format)
            except DataError as error:
                objection = why_unreadable(record) or str(error)
            else:
                if types is not None:
                    id_types.add(type(record.get(name)))
                    if position < LOOKED_AT or not position % EVERY:
                        types.look(record)
                if check and not found.is_worked_on:
                    found.look_for_work(record, self.format, self.thoughts)
                if check and self.reference:
                    found.look_for_reference(record, self.format, self.reference)
            if objection is not None:
                found.object_to(position, objection)
            if own is not None:
                hashes = hashes or array("q", (hash(str(earlier)) for earlier in range(position)))
                hashes.append(hash(own))
                if own[-1:] in "0123456789#" and _NUMBERED.search(own):
                    numbered.add(hashes[-1])
            elif hashes:
                hashes.append(hash(str(position)))
            found.count += 1
        found.repeats, found.numbered = _repeats(hashes), frozenset(numbered)
        return found

    def _id(self, position: int, record: dict[str, Any]) -> str:
        if self.ids:
            return self.ids[position]
        if self._found is None:
            self._found = self._look(check=False)
        own, _ = _own_id(record, self._id_field)
        sample_id = str(position) if own is None else own
        if self._found.repeats and self._found.repeats[position]:
            sample_id += f"#{position}"
            while hash(sample_id) in self._found.numbered:
                sample_id += "#"
        return sample_id

    def _first_error(self, found: _Found) -> DataError:
        first, reason = found.first_bad or (0, "")
        others = found.unreadable.total() - 1
        more = f"{plural(others, 'more record')} cannot be read; " if others else ""
        return self._error(first, f"{reason}; {more}{SKIP_BAD}")

    def _error(self, position: int, message: object) -> DataError:
        return DataError(f"{self.source.locate(position)}: {message}")

    def _refuse_modified(self, shards: Sequence[Shard] = ()) -> None:
        for shard in shards or filter(None, [self._reading]):
            if stamp_of(shard.path) not in (shard.stamp, None):
                raise DataError(f"{shard.path} was modified during the run")


def open_data(
    path: str | Path,
    format: str = "auto",
    *,
    columns: Mapping[str, str] | None = None,
    improve: Side | None = None,
    skip_bad: bool = False,
    reference: str | None = None,
    max_record_size: int = MAX_RECORD_MB,
) -> DataSet:
    """Open a data set. With "auto", its format is detected from the first record.

    Args:
        path: where it lies, see `samples.sources.find_source`.
        format: one of `READ_FORMATS`, or auto.
        columns: the fields of another format: request, response, and others of `samples.layouts.Columns`.
        improve: which response of preference records, or which ones by their label, to work on.
        skip_bad: see `DataSet.skip_bad`.
        reference: see `DataSet.reference`.
        max_record_size: in MB; a larger record is an error even where bad ones are passed over.

    Reads only the beginning of the data. Raises DataError if that is not a data set.
    """
    source = replace(find_source(path), max_bytes=max_record_size * MB)
    beginning = chain.from_iterable(source.records(shard, keep_bad=True) for shard in source.shards)
    first: dict[str, Any] | None = None
    if columns:
        format = columns_layout(columns)
    reason, count, position = "", 0, 0
    for position, record in enumerate(islice(beginning, _LOOKED_AT)):
        first = record
        found = find_format(record, format, improve, reference)
        if found.format is not None:
            if reference:
                refuse_part(reference, found.format, record)
            is_detected = format == "auto" and improve is None
            why, asked_at = found.why, position
            if is_detected and not why:  # the first ones may have no label, or only one response
                others = enumerate(islice(beginning, _ASKED_ABOUT), position + 1)
                asked = ((number, question_about(other, found.format, reference)) for number, other in others)
                asked_at, why = next((each for each in asked if each[1]), (position, ""))
            question = f"{source.locate(asked_at)}: {why}" if why else ""
            return DataSet(
                source, found.format, skip_bad, is_detected, question, found.before, reference=reference
            )
        unreadable = why_unreadable(record)
        count += unreadable is not None
        reason = reason or f"{source.locate(position)}: {unreadable or found.why}"
        if not skip_bad and unreadable is None and not (improve and position < _ASKED_ABOUT):
            break  # others may tell the format where this one is broken; `check` objects to it
    if first is None:
        raise DataError(f"{path} contains no records")
    if source.layout.startswith("JSON") and NO_FORMAT in reason and next(beginning, None) is None:
        reason += records_inside(first)
    if count > 1:
        reason += f"; of the first {plural(position + 1, 'record')}, {count:,} cannot be read"
    raise DataError(reason)


def _kind(reason: str) -> str:
    """Return a reason without what differs from record to record, for counting."""
    return _DETAIL.sub("", reason)


def _own_id(record: dict[str, Any], name: str) -> tuple[str | None, str | None]:
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


def _repeats(hashes: "array[int]") -> bytearray:
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
