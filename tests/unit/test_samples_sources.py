"""Where data lies: shards, saved data sets, compressed files, tables, standard input."""

import bz2
import gzip
import hashlib
import io
import json
import os
import re
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.files import write_records
from samples.reader import DataSet, open_data
from samples.sample import DataError
from tests.samples_records import TEXTS

RECORDS: list[dict[str, Any]] = [{"instruction": f"q{n}", "input": "", "output": f"a{n}"} for n in range(5)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def read(data: DataSet) -> list[dict[str, Any]]:
    checked = data.check()
    found = [sample.read for sample in data.samples()]
    assert checked.count == len(found)
    assert [sample.position for sample in data.samples()] == list(range(len(found)))
    return found


def compressed(codec: str, data: bytes) -> bytes:
    match codec:
        case "gz":
            return gzip.compress(data)
        case "bz2":
            return bz2.compress(data)
        case _:
            return bytes(pa.compress(data, "zstd", asbytes=True))


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".json"])
def test_the_shards_of_a_folder_are_one_data_set_in_the_order_of_their_names(
    tmp_path: Path, ending: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_records(folder / f"train-00001-of-00002{ending}", RECORDS[3:])
    write_records(folder / f"train-00000-of-00002{ending}", RECORDS[:3])
    (folder / "README.md").write_text("# A card")
    (folder / ".hidden.jsonl").write_text("{}")
    (folder / "dataset_info.json").write_text("{}")
    (folder / f"out{ending}.contaminated.jsonl").write_text('{"id": "1"}')
    for place in (folder, tmp_path, folder / "train-*"):
        data = open_data(place)
        assert data.describe().startswith("alpaca records in 2 files of ")
        assert read(data) == RECORDS
    assert [sample.read for sample in data.samples(2, 4)] == RECORDS[2:4]
    files = sorted(folder.glob("train-*"))
    assert data.check().sha256 == hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    write_records(files[1], [*RECORDS[3:], {"instruction": "q"}])
    if ending != ".parquet":
        with pytest.raises(
            DataError, match=r"train-00001-of-00002\.jsonl?, line \d+ \(record 3\): expected an Alp"
        ):
            open_data(folder).check()
    with pytest.raises(DataError, match="was modified during the run"):
        list(data.samples())


@pytest.mark.parametrize(
    ("training", "others"),
    [
        ("train-00000-of-00001.parquet", ["test-00000-of-00001.parquet"]),
        ("train/a.jsonl", ["test/a.jsonl"]),
        ("data/train/a.jsonl", ["data/validation/deep/a.jsonl", "data/test/a.jsonl"]),
        ("train.jsonl", ["test.jsonl", "more.jsonl"]),
        ("my-train.jsonl", ["my-eval.jsonl"]),
        ("train-1.jsonl", ["test-1.jsonl"]),
    ],
)
def test_splits_are_not_mixed(tmp_path: Path, training: str, others: list[str]) -> None:
    for name in (training, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_records(tmp_path / name, RECORDS)
    for name in (".hidden/a.jsonl", "LICENSE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(LINES)
    with pytest.raises(DataError) as raised:
        open_data(tmp_path)
    assert f"{tmp_path} has the splits train, " in str(raised.value)
    all_of_it = f"{tmp_path}/**/*"
    assert str(raised.value).endswith(
        f": name one, such as {tmp_path}/train, or all by a pattern, {all_of_it}"
    )
    assert read(open_data(tmp_path / "train")) == RECORDS
    assert read(open_data(all_of_it)) == RECORDS * (1 + len(others))


def test_nested_shards_are_one_data_set(tmp_path: Path) -> None:
    for name in ("2023/2.jsonl", "2023/10.csv", "2024/1.jsonl", "train.jsonl", ".hidden/a.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        ending = (tmp_path / name).with_suffix(".jsonl")
        write_records(ending, [RECORDS[0] | {"output": name}])
        if name.endswith(".csv"):
            ending.unlink()
            (tmp_path / name).write_text(f"instruction,input,output\nq0,,{name}\n")
    data = open_data(tmp_path)
    assert data.describe() == "alpaca records in 1 file of CSV, 3 files of JSON lines"
    names = ["2023/10.csv", "2023/2.jsonl", "2024/1.jsonl", "train.jsonl"]
    assert [record["output"] for record in read(data)] == names
    assert [record["output"] for record in read(open_data(f"{tmp_path}/*/*.jsonl"))] == names[1:3]


def test_a_file_next_to_its_copy_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", RECORDS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    with pytest.raises(
        DataError, match=r"has a\.jsonl and a\.jsonl\.gz, which seem to be the same data: name"
    ):
        open_data(tmp_path)
    assert read(open_data(f"{tmp_path}/*.jsonl.gz")) == RECORDS


@pytest.mark.parametrize("name", ["b.XLSX", "b.zip", "c.jsonl.xz", "in/b.tar.gz", "b.sqlite", "b.csv.lz4"])
def test_data_that_would_be_left_out_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write_records(tmp_path / "a.jsonl", RECORDS)
    for other in ("README.md", "LICENSE", "image.png", "notes.txt", "~$b.xlsx", ".b.xlsx"):
        (tmp_path / other).write_text("none")
    assert read(open_data(tmp_path)) == RECORDS
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"PK")
    for place in (tmp_path, tmp_path / "**" / "*"):
        with pytest.raises(DataError, match=f"has .*{name} of data that coevol does not read: "):
            open_data(place)
    assert read(open_data(tmp_path / "*.jsonl")) == RECORDS


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match=r"has no data: expected files that end in \.arrow, \.csv, "):
        open_data(tmp_path)


def test_a_saved_data_set_is_read(tmp_path: Path) -> None:
    Dataset.from_list(RECORDS).save_to_disk(tmp_path / "one", num_shards=2)
    data = open_data(tmp_path / "one")
    assert data.describe() == "alpaca records in 2 files of Arrow"
    assert read(data) == RECORDS
    DatasetDict({"train": Dataset.from_list(RECORDS)}).save_to_disk(tmp_path / "split")
    assert read(open_data(tmp_path / "split")) == RECORDS
    both = DatasetDict({"train": Dataset.from_list(RECORDS), "test": Dataset.from_list(RECORDS[:1])})
    both.save_to_disk(tmp_path / "both")
    with pytest.raises(DataError, match=r"has the splits train, test: name one, such as .*both/train, or"):
        open_data(tmp_path / "both")
    assert read(open_data(tmp_path / "both" / "test")) == RECORDS[:1]


@pytest.mark.parametrize("codec", ["gz", "zst", "bz2"])
def test_compressed_files_are_read(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"data.jsonl.{codec}"
    path.write_bytes(compressed(codec, LINES[:40]) + compressed(codec, LINES[40:]))
    assert read(open_data(path)) == RECORDS
    array = tmp_path / f"data.json.{codec}"
    array.write_bytes(compressed(codec, json.dumps(RECORDS).encode()))
    assert read(open_data(array)) == RECORDS
    path.write_bytes(compressed(codec, LINES * 500)[:-9])
    with pytest.raises(DataError, match=rf"data\.jsonl\.{codec} cannot be read") as raised:
        open_data(path).check()
    assert "ends too early; get or compress it again" in str(raised.value)


def test_how_far_a_truncated_file_can_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    lines = b"".join(
        b'{"instruction": "q", "output": "%s"}\n' % os.urandom(60).hex().encode() for _ in range(3000)
    )
    whole = gzip.compress(lines)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read beyond 1,[0-9]{3} records: it ends too early; get"):
        open_data(path).check()


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_whatever_separates_its_fields(
    tmp_path: Path, ending: str, separator: str, encoding: str
) -> None:
    rows = [["instruction", "the input, or; none|no\ttext", "output"], ["q", "1,2;3|4\t5", "a 好"]]
    text = "".join(separator.join(f'"{field}"' for field in row) + "\r\n" for row in rows)
    path = tmp_path / f"data.{ending}"
    path.write_bytes(text.encode(encoding))
    assert read(open_data(path)) == [dict(zip(*rows, strict=True))]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_json_with_a_mark_of_its_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    records = [RECORDS[0] | {"output": "好" * 40_000}, *RECORDS]
    for name, text in {
        "data.json": json.dumps(records, ensure_ascii=False),
        "data.jsonl": "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
    }.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert read(open_data(tmp_path / name)) == records
    (tmp_path / "odd.jsonl").write_bytes(LINES.decode().encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"cannot be read: expected UTF-16, as its first bytes say"):
        open_data(tmp_path / "odd.jsonl").check()


@pytest.mark.parametrize(
    ("whole", "named"),
    [
        ({"data": RECORDS}, None),
        ({"version": "1.0", "count": 5, "license": None, "records": RECORDS, "more": {}}, None),
        ({"pairs": RECORDS}, "pairs"),
        ({"data": {"rows": RECORDS}}, "data.rows"),
    ],
)
def test_records_in_an_object_are_read_where_that_is_clear(
    tmp_path: Path, whole: dict[str, Any], named: str | None
) -> None:
    for indent in (None, 1):
        path = tmp_path / "data.json"
        path.write_text(json.dumps(whole, indent=indent))
        if named is None:
            assert read(open_data(path)) == RECORDS
            continue
        with pytest.raises(DataError) as raised:
            open_data(path)
        assert str(raised.value).endswith(
            f'the file is one object, with what may be records in "{named}": write that list to a file'
        )


def test_records_with_a_list_of_objects_are_not_taken_for_one_object(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"id": "1", "data": [{"x": 1}], "instruction": "q", "output": "a"}\n' * 2)
    assert len(read(open_data(path))) == 2


def test_memory_does_not_grow_with_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(100):
            file.write(LINES * 1000)
    data = open_data(path)
    tracemalloc.start()
    assert data.check().count == 500_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000  # the text is 27 MB


@pytest.mark.parametrize(("ending", "comma"), [(".csv", ","), (".tsv", "\t")])
def test_tables_are_read(tmp_path: Path, ending: str, comma: str) -> None:
    path = tmp_path / f"data{ending}"
    rows = [
        "instruction input output".replace(" ", comma),
        f'"q\n""x"""{comma}{comma}a',
        "",
        f"q{comma}i{comma}b",
    ]
    path.write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8", newline="")
    expected = [
        {"instruction": 'q\n"x"', "input": "", "output": "a"},
        {"instruction": "q", "input": "i", "output": "b"},
    ]
    assert read(open_data(path)) == expected
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read(open_data(f"{path}.gz")) == expected
    path.write_text("\n".join([*rows, "one"]), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"line 6 \(record 3\): expected 3 fields, as in the first line, found 1; --s"
    ):
        open_data(path).check()
    assert [sample.skip is None for sample in open_data(path, skip_bad=True).samples()] == [True, True, False]
    path.write_text("\n".join([rows[0], "one", *rows[1:], "two"]), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"line 2 \(record 1\): .*, found 1; 1 more record cannot be read; --skip-bad passes"
    ):
        open_data(path).check()
    assert [sample.skip is None for sample in open_data(path, skip_bad=True).samples()] == [
        *(False, True, True, False),
    ]
    path.write_text("\n".join([rows[0], "one", "two"]), encoding="utf-8")
    for skip_bad in (False, True):
        with pytest.raises(
            DataError, match=r"line 2 \(record 1\): .*, found 1; of the first 2 records, 2 cannot be read$"
        ):
            open_data(path, skip_bad=skip_bad)
    path.write_bytes("\n".join(rows).encode() + b"\nq" + comma.encode() + b"\xe4")
    with pytest.raises(DataError, match="expected UTF-8"):
        open_data(path).check()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS), min_size=1, max_size=4))
