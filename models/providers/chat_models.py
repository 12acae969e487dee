"""The LangChain chat model for each provider."""

from functools import cache
from urllib.parse import parse_qsl

import httpx2
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from models.providers.http_client import tls_context
from models.providers.langchain_community import glm_jwt, wenxin
from models.providers.openai_chat import ChatCompletions
from models.providers.parameters import is_openai_itself, parameters
from models.providers.rehearsal import RehearsalModel
from models.providers.reward import RewardModel
from models.settings import Endpoint, ModelSettings, Role

CONNECT = 10.0
"""Seconds to wait for a connection: a server that is up accepts it at once, however long its replies take."""


def chat_model(
    endpoint: Endpoint, role: Role, settings: ModelSettings, key: SecretStr, client: httpx2.AsyncClient
) -> BaseChatModel:
    """Create the chat model that plays a role.

    All models of a run share one HTTP client, which belongs to one event loop. The gateway retries, so the
    SDK must not; and every endpoint is asked for chat completions, which all of them have.
    """
    if endpoint.provider == "rehearsal":
        return RehearsalModel(wins=settings.rehearsal_wins, judge=endpoint.name)
    timeout = httpx2.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout))
    if endpoint.provider == "reward":
        further = settings.further(role)
        return RewardModel(endpoint=endpoint, key=key, client=client, further=further, timeout=timeout)
    if endpoint.provider == "wenxin":
        return wenxin(endpoint, role, settings, key)
    if endpoint.provider == "glm-jwt":
        return glm_jwt(endpoint, role, settings, key, client, timeout)
    given = parameters(endpoint, role, settings)
    base_url, _, query = (endpoint.base_url or "").partition("?")
    fields = dict(parse_qsl(query, keep_blank_values=True))
    # Azure's older API, which has its version in the query, takes the key in a header of its own.
    is_older_azure = is_openai_itself(endpoint) and "api-version" in fields
    model = ChatCompletions(
        model=endpoint.name,
        api_key=key,
        base_url=base_url or None,
        default_query=fields or None,
        default_headers={"api-key": key.get_secret_value()} if is_older_azure else None,
        temperature=given.temperature,
        top_p=given.top_p,
        seed=given.seed,
        reasoning_effort=given.effort,
        timeout=timeout,
        max_retries=0,
        http_async_client=client,
        http_client=_without_use(),
        # For LangChain's own transport, which is not used: the client knows the environment's proxies.
        openai_proxy=None,
        http_socket_options=(),
        use_responses_api=False,
        stream_usage=False,
        extra_body=given.body,
    )
    # The SDK picks these up from OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS and
    # OPENAI_ADMIN_KEY. They must not reach another provider, and the last one no model at all.
    sdk = model.root_async_client
    sdk.admin_api_key = None
    if not is_openai_itself(endpoint):
        sdk.organization = sdk.project = None
        sdk._custom_headers = {}
    return model


@cache
def _without_use() -> httpx2.Client:
    """Return the client of calls that are not asynchronous, of which there are none: LangChain would make one
    with certificates of its own."""
    return httpx2.Client(verify=tls_context())
