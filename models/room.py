"""Whether a prompt fits: what a model can take, where that is known, and how long the prompt is.

A vLLM server tells the length of its context and counts tokens as its model does. For others the user may
set a limit, and prompts are measured by an estimate. A prompt that does not fit is never sent.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx2

from models.failures import TOO_LONG, Diagnosis
from models.settings import Endpoint
from prompts.pack import Message
from samples.tokens import estimate_tokens

WAIT = 10.0
"""Seconds to wait for a server to tell these things. They are a courtesy, and it refuses too long a prompt
by itself."""

OFF_BY = 2
"""How many times more tokens a text may have than are estimated."""


class Room:
    """How long a prompt to an endpoint may be.

    Args:
        endpoint: the model, and where it is served.
        key: its key.
        client: the HTTP client of the run.
        most: the user's own limit, in tokens.
    """

    def __init__(self, endpoint: Endpoint, key: str, client: httpx2.AsyncClient, most: int | None) -> None:
        self._endpoint = endpoint
        self._key = key
        self._client = client
        self._most = most
        self._asked: asyncio.Task[int | None] | None = None

    async def refusal(self, messages: Sequence[Message]) -> Diagnosis | None:
        """Why a prompt is too long; None where it fits or nobody knows."""
        limit, why = self._most, "by --max-input-tokens"
        if self._endpoint.provider == "vllm":
            if self._asked is None:
                self._asked = asyncio.create_task(context_length(self._endpoint, self._key, self._client))
            context = self._asked.result() if self._asked.done() else await asyncio.shield(self._asked)
            if context and (limit is None or context <= limit):
                # One token at least is the reply's.
                limit, why = context - 1, f"of its context of {context:,}"
        if limit is None:
            return None
        # No tokenizer in use makes more tokens than bytes; a message's frame takes a few.
        if sum(len(m["content"].encode("utf-8", "replace")) + 16 for m in messages) <= limit:
            return None
        count, about = sum(estimate_tokens(m["content"]) for m in messages), "about "
        if self._endpoint.provider == "vllm" and count * OFF_BY > limit:
            exact = await self._counted(messages)
            if exact is None:
                return None  # the server's own refusal will do
            count, about = exact, ""
        if count <= limit:
            return None
        words = f"the prompt has {about}{count:,} tokens; {self._endpoint.model} takes {limit:,} {why}"
        return Diagnosis(TOO_LONG, f"{words}\n{TOO_LONG.advice}" if TOO_LONG.advice else words)

    async def _counted(self, messages: Sequence[Message]) -> int | None:
        where = f"{(self._endpoint.base_url or '').removesuffix('/v1')}/tokenize"
        body = {"model": self._endpoint.name, "messages": list(messages)}
        answer = await _told(self._client, "POST", where, self._key, json=body)
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else None


async def context_length(endpoint: Endpoint, key: str, client: httpx2.AsyncClient) -> int | None:
    """The context length, where the server tells it (vLLM and some others do, in its list of models)."""
    answer = await _told(client, "GET", f"{endpoint.base_url}/models", key)
    try:
        for model in answer["data"]:
            if model["id"] == endpoint.name:
                length = model.get("max_model_len") or model.get("context_length")
                return int(length) if length else None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


async def _told(client: httpx2.AsyncClient, method: str, url: str, key: str, **given: Any) -> Any:
    try:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await client.request(method, url, headers=headers, timeout=WAIT, **given)
        return answer.json() if answer.is_success else None
    except (httpx2.HTTPError, OSError, ValueError):
        return None
