"""Servers for local models that hold replies to a form, each in its own way: llama.cpp's and SGLang.

Like vLLM they need no key and have no rate limits. Both are asked as OpenAI-compatible servers and say in
their list of models what they are. llama.cpp serves its model under any name.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from standin.provider import Chat, Provider, completion
from standin.vllm import constrain
from standin.wire import Answer, Failure, Incoming, Refused, json_answer, read_count

_STATUS: dict[Failure, int] = {
    "500": 500,
    "502": 502,
    "503": 503,
    "504": 504,
    "429": 429,
    "unknown_model": 404,
}


class _LocalServer(Provider):
    models: ClassVar[Mapping[str, int]] = {"standin": 32_768, "standin-refuses": 32_768}
    """`standin-refuses` takes no form."""
    owned_by: ClassVar[str]
    context_name: ClassVar[str]
    has_rate_limits = False
    has_queue_limit = True

    @property
    def key(self) -> str:
        """No key is needed."""
        return "none"

    def is_authorized(self, incoming: Incoming) -> bool:
        """Accept any key, or none."""
        return True

    def answer_other(self, incoming: Incoming) -> Answer | None:
        """Answer with the list of models."""
        if incoming.path != self.models_path:
            return None
        fields = {"object": "model", "owned_by": self.owned_by}
        data = [{"id": name, **fields, self.context_name: self.context(name)} for name in self.models]
        return json_answer({"object": "list", "data": data})

    def read_form(self, body: Mapping[str, Any]) -> re.Pattern[str] | None:
        """Return the form that the reply has to have. Raises Refused if it is none."""
        raise NotImplementedError

    def read_chat(self, incoming: Incoming) -> Chat:
        """Parse a chat request."""
        body, model, messages = self.read_body(incoming)
        if self.read_form(body) and model == "standin-refuses":
            raise Refused("bad_request", "This model has no grammar backend.")
        return self.new_chat(body, messages, read_count(body, "max_tokens"))

    def shape(self, chat: Chat, text: str) -> str:
        """Return the text in the form that was asked for."""
        form = self.read_form(chat.body)
        return constrain(text, "regex", form) if form else text

    def reply(self, chat: Chat, *, usage: bool) -> Answer:
        """Return the reply."""
        return json_answer(completion(chat, id="chatcmpl-standin", usage=usage, extra={}))

    def refuse(self, refused: Refused, incoming: Incoming, model: str) -> Answer:
        """Return a refusal."""
        status = _STATUS.get(refused.failure, 400)
        message = refused.text("The request is not valid.", model=model)
        return json_answer({"error": {"code": status, "message": message, "type": "invalid_request"}}, status)


class LlamaCpp(_LocalServer):
    """llama.cpp's server, with grammars in GBNF of one rule."""

    name = "llamacpp"
    prefix = "/llamacpp"
    base_url = "/llamacpp/v1"
    owned_by = "llamacpp"
    context_name = "n_ctx"

    def read_model(self, body: Mapping[str, Any]) -> str:
        """Return the model, whatever it is called."""
        return str(body.get("model")) if body.get("model") in self.models else "standin"

    def new_chat(self, body: dict[str, Any], messages: Any, limit: int | None) -> Chat:
        """Return a chat with the model."""
        return super().new_chat({**body, "model": self.read_model(body)}, messages, limit)

    def read_form(self, body: Mapping[str, Any]) -> re.Pattern[str] | None:
        """Return the grammar as a regex."""
        grammar = body.get("grammar")
        if grammar is None:
            return None
        _, root, rule = str(grammar).partition("root ::=")
        parts = re.findall(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[()|?*+]|\S', rule)
        if not root or any(len(part) == 1 and part not in "()|?*+" for part in parts):
            raise Refused("bad_request", "failed to parse grammar")
        return re.compile("".join(re.escape(json.loads(p)) if p[0] == '"' else p for p in parts))


class SGLang(_LocalServer):
    """SGLang's server, with its `regex`."""

    name = "sglang"
    prefix = "/sglang"
    base_url = "/sglang/v1"
    owned_by = "sglang"
    context_name = "max_model_len"

    def read_form(self, body: Mapping[str, Any]) -> re.Pattern[str] | None:
        """Return the regex."""
        try:
            return re.compile(body["regex"]) if body.get("regex") is not None else None
        except (re.error, TypeError):
            raise Refused("bad_request", "Failed to compile the regex with the grammar backend.") from None
