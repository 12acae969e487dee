"""Calls through the door to a stand-in server, for the tests of models."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from models.call import Call, CallRecord, Message
from models.errors.exceptions import CallFailed, RunStopped
from models.gateway import Gateway
from models.keys import Keys
from models.settings import ModelSettings
from standin import StandIn

MODELS = {
    "openai": "gpt-4o-mini",
    "glm": "glm-4.6",
    "ernie": "ernie-4.5-turbo-128k",
    "vllm": "standin",
}
"""A model of each provider that the stand-in has."""

OLD = {"wenxin": "ernie-speed-128k"}
"""The same, where a library of old asks by itself: its retries and threads are its own."""

VLLM_KEY = "vk-stand-in-for-tests-0004"


def call(number: int = 0, *, whole: bool = False) -> Call:
    text = f"Say something about number {number}."
    return Call(f"s{number}", "edit", 0, 1, "editor", [Message(role="user", content=text)], whole)


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds, which it must within ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


class Asking:
    """A door, and the records of what went through it."""

    def __init__(self, door: Gateway, records: list[CallRecord]) -> None:
        self.door = door
        self.records = records

    async def ask(self, *calls: Call) -> list[str | CallFailed | RunStopped]:
        """Ask all at once; a call that fails gives its error."""

        async def one(call: Call) -> str | CallFailed | RunStopped:
            try:
                return await self.door.ask(call)
            except (CallFailed, RunStopped) as error:
                return error

        return await asyncio.gather(*map(one, calls))


@asynccontextmanager
async def asking(
    server: StandIn, provider: str = "openai", *, concurrency: int = 64, **settings: Any
) -> AsyncIterator[Asking]:
    """A door to a provider at the stand-in.

    `rpm`, `tpm`, `budget`, `failed_before`, `tell` and `keys` are the door's, all else settings.
    """
    records: list[CallRecord] = []

    async def record(made: CallRecord) -> None:
        records.append(made)

    own = ("rpm", "tpm", "budget", "failed_before", "tell")
    limits = {name: settings.pop(name) for name in own if name in settings}
    id, secret = server.key("wenxin").split(":")
    old = {"QIANFAN_AK": id, "QIANFAN_SK": secret}
    keys = settings.pop("keys", server.environment() | old)
    model = (MODELS | OLD)[provider]
    given = {"model": f"{provider}:{model}", "base_url": server.base_url(provider), **settings}
    door = Gateway(
        ModelSettings(**given),
        Keys(keys),
        concurrency=concurrency,
        record=record,
        recall=lambda call, request: None,
        **limits,
    )
    async with door:
        yield Asking(door, records)


@asynccontextmanager
async def answering(status: int, body: bytes, kind: str = "application/json") -> AsyncIterator[str]:
    """A server that gives every request the same answer, and its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if found := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
            await reader.readexactly(int(found[1]))
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        head = f"HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nConnection: close\r\n{length}\r\n"
        writer.write(head.encode())
        writer.write(b"" if status == 204 else body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
