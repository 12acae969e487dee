"""Exports for trainers: each loads as its trainer loads it, and has the fields that the trainer documents."""

import json
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from datasets import List, Value, load_dataset
from huggingface_hub import DatasetCard

from standin import StandIn
from tests.conftest import FAILING, evolved, look

MESSAGES = List({"role": Value("string"), "content": Value("string")})
TURN = {"from": Value("string"), "value": Value("string")}


def load(file: Path) -> Any:
    """Load a file as TRL, LLaMA-Factory and Axolotl do."""
    builder = "parquet" if file.suffix == ".parquet" else "json"
    return load_dataset(builder, data_files=str(file), split="train", cache_dir=str(file.parent / "cache"))


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_trl_dpo_prefers_the_result_to_the_original(modes_run: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"pairs.{ending}"
    look("export", modes_run, "-o", file, "--to", "trl-dpo", cwd=tmp_path)
    found = load(file)
    assert {name: found.features[name] for name in ("prompt", "chosen", "rejected")} == {
        "prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES,
    }  # fmt: skip
    expected = [(s, o[0]) for s, o in evolved(modes_run) if o[0]["accepted_rounds"]]
    assert 0 < len(expected) < 12
    for record, (sample, outcome) in zip(found, expected, strict=True):
        asked = sample.exchanges[0]
        request = asked.instruction + (f"\n{asked.input}" if asked.input else "")
        system = [{"role": "system", "content": sample.system}] if sample.system else []
        assert record["prompt"] == [*system, {"role": "user", "content": request}]
        assert record["chosen"] == [{"role": "assistant", "content": outcome["response"]}]
        assert record["rejected"] == [{"role": "assistant", "content": asked.response}]
        assert (record["id"], record["exchange"], record["pair"]) == (sample.id, 0, "final")
        if outcome["accepted_rounds"] == 1:
            assert record["score_chosen"] > record["score_rejected"]
        else:
            assert record["score_chosen"] is record["score_rejected"] is None


def test_pairs_of_each_step_and_of_drafts_the_judge_rejected(modes_run: Path, tmp_path: Path) -> None:
    words = ("export", modes_run, "--to", "trl-dpo")
    look(*words, "-o", "steps.jsonl", "--pairs", "steps", cwd=tmp_path)
    look(*words, "-o", "all.jsonl", "--pairs", "all", cwd=tmp_path)
    steps, everything = load(tmp_path / "steps.jsonl").to_list(), load(tmp_path / "all.jsonl").to_list()
    assert [pair for pair in everything if pair["pair"] == "step"] == steps
    for sample, (outcome,) in evolved(modes_run):
        chain = [pair for pair in steps if pair["id"] == sample.id]
        assert len(chain) == outcome["accepted_rounds"]
        texts = [pair[side][0]["content"] for pair in chain for side in ("rejected", "chosen")]
        assert texts[::2] == [outcome["original"], *texts[1:-1:2]][: len(chain)]
        assert texts[-1:] == [outcome["response"]][: len(chain)]
        others = [p for p in everything if p["id"] == sample.id and p["pair"] != "step"]
        last = outcome["rounds"][-1]
        worse = bool(last["points"]) and last["points"]["draft"] < last["points"]["current"]
        assert [pair["pair"] for pair in others] == ["final"] * (len(chain) > 1) + ["rejected"] * worse
        if worse:
            assert others[-1]["chosen"][0]["content"] == outcome["response"]
            assert others[-1]["rejected"][0]["content"] == last["draft"]
    assert {"final", "step", "rejected"} == {pair["pair"] for pair in everything}
    kinds = Counter(pair["pair"] for pair in everything)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("final", "step", "rejected"))
    assert f"--pairs all: {counts}" in (tmp_path / "all.jsonl-README.md").read_text(encoding="utf-8")
    scored = [pair for pair in everything if pair["pair"] != "final"]
    assert all(pair["score_chosen"] > pair["score_rejected"] for pair in scored)


