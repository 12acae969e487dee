"""Servers with rate limits, over HTTP and with the default policy, for minutes."""

import asyncio

import pytest

from models.policy import GatewayPolicy
from tests.integration.test_gateway import rate_used

pytestmark = pytest.mark.long


@pytest.mark.parametrize("servers", [[(3, 0.1), (5, 2), (10, 4)], [(10, 0.3)], [(20, 0.5)], [(40, 1)]])
async def test_servers_with_rate_limits_are_used_up_to_them(servers: list[tuple[float, float]]) -> None:
    calls = (rate_used(*server, 120, after=30, policy=GatewayPolicy()) for server in servers)
    found = await asyncio.gather(*calls)
    assert all(used >= 0.9 and refused < 0.05 for used, refused in found), found
