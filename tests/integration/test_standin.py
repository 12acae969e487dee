"""The stand-in server answers, refuses and queues requests as the real providers do."""

import asyncio
import base64
import hmac
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from nodes.verdict.reading import read_verdict
from prompts.pack import load_pack
from standin import StandIn
from tests.conftest import look
from tests.program import DATA, ROOT
from tests.standin_client import CHAT, EDIT, Client, content, refusal, running


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def no_faults(server: StandIn) -> None:
    server.order()


# --- providers with an OpenAI-style API


@pytest.mark.parametrize("provider", CHAT)
def test_replies_are_deterministic(server: StandIn, provider: str) -> None:
    client = Client(server, provider)
    first, second = client.chat(), client.chat()
    assert content(first) == content(second)
    assert content(first).startswith("It is blue.") and len(content(first)) > len("It is blue.")
    choice, usage = first.json()["choices"][0], first.json()["usage"]
    assert choice["finish_reason"] == "stop"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] > 3


@pytest.mark.parametrize("provider", CHAT)
def test_official_clients_work(server: StandIn, provider: str) -> None:
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
def test_wrong_key_is_refused(server: StandIn, provider: str, expected: tuple[int, str]) -> None:
    assert refusal(Client(server, provider, key="sk-another-account").chat()) == expected
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
def test_unknown_model_is_refused(server: StandIn, provider: str, expected: tuple[int, Any]) -> None:
    assert refusal(Client(server, provider).chat(model="gpt-3.5-turbo")) == expected


@pytest.mark.parametrize(
    ("provider", "expected", "words"),
    [
        ("openai", (400, "context_length_exceeded"), "maximum context length is 50 tokens"),
        ("glm", (400, "1261"), "超长"),
        ("ernie", (400, "tokens_too_long"), "too long"),
        ("vllm", (400, 400), "maximum context length is 50 tokens. However, your prompt contains "),
    ],
)
def test_prompt_longer_than_the_context_is_refused(
    provider: str, expected: tuple[int, Any], words: str
) -> None:
    with StandIn(context=50) as small:
        response = Client(small, provider).chat({"role": "user", "content": "words " * 200})
        assert refusal(response) == expected
        assert words in response.json()["error"]["message"]
        assert content(Client(small, provider).chat())


# --- individual providers


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"max_tokens": 9}, "max_tokens"), ({"temperature": 0}, "temperature"), ({"top_p": 0.5}, "top_p")],
)
def test_openai_reasoning_models_restrict_parameters(
    server: StandIn, fields: dict[str, Any], param: str
) -> None:
    client = Client(server, "openai")
    response = client.chat(model="gpt-5.4-mini", **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    for others in ({"model": "gpt-4.1-mini"}, {"model": "gpt-5-chat-latest"}):
        assert content(client.chat(**fields, **others))
    if param != "max_tokens":
        assert content(client.chat(model="gpt-5.4", reasoning_effort="none", **fields))


def test_openai_reasoning_counts_against_the_limit(server: StandIn) -> None:
    client = Client(server, "openai")
    usage = client.chat(model="gpt-5.5").json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0
    short = client.chat(model="gpt-5.5", max_completion_tokens=5)
    assert (content(short), short.json()["choices"][0]["finish_reason"]) == ("", "length")


def test_openai_caches_long_prompts_in_blocks(server: StandIn) -> None:
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
def test_glm_refuses_invalid_fields(server: StandIn, fields: dict[str, Any]) -> None:
    assert refusal(Client(server, "glm").chat(**fields)) == (400, "1214")


def test_glm_ignores_max_completion_tokens(server: StandIn) -> None:
    client = Client(server, "glm")
    whole, cut = client.chat(max_completion_tokens=2), client.chat(max_tokens=2)
    assert [r.json()["choices"][0]["finish_reason"] for r in (whole, cut)] == ["stop", "length"]
    assert cut.json()["usage"]["completion_tokens"] == 2


def test_glm_returns_thoughts_in_a_separate_field(server: StandIn) -> None:
    client = Client(server, "glm")
    thinking = client.chat(model="glm-5").json()["choices"][0]["message"]
    quiet = client.chat(model="glm-5", thinking={"type": "disabled"}).json()["choices"][0]["message"]
    assert thinking["reasoning_content"] and "reasoning_content" not in quiet
    assert thinking["content"] == quiet["content"]


def test_glm_accepts_a_token_signed_with_the_key(server: StandIn) -> None:
    id, secret = server.key("glm").split(".")

    def token(expires: float, key: str) -> str:
        def part(value: bytes) -> str:
            return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

        claims = {"api_key": id, "exp": round(expires * 1000), "timestamp": round(time.time() * 1000)}
        text = part(b'{"alg":"HS256","sign_type":"SIGN"}') + "." + part(json.dumps(claims).encode())
        return text + "." + part(hmac.digest(key.encode(), text.encode(), "sha256"))

    assert content(Client(server, "glm", key=token(time.time() + 60, secret)).chat())
    for wrong in (token(time.time() - 60, secret), token(time.time() + 60, "guessed"), "a.b.c"):
        assert Client(server, "glm", key=wrong).chat().status_code == 401


def test_ernie_requires_strict_turns(server: StandIn) -> None:
    client = Client(server, "ernie")
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}
    assistant = {"role": "assistant", "content": "Yes?"}
    for good in ([user], [system, user], [user, assistant, user]):
        assert content(client.chat(*good))
    for bad in ([user, user], [assistant, user], [user, assistant], [user, system, user], [system]):
        response = client.chat(*bad)
        assert refusal(response) == (400, "invalid_messages")
        assert response.json()["id"].startswith("as-")
        assert set(response.json()["error"]) == {"code", "message", "type"}
    assert refusal(client.chat(temperature=0)) == (400, "invalid_argument")