def test_a_table_of_pandas_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path_factory.mktemp("table") / "data.csv"
    frame = pandas.DataFrame(pairs, columns=["prompt", "completion"])
    frame["messages"] = [
        json.dumps([{"role": "user", "content": q}, {"role": "assistant", "content": a}]) for q, a in pairs
    ]
    frame.to_csv(path, index=False, lineterminator="\r\n")  # so that it quotes every \r
    found = list(open_data(path, "prompt-completion").samples())
    assert [(s.exchanges[0].instruction, s.exchanges[0].response) for s in found] == [
        (q, a) for q, a in pairs
    ]
    assert [s.exchanges[0].response for s in open_data(path, "messages").samples()] == [a for _, a in pairs]


def test_standard_input_and_pipes_are_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    data = open_data("-")
    assert (data.path, read(data)) == ("-", RECORDS)
    assert data.check().sha256 == hashlib.sha256(LINES).hexdigest()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match=r"^standard input is empty; expected a JSON array"):
        open_data("-")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(LINES,))
    writer.start()
    assert read(open_data(pipe)) == RECORDS
    writer.join()


def test_parquet_shards_are_streamed(tmp_path: Path) -> None:
    for number in range(4):
        rows = [{"instruction": f"q{number}-{row}", "output": "y" * 500} for row in range(5000)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"part-{number}.parquet")
    data = open_data(tmp_path)
    tracemalloc.start()
    assert sum(1 for _ in data.samples()) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    "text",
    [
        "instruction,input,output,,\r\nq,,a,,\r\n,,,,\r\nr,,b\r\n",
        "instruction,input,output\r\nq,,a,,\r\n,,\r\nr,,b\r\n",
        "instruction,,input,output,\r\nq,,,a,\r\n,,,,\r\nr,,,b,\r\n",
        'sep=;\r\ninstruction;input;output\r\n"q";;a\r\n;;\r\nr;;b\r\n',
        '"sep=|"\ninstruction|input|output\nq||a\n||\nr||b\n',
        'instruction, input, output\nq, , a\n, , \n"r", , "b"\n',
        "instruction ;input; output\nq;;a\n;;\nr;;b\n",
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    expected = [("q", "a"), ("", ""), ("r", "b")]
    assert read(open_data(tmp_path / "a.csv")) == [
        {"instruction": asked, "input": "", "output": answered} for asked, answered in expected
    ]


def test_a_value_without_a_name_and_a_line_after_sep_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("instruction,output,,\nq,a,,x\n")
    with pytest.raises(DataError, match=r"line 2 \(record 1\): found a value in a column without a name"):
        open_data(tmp_path / "a.csv").check()
    (tmp_path / "a.csv").write_text("sep=;\ninstruction;output\nq;a\nq\n")
    with pytest.raises(DataError, match=r"line 4 \(record 2\): expected 2 fields"):
        open_data(tmp_path / "a.csv").check()


@pytest.mark.parametrize(
    "text", ["question,answer\nq,a\n", "question\tanswer\nq\ta\n", "sep=;\nquestion;answer\nq;a\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_are_read_from_standard_input_and_text_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, encoding: str
) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read(open_data(tmp_path / "a.txt")) == [{"question": "q", "answer": "a"}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode(encoding))))
    assert read(open_data("-")) == [{"question": "q", "answer": "a"}]


