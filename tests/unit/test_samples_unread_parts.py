"""Parts of a request, or responses, under names that a layout does not have: read, or asked about."""

import re
from pathlib import Path
from typing import Any

import pytest

from graph.state import AlpacaRecord, ConversationRecord
from samples.formats import parse_record, with_responses
from samples.reader import open_data
from samples.sample import DataError, Exchange
from tests.samples_opened import opened, sample_of

STATE = {*ConversationRecord.__annotations__, *AlpacaRecord.__annotations__}
TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"question": "q", "context": "c", "answer": "a"}, "question-answer"),
        ({"question": "q", "article": "c", "answer": "a"}, "question-answer"),
        ({"Question": "q", "Options": "c", "Answer": "a"}, None),
        ({"prompt": "q", "input": "c", "response": "a"}, "prompt-response"),
        ({"prompt": "q", "context": "c", "completion": "a"}, "prompt-completion"),
        ({"instruction": "q", "context": "c", "output": "a"}, "alpaca"),
        ({"instruction": "q", "question": "c", "output": "a"}, "alpaca"),
        ({"instruction": "q", "input": "c", "generation": "a"}, "distilabel"),
        ({"definition": "q", "inputs": "c", "targets": "a"}, "inputs-targets"),
        ({"prompt": "q", "input": "c", "output": "a"}, "input-output"),
        ({"problem": "q", "input_text": "c", "solution": "a"}, "problem-solution"),
        ({"text": "c", "question": "q", "answer": "a"}, "question-answer"),
    ],
)
def test_a_second_part_of_a_request_is_read(
    tmp_path: Path, record: dict[str, Any], format: str | None
) -> None:
    data = opened(tmp_path, [record])
    (sample,) = data.samples()
    assert sample.exchanges == (Exchange("q", "c", "a"),)
    assert with_responses(sample, ["new"]) == {k: "new" if v == "a" else v for k, v in record.items()}
    if format:  # a run that began before goes on as it began
        data.resume(format)
        asked = "c" if format in ("inputs-targets", "input-output") else "q"
        (sample,) = data.samples()
        assert (data.format, sample.exchanges[0].whole_request) == (format, asked)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "q", "options": {"A": "x"}, "answer": "A"},
         'line 1 .*"options" may be a part of what is asked: write it into "question" as text, or read the '
         "record without by --format question-answer$"),
        ({"question": "q", "choices": ["x", "y"], "answer": 1}, '"choices" may be a part'),
        ({"question": "q", "hint": "h", "answer": "a"}, '"hint" may be a part'),
        ({"instruction": "q", "input": "i", "context": "c", "output": "a"}, '"context" may be a part'),
        ({"question": "q", "context": "c", "options": "o", "answer": "a"},
         '"context" and "options" may be a part of what is asked: read it with --columns request=question,'
         "response=answer,input=context, or"),
    ],
)  # fmt: skip
def test_what_may_be_a_part_of_the_request_is_asked_about(
    tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        opened(tmp_path, [record])
    plain = {
        name: record[name]
        for name in ("question", "instruction", "input", "answer", "output")
        if name in record
    }
    with pytest.raises(DataError, match=r"line 2 .* may be a part of what is asked"):
        opened(tmp_path, [plain, record])
    format = "alpaca" if "instruction" in record else "question-answer"
    assert opened(tmp_path, [record], format=format).format == format


@pytest.mark.parametrize(
    "record",
    [
        {"question": "q with c", "context": "c", "answer": "a"},
        {"question": "q", "context": "", "options": [], "answer": "a", "document_id": "c"},
        {"messages": TURNS, "context": "c", "options": ["x"]},
        {"question": "q", "answer": "a", "text": "Below: q. a", "task": "t"},
    ],
)
def test_what_the_request_says_or_what_is_none_of_it_is_no_second_part(record: dict[str, Any]) -> None:
    (exchange,) = sample_of(record).exchanges
    assert (exchange.whole_request, exchange.response) == (record.get("question", "q"), "a")


def test_the_reference_is_no_second_part(tmp_path: Path) -> None:
    (sample,) = opened(
        tmp_path, [{"question": "q", "answer": "a", "context": "b"}], reference="context"
    ).samples()
    assert sample.exchanges == (Exchange("q", "", "a", references=("b",)),)


@pytest.mark.parametrize(
    ("record", "system"),
    [
        ({"question": "q", "answer": "a", "system_message": "s"}, "s"),
        ({"instruction": "q", "output": "a", "system_message": "s"}, "s"),
        ({"instruction": "q", "context": "", "response": "a", "system": "s"}, "s"),
        ({"problem": "q", "solution": "a", "systemPrompt": "s"}, "s"),
        ({"system_prompt": "s", "conversations": TURNS}, "s"),
        ({"messages": TURNS, "system_message": "s"}, "s"),
        ({"data": ["q", "a"], "system": "s"}, "s"),
        ({"system_prompt": "t", "messages": [{"role": "system", "content": "s"}, *TURNS]}, "s"),
        ({"system_prompt": "t", "system": "s", "messages": TURNS}, "s"),
        ({"system_prompt": None, "messages": TURNS}, ""),
    ],
)
def test_a_system_prompt_is_read_whatever_the_layout(
    tmp_path: Path, record: dict[str, Any], system: str
) -> None:
    (sample,) = opened(tmp_path, [record]).samples()
    assert (sample.system, sample.exchanges) == (system, (Exchange("q", "", "a"),))
    # The graphs see it too, and no other name of it is in what they take.
    taken = parse_record({n: v for n, v in sample.record.items() if n in STATE}, sample.format)
    assert (taken.system, taken.exchanges) == (system, sample.exchanges)
    turned = with_responses(sample, ["new"], "messages")
    assert parse_record(turned, "messages").system == system


def test_earlier_exchanges_are_read_whatever_the_layout() -> None:
    record = {"problem": "q", "solution": "a", "history": [["p", "b"]]}
    assert [each.instruction for each in sample_of(record).exchanges] == ["p", "q"]


@pytest.mark.parametrize(
    ("record", "response"),
    [
        ({"question": "q", "solution": "1 + 1 = 2", "answer": "2"}, "solution"),
        ({"question": "q", "solution": "1 + 1 = 2", "answer": 2}, "solution"),
        ({"question": "q", "solution": "1 + 1 = 2"}, "solution"),
        ({"question": "q", "solution": "2", "answer": "1 + 1 = 2"}, "answer"),
        ({"problem": "q", "solution": "1 + 1 = 2", "answer": "2"}, "solution"),
    ],
)
def test_the_response_is_the_solution_and_not_its_bare_result(
    tmp_path: Path, record: dict[str, Any], response: str
) -> None:
    data = opened(tmp_path, [record])
    (sample,) = data.samples()
    assert with_responses(sample, ["new"]) == record | {response: "new"}
    if "answer" in record and response == "solution":
        (sample,) = opened(tmp_path, [record], reference="answer").samples()
        assert sample.exchanges[0].references == ("2",)
    if data.format == "question-solution":
        data.resume("question-answer")
        assert data.format == "question-answer"


@pytest.mark.parametrize(
    ("record", "format", "other"),
    [
        ({"instruction": "q", "input": "", "output": "a", "response": "b"}, "alpaca", "response"),
        ({"question": "q", "answer": "2", "completion": "so 2"}, "question-answer", "completion"),
        ({"query": "q", "answer": "2", "solution": "so 2"}, "query-answer", "solution"),
        ({"question": "q", "answer": "2", "explanation": "so 2"}, "question-answer", "explanation"),
    ],
)
def test_a_second_field_that_may_be_the_response_is_asked_about(
    tmp_path: Path, record: dict[str, Any], format: str, other: str
) -> None:
    with pytest.raises(
        DataError, match=rf"the response may be .*--format {format}, or with --columns .*={other}"
    ):
        opened(tmp_path, [record])
    assert opened(tmp_path, [record], format=format).format == format
    assert opened(tmp_path, [record], reference=other).format == format
    data = open_data(tmp_path / "data.jsonl")
    data.resume(format)  # as a run of an earlier version has it
    assert data.check().count == 1


@pytest.mark.parametrize("side", ["chosen", "rejected"])
@pytest.mark.parametrize(
    "record",
    [
        {"question": "q", "context": "c"},
        {"prompt": "q", "input": "c"},
        {"instruction": "q", "context": "c"},
        {"instruction": "q", "input": "", "context": "c"},
    ],
)
def test_a_second_part_of_a_request_with_two_responses_is_read(record: dict[str, Any], side: Any) -> None:
    whole = record | {"chosen": "a", "rejected": "a"}
    sample = sample_of(whole, side)
    assert sample.exchanges == (Exchange("q", "c", "a"),)
    assert with_responses(sample, ["new"]) == whole | {side: "new"}


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (
            {"meta": {"x": 1}, "inputs": {"question": "q"}, "outputs": {"answer": "a"}},
            ". + .inputs + .outputs | del(.inputs, .outputs)",
        ),
        ({"id": 1, "url": {}, "body": {"model": "m", "messages": TURNS}}, ". + .body | del(.body)"),
    ],
)
def test_parts_inside_objects_are_told_how_to_be_read(
    tmp_path: Path, record: dict[str, Any], command: str
) -> None:
    with pytest.raises(DataError, match=re.escape(f"as jq -c '{command}' does; or name the fields")):
        opened(tmp_path, [record])
    with pytest.raises(DataError, match="found the fields a, b: name the fields"):
        opened(tmp_path, [{"a": {"question": "q"}, "b": {"c": 1}}])


def test_a_record_of_another_layout_is_not_asked_about(tmp_path: Path) -> None:
    others = [{"instruction": "q", "output": "a"}, {"prompt": "q", "response": "a"}]
    with pytest.raises(DataError, match='"instruction" and "output", found the fields prompt, response'):
        opened(tmp_path, others)


def test_labels_and_worse_responses_do_not_hide_a_second_part(tmp_path: Path) -> None:
    record = {"question": "q", "context": "c", "answer": "a", "label": True}
    data = opened(tmp_path, [record], improve="chosen")
    (sample,) = data.samples()
    assert sample.exchanges == (Exchange("q", "c", "a"),)
    data.resume("kto chosen question-answer")
    assert data.format == "kto chosen question-answer"
    worse = {"query": "q", "context": "c", "response": "a", "rejected_response": "b"}
    assert sample_of(worse, "rejected").exchanges == (Exchange("q", "c", "b"),)
    with pytest.raises(DataError, match='"options" may be a part of what is asked: write it into "prompt"'):
        opened(
            tmp_path, [{"prompt": "q", "options": ["x"], "chosen": "a", "rejected": "b"}], improve="chosen"
        )
