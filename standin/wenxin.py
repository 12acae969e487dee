"""Baidu's Wenxin V1: a token for a client id and secret, chat paths of old, errors with status 200.

It was switched off for the public in 2026; private deployments still speak it.
"""

import hmac
import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qs

from standin.options import Options
from standin.provider import CREATED, Chat, Provider
from standin.wire import Answer, Failure, Incoming, Refused, as_json, messages_of, number, only_plain

_CHAT = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/"

# Status, code and words. What is no 200 comes from the gateway in front.
_REFUSALS: dict[Failure, tuple[int, int, str]] = {
    "invalid_key": (200, 110, "Access token invalid or no longer valid"),
    "no_balance": (200, 17, "Open api daily request limit reached"),
    "quota": (200, 17, "Open api daily request limit reached"),
    "unknown_model": (200, 3, "Unsupported openapi method"),
    "429": (200, 18, "Open api qps request limit reached"),
    "tpm": (200, 336502, "Rate limit reached for TPM"),
    "overloaded": (200, 336100, "try again later"),
    "500": (200, 336000, "Internal error"),
    "502": (502, 1, "Unknown error"),
    "503": (200, 2, "Service temporarily unavailable"),
    "504": (504, 1, "Unknown error"),
    "too_long": (200, 336103, "Prompt tokens too long: {asked}, the limit is {context}"),
    "content_filter": (200, 336104, "The input is not safe"),
    "bad_request": (200, 336003, "The request is not valid"),
}


class Wenxin(Provider):
    """Wenxin V1. Its models are endpoints: the last part of the path.

    `key` is the client id and the secret with a colon between them.
    """

    name = "wenxin"
    prefix = "/wenxin"
    base_url = "/wenxin"
    accepts = "standinclient:standinsecret"
    models: ClassVar[Mapping[str, int]] = {
        "completions": 5000,
        "completions_pro": 5000,
        "eb-instant": 7000,
        "ernie-4.0-turbo-8k": 8000,
        "ernie-speed-128k": 128_000,
        "ernie-lite-8k": 8000,
    }

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._tokens: dict[str, float] = {}

    def knows(self, incoming: Incoming) -> bool:
        """Whether id and secret, or the token made from them, are right."""
        query = _query(incoming)
        if incoming.path == "/oauth/2.0/token":
            given = f"{query.get('client_id', '')}:{query.get('client_secret', '')}"
            return hmac.compare_digest(given.encode(), self.key.encode())
        return self._tokens.get(query.get("access_token", ""), 0) > time.time()

    def is_chat(self, incoming: Incoming) -> bool:
        """Whether this is a chat path."""
        return incoming.method == "POST" and incoming.path.startswith(_CHAT)

    def other(self, incoming: Incoming) -> Answer | None:
        """A new token."""
        if incoming.path != "/oauth/2.0/token":
            return None
        if _query(incoming).get("grant_type") != "client_credentials":
            words = "The grant type is not supported"
            return as_json({"error": "unsupported_grant_type", "error_description": words}, 400)
        token = f"24.standintoken{len(self._tokens) + 1:04}"
        self._tokens[token] = time.time() + self.options.token_life
        return as_json({"access_token": token, "expires_in": int(self.options.token_life), "scope": "public"})

    def read(self, incoming: Incoming) -> Chat:
        """The chat request."""
        endpoint = incoming.path.removeprefix(_CHAT)
        if endpoint not in self.models:
            raise Refused("unknown_model")
        body = incoming.json()
        only_plain(body)
        messages = messages_of(body, ("user", "assistant"))
        if len(messages) % 2 == 0:
            raise Refused("bad_request", "the count of messages must be odd", code="336003")
        for place, message in enumerate(messages):
            expected = "assistant" if place % 2 else "user"
            if message["role"] != expected:
                words = f"the role of message {place} must be {expected}"
                raise Refused("bad_request", words, code="336006")
        system = body.get("system")
        if system is not None and not isinstance(system, str):
            raise Refused("bad_request", "system must be a string")
        number(body, "temperature", 0, 1, open_low=True)
        number(body, "top_p", 0, 1)
        limit = number(body, "max_output_tokens", 2, 2048)
        if system:
            messages.insert(0, {"role": "system", "content": system})
        return self.opened(body | {"model": endpoint}, messages, int(limit) if limit else None)

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply, in the form of old."""
        body = {
            "id": "as-standin0001",
            "object": "chat.completion",
            "created": CREATED,
            "result": chat.text,
            "is_truncated": chat.finish == "length",
            "need_clear_history": chat.finish == self.withheld,
            "finish_reason": "normal" if chat.finish == "stop" else chat.finish,
        }
        if usage:
            body["usage"] = {
                "prompt_tokens": chat.asked,
                "completion_tokens": chat.said,
                "total_tokens": chat.asked + chat.said,
            }
        return as_json(body)

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal, with status 200 for the most part."""
        status, code, words = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key":
            if incoming.path == "/oauth/2.0/token":
                words = "Client authentication failed"
                return as_json({"error": "invalid_client", "error_description": words}, 401)
            if _query(incoming).get("access_token", "") in self._tokens:
                code, words = 111, "Access token expired"
        words = words.format(asked=refused.asked, context=refused.context)
        given = int(refused.code) if refused.code.isdigit() else code
        return as_json({"error_code": given, "error_msg": refused.words or words, "id": "as-0"}, status)

    def failure_in_200(self) -> Answer:
        """An error without a meaning of its own."""
        return as_json({"error_code": 1, "error_msg": "Unknown error"})


def _query(incoming: Incoming) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(incoming.query).items()}