@pytest.mark.parametrize("text", ["Some prose, and\nmore.\n", "question\nanswer\n"])
def test_text_that_is_no_table_is_refused_with_what_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=r"a\.txt, line 1: expected .*CSV or TSV"):
        open_data(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("encoding", "answer", "named"),
    [("gbk", "这是它。", "GB18030"), ("cp1252", "C'est l'été à Nîmes.", "CP1252")],
)
def test_a_table_in_another_encoding_is_refused_with_its_likely_name(
    tmp_path: Path, encoding: str, answer: str, named: str
) -> None:
    (tmp_path / "a.csv").write_bytes(f"question,answer\nq,a\nq,{answer}\n".encode(encoding))
    with pytest.raises(DataError, match=rf"a\.csv, line 3: expected UTF-8, .*iconv -f {named}"):
        open_data(tmp_path / "a.csv").check()


def test_lists_as_python_prints_them_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("conversations,x\n\"[{'from': 'human', 'value': 'q'}]\",1\n")
    with pytest.raises(DataError, match=r'in "conversations", found a list as Python prints it: save'):
        open_data(tmp_path / "a.csv").check()


def test_configurations_are_not_mixed(tmp_path: Path) -> None:
    for name in ("en", "zh"):
        write_records(tmp_path / name / "train-00000-of-00001.jsonl", RECORDS)
    with pytest.raises(DataError, match=r"has the configurations en, zh: name one, such as .*/en,"):
        open_data(tmp_path)
    assert read(open_data(tmp_path / "en")) == RECORDS
    assert read(open_data(tmp_path / "**" / "*")) == RECORDS * 2


