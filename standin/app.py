"""The ASGI application, without a framework because it must be faster than what it measures.

A chat request passes the key check, the fault to inject, the provider's rules, the rate limits, the queue and
the latency before it gets its reply.
"""

import asyncio
import json
import math
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from hashlib import blake2b
from random import Random
from typing import Any, Self, TextIO, cast, get_args

from standin.compatible import Compatible
from standin.ernie import Ernie
from standin.faults import Fault, FaultPlan, Hit, parse_retry_after
from standin.frames import MESSAGES, TEXTS, THOUGHTS
from standin.glm import GLM
from standin.local import LlamaCpp, SGLang
from standin.openai import OpenAI
from standin.options import Options
from standin.provider import Chat, Provider
from standin.replies import Agents
from standin.vllm import VLLM
from standin.wenxin import Wenxin
from standin.wire import Answer, Failure, Incoming, Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PAGE = (
    b"<!DOCTYPE html><html><head><title>Please stand by</title></head><body><h1>Please stand by</h1>"
    b"<p>The gateway is checking your browser.</p></body></html>"
)

PROVIDERS: tuple[type[Provider], ...] = (OpenAI, GLM, Ernie, Wenxin, VLLM, LlamaCpp, SGLang, Compatible)


@dataclass(slots=True)
class Request:
    """A recorded request; times are Unix times in seconds."""

    number: int
    """The position among all requests, from 1."""
    provider: str
    method: str
    path: str
    raw: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    key: bool
    """Whether the key was right; the key itself is never recorded."""
    arrived: float
    digest: str = ""
    """A digest of the body and the provider."""
    attempt: int = 0
    """The number of requests so far with the same digest."""
    chat: bool = False
    model: str = ""
    asked: int = 0
    """The tokens in the prompt."""
    role: str = ""
    """The agent that replied."""
    fault: str = ""
    """The kind of the injected fault."""
    status: int | None = None
    """None while in flight, 0 if the connection ended without an answer."""
    finished: float | None = None

    @property
    def body(self) -> Any:
        """The parsed body, None if empty."""
        return json.loads(self.raw) if self.raw else None

    def line(self) -> str:
        """Return the request as a line of JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["raw"] = self.raw.decode("utf-8", "replace")
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Return the request in a line of JSON."""
        values = json.loads(line)
        return cls(**values | {"raw": values["raw"].encode()})


