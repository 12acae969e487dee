"""From messages to a model's reply, with no more work than the call needs.

LangChain's `ainvoke` collects what a tracer wants to know, and the SDK's `create` inspects every parameter
and builds a typed object of the reply, which ChatOpenAI turns back into a dict. Together that is nearly half
of a call's CPU time; what the SDK does with its options for each request is another sixth. What remains is
ChatOpenAI's own reading of messages and replies, the SDK's address and headers, and the errors of both.

An error says where it arose: what fails while a request is built is `UnsendableRequest`, what fails while a
reply is read is `BadResponse`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatResult
from langchain_core.runnables import ensure_config
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import _handle_openai_api_error, _handle_openai_bad_request
from openai._models import FinalRequestOptions
from openai._utils._json import openapi_dumps
from pydantic import PrivateAttr

from models.addresses import CALLS_PATH
from models.call import Call, Message
from models.errors.exceptions import BadResponse, UnsendableRequest
from models.providers.dialect import Dialect
from models.providers.streams import StreamCut, read_body, read_stream
from models.tracing import call_config
from samples.message_parts import message_parts

THOUGHTS = "reasoning_content"
"""Where a message keeps the thoughts that came apart from its text, in `additional_kwargs`."""

SERVICE_TIER = "service_tier"
"""Where a message keeps the tier that it was served in, in `additional_kwargs`."""

_TIERS = frozenset({"default", "flex", "priority", "scale", "fast", "ultrafast"})
"""The service tiers that OpenAI's replies name."""


class ChatCompletions(ChatOpenAI):
    """ChatOpenAI that posts its requests as they are and reads replies from their JSON or their stream."""

    _dialect: Dialect = PrivateAttr(default_factory=Dialect)
    _built: httpx2.Request | None = PrivateAttr(default=None)
    """The SDK's request to this endpoint, without a body."""

    def speak(self, dialect: Dialect) -> None:
        """Send requests in this form, which may change with what the endpoint refuses."""
        self._dialect = dialect

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            payload = self._get_request_payload(messages, stop=stop, **kwargs)
            extra_body = payload.pop("extra_body", None) or {}
            body = self._dialect.apply({**payload, **extra_body})
            response = await self._post(body, unread=bool(body.get("stream")))
        except openai.BadRequestError as error:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about forms, which are left out then
                _handle_openai_bad_request(error)
            raise
        except openai.APIError as error:
            _handle_openai_api_error(error)
            raise
        except RecursionError as error:  # of the SDK, which writes a refusal's body into its message
            raise BadResponse(200, "", defect="a response nested too deeply") from error
        except (ValueError, TypeError) as error:
            # Everything that happens after the request is built raises an error of the SDK's.
            raise UnsendableRequest(str(error)) from error
        try:
            text = await read_stream(response) if body.get("stream") else response.text
            return read_response(response, text, self._create_chat_result)
        except (StreamCut, httpx2.RequestError) as error:
            raise openai.APIConnectionError(request=response.request) from error
        except BadResponse as error:
            error.request = response.request
            raise

    async def _post(self, body: Mapping[str, Any], *, unread: bool) -> httpx2.Response:
        """Post a body as the SDK does, and return the response, before its own body is read if `unread`."""
        sdk, client = self.root_async_client, cast(httpx2.AsyncClient, self.http_async_client)
        if self._built is None:
            options = FinalRequestOptions.construct(method="post", url=CALLS_PATH)
            self._built = cast(httpx2.Request, sdk._build_request(options))
            del self._built.headers["content-length"]
        like = self._built
        request = httpx2.Request(
            like.method,
            like.url,
            headers=like.headers,
            cookies=client.cookies,
            content=openapi_dumps(body),
            extensions=like.extensions,
        )
        try:
            response = await client.send(request, stream=unread)
            if not response.is_success:
                await response.aread()
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request=request) from error
        except httpx2.RequestError as error:
            raise openai.APIConnectionError(request=request) from error
        if not response.is_success:
            raise sdk._make_status_error_from_response(response)
        return response