@pytest.mark.parametrize("names", [("train.jsonl", "test.jsonl"), ("train/0.jsonl", "test/0.jsonl")])
def test_a_configuration_and_a_split_are_asked_for(tmp_path: Path, names: tuple[str, ...]) -> None:
    for language in ("en", "zh"):
        for name in names:
            write_records(tmp_path / "c1" / language / name, RECORDS)
    folder = tmp_path / "c1"
    for asked in (tmp_path, tmp_path / "train", folder, folder / "train"):
        with pytest.raises(
            DataError, match=r"/c1 has the configurations en, zh: name both, such as .*/c1/en/train, or all"
        ):
            open_data(asked)
    with pytest.raises(DataError, match=r"name both, such as .*/c1/en/test,"):
        open_data(folder / "test")
    assert read(open_data(folder / "en" / "train")) == RECORDS
    assert read(open_data(folder / "**" / "*")) == RECORDS * 4
    card = "---\nconfigs:\n- {config_name: a, data_files: en/*}\n- {config_name: b, data_files: zh/*}\n---\n"
    (folder / "README.md").write_text(card)
    with pytest.raises(DataError, match=r"a, b, as README\.md says: name both, such as .*/c1/a/train,"):
        open_data(folder / "train")


def test_of_a_card_with_one_configuration_its_files_are_read(tmp_path: Path) -> None:
    write_records(tmp_path / "data/a.jsonl", RECORDS)
    write_records(tmp_path / "data/b.jsonl", RECORDS)
    write_records(tmp_path / "raw/train.jsonl", RECORDS)
    (tmp_path / "old.zip").write_bytes(b"PK")
    front = "---\nconfigs:\n- config_name: default\n  {}\n---\n"
    card = tmp_path / "README.md"
    for files, count in (("data_files: data/a*", 1), ("data_files: [data/*]", 2), ("data_dir: data", 2)):
        card.write_text(front.format(files))
        for name in ("", "default", "train", "default/train"):
            data = open_data(tmp_path / name)
            assert read(data) == RECORDS * count
            assert data.describe().endswith("JSON lines, as README.md says")
    for files in (
        "data_files: [{split: train, path: data/a*}, {split: test, path: data/b*}]",
        "data_dir: .",
    ):
        write_records(tmp_path / "data/test.jsonl", RECORDS)
        (tmp_path / "old.zip").unlink(missing_ok=True)
        card.write_text(front.format(files))
        with pytest.raises(DataError, match=r"has the splits train, test: name one, such as .*/train, or"):
            open_data(tmp_path)
        assert read(open_data(tmp_path / "test")) == RECORDS
    card.write_text(front.format("data_files: data/z-*"))
    with pytest.raises(DataError, match=r": no files match data/z-\*, as README\.md says$"):
        open_data(tmp_path)
    with pytest.raises(DataError, match=r"does not exist"):
        open_data(tmp_path / "typo.jsonl")


