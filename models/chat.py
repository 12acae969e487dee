"""The LangChain chat model for each provider."""

from typing import Any

import httpx2
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LanguageModelInput
from pydantic import SecretStr

from models.answer import ChatCompletions
from models.community import glm_jwt, wenxin
from models.parameters import parameters
from models.rehearsal import RehearsalModel
from models.settings import Endpoint, ModelSettings, Role

CONNECT = 10.0
"""Seconds to wait for a connection: a server that is up takes it at once, however long its replies take."""


class ChatGLM(ChatCompletions):
    """GLM speaks the OpenAI protocol but knows the reply's limit as `max_tokens` only."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload


def chat_model(
    endpoint: Endpoint,
    role: Role,
    settings: ModelSettings,
    key: SecretStr,
    client: httpx2.AsyncClient,
) -> BaseChatModel:
    """The chat model that plays a role.

    All models of a run share one HTTP client, which belongs to one event loop. Retries are the door's,
    so the SDK's own are off; and every endpoint is asked for chat completions, which all of them have.
    """
    if endpoint.provider == "rehearsal":
        return RehearsalModel(role=role, wins=settings.rehearsal_wins)
    timeout = httpx2.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout))
    if endpoint.provider == "wenxin":
        return wenxin(endpoint, role, settings, key)
    if endpoint.provider == "glm-jwt":
        return glm_jwt(endpoint, role, settings, key, client, timeout)
    given = parameters(endpoint, role, settings)
    make = ChatGLM if endpoint.provider == "glm" else ChatCompletions
    return make(
        model=endpoint.name,
        api_key=key,
        base_url=endpoint.base_url,
        temperature=given.temperature,
        top_p=given.top_p,
        seed=given.seed,
        reasoning_effort=given.effort,
        max_completion_tokens=settings.max_tokens,
        timeout=timeout,
        max_retries=0,
        http_async_client=client,
        use_responses_api=False,
        stream_usage=False,
        extra_body=given.body or None,
    )
