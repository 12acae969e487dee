"""The stand-in says what the providers say: their refusals, their replies, and faults to order."""

import asyncio
import base64
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from nodes.judge import read_verdict
from prompts.pack import load_pack
from standin import RETRYABLE, Fault, FaultError, StandIn
from standin.faults import TIMES

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "alpaca_en_300.json"
EXAMPLES = ROOT / "examples" / "alpaca_en.json"

CHAT = {"openai": "gpt-4.1-mini", "glm": "glm-4.6", "ernie": "ernie-4.5-turbo-128k", "vllm": "standin"}
"""A model of each provider that speaks OpenAI's form."""

EDIT: dict[str, Any] = {"role": "user", "content": "<response>\nIt is blue.\n</response>\n\nWrite it better."}


HTTP = httpx2.Client(timeout=10)


class Client:
    """Plain HTTP to one provider, with its key."""

    def __init__(self, server: StandIn, provider: str, key: str | None = None) -> None:
        self._url, self._provider = server.base_url(provider), provider
        self._headers = {"Authorization": f"Bearer {server.key(provider) if key is None else key}"}

    def post(self, path: str, body: Any) -> httpx2.Response:
        return HTTP.post(self._url + path, json=body, headers=self._headers)

    def get(self, path: str) -> httpx2.Response:
        return HTTP.get(self._url + path, headers=self._headers)

    def chat(self, *messages: Any, **fields: Any) -> httpx2.Response:
        body = {"model": CHAT[self._provider], "messages": list(messages) or [EDIT], **fields}
        return self.post("/chat/completions", body)


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with StandIn() as running, HTTP:
        yield running


@pytest.fixture(autouse=True)
def fair_weather(server: StandIn) -> None:
    server.order()


def said(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def refused(response: httpx2.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["error"]["code"]


# --- every provider in OpenAI's form


@pytest.mark.parametrize("provider", CHAT)
def test_a_reply_follows_from_the_request(server: StandIn, provider: str) -> None:
    client = Client(server, provider)
    first, second = client.chat(), client.chat()
    assert said(first) == said(second)
    assert said(first).startswith("It is blue.") and len(said(first)) > len("It is blue.")
    choice, usage = first.json()["choices"][0], first.json()["usage"]
    assert choice["finish_reason"] == "stop"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] > 3


@pytest.mark.parametrize("provider", CHAT)
def test_the_official_clients_work(server: StandIn, provider: str) -> None:
    sdk = openai.OpenAI(base_url=server.base_url(provider), api_key=server.key(provider), max_retries=0)
    with sdk:
        reply = sdk.chat.completions.create(model=CHAT[provider], messages=[EDIT], top_p=1)  # type: ignore[list-item]
    assert reply.choices[0].message.content
    model = ChatOpenAI(
        model=CHAT[provider],
        base_url=server.base_url(provider),
        api_key=SecretStr(server.key(provider)),
        max_retries=0,
        use_responses_api=False,
        temperature=0.5,
    )
    message = model.invoke([EDIT])
    assert message.text == reply.choices[0].message.content
    assert message.usage_metadata and message.usage_metadata["input_tokens"] > 0


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("openai", (401, "invalid_api_key")), ("glm", (401, "1002")), ("ernie", (401, "invalid_iam_token"))],
)
def test_a_wrong_key_is_refused(server: StandIn, provider: str, expected: tuple[int, str]) -> None:
    assert refused(Client(server, provider, key="sk-somebody-elses").chat()) == expected
    assert server.requests[-1].key is False


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", (404, "model_not_found")),
        ("glm", (400, "1211")),
        ("ernie", (401, "invalid_model")),
        ("vllm", (404, 404)),
    ],
)
def test_an_unknown_model_is_refused(server: StandIn, provider: str, expected: tuple[int, Any]) -> None:
    assert refused(Client(server, provider).chat(model="gpt-3.5-turbo")) == expected


@pytest.mark.parametrize(
    ("provider", "expected", "words"),
    [
        ("openai", (400, "context_length_exceeded"), "maximum context length is 50 tokens"),
        ("glm", (400, "1261"), "超长"),
        ("ernie", (400, "tokens_too_long"), "too long"),
        ("vllm", (400, 400), "maximum context length is 50 tokens. However, your prompt contains "),
    ],
)
def test_a_prompt_longer_than_the_context_is_refused(
    provider: str, expected: tuple[int, Any], words: str
) -> None:
    with StandIn(context=50) as small:
        response = Client(small, provider).chat({"role": "user", "content": "words " * 200})
        assert refused(response) == expected
        assert words in response.json()["error"]["message"]
        assert said(Client(small, provider).chat())


