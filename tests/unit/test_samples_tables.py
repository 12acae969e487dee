"""CSV and TSV as they are written: read again, they hold the same samples."""

import csv
import gzip
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from samples.csv_files import dialect_of
from samples.files import find_layout, read_records, with_part, write_records
from samples.formats import make_sample, with_responses
from samples.reader import open_data
from samples.sample import DataError, Sample
from samples.trainers import check_layout
from tests.unit.test_samples_layouts import records


def read(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in read_records(path, find_layout(path))]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".CSV", ".csv.gz", ".tsv.zst", ".csv.zst"])
def test_texts_come_back_as_they_were_and_other_values_as_json(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    text = ' lead, "q";\tend\r\n=1+1\n\r'
    write_records(
        path,
        [
            {"a b": text, "c;d": "x", "null": None, "list": [1, {"x": "é"}], "number": 1.5},
            {"more, later": True, "a b": "\r"},
        ],
    )
    nothing = {"c;d": "", "null": "", "list": "", "number": "", "more, later": ""}
    assert read(path) == [
        {**nothing, "a b": text, "c;d": "x", "list": '[1, {"x": "é"}]', "number": "1.5"},
        {**nothing, "a b": "\r", "more, later": "true"},
    ]


@pytest.mark.parametrize("name", ["", " a", "a ", " "])
def test_names_with_blanks_do_not_change_values(tmp_path: Path, name: str) -> None:
    for record in ({"b": " x", name: " y"}, {name: " y", "b": " x"}, {name: " y"}):
        write_records(tmp_path / "data.csv", [record])
        assert read(tmp_path / "data.csv") == [{key.strip(): value for key, value in record.items()}]


@pytest.mark.parametrize("ending", [".json.gz", ".jsonl.gz", ".json.zst", ".jsonl.zst"])
def test_json_is_compressed_and_read_again(tmp_path: Path, ending: str) -> None:
    write_records(tmp_path / f"data{ending}", [{"a": "中"}] * 3)
    assert read(tmp_path / f"data{ending}") == [{"a": "中"}] * 3
    if ending.endswith(".gz"):
        assert gzip.decompress((tmp_path / f"data{ending}").read_bytes()).count("中".encode()) == 3


def test_a_table_is_one_to_pythons_own_reader(tmp_path: Path) -> None:
    write_records(tmp_path / "data.csv", [{"a": "1,\n2", "b": "é"}])
    with (tmp_path / "data.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1,\n2", "é"]]


def test_a_table_is_written_as_the_data_was(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for text in ("\ufeffinstruction;output\r\nq, r;a\r\n", 'a,"b;c"\r\n1,2\r\n', "sep=|\na|b\n1|2\n"):
        path.write_bytes(text.encode())
        dialect = dialect_of(path, ",")
        write_records(tmp_path / "again.csv", read(path), None, dialect)
        expected = text.removeprefix("sep=|\n").replace("\r\n", "\n").replace("\n", "\r\n")
        assert (tmp_path / "again.csv").read_bytes().decode().replace('"', "") == expected.replace('"', "")
        assert read(tmp_path / "again.csv") == read(path)


def test_what_tables_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with pytest.raises(DataError, match=r"unpaired surrogate, which a table cannot store; write JSON lines"):
        write_records(path, [{"a": "\ud800"}])
    for first, second in (("sp", " sp "), ("", " "), (" a\t", "a")):
        with pytest.raises(DataError, match=r'the fields ".*" and ".*" differ only by blanks, .* write JSON'):
            write_records(path, [{first: "x"}, {second: "y", "b": "z"}])
    assert list(tmp_path.iterdir()) == []
    for name in ("data.csv", "data.jsonl.gz"):
        with pytest.raises(DataError, match=r"trl-sft takes neither tables nor compressed files"):
            check_layout(tmp_path / name, "trl-sft")
    for name in ("data.parquet.gz", "data.gz", "data.txt"):
        with pytest.raises(
            DataError, match=r"a name that ends in \.json, \.jsonl, \.csv, \.tsv, \.parquet, or"
        ):
            write_records(tmp_path / name, [])


def test_parts_of_names_go_before_the_whole_ending() -> None:
    named = {"a.jsonl.gz": "a.edit.jsonl.gz", "a.b.csv": "a.b.edit.csv", "a.parquet": "a.edit.parquet"}
    assert {name: with_part(Path(name), "edit").name for name in named} == named


def is_same(one: Sample, other: Sample) -> bool:
    return (one.exchanges, one.system, one.skip) == (other.exchanges, other.system, other.skip)


@settings(max_examples=150, deadline=None)
@given(records(), st.sampled_from([".csv", ".tsv"]))
def test_a_record_of_any_layout_is_the_same_in_a_table(
    found: tuple[dict[str, Any], str], ending: str
) -> None:
    record, layout = found
    assume(layout == "ultrachat" or not isinstance(record.get("output"), list))  # which is two responses
    side = layout.split()[1] if layout.startswith("preference") else None
    how: dict[str, Any] = {"improve": side} if side else {"format": layout}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"data{ending}")

        def again(record: dict[str, Any]) -> Sample:
            write_records(path, [record])
            data = open_data(path, **how)
            data.check()
            (sample,) = data.samples()
            return sample

        sample = again(record)
        assert is_same(sample, make_sample(0, sample.id, record, sample.read_as))
        new = [f"new {number}" for number in range(len(sample.exchanges))]
        changed = again(with_responses(sample, new))
        assert [each.response for each in changed.exchanges] == new
        assert is_same(again(with_responses(changed, [each.response for each in sample.exchanges])), sample)


def test_one_turn_is_read_from_a_table(tmp_path: Path) -> None:
    user, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "score": 1}
    record = {"prompt": [user], "chosen": answer, "rejected": answer | {"content": "b"}, "images": []}
    write_records(tmp_path / "data.csv", [record])
    (sample,) = open_data(tmp_path / "data.csv", improve="chosen").samples()
    assert [(each.instruction, each.response) for each in sample.exchanges] == [("q", "a")]
    changed = with_responses(sample, ["new"])
    assert changed["chosen"] == '{"role": "assistant", "content": "new", "original_score": 1}'
    assert changed["rejected"] == '{"role": "assistant", "content": "b", "score": 1}'


def test_blank_lines_before_the_names_are_passed_over(tmp_path: Path) -> None:
    for text in ("\n\r\ninstruction;output\n\nq;a\n", " \nsep=;\ninstruction;output\nq;a\n"):
        (tmp_path / "data.csv").write_bytes(text.encode())
        assert read(tmp_path / "data.csv") == [{"instruction": "q", "output": "a"}]
        assert dialect_of(tmp_path / "data.csv", ",") == {"separator": ";", "mark": False}
        (tmp_path / "data.csv").write_bytes((text + "r\n").encode())
        with pytest.raises(
            DataError, match=rf"line {text.count(chr(10)) + 1} \(record 2\): expected 2 fields"
        ):
            read(tmp_path / "data.csv")


def test_a_quote_that_is_written_once_is_refused_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text('instruction,output\n"say \\"it\\" now",a\n')
    with pytest.raises(
        DataError, match=r"line 2 \(record 1\): .*; in a field in quotes a quote is written twice"
    ):
        read(tmp_path / "data.csv")
