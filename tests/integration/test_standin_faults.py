"""The stand-in server injects faults, and injects the same ones in every run."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest

from standin import RETRYABLE, Fault, FaultError, StandIn
from standin.faults import DEFAULT_TIMES
from tests.standin_client import EDIT, Client, content, refusal, running


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def no_faults(server: StandIn) -> None:
    server.order()


@pytest.mark.parametrize(
    ("fault", "provider", "expected"),
    [
        ("429", "openai", (429, "rate_limit_exceeded")),
        ("429", "glm", (429, "1302")),
        ("429:code=1305", "glm", (429, "1305")),
        ("overloaded", "glm", (429, "1305")),
        ("overloaded", "vllm", (503, 503)),
        ("no_balance", "openai", (429, "insufficient_quota")),
        ("no_balance", "glm", (429, "1113")),
        ("quota", "glm", (429, "1304")),
        ("quota", "openai", (429, "rate_limit_exceeded")),
        ("content_filter", "openai", (400, "content_filter")),
        ("content_filter", "glm", (400, "1301")),
        ("content_filter", "ernie", (403, "system_unsafe")),
        ("too_long", "openai", (400, "context_length_exceeded")),
        ("too_long", "ernie", (400, "tokens_too_long")),
        ("unknown_model", "ernie", (401, "invalid_model")),
        ("invalid_key", "glm", (401, "1002")),
        ("500", "ernie", (500, "internal_error")),
        ("502", "openai", (502, None)),
        ("503", "openai", (503, None)),
        ("504", "vllm", (504, 504)),
        ("bad_request:code=E7,message=Gone.,status=410", "openai", (410, "E7")),
        ("bad_request:status=451", "ernie", (451, "invalid_argument")),
    ],
)
def test_injected_refusals(server: StandIn, fault: str, provider: str, expected: tuple[int, Any]) -> None:
    server.order(fault)
    assert refusal(Client(server, provider).chat()) == expected
    assert server.requests[-1].fault == fault.partition(":")[0]


@pytest.mark.parametrize("fault", ["reset", "cut", "hang:seconds=0.05"])
def test_broken_connections(server: StandIn, fault: str) -> None:
    server.order(fault)
    with pytest.raises(httpx2.TransportError):
        Client(server, "openai").chat()
    assert server.requests[-1].fault == fault.partition(":")[0]
    server.order()
    assert content(Client(server, "openai").chat())


def test_hang_lasts_until_the_client_times_out(server: StandIn) -> None:
    server.order("hang")
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            server.base_url("openai") + "/chat/completions",
            json={"model": "gpt-4.1-mini", "messages": [EDIT]},
            headers={"Authorization": f"Bearer {server.key('openai')}"},
            timeout=0.2,
        )


def test_bodies_without_a_complete_reply(server: StandIn) -> None:
    client = Client(server, "openai")
    server.order("html:nth=1", "null_choices:nth=2", "error_in_200:nth=3", "no_usage:nth=4")
    page, null, error, no_usage, plain = (client.chat() for _ in range(5))
    assert {r.status_code for r in (page, null, error, no_usage, plain)} == {200}
    assert page.headers["content-type"].startswith("text/html")
    assert null.json()["choices"] is None
    assert error.json()["error"]["message"]
    assert content(no_usage) and "usage" not in no_usage.json() and "usage" in plain.json()


def test_altered_replies(server: StandIn) -> None:
    def ending(provider: str) -> tuple[str, str]:
        response = Client(server, provider).chat()
        return content(response), response.json()["choices"][0]["finish_reason"]

    whole, _ = ending("glm")
    server.order("truncated")
    text, finish = ending("openai")
    assert whole.startswith(text) and len(text) < len(whole) and finish == "length"
    server.order("empty")
    assert ending("openai") == ("", "stop")
    server.order("withheld")
    assert [ending(p) for p in ("openai", "glm")] == [("", "content_filter"), ("", "sensitive")]
    server.order("network_error")
    assert ending("glm") == ("", "network_error")
    server.order("context_full")
    assert ending("glm")[1] == "model_context_window_exceeded"


def test_error_can_echo_the_key(server: StandIn) -> None:
    server.order("echo_key")
    assert server.key("ernie") in Client(server, "ernie").chat().text


def test_retry_after_formats(server: StandIn) -> None:
    client = Client(server, "openai")
    server.order("429")
    assert "retry-after" not in client.chat().headers
    server.order("503:retry_after=300")
    assert client.chat().headers["retry-after"] == "300"
    server.order("429:retry_after=ms:250")
    assert client.chat().headers["retry-after-ms"] == "250"
    server.order("429:retry_after=date:60")
    headers = client.chat().headers
    wait = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert 58 <= wait.total_seconds() <= 62


def test_faults_match_by_word_position_and_provider(server: StandIn) -> None:
    server.order("500:word=Übung", "502:nth=2/4-,provider=glm")
    clients = {provider: Client(server, provider) for provider in ("glm", "openai")}
    codes = [clients["glm"].chat().status_code for _ in range(5)]
    assert codes == [200, 502, 200, 502, 502]
    assert clients["openai"].chat().status_code == 200
    assert clients["openai"].chat({"role": "user", "content": "Eine Übung"}).status_code == 500


def test_latency() -> None:
    with StandIn("latency:seconds=0.3,word=slowly", latency=0.1, latency_sigma=0.1) as slow:
        client = Client(slow, "openai")
        client.chat()
        client.chat({"role": "user", "content": "slowly"})
        plain, slowly = ((r.finished or 0) - r.arrived for r in slow.requests)
    assert plain > 0.05 and slowly > 0.35


def test_invalid_faults_are_rejected() -> None:
    for text in (
        "rain",
        "429:rate=2",
        "429:rate=often",
        "429:speed=1",
        "500:nth=x",
        "429:retry_after=soon:1",
    ):
        with pytest.raises(FaultError):
            Fault.parse(text)
    fault = Fault("429|reset", rate=0.25, seed=3, nth="2/9-", word="poem", retry_after="date:5")
    assert Fault.parse(str(fault)) == fault


async def _run(in_flight: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Send 60 distinct requests until each succeeds; return the faults that each met, and the replies."""
    kinds = RETRYABLE.replace("|reset|cut", "")
    with StandIn(f"{kinds}:rate=0.3,seed=5") as faulty:
        slots = asyncio.Semaphore(in_flight)
        headers = {"Authorization": f"Bearer {faulty.key('openai')}"}
        async with httpx2.AsyncClient(headers=headers) as http:

            async def ask(number: int) -> tuple[str, str]:
                text = f"<response>\nNumber {number}\n</response>\n\nWrite it better."
                body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}]}
                async with slots:
                    for _ in range(DEFAULT_TIMES + 1):
                        answer = await http.post(faulty.base_url("openai") + "/chat/completions", json=body)
                        if answer.status_code == 200 and '"finish_reason"' in answer.text:
                            return text, content(answer) if answer.json()["choices"] else ""
                raise AssertionError("a retried request must eventually succeed")

            replies = dict(await asyncio.gather(*(ask(number) for number in range(60))))
    met: dict[str, list[str]] = {}
    for request in faulty.chats():
        met.setdefault(request.digest, []).append(request.fault)
    return met, replies


async def test_faults_are_the_same_at_any_concurrency() -> None:
    (alone, replies), (together, same) = await _run(1), await _run(30)
    assert alone == together and replies == same
    faults = Counter(fault for met in alone.values() for fault in met)
    assert 0.15 < 1 - faults[""] / faults.total() < 0.45
    assert len(faults) > 5