# --- one by one


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"max_tokens": 9}, "max_tokens"), ({"temperature": 0}, "temperature"), ({"top_p": 0.5}, "top_p")],
)
def test_openai_reasoning_models_have_rules(server: StandIn, fields: dict[str, Any], param: str) -> None:
    client = Client(server, "openai")
    response = client.chat(model="gpt-5.4-mini", **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    for others in ({"model": "gpt-4.1-mini"}, {"model": "gpt-5-chat-latest"}):
        assert said(client.chat(**fields, **others))
    if param != "max_tokens":
        assert said(client.chat(model="gpt-5.4", reasoning_effort="none", **fields))


def test_openai_reasoning_counts_and_uses_up_the_limit(server: StandIn) -> None:
    client = Client(server, "openai")
    usage = client.chat(model="gpt-5.5").json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0
    short = client.chat(model="gpt-5.5", max_completion_tokens=5)
    assert (said(short), short.json()["choices"][0]["finish_reason"]) == ("", "length")


def test_openai_caches_long_prompts_in_steps(server: StandIn) -> None:
    client = Client(server, "openai")
    long = {"role": "user", "content": "a long and steady beginning of a prompt " * 200}
    counts = [client.chat(long).json()["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)]
    assert counts[0] == 0 and counts[1] >= 1024 and counts[1] % 128 == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1.5},
        {"top_p": 0.001},
        {"messages": [{"role": "system", "content": "No user speaks."}]},
        {"response_format": {"type": "json_schema"}},
        {"model": "glm-5.3", "thinking": {"type": "disabled"}},
    ],
)
def test_glm_refuses_what_it_does_not_take(server: StandIn, fields: dict[str, Any]) -> None:
    assert refused(Client(server, "glm").chat(**fields)) == (400, "1214")


def test_glm_knows_the_limit_by_one_name(server: StandIn) -> None:
    client = Client(server, "glm")
    whole, cut = client.chat(max_completion_tokens=2), client.chat(max_tokens=2)
    assert [r.json()["choices"][0]["finish_reason"] for r in (whole, cut)] == ["stop", "length"]
    assert cut.json()["usage"]["completion_tokens"] == 2


def test_glm_thinks_in_a_field_of_its_own(server: StandIn) -> None:
    client = Client(server, "glm")
    thinking = client.chat(model="glm-5").json()["choices"][0]["message"]
    quiet = client.chat(model="glm-5", thinking={"type": "disabled"}).json()["choices"][0]["message"]
    assert thinking["reasoning_content"] and "reasoning_content" not in quiet
    assert thinking["content"] == quiet["content"]


def test_glm_takes_a_token_signed_with_the_key(server: StandIn) -> None:
    id, secret = server.key("glm").split(".")

    def token(expires: float, key: str) -> str:
        def part(value: bytes) -> str:
            return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

        claims = {"api_key": id, "exp": round(expires * 1000), "timestamp": round(time.time() * 1000)}
        text = part(b'{"alg":"HS256","sign_type":"SIGN"}') + "." + part(json.dumps(claims).encode())
        return text + "." + part(hmac.digest(key.encode(), text.encode(), "sha256"))

    assert said(Client(server, "glm", key=token(time.time() + 60, secret)).chat())
    for wrong in (token(time.time() - 60, secret), token(time.time() + 60, "guessed"), "a.b.c"):
        assert Client(server, "glm", key=wrong).chat().status_code == 401


def test_ernie_wants_strict_turns(server: StandIn) -> None:
    client = Client(server, "ernie")
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}
    assistant = {"role": "assistant", "content": "Yes?"}
    for good in ([user], [system, user], [user, assistant, user]):
        assert said(client.chat(*good))
    for bad in ([user, user], [assistant, user], [user, assistant], [user, system, user], [system]):
        response = client.chat(*bad)
        assert refused(response) == (400, "invalid_messages")
        assert response.json()["id"].startswith("as-")
        assert set(response.json()["error"]) == {"code", "message", "type"}
    assert refused(client.chat(temperature=0)) == (400, "invalid_argument")


