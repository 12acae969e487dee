"""OpenAI-compatible servers, each under the name of its model, with the ways it is documented or reported to
have.

- `llama.cpp`, `sglang`, `deepseek`, `gemini`, `azure`: nothing of note; `deepseek` and all that think have
  their thoughts in `reasoning_content`.
- `llama.cpp-gemma`: the words of a chat template without a system role, with status 500.
- `ollama`: any other model name is one that has not been pulled.
- `lm-studio`: a wrong path is answered with status 200.
- `tgi`: no temperature of 0, no top_p of 1.
- `openrouter`: comments before the JSON, and between events.
- `dashscope-qwq`: streams only. `dashscope-qwen3`: streams only while it thinks. Neither counts tokens in a
  stream unless asked to.
- `moonshot`: temperature 1 alone.
- `litellm-claude`: temperature or top_p, not both.
- `litellm-gpt`: the limit of a reply as `max_completion_tokens` alone.
- `mistral`: the limit as `max_tokens` alone, and no `seed`; refusals list pydantic's errors.

None needs a key. Azure's older API is below `/openai/deployments/NAME`, with its version in the query, and
`/moved` redirects to `/v1`.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from standin.openai import OpenAI
from standin.provider import CREATED, Chat, completion
from standin.wire import Answer, Incoming, Refused, json_answer, read_messages

_THOUGHTS = "Let me weigh what the request asks for against what the response gives."
_THINKERS = ("dashscope-qwq", "dashscope-qwen3", "deepseek", "moonshot")
_DEPLOYMENTS = "/openai/deployments/"
_MOVED = "/moved"


class _Refusal(Refused):
    """A refusal in words, a format and with a status of the server's own."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__("bad_request")
        self.answer = json_answer(body, status)


