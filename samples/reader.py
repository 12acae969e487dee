"""Open a data set, check all of it, and stream its samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samples.bounds import MAX_RECORD_MB, MB, TOO_DEEP, TWICE
from samples.common_types import CommonTypes
from samples.detection import NO_FORMAT, find_format, question_about, records_inside
from samples.fields import brief, field_names, plural, why_unreadable
from samples.findings import Findings, kind_of
from samples.formats import READ_FORMATS, check_record, make_sample, unreadable_sample
from samples.ids import own_id
from samples.layouts import NAMED, columns_layout, describe, id_field
from samples.preferences import Side
from samples.references import refuse_part
from samples.sample import DataError, Sample
from samples.sources import Shard, Source, find_source, stamp_of
from samples.thoughts import Thoughts

if TYPE_CHECKING:
    from samples.csv_files import Dialect

SKIP_BAD = "--skip-bad passes over such records"

_LOOKED_AT = 1000
"""Records among which the first one with a known format is looked for if bad ones are passed over."""

_ASKED_ABOUT = 100
"""Records behind the first one of which a user may have to choose something."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a full pass over a data set."""

    count: int  # number of records
    sha256: str  # of the file, or of all files one after the other
    thinking: int = 0  # number of responses with thoughts


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
    named: Sequence[str] = ()
    """The fields that a user named, of which each must be in a record."""
    ids: Sequence[str] = ()
    """The ids of its samples, where these are not those in the records: a part of another data set."""
    _found: Findings | None = field(default=None, repr=False, compare=False)
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
        if not format:
            return
        # What is detected may be more than it was then.
        may_be = self.is_detected and (format in READ_FORMATS or format.startswith(NAMED))
        if may_be or format in (self.format, self.format_before):
            self.format, self.question, self.named = format, "", ()

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
            if self._found.unseen:
                raise DataError(
                    f'no record has the field "{brief(self._found.unseen[0])}" (--columns); the first has '
                    f"{field_names(next(self._records()))}"
                )
            return Checked(self._found.count, sha256.result(), self._found.thinking)

    def notices(self) -> list[str]:
        """Return what a user should know about the records that were checked."""
        found = self._found
        if found is None:
            return []
        lines = [*found.notices(self.thoughts, self.reference)]
        number, first = found.ids.repeated()
        if number:
            name = self._id(first, next(islice(self._records(), first, None)))
            lines.append(f"ids that repeat: {number:,}; the position is appended, as in {name[:60]!a}")
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
            _, reason = own_id(record, self._id_field)
            try:
                sample = make_sample(position, sample_id, record, self.format, self.thoughts, self.reference)
            except DataError as error:
                reason = why_unreadable(record) or str(error)
            if reason is None:
                yield sample
            elif self.skip_bad or TOO_DEEP in reason or TWICE in reason:  # runs begun without these resume
                yield unreadable_sample(position, sample_id, record, self.format, kind_of(reason))
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

    def _look(self, *, check: bool = True) -> Findings:
        """Compare the ids of all records, and `check` the records."""
        found, id_name = Findings(unseen=[*self.named]), self._id_field
        if check and any(shard.layout.startswith("JSON") for shard in self.source.shards):
            found.types = CommonTypes(id_name)
        for position, record in enumerate(self._records()):
            own, objection = own_id(record, id_name)
            found.ids.add(position, own)
            if check:
                objection = self._look_at(position, record, found) or objection
            if objection is not None:
                found.object_to(position, objection)
            found.count += 1
        found.ids.compare()
        return found

    def _look_at(self, position: int, record: dict[str, Any], found: Findings) -> str | None:
        """Note what is found in a record. Return why it cannot be read; None if it can."""
        try:
            found.thinking += check_record(record, self.format)
        except DataError as error:
            return why_unreadable(record) or str(error)
        if found.unseen:
            found.unseen = [name for name in found.unseen if name not in record]
        if found.types is not None:
            found.types.look(position, record)
        if not found.is_worked_on:
            found.look_for_work(record, self.format, self.thoughts)
        if self.reference:
            found.look_for_reference(record, self.format, self.reference)
        return None

    def _id(self, position: int, record: dict[str, Any]) -> str:
        if self.ids:
            return self.ids[position]
        if self._found is None:
            self._found = self._look(check=False)
        return self._found.ids.id_of(position, own_id(record, self._id_field)[0])

    def _first_error(self, found: Findings) -> DataError:
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
    behind: list[dict[str, Any]] = []
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
                source,
                found.format,
                skip_bad,
                is_detected,
                question,
                found.before,
                reference=reference,
                named=[*(columns or {}).values()],
            )
        unreadable = why_unreadable(record)
        count += unreadable is not None
        reason = reason or f"{source.locate(position)}: {unreadable or found.why}"
        if not skip_bad and unreadable is None and not (improve and position < _ASKED_ABOUT):
            with suppress(DataError):  # the first one matters more
                behind.extend(islice(beginning, _ASKED_ABOUT))
            formats = (find_format(other, format, improve, reference).format for other in behind)
            if known := next(filter(None, formats), None):
                raise DataError(f"{reason}; {describe(known)} follow: {SKIP_BAD}")
            break  # others may tell the format where this one is broken; `check` objects to it
    if first is None:
        raise DataError(f"{path} contains no records")
    is_last = not behind and next(beginning, None) is None
    if source.layout.startswith("JSON") and NO_FORMAT in reason and is_last:
        reason += records_inside(first)
    if count > 1:
        reason += f"; of the first {plural(position + 1, 'record')}, {count:,} cannot be read"
    raise DataError(reason)
