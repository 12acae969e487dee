"""`--reference`: the field of a right answer, found in every layout."""

import json
from pathlib import Path
from typing import Any

import pytest

from samples.reader import DataSet, open_data
from samples.references import reference_texts
from samples.sample import DataError

ALPACA = {"instruction": "Add 1 and 2.", "input": "", "output": "It is 4."}


def opened(folder: Path, records: list[dict[str, Any]], reference: str, **how: Any) -> DataSet:
    path = folder / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = open_data(path, reference=reference, **how)
    data.check()
    return data


def references(data: DataSet) -> list[list[tuple[str, ...]]]:
    return [[exchange.references for exchange in sample.exchanges] for sample in data.samples()]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (" 3 ", ("3",)),
        (3, ("3",)),
        (3.0, ("3",)),
        (0.5, ("0.5",)),
        (True, ("true",)),
        ([3, "three", None], ("3", "three")),
        ({"a": 1}, ('{"a": 1}',)),
        ([[1, 2]], ("[[1, 2]]",)),
        ('["4", "four"]', ("4", "four")),
        ('[4, "four", null]', ("4", "four")),
        ("[4]", ("4",)),
        ("[]", ()),
        ("[1, 2]", ("[1, 2]",)),
        ('["4", {"a": 1}]', ('["4", {"a": 1}]',)),
        ("[a]", ("[a]",)),
        ("", ()),
        (None, ()),
        ([], ()),
        ("\ud800", ()),
    ],
)
def test_values(tmp_path: Path, value: Any, found: tuple[str, ...]) -> None:
    first = {**ALPACA, "answer": "x"}
    assert references(opened(tmp_path, [first, {**ALPACA, "answer": value}], "answer"))[1] == [found]


def test_what_cannot_be_written_is_no_reference() -> None:
    nest: Any = 1
    for _ in range(100_000):
        nest = [nest]
    assert reference_texts([nest]) == reference_texts(10**5000) == ()


ASKED = [{"role": "user", "content": "1 + 2?"}]
TALK = [*ASKED, {"role": "assistant", "content": "4"}]


@pytest.mark.parametrize(
    ("record", "layout"),
    [
        ({**ALPACA, "answer": "3"}, "alpaca"),
        ({"question": "1 + 2?", "response": "4", "answer": "3"}, "orca"),
        ({"problem": "1 + 2?", "solution": "4", "answer": "3"}, "problem-solution"),
        ({"prompt": ASKED, "completion": "4", "answer": 3}, "prompt-completion"),
        ({"question": "1 + 2?", "answer": "3"}, "question-answer"),
        ({"messages": TALK, "answer": "3"}, "messages"),
        ({"instruction": "1 + 2?", "answer": "3", "output": "4"}, "alpaca"),
    ],
)
def test_layouts(tmp_path: Path, record: dict[str, Any], layout: str) -> None:
    data = opened(tmp_path, [record], "answer")
    assert data.format == layout
    assert references(data) == [[("3",)]]


def test_a_field_inside_another(tmp_path: Path) -> None:
    inside = {**ALPACA, "reward_model": {"style": "rule", "ground_truth": "3"}}
    assert references(opened(tmp_path, [inside], "reward_model.ground_truth")) == [[("3",)]]
    assert references(opened(tmp_path, [{**ALPACA, "a.b": "3", "a": {"b": "4"}}], "a.b")) == [[("3",)]]


def test_turns_have_their_own(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "1 + 2?"},
        {"from": "gpt", "value": "4", "right": 3},
        {"from": "human", "value": "And doubled?"},
        {"from": "gpt", "value": "8"},
    ]
    record = {"conversations": turns}
    assert references(opened(tmp_path, [record], "right")) == [[("3",), ()]]
    assert references(opened(tmp_path, [{**record, "right": 6}], "right")) == [[("3",), ("6",)]]
    as_text = {"conversations": json.dumps(turns)}
    assert references(opened(tmp_path, [as_text], "right")) == [[("3",), ()]]


def test_records_without_one_are_counted(tmp_path: Path) -> None:
    data = opened(tmp_path, [ALPACA, {**ALPACA, "answer": "3"}, {**ALPACA, "answer": None}], "answer")
    (notice,) = data.notices()
    assert '"answer": 2 of 3' in notice


def test_a_field_that_no_record_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no record has a reference in "nope".* instruction, input, output$'):
        opened(tmp_path, [ALPACA], "nope")
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "4", "right": 3}]
    with pytest.raises(DataError, match=r"its responses have the fields from, right$"):
        opened(tmp_path, [{"conversations": turns}], "nope")


@pytest.mark.parametrize("field", ["instruction", "input"])
def test_what_is_asked_is_no_reference(tmp_path: Path, field: str) -> None:
    with pytest.raises(DataError, match=f'all agents see "{field}"'):
        opened(tmp_path, [ALPACA], field)


def test_an_object_around_the_field_may_be_json_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('instruction,output,reward_model\nAdd.,4,"{""ground_truth"": [""3"", ""three""]}"\n')
    data = open_data(path, reference="reward_model.ground_truth")
    data.check()
    assert references(data) == [[("3", "three")]]
