"""Whole runs over data with thoughts and scores: nothing that is stale or shown to agents, nothing lost."""

import datetime
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.ledger import Ledger
from tests.conftest import look

SECRET = "Nobody but the record has this thought."
THINKING = {
    "id": "a",
    "messages": [
        {"role": "user", "content": "Say one."},
        {"role": "assistant", "content": f"<think>\n{SECRET}\n</think>\n\nOne.", "score": 1},
        {"role": "user", "content": "Say two."},
        {"role": "assistant", "content": "Two.", "reasoning_content": SECRET, "score": 2},
        {"role": "user", "content": "Say three."},
        {"role": "assistant", "content": "Three.", "score": 3},
    ],
    "rating": 5,
    "source": "x",
}
ALPACA = {
    "id": "b",
    "instruction": "Say one.",
    "output": f"<think>\n{SECRET}\n</think>\n\nOne.",
    "category": "x",
}
SURE = ("--rehearsal-wins", 1, "--max-rounds", 1)


def written(folder: Path, record: dict[str, Any], *options: object) -> tuple[str, str]:
    """Return what a run over one record says on standard error, and the record as a line of data."""
    line = json.dumps(record) + "\n"
    (folder / "data.jsonl").write_text(line)
    return look("evolve", "data.jsonl", "-o", "run", *SURE, *options, cwd=folder).stderr, line


def exported(folder: Path, *options: object) -> tuple[list[dict[str, Any]], str]:
    ended = look("export", "run", "-o", "out.jsonl", *options, cwd=folder)
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()], ended.stderr


def prompts(run: Path) -> str:
    return json.dumps([call["messages"] for call in Ledger.open(run / "ledger.sqlite").all_calls()])


def test_what_has_thoughts_stays_as_it_is_by_default(tmp_path: Path) -> None:
    said, line = written(tmp_path, ALPACA)
    assert "1 response with thoughts: they stay as they are" in said
    assert "0 calls" in said
    exported(tmp_path)
    assert (tmp_path / "out.jsonl").read_text() == line
    (trained,), _ = exported(tmp_path, "--to", "trl-sft")
    assert trained["messages"][1]["content"] == ALPACA["output"]
    facts = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)
    assert facts["run"]["data"]["thinking"] == 1
    assert list(facts["samples"]["skipped_by_reason"].values()) == [1]
    assert "in 1 response of the data" in look("stats", "run", cwd=tmp_path).stdout


def test_thoughts_are_shown_to_no_agent_and_kept_or_dropped(tmp_path: Path) -> None:
    written(tmp_path, THINKING, "--thoughts", "drop")
    asked = prompts(tmp_path / "run")
    assert "Two." in asked
    assert SECRET not in asked
    (record,), said = exported(tmp_path)
    assert "2 new responses without the old thoughts" in said
    assert "original_… next to a new response: score (3), rating (1)" in said
    first, second, third = record["messages"][1::2]
    assert first == {"role": "assistant", "content": first["content"], "original_score": 1}
    assert second == {"role": "assistant", "content": second["content"], "original_score": 2}
    assert first["content"].startswith("One. ")
    assert third["original_score"] == 3
    assert (record["original_rating"], record["source"]) == (5, "x")
    (record,), said = exported(tmp_path, "--thoughts", "keep", "--stale", "source", "--not-stale", "rating")
    assert "2 new responses with the old thoughts" in said
    first, second, third = record["messages"][1::2]
    assert first["content"].startswith(f"<think>\n{SECRET}\n</think>\n\nOne. ")
    assert second["reasoning_content"] == SECRET
    assert (record["original_source"], record["rating"]) == ("x", 5)
    (record,), said = exported(tmp_path, "--thoughts", "skip", "--stale", "sauce")
    assert record["messages"][:4] == THINKING["messages"][:4]  # type: ignore[index]
    assert record["messages"][5]["content"].startswith("Three. ")
    assert "no sauce next to a new response" in said
    pairs, _ = exported(tmp_path, "--to", "trl-dpo")
    assert [pair["rejected"][0]["content"] for pair in pairs] == ["One.", "Two.", "Three."]
    assert SECRET not in json.dumps([pair["chosen"] for pair in pairs])
    ended = look(
        *("export", "run", "-o", "out.jsonl", "--stale", "x", "--not-stale", "x"), cwd=tmp_path, status=2
    )
    assert "--stale and --not-stale both name x" in ended.stderr