def test_a_pair_of_a_conversation_has_the_evolved_exchanges_before_it(
    failing_run: Path, tmp_path: Path
) -> None:
    ended = look("export", failing_run, "-o", "out.jsonl", "--to", "trl-dpo", cwd=tmp_path)
    assert "3 pairs from 2 of 3 records; --pairs final: 3 final; 1 skipped and left out" in ended.stderr
    first, last, _ = load(tmp_path / "out.jsonl")
    (_, outcome), *_ = evolved(failing_run)
    assert (first["exchange"], last["exchange"]) == (0, 2)  # the second one failed
    texts = [turn["value"] for turn in FAILING[0]["conversations"]]
    assert [turn["content"] for turn in last["prompt"]] == [texts[0], outcome[0]["response"], *texts[2:5]]
    assert [turn["role"] for turn in last["prompt"]] == ["user", "assistant"] * 2 + ["user"]
    assert last["rejected"][0]["content"] == "Oak."


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("to", ["trl-sft", "axolotl", "llamafactory"])
def test_training_records_end_with_the_evolved_response(
    failing_run: Path, tmp_path: Path, to: str, ending: str
) -> None:
    file = tmp_path / f"train.{ending}"
    ended = look("export", failing_run, "-o", file, "--to", to, cwd=tmp_path)
    assert "2 of 3 records, 2 with new responses; 1 with a failure" in ended.stderr
    found = load(file)
    if to == "llamafactory":
        assert found.features["conversations"] == List(TURN)
        assert set(found["system"]) == {""}
        roles, name, text = ("human", "gpt"), "from", "value"
    else:
        assert found.features["messages"] == MESSAGES
        roles, name, text = ("user", "assistant"), "role", "content"
    turns = found[0]["conversations" if to == "llamafactory" else "messages"]
    assert [turn[name] for turn in turns] == [*roles] * 3
    (_, outcome), *_ = evolved(failing_run)
    assert [turn[text] for turn in turns[1::2]] == [done["response"] for done in outcome]
    assert turns[3][text] == "Carrot."  # it failed


def test_openai_records_have_messages_only(failing_run: Path, tmp_path: Path) -> None:
    ended = look("export", failing_run, "-o", "train.jsonl", "--to", "openai", cwd=tmp_path)
    assert "OpenAI accepts no fewer than 10 records" in ended.stderr
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text("utf-8").splitlines()]
    assert [list(line) for line in lines] == [["messages"]] * 2
    assert all(list(turn) == ["role", "content"] for line in lines for turn in line["messages"])


def test_llamafactory_finds_the_file_in_its_list(modes_run: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"other": {"hf_hub_url": "a/b"}}', encoding="utf-8")
    look("export", modes_run, "-o", "sft.jsonl", "--to", "llamafactory", cwd=tmp_path)
    look("export", modes_run, "-o", "dpo.parquet", "--to", "llamafactory-dpo", cwd=tmp_path)
    known = json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))
    assert list(known) == ["other", "sft.edit", "sft.evolve", "dpo"]
    for name in ("sft.edit", "sft.evolve", "dpo"):
        assert known[name]["formatting"] == "sharegpt"
        found = load(tmp_path / known[name]["file_name"])
        assert set(known[name]["columns"].values()) <= set(found.column_names)
    look("export", modes_run, "-o", "dpo.jsonl", "--to", "llamafactory-dpo", cwd=tmp_path)
    names = {
        k: v.get("file_name") for k, v in json.loads((tmp_path / "dataset_info.json").read_text()).items()
    }
    assert (names["dpo"], names["dpo_jsonl"]) == ("dpo.parquet", "dpo.jsonl")
    assert 'dataset: "dpo_jsonl"' in (tmp_path / "dpo.jsonl-README.md").read_text("utf-8")
    assert known["dpo"]["ranking"] is True
    assert found.features["chosen"] == found.features["rejected"] == TURN
    assert [[turn["from"] for turn in record["conversations"]] for record in found] == [["human"]] * len(
        found
    )
    assert {record["chosen"]["from"] for record in found} == {"gpt"}


def test_axolotl_gets_its_configuration(modes_run: Path, tmp_path: Path) -> None:
    words = ("export", modes_run, "-o", 'a "b".parquet', "--to", "axolotl", "--mode", "evolve")
    ended = look(*words, cwd=tmp_path)
    text = (tmp_path / 'a "b".parquet.axolotl.yaml').read_text(encoding="utf-8")
    assert text.split("\n", 1)[1] in ended.stderr
    (entry,) = import_module("yaml").safe_load(text)["datasets"]
    assert entry == {
        "path": 'a "b".parquet',
        "ds_type": "parquet",
        "type": "chat_template",
        "field_messages": "messages",
        "roles_to_train": ["assistant"],
        "message_field_training": "train",
    }
    assert load(tmp_path / entry["path"]).features[entry["field_messages"]] == MESSAGES
    look(*words, cwd=tmp_path)  # its own configuration may be overwritten