def test_ernie_reports_its_rate_limits() -> None:
    with StandIn(requests_per_second=1 / 60) as slow:
        client = Client(slow, "ernie")
        headers = client.chat().headers
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == (
            "1",
            "0",
        )
        assert int(headers["x-ratelimit-limit-tokens"]) >= int(headers["x-ratelimit-remaining-tokens"]) > 0
        assert refusal(client.chat()) == (429, "rpm_rate_limit_exceeded")


def test_wenxin_v1_protocol(server: StandIn) -> None:
    http, url = Client.http, server.base_url("wenxin")
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


def test_vllm_token_counts_match_usage() -> None:
    with StandIn(context=300) as small:
        client = Client(small, "vllm")
        assert {model["max_model_len"] for model in client.get("/models").json()["data"]} == {300}
        counted = client.post("/../tokenize", {"model": "standin", "messages": [EDIT]}).json()
        assert counted["count"] == client.chat().json()["usage"]["prompt_tokens"]
        over = client.chat(max_tokens=301)
        assert over.status_code == 400 and "max_tokens=301" in over.json()["error"]["message"]
        # A reply that exceeds the rest of the context is silently truncated.
        long = {"role": "user", "content": f"<response>\n{'word ' * 200}\n</response>\n\nWrite it better."}
        usage = client.chat(long, max_tokens=300).json()["usage"]
        assert usage["total_tokens"] == 300


def test_vllm_structured_outputs(server: StandIn) -> None:
    client = Client(server, "vllm")
    choices = ["assistant 1", "assistant 2", "equal"]
    assert content(client.chat(structured_outputs={"choice": choices})) in choices
    regex = r"(10|[1-9]) (10|[1-9])\n[^\n]{1,200}"
    assert re.fullmatch(regex, content(client.chat(structured_outputs={"regex": regex})))
    assert content(client.chat(guided_choice=choices)) not in choices
    assert client.chat(structured_outputs={"regex": "("}).status_code == 400


def test_vllm_chat_templates_refuse_messages(server: StandIn) -> None:
    client = Client(server, "vllm")
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}
    assert content(client.chat(system, user, user))
    plain = client.chat(system, user, model="standin-plain")
    assert (plain.status_code, plain.json()["error"]["message"]) == (400, "System role not supported")
    twice = client.chat(user, user, model="standin-plain")
    assert "roles must alternate" in twice.json()["error"]["message"]


def test_vllm_models_return_thoughts_in_the_text_or_separately(server: StandIn) -> None:
    client = Client(server, "vllm")
    inside = content(client.chat(model="standin-thinks"))
    separate = client.chat(model="standin-reasons").json()["choices"][0]["message"]
    assert inside.startswith("<think>\n") and inside.endswith("</think>\n\n" + separate["content"])
    assert separate["reasoning"]


def test_vllm_requires_a_key_only_if_started_with_one(server: StandIn) -> None:
    assert content(Client(server, "vllm", key="any").chat())
    with StandIn(vllm_key="mine") as locked:
        assert Client(locked, "vllm", key="any").chat().json() == {"error": "Unauthorized"}
        assert content(Client(locked, "vllm").chat())
        assert Client(locked, "vllm", key="any").get("/../health").status_code == 200


async def test_vllm_queues_requests_and_refuses_the_excess() -> None:
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
    assert times[-1] > times[0] * 2, "queued requests take longer"


