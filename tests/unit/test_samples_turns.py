"""Turns: which are worked on, which stay as they are, and what trainers get of them."""

import json
from typing import Any

import pytest

from samples.formats import make_sample, parse_record, with_responses
from samples.sample import DataError, Exchange
from samples.trainers import SFT_TRAINERS, MarksFound, Pair, SftTrainer, ToolsFound, pair_record, sft_record
from tests.samples_opened import sample_of

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
TURNS = [USER, ANSWER]


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


@pytest.mark.parametrize(
    ("marks", "weight"),
    [
        ({"loss_weight": 0.5}, 0.5),
        ({"weight": 1}, None),
        ({"loss_scale": 0.0}, 0.0),
        ({"train": True, "train_detail": [{"begin_offset": 0, "end_offset": 0, "train": False}]}, 0.0),
        ({"train_detail": [{"begin_offset": 0, "end_offset": 0, "train": True}]}, None),
    ],
)
def test_trainers_get_weights_of_responses_as_they_can_hold_them(
    marks: dict[str, Any], weight: float | None
) -> None:
    sample = make_sample(0, "0", {"messages": [USER, ANSWER | marks, USER, ANSWER]}, "messages")
    for to, field, said in (
        ("llamafactory", "loss_weight", weight),
        ("openai", "weight", None if weight is None else int(weight > 0)),
        ("axolotl", "train", None if weight is None else weight > 0),
    ):
        trainer: Any = to
        if said in (None, 1, True):  # the trainer needs no mark
            assert field not in str(sft_record(sample, ["a", "a"], trainer))
            continue
        with pytest.raises(MarksFound):
            sft_record(sample, ["a", "a"], trainer)
        record = sft_record(sample, ["a", "a"], trainer, marks=True)
        turns = record["conversations" if to == "llamafactory" else "messages"]
        assert [
            turn.get(field) for turn in turns if turn.get("role", turn.get("from")) in ("assistant", "gpt")
        ] == [
            said,
            1,
        ]


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
    responses = [exchange.response for exchange in messages.exchanges]
    assert sft_record(messages, responses, "llamafactory")["conversations"] == [
        HUMAN,
        GPT | {"value": "new"},
        *turns[2:],
    ]
    for said in ({"content": "I will look."}, {"reasoning_content": "hm"}):
        record["messages"][3] |= said
        messages = make_sample(0, "0", record, "messages")
        responses = [exchange.response for exchange in messages.exchanges]
        assert sft_record(messages, responses, to)["messages"][3]["content"].endswith("I will look.")
        with pytest.raises(DataError, match="a text or thoughts next to a tool call"):
            sft_record(messages, responses, "llamafactory")


@pytest.mark.parametrize(
    ("mark", "is_marked"),
    [
        *(({"masked": True}, True), ({"train_on_turn": False}, True), ({"is_masked": "true"}, True)),
        *(({"loss_mask": 0}, True), ({"ignore": True}, True), ({"no_loss": True}, True)),
        *(({"should_train": "false"}, True), ({"exclude_from_training": True}, True)),
        *(({"trainable": "no"}, True), ({"masked": "yes"}, True), ({"trainable": "yes"}, False)),
        *(({"masked": False}, False), ({"train_on_turn": True}, False), ({"loss_mask": 1}, False)),
        *(({"mask": "a"}, False), ({"message": 0}, False), ({"turn": 0}, False), ({"is_safe": False}, False)),
    ],
)
def test_marks_of_other_names_are_heeded(mark: dict[str, Any], is_marked: bool) -> None:
    record = {"messages": [USER, ANSWER | mark]}
    sample = make_sample(0, "0", record, "messages")
    assert (sample.skip is not None) == is_marked
    assert "new" in str(with_responses(sample, ["new"]))  # of an earlier version
    if is_marked:
        assert sft_record(sample, ["a"], "axolotl", marks=True)["messages"][-1].get("train") is False


@pytest.mark.parametrize(
    "mark", [{"output_with_loss": False}, {"weight": 0}, {"train": False}, {"is_masked": True}]
)
@pytest.mark.parametrize("names", [("input", "output"), ("human", "assistant")])
def test_marks_and_system_prompt_next_to_a_request_and_its_response(
    mark: Any, names: tuple[str, str]
) -> None:
    pairs = [
        {"system": "Be kind.", **dict(zip(names, "qa", strict=True)), **mark},
        {**dict(zip(names, "rb", strict=True))},
    ]
    sample = sample_of({"conversation": pairs})
    assert (sample.system, sample.exchanges) == (
        "Be kind.",
        (Exchange("q", "", "a", fixed=True), Exchange("r", "", "b")),
    )
    assert with_responses(sample, ["a", "new"])["conversation"] == [pairs[0], {**pairs[1], names[1]: "new"}]
    trained = sft_record(sample, ["a", "new"], "openai", marks=True)["messages"]
    assert trained[0] == {"role": "system", "content": "Be kind."}
    assert [turn["weight"] for turn in trained if turn["role"] == "assistant"] == [0, 1]
    again = with_responses(sample, ["a", "new"], "messages")
    assert parse_record(again, "messages").exchanges[0].fixed


def test_what_says_that_there_is_no_answer_is_no_mark() -> None:
    record = {"conversation": [{"input": "q", "output": "a", "no_answer": True, "output_with_loss": True}]}
    assert sample_of(record).exchanges == (Exchange("q", "", "a"),)


def test_a_record_whose_pairs_are_all_marked_is_skipped_with_the_exchanges_of_earlier_results() -> None:
    sample = sample_of({"conversation": [{"input": "q", "output": "a", "output_with_loss": False}]})
    assert sample.skip is not None
    assert "marked as not to be learned from" in sample.skip
    assert len(sample.exchanges) == 1


