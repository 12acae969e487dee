"""From messages to a model's reply, with no more work than the call needs.

LangChain's `ainvoke` collects what a tracer wants to know, and the SDK's `create` inspects every parameter
and builds a typed object of the reply, which ChatOpenAI turns back into a dict. Together that is nearly half
of a call's CPU time. What remains is ChatOpenAI's own reading of messages and replies, the SDK's request, and
the errors of both.

An error says where it arose: what fails while a request is built is `UnsendableRequest`, what fails while a
reply is read is `BadResponse`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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

from models.call import Call, Message
from models.errors.exceptions import BadResponse, UnsendableRequest
from models.tracing import call_config


class ChatCompletions(ChatOpenAI):
    """ChatOpenAI that posts its requests as they are and reads replies from their JSON."""

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
            response = await self.root_async_client.post(
                "/chat/completions", body={**payload, **extra_body}, cast_to=httpx2.Response
            )
        except openai.BadRequestError as error:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about forms, which are left out then
                _handle_openai_bad_request(error)
            raise
        except openai.APIError as error:
            _handle_openai_api_error(error)
            raise
        except (ValueError, TypeError) as error:
            # Everything that happens after the request is built raises an error of the SDK's.
            raise UnsendableRequest(str(error)) from error
        return read_response(response, self._create_chat_result)


def read_response(response: httpx2.Response, convert: Callable[[dict[str, Any]], ChatResult]) -> ChatResult:
    """Read the reply in a response of status 200; `convert` turns a chat completion into it.

    Servers differ in what they leave out; what a reply can do without is filled in.

    Raises:
        BadResponse: it is an error, or not a chat completion.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = response.json()
    except ValueError:
        raise BadResponse(response.status_code, response.text, headers, defect="no JSON") from None
    if not isinstance(body, dict):
        raise BadResponse(response.status_code, body, headers, defect="no JSON object")
    if body.get("error"):
        raise BadResponse(response.status_code, body, headers)
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        defect = "a choice without a message" if first else "a reply without choices"
        raise BadResponse(response.status_code, body, headers, defect=defect)
    used = usage(body)
    choice = {**first, "message": {**message, "role": "assistant"}}
    try:
        result = convert({**body, "choices": [choice], "usage": None})
        (generation,) = result.generations
        assert isinstance(generation.message, AIMessage)  # noqa: S101 - for the type
    except Exception as error:
        defect = f"a reply that cannot be read: {type(error).__name__}"
        raise BadResponse(response.status_code, body, headers, defect=defect) from error
    generation.message.usage_metadata = used
    if refusal := message.get("refusal"):
        generation.message.additional_kwargs["refusal"] = refusal
    return result


def usage(body: Any) -> UsageMetadata | None:
    """Return the tokens that a chat completion reports; None where it does not give both counts."""
    reported = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(reported, dict):
        return None
    given, made = _count(reported.get("prompt_tokens")), _count(reported.get("completion_tokens"))
    if given is None or made is None:
        return None
    used = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
    details = reported.get("prompt_tokens_details")
    if isinstance(details, dict) and (cached := _count(details.get("cached_tokens"))) is not None:
        used["input_token_details"] = InputTokenDetails(cache_read=cached)
    return used


def _count(value: Any) -> int | None:
    try:
        return max(0, int(float(value))) if not isinstance(value, bool) else None
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
