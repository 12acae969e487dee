"""What the gateway records and reports of single calls. How fast it asks: `integration/test_gateway.py`."""

from dataclasses import replace
from typing import Any

from models.errors.exceptions import CallFailed
from standin import StandIn
from tests.gateways import QUICK, call, gateway_to

LIMIT = 5
"""A limit on replies, in tokens, below what any reply takes."""


async def test_a_rehearsal_is_not_reported_as_ignoring_the_limit_on_replies() -> None:
    notices: list[str] = []
    given: dict[str, Any] = {"model": "rehearsal:", "base_url": (), "max_tokens": LIMIT}
    async with gateway_to(StandIn(), notify=notices.append, **given) as client:
        await client.ask(call(purpose="draft"))
    assert (client.records[0].output_tokens or 0) > 2 * LIMIT
    assert not notices
    with StandIn("unlimited") as server:
        async with gateway_to(server, notify=notices.append, max_tokens=LIMIT) as client:
            await client.ask(call(0), call(1))
    (notice,) = notices
    assert notice.startswith(
        f"openai:gpt-4o-mini at {server.base_url('openai')} ignores the limit on replies"
    )


async def test_the_record_of_a_failed_call_has_its_kind_and_its_message_apart() -> None:
    policy = replace(QUICK, max_attempts=2)
    for fault, kind, code, attempts in (
        ("content_filter", "content filter", "content_filter", 1),
        ("502", "server error", "server_error", 2),
        ("empty", "empty reply", "stop", 1),
    ):
        with StandIn(fault) as server:
            async with gateway_to(server, policy=policy) as client:
                (error,) = await client.ask(call())
        assert isinstance(error, CallFailed)
        (record,) = client.records
        assert (record.failure_kind, record.code, record.attempts) == (kind, code, attempts)
        assert record.failure == str(error)
        assert record.failure.startswith(f"openai:gpt-4o-mini at {server.base_url('openai')} ")
        assert error.kind == kind