def test_a_turn_that_is_marked_in_part_by_positions_stays() -> None:
    detail = [{"begin_offset": 0, "end_offset": 0, "train": False}]
    sample = sample_of({"messages": [USER, {**ANSWER, "train_detail": detail}, *TURNS]})
    assert [each.fixed for each in sample.exchanges] == [True, False]
    learned = [{**detail[0], "train": True}]
    assert not sample_of({"messages": [USER, {**ANSWER, "train_detail": learned}]}).exchanges[0].fixed


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}


@pytest.mark.parametrize("to", SFT_TRAINERS)
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL]},
        {"tools": json.dumps([TOOL])},
        {"tools": [json.dumps(FUNCTION)]},
        {"tools": [{"type": "function", **FUNCTION}]},
        {"functions": [FUNCTION]},
        {"tools": [{"functionDeclarations": [FUNCTION]}]},
        {"messages": [{"role": "system", "content": "s", "tools": [TOOL]}, *TURNS]},
    ],
)
def test_trainers_get_the_definitions_of_tools(to: SftTrainer, fields: dict[str, Any]) -> None:
    sample = make_sample(0, "0", {"messages": TURNS, "parallel_tool_calls": False, **fields}, "messages")
    if to == "openai":
        record = sft_record(sample, ["new"], to)
        assert (record["tools"], record["parallel_tool_calls"]) == ([TOOL], False)
        return
    with pytest.raises(ToolsFound):
        sft_record(sample, ["new"], to)
    tools = sft_record(sample, ["new"], to, tools=True)["tools"]
    assert (json.loads(tools) if to == "llamafactory" else tools) == (
        [FUNCTION] if to == "llamafactory" else [TOOL]
    )
    pair = Pair(0, "final", 1, "new", "a", None, None)
    assert pair_record(sample, ["new"], pair, "trl-dpo", tools=True)["tools"] == [TOOL]
    in_pair = pair_record(sample, ["new"], pair, "llamafactory-dpo", tools=True)["tools"]
    assert json.loads(in_pair) == [FUNCTION]


@pytest.mark.parametrize("tools", [None, [], "[]", ["hammer"], "a saw", {"saw": 1}])
def test_other_records_have_no_tools(tools: Any) -> None:
    sample = make_sample(0, "0", {"messages": TURNS, "tools": tools}, "messages")
    assert "tools" not in sft_record(sample, ["new"], "openai")
    assert "tools" not in sft_record(sample, ["new"], "trl-sft")
    assert sft_record(sample, ["new"], "trl-sft", tools=True)["tools"] is None
    assert sft_record(sample, ["new"], "llamafactory", tools=True)["tools"] == ""


@pytest.mark.parametrize(
    ("mark", "fixed"),
    [
        *(({"train": False}, [True, True]), ({"weight": 0}, [True, True]), ({"masked": True}, [True, True])),
        *(({"loss_mask": [0, 0, 0, 1]}, [True, False]), ({"train_on_turn": [True, False]}, [False, True])),
        *(({"masked": [True, False]}, [True, False]), ({"weight": 1}, [False, False])),
        *(({"weights": [0, 1]}, [True, False]), ({"loss_masks": [0, 1, 0, 0]}, [False, True])),
        *(({"loss_weights": [1.0, 0.0]}, [False, True]), ({"masks": [1, 0]}, [False, False])),
        *(({"loss_mask": [0] * 9}, [False, False]), ({"loss": 0.0}, [False, False])),
    ],
)
def test_marks_next_to_all_turns_are_heeded(mark: dict[str, Any], fixed: list[bool]) -> None:
    for turns in ({"messages": TURNS * 2}, {"system": "s", "conversations": [HUMAN, GPT] * 2}):
        record = turns | mark
        sample = sample_of(record)
        assert [each.fixed for each in sample.exchanges] == fixed
        assert (sample.skip == "all responses are marked as not to be learned from") == all(fixed)
        if not all(fixed):  # and so the graphs have them
            taken = {name: value for name, value in sample.record.items() if name in (*turns, "messages")}
            assert [each.fixed for each in parse_record(taken, sample.format).exchanges] == fixed
        texts = ["a" if stays else "new" for stays in fixed]
        new = with_responses(sample, texts)
        if any(fixed):
            assert {name: new[name] for name in mark} == mark
            marked = sft_record(sample, texts, "openai", marks=True)["messages"]
            assert [turn["weight"] == 0 for turn in marked if turn["role"] == "assistant"] == fixed


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "q", "input": "", "output": "a", "train": False},
        {"instruction": "q", "output": "a", "history": [["p", "b"]], "weight": 0},
        {"prompt": "q", "completion": "a", "trainable": "no"},
    ],
)
def test_a_record_that_is_marked_is_skipped_with_the_exchanges_of_earlier_results(
    record: dict[str, Any],
) -> None:
    sample = sample_of(record)
    assert sample.skip == "all responses are marked as not to be learned from"
    assert sample.exchanges[-1].response == "a"
    assert "new" in with_responses(sample, ["b", "new"][-len(sample.exchanges) :]).values()


@pytest.mark.parametrize("completion", [None, []])
def test_earlier_exchanges_without_a_mark_are_not_called_marked(completion: Any) -> None:
    sample = sample_of({"prompt": [*TURNS, USER], "completion": completion})
    assert sample.skip == "no answered request"
    sides = {"chosen": [*TURNS, USER], "rejected": [*TURNS, USER]}
    assert sample_of(sides, "chosen").skip == "no answered request"
