"""Read and write records in Parquet files, and read those in Arrow files, in batches of rows.

A Parquet column has one type, so every record read has all fields of the file, null where it has no value.
"""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from samples.bounds import MAX_DEPTH, MAX_RECORD_BYTES, TOO_DEEP, too_large, unfolds_too_far
from samples.json_values import to_json
from samples.parquet_footer import chunk_sizes
from samples.parquet_types import arranged, as_numbers, read_schema, typed, with_metadata
from samples.sample import DataError

# Small enough that a batch of long conversations fits into memory, large enough for good compression.
_BATCH_ROWS = 1000

_FEW_BYTES = 16_384
"""A column chunk that holds no more cannot make a batch too large, whatever its dictionary unfolds to."""

_MANY_BYTES = 4_000_000
"""A column chunk that holds more is mostly texts that are not in its dictionary: writers end it at 1 MB."""

_MOST_UNFOLDED = 64_000_000
"""Bytes that dictionaries may add to a batch."""

USE_JSON_LINES = "write JSON lines (.jsonl) instead"
"""What a user can do about values that Parquet cannot store."""


def read_rows(
    path: Path, *, arrow: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record of a file with its row number, from 1. Raises DataError as `read_batches` does."""
    return enumerate(chain.from_iterable(read_batches(path, arrow=arrow, max_bytes=max_bytes)), start=1)


def read_batches(
    path: Path, *, arrow: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of a Parquet or an Arrow file in batches.

    Raises DataError if the file is broken, contains text that is not UTF-8, is nested too deeply, has a row
    larger than `max_bytes`, or unfolds too far.
    """
    row_number, unfolded, size = 0, 0, path.stat().st_size
    try:
        for whole, schema in _arrow_batches(path) if arrow else _parquet_batches(path):
            for batch, batch_bytes in _in_parts(whole, max_bytes):
                if batch_bytes > max_bytes:
                    raise DataError(f"{path}, row {row_number + 1}: {too_large(max_bytes)}")
                unfolded += batch_bytes
                if why := unfolds_too_far(size, unfolded):
                    raise DataError(f"{path}, row {row_number + 1}: {why}")
                yield _records(path, batch if batch.schema == schema else batch.cast(schema), row_number)
                row_number += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        where = f"after row {row_number}" if row_number else "at the beginning"
        kind = "Arrow" if arrow else "Parquet"
        raise DataError(f"{path}: broken {kind} file ({where}): {_one_line(error)}") from error


def split_file(path: Path, most_bytes: int) -> list[Path]:
    """Replace a Parquet file NAME.parquet by shards of about so many bytes, and return them in order.

    They are named as the Hub has it: NAME-00000-of-00002.parquet.
    """
    with pq.ParquetFile(path) as file:
        shards: list[list[int]] = []
        room = 0
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            size = sum(group.column(index).total_compressed_size for index in range(group.num_columns))
            if not shards or size > room:
                shards.append([])
                room = most_bytes
            shards[-1].append(number)
            room -= size
        names = [
            path.with_name(f"{path.stem}-{number:05}-of-{len(shards):05}.parquet")
            for number in range(len(shards))
        ]
        if len(shards) > 1:
            for name, groups in zip(names, shards, strict=True):
                with pq.ParquetWriter(name, file.schema_arrow, compression="zstd") as writer:
                    for number in groups:
                        writer.write_table(file.read_row_group(number))
    if len(shards) > 1:
        path.unlink()
    else:
        path.rename(names[0])
    return names


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _parquet_batches(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield batches with the schema to convert them to."""
    with pq.ParquetFile(path) as file:
        columns, schema = file.schema_arrow.names, file.schema_arrow
        if len(set(columns)) < len(columns):
            raise DataError(f"{path}: expected unique column names, found {columns}")
        _refuse_deep(path, schema)
        chunks = chunk_sizes(path)
        if why := unfolds_too_far(path.stat().st_size, sum(map(sum, chunks))):
            raise DataError(f"{path}: {why}")
        largest = [max(of_column) for of_column in zip(*chunks, strict=True)]
        # One text, stored once, may be that of every row: texts stay in their dictionaries until it is known
        # how much they unfold to.
        sizes = {
            leaf.path: size
            for leaf, size in zip(map(file.schema.column, range(len(largest))), largest, strict=True)
            if leaf.physical_type == "BYTE_ARRAY" and size > _FEW_BYTES
        }
    plain = _without_dictionary(path, schema, sizes)
    texts = [name for name in sizes if name not in plain]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        # With threads it takes twice the CPU, and reading is the smaller part of what a record takes.
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            yield batch, schema


def _without_dictionary(path: Path, schema: Any, sizes: dict[str, int]) -> list[str]:
    """Return the columns of texts that can be read as they are, which takes a fifth of the time: no text in
    their dictionaries is so long that a batch of it would be too large.

    `sizes` are those of the largest chunks. The first row of a chunk comes with its whole dictionary.
    """
    plain: list[str] = []
    room = _MOST_UNFOLDED // _BATCH_ROWS
    flat = {field.name for field in schema if pa.types.is_string(field.type) and "." not in field.name}
    with pq.ParquetFile(path, read_dictionary=[*sizes]) as file:
        for name in (name for name, size in sizes.items() if size > _MANY_BYTES and name in flat):
            longest = 0
            for group in range(file.num_row_groups):
                try:
                    rows = file.iter_batches(1, row_groups=[group], columns=[name], use_threads=False)
                    lengths = [pc.binary_length(batch.column(0).dictionary) for batch in islice(rows, 1)]
                except (pa.ArrowException, OSError, ValueError):  # which is reported where it is read
                    return plain
                longest = max([longest, *(pc.max(each).as_py() or 0 for each in lengths)])
            if longest <= room:
                room -= longest
                plain.append(name)
    return plain


def _refuse_deep(path: Path, schema: Any) -> None:
    """Raise DataError for a column nested too deeply."""
    for field in schema:
        level = [field.type]
        for _ in range(MAX_DEPTH):
            level = [inner for each in level for inner in _inner_types(each)]
        if level:
            raise DataError(f'{path}: the column "{field.name[:60]}" is {TOO_DEEP}')


def _inner_types(type: Any) -> list[Any]:
    if pa.types.is_dictionary(type):
        return _inner_types(type.value_type)
    return [type.field(number).type for number in range(type.num_fields)]


def _in_parts(batch: Any, most: int) -> Iterator[tuple[Any, int]]:
    """Yield parts of a batch that hold no more than so many bytes, or one row; and how much each holds."""
    held = sum(map(_held, batch.columns))
    if held <= most or batch.num_rows < 2:
        yield batch, held
        return
    half = batch.num_rows // 2
    yield from _in_parts(batch.slice(0, half), most)
    yield from _in_parts(batch.slice(half), most)


def _held(array: Any) -> int:
    """Return how many bytes the values of an array take, each counted where it occurs."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _held(array.storage)
    if pa.types.is_dictionary(kind):
        values = array.dictionary
        try:
            lengths = pc.binary_length(values)
        except pa.ArrowNotImplementedError:
            return int(len(array) * max(1, values.nbytes // max(1, len(values))))
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0) + len(array)
    if pa.types.is_struct(kind):
        return len(array) + sum(map(_held, array.flatten()))
    if isinstance(array, pa.MapArray):
        entries = array.offsets[0].as_py(), array.offsets[len(array)].as_py()
        return sum(
            _held(each.slice(entries[0], entries[1] - entries[0])) for each in (array.keys, array.items)
        )
    if hasattr(array, "flatten") and pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return len(array) + _held(array.flatten())
    return max(int(array.nbytes), len(array))


def _arrow_batches(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield batches with their schema."""
    with pa.memory_map(str(path)) as file:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            file.seek(0)
            batches = iter(pa.ipc.open_stream(file))
        for batch in batches:
            _refuse_deep(path, batch.schema)
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.slice(start, _BATCH_ROWS), batch.schema


def write_rows(file: BinaryIO, records: Iterable[dict[str, Any]], types: str | None = None) -> list[str]:
    """Write records as Parquet, with a column for every field of any record.

    Columns have the types that they had where these were recorded (`types`, of `samples.parquet_types`). A
    field whose values have no type in common, or none that Parquet has, is a column of texts: texts as they
    are, other values as JSON. Returns the names of such fields.

    A column's type is only known after the last record, so batches are first written to a temporary file,
    each with its own types. Raises DataError if a text cannot be written.
    """
    try:
        return _write_in_two_passes(file, records, read_schema(types) if types else None)
    except pa.ArrowException as error:
        raise DataError(f"Parquet cannot store the data ({_one_line(error)}); {USE_JSON_LINES}") from error


class _NoType(Exception):
    """A field has values that do not fit one type."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _write_in_two_passes(file: BinaryIO, records: Iterable[dict[str, Any]], types: Any) -> list[str]:
    as_text: dict[str, None] = {}
    with tempfile.TemporaryFile() as spool:
        schema = pa.schema([])
        remaining = iter(records)
        batches = 0
        while batch := list(islice(remaining, _BATCH_ROWS)):
            table = _infer_table(batch, types, as_text)
            schema = _widen(schema, table.schema, as_text)
            with pa.ipc.new_stream(spool, table.schema) as stream:
                stream.write_table(table)
            batches += 1
        while True:
            fields = [field.with_type(pa.string()) if field.name in as_text else field for field in schema]
            final = pa.schema(fields)
            if types is not None:
                final = with_metadata(arranged(final, types), types)
            spool.seek(0)
            try:
                with _writer(file, final) as writer:
                    for _ in range(batches):
                        with pa.ipc.open_stream(spool) as stream:
                            writer.write_table(_cast(stream.read_all(), final, as_text))
                return list(as_text)
            except _NoType as error:
                as_text[error.name] = None
                file.seek(0)
                file.truncate()


def _records(path: Path, batch: Any, rows_before: int) -> list[dict[str, Any]]:
    """Return the rows of a batch. Times that Python does not have are the numbers that the file has."""
    try:
        records: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError):
        return [
            {
                name: _value(path, rows_before + index + 1, name, column[index : index + 1])
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            for index in range(batch.num_rows)
        ]
    return records


def _value(path: Path, row: int, name: str, cell: Any) -> Any:
    """Return the only value of an array."""
    try:
        return cell.to_pylist()[0]
    except UnicodeDecodeError as error:
        raise DataError(
            f'{path}, row {row}, column "{name[:60]}": expected UTF-8, found {_one_line(error)}'
        ) from error
    except (ValueError, OverflowError) as error:
        try:
            return as_numbers(cell).to_pylist()[0]
        except (pa.ArrowException, ValueError, OverflowError):
            raise DataError(f'{path}, row {row}, column "{name[:60]}": {_one_line(error)}') from error


def _infer_table(batch: list[dict[str, Any]], types: Any, as_text: dict[str, None]) -> Any:
    """Convert the batch to a table, with column types of the schema `types` or inferred from the values.

    Fields without a type are added to `as_text`.
    """
    columns = {}
    for name in dict.fromkeys(name for record in batch for name in record):
        values = [record.get(name) for record in batch]
        column = None if types is None or name in as_text else typed(name, values, types)
        if column is None and name not in as_text:
            try:
                column = _column(name, values)
            except _NoType:
                as_text[name] = None
        columns[name] = _texts(name, values) if column is None else column
    return pa.table(columns)


def _column(name: str, values: list[Any], type: Any = None) -> Any:
    try:
        return pa.array(values, type=type)
    except UnicodeEncodeError as error:
        raise DataError(
            f'the field "{name}" has an unpaired surrogate, which Parquet cannot store; {USE_JSON_LINES}'
        ) from error
    except (pa.ArrowException, OverflowError, RecursionError) as error:
        if isinstance(error, OverflowError) and type is None and _are_unsigned(values):
            return pa.array(values, pa.uint64())
        raise _NoType(name) from error


def _texts(name: str, values: list[Any]) -> Any:
    """Return values as a column of texts: texts as they are, other values as JSON."""
    texts = (value if value is None or isinstance(value, str) else to_json(value) for value in values)
    return _column(name, list(texts), pa.string())


def _are_unsigned(values: list[Any]) -> bool:
    return all(value is None or (type(value) is int and 0 <= value < 2**64) for value in values)


def _widen(schema: Any, other: Any, as_text: dict[str, None]) -> Any:
    """Extend the schema so that it can hold the data of the other one too, but for fields `as_text`."""
    for field in other:
        try:
            schema = pa.unify_schemas([schema, pa.schema([field])], promote_options="permissive")
        except pa.ArrowException:
            as_text[field.name] = None
    return schema


def _cast(table: Any, schema: Any, as_text: dict[str, None]) -> Any:
    """Convert the table to the columns and types of the schema, with nulls for missing columns."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif table.schema.field(field.name).type == field.type:
            columns.append(table[field.name])
        elif field.name in as_text:
            columns.append(_texts(field.name, table[field.name].to_pylist()))
        else:
            columns.append(_column(field.name, table[field.name].to_pylist(), field.type))
    return pa.table(columns, schema=schema)


def _writer(file: BinaryIO, schema: Any) -> Any:
    for field in schema:
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException:
            raise _NoType(field.name) from None
    return pq.ParquetWriter(file, schema, compression="zstd")
