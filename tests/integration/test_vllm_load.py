"""The calls in flight to a vLLM server, over HTTP. In simulated time: `tests/unit/test_vllm_queue.py`."""

import asyncio
import re
from dataclasses import replace
from typing import Any

from models.limits.vllm_queue import INITIAL_CAP, MIN_QUEUE
from models.settings import Limits
from standin import StandIn
from tests.gateways import QUICK, Client, call, gateway_to, until

POLICY = replace(QUICK, queue_poll_interval=0.05)


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


async def test_a_large_concurrency_does_not_pile_up_at_a_server() -> None:
    with StandIn(slots=16, latency=0.15) as server:
        queue = server.app.provider("vllm").queue
        seen: list[tuple[int, int]] = []
        async with gateway_to(server, "vllm", limits=Limits(concurrency=1000), policy=POLICY) as client:
            asked = asyncio.create_task(client.ask(*map(call, range(400))))
            await until(lambda: "slowed down by vllm: none waiting there yet" in reasons(client))
            while len(server.chats()) < 350:
                await asyncio.sleep(0.02)
                seen.append((queue.running, queue.waiting))
            waiting = re.compile(r"slowed down by vllm: \d+ waiting there")
            assert any(waiting.fullmatch(reason) for reason in reasons(client))
            assert all(isinstance(reply, str) for reply in await asked)
        settled = seen[len(seen) // 3 :]
        assert mean([running for running, _ in settled]) >= 0.9 * 16
        assert mean([waiting for _, waiting in settled]) <= 2 * MIN_QUEUE
        assert server.app.most_in_work["vllm"] <= 64


async def test_a_server_behind_a_gateway_that_hides_its_queue_is_not_flooded() -> None:
    # The stand-in's OpenAI has a queue and no metrics; nor does it count tokens.
    with StandIn("no_usage", slots=16, latency=0.1) as server:
        there: dict[str, Any] = {"base_url": server.base_url("openai"), "model": "vllm:gpt-4o-mini"}
        there["keys"] = {"VLLM_API_KEY": server.key("openai")}
        limits = Limits(concurrency=1000)
        async with gateway_to(server, "vllm", limits=limits, policy=POLICY, **there) as client:
            asked = asyncio.create_task(client.ask(*map(call, range(600))))
            await until(lambda: any("times as long as at best" in reason for reason in reasons(client)))
            assert all(isinstance(reply, str) for reply in await asked)
        assert INITIAL_CAP < server.app.most_in_work["openai"] <= 6 * 16


def reasons(client: Client) -> list[str]:
    return [waiting.reason for waiting in client.gateway.waiting()]
