"""Baidu's legacy Wenxin V1 API: access tokens, one chat path per model, errors with status 200.

The public service was shut down in 2026; private deployments still use it.
"""

import hmac
import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qs

from standin.options import Options
from standin.provider import CREATED, Chat, Provider
from standin.wire import (
    Answer,
    Failure,
    Incoming,
    Refused,
    json_answer,
    read_messages,
    read_number,
    refuse_unsupported,
)

_CHAT = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/"

# Status, code and message. Statuses other than 200 come from the gateway in front of the service.
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
    "too_long": (200, 336103, "Prompt tokens too long: {tokens}, the limit is {context}"),
    "content_filter": (200, 336104, "The input is not safe"),
    "bad_request": (200, 336003, "The request is not valid"),
}


class Wenxin(Provider):
    """Wenxin V1; the last part of the chat path names the model, `key` is `client_id:client_secret`."""

    name = "wenxin"
    prefix = "/wenxin"
    base_url = "/wenxin"
    accepted_key = "standinclient:standinsecret"
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

    def is_authorized(self, incoming: Incoming) -> bool:
        """Return whether the client ID and secret, or the access token, are valid."""
        query = _query(incoming)
        if incoming.path == "/oauth/2.0/token":
            given = f"{query.get('client_id', '')}:{query.get('client_secret', '')}"
            return hmac.compare_digest(given.encode(), self.key.encode())
        return self._tokens.get(query.get("access_token", ""), 0) > time.time()

    def is_chat(self, incoming: Incoming) -> bool:
        """Return whether this is a chat request."""
        return incoming.method == "POST" and incoming.path.startswith(_CHAT)

    def answer_other(self, incoming: Incoming) -> Answer | None:
        """Issue an access token; None on any other path."""
        if incoming.path != "/oauth/2.0/token":
            return None
        if _query(incoming).get("grant_type") != "client_credentials":
            message = "The grant type is not supported"
            return json_answer({"error": "unsupported_grant_type", "error_description": message}, 400)
        token = f"24.standintoken{len(self._tokens) + 1:04}"
        life = self.options.token_life
        self._tokens[token] = time.time() + life
        return json_answer({"access_token": token, "expires_in": int(life), "scope": "public"})

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        endpoint = incoming.path.removeprefix(_CHAT)
        if endpoint not in self.models:
            raise Refused("unknown_model")
        body = incoming.json()
        refuse_unsupported(body)
        messages = read_messages(body, ("user", "assistant"))
        if len(messages) % 2 == 0:
            raise Refused("bad_request", "the count of messages must be odd", code="336003")
        for index, message in enumerate(messages):
            expected = "assistant" if index % 2 else "user"
            if message["role"] != expected:
                text = f"the role of message {index} must be {expected}"
                raise Refused("bad_request", text, code="336006")
        system = body.get("system")
        if system is not None and not isinstance(system, str):
            raise Refused("bad_request", "system must be a string")
        read_number(body, "temperature", 0, 1, open_low=True)
        read_number(body, "top_p", 0, 1)
        limit = read_number(body, "max_output_tokens", 2, 2048)
        if system:
            messages.insert(0, {"role": "system", "content": system})
        return self.new_chat(body | {"model": endpoint}, messages, int(limit) if limit else None)

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply in the legacy format."""
        body = {
            "id": "as-standin0001",
            "object": "chat.completion",
            "created": CREATED,
            "result": chat.text,
            "is_truncated": chat.finish == "length",
            "need_clear_history": chat.finish == self.finish_filtered,
            "finish_reason": "normal" if chat.finish == "stop" else chat.finish,
        }
        if usage:
            body["usage"] = {
                "prompt_tokens": chat.prompt_tokens,
                "completion_tokens": chat.text_tokens,
                "total_tokens": chat.prompt_tokens + chat.text_tokens,
            }
        return json_answer(body)

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal, mostly with status 200."""
        status, code, template = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key":
            if incoming.path == "/oauth/2.0/token":
                message = "Client authentication failed"
                return json_answer({"error": "invalid_client", "error_description": message}, 401)
            if _query(incoming).get("access_token", "") in self._tokens:
                code, template = 111, "Access token expired"
        code = int(refused.code) if refused.code.isdigit() else code
        return json_answer({"error_code": code, "error_msg": refused.text(template), "id": "as-0"}, status)

    def error_in_200(self) -> Answer:
        """Return an unspecific error."""
        return json_answer({"error_code": 1, "error_msg": "Unknown error"})


def _query(incoming: Incoming) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(incoming.query).items()}
