"""Records of uncommon shapes: lists in place of texts, responses apart from requests, marks elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from graph.conversation import turns_of
from graph.settings import Settings
from samples.detection import find_format
from samples.fields import unreadable
from samples.files import write_records
from samples.formats import (
    make_sample,
    parse_record,
    same_as_other_side,
    unreadable_sample,
    with_responses,
)
from samples.neighbors import Neighbors
from samples.reader import DataSet, open_data
from samples.sample import DataError, Exchange, Sample
from samples.trainers import sft_record

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
TURNS = [USER, ANSWER]


def detected(record: dict[str, Any], improve: Any = None) -> str:
    found = find_format(record, "auto", improve, None)
    assert found.format is not None, found.why
    return found.format


def sample_of(record: dict[str, Any], improve: Any = None) -> Sample:
    return make_sample(0, "0", record, detected(record, improve))


def opened(folder: Path, *records: Any, **how: Any) -> DataSet:
    write_records(folder / "data.jsonl", records)
    data = open_data(folder / "data.jsonl", **how)
    data.check()
    return data


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


@pytest.mark.parametrize(
    ("record", "new"),
    [
        (
            {"prompt": "q", "chosen": ["q", "a"], "rejected": ["q", "w"]},
            {"prompt": "q", "chosen": ["q", "new"], "rejected": ["q", "w"]},
        ),
        (
            {"prompt": [USER], "chosen": ["q", "a"], "rejected": ["q", "w"]},
            {"prompt": [USER], "chosen": ["q", "new"], "rejected": ["q", "w"]},
        ),
        ({"chosen": ["q", "a"], "rejected": ["q", "w"]}, {"chosen": ["q", "new"], "rejected": ["q", "w"]}),
        (
            {"prompt": "q", "chosen": ["q", "a", "r", "b"], "rejected": "w"},
            {"prompt": "q", "chosen": ["q", "a", "r", "new"], "rejected": "w"},
        ),
        (
            {"prompt": "q", "chosen": ["a"], "rejected": ["w"]},
            {"prompt": "q", "chosen": ["new"], "rejected": ["w"]},
        ),
        ({"instruction": "q", "output": ["a", "w"]}, {"instruction": "q", "output": ["new", "w"]}),
    ],
)
def test_a_side_that_is_a_list_of_texts_gets_its_response(
    record: dict[str, Any], new: dict[str, Any]
) -> None:
    sample = make_sample(0, "0", record, "preference chosen")
    texts = [each.response if each.fixed else "new" for each in sample.exchanges]
    assert with_responses(sample, texts) == new


def test_several_responses_on_the_other_side_stay() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": ["w", "v", "u"]}
    sample = sample_of(record, "chosen")
    assert not same_as_other_side(sample, ["b"])
    assert with_responses(sample, ["b"]) == {**record, "chosen": "b"}


@pytest.mark.parametrize("side", [["b", "c"], ["a", "b", "c"]])
@pytest.mark.parametrize("prompt", ["q", [USER]])
def test_several_responses_on_a_side_are_refused(tmp_path: Path, side: list[str], prompt: Any) -> None:
    with pytest.raises(DataError, match=r"several responses to one request \(rejected\): put the better"):
        opened(tmp_path, {"prompt": prompt, "chosen": side, "rejected": side}, improve="rejected")


def test_results_of_earlier_versions_have_the_exchange_of_a_side_with_two_responses() -> None:
    record = {"prompt": "q", "chosen": ["a", "b"], "rejected": ["w", "v"]}
    sample = make_sample(0, "0", record, "preference rejected")
    assert sample.skip is not None
    assert "several responses to one request (rejected)" in sample.skip
    assert with_responses(sample, ["new"])["rejected"] == ["w", "new"]


@pytest.mark.parametrize(
    "mark", [{"output_with_loss": False}, {"weight": 0}, {"train": False}, {"is_masked": 1 > 0}]
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


@pytest.mark.parametrize("role", ["from", "role"])
@pytest.mark.parametrize("text", ["value", "content", "text"])
@pytest.mark.parametrize("field", ["conversations", "messages"])
def test_turns_are_known_by_their_names_in_any_combination(field: str, role: str, text: str) -> None:
    turns = [{role: "user", text: "q"}, {role: "assistant", text: "a"}]
    sample = sample_of({field: turns})
    assert sample.exchanges == (Exchange("q", "", "a"),)
    assert with_responses(sample, ["b"]) == {field: [turns[0], {role: "assistant", text: "b"}]}


@pytest.mark.parametrize("field", ["context", "context_messages"])
@pytest.mark.parametrize("request_", ["q", [{"from": "human", "content": "q"}]])
def test_the_request_of_a_preference_record_may_be_its_context(field: str, request_: Any) -> None:
    record = {field: request_, "chosen": "a", "rejected": "w"}
    sample = sample_of(record, "chosen")
    assert sample.exchanges == (Exchange("q", "", "a"),)
    assert with_responses(sample, ["b"]) == {**record, "chosen": "b"}


def test_the_rationale_of_a_rater_is_no_thought() -> None:
    record = {
        "input": "q",
        "chosen": "a",
        "rejected": "w",
        "rating": [9, 1],
        "rationale": "The first is right.",
    }
    sample = make_sample(0, "0", record, "preference chosen", "skip")
    assert (sample.skip, sample.exchanges) == (None, (Exchange("q", "", "a"),))
    new = with_responses(sample, ["b"])
    assert new == {
        **{"input": "q", "chosen": "b", "rejected": "w"},
        **{"original_rating": [9, 1], "original_rationale": "The first is right."},
    }
    plain = {"instruction": "q", "output": "a", "rationale": "It is right."}
    assert make_sample(0, "0", plain, "alpaca", "skip").skip


def test_a_mark_that_closes_the_solution_leaves_no_space() -> None:
    thoughts = "<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n"
    text = thoughts + "<|begin_of_solution|>\n\na\n\n<|end_of_solution|>"
    record = {"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": text}]}
    sample = make_sample(0, "0", record, "sharegpt", "drop")
    assert with_responses(sample, ["b"])["conversations"][1]["value"] == "b"
    kept = with_responses(sample, ["b"], neighbors=Neighbors("keep"))["conversations"][1]["value"]
    assert kept == text.replace("\n\na\n\n", "\n\nb\n\n")


@pytest.mark.parametrize("thoughts", ["drop", "keep"])
def test_what_holds_the_dropped_thoughts_goes_with_them(thoughts: Any) -> None:
    record = {"instruction": "q", "output": "<think>\nlet us see\n</think>\n\na", "analysis": "let us see"}
    new = with_responses(make_sample(0, "0", record, "alpaca", "drop"), ["b"], neighbors=Neighbors(thoughts))
    assert ("analysis" in new, "original_analysis" in new) == (thoughts == "keep", thoughts == "drop")


@pytest.mark.parametrize("name", ["completion", "response", "answer", "output"])
def test_turns_apart_from_their_response_are_asked_about(tmp_path: Path, name: str) -> None:
    record = {"messages": [USER], name: "a"}
    with pytest.raises(DataError, match=f"read both with --columns request=messages,response={name}, or"):
        opened(tmp_path, record)
    read = opened(tmp_path, record, columns={"request": "messages", "response": name})
    (sample,) = read.samples()
    assert sample.exchanges == (Exchange("q", "", "a"),)
    with pytest.raises(DataError, match=f"read both with --columns request=messages,response={name}, or"):
        opened(tmp_path, {"messages": [USER], name: [ANSWER]})
    assert opened(tmp_path, record, format="messages").notices() == [
        "no record can be worked on; all stay as they are: no answered request (1)"
    ]
    assert (
        opened(tmp_path, {"messages": [USER], name: "a"}, {"messages": TURNS}, format="messages").notices()
        == []
    )
    with pytest.raises(DataError, match=r"--columns request=turns,response=reply\Z"):
        opened(tmp_path, {"turns": [USER], "reply": "a"})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([TURNS, TURNS], "found one turn of a conversation: write each list of turns as an object, as jq"),
        ([[TURNS, TURNS]], 'found a list of turns: write each as an object with the list in "messages"'),
        (
            [[{"prompt": "q", "response": [["a"]]}]] * 2,
            r"as jq -c '\{conversation: map\(\{prompt, response: .response\[0\]\[0\]\}\)\}' does",
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
    (sample,) = opened(tmp_path, record, record | {"id": 1}).samples(0, 1)
    assert (sample.system, sample.exchanges) == (
        "s",
        (Exchange("q", "", "a", fixed=True), Exchange("r", "", "b")),
    )
    assert with_responses(sample, ["a", "new"]) == record | {"tgt": ["a", "new"]}
    named = {"ask": ["q"], "reply": ["a"]}
    (sample,) = opened(tmp_path, named, columns={"request": "ask", "response": "reply"}).samples()
    assert with_responses(sample, ["new"]) == {"ask": ["q"], "reply": ["new"]}
    assert sample_of({"src": "q", "tgt": "a"}).exchanges == (Exchange("q", "", "a"),)
    with pytest.raises(DataError, match='expected a string in "src", found a list'):
        opened(tmp_path, {"src": ["q", "r"], "tgt": ["a"]})