def read_response(
    response: httpx2.Response, text: str, convert: Callable[[dict[str, Any]], ChatResult]
) -> ChatResult:
    """Read the reply in a response of status 200, whose body is `text`; `convert` turns a chat completion
    into it.

    Servers differ in what they leave out; what a reply can do without is filled in.

    Raises:
        BadResponse: it is an error, or not a chat completion.
        StreamCut: it is a stream that ended before the reply did.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = read_body(text)
    except ValueError:
        raise BadResponse(response.status_code, text, headers, defect="no JSON") from None
    if not isinstance(body, dict):
        raise BadResponse(response.status_code, body, headers, defect="no JSON object")
    if body.get("error"):
        raise BadResponse(response.status_code, body, headers)
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if first is None and isinstance(body.get("message") or body.get("detail"), str):
        raise BadResponse(response.status_code, body, headers)
    if isinstance(first, dict) and first.get("error"):  # as OpenRouter does
        body = {"error": first["error"], "usage": body.get("usage")}
        raise BadResponse(response.status_code, body, headers)
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        defect = "a choice without a message" if first else "a reply without choices"
        raise BadResponse(response.status_code, body, headers, defect=defect)
    used = usage(body)
    content, thoughts = message_parts(message)
    choice = {**first, "message": {**message, "role": "assistant", "content": content}}
    try:
        result = convert({**body, "choices": [choice], "usage": None})
        (generation,) = result.generations
        assert isinstance(generation.message, AIMessage)  # noqa: S101 - for the type
    except Exception as error:
        defect = f"a reply that cannot be read: {type(error).__name__}"
        raise BadResponse(response.status_code, body, headers, defect=defect) from error
    generation.message.usage_metadata = used
    if thoughts:
        generation.message.additional_kwargs[THOUGHTS] = thoughts
    if tier := service_tier(body):
        generation.message.additional_kwargs[SERVICE_TIER] = tier
    if refusal := message.get("refusal"):
        generation.message.additional_kwargs["refusal"] = refusal
    return result


def usage(body: Any) -> UsageMetadata | None:
    """Return the tokens that a chat completion reports, all that are billed; None where it does not give the
    counts of both prompt and reply. A prompt of no tokens was not counted."""
    reported = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(reported, dict):
        return None
    given, made = _count(reported.get("prompt_tokens")), _count(reported.get("completion_tokens"))
    total = _count(reported.get("total_tokens"))
    if made is None and given is not None and total is not None and total >= given:
        made = total - given  # Gemini, where all of it was thought
    if given is None or made is None:
        return None
    cached = _cached(reported)
    # Anthropic counts cached tokens apart; of the proxies in front of it, some do and some do not.
    apart = sum(_count(reported.get(f"cache_{kind}_input_tokens")) or 0 for kind in ("read", "creation"))
    apart = max(apart, cached or 0)
    if apart > given or total == given + made + apart:
        given += apart
    # xAI and Gemini count thoughts in the total alone, and bill them as parts of the reply.
    made = max(made, (total or 0) - given)
    if not given:
        return None
    used = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
    if cached is not None:
        used["input_token_details"] = InputTokenDetails(cache_read=cached)
    return used


def _cached(reported: dict[str, Any]) -> int | None:
    """Return the tokens of a prompt that came from a cache, where they are reported."""
    details = reported.get("prompt_tokens_details")
    found = [details.get("cached_tokens")] if isinstance(details, dict) else []
    # Moonshot, DeepSeek, Anthropic
    names = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
    found += [reported.get(name) for name in names]
    return next((count for count in map(_count, found) if count is not None), None)


def service_tier(body: Any) -> str | None:
    """Return the tier that a chat completion says it was served in; None where it names none that is
    known."""
    tier = body.get("service_tier") if isinstance(body, dict) else None
    return tier if isinstance(tier, str) and tier in _TIERS else None


_MOST_TOKENS = 10**12


def _count(value: Any) -> int | None:
    try:
        count = max(0, int(float(value))) if not isinstance(value, bool) else None
        return count if count is None or count <= _MOST_TOKENS else None
    except (ValueError, TypeError, OverflowError):
        return None


async def ask_model(
    model: BaseChatModel, messages: Sequence[Message], fields: Mapping[str, Any], call: Call
) -> AIMessage:
    """Return a model's reply. `messages` are the call's as the model takes them; `fields` is what else it is
    given.

    Where a tracer or Studio listens to the graph, LangChain reports the call to it.
    """
    prompt = convert_to_messages([dict(message) for message in messages])
    callbacks = ensure_config()["callbacks"]
    if not isinstance(callbacks, BaseCallbackManager) or callbacks.handlers:
        return await model.ainvoke(prompt, call_config(call), **fields)
    result = await model._agenerate(prompt, **fields)
    (generation,) = result.generations
    message = generation.message
    assert isinstance(message, AIMessage)  # noqa: S101 - for the type
    message.response_metadata = {**message.response_metadata, **(generation.generation_info or {})}
    return message
