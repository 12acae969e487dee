"""vLLM 0.32 as `vllm serve` runs it: no accounts or rate limits, but a queue and chat templates.

Faults that come from a proxy rather than vLLM itself (rates, balance) use vLLM's error format all the same.
The models: `standin` accepts any conversation, `standin-plain` has a chat template without a system role and
with strict turns, `standin-thinks` leaves its thoughts in the text, `standin-reasons` runs with a reasoning
parser, and `standin-diffuses` and `standin-mistral` refuse structured outputs with vLLM's message for models
of their kind.

Not supported: structured outputs by JSON schema or grammar, and arbitrary regexes (see `constrain`).
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from standin import rewards
from standin.frames import TEXTS, THOUGHTS
from standin.provider import Chat, Provider, completion, count_prompt_tokens
from standin.replies import Message
from standin.wire import (
    Answer,
    Failure,
    Incoming,
    Refused,
    json_answer,
    read_count,
    read_messages,
    read_number,
)

# Status, type and message.
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
        "This model's maximum context length is {context} tokens. However, your prompt contains {tokens} "
        "input tokens, which exceeds this limit even without any output tokens.",
    ),
    "content_filter": (403, "Forbidden", "The content was refused."),
    "bad_request": (400, "BadRequestError", "The request is not valid."),
}

# vLLM 0.32's messages for models without structured outputs.
_NO_STRUCTURED_OUTPUTS = {
    "standin-diffuses": "Structured outputs are not yet supported for diffusion language models. Remove the "
    "structured output constraint (e.g. `response_format`, `structured_outputs`) from the request.",
    "standin-mistral": "Non-tekken Mistral tokenizers are not supported for the 'guidance' structured output "
    "backend. Please either use a more recent Mistral model, the ['xgrammar', 'outlines'] backends or "
    "tokenizer_mode='hf' instead.",
}


class VLLM(Provider):
    """A vLLM server; unless the options set `vllm_key`, it needs no key."""

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
    finish_filtered = "abort"
    has_rate_limits = False
    has_queue_limit = True

    @property
    def key(self) -> str:
        """The key the server was started with, `none` without one."""
        return self.options.vllm_key or "none"

    def is_authorized(self, incoming: Incoming) -> bool:
        """Return whether the request carries the key, if one is set; only paths under /v1 need it."""
        expected = self.options.vllm_key
        return (
            not expected
            or not incoming.path.startswith("/v1/")
            or hmac.compare_digest(incoming.bearer.encode(), expected.encode())
        )

    def answer_other(self, incoming: Incoming) -> Answer | None:
        """Answer with models, health, version, metrics or token counts."""
        match incoming.method, incoming.path:
            case "GET", "/v1/models":
                fields = {"object": "model", "owned_by": "vllm"}
                data = [
                    {"id": name, **fields, "root": name, "max_model_len": self.context(name)}
                    for name in self.models
                ]
                return json_answer({"object": "list", "data": data})
            case "GET", "/health":
                return Answer(200, b"")
            case "GET", "/version":
                return json_answer({"version": "0.32.0"})
            case "GET", "/metrics":
                return Answer(200, self._metrics().encode(), type=b"text/plain; version=0.0.4; charset=utf-8")
            case "POST", "/tokenize":
                return self._tokenize(incoming)
            case "POST", "/classify" | "/score" | "/v1/score":
                return rewards.answer(incoming)
        return None

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        body, model, messages = self.read_body(incoming)
        read_number(body, "temperature", 0, float("inf"))
        read_number(body, "top_p", 0, 1, open_low=True)
        limit = read_count(body, "max_completion_tokens") or read_count(body, "max_tokens")
        context = self.context(model)
        if limit and limit > context:
            name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
            message = f"{name}={limit} cannot be greater than max_model_len={context}."
            raise Refused("bad_request", message, param=name)
        _check_template(model, messages)
        if _read_constraint(body) and model in _NO_STRUCTURED_OUTPUTS:
            raise Refused("bad_request", _NO_STRUCTURED_OUTPUTS[model])
        chat = self.new_chat(body, messages, limit)
        # vLLM silently truncates a reply at the end of the context.
        chat.limit = min(limit or context, context - chat.prompt_tokens)
        if model == "standin-reasons":
            chat.thoughts = THOUGHTS
        return chat

    def shape(self, chat: Chat, text: str) -> str:
        """Return the text constrained to the structured output, or preceded by thoughts."""
        constraint = _read_constraint(chat.body)
        if constraint:
            return constrain(text, *constraint)
        return TEXTS["think"].format(thoughts=THOUGHTS, text=text) if chat.model == "standin-thinks" else text

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply, with cached prompt tokens as under --enable-prompt-tokens-details."""
        extra = {"refusal": None, "reasoning": chat.thoughts or None}
        return json_answer(completion(chat, id="chatcmpl-standin", usage=usage, extra=extra))

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal; codes are numbers."""
        status, kind, template = _REFUSALS[refused.failure]
        if refused.failure == "invalid_key":
            return json_answer({"error": "Unauthorized"}, status)
        error: dict[str, Any] = {
            "message": refused.text(template, model=model),
            "type": kind,
            "param": refused.param or ("input_tokens" if refused.failure == "too_long" else None),
            "code": int(refused.code) if refused.code.isdigit() else status,
        }
        return json_answer({"error": error}, status)

    def _tokenize(self, incoming: Incoming) -> Answer:
        body = incoming.json()
        model = self.read_model(body)
        if isinstance(body.get("prompt"), str):
            messages: list[Message] = [{"role": "user", "content": body["prompt"]}]
        else:
            messages = read_messages(body, self.roles)
            _check_template(model, messages)
        count = count_prompt_tokens(messages)
        tokens = list(range(count))
        return json_answer({"count": count, "max_model_len": self.context(model), "tokens": tokens})

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


def _check_template(model: str, messages: Sequence[Message]) -> None:
    """Refuse what the model's chat template refuses, with the messages of real templates."""
    if model != "standin-plain":
        return
    if messages[0]["role"] == "system":
        raise Refused("bad_request", "System role not supported")
    if any(m["role"] != ("assistant" if index % 2 else "user") for index, m in enumerate(messages)):
        message = "Conversation roles must alternate user/assistant/user/assistant/..."
        raise Refused("bad_request", message)


