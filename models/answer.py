"""The way from messages to a model's reply, with no more work than the call needs.

LangChain's `ainvoke` gathers what a tracer would want to know, and the SDK's `create` looks through every
parameter for what it might have to transform and makes a typed object of the reply, of which ChatOpenAI then
makes a dict again. Together that is nearly half of what a call costs in CPU. What stays is ChatOpenAI's own
reading of messages and replies, the SDK's request, and the errors of both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatResult
from langchain_core.runnables import ensure_config
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import _handle_openai_api_error, _handle_openai_bad_request

from models.call import Call
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
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        further = payload.pop("extra_body", None) or {}
        try:
            response = await self.root_async_client.post(
                "/chat/completions", body={**payload, **further}, cast_to=httpx2.Response
            )
        except openai.BadRequestError as error:
            _handle_openai_bad_request(error)
            raise
        except openai.APIError as error:
            _handle_openai_api_error(error)
            raise
        try:
            body = response.json()
        except ValueError:
            body = response.text  # which the next line refuses, and shows
        result = self._create_chat_result(body)
        for choice, generation in zip(body["choices"], result.generations, strict=True):
            if refusal := choice["message"].get("refusal"):
                generation.message.additional_kwargs["refusal"] = refusal
        return result


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
    if not isinstance(message, AIMessage):
        raise ValueError(f"a message of type {message.type}")
    message.response_metadata = {**message.response_metadata, **(generation.generation_info or {})}
    return message
