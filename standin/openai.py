"""OpenAI's chat completions, including the rules of its reasoning models."""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from standin.frames import THOUGHTS
from standin.provider import Chat, Provider, completion
from standin.vllm import constrain
from standin.wire import Answer, Failure, Incoming, Refused, json_answer, read_count, read_number

_REASONING = re.compile(r"(?:gpt-5(?!.*chat)|o\d)")

# Status, type, code and message.
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
    "overloaded": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "500": (500, "server_error", None, "The server had an error while processing your request."),
    "502": (502, "server_error", None, "Bad gateway."),
    "503": (503, "server_error", None, "Service unavailable."),
    "504": (504, "server_error", None, "Gateway timeout."),
    "too_long": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is {context} tokens. However, your messages resulted in "
        "{tokens} tokens. Please reduce the length of the messages.",
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
    """The part of OpenAI's API that serves chat completions."""

    name = "openai"
    prefix = "/openai"
    base_url = "/openai/v1"
    roles = ("system", "developer", "user", "assistant")
    accepted_key = "sk-standin-openai-0001"
    models: ClassVar[Mapping[str, int]] = {
        "gpt-5.5": 400_000,
        "gpt-5.4": 400_000,
        "gpt-5.4-mini": 400_000,
        "gpt-5-chat-latest": 128_000,
        "gpt-4.1": 1_000_000,
        "gpt-4.1-mini": 1_000_000,
        "gpt-4o-mini": 128_000,
        "ft:gpt-4.1-mini:standin": 1_000_000,
    }

    def read_model(self, body: Mapping[str, Any]) -> str:
        """Return the model of a request. Raises Refused if it is missing or does not exist."""
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise Refused("bad_request", "you must provide a model parameter")
        return super().read_model(body)

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        body, model, messages = self.read_body(incoming)
        older, newer = read_count(body, "max_tokens"), read_count(body, "max_completion_tokens")
        temperature, top_p = read_number(body, "temperature", 0, 2), read_number(body, "top_p", 0, 1)
        effort = body.get("reasoning_effort")
        reasons = bool(_REASONING.match(model))
        if older and newer:
            message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise Refused("bad_request", message)
        if reasons and older:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead."
            )
            raise Refused("bad_request", message, param="max_tokens", code="unsupported_parameter")
        if reasons and effort != "none":
            for name, value in (("temperature", temperature), ("top_p", top_p)):
                if value not in (None, 1):
                    message = (
                        f"Unsupported value: '{name}' does not support {value} with this model. "
                        "Only the default (1) value is supported."
                    )
                    raise Refused("bad_request", message, param=name, code="unsupported_value")
        if _read_pattern(body) and model.startswith("ft:"):
            message = "Invalid schema for response_format 'verdict': In context=('properties', 'verdict'), "
            raise Refused("bad_request", f"{message}'pattern' is not permitted.", param="response_format")
        tier = body.get("service_tier") or "auto"
        if tier not in ("auto", "default", "flex", "priority"):
            raise Refused("bad_request", "Invalid service_tier argument", param="service_tier")
        if tier == "flex" and not reasons:
            raise Refused("bad_request", "Flex is not available for this model.")
        chat = self.new_chat(body, messages, newer or older)
        chat.tier = "default" if tier == "auto" else tier
        # OpenAI caches long prompts only, in steps of 128 tokens.
        chat.cached_tokens = chat.cached_tokens // 128 * 128 if chat.prompt_tokens >= 1024 else 0
        if reasons and effort != "none":
            chat.thoughts = THOUGHTS
        return chat

    def shape(self, chat: Chat, text: str) -> str:
        """Return the text, as JSON if a schema asks for a verdict and its explanation."""
        pattern = _read_pattern(chat.body)
        if pattern is None:
            return text
        verdict, _, explanation = constrain(text, "regex", re.compile(rf"(?:{pattern})\n[\s\S]+")).partition(
            "\n"
        )
        return json.dumps({"verdict": verdict, "explanation": explanation}, ensure_ascii=False)

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply; a reasoning model's thoughts are billed but not shown."""
        extra: dict[str, Any] = {"refusal": None, "annotations": []}
        body = completion(chat, id="chatcmpl-standin", usage=usage, extra=extra)
        return json_answer(body, headers=((b"x-request-id", b"req_standin"),))

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal in this API's format."""
        status, kind, code, template = _REFUSALS[refused.failure]
        shown = incoming.bearer[:8] + "*" * 8 + incoming.bearer[-4:]
        error: dict[str, Any] = {
            "message": refused.text(template, key=shown, model=model),
            "type": kind,
            "param": refused.param,
            "code": refused.code or code,
        }
        return json_answer({"error": error}, status, ((b"x-request-id", b"req_standin"),))


def _read_pattern(body: Mapping[str, Any]) -> str | None:
    """Return the pattern of a verdict in a strict schema; None without one. Raises Refused for others."""
    asked = body.get("response_format")
    if asked is None or asked == {"type": "text"}:
        return None
    try:
        schema = asked["json_schema"]["schema"]
        properties = schema["properties"]
        is_strict = asked["json_schema"]["strict"] is True and schema["additionalProperties"] is False
        if asked["type"] == "json_schema" and is_strict and schema["required"] == list(properties):
            return str(properties["verdict"]["pattern"]).removeprefix("^").removesuffix("$")
    except (KeyError, TypeError):
        pass
    raise Refused("bad_request", "Invalid schema for response_format.", param="response_format")
