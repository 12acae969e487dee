"""What the words of refusals say about how an endpoint wants to be asked."""

from typing import Any

import pytest

from models.errors.parameters import parameter_advice, refused_fields
from models.providers.dialect import Dialect, refuses_system_role

ONLY_STREAMS = [
    "This model only support stream mode, please enable the stream parameter to access the model.",
    "parameter.enable_thinking must be set to false for non-streaming calls",
    "stream must be true",
    "'stream' should be set to true for this model",
    "Non-streaming requests are not supported for this model.",
    "This endpoint only supports streaming responses",
    "This model can only be called with stream=True",
    "Please set stream to true.",
    "Streaming is required for operations that may take longer than 10 minutes",
    "model requires streaming",
    "当前模型仅支持流式输出",
    "该模型不支持非流式调用",
]

NO_STREAMS_MEANT = [
    "stream_options is only allowed when stream is enabled",
    "Extra inputs are not permitted: stream",
    "streaming is not supported by this model",
    "The request is not valid.",
    "upstream error: only one region is up",
]


@pytest.mark.parametrize("words", ONLY_STREAMS)
def test_a_server_that_only_streams(words: str) -> None:
    dialect = Dialect()
    assert dialect.learn(words, {"stream": False})
    assert dialect.apply({"stream": False}) == {"stream": True, "stream_options": {"include_usage": True}}
    assert not dialect.learn(words, {"stream": True})


@pytest.mark.parametrize("words", NO_STREAMS_MEANT[1:])
def test_other_words_about_streams(words: str) -> None:
    assert not Dialect().learn(words, {"stream": False})


def test_stream_options_are_left_out_where_they_are_refused() -> None:
    dialect = Dialect(streams=True)
    sent = dialect.apply({})
    assert dialect.learn("Unrecognized request argument supplied: stream_options", sent)
    assert dialect.apply({}) == {"stream": True}
    assert not dialect.learn("Unrecognized request argument supplied: stream_options", dialect.apply({}))


@pytest.mark.parametrize(
    ("words", "sent", "then"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            {"max_tokens": 5},
            {"max_completion_tokens": 5},
        ),
        (
            "max_completion_tokens: Extra inputs are not permitted",
            {"max_completion_tokens": 5},
            {"max_tokens": 5},
        ),
        (
            "Unrecognized request argument supplied: max_completion_tokens",
            {"max_completion_tokens": 5},
            {"max_tokens": 5},
        ),
    ],
)
def test_the_name_of_the_limit(words: str, sent: dict[str, Any], then: dict[str, Any]) -> None:
    dialect = Dialect()
    assert dialect.learn(words, sent)
    assert dialect.apply(sent) == then
    assert dialect.learn(words, sent)  # another call that was in flight
    assert not dialect.learn(words, then)


def test_a_limit_that_is_refused_under_both_names_is_not_tried_for_ever() -> None:
    dialect, body = Dialect(), {"max_tokens": 5}
    for _ in range(9):
        name = next(iter(dialect.apply(body)))
        if not dialect.learn(f"{name} is not supported", dialect.apply(body)):
            return
    raise AssertionError


@pytest.mark.parametrize(
    "words",
    ["max_tokens is too large: 9000. Supported: at most 4096", "max_tokens must be less than 8192"],
)
def test_the_size_of_a_limit_is_no_matter_of_its_name(words: str) -> None:
    assert not Dialect().learn(words, {"max_tokens": 9000})


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Jinja Exception: System role not supported",
        'Error rendering prompt with jinja template: "Only user and assistant roles are supported!"',
        "Template error: syntax error: System role not supported (in <string>:1)",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "After the optional system message, conversation roles must alternate user and assistant roles",
        "Only user and assistant roles are supported, with the exception of an initial system message!",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "This model doesn't support system messages. Try again without system messages.",
        'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter',
        "'system' is not one of ['user', 'assistant'] - 'messages.0.role'",
        "messages.0.role: Input should be 'user' or 'assistant'",
        "Conversations must start with a user prompt",
        "The first message must be from the user",
        "Invalid role: system",
        "Unknown role system in message 0",
        "the system prompt is not supported by this model",
        "该模型不支持 system 角色",
        "第一条消息的 role 必须是 user",
    ],
)
def test_words_about_roles(words: str) -> None:
    assert refuses_system_role(words)


@pytest.mark.parametrize(
    "words",
    [
        "The system is overloaded and cannot support your request",
        "Internal system error",
        "File system not available",
        "This model's maximum context length is 4096 tokens",
        "The request is not valid.",
        "Invalid API key",
        "unsupported operating system",
        "The model cannot use system memory",
    ],
)
def test_other_words(words: str) -> None:
    assert not refuses_system_role(words)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("`temperature` and `top_p` cannot both be specified", ["temperature", "top_p"]),
        ("invalid temperature: only 1 is allowed for this model", ["temperature"]),
        ("seed: Extra inputs are not permitted", ["seed"]),
        ("enable_thinking must be set to false for non-streaming calls", ["enable_thinking"]),
        ("The text says that the temperature rises; it was flagged", []),
        ("temperatures must be nice", []),
    ],
)
def test_refused_fields(message: str, fields: list[str]) -> None:
    assert refused_fields(ValueError(), message) == fields


def test_advice_for_fields_of_the_users_own() -> None:
    assert "top_k in --extra-body" in parameter_advice(["top_k"], "top_k is not supported")
    assert "--max-tokens" in parameter_advice(["max_tokens"], "max_tokens must be below 9")


@pytest.mark.parametrize(
    "piece", ["only ", "stream ", "must be ", "system role ", "请", "role: ", "non-", "a"]
)
def test_strange_texts_take_no_longer(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    refuses_system_role(text)
    Dialect().learn(text, {"max_tokens": 1})
    refused_fields(ValueError(), text)
