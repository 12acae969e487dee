"""How long a prompt may be, where that is known, and what is done with one that does not fit.

A vLLM server tells the length of its context and counts tokens as its model does. For others the user may
set a limit, and prompts are measured by an estimate. In a prompt that is too long, that is shortened which
its call allows to be; one that does not fit even then is never sent.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import httpx2

from models.call import Call
from models.errors.kinds import TOO_LONG, Diagnosis
from models.limits.shortening import LEAST, shorten_longest
from models.settings import Endpoint, ModelSettings
from prompts.pack import Message
from samples.tokens import estimate_tokens

WAIT = 10.0
"""Seconds to wait for a server to tell these things. They are a courtesy, and it refuses too long a prompt
by itself."""

ASK_AGAIN = 30.0
"""Seconds until a server that did not tell its context is asked again: it may have been starting."""

OFF_BY = 2
"""How many times more tokens a text may have than are estimated."""

REPLY_SHARE = 4
"""Where a prompt is shortened for a model's context, room is left for the longest reply (--max-tokens), but
no more than one part in so many of the context: that limit may be far above what replies take."""

TRIES = 4
"""How often a prompt is shortened and counted again; each time it is known better how its tokens count."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """The most tokens of a prompt, how many are left when it is shortened, and where that comes from."""

    most: int
    aim: int
    why: str


class Room:
    """How long a prompt to an endpoint may be.

    Args:
        endpoint: the model, and where it is served.
        key: its key.
        client: the HTTP client of the run.
        settings: the user's own limit, and how long replies may be.
    """

    def __init__(
        self, endpoint: Endpoint, key: str, client: httpx2.AsyncClient, settings: ModelSettings
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._client = client
        self._settings = settings
        self._asked: asyncio.Task[int | None] | None = None
        self._asked_at = -inf

    async def fit(
        self, call: Call, shaped: Callable[[list[Message]], list[Message]]
    ) -> tuple[Call, Diagnosis | None]:
        """The call as it can be made: shortened where it has to be; and why it is too long even so.

        `shaped` gives messages the form in which the endpoint takes them. The same call to the same model
        comes out the same. Where nobody knows the limit, or how long the prompt is, it is left as it is: the
        server's own refusal will do.
        """
        limit = await self._limit()
        if limit is None:
            return call, None
        messages = shaped(call.messages)
        aim = limit.aim if call.shortenable else limit.most
        # No tokenizer in use makes more tokens than bytes; a message's frame takes a few.
        if sum(len(m["content"].encode("utf-8", "replace")) + 16 for m in messages) <= aim:
            return call, None
        count, counted = await self._count(messages, aim)
        made = call
        if call.shortenable and count > aim:
            made, count = await self._shortened(call, shaped, count, aim)
        by_estimate = self._endpoint.provider != "vllm"
        if count <= limit.most or not (counted or by_estimate):
            return made, None
        about, tried = "about " if by_estimate else "", ", the debate shortened" if call.shortenable else ""
        words = f"the prompt has {about}{count:,} tokens{tried}; {self._endpoint.model} takes {limit.most:,}"
        return call, Diagnosis(TOO_LONG, f"{words} {limit.why}", advice=TOO_LONG.advice)

    async def _limit(self) -> _Limit | None:
        own = self._settings.max_input_tokens
        limit = _Limit(own, own, "by --max-input-tokens") if own else None
        if self._endpoint.provider == "vllm":
            context = await self._context()
            if context and (own is None or context <= own):
                # One token at least is the reply's.
                reply = min(self._settings.max_tokens, context // REPLY_SHARE)
                limit = _Limit(context - 1, context - reply, f"of its context of {context:,}")
        return limit

    async def _context(self) -> int | None:
        now = asyncio.get_running_loop().time()
        untold = self._asked is None or (self._asked.done() and self._asked.result() is None)
        if self._asked is None or (untold and now >= self._asked_at + ASK_AGAIN):
            self._asked_at = now
            self._asked = asyncio.create_task(context_length(self._endpoint, self._key, self._client))
        return self._asked.result() if self._asked.done() else await asyncio.shield(self._asked)

    async def _shortened(
        self, call: Call, shaped: Callable[[list[Message]], list[Message]], count: int, aim: int
    ) -> tuple[Call, int]:
        """The call with no more than about `aim` tokens, as far as that can be, and how many it has."""
        assert call.shortenable  # noqa: S101 - for the type
        texts = call.shortenable.texts
        estimated = sum(map(estimate_tokens, texts))
        # How many tokens one that is estimated stands for; at first as in the prompt as a whole.
        density = count / max(_estimated(shaped(call.messages)), 1)
        made = call
        for _ in range(TRIES):
            room = min(estimated - (count - aim) / density, 0.99 * estimated)
            shorter, to = shorten_longest(texts, room)
            made = call.shortened(shorter, to)
            before, estimated_before = count, estimated
            count, _ = await self._count(shaped(made.messages), aim)
            estimated = sum(map(estimate_tokens, shorter))
            if count <= aim or to == LEAST:
                break
            if count < before and estimated < estimated_before:
                density = (before - count) / (estimated_before - estimated)
        return made, count

    async def _count(self, messages: Sequence[Message], most: int) -> tuple[int, bool]:
        """The tokens of a prompt, and whether that is exact.

        A server that can count them is asked where the estimate leaves doubt whether it is below `most`.
        """
        estimate = _estimated(messages)
        if self._endpoint.provider != "vllm" or estimate * OFF_BY <= most:
            return estimate, False
        where = f"{(self._endpoint.base_url or '').removesuffix('/v1')}/tokenize"
        body = {"model": self._endpoint.name, "messages": list(messages)}
        answer = await _told(self._client, "POST", where, self._key, json=body)
        count = answer.get("count") if isinstance(answer, dict) else None
        return (count, True) if isinstance(count, int) else (estimate, False)


def _estimated(messages: Sequence[Message]) -> int:
    return sum(estimate_tokens(message["content"]) for message in messages)


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
