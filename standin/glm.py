"""GLM (bigmodel.cn, z.ai): OpenAI's form with rules, codes and finish reasons of its own."""

import base64
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import ClassVar

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

_THINKS = re.compile(r"glm-(?:4\.[7-9]|[5-9])")
"""The models that think unless they are told not to."""

# Status, code and words.
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
    "too_long": (400, "1261", "Prompt 超长：{asked} tokens，上限 {context}"),
    "content_filter": (400, "1301", "输入或生成内容可能包含不安全或敏感内容"),
    "bad_request": (400, "1214", "参数非法"),
}


class GLM(Provider):
    """The API of the GLM models.

    `max_completion_tokens`, `n` and `seed` are ignored as the real API does. The key is accepted as it is and
    as a JWT signed with it, which older clients send.
    """

    name = "glm"
    prefix = "/glm"
    base_url = "/glm/api/paas/v4"
    chat_path = "/api/paas/v4/chat/completions"
    accepts = "standinglm0001.standinsecret"
    withheld = "sensitive"
    full = "model_context_window_exceeded"
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

    def knows(self, incoming: Incoming) -> bool:
        """Whether the request carries the key, or a token made with it that has not expired."""
        return super().knows(incoming) or _signed(incoming.bearer, *self.key.split("."))

    def other(self, incoming: Incoming) -> Answer | None:
        """Nothing else is known of this API."""
        return None

    def read(self, incoming: Incoming) -> Chat:
        """The chat request."""
        body = incoming.json()
        if not isinstance(body.get("model"), str) or body["model"] not in self.models:
            raise Refused("unknown_model")
        only_plain({"stream": body.get("stream")})
        messages = messages_of(body)
        if not any(message["role"] == "user" for message in messages):
            raise Refused("bad_request", "messages 参数非法：至少需要一条 user 消息", param="messages")
        number(body, "temperature", 0, 1)
        number(body, "top_p", 0.01, 1)
        form = body.get("response_format") or {"type": "text"}
        if not isinstance(form, dict) or form.get("type") not in ("text", "json_object"):
            raise Refused("bad_request", "response_format 参数非法：text 或 json_object")
        thinking = body.get("thinking")
        wanted = thinking.get("type") if isinstance(thinking, dict) else None
        if thinking is not None and wanted not in ("enabled", "disabled"):
            raise Refused("bad_request", "thinking 参数非法：enabled 或 disabled")
        if body["model"] == "glm-5.3" and wanted == "disabled":
            raise Refused("bad_request", "thinking 参数非法：glm-5.3 不支持 disabled")
        chat = self.opened(body, messages, count(body, "max_tokens"))
        if wanted == "enabled" or (wanted is None and _THINKS.match(chat.model)):
            chat.thoughts = "先看请求要什么，再看回答给了什么。 The request comes first, then the response."
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply; what the model thought stands in a field of its own."""
        extra = {"reasoning_content": chat.thoughts} if chat.thoughts else {}
        body = completion(chat, id="20260001standin", usage=usage, extra=extra, details=True)
        return as_json(body | {"request_id": "20260001standin"})

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal; codes are strings."""
        status, code, words = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key" and not incoming.bearer:
            code, words = "1001", "Header 中未收到 Authentication 参数"
        words = words.format(model=model, asked=refused.asked, context=refused.context)
        return as_json({"error": {"code": refused.code or code, "message": refused.words or words}}, status)


def _signed(token: str, id: str, secret: str) -> bool:
    """Whether this is a JSON Web Token (HS256) of this key that has not expired; its times are in ms."""
    try:
        head, claims, signature = token.split(".")
        expected = hmac.digest(secret.encode(), f"{head}.{claims}".encode(), "sha256")
        said = json.loads(_decoded(claims))
        right = hmac.compare_digest(_decoded(signature), expected)
        return right and said["api_key"] == id and said["exp"] > time.time() * 1000
    except (ValueError, KeyError, TypeError):
        return False


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
