"""How long a prompt may be, where that is known, and what happens to one that does not fit.

A vLLM server reports the length of its context and counts tokens as its model does. For others the user may
set a limit, and prompts are measured by an estimate. A prompt that is too long is shortened where its call
allows it; one that does not fit even then is never sent.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import httpx2

from models.addresses import address, server_address
from models.call import Call, Message
from models.errors.kinds import TOO_LONG, Failure
from models.limits.shortening import MIN_CHARS, shorten_longest
from models.providers.http_client import NO_RESPONSE, json_in
from models.providers.reply_forms import FormServer
from models.settings import Endpoint, ModelSettings
from samples.tokens import estimate_tokens

QUERY_TIMEOUT = 10.0
"""Seconds to wait for a server's context length or token count. They are a courtesy: the server refuses too
long a prompt by itself."""

ESTIMATE_ERROR = 2
"""How many times more tokens a text may have than estimated."""

REPLY_SHARE = 4
"""Where a prompt is shortened for a model's context, room is left for the longest reply (--max-tokens), but
no more than one part in so many of the context: that limit may be far above what replies take."""

MAX_TRIES = 4
"""How often a prompt is shortened and counted; with each try it is better known how its tokens count."""


@dataclass(frozen=True, slots=True)
class _Limit:
    most: int
    """The most tokens of a prompt."""
    target: int
    """How many are left when it is shortened."""
    why: str


class ContextWindow:
    """How long a prompt to an endpoint may be.

    `poll_interval` is how many seconds pass until a server that did not report its context is asked again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: str,
        client: httpx2.AsyncClient,
        settings: ModelSettings,
        poll_interval: float,
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._client = client
        self._settings = settings
        self._poll_interval = poll_interval
        self.form_server: FormServer | None = None
        """How the server holds replies to a form, once a call with a form has had it looked up."""
        self._query: asyncio.Task[ModelCard] | None = None
        self._queried_at = -inf

    async def fit(
        self, call: Call, shape: Callable[[list[Message]], list[Message]]
    ) -> tuple[Call, Failure | None]:
        """Return the call as it can be made, shortened if need be, and why it is too long even so.

        `shape` gives messages the form the endpoint takes. The same call to the same model comes out the
        same. Where the limit or the length is unknown the call is left as it is: the server's own refusal
        will do.
        """
        if call.form is not None and self._endpoint.provider == "openai" and self._endpoint.base_url:
            self.form_server = (await self._card()).form_server
        limit = await self._limit()
        if limit is None:
            return call, None
        messages = shape(call.messages)
        target = limit.target if call.shortenable else limit.most
        # No tokenizer in use makes more tokens than bytes; a message's frame takes a few.
        if sum(len(m["content"].encode("utf-8", "replace")) + 16 for m in messages) <= target:
            return call, None
        count, is_exact = await self._count(messages, target)
        fitted = call
        if call.shortenable and count > target:
            fitted, count = await self._shortened(call, shape, count, target)
        by_estimate = self._endpoint.provider != "vllm"
        if count <= limit.most or not (is_exact or by_estimate):
            return fitted, None
        about, tried = "about " if by_estimate else "", ", the debate shortened" if call.shortenable else ""
        summary = (
            f"the prompt has {about}{count:,} tokens{tried}; {self._endpoint.model} takes {limit.most:,}"
        )
        return call, Failure(TOO_LONG, f"{summary} {limit.why}", advice=TOO_LONG.advice)

    async def _limit(self) -> _Limit | None:
        own = self._settings.max_input_tokens
        limit = _Limit(own, own, "by --max-input-tokens") if own else None
        if self._endpoint.provider == "vllm":
            context = (await self._card(again=True)).context
            if context and (own is None or context <= own):
                # At least one token is the reply's.
                reply = min(self._settings.max_tokens, context // REPLY_SHARE)
                limit = _Limit(context - 1, context - reply, f"of its context of {context:,}")
        return limit

    async def _card(self, *, again: bool = False) -> "ModelCard":
        """Return what the server says of its model; ask it `again` while it does not say its context."""
        now = asyncio.get_running_loop().time()
        unknown = self._query is not None and self._query.done() and self._query.result().context is None
        if self._query is None or (again and unknown and now >= self._queried_at + self._poll_interval):
            self._queried_at = now
            self._query = asyncio.create_task(model_card(self._endpoint, self._key, self._client))
        return self._query.result() if self._query.done() else await asyncio.shield(self._query)

    async def _shortened(
        self, call: Call, shape: Callable[[list[Message]], list[Message]], count: int, target: int
    ) -> tuple[Call, int]:
        """Return the call with about `target` tokens or fewer, as far as possible, and how many it has."""
        assert call.shortenable  # noqa: S101 - for the type
        texts = call.shortenable.texts
        estimate = sum(map(estimate_tokens, texts))
        # Actual tokens for each estimated one; at first as in the prompt as a whole.
        density = count / max(_estimate(shape(call.messages)), 1)
        shortened = call
        for _ in range(MAX_TRIES):
            room = min(estimate - (count - target) / density, 0.99 * estimate)
            shorter, to = shorten_longest(texts, room)
            shortened = call.shortened(shorter, to)
            count_before, estimate_before = count, estimate
            count, _ = await self._count(shape(shortened.messages), target)
            estimate = sum(map(estimate_tokens, shorter))
            if count <= target or to == MIN_CHARS:
                break
            if count < count_before and estimate < estimate_before:
                density = (count_before - count) / (estimate_before - estimate)
        return shortened, count

    async def _count(self, messages: Sequence[Message], most: int) -> tuple[int, bool]:
        """Count the tokens of a prompt; also return whether that is exact.

        A server that can count them is asked where the estimate leaves it open whether they are below `most`.
        """
        estimate = _estimate(messages)
        if self._endpoint.provider != "vllm" or estimate * ESTIMATE_ERROR <= most:
            return estimate, False
        url = server_address(self._endpoint.base_url or "", "/tokenize")
        body = {"model": self._endpoint.name, "messages": list(messages)}
        answer = await _query(self._client, "POST", url, self._key, json=body)
        count = answer.get("count") if isinstance(answer, dict) else None
        return (count, True) if isinstance(count, int) else (estimate, False)


def _estimate(messages: Sequence[Message]) -> int:
    return sum(estimate_tokens(message["content"]) for message in messages)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a server's list of models says, as far as it says it."""

    context: int | None = None
    """The length of the model's context, in tokens (vLLM and some others report it)."""
    form_server: FormServer | None = None
    """The kind of server, if it is one that can hold replies to a form."""


async def model_card(endpoint: Endpoint, key: str, client: httpx2.AsyncClient) -> ModelCard:
    """Return what the server reports of a model."""
    answer = await _query(client, "GET", address(endpoint.base_url or "", "/models"), key)
    models = answer.get("data") if isinstance(answer, dict) else None
    models = [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    # llama.cpp's server serves its model under any name.
    owners = {str(model.get("owned_by")) for model in models}
    server = next((server for server in _FORM_SERVERS if owners == {server}), None)
    named = [model for model in models if model.get("id") == endpoint.name]
    model: dict[str, Any] = next(iter(named or (models if server == "llamacpp" else [])), {})
    meta = model.get("meta")
    try:
        length = model.get("max_model_len") or model.get("context_length")
        if not length and isinstance(meta, dict):
            length = meta.get("n_ctx")  # llama.cpp: of one slot
        return ModelCard(int(length) if length and int(length) > 0 else None, server)
    except (ValueError, TypeError, OverflowError):
        return ModelCard(None, server)


_FORM_SERVERS: tuple[FormServer, ...] = ("vllm", "sglang", "llamacpp")
"""By `owned_by` in their lists of models. Proxies say `openai` of anything."""


async def _query(client: httpx2.AsyncClient, method: str, url: str, key: str, **given: Any) -> Any:
    try:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await client.request(method, url, headers=headers, timeout=QUERY_TIMEOUT, **given)
        return json_in(answer) if answer.is_success else None
    except (*NO_RESPONSE, ValueError):
        return None
