"""GLM (bigmodel.cn, z.ai): OpenAI's format with its own rules, codes and finish reasons."""

import base64
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import ClassVar

from standin.provider import Chat, Provider, completion
from standin.wire import Answer, Failure, Incoming, Refused, json_answer, read_count, read_number

_THINKS = re.compile(r"glm-(?:4\.[7-9]|[5-9])")
"""Models that think unless thinking is disabled."""

# Status, code and message.
_REFUSALS: dict[Failure, tuple[int, str, str]] = {
    "invalid_key": (401, "1002", "Authentication Token 非法"),
    "no_balance": (429, "1113", "余额不足，请充值"),
    "quota": (429, "1304", "今日调用次数已达限额"),
    "unknown_model": (400, "1211", "模型 {model} 不存在"),
    "429": (429, "1302", "并发数过高，请降低并发"),
    "tpm": (429, "1303", "频率过高，请降低频率"),
    "overloaded": (429, "1305", "当前访问量过大，请稍后再试"),
    "500": (500, "500", "内部错误"),
    "502": (502, "500", "Bad Gateway"),
    "503": (503, "500", "Service Unavailable"),
    "504": (504, "500", "Gateway Timeout"),
    "too_long": (400, "1261", "Prompt 超长：{tokens} tokens，上限 {context}"),
    "content_filter": (400, "1301", "输入或生成内容可能包含不安全或敏感内容"),
    "bad_request": (400, "1214", "参数非法"),
}


class GLM(Provider):
    """The API of the GLM models.

    Like the real API, it ignores `max_completion_tokens`, `n` and `seed`, and accepts the key itself or a JWT
    signed with it, which older clients send.
    """

    name = "glm"
    prefix = "/glm"
    base_url = "/glm/api/paas/v4"
    chat_path = "/api/paas/v4/chat/completions"
    models_path = ""
    accepted_key = "standinglm0001.standinsecret"
    ignores_n = True
    finish_filtered = "sensitive"
    finish_context = "model_context_window_exceeded"
    models: ClassVar[Mapping[str, int]] = {
        "glm-4.5": 128_000,
        "glm-4.5-air": 128_000,
        "glm-4.6": 200_000,
        "glm-4.7": 200_000,
        "glm-5": 200_000,
        "glm-5.1": 200_000,
        "glm-5.2": 200_000,
        "glm-5.3": 200_000,
    }

    def is_authorized(self, incoming: Incoming) -> bool:
        """Return whether the request carries the key or a valid token signed with it."""
        return super().is_authorized(incoming) or _is_signed(incoming.bearer, *self.key.split("."))

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        body, model, messages = self.read_body(incoming)
        if not any(message["role"] == "user" for message in messages):
            raise Refused("bad_request", "messages 参数非法：至少需要一条 user 消息", param="messages")
        read_number(body, "temperature", 0, 1)
        read_number(body, "top_p", 0.01, 1)
        response_format = body.get("response_format") or {"type": "text"}
        if not isinstance(response_format, dict) or response_format.get("type") not in (
            "text",
            "json_object",
        ):
            raise Refused("bad_request", "response_format 参数非法：text 或 json_object")
        thinking = body.get("thinking")
        mode = thinking.get("type") if isinstance(thinking, dict) else None
        if thinking is not None and mode not in ("enabled", "disabled"):
            raise Refused("bad_request", "thinking 参数非法：enabled 或 disabled")
        if model == "glm-5.3" and mode == "disabled":
            raise Refused("bad_request", "thinking 参数非法：glm-5.3 不支持 disabled")
        chat = self.new_chat(body, messages, read_count(body, "max_tokens"))
        if mode == "enabled" or (mode is None and _THINKS.match(model)):
            chat.thoughts = "先看请求要什么，再看回答给了什么。 The request comes first, then the response."
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply, with thoughts in a separate field."""
        extra = {"reasoning_content": chat.thoughts} if chat.thoughts else {}
        body = completion(chat, id="20260001standin", usage=usage, extra=extra)
        return json_answer(body | {"request_id": "20260001standin"})

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal; codes are strings."""
        status, code, template = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key" and not incoming.bearer:
            code, template = "1001", "Header 中未收到 Authentication 参数"
        error = {"code": refused.code or code, "message": refused.text(template, model=model)}
        return json_answer({"error": error}, status)


def _is_signed(token: str, id: str, secret: str) -> bool:
    """Return whether this is an unexpired JSON Web Token (HS256) signed with this key; times are in ms."""
    try:
        head, claims, signature = token.split(".")
        expected = hmac.digest(secret.encode(), f"{head}.{claims}".encode(), "sha256")
        payload = json.loads(_decode(claims))
        valid = hmac.compare_digest(_decode(signature), expected)
        return valid and payload["api_key"] == id and payload["exp"] > time.time() * 1000
    except (ValueError, KeyError, TypeError):
        return False


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
