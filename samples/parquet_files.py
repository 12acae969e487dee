"""Records in Parquet files, read and written in batches of rows.

Parquet has one type a column, so a record comes with every field of the file, null where it has
none.
"""

import pickle
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
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for record in _records(path, batch, row_number):
                    row_number += 1
                    yield row_number, record
    except (pa.ArrowException, OSError) as error:
        where = f"after row {row_number}" if row_number else "at the beginning"
        raise DataError(f"{path}: not a sound Parquet file, {where}: {error}") from error


def write_rows(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as Parquet, with columns for every field that any of them has.

    The types of all columns are only known after the last record, so the records are kept in a
    temporary file in between. Raises DataError where a field's values have no common type.
    """
    with tempfile.TemporaryFile() as spool:
        schema = pa.schema([])
        remaining = iter(records)
        while batch := list(islice(remaining, _BATCH_ROWS)):
            schema = _merged(schema, batch)
            pickle.dump(batch, spool, pickle.HIGHEST_PROTOCOL)
        end = spool.tell()
        spool.seek(0)
        with _writer(file, schema) as writer:
            while spool.tell() < end:
                # Written a few lines above, by this very function.
                writer.write_table(_table(pickle.load(spool), schema))  # noqa: S301


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


def _merged(schema: Any, batch: list[dict[str, Any]]) -> Any:
    """The schema widened to hold the batch too."""
    for name in dict.fromkeys(name for record in batch for name in record):
        values = [record.get(name) for record in batch]
        try:
            column = pa.schema([pa.field(name, pa.infer_type(values))])
            schema = pa.unify_schemas([schema, column], promote_options="permissive")
        except UnicodeEncodeError as error:
            raise DataError(_half_pair(name)) from error
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(_no_common_type(name, error)) from error
    return schema


def _table(batch: list[dict[str, Any]], schema: Any) -> Any:
    columns = []
    for field in schema:
        values = [record.get(field.name) for record in batch]
        try:
            columns.append(pa.array(values, type=field.type))
        except UnicodeEncodeError as error:
            raise DataError(_half_pair(field.name)) from error
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(_no_common_type(field.name, error)) from error
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


def _half_pair(name: str) -> str:
    return (
        f'the field "{name}" holds text with half a surrogate pair, which Parquet cannot hold; '
        "JSON lines (.jsonl) can"
    )


def _no_common_type(name: str, error: Exception) -> str:
    return (
        f'the field "{name}" has values of different types, which Parquet cannot hold ({error}); '
        "JSON lines (.jsonl) can"
    )
