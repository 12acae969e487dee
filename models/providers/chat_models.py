"""The LangChain chat model for each provider."""

import httpx2
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from models.providers.langchain_community import glm_jwt, wenxin
from models.providers.openai_chat import ChatCompletions
from models.providers.parameters import is_openais, parameters
from models.providers.rehearsal import RehearsalModel
from models.settings import Endpoint, ModelSettings, Role

CONNECT = 10.0
"""Seconds to wait for a connection: a server that is up takes it at once, however long its replies take."""


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
    model = ChatCompletions(
        model=endpoint.name,
        api_key=key,
        base_url=endpoint.base_url,
        temperature=given.temperature,
        top_p=given.top_p,
        seed=given.seed,
        reasoning_effort=given.effort,
        timeout=timeout,
        max_retries=0,
        http_async_client=client,
        # Both would be for a transport of LangChain's own, which is not used: the client knows the proxies of
        # the environment.
        openai_proxy=None,
        http_socket_options=(),
        use_responses_api=False,
        stream_usage=False,
        extra_body=given.body,
    )
    # The SDK picks these up from OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS and
    # OPENAI_ADMIN_KEY. They are no business of another provider, and the last one of no model.
    sdk = model.root_async_client
    sdk.admin_api_key = None
    if not is_openais(endpoint):
        sdk.organization = sdk.project = None
        sdk._custom_headers = {}
    return model
