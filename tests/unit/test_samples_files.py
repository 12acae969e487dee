"""Files of records: they round-trip, and errors name the position of what is broken."""

import base64
import datetime
import gzip
import json
import math
import re
import tempfile
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples import json_arrays
from samples.fields import raw_text, unreadable
from samples.files import find_layout, layout_to_write, read_records, records, write_records
from samples.json_arrays import fits_array
from samples.json_arrays_fast import array_records
from samples.json_values import to_json
from samples.sample import DataError
from tests.samples_opened import read
from tests.samples_records import EXTRAS, HOSTILE, TEXTS


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_hostile_records_come_back_as_they_were(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    write_records(path, HOSTILE)
    assert read(path) == HOSTILE
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=60, deadline=None)
@given(records=st.lists(EXTRAS, max_size=6), ending=st.sampled_from([".json", ".jsonl"]))
def test_any_json_record_comes_back(records: list[dict[str, Any]], ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"data{ending}")
        write_records(path, records)
        layout = layout_to_write(path)
        assert [record for _, record in read_records(path, layout)] == records
        if layout == "JSON array":
            assert json.loads(path.read_bytes()) == records


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(EXTRAS | st.dictionaries(TEXTS, TEXTS), max_size=5),
    indent=st.none() | st.integers(0, 20),
    ascii_only=st.booleans(),
    chunk_bytes=st.integers(1, 40),
)
def test_an_array_read_in_tiny_pieces_is_what_json_load_gives(
    records: list[dict[str, Any]], indent: int | None, ascii_only: bool, chunk_bytes: int
) -> None:
    text = "  " + json.dumps(records, indent=indent, ensure_ascii=ascii_only) + "\n\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.json")
        path.write_text(text, encoding="utf-8")
        found = list(json_arrays.read_array(path, chunk_bytes))
        assert list(array_records(path, chunk_bytes)) == json.loads(text)
    assert [record for _, record in found] == json.loads(text)
    lines = [line for line, _ in found]
    assert lines == sorted(lines)


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(EXTRAS, min_size=1, max_size=3),
    cut=st.integers(1, 10_000),
    chunk_bytes=st.integers(1, 40),
)
def test_an_array_cut_anywhere_is_refused(records: list[dict[str, Any]], cut: int, chunk_bytes: int) -> None:
    data = json.dumps(records).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.json")
        path.write_bytes(data[: 1 + cut % (len(data) - 1)])
        with pytest.raises(DataError, match=r"data\.json, line 1"):
            list(json_arrays.read_array(path, chunk_bytes))
        with pytest.raises(DataError, match=r"data\.json, line 1"):
            list(array_records(path, chunk_bytes))


@settings(max_examples=100, deadline=None)
@given(
    records=st.lists(st.builds(lambda first, rest: {"id": first, **rest}, TEXTS, EXTRAS), max_size=8),
    at=st.integers(0, 7),
    indent=st.none() | st.integers(0, 2),
    odd=st.sampled_from(
        ["5", '{"id": "\\ud83d"}', "{}", '{"id": ' + "9" * 30 + "}", '[{"id": 1}, {"id": 2}]']
    ),
    chunk_bytes=st.sampled_from([1, 30, 200]),
)
def test_an_array_with_something_unusual_is_read_as_it_is_one_by_one(
    records: list[dict[str, Any]], at: int, indent: int | None, odd: str, chunk_bytes: int
) -> None:
    def read_by(reader: Iterator[Any]) -> tuple[list[Any], str]:
        found: list[Any] = []
        try:
            found.extend(reader)
        except DataError as error:
            return found, str(error)
        return found, ""

    parts = [json.dumps(record, indent=indent) for record in records]
    parts.insert(at, odd)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.json")
        path.write_text(f"[{', '.join(parts)}]", encoding="utf-8")
        many = read_by(array_records(path, chunk_bytes))
        assert many == read_by(record for _, record in json_arrays.read_array(path))


