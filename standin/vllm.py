"""vLLM 0.32 as `vllm serve` runs it: no account and no rates, but a queue, a context and a chat template.

A gateway in front of it may refuse what vLLM itself never does (rates, balance); such a fault is answered in
vLLM's form. Its models differ in their templates and in how they think: `standin` takes any conversation,
`standin-plain` has a template without a system role whose turns must alternate, `standin-thinks` leaves its
thoughts in the text, `standin-reasons` runs with a reasoning parser, and `standin-diffuses` and
`standin-mistral` refuse structured outputs, each in vLLM's words for its kind.

What it does not cover: structured outputs by JSON schema or grammar, and a text for any regex whatever (see
`_matching`).
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from standin.provider import Chat, Provider, completion, prompt_tokens
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

_THOUGHTS = "Let me weigh what the request asks for against what the response gives."

# Status, type and words.
_REFUSALS: dict[Failure, tuple[int, str, str]] = {
    "invalid_key": (401, "Unauthorized", "Unauthorized"),
    "no_balance": (402, "PaymentRequired", "The balance is empty."),
    "quota": (429, "TooManyRequests", "The quota of the day is used up."),
    "unknown_model": (404, "NotFoundError", "The model `{model}` does not exist."),
    "429": (429, "TooManyRequests", "Too many requests."),
    "tpm": (429, "TooManyRequests", "Too many tokens."),
    "overloaded": (
        503,
        "Service Unavailable",
        "The engine is currently busy and cannot accept new requests.",
    ),
    "500": (500, "InternalServerError", "Internal server error"),
    "502": (502, "BadGateway", "Bad gateway"),
    "503": (503, "ServiceUnavailableError", "Request failed; please retry"),
    "504": (504, "GatewayTimeout", "Gateway timeout"),
    "too_long": (
        400,
        "BadRequestError",
        "This model's maximum context length is {context} tokens. However, your prompt contains {asked} "
        "input tokens, which exceeds this limit even without any output tokens.",
    ),
    "content_filter": (403, "Forbidden", "The content was refused."),
    "bad_request": (400, "BadRequestError", "The request is not valid."),
}


# What vLLM 0.32 answers where it cannot keep a reply to a form.
_FORMLESS = {
    "standin-diffuses": "Structured outputs are not yet supported for diffusion language models. Remove the "
    "structured output constraint (e.g. `response_format`, `structured_outputs`) from the request.",
    "standin-mistral": "Non-tekken Mistral tokenizers are not supported for the 'guidance' structured output "
    "backend. Please either use a more recent Mistral model, the ['xgrammar', 'outlines'] backends or "
    "tokenizer_mode='hf' instead.",
}


class VLLM(Provider):
    """A vLLM server; without `vllm_key` in the options it takes any key and none."""

    name = "vllm"
    prefix = "/vllm"
    base_url = "/vllm/v1"
    models: ClassVar[Mapping[str, int]] = {
        "standin": 32_768,
        "standin-plain": 32_768,
        "standin-thinks": 32_768,
        "standin-reasons": 32_768,
        "standin-diffuses": 32_768,
        "standin-mistral": 32_768,
    }
    withheld = "abort"
    refuses_rates = False
    refuses_queues = True

    @property
    def key(self) -> str:
        """The key it was started with."""
        return self.options.vllm_key or "none"

    def knows(self, incoming: Incoming) -> bool:
        """Whether the request carries the key, where there is one; only paths below /v1 ask for it."""
        expected = self.options.vllm_key
        return (
            not expected
            or not incoming.path.startswith("/v1/")
            or hmac.compare_digest(incoming.bearer.encode(), expected.encode())
        )

    def other(self, incoming: Incoming) -> Answer | None:
        """Models, health, metrics and token counts."""
        match incoming.method, incoming.path:
            case "GET", "/v1/models":
                data = [
                    {
                        "id": name,
                        "object": "model",
                        "owned_by": "vllm",
                        "root": name,
                        "max_model_len": self.context(name),
                    }
                    for name in self.models
                ]
                return as_json({"object": "list", "data": data})
            case "GET", "/health":
                return Answer(200, b"")
            case "GET", "/version":
                return as_json({"version": "0.32.0"})
            case "GET", "/metrics":
                return Answer(200, self._metrics().encode(), type=b"text/plain; version=0.0.4; charset=utf-8")
            case "POST", "/tokenize":
                return self._tokenized(incoming)
        return None

    def read(self, incoming: Incoming) -> Chat:
        """The chat request."""
        body = incoming.json()
        model = self._model(body)
        messages = messages_of(body)
        only_plain(body)
        number(body, "temperature", 0, float("inf"))
        number(body, "top_p", 0, 1, open_low=True)
        limit = count(body, "max_completion_tokens") or count(body, "max_tokens")
        context = self.context(model)
        if limit and limit > context:
            name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
            words = f"{name}={limit} cannot be greater than max_model_len={context}."
            raise Refused("bad_request", words, param=name)
        _templated(model, messages)
        if _constraint(body) and model in _FORMLESS:
            raise Refused("bad_request", _FORMLESS[model])
        chat = self.opened(body, messages, limit)
        # What is asked for beyond the context is cut in silence; without a limit the context is the limit.
        chat.limit = min(limit or context, context - chat.asked)
        if model == "standin-reasons":
            chat.thoughts = _THOUGHTS
        return chat

    def phrased(self, chat: Chat, text: str) -> str:
        """The reply under its constraint, or with the thoughts before it."""
        constraint = _constraint(chat.body)
        if constraint:
            return _matching(text, *constraint)
        return f"<think>\n{_THOUGHTS}\n</think>\n\n{text}" if chat.model == "standin-thinks" else text

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """The reply; prompt tokens that were cached are told as with --enable-prompt-tokens-details."""
        extra = {"refusal": None, "reasoning": chat.thoughts or None}
        body = completion(chat, id="chatcmpl-standin", usage=usage, extra=extra, details=True)
        return as_json(body)

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """A refusal; codes are numbers."""
        status, kind, words = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key":
            return as_json({"error": "Unauthorized"}, status)
        words = words.format(model=model, asked=refused.asked, context=refused.context)
        error: dict[str, Any] = {
            "message": refused.words or words,
            "type": kind,
            "param": refused.param or ("input_tokens" if refused.failure == "too_long" else None),
            "code": int(refused.code) if refused.code.isdigit() else status,
        }
        return as_json({"error": error}, status)

    def _model(self, body: Mapping[str, Any]) -> str:
        model = body.get("model")
        if not isinstance(model, str) or model not in self.models:
            raise Refused("unknown_model")
        return model

    def _tokenized(self, incoming: Incoming) -> Answer:
        body = incoming.json()
        model = self._model(body)
        if isinstance(body.get("prompt"), str):
            messages: list[Message] = [{"role": "user", "content": body["prompt"]}]
        else:
            messages = messages_of(body)
            _templated(model, messages)
        tokens = prompt_tokens(messages)
        return as_json({"count": tokens, "max_model_len": self.context(model), "tokens": list(range(tokens))})

    def _metrics(self) -> str:
        used = min(1.0, self.queue.running / (self.options.slots or 256))
        values = (
            ("num_requests_running", "gauge", self.queue.running),
            ("num_requests_waiting", "gauge", self.queue.waiting),
            ("kv_cache_usage_perc", "gauge", used),
            ("prefix_cache_queries_total", "counter", self.cache.queries),
            ("prefix_cache_hits_total", "counter", self.cache.hits),
        )
        return "".join(
            f"# TYPE vllm:{name.removesuffix('_total')} {kind}\n"
            f'vllm:{name}{{engine="0",model_name="standin"}} {float(value)}\n'
            for name, kind, value in values
        )


def _templated(model: str, messages: Sequence[Message]) -> None:
    """Refuse what the model's chat template refuses, in the words that such templates use."""
    if model != "standin-plain":
        return
    if messages[0]["role"] == "system":
        raise Refused("bad_request", "System role not supported")
    if any(m["role"] != ("assistant" if place % 2 else "user") for place, m in enumerate(messages)):
        words = "Conversation roles must alternate user/assistant/user/assistant/..."
        raise Refused("bad_request", words)


