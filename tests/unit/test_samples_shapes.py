"""Records of uncommon shapes: lists in place of texts or of records, responses apart from their requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from graph.conversation import turns_of
from graph.settings import Settings
from samples.fields import unreadable
from samples.formats import unreadable_sample, with_responses
from samples.reader import open_data
from samples.sample import DataError, Exchange
from tests.samples_opened import opened, sample_of

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
TURNS = [USER, ANSWER]


@pytest.mark.parametrize("empty", [None, "", float("nan")])
@pytest.mark.parametrize(
    "turns",
    [
        {"messages": TURNS * 2},
        {"conversations": [{"question": "q", "answer": "a"}] * 2},
        {"messages": TURNS * 2, "conversations": None},
    ],
)
@pytest.mark.parametrize("name", ["instruction", "prompt"])
def test_the_graphs_take_a_conversation_next_to_empty_fields(name: str, turns: Any, empty: Any) -> None:
    sample = sample_of({name: empty} | turns)
    settings = Settings(thoughts="text")
    _, exchanges = turns_of({**sample.record, "id": "0"}, settings)  # type: ignore[typeddict-item]
    assert [each["response"] for each in exchanges] == [each.response for each in sample.exchanges]


@pytest.mark.parametrize("role", ["from", "role"])
@pytest.mark.parametrize("text", ["value", "content", "text"])
@pytest.mark.parametrize("field", ["conversations", "messages"])
def test_turns_are_known_by_their_names_in_any_combination(field: str, role: str, text: str) -> None:
    turns = [{role: "user", text: "q"}, {role: "assistant", text: "a"}]
    sample = sample_of({field: turns})
    assert sample.exchanges == (Exchange("q", "", "a"),)
    assert with_responses(sample, ["b"]) == {field: [turns[0], {role: "assistant", text: "b"}]}


@pytest.mark.parametrize("name", ["completion", "response", "answer", "output"])
def test_turns_apart_from_their_response_are_asked_about(tmp_path: Path, name: str) -> None:
    record = {"messages": [USER], name: "a"}
    with pytest.raises(DataError, match=f"read both with --columns request=messages,response={name}, or"):
        opened(tmp_path, [record])
    read = opened(tmp_path, [record], columns={"request": "messages", "response": name})
    (sample,) = read.samples()
    assert sample.exchanges == (Exchange("q", "", "a"),)
    with pytest.raises(DataError, match=f"read both with --columns request=messages,response={name}, or"):
        opened(tmp_path, [{"messages": [USER], name: [ANSWER]}])
    assert opened(tmp_path, [record], format="messages").notices() == [
        "no record can be worked on; all stay as they are: no answered request (1)"
    ]
    assert opened(tmp_path, [record, {"messages": TURNS}], format="messages").notices() == []
    with pytest.raises(DataError, match=r"--columns request=turns,response=reply\Z"):
        opened(tmp_path, [{"turns": [USER], "reply": "a"}])


@pytest.mark.parametrize(
    "several", [{"answers": ["x", "y"]}, {"choices": [{"text": "x"}]}, {"outputs": [{"model": "m"}]}]
)
def test_lists_next_to_answered_turns_are_no_responses(tmp_path: Path, several: dict[str, Any]) -> None:
    (sample,) = opened(tmp_path, [{"messages": TURNS} | several]).samples()
    assert sample.exchanges == (Exchange("q", "", "a"),)
    with pytest.raises(
        DataError, match=r"several responses .*; or read the turns alone with --format messages"
    ):
        opened(tmp_path, [{"messages": TURNS[:1]} | several])


def test_a_list_of_references_is_no_list_of_responses(tmp_path: Path) -> None:
    records = [{"messages": TURNS[:1], "answer": ["x", "y"]}, {"messages": TURNS, "answer": ["x", "y"]}]
    (_, sample) = opened(tmp_path, records, reference="answer").samples()
    assert sample.exchanges[0].references == ("x", "y")


SYSTEM = {"role": "system", "content": "s"}
CALLS = [
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "content": "1"},
    ANSWER,
]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": TURNS},
        {"messages": [SYSTEM, *TURNS, USER, *CALLS]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversation": [{"input": "q", "output": "a"}]},
        {
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"text": "a"}]},
            ]
        },
        {"prompt": [USER], "completion": [ANSWER]},
    ],
)
def test_turns_that_are_texts_of_json_are_turns(tmp_path: Path, record: dict[str, Any]) -> None:
    as_texts = {field: [json.dumps(turn) for turn in turns] for field, turns in record.items()}
    (sample,), (same,) = ([*opened(tmp_path, [each]).samples()] for each in (as_texts, record))
    assert (sample.system, sample.exchanges, sample.skip) == (same.system, same.exchanges, None)
    texts = [each.response if each.fixed else "new" for each in sample.exchanges]
    new = with_responses(sample, texts)
    assert {field: [json.loads(turn) for turn in turns] for field, turns in new.items()} == with_responses(
        same, texts
    )
    mixed = {field: [turns[0], *as_texts[field][1:]] for field, turns in record.items()}
    assert sample_of(mixed).exchanges == same.exchanges


def test_sides_whose_turns_are_texts_of_json_are_turns() -> None:
    turns = [json.dumps(turn) for turn in TURNS]
    for record in ({"chosen": turns}, {"prompt": "q", "chosen": turns[1:]}, {"prompt": "q", "chosen": turns}):
        sample = sample_of(record | {"rejected": turns}, "chosen")
        assert sample.exchanges == (Exchange("q", "", "a"),)
        assert json.loads(with_responses(sample, ["new"])["chosen"][-1]) == ANSWER | {"content": "new"}


@pytest.mark.parametrize("texts", [['{"a": 1}', '{"b": 2}'], ["{q", "a"], [json.dumps(USER), "a"]])
def test_other_texts_of_json_are_texts(texts: list[str]) -> None:
    (exchange,) = sample_of({"messages": texts}).exchanges
    assert (exchange.instruction, exchange.response) == tuple(texts)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([TURNS, TURNS], "found one turn of a conversation: write each list of turns as an object, as jq"),
        ([[TURNS, TURNS]], 'found a list of turns: write each as an object with the list in "messages"'),
        (
            [[{"prompt": "q", "response": [["a"]]}]] * 2,
            r"as jq -c '\{conversation: map\(\.response \|= \.\[0\]\[0\]\)\}' does",
        ),
        (['{"a": 1}', TURNS], "cannot detect the format"),
    ],
)
def test_lists_in_place_of_records_are_named_with_what_would_do(
    tmp_path: Path, lines: list[Any], message: str
) -> None:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in lines)
    (tmp_path / "data.jsonl").write_text("\n".join(texts))
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "data.jsonl").check()


def test_a_line_that_is_a_list_of_turns_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(f"{json.dumps({'messages': TURNS})}\n{json.dumps(TURNS)}\n")
    with pytest.raises(DataError, match=r"line 2 .*found a list of turns: write each as an object with"):
        open_data(tmp_path / "data.jsonl").check()


def test_what_is_no_record_is_not_converted_and_says_why() -> None:
    sample = unreadable_sample(
        0, "7", unreadable("[1]", "expected an object"), "alpaca", "expected an object"
    )
    assert with_responses(sample, []) == unreadable("[1]", "expected an object")
    with pytest.raises(DataError, match="sample 7 cannot be written as messages: expected an object"):
        with_responses(sample, [], "messages")


def test_requests_and_responses_in_two_lists_are_turns(tmp_path: Path) -> None:
    record = {"system": "s", "src": ["q", "r"], "tgt": ["a", "b"], "label": [0, 1]}
    (sample,) = opened(tmp_path, [record, record | {"id": 1}]).samples(0, 1)
    assert (sample.system, sample.exchanges) == (
        "s",
        (Exchange("q", "", "a", fixed=True), Exchange("r", "", "b")),
    )
    assert with_responses(sample, ["a", "new"]) == record | {"tgt": ["a", "new"]}
    named = {"ask": ["q"], "reply": ["a"]}
    (sample,) = opened(tmp_path, [named], columns={"request": "ask", "response": "reply"}).samples()
    assert with_responses(sample, ["new"]) == {"ask": ["q"], "reply": ["new"]}
    assert sample_of({"src": "q", "tgt": "a"}).exchanges == (Exchange("q", "", "a"),)
    with pytest.raises(DataError, match='expected a string in "src", found a list'):
        opened(tmp_path, [{"src": ["q", "r"], "tgt": ["a"]}])


@pytest.mark.parametrize("empty", [[], {}])
@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "q", "input": "", "output": "a"},
        {"prompt": "q", "response": "a"},
        {"messages": TURNS},
    ],
)
def test_an_empty_list_is_no_system_prompt(tmp_path: Path, record: dict[str, Any], empty: Any) -> None:
    data = opened(tmp_path, [{**record, "system": empty}])
    data.check()
    (sample,) = data.samples()
    assert (sample.system, sample.exchanges[0].response) == ("", "a")
    assert sample.format == "messages" or sample.record["system"] == ""
    assert with_responses(sample, ["new"])["system"] == empty
