"""Layouts of trainers and well-known data sets: read as such, and written back as they were."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.files import write_records
from samples.formats import make_sample, parse_record, with_responses
from samples.layouts import COLUMNS
from samples.reader import DataSet, open_data
from samples.sample import DataError, Exchange, Format, Sample
from samples.trainers import (
    DPO_TRAINERS,
    SFT_TRAINERS,
    DpoTrainer,
    MarksFound,
    Pair,
    SftTrainer,
    pair_record,
    sft_record,
)
from tests import samples_records

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
ONE = (Exchange("q", "", "a"),)


def opened(folder: Path, records: list[Any], **how: Any) -> DataSet:
    path = folder / "data.jsonl"
    write_records(path, records)
    data = open_data(path, **how)
    data.check()
    return data


@pytest.mark.parametrize(
    ("record", "format", "exchanges"),
    [
        ({"prompt": "q", "completion": "a"}, "prompt-completion", ONE),
        ({"prompt": [USER], "completion": [ANSWER]}, "prompt-completion", ONE),
        ({"prompt": json.dumps([USER]), "completion": json.dumps([ANSWER])}, "prompt-completion", ONE),
        ({"prompt": "q", "response": "a"}, "prompt-response", ONE),
        ({"query": "q", "response": "a"}, "query-response", ONE),
        (
            {"query": "q", "response": "a", "history": [["p", "b"]], "system": "s"},
            "query-response",
            (Exchange("p", "", "b"), *ONE),
        ),
        (
            {"instruction": "q", "context": "c", "response": "a", "category": "open_qa"},
            "dolly",
            (Exchange("q", "c", "a"),),
        ),
        ({"instruction": "q", "response": "a"}, "instruction-response", ONE),
        (
            {"instruction": "q", "input": "i", "response": "a"},
            "instruction-response",
            (Exchange("q", "i", "a"),),
        ),
        ({"id": "1", "system_prompt": "s", "question": "q", "response": "a"}, "orca", ONE),
        ({"instruction": "q", "generation": "a", "prompt_id": "m"}, "distilabel", ONE),
        ({"question": "q", "answer": "a"}, "question-answer", ONE),
        ({"kind": "Couplet", "input": "q", "target": "a"}, "firefly", ONE),
        ({"input": "q", "output": "a"}, "input-output", ONE),
        ({"inputs": "q", "targets": "a"}, "inputs-targets", ONE),
        ({"problem": "q", "solution": "a"}, "problem-solution", ONE),
        ({"instruction": "q", "output": "a", "system_prompt": "s"}, "alpaca-system-prompt", ONE),
        ({"source": "x", "conversation": [{"input": "q", "output": "a"}]}, "conversation", ONE),
        ({"conversation": [{"human": "q", "assistant": "a"}] * 2}, "conversation", ONE * 2),
        ({"conversation": [USER, ANSWER]}, "conversation", ONE),
        ({"id": "1", "data": ["q", "a", "q", "a"]}, "ultrachat", ONE * 2),
        ({"messages": json.dumps([USER, ANSWER])}, "messages", ONE),
        ({"conversations": {"from": ["human", "gpt"], "value": ["q", "a"]}}, "sharegpt", ONE),
        (
            {"instruction": "q", "input": "", "output": "a", "history": [["p", "b"]]},
            "alpaca",
            (Exchange("p", "", "b"), *ONE),
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "value": "q"}], "loss_weight": 0.0},
                    {"role": "assistant", "content": [{"type": "text", "value": "a"}], "loss_weight": 1.0},
                ]
            },
            "messages",
            ONE,
        ),
        # A list is meant, whatever is next to it.
        ({"prompt": "q", "prompt_id": "1", "messages": [USER, ANSWER]}, "messages", ONE),
        ({"problem": "q", "solution": "a", "messages": [USER, ANSWER]}, "messages", ONE),
        ({"prompt": "q", "completion": "a", "data": "2024"}, "prompt-completion", ONE),
    ],
)
def test_a_documented_layout_is_read_as_such(
    tmp_path: Path, record: dict[str, Any], format: str, exchanges: tuple[Exchange, ...]
) -> None:
    data = opened(tmp_path, [record])
    (sample,) = data.samples()
    assert (data.format, sample.skip, sample.exchanges) == (format, None, exchanges)
    assert (sample.read, sample.read_as) == (record, format)
    if any(name in record for name in ("system", "system_prompt")):
        assert sample.system == "s"
    # The graphs take the sample in a format of theirs.
    assert parse_record(sample.record, sample.format).exchanges == exchanges
    changed = with_responses(sample, ["b!"] * len(exchanges))
    assert list(changed) == list(record)
    again = make_sample(0, "0", changed, format)
    assert [e.response for e in again.exchanges] == ["b!"] * len(exchanges)
    assert [e.instruction for e in again.exchanges] == [e.instruction for e in exchanges]
    assert with_responses(again, [e.response for e in exchanges]) == record


@pytest.mark.parametrize(
    ("record", "formats"),
    [
        ({"prompt": "q", "completion": "a", "response": "b"}, "prompt-completion or prompt-response"),
        ({"question": "q", "answer": "a", "response": "b"}, "orca or question-answer"),
        ({"instruction": "q", "response": "a", "generation": "b"}, "instruction-response or distilabel"),
        ({"messages": [USER, ANSWER], "conversations": [HUMAN, GPT]}, "sharegpt or messages"),
    ],
)
def test_where_two_layouts_may_be_meant_the_message_names_the_option(
    tmp_path: Path, record: dict[str, Any], formats: str
) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path, [record])
    assert str(raised.value).endswith(f": may be of several formats: name it with --format {formats}")
    for name in formats.split(" or "):
        assert opened(tmp_path, [record], format=name).format == name


def test_any_other_layout_is_named_by_its_columns(tmp_path: Path) -> None:
    record = {"key": "k", "ask": "q", "more": "i", "reply": "a", "role": "s", "n": 1}
    columns = {"request": "ask", "input": "more", "response": "reply", "system": "role", "id": "key"}
    data = opened(tmp_path, [record], columns=columns)
    (sample,) = data.samples()
    assert data.describe() == (
        "records of request=ask, response=reply, input=more, system=role, id=key in JSON lines"
    )
    assert (sample.id, sample.system, sample.exchanges) == ("k", "s", (Exchange("q", "i", "a"),))
    assert with_responses(sample, ["b"]) == record | {"reply": "b"}
    assert with_responses(sample, ["b"], "alpaca") == {
        "key": "k", "instruction": "q", "input": "i", "output": "b", "system": "s", "n": 1,
    }  # fmt: skip
    for wrong, message in (({"request": "ask"}, "needs response=COLUMN"), ({"answer": "x"}, "unknown part")):
        with pytest.raises(DataError, match=message):
            open_data(data.path, columns=wrong)


PREFERENCES: list[dict[str, Any]] = [
    {"prompt": "q", "chosen": "a", "rejected": "b"},
    {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER | {"content": "b"}]},
    {"chosen": [USER, ANSWER], "rejected": [USER, ANSWER | {"content": "b"}]},
    {
        "prompt": "q",
        "chosen": [USER, ANSWER],
        "rejected": [USER, ANSWER | {"content": "b"}],
        "messages": [USER, ANSWER],
    },
    {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT | {"value": "b"}},
    {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
    {"system": "s", "question": "q", "chosen": "a", "rejected": "b"},
]


@pytest.mark.parametrize("record", PREFERENCES)
def test_one_side_of_a_preference_record_is_improved(tmp_path: Path, record: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="with --improve chosen or --improve rejected"):
        opened(tmp_path, [record])
    for side, other, old in (("chosen", "rejected", "a"), ("rejected", "chosen", "b")):
        (sample,) = opened(tmp_path, [record], improve=side).samples()
        assert sample.exchanges == (Exchange("q", "", old),)
        changed = with_responses(sample, ["new"])
        assert changed == record | {side: changed[side]}
        assert changed[other] == record[other]
        (again,) = opened(tmp_path, [changed], improve=side).samples()
        assert again.exchanges == (Exchange("q", "", "new"),)


def test_the_rejected_response_of_a_conversation_is_improved(tmp_path: Path) -> None:
    for record, field in (
        ({"messages": [USER, ANSWER], "rejected_response": "b"}, "messages"),
        ({"query": "q", "response": "a", "rejected_response": "b"}, "response"),
    ):
        (sample,) = opened(tmp_path, [record], improve="rejected").samples()
        assert sample.exchanges == (Exchange("q", "", "b"),)
        assert with_responses(sample, ["new"]) == record | {"rejected_response": "new"}
        (sample,) = opened(tmp_path, [record], improve="chosen").samples()
        assert sample.exchanges == ONE
        changed = with_responses(sample, ["new"])
        assert changed == record | {field: changed[field]}


def test_labeled_records_are_improved_by_their_label(tmp_path: Path) -> None:
    records = [{"prompt": "q", "completion": "a", "label": label} for label in (True, False, None)]
    for side, skips in (
        ("chosen", [None, "labeled as not chosen", "no label that is true or false"]),
        ("rejected", ["labeled as not rejected", None, "no label that is true or false"]),
    ):
        assert [sample.skip for sample in opened(tmp_path, records, improve=side).samples()] == skips
    with pytest.raises(DataError, match="--improve chosen is for preference records"):
        opened(tmp_path, [{"prompt": "q", "completion": "a"}], improve="chosen")


WRONG = {"role": "assistant", "content": "w", "weight": 0}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
RESULT = {"role": "tool", "content": "1"}
MASKED = [{"type": "text", "text": "Hm.", "train": False}, {"type": "text", "text": "a", "train": True}]
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}


@pytest.mark.parametrize(
    ("messages", "worked_on", "fixed"),
    [
        ([ANSWER, USER, ANSWER], ["q"], []),
        ([USER, USER, ANSWER], ["q\n\nq"], []),
        ([USER, ANSWER, ANSWER, USER, ANSWER], ["q"], ["q"]),
        ([USER, WRONG, USER, ANSWER], ["q"], ["q"]),
        ([USER, ANSWER | {"train": False}, USER, ANSWER | {"train": True}], ["q"], ["q"]),
        ([USER, ANSWER | {"content": MASKED}, USER, ANSWER | {"content": MASKED[1:]}], ["q"], ["q"]),
        ([USER, ANSWER | {"loss_weight": 0.0}, USER, ANSWER | {"loss_weight": 1.0}], ["q"], ["q"]),
        ([USER, ANSWER | {"loss": False}, USER, ANSWER | {"loss": None}], ["q"], ["q"]),
        ([USER, ANSWER, USER, CALL, RESULT, ANSWER, USER, ANSWER], ["q", "q"], ["q"]),
        ([USER, ANSWER, IMAGE, ANSWER, USER, ANSWER], ["q"], ["", "q"]),
        ([USER, ANSWER, {"role": "system", "content": "s"}, USER, ANSWER], ["q"], ["q"]),
        ([USER, ANSWER, {"role": "user", "content": " "}, ANSWER], ["q"], [" "]),
    ],
)
def test_what_can_be_worked_on_is_and_the_rest_stays(
    messages: list[Any], worked_on: list[str], fixed: list[str]
) -> None:
    sample = make_sample(0, "0", {"messages": messages}, "messages")
    assert sample.skip is None
    assert [e.instruction for e in sample.exchanges if not e.fixed] == worked_on
    assert [e.instruction for e in sample.exchanges if e.fixed] == fixed
    changed = with_responses(sample, [e.response if e.fixed else "new" for e in sample.exchanges])["messages"]
    assert len(changed) == len(messages)
    new = [turn for turn, old in zip(changed, messages, strict=True) if turn != old]
    texts = [text[0]["text"] if isinstance(text := turn["content"], list) else text for turn in new]
    assert texts == ["new"] * len(worked_on)


def test_a_response_with_a_marked_part_stays_and_results_of_earlier_versions_too() -> None:
    record = {"messages": [USER, ANSWER | {"content": MASKED}]}
    sample = make_sample(0, "0", record, "messages")
    assert sample.skip == "all responses are marked as not to be learned from"
    # Which worked on it.
    assert with_responses(sample, ["Hm.\na"]) == record
    new = with_responses(sample, ["new"])["messages"][1]["content"]
    assert new == [{"type": "text", "text": "new", "train": False}]
    with pytest.raises(MarksFound):
        sft_record(sample, ["Hm.\na"], "axolotl")


@pytest.mark.parametrize("to", SFT_TRAINERS)
def test_trainers_get_all_turns_with_their_marks(to: SftTrainer) -> None:
    messages = [USER, WRONG, USER, USER, ANSWER, USER]
    sample = make_sample(0, "0", {"messages": messages}, "messages")
    record = sft_record(sample, [e.response for e in sample.exchanges], to, marks=True)
    turns = record["conversations" if to == "llamafactory" else "messages"]
    texts = [turn.get("content", turn.get("value")) for turn in turns]
    assert texts == (["q", "w", "q\n\nq", "a"] if to == "llamafactory" else ["q", "w", "q", "q", "a"])
    mark = {"axolotl": "train", "llamafactory": "loss_weight"}.get(to, "weight")
    assert [
        bool(turn[mark]) for turn in turns if turn.get("role", turn.get("from")) in ("assistant", "gpt")
    ] == [
        False,
        True,
    ]
    # And what is written is read with the same exchanges.
    again = make_sample(0, "0", record, "sharegpt" if to == "llamafactory" else "messages")
    assert again.exchanges == sample.exchanges


@pytest.mark.parametrize("to", SFT_TRAINERS)
def test_trainers_get_turns_of_tools(to: SftTrainer) -> None:
    call = {"from": "function_call", "value": '{"name": "f", "arguments": {"a": 1}}'}
    turns = [HUMAN, GPT, HUMAN, call, {"from": "observation", "value": "1"}, GPT]
    sample = make_sample(0, "0", {"conversations": turns}, "sharegpt")
    record = sft_record(sample, ["new", "a"], to)
    if to == "llamafactory":
        assert record["conversations"] == [HUMAN, GPT | {"value": "new"}, *turns[2:]]
        return
    assert record["messages"][3:5] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "content": "1"},
    ]
    messages = make_sample(0, "0", record, "messages")
    assert sft_record(messages, ["new", "a"], "llamafactory")["conversations"] == [
        HUMAN,
        GPT | {"value": "new"},
        *turns[2:],
    ]


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A record of any layout, and its name."""
    texts = samples_records.TEXTS
    kind = draw(
        st.sampled_from([*COLUMNS, "sharegpt", "messages", "conversation", "ultrachat", "preference"])
    )
    pairs = draw(st.lists(st.tuples(samples_records.REQUESTS, texts), min_size=1, max_size=3))
    extras = draw(samples_records.EXTRAS)
    (last, answer), earlier = pairs[-1], pairs[:-1]
    if kind == "sharegpt":
        turns = [
            {"from": n, "value": t} for pair in pairs for n, t in zip(("human", "gpt"), pair, strict=True)
        ]
        if draw(st.booleans()):
            columns = {name: [turn[name] for turn in turns] for name in ("from", "value")}
            return {"conversations": draw(st.sampled_from([columns, json.dumps(turns)]))} | extras, kind
        return {"conversations": turns} | extras, kind
    if kind in ("messages", "conversation"):
        turns = [
            {"role": n, "content": t} for p in pairs for n, t in zip(("user", "assistant"), p, strict=True)
        ]
        if kind == "conversation" and draw(st.booleans()):
            turns = [{"input": request, "output": response} for request, response in pairs]
        return {kind: turns} | extras, kind
    if kind == "ultrachat":
        return {"data": [text for pair in pairs for text in pair]} | extras, kind
    if kind == "preference":
        return {
            "prompt": last,
            "chosen": answer,
            "rejected": "r",
        } | extras, f"preference {draw(st.sampled_from(['chosen']))}"
    columns_ = COLUMNS[kind]
    record: dict[str, Any] = {columns_.request: last, columns_.response: answer}
    if columns_.input and draw(st.booleans()):
        record[columns_.input] = draw(texts)
    if columns_.system and draw(st.booleans()):
        record[columns_.system] = draw(texts)
    if columns_.history and earlier:
        record[columns_.history] = [list(pair) for pair in earlier]
    return record | extras, kind