def _constraint(body: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What the reply has to be: a choice or a regex. The older guided_* fields are ignored."""
    given = body.get("structured_outputs")
    if given is None:
        return None
    if not isinstance(given, dict) or len(given) != 1:
        raise Refused("bad_request", "structured_outputs must hold exactly one kind of constraint.")
    ((kind, value),) = given.items()
    if kind == "choice" and isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return kind, value
    if kind == "regex" and isinstance(value, str):
        try:
            return kind, re.compile(value)
        except re.error as error:
            raise Refused("bad_request", f"structured_outputs: the regex is not valid ({error})") from None
    raise Refused("bad_request", f"The stand-in does not know structured outputs by {kind!r}.")


def _matching(text: str, kind: str, value: Any) -> str:
    """The text under a constraint.

    A choice is the one the text begins with, or the last one. For a regex the longest beginning of the text
    that matches is taken, or of a few verdicts; no other texts are tried.
    """
    if kind == "choice":
        begun = (choice for choice in value if text.lower().startswith(choice.lower()))
        return max(begun, key=len, default=str(value[-1]))
    for tried in (text, "equal\nThere is little between them.", "7 7\nThere is little between them.", "7, 7"):
        for end in range(len(tried), 0, -1):
            if value.fullmatch(tried[:end]):
                return tried[:end]
    raise Refused("bad_request", "The stand-in knows no text that matches this regex.")