def test_a_card_with_configurations_is_heeded(tmp_path: Path) -> None:
    for number, name in enumerate(("easy.jsonl", "hard/a.jsonl", "hard/b.jsonl", "hard/test.jsonl")):
        write_records(tmp_path / name, [RECORDS[0] | {"output": str(number)}])
    card = """---
license: mit
configs:
- config_name: easy
  data_files: easy.jsonl
- config_name: 'all of it'
  data_files:
  - split: train
    path: ["hard/[ab].jsonl", ./easy.jsonl]
  - {split: test, path: hard/test*}
- config_name: 2
  data_dir: hard
- config_name: away
  data_files: [../*.jsonl, /etc/passwd, nothing.jsonl]
---
# A"""
    (tmp_path / "README.md").write_text(card)
    names = "easy, all of it, 2, away"
    with pytest.raises(
        DataError, match=rf"configurations {names}, as README\.md says: name one, such as .*/easy,"
    ):
        open_data(tmp_path)
    found = {"easy": "0", "all of it/train": "120", "all of it/test": "3", "2": "123", "2/train": "123"}
    for name, outputs in found.items():
        assert "".join(record["output"] for record in read(open_data(tmp_path / name))) == outputs
    with pytest.raises(DataError, match=r"has the splits train, test: name one, such as .*/all of it/train"):
        open_data(tmp_path / "all of it")
    with pytest.raises(DataError, match=r"/2 has the splits train: name one, such as .*/2/train"):
        open_data(tmp_path / "2" / "dev")
    with pytest.raises(
        DataError, match=r": no files match \.\./\*\.jsonl, /etc/passwd, nothing\.jsonl, as README\.md says$"
    ):
        open_data(tmp_path / "away")
    for name in ("other", "easy.json"):
        with pytest.raises(DataError, match="does not exist"):
            open_data(tmp_path / name)
    for broken in (
        card.replace("easy\n", ": [\n"),
        "---\nconfigs: config_name\n---\n",
        card.replace("-", ""),
    ):
        (tmp_path / "README.md").write_text(broken)
        with pytest.raises(DataError, match=r"has the splits? "):
            open_data(tmp_path)


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        (["train-00000-of-00003.jsonl", "train-00002-of-00003.jsonl"], "train-00001-of-00003.jsonl"),
        (["part_1_of_3.jsonl"], "part_0_of_3.jsonl and 1 more file"),
        (["part_1_of_3.jsonl", "part_3_of_3.jsonl"], "part_2_of_3.jsonl"),
        (["data/train-00001-of-00002-0a1b2c3d4e5f6071.jsonl"], "train-00000-of-00002.jsonl"),
        (["train-00000-of-00002.jsonl.gz"], "train-00001-of-00002.jsonl.gz"),
    ],
)
def test_a_missing_shard_is_named(tmp_path: Path, names: list[str], lacking: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        data = LINES if name.endswith(".jsonl") else gzip.compress(LINES)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path} lacks {lacking}, as the names")) as raised:
        open_data(tmp_path)
    pattern = str(raised.value).partition("such as ")[2]
    assert read(open_data(pattern)) == RECORDS * len(names)
    assert read(open_data(tmp_path / names[0])) == RECORDS