def test_ernie_tells_its_rates() -> None:
    with StandIn(requests_per_second=1 / 60) as slow:
        client = Client(slow, "ernie")
        headers = client.chat().headers
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == (
            "1",
            "0",
        )
        assert int(headers["x-ratelimit-limit-tokens"]) >= int(headers["x-ratelimit-remaining-tokens"]) > 0
        assert refused(client.chat()) == (429, "rpm_rate_limit_exceeded")


def test_wenxin_speaks_as_of_old(server: StandIn) -> None:
    http, url = HTTP, server.base_url("wenxin")
    id, secret = server.key("wenxin").split(":")

    def token(secret: str, server_url: str = url) -> httpx2.Response:
        query = {"grant_type": "client_credentials", "client_id": id, "client_secret": secret}
        return http.post(f"{server_url}/oauth/2.0/token", params=query)

    def chat(access: str, *roles: str, endpoint: str = "completions_pro", server_url: str = url) -> Any:
        messages = [{**EDIT, "role": role} for role in roles]
        response = http.post(
            f"{server_url}/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/{endpoint}",
            params={"access_token": access},
            json={"messages": messages, "system": "Be brief."},
        )
        assert response.status_code == 200
        return response.json()

    assert token("guessed").status_code == 401
    access = token(secret).json()["access_token"]
    reply = chat(access, "user")
    assert reply["result"].startswith("It is blue.") and reply["usage"]["total_tokens"] > 0
    assert chat(access, "user", "assistant", "user")["result"]
    assert chat(access, "user", "assistant")["error_code"] == 336003
    assert chat(access, "user", "user", "user")["error_code"] == 336006
    assert chat(access, "user", endpoint="gone")["error_code"] == 3
    assert chat("24.guessed", "user")["error_code"] == 110
    server.order("429")
    assert chat(access, "user")["error_code"] == 18
    assert access not in server.requests[-1].line() and secret not in server.requests[-1].line()
    with StandIn(token_life=0) as hasty:
        stale = token(secret, hasty.base_url("wenxin")).json()["access_token"]
        assert chat(stale, "user", server_url=hasty.base_url("wenxin"))["error_code"] == 111


def test_vllm_counts_as_it_bills() -> None:
    with StandIn(context=300) as small:
        client = Client(small, "vllm")
        assert {model["max_model_len"] for model in client.get("/models").json()["data"]} == {300}
        counted = client.post("/../tokenize", {"model": "standin", "messages": [EDIT]}).json()
        assert counted["count"] == client.chat().json()["usage"]["prompt_tokens"]
        over = client.chat(max_tokens=301)
        assert over.status_code == 400 and "max_tokens=301" in over.json()["error"]["message"]
        # More than what is left of the context is cut in silence.
        long = {"role": "user", "content": f"<response>\n{'word ' * 200}\n</response>\n\nWrite it better."}
        usage = client.chat(long, max_tokens=300).json()["usage"]
        assert usage["total_tokens"] == 300


def test_vllm_holds_replies_to_a_form(server: StandIn) -> None:
    client = Client(server, "vllm")
    choices = ["assistant 1", "assistant 2", "equal"]
    assert said(client.chat(structured_outputs={"choice": choices})) in choices
    regex = r"(10|[1-9]) (10|[1-9])\n[^\n]{1,200}"
    assert re.fullmatch(regex, said(client.chat(structured_outputs={"regex": regex})))
    assert said(client.chat(guided_choice=choices)) not in choices
    assert client.chat(structured_outputs={"regex": "("}).status_code == 400


def test_vllm_templates_refuse_in_their_own_words(server: StandIn) -> None:
    client = Client(server, "vllm")
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}
    assert said(client.chat(system, user, user))
    plain = client.chat(system, user, model="standin-plain")
    assert (plain.status_code, plain.json()["error"]["message"]) == (400, "System role not supported")
    twice = client.chat(user, user, model="standin-plain")
    assert "roles must alternate" in twice.json()["error"]["message"]