@pytest.mark.parametrize("record", [THINKING, ALPACA], ids=["conversation", "alpaca"])
def test_a_run_of_an_earlier_version_goes_on_as_it_began(tmp_path: Path, record: dict[str, Any]) -> None:
    written(tmp_path, record, "--thoughts", "text")
    assert SECRET in prompts(tmp_path / "run")
    manifest = tmp_path / "run" / "run.json"
    made = json.loads(manifest.read_text())
    del made["settings"]["thoughts"], made["data"]["thinking"], made["data"]["types"]
    manifest.write_text(json.dumps(made))
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as connection, connection:
        connection.execute("DELETE FROM results")
    said, _ = written(tmp_path, record)
    assert " 0 calls, " in said
    found, _ = exported(tmp_path, "--to", "trl-dpo")
    assert SECRET not in json.dumps([[pair["chosen"], pair["rejected"]] for pair in found])


def table() -> pa.Table:
    """A table of many types, with Hugging Face's features for all of them but the map."""
    turn = pa.struct([("role", pa.string()), ("content", pa.large_string()), ("score", pa.int8())])
    messages = [
        {"role": "user", "content": "Say one.", "score": None},
        {"role": "assistant", "content": "One.", "score": 1},
    ]
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, 6000)
    columns = {
        "messages": pa.array([messages, messages[:1]], pa.list_(turn)),
        "label": pa.array([1, 0]),
        "kind": pa.array(["a", None]).dictionary_encode(),
        "big": pa.array([2**63 + 5, None], pa.uint64()),
        "small": pa.array([1, None], pa.int16()),
        "reward": pa.array([0.1, None], pa.float32()),
        "at": pa.array([1, None], pa.timestamp("ns")),
        "zone": pa.array([when, None], pa.timestamp("ms", "Europe/Berlin")),
        "day": pa.array([when.date(), None]),
        "price": pa.array([Decimal("1.50"), None]),
        "raw": pa.array([b"\x00\xff", None], pa.large_binary()),
        "took": pa.array([datetime.timedelta(seconds=1.5), None]),
        "pairs": pa.array([[("a", when)], None], pa.map_(pa.string(), pa.timestamp("us"))),
        "nested": pa.array(
            [[{"at": when, "n": [1]}], []],
            pa.list_(pa.struct([("at", pa.date64()), ("n", pa.list_(pa.int8(), 1))])),
        ),
    }
    return pa.table(columns)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "data.parquet")
    before = pq.read_table(tmp_path / "data.parquet")
    look("evolve", "data.parquet", "-o", "run", *SURE, cwd=tmp_path)
    look("export", "run", "-o", "out.parquet", cwd=tmp_path)
    after = pq.read_table(tmp_path / "out.parquet")
    renamed = ["label", "original_label", "reward", "original_reward"]
    assert [name for name in after.column_names if name not in renamed] == [
        name for name in before.column_names if name not in renamed
    ]
    assert [name for name in after.column_names if name in renamed] == renamed
    for name in after.column_names:
        source = before[name.removeprefix("original_")]
        if name == "messages":
            fields = after[name].type.value_type
            assert {field.name: str(field.type) for field in fields} == {
                **{"role": "string", "content": "large_string", "score": "int8", "original_score": "int8"}
            }
            continue
        assert after[name].type == source.type, name
        if name not in renamed:
            assert after[name].to_pylist() == source.to_pylist(), name
    assert (after["label"].to_pylist(), after["original_label"].to_pylist()) == ([None, 0], [1, None])
    # Read again, with what is new in it.
    look("evolve", "out.parquet", "-o", "again", *SURE, cwd=tmp_path)
    look("export", "again", "-o", "again.parquet", cwd=tmp_path)
    assert pq.read_schema(tmp_path / "again.parquet").equals(after.schema)


VALUE = {"dtype": "string", "_type": "Value"}


@pytest.mark.parametrize("to", [None, "messages"])
def test_hugging_face_features_are_kept(tmp_path: Path, to: str | None) -> None:
    features: dict[str, Any] = {
        "conversations": {"feature": {"from": VALUE, "value": VALUE}, "_type": "List"},
        "kind": {"names": ["a", "b"], "_type": "ClassLabel"},
        "score": {"dtype": "float32", "_type": "Value"},
    }
    turns = [{"from": "human", "value": "Say one."}, {"from": "gpt", "value": "One."}]
    records = pa.table({"conversations": [turns], "kind": [1], "score": pa.array([0.5], pa.float32())})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(records.replace_schema_metadata(metadata), tmp_path / "data.parquet")
    look("evolve", "data.parquet", "-o", "run", *SURE, cwd=tmp_path)
    look("export", "run", "-o", "out.parquet", *(("--to", to) if to else ()), cwd=tmp_path)
    found = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"huggingface"])["info"]["features"]
    expected = {**features, "original_score": features.pop("score")}
    del expected["score"]
    if to:
        del expected["conversations"]
        expected["messages"] = [{"role": VALUE, "content": VALUE}]
    assert found == expected
