"""Sizes from a Parquet footer: the same as pyarrow's, and no damage to it ends the process."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samples.files import read_records
from samples.parquet_footer import chunk_sizes
from samples.sample import DataError


def test_sizes_are_those_of_pyarrow(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    turns = [[{"role": "user", "content": "c" * n}] * (n % 3) for n in range(50)]
    columns = {f"t{n}": [text * n for text in "ab" * 25] for n in range(20)}
    times = pa.array(range(50), pa.timestamp("us"))
    pq.write_table(
        pa.table({"turns": turns, "times": times, "b": [True] * 50} | columns), path, row_group_size=7
    )
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert chunk_sizes(path) == [
        [
            max(chunk.total_uncompressed_size, chunk.num_values)
            for chunk in (group.column(number) for number in range(metadata.num_columns))
        ]
        for group in groups
    ]


def test_a_damaged_footer_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"instruction": ["q"], "output": ["a"]}), path)
    content = path.read_bytes()
    # Among these are damages that ended the process where pyarrow read the sizes.
    damages = [(position, 41) for position in range(130, 160)]
    choose = random.Random(0)
    damages += [(choose.randrange(4, len(content)), choose.randrange(256)) for _ in range(100)]
    refused = 0
    for position, byte in damages:
        path.write_bytes(content[:position] + bytes([byte]) + content[position + 1 :])
        try:
            list(read_records(path, "Parquet"))
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 20
    for short in (b"PAR1", b"PAR1PAR1", content[:-9] + b"\xff\xff\xff\xffPAR1"):
        path.write_bytes(short)
        with pytest.raises(ValueError, match="footer"):
            chunk_sizes(path)
