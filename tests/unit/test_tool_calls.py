"""Function calls in the text of responses: such exchanges stay as they are."""

from typing import Any

import pytest

from samples.formats import make_sample, with_responses
from samples.tool_calls import calls_function

CALL = '{"name": "w", "arguments": {"city": "Rome"}}'
CALLS = [
    f"<functioncall> {CALL} <|endoftext|>",
    f"Let me look.\n<tool_call>\n{CALL}\n</tool_call>",
    "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>",
    f"<|tool_call|>[{CALL}]<|/tool_call|>",
    f"[TOOL_CALLS] [{CALL}]",
    '[TOOL_CALLS]weather[ARGS]{"city": "Rome"}',
    "Thought: I need the weather.\nAction: weather\nAction Input: Rome",
    "Thought 1: I need to search.\nAction 1: Search[Rome]",
    "Thought: Hm.\nAction: search\nObservation: none\nFinal Answer: none",
    '<function=weather>{"city": "Rome"}</function>',
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather",
    "<|tool_calls_section_begin|>…",
    "<|python_tag|>weather(city='Rome')",
    '<invoke name="weather"><parameter name="city">Rome</parameter></invoke>',
    CALL,
    f"[{CALL}, {CALL}]",
]


@pytest.mark.parametrize("text", CALLS)
def test_an_exchange_with_a_call_stays_as_it_is(text: str) -> None:
    for record, form in (
        ({"instruction": "Weather?", "input": "", "output": text}, "alpaca"),
        ({"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": text}]}, "sharegpt"),
        ({"prompt": "Weather?", "response": text}, "prompt-response"),
    ):
        sample = make_sample(0, "0", record, form)
        assert sample.skip == "a function call written as text"
        # Earlier versions worked on it.
        assert "new" in str(with_responses(sample, ["new"]))


@pytest.mark.parametrize(
    "text",
    [
        "The <tool_call> tag opens a call.",
        "Write it like this: ```\n<tool_call>\n{}\n</tool_call>\n```",
        "Action: the hero runs.\nThought: what now?",
        "Action: move\nThat is all.",
        '{"name": "Ann", "age": 3}',
        "A function call needs a name.",
        "We take action: now.",
    ],
)
def test_a_text_about_calls_is_none(text: str) -> None:
    assert not calls_function(text)


def test_what_follows_the_result_of_a_call_stays_too_and_other_exchanges_do_not() -> None:
    def turn(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": text}

    messages = [
        *(turn("user", "Hello"), turn("assistant", "Hi.")),
        *(turn("user", "Weather?"), turn("assistant", CALLS[6])),
        *(turn("user", "Observation: sun"), turn("assistant", "Thought: done.\nFinal Answer: sun")),
        *(turn("user", "Thanks"), turn("assistant", "Welcome.")),
    ]
    sample = make_sample(0, "0", {"messages": messages}, "messages")
    assert [exchange.fixed for exchange in sample.exchanges] == [False, True, True, False]


@pytest.mark.parametrize(
    "piece", ["<tool_call>", "Action:\n", "Thought: Action: tool[", "[TOOL_CALLS] a", '{"name":']
)
def test_long_texts_take_no_longer_than_they_are(piece: str) -> None:
    calls_function(piece * 100_000)