class Compatible(OpenAI):
    """OpenAI-compatible servers."""

    name = "compatible"
    prefix = "/compatible"
    base_url = "/compatible/v1"
    accepted_key = "none"
    models: ClassVar[Mapping[str, int]] = dict.fromkeys(
        (
            *("llama.cpp", "llama.cpp-gemma", "ollama", "lm-studio", "sglang", "tgi", "openrouter"),
            *("deepseek", "dashscope-qwq", "dashscope-qwen3", "moonshot", "azure", "litellm-claude"),
            *("litellm-gpt", "mistral", "gemini"),
        ),
        32_768,
    )

    def is_authorized(self, incoming: Incoming) -> bool:
        """Return True: none needs a key."""
        return True

    def is_chat(self, incoming: Incoming) -> bool:
        """Return whether this is a chat request."""
        return super().is_chat(incoming) or (
            incoming.path.startswith(_DEPLOYMENTS)
            and incoming.path.endswith("/chat/completions")
            and "api-version=" in incoming.query
        )

    def answer_other(self, incoming: Incoming) -> Answer | None:
        """Answer a request other than chat; a wrong path as LM Studio does."""
        if incoming.path.startswith(_MOVED):
            there = self.prefix + "/v1" + incoming.path.removeprefix(_MOVED)
            return Answer(301, b"", ((b"location", there.encode()),))
        if incoming.method == "POST" and not incoming.path.startswith(_DEPLOYMENTS):
            error = f"Unexpected endpoint or method. ({incoming.method} {incoming.path})"
            return json_answer({"error": error})
        return super().answer_other(incoming)

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request. Raises Refused as the server does."""
        body = incoming.json()
        model = body.get("model")
        if not isinstance(model, str) or model not in self.models:
            raise _Refusal(404, _error(f'model "{model}" not found, try pulling it first', "api_error"))
        messages = read_messages(body, self.roles)
        _refuse(model, body)
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        chat = self.new_chat(body, messages, limit)
        if model in _THINKERS and body.get("enable_thinking") is not False:
            chat.thoughts = _THOUGHTS
        return chat

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply, as a stream where one was asked for."""
        extra = {"reasoning_content": chat.thoughts} if chat.thoughts else {}
        body = completion(chat, id="chatcmpl-standin", usage=usage, extra=extra)
        comments = b": OPENROUTER PROCESSING\n\n" * 2 if chat.model == "openrouter" else b""
        if chat.body.get("stream"):
            counts = (chat.body.get("stream_options") or {}).get("include_usage")
            return Answer(200, comments + _events(body, counts=bool(counts)), type=b"text/event-stream")
        answer = json_answer(body)
        return answer._replace(body=comments + answer.body)

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal in the server's own format, or in OpenAI's."""
        if isinstance(refused, _Refusal):
            return refused.answer
        if refused.failure == "too_long" and model == "llama.cpp":
            message = "the request exceeds the available context size, try increasing it"
            return json_answer(
                {"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}}, 400
            )
        if refused.failure == "overloaded":
            error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
            return json_answer({"error": error}, 503)
        return super().refuse(refused, incoming, model)

    def error_in_200(self) -> Answer:
        """Return an error in the midst of a stream."""
        begun = {"choices": [{"index": 0, "delta": {"content": "It is"}, "finish_reason": None}]}
        failed = {"error": {"code": 502, "message": "The upstream model failed."}, "choices": []}
        return Answer(200, _event(begun) + _event(failed), type=b"text/event-stream")


def _refuse(model: str, body: Mapping[str, Any]) -> None:
    temperature, top_p = body.get("temperature"), body.get("top_p")
    if model == "llama.cpp-gemma" and body["messages"][0]["role"] == "system":
        error = {"code": 500, "message": "Jinja Exception: System role not supported", "type": "server_error"}
        raise _Refusal(500, {"error": error})
    if model == "dashscope-qwq" and not body.get("stream"):
        message = (
            "This model only support stream mode, please enable the stream parameter to access the model."
        )
        raise _Refusal(400, _error(message, "invalid_request_error", "invalid_parameter_error"))
    if model == "dashscope-qwen3" and not body.get("stream") and body.get("enable_thinking") is not False:
        message = "parameter.enable_thinking must be set to false for non-streaming calls"
        raise _Refusal(400, _error(message, "invalid_request_error", "invalid_parameter_error"))
    if model == "moonshot" and temperature not in (None, 1):
        message = "invalid temperature: only 1 is allowed for this model"
        raise _Refusal(400, _error(message, "invalid_request_error"))
    if model == "litellm-claude" and temperature is not None and top_p is not None:
        message = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        raise _Refusal(400, _error(message, "None", "400"))
    if model == "litellm-gpt" and "max_tokens" in body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        raise _Refusal(400, _error(message, "invalid_request_error", "unsupported_parameter"))
    if model == "tgi" and (temperature == 0 or top_p == 1):
        message = "`temperature` must be strictly positive" if temperature == 0 else "`top_p` must be < 1.0"
        raise _Refusal(422, {"error": f"Input validation error: {message}", "error_type": "validation"})
    unknown = [name for name in ("max_completion_tokens", "seed") if name in body]
    if model == "mistral" and unknown:
        errors = [
            {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            for name in unknown
        ]
        raise _Refusal(
            422, {"object": "error", "message": {"detail": errors}, "type": "invalid_request_error"}
        )


def _error(message: str, type: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def _events(body: Mapping[str, Any], *, counts: bool) -> bytes:
    """Return a reply as the events of a stream: first the thoughts, then the text, then the usage."""
    (choice,) = body["choices"]
    message = choice["message"]
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "content"):
        text = message.get(name) or ""
        deltas += [{name: text[at : at + 9]} for at in range(0, len(text), 9)]
    common = {"id": body["id"], "object": "chat.completion.chunk", "created": CREATED, "model": body["model"]}
    chunks: list[dict[str, Any]] = [
        {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    ended = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    chunks.append({**common, "choices": [ended]})
    if counts and "usage" in body:
        chunks.append({**common, "choices": [], "usage": body["usage"]})
    return b"".join(map(_event, chunks)) + b"data: [DONE]\n\n"