class App:
    """The ASGI application."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.providers = [provider(options) for provider in PROVIDERS]
        self.connections: Collection[Any] = ()  # set by the server
        self.requests: list[Request] = []
        self.in_work: Counter[str] = Counter()  # requests in flight by provider
        self.most_in_work: Counter[str] = Counter()
        self._agents = Agents(options.wins, options.points)
        self._faults = FaultPlan(options.faults)
        self._seen: Counter[bytes] = Counter()
        self._count = 0

    def provider(self, name: str) -> Provider:
        """Return the provider with this name."""
        found = next((provider for provider in self.providers if provider.name == name), None)
        if found is None:
            names = ", ".join(provider.name for provider in self.providers)
            raise KeyError(f"unknown provider {name!r}; choose from {names}")
        return found

    def order(self, faults: tuple[Fault, ...]) -> None:
        """Replace the faults to inject."""
        self._faults = FaultPlan(faults)

    @cached_property
    def _log(self) -> TextIO | None:
        return open(self.options.log, "a", 1, encoding="utf-8") if self.options.log else None  # noqa: PTH123

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        raw = await _body(receive)
        path: str = scope["path"]
        provider = next((p for p in self.providers if path.startswith(p.prefix + "/")), None)
        if provider is None:
            await _send(send, _NOT_FOUND)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        incoming = Incoming(scope["method"], path[len(provider.prefix) :], query, headers, raw)
        self._count += 1
        recorded = {n: v for n, v in headers.items() if n != "authorization"}
        key = provider.is_authorized(incoming)
        request = Request(self._count, provider.name, incoming.method, path, raw, recorded, key, time.time())
        if self.options.keep:
            self.requests.append(request)
        self.in_work[provider.name] += 1
        self.most_in_work[provider.name] = max(self.most_in_work[provider.name], self.in_work[provider.name])
        connection = _Connection(scope, receive, send, self.connections)
        try:
            answer = await self._answer(provider, incoming, request, connection)
            # Record it before sending, so that a client with the answer finds the request.
            self._finish(request, answer.status if answer else 0)
            if answer:
                await _send(send, answer)
        finally:
            self.in_work[provider.name] -= 1
            if request.status is None:  # the server was stopped
                self._finish(request, 0)

    def _finish(self, request: Request, status: int) -> None:
        request.status, request.finished = status, time.time()
        if self._log:
            self._log.write(request.line() + "\n")

    async def _answer(
        self, provider: Provider, incoming: Incoming, request: Request, connection: "_Connection"
    ) -> Answer | None:
        hit: Hit | None = None
        try:
            if not request.key:
                raise Refused("invalid_key")
            if not provider.is_chat(incoming):
                return provider.answer_other(incoming) or _NOT_FOUND
            digest = blake2b(incoming.raw, digest_size=12, person=provider.name.encode()).digest()
            self._seen[digest] += 1
            request.chat, request.digest, request.attempt = True, digest.hex(), self._seen[digest]
            hit = self._faults.hit(provider.name, incoming.raw, digest, request.attempt)
            if hit:
                request.fault = hit.kind
                if hit.kind in ("reset", "hang", "html"):
                    return await self._replace(hit, connection)
                if hit.kind == "error_in_200":
                    return provider.error_in_200()
                if hit.kind in _REFUSALS:
                    raise _injected(hit, incoming, f"req-{request.number:06x}")
            chat = provider.read_chat(incoming)
            request.model, request.asked = chat.model, chat.prompt_tokens
            if provider.has_rate_limits:
                provider.limits.take(max(chat.prompt_tokens, chat.limit or 0))
            if provider.has_queue_limit and provider.queue.length >= (self.options.max_queued or math.inf):
                raise Refused("overloaded")
            async with provider.queue:
                await self._sleep(digest, hit)
            reply = self._agents.say(chat.messages, chat.body)
            request.role = reply.role
            unclear = hit and hit.kind == "no_verdict" and reply.role == "judge"
            chat.set_reply(provider.shape(chat, _UNCLEAR if unclear else reply.text))
            answer = _reply(hit, chat, provider)
            if hit and hit.kind == "cut":
                await connection.cut(answer)
                return None
            if hit and hit.kind == "drip":
                await connection.drip(answer)
                return None
            return answer
        except Refused as refused:
            model = request.model or _model(incoming)
            answer = _with_retry_after(provider.refuse(refused, incoming, model), hit)
            return answer._replace(status=hit.fault.status) if hit and hit.fault.status else answer

    async def _replace(self, hit: Hit, connection: "_Connection") -> Answer | None:
        """Inject a fault that replaces the provider's answer."""
        if hit.kind == "html":
            return Answer(200, _PAGE, type=b"text/html; charset=utf-8")
        if hit.kind == "reset":
            await connection.reset()
            return None
        await connection.hang(hit.fault.seconds)
        return None

    async def _sleep(self, digest: bytes, hit: Hit | None) -> None:
        seconds = self.options.latency
        if seconds and self.options.latency_sigma:
            seconds *= math.exp(Random(digest).gauss(0, self.options.latency_sigma))  # noqa: S311 - not cryptographic
        if hit and hit.kind == "latency":
            seconds += 0.5 if hit.fault.seconds is None else hit.fault.seconds
        if seconds:
            await asyncio.sleep(seconds)


_REFUSALS = frozenset({*get_args(Failure), "echo_key"})
_NOT_FOUND = Answer(404, b'{"detail":"Not Found"}')


_UNCLEAR = "Let me see what each of them gets right.\nBoth have their merits, and it depends on the reader."


def _injected(hit: Hit, incoming: Incoming, number: str) -> Refused:
    if hit.kind == "echo_key":
        message = f"The credential '{incoming.bearer or incoming.query}' cannot be used for this request."
        return Refused("bad_request", message, code=hit.fault.code)
    message = hit.fault.message.replace("{id}", number)
    return Refused(cast(Failure, hit.kind), message, code=hit.fault.code)


