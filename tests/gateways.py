"""Gateways and whole runs in this process, against a stand-in server."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from graph.settings import Settings
from models.call import Call, CallRecord, Message, Purpose
from models.errors.exceptions import CallFailed, RunStopped
from models.gateway import Gateway
from models.keys import Keys
from models.limits.budget import Budget
from models.limits.rate_limiter import RatePolicy
from models.policy import GatewayPolicy
from models.settings import Limits, ModelSettings
from runners.api import arun
from standin import StandIn

MODELS = {
    "openai": "gpt-4o-mini",
    "glm": "glm-4.6",
    "ernie": "ernie-4.5-turbo-128k",
    "vllm": "standin",
}
"""A model of each provider that is asked over our own HTTP client."""

OLD_MODELS = {"wenxin": "ernie-speed-128k", "glm-jwt": "glm-4.6"}
"""A model of each provider with old credentials. Wenxin's library sends its requests itself."""

VLLM_KEY = "vk-stand-in-for-tests-0004"


def sped_up(factor: float) -> RatePolicy:
    """Return the default rate policy on a faster clock."""
    usual = RatePolicy()
    return RatePolicy(
        cooldown_seconds=usual.cooldown_seconds / factor,
        burst_cooldown_seconds=usual.burst_cooldown_seconds / factor,
        futile_pause_seconds=usual.futile_pause_seconds / factor,
        growth_share=usual.growth_share * factor,
        recovery_share=usual.recovery_share * factor,
        min_growth=usual.min_growth * factor,
    )


QUICK = GatewayPolicy(first_wait=0.01, probe_interval=0.1, rate=sped_up(60))
"""Retries without long waits."""


def base_url(server: StandIn, provider: str) -> str:
    """Return the address of a provider, which `glm-jwt` shares with `glm`."""
    return server.base_url("glm" if provider == "glm-jwt" else provider)


def variables(server: StandIn) -> dict[str, str]:
    """Return the environment variables with the key of every provider, old credentials included."""
    client_id, secret = server.key("wenxin").split(":")
    return server.environment() | {"QIANFAN_AK": client_id, "QIANFAN_SK": secret}


def call(number: int = 0, *, purpose: Purpose = "speech") -> Call:
    text = f"Say something about number {number}."
    messages = [Message(role="user", content=text)]
    return Call(f"s{number}", "edit", 0, 1, "editor", "editor", messages, purpose)


async def until(condition: Callable[[], object], seconds: int = 10) -> None:
    """Return once the condition holds, which it must within these seconds."""
    for _ in range(100 * seconds):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the condition does not hold after {seconds} seconds")


class Client:
    """A gateway, and the records of the calls made through it."""

    def __init__(self, gateway: Gateway, records: list[CallRecord]) -> None:
        self.gateway = gateway
        self.records = records

    async def ask(self, *calls: Call) -> list[str | CallFailed | RunStopped]:
        """Make all calls at once; a call that fails gives its error."""

        async def one(call: Call) -> str | CallFailed | RunStopped:
            try:
                return await self.gateway.ask(call)
            except (CallFailed, RunStopped) as error:
                return error

        return await asyncio.gather(*map(one, calls))


@asynccontextmanager
async def gateway_to(
    server: StandIn,
    provider: str = "openai",
    *,
    limits: Limits | None = None,
    policy: GatewayPolicy = QUICK,
    keys: dict[str, str] | None = None,
    budget: Budget | None = None,
    retrying_failed: bool = False,
    notify: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """Open a gateway to a provider at the stand-in."""
    records: list[CallRecord] = []

    async def record(made: CallRecord) -> None:
        records.append(made)

    model = (MODELS | OLD_MODELS)[provider]
    given = {"model": f"{provider}:{model}", "base_url": base_url(server, provider), **settings}
    gateway = Gateway(
        ModelSettings(**given),
        limits or Limits(),
        Keys(variables(server) if keys is None else keys),
        record=record,
        recall=lambda call, request: None,
        budget=budget,
        policy=policy,
        retrying_failed=retrying_failed,
        notify=notify,
    )
    async with gateway:
        yield Client(gateway, records)


class Ended(NamedTuple):
    """How a run in this process ended."""

    error: RunStopped | None
    notices: list[str]

    @property
    def message(self) -> str:
        """Why the run stopped; empty where it did not."""
        return str(self.error or "")


def evolve(
    data: Path,
    folder: Path,
    settings: Settings,
    limits: Limits | None = None,
    *,
    modes: Sequence[str] = ("evolve",),
    stop: int | None = None,
    retry_failed: bool = False,
    policy: GatewayPolicy = QUICK,
) -> Ended:
    """Do what `coevol evolve` does. Keys come from the environment."""
    notices: list[str] = []
    run = arun(
        data,
        folder,
        settings,
        limits,
        modes=modes,
        stop=stop,
        retry_failed=retry_failed,
        notify=notices.append,
        policy=policy,
    )
    try:
        asyncio.run(run)
    except RunStopped as error:
        return Ended(error, notices)
    return Ended(None, notices)


@asynccontextmanager
async def fixed_response(status: int, body: bytes, media: str = "application/json") -> AsyncIterator[str]:
    """Run a server that gives every request the same response, and yield its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if found := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
            await reader.readexactly(int(found[1]))
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        head = f"HTTP/1.1 {status} So\r\nContent-Type: {media}\r\nConnection: close\r\n{length}\r\n"
        writer.write(head.encode())
        writer.write(b"" if status == 204 else body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
