"""Exports: the same records in the same order, with the responses of the run and nothing else changed."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
from datasets import Dataset

from ledger.ledger import Ledger
from models.settings import ROLES
from runners.provenance import COLUMNS
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
        (("RUN", "-o", "out.txt"), "expected a name that ends in .json, .jsonl, .csv, .tsv, .parquet"),
        (("RUN", "-o", "out.json", "--mode", "debate"), "its modes: edit, evolve"),
        (("RUN", "-o", "out.jsonl", "--to", "openai", "--with-provenance"), "openai takes no other fields"),
        (("RUN", "-o", "out.json", "--mark-contaminated"), "--mark-contaminated needs --decontaminate FILE"),
        (("RUN", "-o", "out.json", "--decontaminate", "nothing.txt"), "nothing.txt cannot be read"),
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


def test_folders_are_made_and_each_file_has_its_card(modes_run: Path, tmp_path: Path) -> None:
    ended = look("export", modes_run, "-o", "a/b/out.json", cwd=tmp_path)
    cards = {"out.edit.json": "README.md", "out.evolve.json": "out.evolve.json-README.md"}
    assert {path.name for path in (tmp_path / "a/b").iterdir()} == {*cards, *cards.values()}
    for file, card in cards.items():
        text = (tmp_path / "a/b" / card).read_text("utf-8")
        assert f'data_files: "{file}"' in text and "layout of alpaca records" in text
        assert f"a/b/{card}: its data card" in ended.stderr
    (tmp_path / "file").touch()
    refused = look("export", modes_run, "-o", "file/out.json", "--mode", "edit", cwd=tmp_path, status=2)
    assert "file/out.json cannot be written" in refused.stderr


@pytest.mark.parametrize("ending", ["json", "parquet"])
def test_provenance_has_one_type_in_every_row(failing_run: Path, tmp_path: Path, ending: str) -> None:
    look("export", failing_run, "-o", f"out.{ending}", "--with-provenance", cwd=tmp_path)
    failed, skipped, done = (
        {n: v for n, v in r.items() if n[:7] == "coevol_"} for r in read(tmp_path / f"out.{ending}")
    )
    assert list(failed) == list(skipped) == list(done) == [f"coevol_{name}" for name in COLUMNS]
    assert len({tuple(type(value) for value in row.values()) for row in (failed, skipped, done)}) == 1
    assert [row["coevol_status"] for row in (failed, skipped, done)] == ["failed", "skipped", "done"]
    assert (failed["coevol_reason"], failed["coevol_exchanges"]) == ("content filter", 3)
    assert failed["coevol_endings"].split(",")[1] == "failed"
    assert failed["coevol_original_responses"] == ["Apple.", "Carrot.", "Oak."]
    assert done["coevol_models"] == dict.fromkeys(ROLES, "openai:gpt-4o-mini")
    rows = Ledger.open(failing_run / "ledger.sqlite").calls(FAILING[2]["id"])
    assert done["coevol_calls"] == len(rows)
    assert done["coevol_input_tokens"] == sum(row["input_tokens"] for row in rows)
    assert (done["coevol_rounds"], done["coevol_accepted_rounds"], done["coevol_suggestions"]) == (2, 2, 2)
    assert (done["coevol_points"], done["coevol_points_before"]) == (1.0, 0.0)
    assert skipped["coevol_calls"] == 0 and skipped["coevol_original_responses"] == []
    assert len({row["coevol_run"] for row in (failed, skipped, done)}) == 1


def test_provenance_is_kept_by_the_next_run(modes_run: Path, tmp_path: Path) -> None:
    look("export", modes_run, "-o", "once.parquet", "--mode", "evolve", "--with-provenance", cwd=tmp_path)
    look("evolve", "once.parquet", "-o", "run", "--mode", "edit", cwd=tmp_path)
    ended = look("export", "run", "-o", "twice.parquet", cwd=tmp_path)
    assert "coevol_… of an earlier run as they were (12)" in ended.stderr
    once, twice = read(tmp_path / "once.parquet"), read(tmp_path / "twice.parquet")
    assert [record | {"output": ""} for record in once] == [record | {"output": ""} for record in twice]
    ended = look("export", "run", "-o", "new.parquet", "--with-provenance", cwd=tmp_path)
    assert "coevol_… of an earlier run replaced, but for coevol_original_responses (12)" in ended.stderr
    new = read(tmp_path / "new.parquet")
    assert {record["coevol_mode"] for record in new} == {"edit"}
    originals = [record["coevol_original_responses"] for record in new]
    assert originals == [[record["output"]] for record in read(EXAMPLES / "alpaca_en.json")]


def test_what_is_left_out_is_not_counted_and_columns_keep_their_type(tmp_path: Path) -> None:
    data: list[dict[str, Any]] = [
        {
            "instruction": "Name the largest ocean on the whole wide earth.",
            "output": "The Pacific.",
            "score": 1,
        },
        {"instruction": " ", "output": "None."},
    ]
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (tmp_path / "bench.txt").write_text(data[0]["instruction"], encoding="utf-8")
    look("evolve", "data.json", "-o", "run", "--rehearsal-wins", 1, "--max-rounds", 1, cwd=tmp_path)
    assert (
        "original_… next to a new response: score (1)"
        in look("export", "run", "-o", "a.json", cwd=tmp_path).stderr
    )
    words = ("--decontaminate", "bench.txt", "--with-provenance")
    ended = look("export", "run", "-o", "b.parquet", *words, cwd=tmp_path)
    assert "1 of 2 records, 0 with new responses" in ended.stderr
    assert "original_…" not in ended.stderr
    types = pyarrow.parquet.read_schema(tmp_path / "b.parquet")
    assert str(types.field("coevol_original_responses").type.value_type) == "string"
    look(*("publish", "run", "a/b", "--license", "mit", "--dry-run", "out"), *words, cwd=tmp_path)
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert "The first record of `default`; long values" in card


def test_what_benchmarks_share_is_left_out_or_marked_and_listed(modes_run: Path, tmp_path: Path) -> None:
    bench = [{"q": "?"}, {"prompt": {"text": "SO: A train leaves at 9:40 and arrives at 13:05"}}]
    (tmp_path / "bench.json").write_text(json.dumps(bench, indent=1), encoding="utf-8")
    words = ("--mode", "evolve", "--decontaminate", "bench.json")
    whole = len(read(EXAMPLES / "alpaca_en.json"))
    for to, ids in (("alpaca", "id"), ("trl-sft", "id"), ("trl-dpo", "id")):
        ended = look("export", modes_run, "-o", f"{to}.jsonl", "--to", to, *words, cwd=tmp_path)
        assert "1 record left out for runs of words shared with benchmarks" in ended.stderr
        assert (
            "benchmarks: 2 entries; 1 cannot be found, too short or with common phrases only" in ended.stderr
        )
        assert "train-sum" not in [record[ids] for record in read(tmp_path / f"{to}.jsonl")]
        (hit,) = read(tmp_path / f"{to}.jsonl.contaminated.jsonl")
        assert hit == {
            "id": "train-sum", "benchmark": "bench.json", "line": 5, "entry": 2,
            "shared": "a train leaves at 9 40 and arrives at 13 05",
        }  # fmt: skip
    look("export", modes_run, "-o", "marked.json", *words, "--mark-contaminated", cwd=tmp_path)
    marked = read(tmp_path / "marked.json")
    assert len(marked) == whole
    assert [record["id"] for record in marked if record["coevol_contaminated"]] == ["train-sum"]
