"""Baidu's ERNIE models over Qianfan V2: OpenAI's format with strict turns and its own error envelope.

The documentation gives no code for an empty balance; the stand-in sends 403 `access_denied`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from standin.provider import Chat, Provider, completion
from standin.replies import Message
from standin.wire import Answer, Failure, Incoming, Refused, json_answer, read_count, read_number

_ID = "as-standin0001"

# Status, type, code and message.
_REFUSALS: dict[Failure, tuple[int, str, str, str]] = {
    "invalid_key": (401, "access_denied", "invalid_iam_token", "IAM certification failed"),
    "no_balance": (403, "access_denied", "access_denied", "The account is overdue"),
    "quota": (429, "rate_limit_exceeded", "user_rate_limit_exceeded", "The quota of today is used up"),
    "unknown_model": (401, "invalid_request_error", "invalid_model", "The model {model} is not known"),
    "429": (429, "rate_limit_exceeded", "rpm_rate_limit_exceeded", "Rate limit reached for RPM"),
    "tpm": (429, "rate_limit_exceeded", "tpm_rate_limit_exceeded", "Rate limit reached for TPM"),
    "overloaded": (429, "rate_limit_exceeded", "cluster_rate_limit_exceeded", "The cluster is at its limit"),
    "500": (500, "internal_error", "internal_error", "Internal error"),
    "502": (502, "internal_error", "internal_error", "Bad gateway"),
    "503": (503, "internal_error", "dispatch_internal_error", "Service unavailable"),
    "504": (504, "internal_error", "dispatch_internal_error", "Gateway timeout"),
    "too_long": (
        400,
        "invalid_request_error",
        "tokens_too_long",
        "Prompt tokens too long: {tokens}, the limit is {context}",
    ),
    "content_filter": (403, "invalid_request_error", "system_unsafe", "The content of the input is unsafe"),
    "bad_request": (400, "invalid_request_error", "invalid_argument", "Invalid argument"),
}


class Ernie(Provider):
    """Qianfan V2."""

    name = "ernie"
    prefix = "/qianfan"
    base_url = "/qianfan/v2"
    chat_path = "/v2/chat/completions"
    models_path = "/v2/models"
    messages_code = "invalid_messages"
    accepted_key = "bce-v3/ALTAK-standin0001/standinsecret"
    models: ClassVar[Mapping[str, int]] = {
        "ernie-5.1": 128_000,
        "ernie-5.0": 128_000,
        "ernie-4.5-turbo-128k": 128_000,
        "ernie-4.5-turbo-32k": 32_000,
        "ernie-x1-turbo": 32_000,
    }

    def read_model(self, body: Mapping[str, Any]) -> str:
        """Return the model of a request. Raises Refused if it is missing or does not exist."""
        if not body.get("model"):
            raise Refused("bad_request", "model is empty", code="invalid_model")
        return super().read_model(body)

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        body, model, messages = self.read_body(incoming)
        _check_turns(messages)
        read_number(body, "temperature", 0, 1, open_low=True)
        read_number(body, "top_p", 0, 1)
        limit = read_count(body, "max_completion_tokens") or read_count(body, "max_tokens")
        chat = self.new_chat(body, messages, limit)
        if re.match(r"ernie-(?:x1|5)", model):
            chat.thoughts = "先看请求要什么，再看回答给了什么。"
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply, with thoughts in a separate field."""
        extra = {"reasoning_content": chat.thoughts} if chat.thoughts else {}
        return json_answer(completion(chat, id=_ID, usage=usage, extra=extra), headers=self._rate_headers())

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal, with the request ID next to the error."""
        status, kind, code, template = _REFUSALS[refused.failure]
        message = refused.text(template, model=model)
        error = {"code": refused.code or code, "message": message, "type": kind}
        headers = self._rate_headers() if status == 429 else ()
        return json_answer({"error": error, "id": _ID}, status, headers)

    def _rate_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        requests, tokens = self.limits.requests, self.limits.tokens
        values = {
            "Limit-Requests": requests.per_minute if requests else 3000,
            "Limit-Tokens": tokens.per_minute if tokens else 1_000_000,
            "Remaining-Requests": max(requests.left, 0) if requests else 2999,
            "Remaining-Tokens": max(tokens.left, 0) if tokens else 999_999,
        }
        return tuple((f"X-Ratelimit-{n}".encode(), str(int(v)).encode()) for n, v in values.items())


def _check_turns(messages: Sequence[Message]) -> None:
    """Refuse messages unless user and assistant alternate, after at most one system message."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    if not turns or turns[-1]["role"] != "user":
        raise Refused("bad_request", "the role of the last message must be user", code="invalid_messages")
    for index, turn in enumerate(turns):
        expected = "assistant" if index % 2 else "user"
        if turn["role"] != expected:
            message = f"the role of message {index} must be {expected}"
            raise Refused("bad_request", message, code="invalid_messages")
    if not turns[-1]["content"].strip():
        raise Refused("bad_request", "the content of the last message is empty", code="invalid_messages")
