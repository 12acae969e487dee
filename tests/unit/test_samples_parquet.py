"""Parquet files: read and written with their types, and refused where they are damaged."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.bounds import MAX_DEPTH
from samples.files import find_layout, read_records, records, write_records
from samples.json_values import read_json, to_json
from samples.parquet_files import split_file
from samples.parquet_types import recorded_schema
from samples.sample import DataError
from tests.samples_opened import read
from tests.samples_records import HOSTILE


def test_hostile_texts_come_back_from_parquet(tmp_path: Path) -> None:
    records = [{"instruction": r["instruction"], "output": r["output"]} for r in HOSTILE]
    path = tmp_path / "data.parquet"
    write_records(path, records)
    assert read(path) == records


def test_parquet_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    pq.write_table(pa.table({"a": [1, 2]}), path)
    assert find_layout(path) == "Parquet"
    assert list(read_records(path, "Parquet")) == [(1, {"a": 1}), (2, {"a": 2})]


def test_parquet_refuses_half_a_surrogate_pair(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    with pytest.raises(DataError, match=r'the field "a" has an unpaired surrogate'):
        write_records(path, [{"a": "\ud83d"}])
    with pytest.raises(DataError, match="unpaired surrogate"):
        write_records(path, [{"a": [{"b": "\ud83d"}]}])
    assert list(tmp_path.iterdir()) == []


def test_parquet_takes_integers_beyond_those_with_a_sign(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [{"n": 2**63 + 5}, {"n": 1}, {"n": None}]
    write_records(tmp_path / "data.parquet", records)
    assert pq.read_table(tmp_path / "data.parquet").to_pylist() == records


def test_parquet_takes_records_that_differ(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": None, "turns": []} for _ in range(1500)]
    rows += [{"b": 1, "turns": [{"from": "human", "value": "x"}]} for _ in range(1500)]
    rows += [{"a": "text", "b": 1.5, "turns": [{"from": "gpt", "weight": 0}], "c": {"d": ["e"]}}]
    path = tmp_path / "data.parquet"
    write_records(path, iter(rows))
    found = read(path)
    assert len(found) == 3001
    assert found[0] == {"a": None, "turns": [], "b": None, "c": None}
    assert found[1500]["turns"] == [{"from": "human", "value": "x", "weight": None}]
    assert found[3000] == {
        "a": "text",
        "b": 1.5,
        "turns": [{"from": "gpt", "value": None, "weight": 0}],
        "c": {"d": ["e"]},
    }


@pytest.mark.parametrize(
    "records",
    [
        [{"ok": 1, "odd": "text"}, {"odd": 1}],
        [{"odd": [1]}, {"odd": {"a": 1}}],
        [{"odd": "text"}] * 1500 + [{"odd": 1}],
        [{"odd": [{"content": "text"}, {"content": [{"type": "text"}]}]}],
        [{"odd": 2**70}],
        [{"odd": 2**60 + 1}, {"odd": 1.5}],
        [{"odd": {}}],
        [{"odd": [{}]}],
    ],
)
def test_parquet_has_as_text_what_has_no_type_in_common(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    path = tmp_path / "data.parquet"
    assert write_records(path, records) == ["odd"]
    texts = [row["odd"] for row in read(path)]
    values = [record["odd"] for record in records]
    assert texts == [value if isinstance(value, str) else to_json(value) for value in values]
    if "ok" in records[0]:
        assert [row["ok"] for row in read(path)] == [1, None]


def test_parquet_refuses_what_is_nested_too_deeply(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(700):
        deep = [deep]
    with pytest.raises(DataError, match=r"write JSON lines \(\.jsonl\) instead"):
        write_records(tmp_path / "data.parquet", [{"a": deep}])
    deep_type = pa.string()
    for _ in range(MAX_DEPTH):
        deep_type = pa.struct([("a", deep_type)])
    pq.write_table(pa.table({"a": pa.array([None], deep_type)}), tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r'the column "a" is nested more than 40 levels deep$'):
        read(tmp_path / "data.parquet")


def test_parquet_that_is_not_utf8_is_named_with_its_row(tmp_path: Path) -> None:
    bad = pa.array([b"fine", b"\xe4"], pa.binary()).view(pa.string())
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": bad}), path)
    with pytest.raises(DataError, match=r'data\.parquet, row 2, column "a": expected UTF-8, found'):
        read(path)


@pytest.mark.parametrize(
    ("number", "type_"),
    [
        (253402300799000000, pa.timestamp("us", tz="Asia/Shanghai")),  # the year 10000 there
        (-62135596800000000, pa.timestamp("us", tz="America/New_York")),  # the year 0 there
        (2**55, pa.timestamp("ms")),
        (0, pa.timestamp("us", tz="Mars/Base")),
        (2**60, pa.timestamp("ns", tz="Mars/Base")),
        (4_000_000, pa.date32()),
        (10**15, pa.duration("s")),
    ],
)
def test_times_that_python_does_not_have_are_numbers_and_come_back(
    tmp_path: Path, number: int, type_: pa.DataType
) -> None:
    times = pa.array([number, None], type_)
    columns = {
        "plain": times,
        "inner": pa.StructArray.from_arrays([times], ["at"]),
        "listed": pa.array([[number], []], pa.list_(type_)),
        "fixed": pa.array([[number], None], pa.list_(type_, 1)),
        "text": pa.array(["a", "b"]),
    }
    path, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table(columns), path)
    found = read(path)
    expected = {"plain": number, "inner": {"at": number}, "listed": [number], "fixed": [number], "text": "a"}
    assert found[0] == expected
    assert (
        write_records(out, [read_json(to_json(each)) for each in found], recorded_schema([(path, False)]))
        == []
    )
    assert pq.read_table(out).equals(pq.read_table(path))


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    write_records(path, [{"a": "x" * 1000}] * 10)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="broken Parquet file"):
        read(path)


def test_what_is_wrong_with_parquet_is_said_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": ["x" * 100] * 1000}), path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    messages = set()
    for place in (4, 8, 12, 16, 20, 24, 28):
        path.write_bytes(whole[:place] + b"\xff" * 4 + whole[place + 4 :])
        try:
            read(path)
        except DataError as error:
            messages.add(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


def test_columns_of_the_same_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    column = pa.array(["x"])
    pq.write_table(pa.Table.from_arrays([column, column], names=["a", "a"]), path)
    with pytest.raises(DataError, match=r"expected unique column names, found \['a', 'a'\]"):
        read(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_parquet_is_refused_or_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.parquet")
        pq.write_table(pa.table({"instruction": ["q"], "output": ["a"]}), path)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            read(path)


def test_a_parquet_file_is_split_at_row_groups(tmp_path: Path) -> None:
    written = [{"id": str(number), "text": f"{number} " * 50} for number in range(2500)]
    file = tmp_path / "train.parquet"
    write_records(file, written)
    (whole,) = split_file(file, 10**9)
    assert whole.name == "train-00000-of-00001.parquet"
    shards = split_file(whole.rename(file), 1)
    assert sorted(tmp_path.iterdir()) == shards
    assert [shard.name for shard in shards] == [f"train-{number:05}-of-00003.parquet" for number in range(3)]
    assert [record for shard in shards for record in records(shard, "Parquet")] == written