@settings(max_examples=150, deadline=None)
@given(records(), st.sampled_from([".json", ".jsonl"]))
def test_a_record_of_any_layout_is_read_written_and_read_again(
    found: tuple[dict[str, Any], str], ending: str
) -> None:
    record, layout = found
    how = {"improve": layout.split()[1]} if layout.startswith("preference") else {"format": layout}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"data{ending}")

        def again(records: list[dict[str, Any]], **how: Any) -> list[Sample]:
            write_records(path, records)
            data = open_data(path, **how)
            data.check()
            return list(data.samples())

        (sample,) = again([record], **how)
        assert sample.skip is None
        new = [f"new {number}" for number in range(len(sample.exchanges))]
        (changed,) = again([with_responses(sample, new)], **how)
        assert [e.response for e in changed.exchanges] == new
        assert with_responses(changed, [e.response for e in sample.exchanges]) == record
        asked = [(e.instruction, e.input) for e in sample.exchanges]
        assert [(e.instruction, e.input) for e in changed.exchanges] == asked
        whole = ["\n".join(filter(None, pair)) for pair in asked]
        to: Format
        for to in ("alpaca", "sharegpt", "messages"):
            (turned,) = again([with_responses(sample, new, to)], format=to)
            assert [e.response for e in turned.exchanges] == new
            assert [e.whole_request for e in turned.exchanges] == whole
        trainer: SftTrainer
        for trainer in SFT_TRAINERS:
            (turned,) = again([sft_record(sample, new, trainer)])
            assert [(e.instruction, e.response) for e in turned.exchanges] == list(
                zip(whole, new, strict=True)
            )
            assert turned.system == sample.system
        dpo: DpoTrainer
        for dpo in DPO_TRAINERS:
            pair = Pair(len(new) - 1, "final", 1, new[-1], "old", None, None)
            (turned,) = again([pair_record(sample, new, pair, dpo)], improve="chosen")
            assert (turned.exchanges[-1].instruction, turned.exchanges[-1].response) == (whole[-1], new[-1])
