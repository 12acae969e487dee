"""Baidu's ERNIE models over Qianfan V2: OpenAI's form, with strict turns and an envelope of its own.

The documents name no code for an empty balance; the stand-in says 403 `access_denied`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from standin.provider import Chat, Provider, completion
from standin.replies import Message
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

_ID = "as-standin0001"

# Status, type, code and words.
_REFUSALS: dict[Failure, tuple[int, str, str, str]] = {
    "invalid_key": (401, "access_denied", "invalid_iam_token", "IAM certification failed"),
    "no_balance": (
        403,
        "access_denied",
        "access_denied",
        "The account is overdue",
    ),
    "quota": (429, "rate_limit_exceeded", "user_rate_limit_exceeded", "The quota of today is used up"),
    "unknown_model": (
        401,
        "invalid_request_error",
        "invalid_model",
        "The model {model} is not known",
    ),
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
        "Prompt tokens too long: {asked}, the limit is {context}",
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
    accepts = "bce-v3/ALTAK-standin0001/standinsecret"
    models: ClassVar[Mapping[str, int]] = {
        "ernie-5.1": 128_000,
        "ernie-5.0": 128_000,
        "ernie-4.5-turbo-128k": 128_000,
        "ernie-4.5-turbo-32k": 32_000,
        "ernie-x1-turbo": 32_000,
    }

    def other(self, incoming: Incoming) -> Answer | None:
        """The list of models."""
        if incoming.path == "/v2/models":
            data = [{"id": name, "object": "model", "owned_by": "standin"} for name in self.models]
            return as_json({"object": "list", "data": data})
        return None

    def read(self, incoming: Incoming) -> Chat:
        """The chat request."""
        body = incoming.json()
        model = body.get("model")
        if not model:
            raise Refused("bad_request", "model is empty", code="invalid_model")
        if not isinstance(model, str) or model not in self.models:
            raise Refused("unknown_model")
        only_plain(body)
        try:
            messages = messages_of(body)
        except Refused as refused:
            raise Refused("bad_request", refused.words, code="invalid_messages") from None
        _in_turns(messages)
        number(body, "temperature", 0, 1, open_low=True)
        number(body, "top_p", 0, 1)
        chat = self.opened(body, messages, count(body, "max_completion_tokens") or count(body, "max_tokens"))
        if re.match(r"ernie-(?:x1|5)", chat.model):
            chat.thoughts = "先看请求要什么，再看回答给了什么。"
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply; what the model thought stands in a field of its own."""
        extra = {"reasoning_content": chat.thoughts} if chat.thoughts else {}
        return as_json(
            completion(chat, id=_ID, usage=usage, extra=extra, details=True), headers=self._rate_headers()
        )

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal, with the request's id beside it."""
        status, kind, code, words = _REFUSALS[refused.failure]
        words = words.format(model=model, asked=refused.asked, context=refused.context)
        error = {"code": refused.code or code, "message": refused.words or words, "type": kind}
        headers = self._rate_headers() if status == 429 else ()
        return as_json({"error": error, "id": _ID}, status, headers)

    def _rate_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        requests, tokens = self.limits.requests, self.limits.tokens
        values = {
            "Limit-Requests": requests.a_minute if requests else 3000,
            "Limit-Tokens": tokens.a_minute if tokens else 1_000_000,
            "Remaining-Requests": max(requests.left, 0) if requests else 2999,
            "Remaining-Tokens": max(tokens.left, 0) if tokens else 999_999,
        }
        return tuple((f"X-Ratelimit-{n}".encode(), str(int(v)).encode()) for n, v in values.items())


def _in_turns(messages: Sequence[Message]) -> None:
    """Refuse messages that are not user, assistant, user in turn, after at most one system message."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    if not turns or turns[-1]["role"] != "user":
        raise Refused("bad_request", "the role of the last message must be user", code="invalid_messages")
    for place, message in enumerate(turns):
        if message["role"] != ("assistant" if place % 2 else "user"):
            words = f"the role of message {place} must be {'assistant' if place % 2 else 'user'}"
            raise Refused("bad_request", words, code="invalid_messages")
    if not turns[-1]["content"].strip():
        raise Refused("bad_request", "the content of the last message is empty", code="invalid_messages")
