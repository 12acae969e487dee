"""Record formats: parsing records and writing new responses into them."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.formats import detect_format, make_sample, parse_record, with_responses
from samples.sample import DataError, Exchange, Format, Sample
from tests import samples_records


def sample_of(record: dict[str, Any], format: str | None = None) -> Sample:
    format = format or detect_format(record)
    assert format is not None
    return make_sample(0, "7", record, format)


def turns(*texts: str | None, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"from": ("human", "gpt")[(number + start) % 2], "value": text} for number, text in enumerate(texts)
    ]


HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}


@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"instruction": "q", "output": "a"}, "alpaca"),
        ({"conversations": []}, "sharegpt"),
        ({"messages": []}, "messages"),
        ({"instruction": None, "conversations": None, "messages": []}, "messages"),
        ({"instruction": None}, "alpaca"),
        ({"instruction": "q", "messages": []}, None),
        ({"prompt": "q"}, None),
        ({}, None),
    ],
)
def test_a_format_is_known_by_its_field(record: dict[str, Any], format: Format | None) -> None:
    assert detect_format(record) == format


@pytest.mark.parametrize("no_input", ["", None, " ", "<no input>", "<noinput>", " <No Input>\n"])
def test_an_alpaca_record_without_input(no_input: str | None) -> None:
    parsed = parse_record({"instruction": "q", "input": no_input, "output": "a"}, "alpaca")
    assert parsed.exchanges == (Exchange("q", "", "a"),)
    assert parsed.skip is None


def test_an_alpaca_record_with_input_and_system() -> None:
    record = {"instruction": "q", "input": " i\n", "output": "a", "system": "s", "history": []}
    parsed = parse_record(record, "alpaca")
    assert parsed.exchanges == (Exchange("q", " i\n", "a"),)
    assert parsed.system == "s"


def test_an_alpaca_request_that_is_all_in_input() -> None:
    parsed = parse_record({"instruction": "", "input": "i", "output": "a"}, "alpaca")
    assert parsed.exchanges == (Exchange("i", "", "a"),)


def test_an_empty_response_can_be_improved() -> None:
    assert parse_record({"instruction": "q", "output": ""}, "alpaca").exchanges[0].response == ""
    record = {"conversations": turns("q", "")}
    assert parse_record(record, "sharegpt").exchanges == (Exchange("q", "", ""),)


@pytest.mark.parametrize("format", ["sharegpt", "messages"])
@pytest.mark.parametrize("keys", [("from", "value"), ("role", "content")])
@pytest.mark.parametrize(
    "roles", [("human", "gpt"), ("user", "assistant"), ("user", "chatgpt"), ("human", "Bing")]
)
def test_the_names_that_turns_have_in_published_data(
    format: Format, keys: tuple[str, str], roles: tuple[str, str]
) -> None:
    said = [("system", "s"), (roles[0], "q"), (roles[1], "a"), (roles[0], "r")]
    field = "messages" if format == "messages" else "conversations"
    record = {field: [{keys[0]: role, keys[1]: text} for role, text in said]}
    parsed = parse_record(record, format)
    assert (parsed.system, parsed.exchanges, parsed.skip) == ("s", (Exchange("q", "", "a"),), None)
    answered = with_responses(sample_of(record, format), ["b"])
    assert answered[field][2] == {keys[0]: roles[1], keys[1]: "b"}
    assert answered[field][3] == record[field][3]


def test_both_places_of_a_system_prompt() -> None:
    system = {"from": "system", "value": "two"}
    record = {"system": "one", "conversations": [system, HUMAN, GPT]}
    assert parse_record(record, "sharegpt").system == "one\n\ntwo"
    record["system"] = "two"
    assert parse_record(record, "sharegpt").system == "two"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"instruction": " \n", "input": "", "output": "a"}, "an empty request"),
        ({"instruction": None, "output": "a"}, "an empty request"),
        ({"instruction": "q", "output": None}, "no answered request"),
        (
            {"instruction": "q", "output": "a", "history": "p"},
            'a "history" that is not a list of (request, response) pairs',
        ),
        (
            {"instruction": "q", "output": "a", "images": ["x.png"]},
            'non-text content in "images"',
        ),
        (
            {"instruction": "q", "output": "\ud83d"},
            "text with an unpaired surrogate, which cannot be sent to a model",
        ),
        ({"conversations": []}, "an empty conversation"),
        ({"conversations": [HUMAN]}, "no answered request"),
        ({"conversations": [{"from": "system", "value": "s"}]}, "no answered request"),
        ({"conversations": [GPT, HUMAN]}, "a response without a request"),
        ({"conversations": [HUMAN, GPT, GPT]}, "two responses in a row"),
        ({"conversations": turns("  ", "b")}, "an empty request"),
        ({"conversations": turns("q", None)}, "a turn without text"),
        (
            {"conversations": [HUMAN, GPT | {"weight": 0}]},
            "all responses are marked as not to be learned from",
        ),
        (
            {"conversations": [HUMAN, {"from": "system", "value": "s"}, GPT]},
            "a system turn after the first turn",
        ),
        (
            {"conversations": [HUMAN, {"from": "function_call", "value": "{}"}]},
            "a turn of function_call",
        ),
        (
            {"conversations": [HUMAN, {"from": "observation", "value": "{}"}, GPT]},
            "a turn of observation",
        ),
        ({"conversations": [{"from": "a\nb", "value": "x"}]}, "a turn of a\\nb"),
        (
            {"image": "x.png", "conversations": [HUMAN, GPT]},
            'non-text content in "image"',
        ),
        (
            {"system": "\ude00", "conversations": [HUMAN, GPT]},
            "text with an unpaired surrogate, which cannot be sent to a model",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "{}"}]},
            "a turn of tool",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}]},
            "a turn without text",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "tool_calls": [{"id": "1"}]},
                ]
            },
            "a tool call",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "a non-text part (image_url)",
        ),
    ],
)
def test_what_the_method_is_not_for_is_skipped_and_left_as_it_is(record: dict[str, Any], reason: str) -> None:
    sample = sample_of(record)
    assert (sample.skip, sample.exchanges) == (reason, ())
    assert with_responses(sample, []) == record


def test_fields_of_no_account_are_no_reason_to_skip() -> None:
    record = {"conversations": [HUMAN, GPT], "tools": "[{}]", "images": [], "videos": None}
    sample = sample_of(record)
    assert sample.skip is None
    assert with_responses(sample, ["b"])["tools"] == "[{}]"


MESSAGE = {"role": "user", "content": "q"}


@pytest.mark.parametrize(
    ("record", "format", "message"),
    [
        (
            {"instruction": "q"},
            "alpaca",
            'expected an Alpaca record with "instruction" and "output", found the fields instruction',
        ),
        (
            {"instruction": "q", "response": "a"} | {str(n): n for n in range(9)},
            "alpaca",
            'expected an Alpaca record with "instruction" and "output", '
            "found the fields instruction, response, 0, 1, 2, 3, 4, 5, …",
        ),
        (
            {"instruction": 7, "output": "a"},
            "alpaca",
            'expected a string in "instruction", found a number',
        ),
        (
            {"instruction": "q", "output": ["a"]},
            "alpaca",
            'expected a string in "output", found a list',
        ),
        (
            {"instruction": "q", "input": {"a": 1}, "output": "a"},
            "alpaca",
            'expected a string in "input", found an object',
        ),
        (
            {"instruction": "q", "output": "a", "system": True},
            "alpaca",
            'expected a string in "system", found true',
        ),
        (
            {},
            "sharegpt",
            'expected a ShareGPT record with "conversations", found an empty object',
        ),
        (
            {"conversations": [], "id": 1},
            "messages",
            'expected an OpenAI-style record with "messages", found the fields conversations, id',
        ),
        (
            {"conversations": "q"},
            "sharegpt",
            'expected a list of turns in "conversations", found a string',
        ),
        (
            {"messages": None},
            "messages",
            'expected a list of turns in "messages", found null',
        ),
        (
            {"conversations": [HUMAN, "a"]},
            "sharegpt",
            "turn 2: expected an object, found a string",
        ),
        (
            {"conversations": [HUMAN, {"speaker": "gpt"}]},
            "sharegpt",
            'turn 2: expected "from" and "value" or "role" and "content", found the fields speaker',
        ),
        (
            {"conversations": [{"from": "human", "says": "q"}]},
            "sharegpt",
            'turn 1: expected "value", found the fields from, says',
        ),
        (
            {"conversations": [{"from": None, "value": "q"}]},
            "sharegpt",
            'turn 1: expected a string in "from", found null',
        ),
        # A record that is to be skipped anyway is checked to its end.
        (
            {"conversations": [GPT, {"from": "human", "value": 7}]},
            "sharegpt",
            'turn 2: expected a string in "value", found a number',
        ),
        (
            {"messages": [{"role": "user", "content": [5]}]},
            "messages",
            'turn 1: expected parts with "type" and "text" in "content", found a number',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages",
            'turn 1: expected parts with "type" and "text" in "content", found the fields type',
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(
    record: dict[str, Any], format: Format, message: str
) -> None:
    with pytest.raises(DataError) as raised:
        parse_record(record, format)
    assert str(raised.value) == message


RECORDS = samples_records.alpaca() | samples_records.sharegpt() | samples_records.messages()


@settings(max_examples=100, deadline=None)
@given(RECORDS)
def test_a_record_given_its_own_responses_comes_out_as_it_went_in(record: dict[str, Any]) -> None:
    before = copy.deepcopy(record)
    sample = sample_of(record)
    assert sample.skip is None
    own = [exchange.response for exchange in sample.exchanges]
    answered = with_responses(sample, own)
    assert answered == before
    assert list(answered) == list(before)
    with_responses(sample, [text + "!" for text in own])
    assert record == before


@settings(max_examples=100, deadline=None)
@given(RECORDS, st.sampled_from(["alpaca", "sharegpt", "messages"]))
def test_in_another_format_the_conversation_is_the_same(record: dict[str, Any], to: Format) -> None:
    sample = sample_of(record)
    responses = [f"new {number}" for number in range(len(sample.exchanges))]
    turned = sample_of(with_responses(sample, responses, to), to)
    pairs = [[e.instruction, e.response] for e in turned.exchanges]
    assert [response for _, response in pairs] == responses
    if to != "alpaca" and sample.format != "alpaca":
        assert [request for request, _ in pairs] == [e.instruction for e in sample.exchanges]
    # Alpaca has no empty system prompt that differs from none.
    assert turned.system == sample.system


def test_everything_else_keeps_its_place() -> None:
    record = {
        "source": "web",
        "conversations": [HUMAN | {"markdown": None}, {"weight": 1} | GPT | {"text": "x"}],
        "id": 12,
    }
    answered = with_responses(sample_of(record), ["b"])
    assert list(answered) == ["source", "conversations", "id"]
    assert list(answered["conversations"][1].items()) == [
        ("weight", 1),
        ("from", "gpt"),
        ("value", "b"),
        ("text", "x"),
    ]


def test_text_in_parts_stays_in_parts() -> None:
    parts = [{"type": "text", "text": "a", "cache": 1}, {"type": "text", "text": "b"}]
    record = {"messages": [MESSAGE, {"role": "assistant", "content": parts}]}
    sample = sample_of(record)
    assert sample.exchanges == (Exchange("q", "", "a\nb"),)
    assert with_responses(sample, ["a\nb"]) == record
    changed = with_responses(sample, ["c"])["messages"][1]["content"]
    assert changed == [{"type": "text", "text": "c", "cache": 1}]


def test_an_alpaca_record_as_conversation() -> None:
    record = {
        "id": "x",
        "instruction": "q",
        "input": "i",
        "output": "a",
        "source": None,
        "system": "s",
    }
    assert list(with_responses(sample_of(record), ["b"], "sharegpt").items()) == [
        ("id", "x"),
        (
            "conversations",
            [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "q\ni"},
                {"from": "gpt", "value": "b"},
            ],
        ),
        ("source", None),
    ]


def test_a_conversation_as_alpaca_record() -> None:
    record = {
        "id": 3,
        "conversations": [
            {"from": "system", "value": "s"},
            *turns("q", "a", "r", "b", "unanswered"),
        ],
        "source": "web",
    }
    assert list(with_responses(sample_of(record), ["A", "B"], "alpaca").items()) == [
        ("id", 3),
        ("instruction", "r"),
        ("input", ""),
        ("output", "B"),
        ("system", "s"),
        ("history", [["q", "A"]]),
        ("source", "web"),
    ]


def test_a_last_request_without_an_answer_is_kept_where_there_is_a_place_for_it() -> None:
    record = {"system": "s", "conversations": turns("q", "a", "r")}
    assert with_responses(sample_of(record), ["b"], "messages") == {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "r"},
        ]
    }


@pytest.mark.parametrize(
    ("record", "to", "turned"),
    [
        (
            {"instruction": "q", "output": "a", "history": [["p", "b"]], "images": ["x"]},
            "sharegpt",
            {"conversations": turns("p", "b", "q", "a"), "images": ["x"]},
        ),
        ({"instruction": "", "output": "a"}, "sharegpt", {"conversations": turns("", "a")}),
        ({"instruction": "q", "output": None}, "sharegpt", {"conversations": turns("q")}),
        (
            {"conversations": [GPT, HUMAN]},
            "messages",
            {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}]},
        ),
    ],
)
def test_skipped_records_are_translated_where_that_is_possible(
    record: dict[str, Any], to: Format, turned: dict[str, Any]
) -> None:
    assert with_responses(sample_of(record), [], to) == turned


@pytest.mark.parametrize(
    ("record", "to", "reason"),
    [
        ({"conversations": [HUMAN]}, "alpaca", "it has no answered request"),
        ({"conversations": []}, "alpaca", "it has no answered request"),
        (
            {"conversations": [GPT, HUMAN]},
            "alpaca",
            "its turns do not alternate between request and response",
        ),
        (
            {"conversations": [HUMAN, GPT | {"train": False}]},
            "alpaca",
            "it has a response marked as not to be learned from",
        ),
        (
            {"conversations": [HUMAN, {"from": "function_call", "value": "{}"}]},
            "messages",
            "it has a turn of function_call",
        ),
        ({"conversations": turns("q", None)}, "messages", "it has a turn without text"),
        (
            {"messages": [MESSAGE, {"role": "assistant", "tool_calls": [1]}]},
            "sharegpt",
            "it has a tool call",
        ),
        (
            {"instruction": "q", "output": "a", "history": "p"},
            "messages",
            'it has a "history" that is not a list of (request, response) pairs',
        ),
    ],
)
def test_what_another_format_cannot_express_is_refused(
    record: dict[str, Any], to: Format, reason: str
) -> None:
    with pytest.raises(DataError) as raised:
        with_responses(sample_of(record), [], to)
    assert str(raised.value) == f"sample 7 cannot be written as {to}: {reason}"


def test_each_exchange_needs_its_response() -> None:
    with pytest.raises(ValueError, match="sample 7: 2 responses, 1 exchanges"):
        with_responses(sample_of({"instruction": "q", "output": "a"}), ["b", "c"])