def test_numbers_that_count_no_files_are_none(tmp_path: Path) -> None:
    for name in ("chapter-12-of-3.jsonl", "chapter-1-of-3.jsonl"):
        (tmp_path / name).write_bytes(LINES)
    assert read(open_data(tmp_path)) == RECORDS * 2


def test_a_file_of_a_saved_data_set_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    with pytest.raises(DataError, match=r"lacks data-00000-of-00001\.arrow, which its state\.json names"):
        open_data(tmp_path)


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
@pytest.mark.parametrize("content", ['{"step": 3}', "[]", '{"_data_files": [], "splits": []}'])
def test_other_programs_have_files_of_these_names_too(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "a.jsonl").write_bytes(LINES)
    assert read(open_data(tmp_path)) == RECORDS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "https://u:key@example.com/a.jsonl?sig=key",
            "https://example.com/a.jsonl is an address, .*download",
        ),
        ("s3://bucket/a.jsonl", "s3://bucket/a.jsonl is an address, .*download"),
        ("file:///tmp/a.jsonl", "name the file /tmp/a.jsonl$"),
        ("https://huggingface.co/datasets/o/n/viewer?p=1", "name the data set hf://datasets/o/n$"),
        ("owner/some-data", "does not exist; on the Hub it would be hf://datasets/owner/some-data$"),
        (
            "hf://datasets/o/n/data/train-00000-of-00001.parquet",
            "a file: name its split, such as hf://.*/train",
        ),
    ],
)
def test_an_address_or_a_name_on_the_hub_is_told_what_to_name(name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_data(name)
