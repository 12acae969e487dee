"""A relay in front of a vLLM server: the server computes, the stand-in speaks.

Every request is passed on, so that the server does to its prompt and its prefix cache what it always does;
what comes back is the stand-in's reply, with as many words as real agents are asked for. A small model with
random weights can so be used to measure what prompts cost: the conversation goes on as with a real one. What
gets lost is that a server knows the text it generated itself, when it comes back in a later prompt.
"""

import asyncio
import json
import multiprocessing
import secrets
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Self

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from benchmarks.records import text
from standin.replies import Agents

WORDS = 100
"""Of a debater's and a judge's reply: the prompts allow 100 to 120."""


class Relay:
    """A relay while the context lasts. What one relay passes on shares no cache with another's."""

    def __init__(self, server: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, server), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.base_url: str = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, server: str) -> None:
    asyncio.run(_relay(pipe, server))


async def _relay(pipe: Connection, server: str) -> None:
    agents, salt = Agents(wins=1.0), secrets.token_hex(8)
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(600)) as session:

        async def chat(request: web.Request) -> web.Response:
            body = await request.json()
            # vLLM shares cached prefixes only among requests with the same salt.
            url = f"{server}/chat/completions"
            async with session.post(url, json=body | {"cache_salt": salt}) as answer:
                if answer.status != 200:
                    return web.Response(status=answer.status, text=await answer.text())
                completion = await answer.json()
            choice = completion["choices"][0]
            choice["message"]["content"] = _said(agents, body["messages"])
            choice["finish_reason"] = "stop"
            return web.json_response(completion)

        application = web.Application(client_max_size=2**26)
        application.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        pipe.send(f"http://127.0.0.1:{port}/v1")
        await asyncio.Event().wait()


def _said(agents: Agents, messages: list[dict[str, Any]]) -> str:
    said = agents.say(messages)
    if said.role in ("positive", "critical", "judge"):
        return f"{said.text}\n{text(Random(json.dumps(messages)), WORDS)}"
    return said.text