def test_vllm_models_think_in_the_text_or_beside_it(server: StandIn) -> None:
    client = Client(server, "vllm")
    inside = said(client.chat(model="standin-thinks"))
    beside = client.chat(model="standin-reasons").json()["choices"][0]["message"]
    assert inside.startswith("<think>\n") and inside.endswith("</think>\n\n" + beside["content"])
    assert beside["reasoning"]


def test_vllm_asks_for_a_key_only_if_started_with_one(server: StandIn) -> None:
    assert said(Client(server, "vllm", key="any").chat())
    with StandIn(vllm_key="mine") as locked:
        assert Client(locked, "vllm", key="any").chat().json() == {"error": "Unauthorized"}
        assert said(Client(locked, "vllm").chat())
        assert Client(locked, "vllm", key="any").get("/../health").status_code == 200


async def test_vllm_queues_and_turns_away() -> None:
    with StandIn(slots=2, max_queued=5, latency=0.5) as busy:
        async with httpx2.AsyncClient() as http:

            async def ask(number: int) -> httpx2.Response:
                messages = [{"role": "user", "content": f"Hello {number}"}]
                body = {"model": "standin", "messages": messages}
                return await http.post(busy.base_url("vllm") + "/chat/completions", json=body)

            calls = [asyncio.create_task(ask(number)) for number in range(8)]
            metrics = ""
            async with asyncio.timeout(5):
                while '"standin"} 3.0' not in metrics:
                    metrics = (await http.get(busy.url + "/vllm/metrics")).text
            replies = await asyncio.gather(*calls)
    values = dict(re.findall(r"^vllm:(\w+)\{[^}]*\} (\S+)$", metrics, re.MULTILINE))
    assert (values["num_requests_running"], values["num_requests_waiting"]) == ("2.0", "3.0")
    assert float(values["kv_cache_usage_perc"]) == 1 and "prefix_cache_hits_total" in values
    assert Counter(reply.status_code for reply in replies) == {200: 5, 503: 3}
    assert all("retry-after" not in reply.headers for reply in replies)
    times = sorted((r.finished or 0) - r.arrived for r in busy.chats() if r.status == 200)
    assert times[-1] > times[0] * 2, "who waits, waits longer"


# --- faults


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
    ],
)
def test_refusals_to_order(server: StandIn, fault: str, provider: str, expected: tuple[int, Any]) -> None:
    server.order(fault)
    assert refused(Client(server, provider).chat()) == expected
    assert server.requests[-1].fault == fault.partition(":")[0]


@pytest.mark.parametrize("fault", ["reset", "cut", "hang:seconds=0.05"])
def test_connections_that_break(server: StandIn, fault: str) -> None:
    server.order(fault)
    with pytest.raises(httpx2.TransportError):
        Client(server, "openai").chat()
    assert server.requests[-1].fault == fault.partition(":")[0]
    server.order()
    assert said(Client(server, "openai").chat())


def test_a_hang_lasts_as_long_as_the_client(server: StandIn) -> None:
    server.order("hang")
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            server.base_url("openai") + "/chat/completions",
            json={"model": "gpt-4.1-mini", "messages": [EDIT]},
            headers={"Authorization": f"Bearer {server.key('openai')}"},
            timeout=0.2,
        )


def test_bodies_that_are_no_reply(server: StandIn) -> None:
    client = Client(server, "openai")
    server.order("html:nth=1", "null_choices:nth=2", "error_in_200:nth=3", "no_usage:nth=4")
    page, nothing, error, unbilled, fair = (client.chat() for _ in range(5))
    assert {r.status_code for r in (page, nothing, error, unbilled, fair)} == {200}
    assert page.headers["content-type"].startswith("text/html")
    assert nothing.json()["choices"] is None
    assert error.json()["error"]["message"]
    assert said(unbilled) and "usage" not in unbilled.json() and "usage" in fair.json()


def test_replies_that_are_not_what_was_asked_for(server: StandIn) -> None:
    def ending(provider: str) -> tuple[str, str]:
        response = Client(server, provider).chat()
        return said(response), response.json()["choices"][0]["finish_reason"]

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


def test_an_error_may_echo_the_key(server: StandIn) -> None:
    server.order("echo_key")
    assert server.key("ernie") in Client(server, "ernie").chat().text


def test_retry_after_comes_in_every_form(server: StandIn) -> None:
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


