"""Records in Parquet files, read and written in batches of rows.

Parquet has one type a column, so a record comes with every field of the file, null where it has
none.
"""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from samples.sample import DataError

# Small enough that a batch of long conversations fits into memory, large enough for good
# compression.
_BATCH_ROWS = 1000


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a Parquet file, each with the number of its row, from 1.

    Raises DataError where the file is broken or holds text that is not UTF-8.
    """
    row_number = 0
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if len(set(columns)) < len(columns):
                raise DataError(f"{path}: expected columns of different names, found {columns}")
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for record in _records(path, batch, row_number):
                    row_number += 1
                    yield row_number, record
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        where = f"after row {row_number}" if row_number else "at the beginning"
        raise DataError(f"{path}: not a sound Parquet file, {where}: {error}") from error


def write_rows(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as Parquet, with columns for every field that any of them has.

    A column's type is only known after the last record, so until then the records are kept in a
    temporary file, each batch with the types that it has by itself. Raises DataError where a
    field's values have no common type.
    """
    try:
        _write_in_two_passes(file, records)
    except pa.ArrowException as error:
        raise DataError(f"Parquet cannot hold it ({error}); JSON lines (.jsonl) can") from error


def _write_in_two_passes(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    with tempfile.TemporaryFile() as kept:
        schema = pa.schema([])
        remaining = iter(records)
        batches = 0
        while batch := list(islice(remaining, _BATCH_ROWS)):
            table = _table(batch)
            schema = _widened(schema, table.schema)
            with pa.ipc.new_stream(kept, table.schema) as stream:
                stream.write_table(table)
            batches += 1
        kept.seek(0)
        with _writer(file, schema) as writer:
            for _ in range(batches):
                with pa.ipc.open_stream(kept) as stream:
                    writer.write_table(_with_types(stream.read_all(), schema))


def _records(path: Path, batch: Any, rows_before: int) -> list[dict[str, Any]]:
    try:
        records: list[dict[str, Any]] = batch.to_pylist()
    except ValueError as error:
        for index in range(batch.num_rows):
            try:
                batch.slice(index, 1).to_pylist()
            except UnicodeDecodeError as culprit:
                row = f"row {rows_before + index + 1}"
                raise DataError(f"{path}, {row}: expected UTF-8, found {culprit}") from error
            except ValueError as culprit:
                raise DataError(f"{path}, row {rows_before + index + 1}: {culprit}") from error
        raise
    return records


def _table(batch: list[dict[str, Any]]) -> Any:
    """The batch as a table whose columns have the types of their values."""
    fields = dict.fromkeys(name for record in batch for name in record)
    return pa.table({name: _column(name, [record.get(name) for record in batch]) for name in fields})


def _column(name: str, values: list[Any], type: Any = None) -> Any:
    try:
        return pa.array(values, type=type)
    except UnicodeEncodeError as error:
        raise DataError(
            f'the field "{name}" holds text with half a surrogate pair, which Parquet cannot hold; '
            "JSON lines (.jsonl) can"
        ) from error
    except (pa.ArrowException, OverflowError, RecursionError) as error:
        raise DataError(_no_common_type(name, error)) from error


def _widened(schema: Any, other: Any) -> Any:
    """The schema with room for what the other one holds."""
    for field in other:
        try:
            schema = pa.unify_schemas([schema, pa.schema([field])], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(_no_common_type(field.name, error)) from error
    return schema


def _with_types(table: Any, schema: Any) -> Any:
    """The table with the columns and types of the schema, null where it has no such column."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif table.schema.field(field.name).type == field.type:
            columns.append(table[field.name])
        else:
            values = table[field.name].to_pylist()
            columns.append(_column(field.name, values, field.type))
    return pa.table(columns, schema=schema)


def _writer(file: BinaryIO, schema: Any) -> Any:
    for field in schema:
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException as error:
            raise DataError(
                f'the field "{field.name}" cannot be written as Parquet ({error}); '
                "JSON lines (.jsonl) can hold it"
            ) from error
    return pq.ParquetWriter(file, schema, compression="zstd")


def _no_common_type(name: str, error: Exception) -> str:
    return (
        f'the field "{name}" has values of different types, which Parquet cannot hold ({error}); '
        "JSON lines (.jsonl) can"
    )
