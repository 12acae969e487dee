"""The private parts of LangChain, the OpenAI SDK and qianfan that we use: they must be as we need them.

A failure here means that an upgrade changed one of them. The message names the function of ours to adapt.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx2
import jwt
import openai
import pytest
import requests
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai.chat_models.base import _handle_openai_api_error, _handle_openai_bad_request
from pydantic import SecretStr

from models.providers.chat_models import chat_model
from models.providers.langchain_community import _glm_class, _quietly, _wenxin_class, _wenxin_config
from models.providers.openai_chat import ChatCompletions
from models.settings import Endpoint, ModelSettings

URL = "http://server.test/v1"
PROMPT = [SystemMessage("You edit."), HumanMessage("Hello.")]
COMPLETION: dict[str, Any] = {
    "id": "reply",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "length"}],
    "usage": None,
}

ASK = "adapt models.providers.openai_chat.ChatCompletions._agenerate"
POST = "adapt models.providers.openai_chat.ChatCompletions._post"
READ = "adapt models.providers.openai_chat.read_response"
ASK_MODEL = "adapt models.providers.openai_chat.ask_model"
CREATE = "adapt the end of models.providers.chat_models.chat_model"
SEND_WENXIN = "adapt Wenxin.model_post_init in models.providers.langchain_community._wenxin_class"
NO_REDIRECTS = "adapt _follow_no_redirects in models.providers.langchain_community"
WENXIN_ERRORS = "adapt Wenxin._reply in models.providers.langchain_community._wenxin_class"
SEND_GLM = "adapt SignedGLM._agenerate in models.providers.langchain_community._glm_class"
SIGN_GLM = "adapt `token` in models.providers.langchain_community._glm_class"


def openai_model(handle: Callable[[httpx2.Request], httpx2.Response], url: str = URL) -> ChatCompletions:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
    endpoint, settings = Endpoint("openai", "m", url), ModelSettings(temperature=0.5, seed=7)
    model = chat_model(endpoint, "editor", settings, SecretStr("sk-test"), client)
    assert isinstance(model, ChatCompletions)
    return model


def no_request(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"unexpected request to {request.url}")


# --- LangChain and the OpenAI SDK


def test_the_request_payload() -> None:
    payload = openai_model(no_request)._get_request_payload(list(PROMPT), stop=None, extra_body={"top_k": 3})
    assert payload["messages"] == [
        {"content": "You edit.", "role": "system"},
        {"content": "Hello.", "role": "user"},
    ], f"_get_request_payload no longer returns messages as the API takes them: {ASK}"
    parameters = {name: payload.get(name) for name in ("model", "temperature", "top_p", "seed", "stream")}
    assert parameters == {"model": "m", "temperature": 0.5, "top_p": 1.0, "seed": 7, "stream": False}, (
        f"_get_request_payload no longer returns the parameters of a request: {ASK}"
    )
    assert payload["extra_body"] == {"top_k": 3}, (
        f"_get_request_payload no longer keeps `extra_body` apart, to be merged by us: {ASK}"
    )


async def test_a_request_is_the_one_that_the_sdk_would_send() -> None:
    sent: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json=COMPLETION, headers={"x-own": "1"})

    model = openai_model(handle)
    for _ in range(2):
        response = await model._post({"model": "m", "top_k": 3}, unread=False)
        assert (response.json(), response.headers["x-own"]) == (COMPLETION, "1")
    await model.root_async_client.post(
        "/chat/completions", body={"model": "m", "top_k": 3}, cast_to=httpx2.Response
    )
    ours, again, theirs = sent
    assert (ours.url, ours.headers, ours.content, ours.extensions) == (
        theirs.url, theirs.headers, theirs.content, theirs.extensions
    ), f"the SDK sends another request than it builds: {POST}"  # fmt: skip
    assert again.headers == ours.headers
    assert str(sent[0].url) == f"{URL}/chat/completions", f"the SDK builds other addresses: {ASK}"
    assert sent[0].content.replace(b" ", b"") == b'{"model":"m","top_k":3}', (
        f"the SDK no longer sends the body as it is: {ASK}"
    )
    assert sent[0].headers["authorization"] == "Bearer sk-test", f"the SDK no longer sends the key: {CREATE}"


async def test_the_sdk_makes_an_error_of_a_response() -> None:
    model = openai_model(lambda _: httpx2.Response(429, json={"error": {"message": "slow"}}))
    with pytest.raises(openai.RateLimitError) as raised:
        await model._post({}, unread=True)
    assert raised.value.body == {"message": "slow"}, f"the SDK makes other errors: {POST}"


async def test_a_response_is_returned_that_is_not_read_yet() -> None:
    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            raise AssertionError("the body is read before the response is returned")

    model = openai_model(lambda _: httpx2.Response(200, stream=Endless()))
    response = await model._post({}, unread=True)
    assert not response.is_stream_consumed
    await response.aclose()


async def test_azures_older_api_has_its_version_in_the_query_and_its_key_in_a_header() -> None:
    sent: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json=COMPLETION)

    base = "https://mine.openai.azure.com/openai/deployments/m"
    await openai_model(handle, f"{base}?api-version=2024-10-21").ainvoke(PROMPT)
    assert str(sent[0].url) == f"{base}/chat/completions?api-version=2024-10-21", (
        f"the SDK no longer adds default_query behind the path: {CREATE}"
    )
    assert sent[0].headers["api-key"] == "sk-test"
    await openai_model(handle, "https://elsewhere.test/v1?api-version=1").ainvoke(PROMPT)
    assert "api-key" not in sent[1].headers


async def test_the_sdk_does_not_retry() -> None:
    sent: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(503, json={})

    with pytest.raises(openai.InternalServerError):
        await openai_model(handle).ainvoke(PROMPT)
    assert len(sent) == 1, "the SDK retries in spite of max_retries=0: adapt chat_model, the gateway retries"


def test_the_result_of_a_completion() -> None:
    result = openai_model(no_request)._create_chat_result(COMPLETION)
    assert len(result.generations) == 1, f"_create_chat_result no longer returns one generation: {READ}"
    generation = result.generations[0]
    assert isinstance(generation.message, AIMessage), f"_create_chat_result returns another message: {READ}"
    assert generation.message.text == "Yes.", f"_create_chat_result no longer gives the text: {READ}"
    info = {**generation.message.response_metadata, **(generation.generation_info or {})}
    assert info.get("finish_reason") == "length", (
        f"the finish reason is neither in generation_info nor in response_metadata: {ASK_MODEL}"
    )


def response(status: int, message: str) -> httpx2.Response:
    request = httpx2.Request("POST", f"{URL}/chat/completions")
    body = {"error": {"message": message, "code": "some_code"}}
    return httpx2.Response(status, request=request, json=body, headers={"retry-after": "3"})


def test_a_prompt_that_is_too_long_is_an_error_of_its_own() -> None:
    answer = response(400, "context_length_exceeded")
    error = openai.BadRequestError("context_length_exceeded", response=answer, body=answer.json())
    with pytest.raises(openai.BadRequestError) as raised:
        _handle_openai_bad_request(error)
    assert isinstance(raised.value, ContextOverflowError), (
        "_handle_openai_bad_request no longer raises ContextOverflowError for a prompt that is too long: "
        "adapt models.errors.classify._from_response"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_langchains_errors_keep_what_the_sdks_hold(status: int, kind: type[openai.APIStatusError]) -> None:
    answer = response(status, "it failed")
    error = kind("it failed", response=answer, body={"code": "some_code"})
    handle = _handle_openai_bad_request if status == 400 else _handle_openai_api_error
    raised: Exception = error
    try:
        try:
            raise error
        except openai.APIError as caught:
            cast(Callable[[openai.APIError], None], handle)(caught)
    except Exception as found:
        raised = found
    assert isinstance(raised, openai.APIStatusError), (
        f"{handle.__name__} raises something other than openai.APIStatusError for status {status}: {ASK}, "
        "or classify in models.errors.classify"
    )
    held = raised.status_code, raised.body, raised.response.headers["retry-after"]
    assert held == (status, {"code": "some_code"}, "3"), (
        f"{handle.__name__} loses the status, the body or the headers: {ASK}"
    )


def test_langchains_connection_errors_keep_their_cause() -> None:
    request = httpx2.Request("POST", URL)
    error = openai.APIConnectionError(request=request)
    error.__cause__ = ConnectionRefusedError("refused")
    causes: list[BaseException] = []
    try:
        try:
            raise error
        except openai.APIError as caught:
            _handle_openai_api_error(caught)
    except openai.APIConnectionError as found:
        cause: BaseException | None = found
        while cause:
            causes.append(cause)
            cause = cause.__cause__
    assert any(isinstance(cause, ConnectionRefusedError) for cause in causes), (
        "_handle_openai_api_error no longer raises openai.APIConnectionError with its cause: "
        "adapt models.errors.classify._from_connection"
    )


def test_a_model_is_asked_with_messages_alone() -> None:
    parameters = inspect.signature(BaseChatModel._agenerate).parameters
    others = [p for name, p in parameters.items() if name not in ("self", "messages")]
    assert next(iter(parameters.values())).name == "self" and "messages" in parameters, (
        f"BaseChatModel._agenerate takes no messages: {ASK_MODEL}"
    )
    optional = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [p.name for p in others if p.default is p.empty and p.kind not in optional]
    assert not needed, f"BaseChatModel._agenerate needs {needed} as well: {ASK_MODEL}"
    assert any(p.kind is p.VAR_KEYWORD for p in others), (
        f"BaseChatModel._agenerate takes no further fields: {ASK_MODEL}"
    )


def test_the_sdks_own_headers_can_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", "of-the-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Own: of-the-environment")
    usual = openai.AsyncOpenAI(api_key="sk-test")
    for name in ("organization", "project", "admin_api_key"):
        assert getattr(usual, name, None) == "of-the-environment", (
            f"the SDK no longer keeps {name} of the environment in `{name}`: {CREATE}"
        )
    assert usual._custom_headers == {"X-Own": "of-the-environment"}, (
        f"the SDK no longer keeps OPENAI_CUSTOM_HEADERS in `_custom_headers`: {CREATE}"
    )
    ours = openai_model(no_request).root_async_client
    assert "of-the-environment" not in str({**ours.default_headers, **ours.auth_headers}), (
        f"headers of the environment reach a server that is not OpenAI's: {CREATE}"
    )


# --- qianfan


def qianfan_model() -> Any:
    """Return a model of the library itself, not of our class."""
    _wenxin_class()  # which keeps qianfan from logging
    with _quietly():
        from langchain_community.chat_models.baidu_qianfan_endpoint import QianfanChatEndpoint
    config = _wenxin_config(Endpoint("wenxin", "m", "http://server.test"))
    make: Any = QianfanChatEndpoint
    return make(endpoint="m", api_key="id", secret_key="secret", init_kwargs={"config": config})


def test_wenxins_connections_can_be_kept() -> None:
    found, path = qianfan_model(), "QianfanChatEndpoint"
    for name in ("client", "_real", "_client", "_client", "_session"):
        assert hasattr(found, name), f"{path} has no {name} any more: {SEND_WENXIN}"
        found, path = getattr(found, name), f"{path}.{name}"
    assert isinstance(found, requests.Session), f"{path} is no session of requests any more: {SEND_WENXIN}"


def test_wenxins_redirects_can_be_refused() -> None:
    _wenxin_class()
    from qianfan.resources.http_client import HTTPClient

    session = getattr(HTTPClient(), "_session", None)
    assert "request" in vars(session), f"HTTPClient has no _session any more: {NO_REDIRECTS}"


def test_wenxins_errors() -> None:
    _wenxin_class()
    import qianfan.errors

    for name in ("APIError", "AccessTokenExpiredError", "AuthError", "RequestError"):
        error = getattr(qianfan.errors, name, None)
        assert isinstance(error, type) and issubclass(error, Exception), (
            f"qianfan.errors has no {name} any more: {WENXIN_ERRORS}"
        )
    refused = qianfan.errors.APIError(336003, "it failed", "request-1")
    assert (refused.error_code, refused.error_msg) == (336003, "it failed"), (
        f"qianfan.errors.APIError has no error_code and error_msg any more: {WENXIN_ERRORS}"
    )
    lost = qianfan.errors.RequestError("it failed", status_code=502, headers={"Retry-After": "3"})
    assert (lost.status_code, lost.headers) == (502, {"Retry-After": "3"}), (
        f"qianfan.errors.RequestError has no status_code and headers any more: {WENXIN_ERRORS}"
    )


# --- GLM with signed tokens


def signed_glm() -> Any:
    return _glm_class()(
        model="glm-4.6",
        api_key="id.secret",
        api_base=f"{URL}/chat/completions",
        temperature=0.5,
        top_p=0.9,
        http_client=None,
        extra_body={},
        timeout=1,
    )


def test_glms_requests() -> None:
    messages, parameters = signed_glm()._create_message_dicts(list(PROMPT), None)
    assert messages == [
        {"role": "system", "content": "You edit."},
        {"role": "user", "content": "Hello."},
    ], f"ChatZhipuAI._create_message_dicts no longer returns messages as the API takes them: {SEND_GLM}"
    assert (parameters["model"], parameters["temperature"]) == ("glm-4.6", 0.5), (
        f"ChatZhipuAI._create_message_dicts no longer returns the parameters of a request: {SEND_GLM}"
    )
    assert signed_glm().zhipuai_api_base == f"{URL}/chat/completions", (
        f"ChatZhipuAI no longer keeps `api_base` in zhipuai_api_base: {SEND_GLM}"
    )


def test_glms_results() -> None:
    result = signed_glm()._create_chat_result({**COMPLETION, "usage": {}})
    (generation,) = result.generations
    assert isinstance(generation.message, AIMessage) and generation.message.text == "Yes.", (
        f"ChatZhipuAI._create_chat_result no longer gives the text: {READ}"
    )
    info = {**generation.message.response_metadata, **(generation.generation_info or {})}
    assert info.get("finish_reason") == "length", (
        f"ChatZhipuAI._create_chat_result no longer gives the finish reason: {ASK_MODEL}"
    )


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_glms_tokens() -> None:
    with _quietly():
        from langchain_community.chat_models.zhipuai import _get_jwt_token
    token = _get_jwt_token("id.secret")
    claims = jwt.decode(token, "secret", algorithms=["HS256"], options={"verify_exp": False})
    assert claims["api_key"] == "id", f"_get_jwt_token no longer signs the id with the secret: {SIGN_GLM}"
    assert {"exp", "timestamp"} <= claims.keys(), f"_get_jwt_token no longer limits the time: {SIGN_GLM}"
