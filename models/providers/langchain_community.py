"""Old credentials, through langchain-community: Wenxin V1's client id and secret, and GLM's signed tokens.

    wenxin:ENDPOINT   Wenxin V1, by the last part of a chat path (`completions_pro`); QIANFAN_AK, QIANFAN_SK
    glm-jwt:NAME      a GLM model, with tokens signed by a key of the form `id.secret`; ZHIPUAI_API_KEY

The extra `community` installs both libraries; they are loaded only when such a model is used. Their errors
become one of three, which hold no URL: `BadResponse`, `UnsendableRequest` for a request that cannot be built,
or an OSError for the connection.

Not covered: Wenxin's library works in threads, at most `MAX_THREADS` at a time, and the head of a response
has only a timeout that counts from the last byte received.
"""

import asyncio
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from math import inf
from time import monotonic
from typing import Any

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import Field, SecretStr

from models.addresses import CALLS_PATH, address
from models.errors.exceptions import BadResponse, MissingExtra, UnsendableRequest
from models.providers.http_client import LEAST_BYTES
from models.providers.openai_chat import read_response
from models.providers.parameters import parameters
from models.settings import Endpoint, ModelSettings, Provider, Role
from samples.bounds import MB, load_json

NEEDS: dict[Provider, tuple[str, ...]] = {
    "wenxin": ("langchain_community", "qianfan"),
    "glm-jwt": ("langchain_community", "jwt"),
}
"""The modules that a provider's models need."""

_PART_BYTES = 65_536

MAX_THREADS = 256
"""Calls to Wenxin at a time; others wait."""


def require_libraries(provider: Provider) -> None:
    """Make sure that the libraries a provider needs are installed.

    Raises:
        MissingExtra: they are not; the message says what to install.
    """
    missing = [module for module in NEEDS.get(provider, ()) if find_spec(module) is None]
    if missing:
        raise MissingExtra(f"a {provider}: model", " and ".join(missing), "community")


def wenxin(endpoint: Endpoint, role: Role, settings: ModelSettings, key: SecretStr) -> BaseChatModel:
    """Create a model of Wenxin V1. `key` is the client id and the secret, separated by a colon.

    Raises:
        MissingExtra: its library is not installed.
    """
    require_libraries(endpoint.provider)
    id, _, secret = key.get_secret_value().partition(":")
    given = parameters(endpoint, role, settings)
    make = _wenxin_class()
    model: BaseChatModel = make(
        endpoint=endpoint.name,
        api_key=id,
        secret_key=secret,
        temperature=given.temperature,
        top_p=given.top_p,
        init_kwargs={"config": _wenxin_config(endpoint)},
        # The library's own timeout is a whole number of seconds; the gateway retries.
        model_kwargs={"request_timeout": settings.timeout, "retry_count": 1, **given.body},
    )
    return model


def glm_jwt(
    endpoint: Endpoint,
    role: Role,
    settings: ModelSettings,
    key: SecretStr,
    client: httpx2.AsyncClient,
    timeout: httpx2.Timeout,
) -> BaseChatModel:
    """Create a GLM model that is sent signed tokens instead of the key.

    Raises:
        MissingExtra: its library is not installed.
    """
    require_libraries(endpoint.provider)
    given = parameters(endpoint, role, settings)
    model: BaseChatModel = _glm_class()(
        model=endpoint.name,
        api_key=key.get_secret_value(),
        api_base=address(endpoint.base_url or "", CALLS_PATH),
        temperature=given.temperature,
        top_p=given.top_p,
        http_client=client,
        extra_body=given.body,
        timeout=timeout,
    )
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Ignore the known import warnings of these libraries: one is being sunset, one is old code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*langchain-community.* is being sunset", DeprecationWarning)
        # A DeprecationWarning up to Python 3.11, then a SyntaxWarning.
        warnings.filterwarnings("ignore", "invalid escape sequence")
        yield


def _wenxin_config(endpoint: Endpoint) -> Any:
    import qianfan.config

    return qianfan.config.get_config_with_kwargs(
        base_url=endpoint.base_url, console_api_base_url=endpoint.base_url, disable_cache=True
    )


