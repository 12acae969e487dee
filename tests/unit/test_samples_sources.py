"""Where data lies: shards, saved data sets, compressed files, tables, standard input."""

import bz2
import gzip
import hashlib
import io
import json
import os
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


def test_splits_are_not_mixed(tmp_path: Path) -> None:
    for name in ("test-00000-of-00001", "train-00000-of-00001"):
        write_records(tmp_path / f"{name}.parquet", RECORDS)
    with pytest.raises(DataError) as raised:
        open_data(tmp_path)
    assert str(raised.value) == f"{tmp_path} has the splits test, train: name one, such as {tmp_path}/*train*"
    assert read(open_data(f"{tmp_path}/*train*")) == RECORDS


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
    with pytest.raises(DataError, match=r"has the splits test, train: name one, such as .*both/train$"):
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
    with pytest.raises(DataError, match=rf"data\.jsonl\.{codec} cannot be read"):
        open_data(path).check()


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
