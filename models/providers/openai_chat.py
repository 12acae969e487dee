"""The way from messages to a model's reply, with no more work than the call needs.

LangChain's `ainvoke` gathers what a tracer would want to know, and the SDK's `create` looks through every
parameter for what it might have to transform and makes a typed object of the reply, of which ChatOpenAI then
makes a dict again. Together that is nearly half of what a call costs in CPU. What stays is ChatOpenAI's own
reading of messages and replies, the SDK's request, and the errors of both.

Where something goes wrong, the place says whose doing it is: what fails while a request is made is
`Unsendable`, what fails while a reply is read is `AnswerRefused`.
"""

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

from models.call import Call
from models.errors.kinds import AnswerRefused, Unsendable
from models.tracing import call_config
from prompts.pack import Message


class ChatCompletions(ChatOpenAI):
    """ChatOpenAI that posts its requests as they are, and reads replies from their JSON."""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            payload = self._get_request_payload(messages, stop=stop, **kwargs)
            further = payload.pop("extra_body", None) or {}
            response = await self.root_async_client.post(
                "/chat/completions", body={**payload, **further}, cast_to=httpx2.Response
            )
        except openai.BadRequestError as error:
            _handle_openai_bad_request(error)
            raise
        except openai.APIError as error:
            _handle_openai_api_error(error)
            raise
        except (ValueError, TypeError) as error:
            # All that happens on the way to the server and back is an error of the SDK's.
            raise Unsendable(str(error)) from error
        return read(response, self._create_chat_result)


def read(response: httpx2.Response, convert: Callable[[dict[str, Any]], ChatResult]) -> ChatResult:
    """The reply in a response of status 200, as `convert` makes it of a chat completion.

    Servers differ in what they leave out; what a reply can do without is filled in.

    Raises:
        AnswerRefused: it is an error, or no chat completion.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = response.json()
    except ValueError:
        raise AnswerRefused(response.status_code, response.text, headers, lacks="no JSON") from None
    if not isinstance(body, dict):
        raise AnswerRefused(response.status_code, body, headers, lacks="no JSON object")
    if body.get("error"):
        raise AnswerRefused(response.status_code, body, headers)
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        lacks = "a choice without a message" if first else "a reply without choices"
        raise AnswerRefused(response.status_code, body, headers, lacks=lacks)
    used = usage(body)
    choice = {**first, "message": {**message, "role": "assistant"}}
    try:
        result = convert({**body, "choices": [choice], "usage": None})
        (generation,) = result.generations
        assert isinstance(generation.message, AIMessage)  # noqa: S101 - for the type
    except Exception as error:
        lacks = f"a reply that cannot be read: {type(error).__name__}"
        raise AnswerRefused(response.status_code, body, headers, lacks=lacks) from error
    generation.message.usage_metadata = used
    if refusal := message.get("refusal"):
        generation.message.additional_kwargs["refusal"] = refusal
    return result


def usage(body: Any) -> UsageMetadata | None:
    """The tokens that a chat completion says it took; None where it does not say both counts."""
    said = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(said, dict):
        return None
    asked, answered = _count(said.get("prompt_tokens")), _count(said.get("completion_tokens"))
    if asked is None or answered is None:
        return None
    used = UsageMetadata(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
    details = said.get("prompt_tokens_details")
    if isinstance(details, dict) and (cached := _count(details.get("cached_tokens"))) is not None:
        used["input_token_details"] = InputTokenDetails(cache_read=cached)
    return used


def _count(said: Any) -> int | None:
    try:
        return max(0, int(float(said))) if not isinstance(said, bool) else None
    except (ValueError, TypeError, OverflowError):
        return None


async def answer(
    model: BaseChatModel, messages: Sequence[Message], fields: Mapping[str, Any], call: Call
) -> AIMessage:
    """A model's reply. `messages` are the call's, as the model takes them; `fields` what else it is given.

    Where someone listens to the graph (a tracer, Studio), LangChain tells them of the call.
    """
    asked = convert_to_messages([dict(message) for message in messages])
    callbacks = ensure_config()["callbacks"]
    if not isinstance(callbacks, BaseCallbackManager) or callbacks.handlers:
        return await model.ainvoke(asked, call_config(call), **fields)
    result = await model._agenerate(asked, **fields)
    (generation,) = result.generations
    message = generation.message
    assert isinstance(message, AIMessage)  # noqa: S101 - for the type
    message.response_metadata = {**message.response_metadata, **(generation.generation_info or {})}
    return message
