"""Data sets: detection, the check before any work, and the stream of samples."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.files import write_records
from samples.formats import with_responses
from samples.reader import Checked, open_data
from samples.sample import DataError, Exchange, Format, Sample
from tests import samples_records
from tests.program import DATA

ALPACA = {"instruction": "q", "input": "", "output": "a"}
SHAREGPT = {
    "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
}
MESSAGES = {
    "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
}


def written(folder: Path, records: list[dict[str, Any]], ending: str = ".jsonl") -> Path:
    path = folder / f"data{ending}"
    write_records(path, records)
    return path


@pytest.mark.parametrize("record", [ALPACA, SHAREGPT, MESSAGES])
@pytest.mark.parametrize(
    ("ending", "layout"),
    [(".json", "a JSON array"), (".jsonl", "JSON lines"), (".parquet", "a Parquet file")],
)
def test_format_and_layout_are_recognised(
    tmp_path: Path, record: dict[str, Any], ending: str, layout: str
) -> None:
    data = open_data(written(tmp_path, [record], ending))
    assert data.describe() == f"{data.format} records in {layout}"
    (sample,) = data.samples()
    assert data.format == sample.format
    assert sample == Sample(0, "0", sample.format, record, "", (Exchange("q", "", "a"),), None)


def test_a_check_counts_and_hashes(tmp_path: Path) -> None:
    path = written(tmp_path, [ALPACA] * 3)
    checked = open_data(path).check()
    assert checked.count == 3
    assert checked.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_known_to_be_valid_is_not_checked_again(tmp_path: Path) -> None:
    path = written(tmp_path, [ALPACA] * 3)
    sound = open_data(path).check()
    with path.open("a") as file:
        file.write("{broken\n")
    data = open_data(path)
    with pytest.raises(DataError, match="line 4"):
        data.check(sound)
    known = Checked(3, hashlib.sha256(path.read_bytes()).hexdigest())
    assert data.check(known) == known


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".parquet"])
def test_a_file_modified_after_the_check_is_refused(tmp_path: Path, ending: str) -> None:
    data = open_data(written(tmp_path, [ALPACA] * 5, ending))
    data.check()
    for start, stop in [(0, None), (0, 3), (2, 5), (0, 9), (5, None), (9, None), (9, 12), (4, 2)]:
        assert len(list(data.samples(start, stop))) == len(range(5)[start:stop])
    for other in ([ALPACA] * 4, [ALPACA] * 6, [ALPACA | {"n": number} for number in range(5)]):
        written(tmp_path, other, ending)
        with pytest.raises(DataError, match=r"data\.\w+ was modified during the run$"):
            list(data.samples())


def test_a_part_of_the_samples_keeps_positions_and_ids(tmp_path: Path) -> None:
    data = open_data(written(tmp_path, [ALPACA | {"n": number} for number in range(10)]))
    assert [(s.position, s.id) for s in data.samples(3, 5)] == [(3, "3"), (4, "4")]
    assert [s.record["n"] for s in data.samples(8)] == [8, 9]
    assert list(data.samples(20)) == []


def test_ids_are_kept_and_missing_ones_are_numbers(tmp_path: Path) -> None:
    given = ["../../x", 7, 2**70, None, "", "👩 שלום", "a\x00", "\ud83d"]
    data = open_data(written(tmp_path, [{"id": id, **ALPACA} for id in given] + [ALPACA]))
    assert data.check().count == 9
    samples = list(data.samples())
    assert [sample.id for sample in samples] == [
        "../../x",
        "7",
        str(2**70),
        "3",
        "4",
        "👩 שלום",
        "a\x00",
        "\\ud83d",
        "8",
    ]
    assert [sample.record.get("id") for sample in samples] == [*given, None]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "b", "a", "a"], ["a", "b", "a#2", "a#3"]),
        ([1, "1"], ["1", "1#1"]),
        (["2", "b", None], ["2", "b", "2#2"]),
        ([None, "0"], ["0", "0#1"]),
        (["a", "a", "a#1"], ["a", "a#1#", "a#1"]),
        (["\ud83d", "\\ud83d"], ["\\ud83d", "\\ud83d#1"]),
    ],
)
def test_ids_that_repeat_are_told_apart_by_their_position(
    tmp_path: Path, ids: list[Any], expected: list[str]
) -> None:
    data = open_data(written(tmp_path, [{"id": id, **ALPACA} for id in ids]))
    checked = data.check()
    assert [sample.id for sample in data.samples()] == expected
    notice = data.notices()[-1]
    assert notice.startswith(f"ids that repeat: {sum('#' in id for id in expected) - ('a#1' in ids)};")
    # A resumed run does not check the records again.
    again = open_data(data.path)
    assert again.check(checked) == checked
    assert [sample.id for sample in again.samples(1)] == expected[1:]


ODD: list[dict[str, Any]] = [
    ALPACA,
    ALPACA | {"output": [42]},
    ALPACA | {"output": True},
    {"instruction": "q"},
    ALPACA | {"output": [43], "id": 1.5},
    ALPACA | {"id": "last"},
]


def test_records_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, ODD)
    path.write_text(path.read_text("utf-8") + '{"instruction": "cut off\n', "utf-8")
    with pytest.raises(DataError) as raised:
        open_data(path).check()
    assert str(raised.value) == (
        f'{path}, line 2 (record 2): expected a string in "output", found a list; '
        "4 more records cannot be read; --skip-bad passes over such records"
    )
    data = open_data(path, skip_bad=True)
    assert data.check().count == 7
    assert data.notices() == [
        "5 of 7 records cannot be read and stay as they are:",
        '  2: expected a string in "output", found a list (record 2, 5)',
        '  1: expected a string in "output", found true (record 3)',
        '  1: expected an Alpaca record with "instruction" and "output", found the fields instruction '
        "(record 4)",
        "  1: invalid JSON: Unterminated string starting at; expected one JSON object per line (record 7)",
    ]
    samples = list(data.samples())
    assert [sample.skip is None for sample in samples] == [True, False, False, False, False, True, False]
    assert [sample.id for sample in samples] == ["0", "1", "2", "3", "4", "last", "6"]
    target = tmp_path / "out.jsonl"
    write_records(target, (with_responses(s, [e.response for e in s.exchanges]) for s in samples))
    assert target.read_bytes() == path.read_bytes()


def test_the_format_is_that_of_the_first_record_that_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, [{"odd": 1}, ALPACA])
    with pytest.raises(
        DataError,
        match=r"line 1 \(record 1\): cannot detect the format.*; alpaca records follow: --skip-bad passes",
    ):
        open_data(path)
    assert open_data(path, skip_bad=True).format == "alpaca"


def test_nan_and_null_are_empty(tmp_path: Path) -> None:
    nan = float("nan")
    path = tmp_path / "data.parquet"
    pq.write_table(
        pa.table({"id": [nan, 7.0], "instruction": ["q", "q"], "input": [nan, nan], "output": ["a", None]}),
        path,
    )
    first, second = open_data(path, skip_bad=True).samples()
    assert (first.id, first.exchanges) == ("0", (Exchange("q", "", "a"),))
    assert second.skip == "no answered request" if second.id == "7" else second.skip


@pytest.mark.parametrize("id", [1.5, True, ["a"], {"a": 1}])
def test_an_invalid_id_is_refused(tmp_path: Path, id: Any) -> None:
    path = written(tmp_path, [ALPACA, {"id": id, **ALPACA}])
    with pytest.raises(DataError, match=r'record 2\): expected a string or an integer in "id"'):
        open_data(path).check()


@pytest.mark.parametrize(
    ("ending", "place"),
    [(".json", "line 14 (record 2)"), (".jsonl", "line 2 (record 2)"), (".parquet", "row 2")],
)
def test_an_invalid_record_is_named_with_its_position(tmp_path: Path, ending: str, place: str) -> None:
    path = written(tmp_path, [SHAREGPT, {"conversations": None}], ending)
    with pytest.raises(DataError) as raised:
        open_data(path).check()
    assert str(raised.value) == (
        f'{path}, {place}: expected a list of turns in "conversations", found null; '
        "--skip-bad passes over such records"
    )


def test_a_record_unlike_the_first_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [ALPACA, SHAREGPT], ".json")
    data = open_data(path)
    expected = (
        f'{path}, line 7 (record 2): expected an Alpaca record with "instruction" and "output", '
        "found the fields conversations; --skip-bad passes over such records"
    )
    with pytest.raises(DataError) as raised:
        data.check()
    assert str(raised.value) == expected
    with pytest.raises(DataError) as raised:
        list(data.samples())
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"ask": "q", "reply": "a"}, "the fields ask, reply"),
        ({}, "an empty object"),
    ],
)
def test_an_unknown_format_is_refused(tmp_path: Path, record: dict[str, Any], found: str) -> None:
    path = written(tmp_path, [record])
    with pytest.raises(DataError) as raised:
        open_data(path)
    assert str(raised.value).startswith(
        f"{path}, line 1 (record 1): cannot detect the format; found {found}: name the fields with "
        "--columns request=…,response=…, or the format with --format (alpaca, sharegpt, messages, "
    )


def test_a_record_that_fits_two_formats_needs_the_format_named(tmp_path: Path) -> None:
    path = written(tmp_path, [ALPACA | MESSAGES])
    with pytest.raises(DataError, match=r"of several formats: name it with --format messages or alpaca$"):
        open_data(path)
    assert open_data(path, "messages").check().count == 1
    assert open_data(path, "alpaca").check().count == 1


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    array, table = tmp_path / "data.json", tmp_path / "data.parquet"
    write_records(array, [])
    pq.write_table(pa.table({"instruction": pa.array([], pa.string())}), table)
    for path in (array, table):
        with pytest.raises(DataError, match=r"data\.\w+ contains no records$"):
            open_data(path)


def test_a_check_reads_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text((json.dumps(ALPACA) + "\n") * 5000 + '{"instruction": "q", "outp')
    data = open_data(path)
    with pytest.raises(DataError, match=r"line 5001 \(record 5001\): the file ends inside"):
        data.check()


@settings(max_examples=50, deadline=None)
@given(
    records=st.one_of(
        st.lists(samples_records.alpaca(), min_size=1, max_size=4),
        st.lists(samples_records.sharegpt(), min_size=1, max_size=4),
        st.lists(samples_records.messages(), min_size=1, max_size=4),
    ),
    ending=st.sampled_from([".json", ".jsonl"]),
)
def test_a_data_set_with_its_own_responses_is_written_back_unchanged(
    records: list[dict[str, Any]], ending: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = open_data(written(Path(folder), records, ending))
        assert data.check().count == len(records)
        results = (
            with_responses(sample, [exchange.response for exchange in sample.exchanges])
            for sample in data.samples()
        )
        target = Path(folder, f"result{ending}")
        write_records(target, results)
        assert target.read_bytes() == Path(data.path).read_bytes()


@pytest.mark.parametrize(
    ("name", "format", "count", "exchanges"),
    [
        ("alpaca_en_40", "alpaca", 40, 40),
        ("alpaca_zh_20", "alpaca", 20, 20),
        ("sharegpt_multi_30", "sharegpt", 30, 52),
        ("sharegpt_long_12", "sharegpt", 12, 26),
    ],
)
@pytest.mark.parametrize("ending", [".json", ".jsonl", ".parquet"])
def test_a_data_set_is_read_and_written_back(
    tmp_path: Path, name: str, format: Format, count: int, exchanges: int, ending: str
) -> None:
    source = DATA / f"{name}.json"
    data = open_data(source)
    assert (data.format, data.check().count) == (format, count)
    samples = list(data.samples())
    assert sum(len(sample.exchanges) for sample in samples) == exchanges
    assert not any(sample.skip for sample in samples)

    path = tmp_path / f"result{ending}"
    write_records(path, (with_responses(s, [e.response for e in s.exchanges]) for s in samples))
    again = open_data(path)
    assert again.check().count == count
    assert [sample.record for sample in again.samples()] == json.loads(source.read_bytes())


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1, "a"], "a number and a string"),
        (["a", [1]], "a string and a list"),
        ([[{"b": 1}], [{"b": {}}]], "a number and an object"),
        ([True, 1], "true or false and a number"),
        ([2**70], "a large integer"),
        ([{}, None], "an empty object"),
        ([1, 2.5, None], None),
        ([2**63, None], None),
        ([{}, {"a": 1}, {"b": "c"}], None),
        ([[], [1], [None]], None),
    ],
)
def test_fields_without_a_type_in_common_are_named_as_exports_write_them(
    tmp_path: Path, values: list[Any], what: str | None
) -> None:
    records = [{"instruction": "q", "output": "a", "odd": value} for value in values]
    write_records(tmp_path / "data.json", records)
    data = open_data(tmp_path / "data.json")
    data.check()
    expected = [
        f"text in Parquet, and so on the Hub, since their values have no type in common: odd ({what})"
    ]
    assert data.notices() == (expected if what else [])
    assert write_records(tmp_path / "data.parquet", records) == (["odd"] if what else [])
    data = open_data(tmp_path / "data.parquet")
    data.check()
    assert data.notices() == []


def test_one_odd_id_among_many_is_named(tmp_path: Path) -> None:
    ids = [*range(3000), "x"]
    write_records(tmp_path / "data.jsonl", [{"instruction": "q", "output": "a", "id": each} for each in ids])
    data = open_data(tmp_path / "data.jsonl")
    data.check()
    assert data.notices()[0].endswith("id (a number and a string)")


def test_whole_numbers_with_a_point_are_ids(tmp_path: Path) -> None:
    ids = [1.0, 2.0, None, "x"]
    write_records(tmp_path / "data.jsonl", [{"instruction": "q", "output": "a", "id": each} for each in ids])
    data = open_data(tmp_path / "data.jsonl")
    data.check()
    assert [sample.id for sample in data.samples()] == ["1", "2", "2#2", "x"]
    assert data.notices()[0].endswith("id (a number and a string)")


def test_records_as_python_prints_them_are_named(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("{'instruction': 'q', 'output': 'a'}\n")
    with pytest.raises(DataError, match=r"as Python prints it; write it with json\.dumps"):
        open_data(tmp_path / "data.jsonl")
