"""Gemini's `contents`: read as Vertex AI documents them for tuning, and written back as they were."""

import json
from pathlib import Path
from typing import Any

import pytest

from samples.formats import make_sample, with_responses
from samples.neighbors import Neighbors
from samples.sample import Exchange, Sample
from samples.trainers import sft_record
from tests.samples_opened import opened

FILE = {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/file.png"}}
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
RESULT = {"functionResponse": {"name": "f", "response": {"b": 2}}}


def content(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def gemini(*contents: Any, thoughts: Any = "keep", **others: Any) -> Sample:
    return make_sample(0, "0", {"contents": [*contents], **others}, "gemini", thoughts)


ONE = (content("user", "q"), content("model", "a"))


@pytest.mark.parametrize(
    "system",
    [
        {"systemInstruction": content("system", "s")},
        {"systemInstruction": content("user", "s")},  # whose role is ignored
        {"systemInstruction": {"parts": [{"text": "s"}]}},
        {"system_instruction": {"parts": {"text": "s"}}},
        {"systemInstruction": json.dumps({"parts": [{"text": "s"}]})},  # as a table has it
        {"systemInstruction": "s"},
    ],
)
def test_contents_are_read_with_their_system_instruction(tmp_path: Path, system: dict[str, Any]) -> None:
    record = {
        **system,
        "contents": [content("user", "p"), content("model", "b"), *ONE],
        "generationConfig": {"temperature": 0},
        "id": "7",
    }
    data = opened(tmp_path, [record])
    assert data.describe() == "gemini records in JSON lines"
    (sample,) = data.samples()
    assert (sample.id, sample.system, sample.skip) == ("7", "s", None)
    assert sample.exchanges == (Exchange("p", "", "b"), Exchange("q", "", "a"))
    new = with_responses(sample, ["b", "new"])
    assert new == {**record, "contents": [*record["contents"][:3], content("model", "new")]}
    turns = [
        {"role": "system", "content": "s"},
        *({"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}),
        *({"role": "user", "content": "q"}, {"role": "assistant", "content": "new"}),
    ]
    kept = {"generationConfig": {"temperature": 0}, "id": "7"}
    assert with_responses(sample, ["b", "new"], "messages") == {"messages": turns, **kept}
    assert sft_record(sample, ["b", "new"], "trl-sft")["messages"] == turns


@pytest.mark.parametrize("empty", [None, "", {"parts": []}, {"role": "system", "parts": None}])
def test_an_empty_system_instruction_is_none(empty: Any) -> None:
    sample = gemini(*ONE, systemInstruction=empty)
    assert (sample.system, sample.exchanges) == ("", (Exchange("q", "", "a"),))
    assert with_responses(sample, ["new"], "messages")["messages"][0]["role"] == "user"


@pytest.mark.parametrize(
    ("contents", "fixed"),
    [
        ([content("user", "see", FILE), content("model", "a"), *ONE], [True, True]),
        ([*ONE, content("user", "see", {"inlineData": {"data": "x"}}), content("model", "a")], [False, True]),
        ([*ONE, content("user", "r"), content("model", CALL)], [False, True]),
        ([*ONE, content("user", "r"), content("model", {**CALL, "thoughtSignature": "x"})], [False, True]),
        (
            [
                content("user", "r"),
                content("model", CALL),
                content("user", RESULT),
                content("model", "b"),
                *ONE,
            ],
            [True, True, False],
        ),
        ([*ONE, content("user", "r"), content("function", RESULT), content("model", "b")], [False, True]),
        (
            [*ONE, content("user", "r"), content("model", "b", {"executableCode": {"code": "1"}})],
            [False, True],
        ),
        ([*ONE, content("user", "r"), content("model")], [False, True]),
        ([content("user", "r"), content("model", {"later": {}}), *ONE], [True, False]),
        (
            [*ONE, content("user", {"mediaResolution": {}, **FILE}), content("model", "a"), *ONE],
            [False, True, True],
        ),
        ([*ONE, content("user", "r"), content("model", {"text": None, **CALL})], [False, True]),
    ],
)
def test_parts_that_are_not_text_leave_their_exchange_as_it_is(contents: Any, fixed: list[bool]) -> None:
    sample = gemini(*contents)
    if all(fixed):
        assert sample.skip == "a non-text part (fileData)"
        assert with_responses(sample, []) == {"contents": contents}
        return
    assert [each.fixed for each in sample.exchanges] == fixed
    texts = [each.response if each.fixed else "new" for each in sample.exchanges]
    new = with_responses(sample, texts)["contents"]
    changed = [index for index, turn in enumerate(contents) if turn != new[index]]
    assert [new[index] for index in changed] == [content("model", "new")]


def test_a_system_instruction_with_a_file_is_skipped_with_the_reason() -> None:
    assert gemini(*ONE, systemInstruction=content("system", FILE)).skip == "a non-text part (fileData)"


@pytest.mark.parametrize("thoughts", ["skip", "drop", "keep"])
def test_thoughts_in_parts_are_kept_apart(thoughts: Any) -> None:
    thought = {"text": "hm", "thought": True}
    record = {"contents": [content("user", "q"), content("model", thought, "a")]}
    sample = make_sample(0, "0", record, "gemini", thoughts)
    if thoughts == "skip":
        assert sample.skip is not None
        assert "thoughts in the response" in sample.skip
        return
    assert sample.exchanges == (Exchange("q", "", "a", thoughts="hm"),)
    new = with_responses(sample, ["new"], neighbors=Neighbors(thoughts))["contents"]
    kept = [thought] if thoughts == "keep" else []
    assert new == [content("user", "q"), content("model", *kept, "new")]
    empty = make_sample(0, "0", {"contents": [ONE[0], content("model", thought)]}, "gemini", thoughts)
    new = with_responses(empty, ["new"], neighbors=Neighbors(thoughts))["contents"]
    assert new[1] == content("model", *kept, "new")


@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"prompt": "q", "completion": "a", "contents": [*ONE]}, "prompt-completion"),
        ({"messages": [{"role": "user", "content": "q"}], "contents": [*ONE]}, "messages"),
        ({"question": "q", "answer": "a", "contents": [{"title": "t", "text": "x"}]}, "question-answer"),
        ({"instruction": "q", "output": "a", "contents": ["x"]}, "alpaca"),
    ],
)
def test_contents_next_to_another_layout_are_a_field(tmp_path: Path, record: Any, format: str) -> None:
    data = opened(tmp_path, [record])
    assert data.format == format
    (sample,) = data.samples()
    new = with_responses(sample, ["new"] * len(sample.exchanges))
    assert new["contents"] == record["contents"]
    if format != "messages":
        assert with_responses(sample, ["new"], "messages")["contents"] == record["contents"]