def test_a_card_describes_the_origin_of_the_records(
    failing_run: Path, modes_run: Path, tmp_path: Path
) -> None:
    look("export", failing_run, "-o", "train.jsonl", "--to", "trl-sft", cwd=tmp_path)
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data["configs"] == [{"config_name": "default", "data_files": "train.jsonl"}]
    assert card.data.license is None
    for words in (
        "2 of 3 records, 2 with new responses",
        "| editor | `openai:gpt-4o-mini` |",
        "| data | `data.json` |",
        "| max_rounds | `2` |",
        "| samples with a new response | 2 (100 %) |",
        "| exchanges with a new response | 3 (75 %) |",
        "| exchanges with accepted rounds: 2 | 3 (75 %) |",
        "| exchanges that failed | 1 (25 %) |",
        "| skipped: a turn of function\\_call | 1 |",
    ):
        assert words in card.text
    assert "Not for training" not in card.text
    assert str(failing_run.parent) not in card.content
    assert "127.0.0.1" not in card.content
    found = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(found) == 2  # by the card the folder is a data set

    look("export", modes_run, "-o", "other.jsonl", "--to", "trl-dpo", cwd=tmp_path)
    assert DatasetCard.load(tmp_path / "README.md").content == card.content
    other = (tmp_path / "other.jsonl-README.md").read_text(encoding="utf-8")
    assert "Not for training" in other
    assert f"{len(load(tmp_path / 'other.jsonl'))} pairs from" in other
    assert f"--pairs final: {len(load(tmp_path / 'other.jsonl'))} final" in other
    as_edited = ("export", modes_run, "-o", "edit.jsonl", "--to", "trl-sft", "--mode", "edit")
    look(*as_edited, cwd=tmp_path)
    rewritten = (tmp_path / "edit.jsonl-README.md").read_text(encoding="utf-8")
    assert "| exchanges with a new response | 12 (100 %) |" in rewritten
    assert "accepted" not in rewritten
    look("export", modes_run, "-o", "train.jsonl", "--to", "trl-dpo", cwd=tmp_path)
    assert "Not for training" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_trained_on_is_left_out(tmp_path: Path) -> None:
    def turns(*texts: str) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]

    system = {"role": "system", "content": "Be brief."}
    records = [
        {"id": "whole", "chosen": "x", "messages": [system, *turns("One?", "1.", "Two?", "2.", "Three?")]},
        {"id": "empty", "messages": turns("One?", "")},
        {"id": "tool", "messages": [*turns("One?"), {"role": "tool", "content": "1"}]},
    ]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    with StandIn(wins=0.0) as server:
        words = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "-o", "run")
        look("evolve", "data.json", *words, cwd=tmp_path, env=server.environment())
    ended = look("export", "run", "-o", "train.jsonl", "--to", "trl-sft", cwd=tmp_path)
    assert "1 skipped and left out" in ended.stderr
    assert "sample empty cannot be written as trl-sft: it has an empty response" in ended.stderr
    (record,) = load(tmp_path / "train.jsonl")
    assert record == {"id": "whole", "messages": [system, *turns("One?", "1.", "Two?", "2.")]}
    ended = look("export", "run", "-o", "pairs.jsonl", "--to", "trl-dpo", cwd=tmp_path, status=2)
    assert "nothing to write to pairs.jsonl: 0 pairs" in ended.stderr
    assert not (tmp_path / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "there", "message"),
    [
        (("a.json", "--to", "openai"), {}, "give the file a name that ends in .jsonl"),
        (("a.jsonl", "--to", "trl-dpo", "--mode", "edit"), {}, "only evolve, refine, best-of-n have a judge"),
        (
            ("a.jsonl", "--to", "trl-sft", "--pairs", "all"),
            {},
            "--pairs needs --to trl-dpo or llamafactory-dpo",
        ),
        (("a.jsonl", "--to", "llamafactory-dpo"), {"dataset_info.json": "["}, "cannot take an entry"),
        (
            ("a.jsonl", "--to", "llamafactory-dpo"),
            {"dataset_info.json": '{"a": {"file_name": "b"}, "a_jsonl": {"file_name": "c"}}'},
            "has other data sets named a and a_jsonl; choose another file name",
        ),
        (
            ("a.jsonl", "--to", "axolotl", "--mode", "edit"),
            {"a.jsonl.axolotl.yaml": "x: 1"},
            "is another file",
        ),
        (
            ("a.jsonl", "--to", "trl-dpo"),
            {"README.md": "Mine.", "a.jsonl-README.md": "Mine too."},
            "a.jsonl-README.md is needed for the card of a.jsonl and is another file",
        ),
    ],
)
def test_conflicts_are_reported_and_nothing_is_written(
    modes_run: Path, tmp_path: Path, words: tuple[object, ...], there: dict[str, str], message: str
) -> None:
    for name, text in there.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ended = look("export", modes_run, "-o", *words, cwd=tmp_path, status=2)
    assert message in ended.stderr
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == there


def test_tools_are_a_column_of_all_records_where_one_has_them(tmp_path: Path) -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
    tools = [{"type": "function", "function": function}]
    turns = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1."}]
    records = [{"messages": turns}, {"messages": turns, "tools": tools}]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    look("evolve", "data.json", "-o", "run", cwd=tmp_path)
    for to, found in (("trl-sft", [None, tools]), ("llamafactory", ["", json.dumps([function])])):
        look("export", "run", "-o", f"{to}.jsonl", "--to", to, cwd=tmp_path)
        assert load(tmp_path / f"{to}.jsonl")["tools"] == found
    known = json.loads((tmp_path / "dataset_info.json").read_text(encoding="utf-8"))
    assert known["llamafactory"]["columns"]["tools"] == "tools"
