"""Records that are too large, and files that unfold too far, are refused with their position."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samples import bounds
from samples.parquet_files import read_batches
from samples.reader import open_data
from samples.sample import DataError

SMALL = {"instruction": "Say hi.", "output": "Hi."}
LARGE = {"instruction": "Say hi.", "output": "x" * 1_000_001}


def arrow(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(table)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    match path.name.partition(".")[2]:
        case "json":
            path.write_text(json.dumps(rows))
        case "jsonl":
            path.write_text(lines)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case "csv":
            path.write_text(
                "instruction,output\n"
                + "".join(f'"{row["instruction"]}","{row["output"]}"\n' for row in rows)
            )
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "arrow":
            arrow(path, rows)


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("ending", "place"),
    [
        ("json", ", line 1 (record 3): "),
        ("jsonl", ", line 3 (record 3): "),
        ("jsonl.gz", ", line 3 (record 3): "),
        ("csv", ", line 4 (record 3): "),
        ("parquet", ", row 3: "),
        ("arrow", ", row 3: "),
    ],
)
def test_a_record_that_is_too_large_is_refused(
    tmp_path: Path, ending: str, place: str, skip_bad: bool
) -> None:
    path = tmp_path / f"data.{ending}"
    write(path, [SMALL, SMALL, LARGE, SMALL])
    with pytest.raises(DataError) as refused:
        open_data(path, skip_bad=skip_bad, max_record_size=1).check()
    assert str(refused.value) == f"{path}{place}the record is larger than 1 MB (--max-record-size)"
    assert open_data(path, max_record_size=2).check().count == 4


def test_a_text_stored_once_is_refused_where_it_unfolds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UNFOLDED_MB", 8)
    path = tmp_path / "data.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 500_000]))
    messages = pa.array(
        [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "x" * 500_000}]] * 30
    )
    pq.write_table(pa.table({"instruction": ["a"] * 20_000, "output": texts}), path, compression="zstd")
    assert path.stat().st_size < 4000
    with pytest.raises(DataError, match=r"row \d+: it unfolds to more than 200 times its size"):
        open_data(path).check()
    pq.write_table(pa.table({"messages": messages}), path, compression="zstd")
    with pytest.raises(DataError, match=r"row \d+: it unfolds to more than 200 times its size"):
        open_data(path).check()


@pytest.mark.parametrize(("long", "most_mb"), [(1_000, 30), (200_000, 60)])
def test_a_text_stored_once_among_many_others_does_not_fill_the_memory(
    tmp_path: Path, long: int, most_mb: int
) -> None:
    """The column is read as it is where its longest repeated text allows it."""
    path = tmp_path / "data.parquet"
    random = Random(1)
    texts = ["x" * long] * 1000 + [random.randbytes(1000).hex() for _ in range(3000)]
    pq.write_table(pa.table({"instruction": ["a"] * 4000, "output": texts}), path, compression="zstd")
    held, read = [], []
    before = pa.total_allocated_bytes()
    for rows in read_batches(path, max_bytes=4_000_000):
        held.append(pa.total_allocated_bytes() - before)
        read += [row["output"] for row in rows]
    assert read == texts
    assert max(held) < most_mb * bounds.MB


@pytest.mark.parametrize("content", [b"\n", json.dumps(SMALL).encode() + b"\n", b" "])
def test_a_compressed_file_is_refused_where_it_unfolds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(bounds, "UNFOLDED_MB", 1)
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(
        gzip.compress(json.dumps(SMALL).encode() + b"\n" + content * (4_000_000 // len(content)))
    )
    with pytest.raises(DataError, match=r"it unfolds to more than 200 times its size|is larger than 2 MB"):
        open_data(path, max_record_size=2).check()


def test_an_arrow_file_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.arrow"
    table = pa.table({"instruction": ["a"], "output": ["b"]})
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)
    content = bytearray(path.read_bytes())
    content[4:8] = (2**31 - 256).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match="broken Arrow file"):
        open_data(path)


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("[" * 40 + "]" * 40, "the record is nested more than 40 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "the record is nested more than 40 levels deep"),
        ('{"a": "]"' + ', "b": {"c": 1' * 2000 + "}" * 2001, "the record is nested more than 40 levels deep"),
        ('"x", "dup": 1, "dup": 2', '"dup" is a name with two values in one object; keep one of them'),
        ('[{"a" : 1, "a" : [1]}]', '"a" is a name with two values'),
        ('{"z":1,"z" :2}', '"z" is a name with two values'),
        ('{"z"\t:1,"z"  :2}', '"z" is a name with two values'),
        (r'{"z\\":1,"z\\":2}', '"z\\" is a name with two values'),
        (r'{"z\\" :1,"z\\" :2, "": "\" : \":"}', '"z\\" is a name with two values'),
        ('{"" :1,"" :2}', '"""" is a name with two values'),
        ('{"a": [1], "a": [true]}', '"a" is a name with two values'),
        ('{"a": 0, "a": false}', '"a" is a name with two values'),
    ],
)
def test_a_record_that_no_one_can_convert_is_refused_or_passed_over(
    tmp_path: Path, ending: str, value: str, why: str
) -> None:
    path = tmp_path / f"data.{ending}"
    bad = f'{{"instruction": "a", "output": "b", "meta": {value}}}'
    lines = [json.dumps(SMALL), bad, json.dumps(SMALL)]
    path.write_text("\n".join(lines) if ending == "jsonl" else "[" + ",\n".join(lines) + "]")
    with pytest.raises(DataError) as refused:
        open_data(path).check()
    assert str(refused.value).startswith(f"{path}, line 2 (record 2): {why}")
    samples = list(open_data(path, skip_bad=True).samples())
    assert [bool(sample.skip) for sample in samples] == [False, True, False]
    assert samples[1].read["__unreadable__"] == bad


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("1e400", None),
        ("-1e400", None),
        ("9" * 400, int("9" * 400)),
        (r'{"a": "\": \" : x", "b" : 1}', {"a": '": " : x', "b": 1}),
        ('{"a": 1, "a": 1}', {"a": 1}),
        ('{"a": {"b": 1, "c": 2}, "a" :{"c": 2, "b": 1}}', {"a": {"c": 2, "b": 1}}),
    ],
)
def test_a_field_that_nobody_needs_does_not_stop_a_record(
    tmp_path: Path, ending: str, value: str, read: object
) -> None:
    path = tmp_path / f"data.{ending}"
    record = f'{{"instruction": "a", "output": "b", "meta": {value}}}'
    path.write_text(f"{record}\n{record}\n" if ending == "jsonl" else f"[{record}, {record}]")
    data = open_data(path)
    data.check()
    assert [sample.read["meta"] for sample in data.samples()] == [read, read]


def test_forty_levels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": "b", "meta": ' + "[" * 39 + "]" * 39 + "}\n")
    assert open_data(path).check().count == 1


@pytest.mark.parametrize("value", ["x" * 1001, 10**1001])
def test_an_id_has_an_end(tmp_path: Path, value: object) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"id": value, **SMALL}))
    with pytest.raises(DataError, match=r'expected at most 1,000 characters in "id", found 1,00[12]'):
        open_data(path).check()
