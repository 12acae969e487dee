"""What a response holds, whether JSON or the events of a stream."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.providers.streams import NO_REASON, StreamCut, read_body


def event(delta: Any = None, finish: str | None = None, **fields: Any) -> str:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return f"data: {json.dumps({'id': 's', 'choices': [choice], **fields}, ensure_ascii=False)}"


def events(*lines: str, between: str = "\n\n") -> str:
    return between.join([*lines, ""])


DONE = "data: [DONE]"


@pytest.mark.parametrize("between", ["\n\n", "\r\n\r\n", "\r\r", "\n"])
@pytest.mark.parametrize("before", ["", "\ufeff", ": KEEP ALIVE\n\n: KEEP ALIVE\n\n", "\n\n  \n"])
def test_chunks_add_up(between: str, before: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    text = before + events(
        event({"role": "assistant", "content": ""}),
        event({"reasoning_content": "Let me "}),
        event({"reasoning_content": "think."}),
        event({"content": "A line\u2028and "}),
        event({"content": "data: [DONE]\n\nmore"}),
        event(finish="stop"),
        f"data: {json.dumps({'choices': [], 'usage': usage})}",
        DONE,
        between=between,
    )
    body = read_body(text)
    (choice,) = body["choices"]
    message = choice["message"]
    assert message["content"] == "A line\u2028and data: [DONE]\n\nmore"
    assert message["reasoning_content"] == "Let me think."
    assert (choice["finish_reason"], body["usage"]) == ("stop", usage)


@given(st.text(), st.integers(1, 9))
def test_any_text_survives(text: str, step: int) -> None:
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    stream = events(*(event({"content": piece}) for piece in pieces), event(finish="length"), DONE)
    (choice,) = read_body(stream)["choices"]
    assert (choice["message"]["content"] or "") == text and choice["finish_reason"] == "length"


def test_a_stream_without_its_last_event_is_whole_where_it_has_a_finish_reason() -> None:
    assert read_body(events(event({"content": "Yes."}), event(finish="stop")))["choices"]


@pytest.mark.parametrize("given", [None, "", "null"])
def test_a_stream_without_a_finish_reason_may_be_cut_off(given: str | None) -> None:
    (choice,) = read_body(events(event({"content": "Half "}, given), event({"content": "a"}, given), DONE))[
        "choices"
    ]
    assert (choice["finish_reason"], choice["message"]["content"]) == (NO_REASON, "Half a")
    (choice,) = read_body(events(event({"content": "Yes."}, "stop"), event(finish=given), DONE))["choices"]
    assert choice["finish_reason"] == "stop"
    with pytest.raises(StreamCut):
        read_body(events(event({"content": "Half a"}, given)))


def test_a_whole_message_needs_no_finish_reason() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "Yes."}}]}
    (choice,) = read_body(events(f"data: {json.dumps(whole)}", DONE))["choices"]
    assert not choice["finish_reason"]


def test_a_stream_that_ends_early() -> None:
    with pytest.raises(StreamCut):
        read_body(events(event({"content": "Half a"})))


@pytest.mark.parametrize(
    "failed",
    [
        'data: {"error": {"code": 502, "message": "upstream"}}',
        'event: error\ndata: {"code": 502, "message": "upstream"}',
        'data: {"choices": [{"index": 0, "error": {"code": 502, "message": "upstream"}}]}',
    ],
)
def test_an_error_within_a_stream(failed: str) -> None:
    body = read_body(events(event({"content": "Half a"}), failed, DONE))
    assert body["error"] == {"code": 502, "message": "upstream"}


def test_other_choices_and_parts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    text = events(
        event({"content": thought}), f"data: {json.dumps(other)}", event({"content": "Yes."}, "stop"), DONE
    )
    (choice,) = read_body(text)["choices"]
    assert choice["message"]["content"] == [*thought, {"type": "text", "text": "Yes."}]


def test_a_whole_message_as_an_event() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "Yes."}, "finish_reason": "stop"}]}
    (choice,) = read_body(f"data: {json.dumps(whole)}\n\n")["choices"]
    assert choice["message"]["content"] == "Yes."


def test_an_error_without_choices() -> None:
    assert read_body('data: {"code": 20012, "message": "no"}\n\ndata: [DONE]\n\n')["message"] == "no"


def test_comments_before_json() -> None:
    assert read_body(': PROCESSING\n\n: PROCESSING\n\n{"choices": []}') == {"choices": []}


@pytest.mark.parametrize("text", ["", "<html>", "[" * 100_000, ": nothing", "data", "hello: world"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError):
        read_body(text)


def test_much_of_it_takes_no_longer_than_it_must() -> None:
    for text in ("data: {\n" * 20_000, "data:\n" * 20_000, ":\n" * 50_000 + "{}", "data: 1\n\n" * 20_000):
        read_body(text)
