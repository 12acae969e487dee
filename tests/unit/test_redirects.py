"""No request, and nothing of one, is sent to another address than the user's."""

import pytest
from langsmith import Client

from models.errors.exceptions import RunStopped
from models.keys import Keys
from models.settings import ModelSettings
from models.token_counter import asking_server, count_tokens
from models.tracing import start_tracing
from standin import StandIn
from tests.gateways import call, gateway_to
from tests.redirecting import redirecting

STATUSES = [300, 301, 302, 303, 307, 308]
KEYS = {
    "OPENAI_API_KEY": "sk-of-nobody-else-0123456789",
    "ZHIPUAI_API_KEY": "id0123456789.secret0123456789",
    "QIANFAN_AK": "client-id-0123456789",
    "QIANFAN_SK": "client-secret-0123456789",
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("provider", ["openai", "glm-jwt", "wenxin"])
async def test_a_call_is_not_redirected(provider: str, status: int) -> None:
    with StandIn() as server, redirecting(status) as to:
        async with gateway_to(server, provider, keys=KEYS, base_url=to.url) as client:
            (error,) = await client.ask(call())
        assert not to.arrived
    assert isinstance(error, RunStopped)
    assert f"answered {status}: it redirects to {to.other}" in str(error)


@pytest.mark.parametrize("location", ["http://[", "//[::1", "\x1b]0;x\x07", "http://u:hidden@h/", "x" * 5000])
async def test_any_location_is_only_named(location: str) -> None:
    with StandIn() as server, redirecting(307, location) as to:
        async with gateway_to(server, keys=KEYS, base_url=to.url) as client:
            (error,) = await client.ask(call())
    assert isinstance(error, RunStopped) and "it redirects to" in str(error)
    assert len(str(error)) < 1500 and "hidden" not in str(error) and "\x1b" not in str(error)


@pytest.mark.parametrize("status", STATUSES)
async def test_no_text_is_counted_elsewhere(status: int) -> None:
    with redirecting(status) as to:
        settings = ModelSettings(model="openai:m", base_url=(f"{to.url}/v1",))
        async with asking_server(settings, "auto", Keys(KEYS), lambda _: None):
            assert await count_tokens("a conversation", "auto") is None
        assert not to.arrived


def test_no_trace_is_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with redirecting(307) as to:
        monkeypatch.setattr("models.tracing.tracing_is_enabled", lambda: True)
        made: list[Client] = []
        monkeypatch.setattr("models.tracing.configure", lambda client: made.append(client))
        end = start_tracing(Keys({}), lambda _: None)
        with pytest.raises(Exception, match="redirect"):
            made[0].session.post(f"{to.url}/runs", json={"inputs": "a prompt"})
        end()
        assert not to.arrived
