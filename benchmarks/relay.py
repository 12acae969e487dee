"""A relay in front of a vLLM or llama.cpp server, which replaces its replies by those of the stand-in.

The server receives every request and computes its prompt with its prefix cache; the client receives a reply
of the stand-in, as long as real agents' replies. So a small model with random weights can measure what
prompts cost in a realistic conversation. One thing is lost: a real server has generated text in its cache
when it comes back in a later prompt.
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
"""The length of a debater's or judge's reply: the prompts allow 100 to 120."""


class Relay:
    """A relay that runs while the context lasts. Relays share no prefix cache."""

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
            # A prefix ends where two prompts differ.
            first, *others = body["messages"]
            salted = [first | {"content": f"{salt}\n{first['content']}"}, *others]
            url = f"{server}/chat/completions"
            async with session.post(url, json=body | {"messages": salted}) as answer:
                if answer.status != 200:
                    return web.Response(status=answer.status, text=await answer.text())
                completion = await answer.json()
            choice = completion["choices"][0]
            choice["message"]["content"] = _reply(agents, body["messages"])
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


def _reply(agents: Agents, messages: list[dict[str, Any]]) -> str:
    reply = agents.say(messages)
    if reply.role in ("positive", "critical", "judge"):
        return f"{reply.text}\n{text(Random(json.dumps(messages)), WORDS)}"
    return reply.text
