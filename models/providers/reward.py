"""Reward models on a vLLM server: a score for one response, where chat models compare two.

A request is a conversation that ends with the response. It goes to `/classify` as messages, so the server
applies the chat template that comes with the model, as its card wants it; a template of one's own is
`chat_template` in `--extra-body`. The score is asked for as it leaves the model, without sigmoid or softmax,
in which responses that differ little become equal. A server without `/classify`, or a model without a chat
template, is asked at `/score` for how well the response goes with the request.

The score is the text of the reply, so that it is recorded, limited and retried as every reply is.
"""

import math
from http import HTTPStatus
from typing import Any

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai.chat_models.base import _convert_message_to_dict
from pydantic import Field, PrivateAttr, SecretStr

from models.addresses import server_address
from models.errors.exceptions import BadResponse
from models.providers.http_client import json_in
from models.settings import Endpoint

_NO_ROUTE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


class RewardModel(BaseChatModel):
    """Scores the last message of a conversation."""

    endpoint: Endpoint
    key: SecretStr
    client: Any = Field(repr=False)
    further: dict[str, Any]
    """Further fields of each request."""
    timeout: Any
    _path: str = PrivateAttr(default="")
    """Where it is asked: `/classify`, or `/score` if that was refused; empty until one did. It stays,
    since the two have scales of their own: a proxy may know no route while its server starts again."""

    @property
    def _llm_type(self) -> str:
        return "reward"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("calls are made in the event loop")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self._path != "/score":
            chat = [_convert_message_to_dict(message) for message in messages]
            answer = await self._post("/classify", {"messages": chat, "use_activation": False})
            if answer.is_success:
                self._path = "/classify"
            if self._path == "/classify" or not _may_score_pairs(answer):
                return _result(answer, "probs")
            self._path = "/score"
        request = "\n".join(message.text for message in messages[:-1] if message.type != "system")
        pair = {"text_1": request, "text_2": messages[-1].text, "use_activation": False}
        return _result(await self._post("/score", pair), "score")

    async def _post(self, path: str, fields: dict[str, Any]) -> httpx2.Response:
        response: httpx2.Response = await self.client.post(
            server_address(self.endpoint.base_url or "", path),
            json={"model": self.endpoint.name, **fields, **self.further},
            headers={"Authorization": f"Bearer {self.key.get_secret_value()}"},
            timeout=self.timeout,
        )
        return response


def _may_score_pairs(refusal: httpx2.Response) -> bool:
    text = refusal.text.lower()
    if refusal.status_code in _NO_ROUTE:
        return "does not exist" not in text  # which is said of the model
    return "chat template" in text


def _result(response: httpx2.Response, field: str) -> ChatResult:
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = json_in(response)
    except ValueError:
        body = response.text
    if not response.is_success:
        raise BadResponse(response.status_code, body, headers)
    try:
        (found,) = body["data"]
        values = found[field] if isinstance(found[field], list) else [found[field]]
        score = float(values[0])
        used = body.get("usage") or {}
        tokens = int(used.get("prompt_tokens") or 0)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise BadResponse(response.status_code, body, headers, defect="no score") from None
    if len(values) > 1:
        defect = f"{len(values)} numbers for a response, where a reward model gives one"
        raise BadResponse(response.status_code, body, headers, defect=defect)
    if not math.isfinite(score):
        raise BadResponse(response.status_code, body, headers, defect="a score that is no number")
    message = AIMessage(
        content=repr(score),
        response_metadata={"finish_reason": "stop"},
        usage_metadata=UsageMetadata(input_tokens=tokens, output_tokens=0, total_tokens=tokens),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])