def test_line_numbers_of_an_array_are_those_of_an_editor(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('\n[\n{"a": 1},\n\n{"a":\n2}, {"a": 3}\n]')
    for chunk_bytes in (1, 3, 1000):
        found = list(json_arrays.read_array(path, chunk_bytes))
        assert found == [(3, {"a": 1}), (5, {"a": 2}), (6, {"a": 3})]


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        ("lines.json", b'{"a": 1}\n{"a": 2}\n', "JSON lines"),
        ("array.jsonl", b' \n[{"a": 1}, {"a": 2}]', "JSON array"),
        ("bom.json", b'\xef\xbb\xbf[{"a": 1}, {"a": 2}]', "JSON array"),
        ("bom.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}', "JSON lines"),
    ],
)
def test_content_says_what_a_file_is(tmp_path: Path, name: str, content: bytes, layout: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert find_layout(path) == layout
    assert read(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"data": [{"a": 1}, {"a": 2}], "version": "1.0"}', [{"a": 1}, {"a": 2}]),
        ('{\n "train" : [\n  {"a": 1}\n ]\n}\n', [{"a": 1}]),
        ('{\n "a": 1,\n "b": [2]\n}\n', [{"a": 1, "b": [2]}]),
        ('{"data": [{"role": "user"}]}\n{"data": []}\n', [{"data": [{"role": "user"}]}, {"data": []}]),
    ],
)
def test_an_array_in_an_object_and_a_single_object_are_read(
    tmp_path: Path, content: str, expected: list[dict[str, Any]]
) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    assert read(path) == expected
    if find_layout(path) == "JSON array":
        for chunk_bytes in (1, 5):
            assert [record for _, record in json_arrays.read_array(path, chunk_bytes)] == expected
        path.write_text(content.rstrip()[:-1] + "x" if "1.0" not in content else content.replace("],", "]x"))
        with pytest.raises(DataError):
            read(path)


@pytest.mark.parametrize("content", ['{"a": NaN}\n{"a": [Infinity]}\n', '[{"a": NaN}, {"a": [-Infinity]}]'])
def test_what_json_has_no_number_for_is_null(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    assert read(path) == [{"a": None}, {"a": [None]}]


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".jsonl", b'{"a": 1}\n{"a": \n[2]\n{"a": "\xe4"}\nnull\n{"a": 3}\n'),
        (".json", b'[\n {\n  "a": 1\n },\n 12,\n null,\n "x",\n {\n  "a": 3\n }\n]\n'),
    ],
)
def test_what_is_no_record_can_be_kept_as_it_was(tmp_path: Path, ending: str, content: bytes) -> None:
    path, other = tmp_path / f"data{ending}", tmp_path / f"other{ending}"
    path.write_bytes(content)
    found = list(records(path, find_layout(path), keep_bad=True))
    assert [record.get("a") for record in found if raw_text(record) is None] == [1, 3]
    write_records(other, found)
    assert other.read_bytes() == content