def test_rate_limits() -> None:
    with StandIn(requests_per_second=5) as limited:
        client = Client(limited, "glm")
        statuses = Counter(client.chat().status_code for _ in range(12))
        assert statuses[200] >= 5 and statuses[429] >= 5
        # Each provider has its own limits; vLLM has none.
        assert {Client(limited, "vllm").chat().status_code for _ in range(12)} == {200}
    with StandIn(tokens_per_minute=6000) as limited:
        client = Client(limited, "ernie")
        assert content(client.chat(max_tokens=900))
        assert refusal(client.chat(max_tokens=900)) == (429, "tpm_rate_limit_exceeded")


# --- replies of the agents


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_each_prompt_is_answered_by_its_agent(server: StandIn, pack: str) -> None:
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
        assert content(client.chat(*messages))
        assert server.requests[-1].role == role, messages[-1]["content"]


@pytest.mark.parametrize("form", ["compare", "score"])
def test_share_of_wins(form: Any) -> None:
    prompts = load_pack("default")
    record = {"persona": "You judge.", "system": "", "instruction": "Count.", "input": ""}
    with StandIn(wins=1.0) as generous, StandIn(wins=0.5) as fair:
        wins = Counter[str]()
        for number in range(40):
            messages = prompts.render(
                f"judge_{form}", response_1=f"{number}", response_2=f"{number} and more", **record
            )
            for name, judge in (("generous", generous), ("fair", fair)):
                points = read_verdict(content(Client(judge, "openai").chat(*messages)), form)
                wins[name] += bool(points and points[1] > points[0])
    assert wins["generous"] == 40
    assert 8 < wins["fair"] < 32


def test_repeated_judge_request_gets_a_readable_verdict(server: StandIn) -> None:
    prompts, client = load_pack("default"), Client(server, "openai")
    record = {"persona": "You judge.", "system": "", "instruction": "Count.", "input": ""}
    unreadable = 0
    for number in range(60):
        messages: list[Any] = prompts.render(
            "judge_compare", response_1=f"{number}", response_2=f"{number} and more", **record
        )
        reply = content(client.chat(*messages))
        if read_verdict(reply, "compare") is None:
            unreadable += 1
            reminder = {"role": "user", "content": "First line: assistant 1, assistant 2 or equal."}
            again = content(client.chat(*messages, {"role": "assistant", "content": reply}, reminder))
            assert read_verdict(again, "compare")
    assert unreadable


# --- server


def test_keys_are_not_recorded(server: StandIn) -> None:
    client = Client(server, "openai")
    client.chat()
    request = server.chats("openai")[-1]
    assert request.key and request.body["model"] == "gpt-4.1-mini"
    assert server.key("openai") not in request.line() + repr(request)
    assert request.finished and request.finished >= request.arrived


def test_restart_keeps_port_and_requests() -> None:
    with StandIn() as replica:
        port = replica.port
        assert content(Client(replica, "vllm").chat())
        replica.stop()
        with pytest.raises(httpx2.ConnectError):
            Client(replica, "vllm").chat()
        replica.start()
        assert replica.port == port
        assert content(Client(replica, "vllm").chat())
        assert len(replica.chats("vllm")) == 2


def test_own_process() -> None:
    with StandIn("503:nth=2", own_process=True, requests_per_second=1000.0, context=900) as separate:
        client = Client(separate, "ernie")
        assert [client.chat().status_code for _ in range(3)] == [200, 503, 200]
        assert client.chat({"role": "user", "content": "words " * 2000}).status_code == 400
        requests = separate.chats("ernie")
        assert [request.fault for request in requests] == ["", "503", "", ""]
        assert requests[0].body["messages"] == [EDIT]
    assert separate.requests == requests
    wrong = subprocess.run(
        [sys.executable, "-m", "standin", "--fault", "rain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2 and "unknown fault 'rain'" in wrong.stderr


@pytest.mark.parametrize("provider", CHAT)
def test_complete_run(
    server: StandIn, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    before = len(server.chats(provider))
    words = ("--model", f"{provider}:{CHAT[provider]}", "--base-url", server.base_url(provider), "--stop", 10)
    done = look("evolve", DATA / "alpaca_en_40.json", "-o", "run", *words, cwd=tmp_path)
    assert "10/10 samples" in done.stderr
    calls = server.chats(provider)[before:]
    assert len(calls) >= 80
    assert {call.status for call in calls} == {200}
    assert {call.role for call in calls} == {"positive", "critical", "advisor", "editor", "judge"}