def _read_constraint(body: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the kind and value of the structured output; the older guided_* fields are ignored."""
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
    raise Refused("bad_request", f"The stand-in does not support structured outputs by {kind!r}.")


def constrain(text: str, kind: str, value: Any) -> str:
    """Return a text that satisfies a constraint.

    Of choices it is the longest that the text starts with, or else the last. For a regex it is the longest
    matching prefix of the text, or of the text with its first line in the words of the regex, or else of a
    few fixed verdicts. Raises Refused if none matches.
    """
    if kind == "choice":
        matches = (choice for choice in value if text.lower().startswith(choice.lower()))
        return max(matches, key=len, default=str(value[-1]))
    for candidate in (
        text,
        _in_the_words_of(value.pattern, text),
        "equal\nThere is little between them.",
        "7 7\nThere is little between them.",
        "7, 7",
    ):
        for end in range(len(candidate), 0, -1):
            if value.fullmatch(candidate[:end]):
                return candidate[:end]
    raise Refused("bad_request", "The stand-in has no text that matches this regex.")


def _in_the_words_of(regex: str, text: str) -> str:
    """Return a judge's reply with another first line: one of several words, or with two scores."""
    verdict, _, reasons = text.partition("\n")
    reasons = reasons or verdict
    first = re.split(r"\\?\n", regex.replace(r"\n", "\n"))[0]
    plain = [re.sub(r"\\(.)", r"\1", word) for word in re.split(r"(?<!\\)\|", first.strip("()"))]
    if "[1-9]" not in first:
        index = {"1": 0, "2": 1}.get(verdict[-1:], 2)
        return f"{plain[min(index, len(plain) - 1)]}\n{reasons}"
    for score in re.findall(r"\d+", verdict)[:2]:
        first = re.sub(r"\(10\|\[1-9\](?:\(\\?\.5\)\?)\)", score, first, count=1)
    return re.sub(r"\\(.)", r"\1", first) + f"\n{reasons}"