def _reply(hit: Hit | None, chat: Chat, provider: Provider) -> Answer:
    """Return the reply, altered by the fault if there is one."""
    kind = hit.kind if hit else ""
    if kind == "truncated":
        chat.halve("length")
    elif kind == "context_full":
        chat.halve(provider.finish_context)
    elif kind == "unlimited":
        chat.text_tokens = 9 * (chat.limit or chat.text_tokens)
    elif kind == "empty":
        chat.clear("stop")
    elif kind == "withheld":
        chat.clear(provider.finish_filtered)
    elif kind == "network_error":
        chat.clear("network_error")
    elif kind == "tier" and hit:
        chat.tier = hit.fault.code
    elif kind == "finish" and hit:
        chat.finish = hit.fault.code
    elif kind == "prompt_cut":
        chat.prompt_tokens //= 4
        chat.cached_tokens = 0
    frame = hit.fault.code if hit and kind == "framed" else ""
    if frame in TEXTS:
        chat.text = TEXTS[frame].format(thoughts=THOUGHTS, text=chat.text)
    answer = provider.reply(chat, usage=kind != "no_usage")
    if kind == "null_choices":
        body = json.loads(answer.body)
        return answer._replace(body=json.dumps(body | {"choices": None}).encode())
    if frame in MESSAGES:
        body = json.loads(answer.body)
        body["choices"][0]["message"] |= MESSAGES[frame](chat.text)
        return answer._replace(body=json.dumps(body).encode())
    return answer


def _with_retry_after(answer: Answer, hit: Hit | None) -> Answer:
    kind, seconds = parse_retry_after(hit.fault.retry_after) if hit else ("", 0.0)
    if kind == "ms":
        header = (b"retry-after-ms", f"{seconds:g}".encode())
    elif kind == "date":
        header = (b"retry-after", formatdate(math.ceil(time.time() + seconds), usegmt=True).encode())
    elif kind:
        header = (b"retry-after", f"{seconds:.3f}".rstrip("0").rstrip(".").encode())
    else:
        return answer
    return answer._replace(headers=(*answer.headers, header))


def _model(incoming: Incoming) -> str:
    with suppress(Refused):
        return str(incoming.json().get("model", ""))
    return ""


class _Connection:
    """The connection of a request, for faults below HTTP."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, connections: Collection[Any]) -> None:
        self._client = scope["client"]
        self._receive = receive
        self._send = send
        self._connections = connections

    @property
    def _transport(self) -> asyncio.Transport:
        found: asyncio.Transport = next(c.transport for c in self._connections if c.client == self._client)
        return found

    async def reset(self) -> None:
        """Reset the connection (TCP RST) without an answer."""
        # Closing with a linger time of zero sends a RST.
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self._until_disconnect()

    async def cut(self, answer: Answer) -> None:
        """Send half of an answer, then close."""
        half = answer.body[: len(answer.body) // 2]
        await self._send(_response_start(answer))
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self._transport.close()
        await self._until_disconnect()

    async def drip(self, answer: Answer) -> None:
        """Send an answer at ten bytes per second until the client disconnects."""
        await self._send(_response_start(answer))
        for at in range(len(answer.body)):
            byte = answer.body[at : at + 1]
            await self._send({"type": "http.response.body", "body": byte, "more_body": True})
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._until_disconnect(), 0.1)
        await self._send({"type": "http.response.body", "body": b""})

    async def hang(self, seconds: float | None) -> None:
        """Send nothing until the client disconnects or this time is over, then close."""
        try:
            await asyncio.wait_for(self._until_disconnect(), seconds)
        except TimeoutError:
            self._transport.abort()
            await self._until_disconnect()

    async def _until_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _response_start(answer: Answer) -> MutableMapping[str, Any]:
    headers: Sequence[tuple[bytes, bytes]] = (
        (b"content-type", answer.type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    )
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def _send(send: Send, answer: Answer) -> None:
    await send(_response_start(answer))
    await send({"type": "http.response.body", "body": answer.body})
