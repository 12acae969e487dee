"""OpenAI: chat completions, with the rules of its reasoning models."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from standin.provider import Chat, Provider, completion
from standin.wire import (
    Answer,
    Failure,
    Incoming,
    Refused,
    as_json,
    count,
    messages_of,
    number,
    only_plain,
)

_REASONING = re.compile(r"(?:gpt-5(?!.*chat)|o\d)")
_ROLES = ("system", "developer", "user", "assistant")

# Status, type, code and words.
_REFUSALS: dict[Failure, tuple[int, str, str | None, str]] = {
    "invalid_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    "no_balance": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "quota": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per day (RPD): Limit 10000, Used 10000, Requested 1. "
        "Please try again in 8h12m30s.",
    ),
    "unknown_model": (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "429": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM). Please try again in 120ms.",
    ),
    "tpm": (
        429,
        "tokens",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on tokens per min (TPM). Please try again in 900ms.",
    ),
    "overloaded": (
        503,
        "server_error",
        None,
        "The engine is currently overloaded, please try again later.",
    ),
    "500": (500, "server_error", None, "The server had an error while processing your request."),
    "502": (502, "server_error", None, "Bad gateway."),
    "503": (503, "server_error", None, "Service unavailable."),
    "504": (504, "server_error", None, "Gateway timeout."),
    "too_long": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is {context} tokens. However, your messages resulted in {asked} "
        "tokens. Please reduce the length of the messages.",
    ),
    "content_filter": (
        400,
        "invalid_request_error",
        "content_filter",
        "The prompt was flagged by the content filter and has not been answered.",
    ),
    "bad_request": (400, "invalid_request_error", None, "The request is not valid."),
}


class OpenAI(Provider):
    """OpenAI's API as far as chat completions need it."""

    name = "openai"
    prefix = "/openai"
    base_url = "/openai/v1"
    accepts = "sk-standin-openai-0001"
    models: ClassVar[Mapping[str, int]] = {
        "gpt-5.5": 400_000,
        "gpt-5.4": 400_000,
        "gpt-5.4-mini": 400_000,
        "gpt-5-chat-latest": 128_000,
        "gpt-4.1": 1_000_000,
        "gpt-4.1-mini": 1_000_000,
        "gpt-4o-mini": 128_000,
    }

    def read(self, incoming: Incoming) -> Chat:
        """The chat request. Raises Refused where the real API refuses it."""
        body = incoming.json()
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Refused("bad_request", "you must provide a model parameter")
        if model not in self.models:
            raise Refused("unknown_model")
        messages = messages_of(body, _ROLES)
        only_plain(body)
        older, newer = count(body, "max_tokens"), count(body, "max_completion_tokens")
        temperature, top_p = number(body, "temperature", 0, 2), number(body, "top_p", 0, 1)
        effort = body.get("reasoning_effort")
        reasons = bool(_REASONING.match(model))
        if older and newer:
            words = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise Refused("bad_request", words)
        if reasons and older:
            words = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead."
            )
            raise Refused("bad_request", words, param="max_tokens", code="unsupported_parameter")
        if reasons and effort != "none":
            for name, value in (("temperature", temperature), ("top_p", top_p)):
                if value not in (None, 1):
                    words = (
                        f"Unsupported value: '{name}' does not support {value} with this model. "
                        "Only the default (1) value is supported."
                    )
                    raise Refused("bad_request", words, param=name, code="unsupported_value")
        chat = self.opened(body, messages, newer or older)
        # Only long prompts are cached, and in steps of 128 tokens.
        chat.cached = chat.cached // 128 * 128 if chat.asked >= 1024 else 0
        if reasons and effort != "none":
            chat.thoughts = "Let me weigh what the request asks for against what the response gives."
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply to a chat request; the thoughts of a reasoning model are counted and not shown."""
        extra: dict[str, Any] = {"refusal": None, "annotations": []}
        return as_json(
            completion(chat, id="chatcmpl-standin", usage=usage, extra=extra, details=True),
            headers=((b"x-request-id", b"req_standin"),),
        )

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal in the form of this API."""
        status, kind, code, words = _REFUSALS[refused.failure]
        shown = incoming.bearer[:8] + "*" * 8 + incoming.bearer[-4:]
        error: dict[str, Any] = {
            "message": refused.words
            or words.format(key=shown, model=model, context=refused.context, asked=refused.asked),
            "type": kind,
            "param": refused.param,
            "code": refused.code or code,
        }
        return as_json({"error": error}, status, ((b"x-request-id", b"req_standin"),))