def test_faults_are_aimed(server: StandIn) -> None:
    server.order("500:word=Übung", "502:nth=2/4-,provider=glm")
    clients = {provider: Client(server, provider) for provider in ("glm", "openai")}
    codes = [clients["glm"].chat().status_code for _ in range(5)]
    assert codes == [200, 502, 200, 502, 502]
    assert clients["openai"].chat().status_code == 200
    assert clients["openai"].chat({"role": "user", "content": "Eine Übung"}).status_code == 500


def test_latency_is_part_of_the_weather() -> None:
    with StandIn("latency:seconds=0.3,word=slowly", latency=0.1, latency_sigma=0.1) as slow:
        client = Client(slow, "openai")
        client.chat()
        client.chat({"role": "user", "content": "slowly"})
        plain, slowly = ((r.finished or 0) - r.arrived for r in slow.requests)
    assert plain > 0.05 and slowly > 0.35


def test_what_cannot_be_ordered_is_said() -> None:
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
    """Send 60 different requests until each has its reply; give the faults that each met, and the replies."""
    kinds = RETRYABLE.replace("|reset|cut", "")
    with StandIn(f"{kinds}:rate=0.3,seed=5") as foul:
        slots = asyncio.Semaphore(in_flight)
        headers = {"Authorization": f"Bearer {foul.key('openai')}"}
        async with httpx2.AsyncClient(headers=headers) as http:

            async def ask(number: int) -> tuple[str, str]:
                text = f"<response>\nNumber {number}\n</response>\n\nWrite it better."
                body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}]}
                async with slots:
                    for _ in range(TIMES + 1):
                        answer = await http.post(foul.base_url("openai") + "/chat/completions", json=body)
                        if answer.status_code == 200 and '"finish_reason"' in answer.text:
                            return text, said(answer) if answer.json()["choices"] else ""
                raise AssertionError("a request that is tried again must succeed in the end")

            replies = dict(await asyncio.gather(*(ask(number) for number in range(60))))
    met: dict[str, list[str]] = {}
    for request in foul.chats():
        met.setdefault(request.digest, []).append(request.fault)
    return met, replies


async def test_foul_weather_is_the_same_however_many_calls_are_in_flight() -> None:
    (alone, replies), (together, same) = await _run(1), await _run(30)
    assert alone == together and replies == same
    faults = Counter(fault for met in alone.values() for fault in met)
    assert 0.15 < 1 - faults[""] / faults.total() < 0.45
    assert len(faults) > 5


def test_rates_have_limits() -> None:
    with StandIn(requests_per_second=5) as limited:
        client = Client(limited, "glm")
        statuses = Counter(client.chat().status_code for _ in range(12))
        assert statuses[200] >= 5 and statuses[429] >= 5
        # Each provider counts for itself, and vLLM does not count at all.
        assert {Client(limited, "vllm").chat().status_code for _ in range(12)} == {200}
    with StandIn(tokens_per_minute=6000) as limited:
        client = Client(limited, "ernie")
        assert said(client.chat(max_tokens=900))
        assert refused(client.chat(max_tokens=900)) == (429, "tpm_rate_limit_exceeded")


# --- what the agents say


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_each_agent_answers_its_own_prompt(server: StandIn, pack: str) -> None:
    prompts, client = load_pack(pack), Client(server, "openai")
    record = {"persona": "You are careful.", "system": "", "instruction": "Name a colour.", "input": ""}
    memory = {
        side: [
            *prompts.render(f"{side}_opening", response="Blue.", **record),
            {"role": "assistant", "content": "A debate: assistant 1 and assistant 2."},
        ]
        for side in ("positive", "critical")
    }
    debate = ["for", "against", "weighed", "weighed"]
    calls: list[tuple[str, list[Any]]] = [
        ("positive", memory["positive"][:-1]),
        ("critical", memory["critical"][:-1]),
    ]
    for side in ("positive", "critical"):
        free = prompts.render(f"{side}_free", response="Blue.", other_opening="No.", **record)
        calls.append((side, [*memory[side], *free]))
    for response, heard in ((None, None), ("Blue.", None), ("Blue.", debate)):
        calls.append(("advisor", prompts.render("advisor", response=response, debate=heard, **record)))
    for response, advice in ((None, None), (None, "Be brief."), ("Blue.", "Be brief.")):
        calls.append(("editor", prompts.render("editor", response=response, suggestions=advice, **record)))
    for form in ("compare", "score"):
        calls.append(
            ("judge", prompts.render(f"judge_{form}", response_1="Blue.", response_2="Red.", **record))
        )
    for role, messages in calls:
        assert said(client.chat(*messages))
        assert server.requests[-1].role == role, messages[-1]["content"]