@cache
def _wenxin_class() -> Callable[..., BaseChatModel]:
    log = logging.getLogger("qianfan")
    log.disabled = True
    with _quietly():
        import qianfan.errors
        import qianfan.resources.http_client
        from langchain_community.chat_models.baidu_qianfan_endpoint import QianfanChatEndpoint
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    # It logs whole requests, with the token in their URL, and logging that is set up later may enable it.
    log.handlers.clear()
    log.propagate = False
    log.setLevel(logging.CRITICAL + 1)
    _follow_no_redirects(qianfan.resources.http_client.HTTPClient)

    threads = ThreadPoolExecutor(MAX_THREADS, "wenxin")

    class BoundedAdapter(HTTPAdapter):
        """Reads no more of a response than a reply can take, and no longer than a call may."""

        def send(self, *given: Any, **more: Any) -> requests.Response:
            response = super().send(*given, **{**more, "stream": True})
            timeout = more["timeout"]
            until = monotonic() + (timeout[1] if isinstance(timeout, tuple) else timeout or inf)
            content = bytearray()
            try:
                while part := response.raw.read1(_PART_BYTES, decode_content=True):
                    content += part
                    if len(content) > LEAST_BYTES:
                        raise BadResponse(200, "", defect=f"more than {LEAST_BYTES // MB} MB")
                    if monotonic() > until:
                        raise requests.exceptions.ReadTimeout
                # As if `requests` itself had read it.
                response._content, response._content_consumed = bytes(content), True
            except urllib3.exceptions.DecodeError as error:
                raise BadResponse(200, "", defect=f"broken compression: {error}") from error
            except urllib3.exceptions.ReadTimeoutError as error:
                raise requests.exceptions.ReadTimeout from error
            except urllib3.exceptions.HTTPError as error:
                raise requests.exceptions.ChunkedEncodingError(str(error)) from error
            finally:
                response.close()
            return response

    class Wenxin(QianfanChatEndpoint):
        """Wenxin V1, in threads."""

        def model_post_init(self, context: Any, /) -> None:
            """Let every thread keep its connection."""
            adapter = BoundedAdapter(pool_connections=2, pool_maxsize=MAX_THREADS)
            session = self.client._real._client._client._session
            session.mount("http://", adapter)
            session.mount("https://", adapter)

        async def _agenerate(
            self,
            messages: list[BaseMessage],
            stop: list[str] | None = None,
            run_manager: AsyncCallbackManagerForLLMRun | None = None,
            **kwargs: Any,
        ) -> ChatResult:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads, partial(self._reply, messages, **kwargs))

        def _reply(self, messages: list[BaseMessage], **kwargs: Any) -> ChatResult:
            try:
                result: ChatResult = self._generate(messages, **kwargs)
            except qianfan.errors.APIError as error:
                body = {"error_code": error.error_code, "error_msg": error.error_msg}
                raise BadResponse(200, body) from None
            except qianfan.errors.AccessTokenExpiredError:
                # Raised where a new token was refused too; the provider's message is lost.
                body = {"error_code": 110, "error_msg": "the access token is invalid or expired"}
                raise BadResponse(200, body) from None
            except qianfan.errors.AuthError as error:
                raise BadResponse(401, {"message": str(error).partition(" AK/SK should")[0]}) from None
            except qianfan.errors.RequestError as error:
                if error.status_code is None:
                    raise BadResponse(200, str(error), defect="no JSON") from None
                raise BadResponse(error.status_code, _body_in(str(error)), _headers(error.headers)) from None
            except requests.exceptions.ConnectTimeout:
                raise ConnectionRefusedError("no connection in time") from None
            except requests.exceptions.Timeout:
                raise TimeoutError from None
            except requests.exceptions.ConnectionError as error:
                unreachable = "NewConnectionError" in str(error) or "NameResolutionError" in str(error)
                kind = ConnectionRefusedError if unreachable else ConnectionResetError
                raise kind("connection refused" if unreachable else "it was closed") from None
            except requests.exceptions.InvalidJSONError as error:
                raise UnsendableRequest(str(error)) from None
            except requests.exceptions.RequestException as error:
                raise ConnectionResetError(type(error).__name__) from None
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                defect = f"a reply that cannot be read: {type(error).__name__}"
                raise BadResponse(200, str(error), defect=defect) from None
            message = result.generations[0].message
            if message.response_metadata.get("need_clear_history"):
                message.response_metadata["finish_reason"] = "content_filter"
            return result

    return Wenxin


def _follow_no_redirects(client: Any) -> None:
    """Send no request of Wenxin's library to another address, with its prompt, token or client secret."""
    create = client.__init__

    def created(self: Any, *given: Any, **more: Any) -> None:
        create(self, *given, **more)
        send = self._session.request

        def request(*given: Any, **more: Any) -> Any:
            response = send(*given, **more, allow_redirects=False)
            if 300 <= response.status_code < 400:
                raise BadResponse(response.status_code, "", _headers(response.headers))
            return response

        self._session.request = request

    client.__init__ = created


def _headers(found: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in (found or {}).items()}


def _body_in(text: str) -> str:
    """Return the body of a refusal from the message of Wenxin's library, which holds the whole request
    too."""
    found = re.search(r"^response body: '?(.*)", text, re.DOTALL | re.MULTILINE)
    return found.group(1).strip("'") if found else ""


@cache
def _glm_class() -> Callable[..., BaseChatModel]:
    with _quietly():
        from langchain_community.chat_models.zhipuai import ChatZhipuAI, _get_jwt_token
    from jwt.warnings import InsecureKeyLengthWarning

    def token(key: str) -> str:
        with warnings.catch_warnings():
            # GLM's secrets are as long as they are.
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            return _get_jwt_token(key)

    class SignedGLM(ChatZhipuAI):
        """GLM with signed tokens, over the run's own client, which has timeouts and keeps connections."""

        zhipuai_api_key: str = Field(alias="api_key", repr=False)
        http_client: Any = Field(repr=False)
        extra_body: dict[str, Any]
        timeout: Any

        async def _agenerate(
            self,
            messages: list[BaseMessage],
            stop: list[str] | None = None,
            run_manager: AsyncCallbackManagerForLLMRun | None = None,
            stream: bool | None = None,
            **kwargs: Any,
        ) -> ChatResult:
            dicts, params = self._create_message_dicts(messages, stop)
            given = {**params, "top_p": self.top_p, **kwargs, "messages": dicts}
            body = {name: value for name, value in given.items() if value is not None} | self.extra_body
            try:
                request = self.http_client.build_request(
                    "POST",
                    self.zhipuai_api_base,
                    json=body,
                    headers={"Authorization": token(self.zhipuai_api_key)},
                    timeout=self.timeout,
                )
            except (ValueError, TypeError) as error:
                raise UnsendableRequest(str(error)) from error
            answer = await self.http_client.send(request)
            if not answer.is_success:
                try:
                    refusal = load_json(answer.text)
                except ValueError:
                    refusal = answer.text
                raise BadResponse(answer.status_code, refusal, dict(answer.headers))
            return read_response(answer, answer.text, self._create_chat_result)

    return SignedGLM
