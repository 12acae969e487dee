"""Whole runs over data of other layouts and over odd records: what goes in comes out, with new responses."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from samples.files import write_records
from tests.conftest import look

ODD = (
    b'{"id": "a", "instruction": "Say one.", "output": "1."}\n'
    b'{"id": "a", "instruction": "Say two.", "output": "2."}\n'
    b'{"id": "b", "instruction": "Say three.", "output": [3]}\n'
    b'{"cut off \xe4\n'
    b"[1, 2]\n"
    b'{"id": "c", "instruction": "Say four.", "output": [4]}\n'
)
SURE = ("--rehearsal-wins", 1, "--max-rounds", 1)


def test_bad_records_are_passed_over_and_kept(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(ODD)
    ended = look("evolve", "data.jsonl", "-o", "run", cwd=tmp_path, status=2)
    assert "line 3 (record 3)" in ended.stderr
    assert "3 more records cannot be read; --skip-bad passes over such records" in ended.stderr
    for _ in range(2):
        ended = look("evolve", "data.jsonl", "-o", "run", "--skip-bad", *SURE, cwd=tmp_path)
    assert "0 calls" in ended.stderr
    facts = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["samples"]
    assert (facts["finished"], facts["skipped"]) == (6, 4)
    assert facts["skipped_by_reason"]['expected a string in "output", found a list'] == 2
    look("export", "run", "-o", "out.jsonl", cwd=tmp_path)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert lines[2:] == ODD.splitlines()[2:]
    assert [json.loads(line)["output"].startswith(f"{n}. ") for n, line in enumerate(lines[:2], 1)] == [
        True
    ] * 2
    assert "Sample a#1 of run" in look("show", "run", "a#1", cwd=tmp_path).stdout
    look("export", "run", "-o", "with.jsonl", "--with-provenance", cwd=tmp_path)
    assert (tmp_path / "with.jsonl").read_bytes().splitlines()[3:5] == ODD.splitlines()[3:5]
    ended = look("export", "run", "-o", "out.parquet", cwd=tmp_path)
    assert "2 of 6 records, 2 with new responses; 4 unreadable and left out" in ended.stderr
    assert "out.parquet.unreadable.jsonl: 4 records that cannot be read, as they were" in ended.stderr
    assert (tmp_path / "out.parquet.unreadable.jsonl").read_bytes().splitlines() == ODD.splitlines()[2:]
    assert pq.read_schema(tmp_path / "out.parquet").names == ["id", "instruction", "output"]
    ended = look("export", "run", "-o", "out.json", cwd=tmp_path)
    assert "out.json.unreadable.jsonl: 1 record that cannot be read, as they were" in ended.stderr
    assert (tmp_path / "out.json.unreadable.jsonl").read_bytes().splitlines() == [ODD.splitlines()[3]]
    kept = json.loads((tmp_path / "out.json").read_bytes())[2:]
    assert kept == [json.loads(line) for n, line in enumerate(ODD.splitlines()) if n in (2, 4, 5)]


def test_a_run_of_records_with_labels_that_began_before_they_were_asked_about_resumes(tmp_path: Path) -> None:
    write_records(tmp_path / "data.jsonl", [{"prompt": "Say one.", "completion": "1.", "label": True}])
    look("evolve", "data.jsonl", "-o", "run", *SURE, "--format", "prompt-completion", cwd=tmp_path)
    assert "1/1 samples" in look("evolve", "data.jsonl", "-o", "run", *SURE, cwd=tmp_path).stderr
    ended = look("evolve", "data.jsonl", "-o", "new", *SURE, cwd=tmp_path, status=2)
    assert "a label of good or bad: choose those to improve with --improve chosen or" in ended.stderr


def test_a_part_without_records_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "data.jsonl", [{"instruction": "Say one.", "output": "1."}])
    for part, message in (
        (
            ("--start", 1),
            "start (--start) 1 is behind the last record: data.jsonl has 1 record, counted from 0",
        ),
        (("--start", 0, "--stop", 0), "stop (--stop) 0 leaves no record from 0 (--start)"),
    ):
        assert message in look("evolve", "data.jsonl", "-o", "run", *part, cwd=tmp_path, status=2).stderr


@pytest.mark.parametrize(
    ("record", "options", "field"),
    [
        ({"prompt": "Say one.", "completion": "1.", "n": 1}, (), "completion"),
        ({"question": "Say one.", "response": "1.", "system_prompt": "Be brief."}, (), "response"),
        ({"ask": "Say one.", "reply": "1.", "n": 1}, ("--columns", "request=ask,response=reply"), "reply"),
        ({"prompt": "Say one.", "chosen": "1.", "rejected": "2."}, ("--improve", "chosen"), "chosen"),
        ({"instruction": "Say one.", "output": ["1.", "2."]}, ("--improve", "rejected"), "output"),
        ({"prompt": "Say one.", "chosen": "1.", "rejected": "2."}, ("--improve", "rejected"), "rejected"),
    ],
)
@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_a_layout_is_kept(
    tmp_path: Path, record: dict[str, Any], options: tuple[str, ...], field: str, ending: str
) -> None:
    write_records(tmp_path / f"data.{ending}", [record, record])
    look("evolve", f"data.{ending}", "-o", "run", *SURE, *options, cwd=tmp_path)
    look("export", "run", "-o", "out.jsonl", cwd=tmp_path)
    for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines():
        found = json.loads(line)
        assert found == record | {field: found[field]}
        assert found[field] != record[field]
    look("export", "run", "-o", f"out.{ending}", cwd=tmp_path)
    ended = look("evolve", f"out.{ending}", "-o", "again", *SURE, *options, cwd=tmp_path)
    assert "2/2 samples" in ended.stderr


def test_a_record_that_is_passed_over_counts_in_each_mode(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(ODD)
    modes = ("--mode=edit", "--mode=refine")
    for _ in range(2):
        ended = look("evolve", "data.jsonl", "-o", "run", "--skip-bad", *modes, *SURE, cwd=tmp_path)
        shown = [line for line in ended.stderr.splitlines() if "samples ·" in line]
        assert all("/12 samples · " in line for line in shown)
        assert shown[-1].startswith("12/12 samples · ")


def test_a_shard_of_the_data_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shard = tmp_path / "data" / "one.jsonl"
    write_records(shard, [{"instruction": "Say one.", "output": "1."}])
    before = shard.read_bytes()
    look("evolve", "data", "-o", "run", *SURE, cwd=tmp_path)
    ended = look("export", "run", "-o", shard, cwd=tmp_path, status=2)
    assert "is the data of this run; choose another file" in ended.stderr
    assert shard.read_bytes() == before


def test_an_export_with_several_exchanges_is_read_again(tmp_path: Path) -> None:
    turns = [{"from": ("human", "gpt")[n % 2], "value": f"Text {n}."} for n in range(4)]
    write_records(tmp_path / "data.json", [{"conversations": turns}])
    look("evolve", "data.json", "-o", "run", *SURE, cwd=tmp_path)
    look("export", "run", "-o", "alpaca.json", "--to", "alpaca", cwd=tmp_path)
    look("evolve", "alpaca.json", "-o", "again", *SURE, cwd=tmp_path)
    look("export", "again", "-o", "out.json", cwd=tmp_path)
    (before,), (after,) = (
        json.loads((tmp_path / name).read_text("utf-8")) for name in ("alpaca.json", "out.json")
    )
    assert before["history"][0][0] == after["history"][0][0] == "Text 0."
    assert before["history"][0][1] != after["history"][0][1]
    assert before["output"] != after["output"]


def test_a_table_comes_back_as_it_was_written_and_is_read_again(tmp_path: Path) -> None:
    rows = '"Say ""one""; now.";"[1, 2]";1.\r\nSay two.;;"2.\r\n=2"\r\nbroken;row\r\n'
    (tmp_path / "data.csv").write_bytes(f"\ufeffinstruction;notes;output\r\n{rows}".encode())
    look("evolve", "data.csv", "-o", "run", "--skip-bad", *SURE, cwd=tmp_path)
    look("export", "run", "-o", "sets/out.csv", cwd=tmp_path)
    added = " [rehearsed 1×: a model would have revised this]"
    new = rows.replace("1.\r\nSay", f"1.{added}\r\nSay").replace('=2"', f'=2{added}"')
    expected = f"\ufeffinstruction;notes;output\r\n{new}".replace('"[1, 2]"', "[1, 2]").encode()
    assert (tmp_path / "sets/out.csv").read_bytes() == expected.replace(b"broken;row\r\n", b"")
    kept = (tmp_path / "sets/out.csv.unreadable.jsonl").read_text("utf-8")
    assert kept == '["broken", "row"]\n'
    assert 'data_files: "out.csv"' in (tmp_path / "sets/README.md").read_text("utf-8")
    look("evolve", "sets/out.csv", "-o", "again", *SURE, cwd=tmp_path)
    look("export", "again", "-o", "turns.csv.gz", "--to", "messages", cwd=tmp_path)
    assert (
        "messages records in a CSV file"
        in look("evolve", "turns.csv.gz", "-o", "turns", *SURE, cwd=tmp_path).stderr
    )
    look("export", "turns", "-o", "turns.jsonl", cwd=tmp_path)
    lines = (tmp_path / "turns.jsonl").read_text("utf-8").splitlines()
    turns = [json.loads(json.loads(line)["messages"]) for line in lines]
    assert [each[0]["content"] for each in turns] == ['Say "one"; now.', "Say two."]
    assert all("rehearsed" in each[1]["content"] for each in turns)