@pytest.mark.parametrize("form", ["compare", "score"])
def test_the_share_of_wins_is_as_set(form: Any) -> None:
    prompts = load_pack("default")
    record = {"persona": "You judge.", "system": "", "instruction": "Count.", "input": ""}
    with StandIn(wins=1.0) as generous, StandIn(wins=0.5) as fair:
        wins = Counter[str]()
        for number in range(40):
            messages = prompts.render(
                f"judge_{form}", response_1=f"{number}", response_2=f"{number} and more", **record
            )
            for name, judge in (("generous", generous), ("fair", fair)):
                points = read_verdict(said(Client(judge, "openai").chat(*messages)), form)
                wins[name] += bool(points and points[1] > points[0])
    assert wins["generous"] == 40
    assert 8 < wins["fair"] < 32


def test_a_judge_who_is_asked_again_can_be_read(server: StandIn) -> None:
    prompts, client = load_pack("default"), Client(server, "openai")
    record = {"persona": "You judge.", "system": "", "instruction": "Count.", "input": ""}
    unreadable = 0
    for number in range(60):
        messages: list[Any] = prompts.render(
            "judge_compare", response_1=f"{number}", response_2=f"{number} and more", **record
        )
        reply = said(client.chat(*messages))
        if read_verdict(reply, "compare") is None:
            unreadable += 1
            reminder = {"role": "user", "content": "First line: assistant 1, assistant 2 or equal."}
            again = said(client.chat(*messages, {"role": "assistant", "content": reply}, reminder))
            assert read_verdict(again, "compare")
    assert unreadable


# --- as a server


def test_the_key_is_nowhere_in_the_record(server: StandIn) -> None:
    client = Client(server, "openai")
    client.chat()
    request = server.chats("openai")[-1]
    assert request.key and request.body["model"] == "gpt-4.1-mini"
    assert server.key("openai") not in request.line() + repr(request)
    assert request.finished and request.finished >= request.arrived


def test_it_stops_and_comes_back_at_the_same_place() -> None:
    with StandIn() as replica:
        port = replica.port
        assert said(Client(replica, "vllm").chat())
        replica.stop()
        with pytest.raises(httpx2.ConnectError):
            Client(replica, "vllm").chat()
        replica.start()
        assert replica.port == port
        assert said(Client(replica, "vllm").chat())
        assert len(replica.chats("vllm")) == 2


def test_it_runs_in_a_process_of_its_own() -> None:
    with StandIn("503:nth=2", own_process=True, requests_per_second=1000.0, context=900) as apart:
        client = Client(apart, "ernie")
        assert [client.chat().status_code for _ in range(3)] == [200, 503, 200]
        assert client.chat({"role": "user", "content": "words " * 2000}).status_code == 400
        requests = apart.chats("ernie")
        assert [request.fault for request in requests] == ["", "503", "", ""]
        assert requests[0].body["messages"] == [EDIT]
    assert apart.requests == requests
    wrong = subprocess.run(
        [sys.executable, "-m", "standin", "--fault", "rain"], cwd=ROOT, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "'rain' is no fault" in wrong.stderr


@pytest.mark.parametrize("provider", CHAT)
def test_a_run_goes_through(server: StandIn, provider: str, tmp_path: Path) -> None:
    records = json.loads((DATA if DATA.exists() else EXAMPLES).read_text(encoding="utf-8"))[:10]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    before = len(server.chats(provider))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "coevol"),
            *("evolve", "data.json", "-o", "run"),
            *("--model", f"{provider}:{CHAT[provider]}", "--base-url", server.base_url(provider)),
        ],
        cwd=tmp_path,
        env={**os.environ, **server.environment()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(records)}/{len(records)} samples" in done.stderr + done.stdout
    calls = server.chats(provider)[before:]
    assert len(calls) >= 8 * len(records)
    assert {call.status for call in calls} == {200}
    assert {call.role for call in calls} == {"positive", "critical", "advisor", "editor", "judge"}