EXPECTED = "expected a JSON array of records, JSON lines, Parquet, or a table (CSV or TSV)"
ONE_PER_LINE = "expected one JSON object per line"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f" is empty; {EXPECTED}"),
        (b"\xef\xbb\xbf \n", f" is empty; {EXPECTED}"),
        (b"\n instruction,output\n", f", line 2: {EXPECTED}, found 'instruction,output\\n'"),
        (b'"text"', f", line 1: {EXPECTED}, found '\"text\"'"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            " only says where Git LFS has the data; get it with",
        ),
        (b"\x1f\x8b\x08", " cannot be read: "),
        (
            "[]".encode("utf-16-le"),
            ": expected UTF-8, found UTF-16 without its mark, or UTF-32: save it as UTF-8",
        ),
        (b"PK\x03\x04", " is a ZIP archive or a spreadsheet: unpack it, or save it as CSV; expected"),
        (
            b'{"train": [{"a": 1}], "test": [{"b": 2}]}',
            ', line 1 (record 1): the object has more records in "test": write those to work on to a file',
        ),
        # JSON lines
        (
            b'{"a": 1}\n{"a": }\n',
            f", line 2 (record 2): invalid JSON: Expecting value near '}}'; {ONE_PER_LINE}",
        ),
        (
            b'{"a": 1}\n\n{"a": "tex',
            f", line 3 (record 2): the file ends inside this record; {ONE_PER_LINE}",
        ),
        (
            b'{"a":\n1\n}\n',
            ", line 1 (record 1): the object that starts here does not end on this line; "
            f"{ONE_PER_LINE}, or a JSON array",
        ),
        (
            b'{"a": 1}\n{"a": "b\tc"}\n',
            ", line 2 (record 2): invalid JSON: found '\\t' in a string; write it as JSON has it, ",
        ),
        (
            b'{"a": 1}\n{"a": "\\x"}\n',
            f", line 2 (record 2): invalid JSON: Invalid \\escape near '\\\\x\"}}'; {ONE_PER_LINE}",
        ),
        (b'{"a": 1}\n[1]\n', ", line 2 (record 2): expected an object, found a list"),
        (b'{"a": 1}\nnull\n', ", line 2 (record 2): expected an object, found null"),
        (b'{"a": 1}, {}\n', f", line 1 (record 1): {ONE_PER_LINE}, found ', {{}}' after it"),
        (
            b'{"a": 1}\n{"a": {"b": 1, "b": 2}}\n',
            ', line 2 (record 2): "b" is a name with two values in one object; keep one of them',
        ),
        (
            b'{"a": 1}\n{"a": "\xe4"}\n',
            ", line 2 (record 2): expected UTF-8, found byte 0xe4 at file offset 16",
        ),
        (
            b'\xef\xbb\xbf{"a": "\xff"}\n',
            ", line 1 (record 1): expected UTF-8, found byte 0xff at file offset 10",
        ),
        (
            b'{"a": ' + b"[" * 100_000 + b"\n",
            f", line 1 (record 1): the record is nested more than 40 levels deep; {ONE_PER_LINE}",
        ),
        # arrays
        (b'[{"a": 1},\n"text"]', ", line 2 (record 2): expected an object, found a string"),
        (b"[{}, 12]", ", line 1 (record 2): expected an object, found a number"),
        (
            b'[{},\n{"a": \xef\xbb\xbf1}]',
            ", line 2 (record 2): invalid JSON: found U+FEFF, with which files begin: join them without it",
        ),
        (b"[[{}]]", ", line 1 (record 1): expected an object, found a list"),
        (b"[{}, null]", ", line 1 (record 2): expected an object, found 'null]'"),
        (b"[{},\n]", ", line 2 (record 2): expected another record after the comma"),
        (b"[{} {}]", ", line 1 (record 1): expected a comma or ] after this record, found another object"),
        (b"[", ", line 1 (record 1): expected an object, found the end of the file"),
        (
            b"[{}",
            ", line 1 (record 1): expected a comma or ] after this record, found the end of the file",
        ),
        (b"[{},\n", ", line 2 (record 2): expected an object, found the end of the file"),
        (
            b'[{},\n{"a":\n"te',
            ", line 2 (record 2): the file ends inside the record that starts here",
        ),
        (
            b'[{"a": 1},\n{"a": 1\n "b": 2}]',
            ", line 3 (record 2): invalid JSON: Expecting ',' delimiter near '\"b\": 2}]'",
        ),
        (b"[{}]\n[{}]", ", line 2 (record 1): expected nothing after the end of the data, found a list"),
        (
            b'[{"a": "b"},\n{"a": "\xc3("}]',
            ", line 2: expected UTF-8, found byte 0xc3 at file offset 20",
        ),
        (
            b'[{"a": "\xe4\xbd',
            ", line 1: expected UTF-8, found byte 0xe4 at file offset 8",
        ),
        (b"[" + b'{"a":' * 100_000, ", line 1 (record 1): the record is nested more than 40 levels deep"),
        # Parquet
        (b"PAR1 and nothing more", ": broken Parquet file (at the beginning): "),
    ],
)
def test_a_broken_file_is_named_with_the_place_and_what_was_expected(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 100])
def test_the_place_of_a_bad_byte_does_not_depend_on_the_pieces(tmp_path: Path, chunk_bytes: int) -> None:
    path = tmp_path / "data.json"
    path.write_bytes('[{"a": "中文"},\n'.encode() + b'{"a": "\xe4("}]')
    with pytest.raises(DataError, match=r"line 2: .* found byte 0xe4 at file offset 25"):
        list(json_arrays.read_array(path, chunk_bytes))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json does not exist$"):
        find_layout(tmp_path / "nothing.json")
    with pytest.raises(DataError, match=r"is a folder; expected a file$"):
        find_layout(tmp_path)
    with pytest.raises(DataError, match=r"/dev/null is not a regular file$"):
        find_layout(Path("/dev/null"))


