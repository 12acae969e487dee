"""How many tokens a call took, whatever a server's reply leaves out or counts elsewhere."""

import json
from typing import Any

import pytest

from models.limits.budget import Budget
from standin import StandIn
from tests.gateways import call, fixed_response, gateway_to

PRICE = {"openai:gpt-4o-mini": (1.0, 0.1, 4.0)}


def usage(prompt: Any, reply: Any, total: Any = None, **further: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": total}
    return {name: count for name, count in counts.items() if count is not None} | further


def details(cached: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": cached}}


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (usage(100, 20, 120, **details(60)), (100, 60, 20)),
        # xAI, and Gemini with thoughts: in the total alone
        (usage(100, 20, 1120, completion_tokens_details={"reasoning_tokens": 1000}), (100, None, 1020)),
        (usage(100, 20, 1120), (100, None, 1020)),
        (usage(100, None, 1100), (100, None, 1000)),
        (usage(100, 20, 110), (100, None, 20)),
        # Cached tokens counted apart
        (usage(100, 20, 120, **details(5000)), (5100, 5000, 20)),
        (usage(100, 20, 170, **details(50)), (150, 50, 20)),
        (usage(100, 20, cache_read_input_tokens=400, cache_creation_input_tokens=50), (550, 400, 20)),
        (usage(100, 20, 150, cache_creation_input_tokens=30), (130, None, 20)),
        # Moonshot, DeepSeek
        (usage(100, 20, 120, cached_tokens=60), (100, 60, 20)),
        (usage(100, 20, 120, prompt_cache_hit_tokens=60, prompt_cache_miss_tokens=40), (100, 60, 20)),
    ],
)
async def test_all_that_is_billed_is_counted(
    reported: dict[str, Any], counted: tuple[int, int | None, int]
) -> None:
    budget = Budget(dollars=1.0)
    record = await replied(reported, budget)
    prompt, cached, reply = counted
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == counted
    dollars = (prompt - (cached or 0)) * 1.0 + (cached or 0) * 0.1 + reply * 4.0
    assert budget.spent.dollars == pytest.approx(dollars / 1_000_000)


@pytest.mark.parametrize("reported", [usage(0, 0, 0), usage(0, 7), usage(-5, -3), [100, 20], None])
async def test_a_server_that_counts_nothing_costs_the_worst_case(reported: Any) -> None:
    budget = Budget(dollars=1.0)
    record = await replied(reported, budget)
    assert (record.input_tokens, record.output_tokens) == (None, None)
    assert budget.spent.dollars > 0.004  # a reply of 1,000 tokens


async def replied(reported: Any, budget: Budget) -> Any:
    """Return the record of a call to a server that reports this usage."""
    choice = {"message": {"content": "Yes."}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": reported}).encode()
    async with (
        fixed_response(200, body) as url,
        gateway_to(StandIn(), base_url=url, budget=budget, price=PRICE) as client,
    ):
        assert await client.ask(call()) == ["Yes."]
    return client.records[0]
