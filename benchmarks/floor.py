"""The least that a job can cost: the same requests with the same dependencies, and nothing else.

A job holds the requests of a finished run: for each sample its stages, one after the other, and the messages
of the calls in each stage, which are made together. There is no graph, no prompt rendering and no ledger. The
four clients:

    aiohttp       aiohttp alone
    sdk           the openai SDK with its aiohttp transport
    chat-default  ChatOpenAI with its default transport
    chat-aiohttp  ChatOpenAI with the aiohttp transport, which the program uses
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import click
import openai
from httpx2 import Limits
from langchain_openai import ChatOpenAI
from openai import DefaultAioHttpClient
from pydantic import SecretStr

from benchmarks.endpoint import MODEL, Endpoint
from benchmarks.program import python
from ledger.ledger import Ledger

Messages = list[dict[str, str]]
Post = Callable[[Messages], Awaitable[str]]

WAYS = ("aiohttp", "sdk", "chat-default", "chat-aiohttp")
_NAME = MODEL.partition(":")[2]
_PARAMETERS: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "max_completion_tokens": 1000}
_STAGE = {
    "positive_opening": 0,
    "critical_opening": 0,
    "positive_free": 1,
    "critical_free": 1,
    "advisor": 2,
    "editor": 3,
    "judge_forward": 4,
    "judge_reversed": 4,
}


def write_job(run: Path, file: Path) -> int:
    """Write the requests of a run as a job; return the number of calls."""
    ledger = Ledger.open(run / "ledger.sqlite")
    job, count = [], 0
    for sample, _ in ledger.samples():
        calls = ledger.calls(sample.id)
        count += len(calls)
        calls.sort(key=_moment)
        job.append([[call["messages"] for call in stage] for _, stage in groupby(calls, _moment)])
    file.write_text(json.dumps(job), encoding="utf-8")
    return count


def _moment(call: dict[str, Any]) -> tuple[int, int, int]:
    return call["exchange"], call["round"], _STAGE[call["step"]]


def floor(way: str, job: Path, endpoint: Endpoint, concurrency: int) -> dict[str, float]:
    """Do a job one way in its own process; return the seconds `wall` and `cpu`, without starting up."""
    arguments = ("-m", "benchmarks.floor", way, job, endpoint.base_url, concurrency)
    used = python(*arguments, cwd=job.parent, env=endpoint.environment)
    result: dict[str, float] = json.loads(used.output.splitlines()[-1])
    return result


async def work(job: list[list[list[Messages]]], post: Post, concurrency: int) -> None:
    """Do a job, with as many samples at a time as calls may be in flight, as the program does."""
    slots = asyncio.Semaphore(concurrency)
    samples = iter(job)

    async def call(messages: Messages) -> str:
        async with slots:
            return await post(messages)

    async def worker() -> None:
        for stages in samples:
            for stage in stages:
                await asyncio.gather(*map(call, stage))

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(worker())


@asynccontextmanager
async def _aiohttp(base_url: str, key: str) -> Any:
    url = f"{base_url}/chat/completions"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=headers, timeout=aiohttp.ClientTimeout(120)
    ) as session:

        async def post(messages: Messages) -> str:
            body = json.dumps({"model": _NAME, "messages": messages, **_PARAMETERS}).encode()
            async with session.post(url, data=body) as answer:
                reply: str = json.loads(await answer.read())["choices"][0]["message"]["content"]
                return reply

        yield post


@asynccontextmanager
async def _sdk(base_url: str, key: str) -> Any:
    client = openai.AsyncOpenAI(
        base_url=base_url, api_key=key, max_retries=0, timeout=120, http_client=_http()
    )
    async with client:

        async def post(messages: Any) -> str:
            answer = await client.chat.completions.create(model=_NAME, messages=messages, **_PARAMETERS)
            return answer.choices[0].message.content or ""

        yield post


@asynccontextmanager
async def _chat(base_url: str, key: str, client: Any = None) -> Any:
    model = ChatOpenAI(
        model=_NAME,
        base_url=base_url,
        api_key=SecretStr(key),
        max_retries=0,
        timeout=120,
        use_responses_api=False,
        http_async_client=client,
        **_PARAMETERS,
    )

    async def post(messages: Any) -> str:
        answer = await model.ainvoke(messages)
        return answer.text

    yield post
    if client:
        await client.aclose()


def _http() -> Any:
    return DefaultAioHttpClient(limits=Limits(max_connections=None, max_keepalive_connections=None))


def _way(way: str, base_url: str, key: str) -> AbstractAsyncContextManager[Post]:
    match way:
        case "aiohttp":
            return _aiohttp(base_url, key)
        case "sdk":
            return _sdk(base_url, key)
        case "chat-default":
            return _chat(base_url, key)
        case _:
            return _chat(base_url, key, _http())


@click.command()
@click.argument("way", type=click.Choice(WAYS))
@click.argument("job", type=click.Path(path_type=Path))
@click.argument("base_url")
@click.argument("concurrency", type=int)
@click.option("--key", envvar="OPENAI_API_KEY")
def main(way: str, job: Path, base_url: str, concurrency: int, key: str) -> None:
    """Do a job one way."""
    loaded = json.loads(job.read_text(encoding="utf-8"))
    asyncio.run(_measured(way, loaded, base_url, key, concurrency))


async def _measured(way: str, job: Any, base_url: str, key: str, concurrency: int) -> None:
    async with _way(way, base_url, key) as post:
        await post(next(_messages(job)))  # the first call loads modules and opens connections
        wall, cpu = time.perf_counter(), time.process_time()
        await work(job, post, concurrency)
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


def _messages(job: list[list[list[Messages]]]) -> Iterator[Messages]:
    return (messages for stages in job for stage in stages for messages in stage)


if __name__ == "__main__":
    main()