def test_a_name_that_the_system_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="File name too long"):
        find_layout(tmp_path / ("x" * 300))
    with pytest.raises(DataError, match="File name too long"):
        write_records(tmp_path / ("x" * 300 + ".json"), [])


@pytest.mark.parametrize("opening", ["", "["])
def test_a_record_without_end_is_refused(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(opening + '{"a": "' + "x" * 6_000_000 + '"}')
    with pytest.raises(DataError, match=r"line 1 \(record 1\): the record is larger than 2 MB \(--max-rec"):
        list(records(path, find_layout(path), max_bytes=2_000_000))


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    record = {"instruction": "x" * 1000, "output": "y" * 1000}
    write_records(path, [record])  # which imports what it needs
    assert len(list(read_records(path, find_layout(path)))) == 1
    tracemalloc.start()
    write_records(path, (record | {"id": str(number)} for number in range(8_000)))
    assert sum(1 for _ in read_records(path, find_layout(path))) == 8_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000  # the file holds 16 MB of text


def test_half_a_surrogate_pair_goes_through_json(tmp_path: Path) -> None:
    records = [{"a": "\ud83d and \ude00", "b": "😀"}]
    for ending in (".json", ".jsonl"):
        path = tmp_path / f"data{ending}"
        write_records(path, records)
        assert rb"\ud83d and \ude00" in path.read_bytes()
        assert read(path) == records


def test_what_json_does_not_know_is_written_as_text(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    record = {
        "moment": moment,
        "day": datetime.date(2024, 2, 29),
        "time": datetime.time(12, 30),
        "length": datetime.timedelta(seconds=1.5),
        "price": Decimal("1.50"),
        "bytes": b"\x00\xff",
        "scores": [1.0, math.nan, math.inf],
    }
    write_records(source, [record])
    target = tmp_path / "data.jsonl"
    write_records(target, [record for _, record in read_records(source, "Parquet")])
    assert read(target) == [
        {
            "moment": "2024-02-29T12:30:00+00:00",
            "day": "2024-02-29",
            "time": "12:30:00",
            "length": "1.5 s",
            "price": "1.50",
            "bytes": base64.b64encode(b"\x00\xff").decode(),
            "scores": [1.0, None, None],
        }
    ]


def test_what_is_no_record_stays_as_it_was_in_an_array(tmp_path: Path) -> None:
    path, out, lines = (tmp_path / name for name in ("data.json", "out.json", "out.jsonl"))
    path.write_text('[\n {\n  "a": 1\n },\n {\n  "dup": 1,\n  "dup": 2\n },\n 5\n]\n')
    found = list(records(path, "JSON array", keep_bad=True))
    write_records(out, found)
    assert out.read_text().split() == path.read_text().split()
    assert list(records(out, "JSON array", keep_bad=True))[1:] == found[1:]
    write_records(lines, found)
    assert lines.read_text().splitlines() == ['{"a": 1}', '{   "dup": 1,   "dup": 2  }', "5"]
    for raw, fits in (
        ("5", True),
        ('{"a": 1, "a": 2}', True),
        ("{", False),
        ("", False),
        ('"\udce4"', False),
    ):
        assert fits_array(unreadable(raw, "broken")) == fits


def test_values_that_cannot_be_written_are_refused() -> None:
    with pytest.raises(DataError, match="a value of type complex cannot be written as JSON"):
        to_json({"a": 1j})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(DataError, match="nested too deeply"):
        to_json(deep)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a name that ends in \.json, \.jsonl, \.csv, \.tsv, \.parquet, or"):
        write_records(tmp_path / "data.txt", [])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    write_records(tmp_path / "new" / "folder" / "data.json", [])
    with pytest.raises(DataError, match=r"cannot be written: .*data\.json is a file"):
        write_records(tmp_path / "new" / "folder" / "data.json" / "data.json", [])
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match="cannot be written: it is a folder"):
        write_records(tmp_path / "folder.json", [])


@pytest.mark.parametrize("ending", [".json", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_failed_export_leaves_the_older_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    write_records(path, [{"a": 1}])

    def failing() -> Iterator[dict[str, Any]]:
        yield {"a": 2}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(path, failing())
    assert read(path) == [{"a": 1}]
    assert list(tmp_path.iterdir()) == [path]
    write_records(path, [{"a": 3}])
    assert read(path) == [{"a": 3}]


def test_a_json_array_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    write_records(path, [{"a": "中"}, {}])
    assert path.read_text() == '[\n {\n  "a": "中"\n },\n {}\n]\n'
    write_records(path, [])
    assert path.read_text() == "[]\n"
    assert read(path) == []


def test_lines_of_an_array_are_read_and_other_commas_and_objects_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1},\n{"a": 2},\n{"a": 3}\n')
    assert read(path) == [{"a": 1}, {"a": 2}, {"a": 3}]
    path.write_text('[\n{"a": 1},\n{"a": 2},\n]')
    with pytest.raises(DataError, match=r'line 4 \(record 3\): .*found "\]": take that comma out'):
        read(path)
    path.write_text('{\n "a": 1\n}\n{\n "a": 2\n}\n')
    with pytest.raises(DataError, match=r"line 4 .*found another object after the first: write one a line"):
        read(path)


def test_files_that_were_joined_have_the_mark_of_utf_8_within(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\xef\xbb\xbf{"a": 2}\n\xef\xbb\xbf\n')
    assert [record for _, record in read_records(path, find_layout(path))] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["data.jsonl", "data.json"])
def test_a_record_with_a_list_of_objects_is_one_record(tmp_path: Path, name: str) -> None:
    record = {"id": "1", "instruction": "q", "instances": [{"input": "", "output": "a"}]}
    (tmp_path / name).write_text(json.dumps(record))
    assert read(tmp_path / name) == [record]
    (tmp_path / name).write_text(json.dumps({"version": "1", "instances": [record]}))
    assert read(tmp_path / name) == [record]


@pytest.mark.parametrize(
    ("name", "content", "todo"),
    [
        ("a.pkl", b"\x80\x04\x95\x00", "write its records as JSON lines"),
        ("a.tfrecord", b"\x10\0\0\0\0\0\0\0", "write its records as JSON lines"),
        ("a.tar.gz", gzip.compress(b"a.jsonl" + bytes(512)), "unpack it"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "unpack it"),
    ],
)
def test_a_file_that_is_not_read_is_told_what_would_do(
    tmp_path: Path, name: str, content: bytes, todo: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)} is a file that is not read: {todo}; expected"):
        find_layout(tmp_path / name)
