"""Exports: the same records in the same order, with the responses of the run and nothing else changed."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pandas
import pytest
from datasets import Dataset

from ledger.ledger import Ledger
from tests.conftest import FAILING, look
from tests.program import EXAMPLES, coevol, start


def read(path: Path) -> Any:
    if path.suffix == ".parquet":
        return Dataset.from_parquet(str(path), cache_dir=str(path.parent / "cache")).to_list()
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_each_mode_has_a_file_with_every_record_and_its_response(
    modes_run: Path, tmp_path: Path, ending: str
) -> None:
    ended = look("export", modes_run, "-o", f"out.{ending}", cwd=tmp_path)
    assert "12 of 12 records" in ended.stderr
    assert "no improvement" in ended.stderr
    original = read(EXAMPLES / "alpaca_en.json")
    outcomes = {sample.id: by_mode for sample, by_mode in Ledger.open(modes_run / "ledger.sqlite").samples()}
    for mode in ("edit", "evolve"):
        expected = [r | {"output": outcomes[r["id"]][mode].outcome[0]["response"]} for r in original]
        assert read(tmp_path / f"out.{mode}.{ending}") == expected
        assert expected != original
    look("export", modes_run, "-o", f"one.{ending}", "--mode", "edit", cwd=tmp_path)
    assert read(tmp_path / f"one.{ending}") == read(tmp_path / f"out.edit.{ending}")


def test_pandas_reads_it(modes_run: Path, tmp_path: Path) -> None:
    look("export", modes_run, "-o", "out.parquet", "--mode", "evolve", cwd=tmp_path)
    frame = pandas.read_parquet(tmp_path / "out.parquet")
    assert list(frame.columns) == ["id", "instruction", "input", "output"]
    assert list(frame["id"]) == [record["id"] for record in read(EXAMPLES / "alpaca_en.json")]


def test_only_accepted_leaves_out_the_rest(modes_run: Path, tmp_path: Path) -> None:
    look("export", modes_run, "-o", "out.json", "--only-accepted", cwd=tmp_path)
    accepted = [
        sample.id
        for sample, by_mode in Ledger.open(modes_run / "ledger.sqlite").samples()
        if by_mode["evolve"].accepted_rounds
    ]
    assert [record["id"] for record in read(tmp_path / "out.evolve.json")] == accepted
    assert 0 < len(accepted) < 12
    assert len(read(tmp_path / "out.edit.json")) == 12  # without a judge every draft counts as accepted


def test_a_failed_exchange_keeps_its_response_and_the_others_theirs(
    failing_run: Path, tmp_path: Path
) -> None:
    ended = look("export", failing_run, "-o", "out.json", cwd=tmp_path)
    assert "3 of 3 records, 2 with new responses; 1 with a failure" in ended.stderr
    middle, tool, strange = read(tmp_path / "out.json")
    before = [turn["value"] for turn in FAILING[0]["conversations"]]
    after = [turn["value"] for turn in middle["conversations"]]
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        True, False, True, True, True, False,
    ]  # fmt: skip
    assert middle["source"] == "test"
    assert tool == FAILING[1]
    assert strange["id"] == FAILING[2]["id"]


def test_what_another_format_cannot_express_is_left_out_and_reported(
    failing_run: Path, tmp_path: Path
) -> None:
    ended = look("export", failing_run, "-o", "out.jsonl", "--to", "messages", cwd=tmp_path)
    assert "1 record left out because messages cannot express them (the first: sample tool" in ended.stderr
    middle, _ = read(tmp_path / "out.jsonl")
    assert [turn["role"] for turn in middle["messages"]] == ["user", "assistant"] * 3
    look("export", failing_run, "-o", "out.json", "--to", "alpaca", cwd=tmp_path)
    middle, _ = read(tmp_path / "out.json")
    assert middle["instruction"] == "Name a tree."
    assert len(middle["history"]) == 2
    assert middle["source"] == "test"


def test_a_run_in_progress_exports_what_is_finished(tmp_path: Path) -> None:
    records = [{"instruction": f"Say {n}.", "output": "no. " * 200} for n in range(3000)]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    process = start("evolve", "data.json", "-o", "run", "--concurrency", 4, cwd=tmp_path)
    try:
        while True:
            ended = coevol("export", "run", "-o", "out.json", cwd=tmp_path, status=None)
            if ended.returncode == 0:
                break
            assert ended.returncode == 2
            assert process.poll() is None, "the run ended before it could be exported"
            assert not (tmp_path / "out.json").exists()
            time.sleep(0.1)
        assert "coevol" not in ended.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    found = read(tmp_path / "out.json")
    assert f"{len(found)} of 3,000 records" in ended.stderr
    assert f"{3000 - len(found):,} not finished in this run" in ended.stderr
    positions = [int(record["instruction"].removeprefix("Say ").rstrip(".")) for record in found]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing-here", "-o", "out.json"), "nothing-here is not a run"),
        (("RUN", "-o", "out.txt"), "expected a name that ends in .json, .jsonl, .parquet"),
        (("RUN", "-o", "out.json", "--mode", "debate"), "its modes: edit, evolve"),
        (("RUN", "-o", "missing/out.json"), "cannot be written"),
        (
            ("RUN", "-o", EXAMPLES / "alpaca_en.json", "--mode", "edit"),
            "is the data of this run; choose another file",
        ),
    ],
)
def test_errors_are_reported_and_nothing_is_written(
    modes_run: Path, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    data = (EXAMPLES / "alpaca_en.json").read_bytes()
    called = [modes_run if word == "RUN" else word for word in words]
    ended = look("export", *called, cwd=tmp_path, status=2)
    assert message in ended.stderr
    assert list(tmp_path.iterdir()) == []
    assert (EXAMPLES / "alpaca_en.json").read_bytes() == data
