"""What kind of failure each code, status and message is, over HTTP; and that anything else is one too."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any, get_args

import aiohttp
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from models.errors.classify import classify, classify_reply
from models.errors.exceptions import BadResponse, CallFailed, RunStopped
from models.errors.kinds import CODES, GLM_CODES, MAX_MESSAGE_CHARS, WENXIN_CODES, Failure, Remedy
from models.limits.budget import Budget
from models.policy import GatewayPolicy
from models.settings import Endpoint
from standin import Fault, StandIn
from tests.gateways import Client, call, fixed_response, gateway_to, sped_up
from tests.recorder import Messages, Recorder, Refused

# GLM's, ERNIE's and Wenxin's are from their own lists of errors.
REMEDIES: dict[str, dict[Remedy, str]] = {
    "openai": {
        "stop run": "invalid_api_key account_deactivated insufficient_quota billing_hard_limit_reached "
        "billing_not_active model_not_found unsupported_parameter unsupported_value unknown_parameter "
        "insufficient_user_quota Arrearage arrearage exceeded_current_quota_error",
        "abandon call": "context_length_exceeded string_above_max_length content_filter "
        "content_policy_violation invalid_prompt sensitive_words_detected data_inspection_failed "
        "DataInspectionFailed exceed_context_size_error",
        "slow down": "engine_overloaded_error",
        "retry": "resource_unavailable capacity_exceeded",
    },
    "glm": {
        "stop run": "1000 1001 1002 1003 1004 1005 1110 1111 1112 1113 1121 1210 1211 1212 1215 1220 1221 "
        "1222 1304 1308 1309 1310 1311",
        "abandon call": "1213 1214 1261 1300 1301",
        "slow down": "1302 1303 1305",
        "retry": "1120 1230 1234",
    },
    "ernie": {
        "stop run": "invalid_iam_token invalid_appid invalid_model no_parameter_permission account_overdue",
        "abandon call": "invalid_messages tokens_too_long characters_too_long",
        "slow down": "rpm_rate_limit_exceeded tpm_rate_limit_exceeded server_overloaded",
    },
    "wenxin": {
        "stop run": "3 4 6 17 19 110 111",
        "abandon call": "336003 336006 336007 336103 336104",
        "slow down": "18 336100 336501 336502",
        "retry": "1 2 336000",
    },
}

STATUSES: dict[Remedy, tuple[int, ...]] = {
    "stop run": (401, 402, 403, 404, 405, 501),
    "abandon call": (400, 406, 410, 413, 415, 418, 422, 451),
    "slow down": (429, 503, 529),
    "retry": (408, 409, 421, 423, 425, 499, 500, 502, 504, 507, 520, 599),
}

MESSAGES: dict[tuple[int, str], Remedy] = {
    (400, "This model's maximum context length is 4096 tokens."): "abandon call",
    (400, "The response was filtered due to the content management policy."): "abandon call",
    (400, "input is too long for this model"): "abandon call",
    # llama.cpp, TGI, Gemini, DashScope, Moonshot, Ollama
    (400, "the request exceeds the available context size"): "abandon call",
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."): "abandon call",
    (400, "The input token count (2000000) exceeds the maximum number of tokens allowed"): "abandon call",
    (400, "Range of input length should be [1, 30720]"): "abandon call",
    (400, "Your request exceeded model token limit: 8192"): "abandon call",
    (500, "the input length exceeds the context length"): "abandon call",
    (500, "the model runner stopped"): "retry",
    (400, "No models loaded. Load one first."): "stop run",
    (403, "The account is overdue"): "stop run",
    (403, "Access denied: account arrears"): "stop run",
    (429, "Request too large for gpt-4o-mini on tokens per min (TPM)"): "abandon call",
    (429, "Rate limit reached on requests per day (RPD)"): "stop run",
    (429, "You exceeded your current quota, please check your plan and billing details."): "stop run",
    (429, "daily limit"): "stop run",
    (429, "Rate limit reached on requests per min"): "slow down",
    (400, "Your credit balance is too low to access the API."): "stop run",
    (400, "Insufficient Balance"): "stop run",
    (403, "用户账户余额不足"): "stop run",
    (403, "您的账户已欠费"): "stop run",
    (429, "This request requires more credits"): "stop run",
    # Gemini, which mentions billing when a minute's share is used up
    (429, "You exceeded your current quota, please check your plan and billing. Retry in 9ms."): "slow down",
    (429, "Rate limit reached on requests per day (RPD). Try again in 8h12m30s."): "stop run",
    (400, "Unrecognized request argument supplied: foo"): "stop run",
    (422, "body -> foo: extra fields not permitted"): "stop run",
    (400, "Unsupported parameter: 'foo' is not supported with this model."): "stop run",
    (400, "max_tokens=9000 cannot be greater than max_model_len=8192."): "stop run",
    (400, "max_tokens is too large: 9000. This model's maximum context length is 8192."): "stop run",
    # This depends on the prompt.
    (400, "'max_tokens' is too large: 9. This model's maximum context length is 8 tokens"): "abandon call",
}


ALL_GLM_CODES = {code: kind for codes in GLM_CODES.values() for code, kind in codes.items()}
ALL_CODES = CODES | ALL_GLM_CODES | WENXIN_CODES


PATIENT = {"resource_unavailable", "capacity_exceeded"}
"""Retried for half an hour and not so many times: see tests/integration/test_service_tiers.py."""


def test_the_tables_have_no_other_codes() -> None:
    listed = [code for of in REMEDIES.values() for codes in of.values() for code in codes.split()]
    assert sorted(listed) == sorted(ALL_CODES)


def twice(server: StandIn, provider: str = "openai", **given: Any) -> AbstractAsyncContextManager[Client]:
    """Open a gateway that makes two attempts at a call, without a wait between them."""
    policy = GatewayPolicy(first_wait=0.001, max_attempts=2, rate=sped_up(1000))
    return gateway_to(server, provider, policy=policy, **given)


@pytest.mark.parametrize("provider", REMEDIES)
async def test_every_code_has_its_remedy(provider: str) -> None:
    with StandIn() as server:
        for remedy, codes in REMEDIES[provider].items():
            for code in [each for each in codes.split() if each not in PATIENT]:
                server.order(Fault("bad_request", code=code))
                before = len(server.chats())
                async with twice(server, provider) as client:
                    (error,) = await client.ask(call())
                check_remedy(error, remedy, code)
                asked = len(server.chats()) - before
                # Wenxin's library tries a new token by itself, and has one error for both codes.
                times, code = (2, "110") if code in ("110", "111") else (1, code)
                assert asked == (1 if remedy in ("stop run", "abandon call") else 2) * times, code
                (record,) = client.records
                assert record.code == code
                assert record.failure_kind == ALL_CODES[code].key
                assert record.failure


async def test_every_status_has_its_remedy() -> None:
    cases = [(status, "It failed.", remedy) for remedy, some in STATUSES.items() for status in some]
    cases += [(status, message, remedy) for (status, message), remedy in MESSAGES.items()]
    status, message = 0, ""

    def refuse(_: Messages, __: str) -> str:
        raise Refused(message, status)

    with Recorder(refuse) as server:
        for status, message, remedy in cases:
            asked = len(server.asked)
            async with twice(StandIn(), base_url=server.base_url) as client:
                (error,) = await client.ask(call())
            check_remedy(error, remedy, f"{status} {message}")
            assert message in str(error)
            attempts = 1 if remedy in ("stop run", "abandon call") else 2
            assert len(server.asked) == asked + attempts, (status, message)


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        # A status that a proxy put into the body
        (200, {"code": 401, "message": "bad key"}, "stop run"),
        (200, {"code": 402, "message": "pay"}, "stop run"),
        (200, {"code": "400", "message": "bad"}, "abandon call"),
        (200, {"code": 429, "message": "slow down"}, "slow down"),
        (200, {"code": 502, "message": "bad gateway"}, "retry"),
        (200, {"code": 7, "message": "who knows"}, "retry"),
        (200, {"code": 20012, "message": "Model does not exist."}, "stop run"),
        # Numbers that mean something else at Wenxin and at GLM
        (504, {"code": 4, "message": "deadline exceeded"}, "retry"),
        (400, {"code": 3, "message": "invalid argument"}, "abandon call"),
        (429, {"code": 1002, "message": "rate limit"}, "slow down"),
        (400, {"code": "1113", "message": "bad"}, "abandon call"),
        # GLM behind a proxy
        (401, {"code": "1002", "message": "token"}, "stop run"),
        (429, {"code": "1113", "message": "overdue"}, "stop run"),
        (400, {"code": "1301", "message": "unsafe"}, "abandon call"),
    ],
)
async def test_a_number_is_a_code_only_where_it_can_come_from(
    status: int, error: dict[str, Any], remedy: Remedy
) -> None:
    # Gemini puts its errors into lists.
    body = {"error": error} if status == 200 else [{"error": error}]
    async with (
        fixed_response(status, json.dumps(body).encode()) as url,
        twice(StandIn(), base_url=url) as client,
    ):
        (found,) = await client.ask(call())
    check_remedy(found, remedy, f"{status} {error}")
    assert error["message"] in str(found)


@pytest.mark.parametrize(
    "changed",
    [
        {"choices": [{"message": {"content": "Yes."}}]},
        {"choices": [{"message": {"role": "model", "content": "Yes."}, "finish_reason": None}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "Yes."}]}}]},
        {"usage": None, "error": None},
        {"usage": {"prompt_tokens": None, "completion_tokens": None}},
        {"usage": {"prompt_tokens": "5", "completion_tokens": 2.0, "completion_tokens_details": "x"}},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": [1]}},
    ],
)
async def test_replies_with_odd_details_are_replies(changed: dict[str, Any]) -> None:
    usual = {"choices": [{"message": {"role": "assistant", "content": "Yes."}}]}
    body = json.dumps(usual | changed).encode()
    async with fixed_response(200, body) as url, twice(StandIn(), base_url=url) as client:
        assert await client.ask(call()) == ["Yes."]
    (record,) = client.records
    counts = (5, 2) if (changed.get("usage") or {}).get("prompt_tokens") else (None, None)
    assert (record.input_tokens, record.output_tokens) == counts


@pytest.mark.parametrize(
    ("changed", "defect"),
    [
        ({"choices": []}, "a reply without choices"),
        ({"choices": None}, "a reply without choices"),
        ({"choices": [{"text": "Yes."}]}, "a choice without a message"),
        ({"choices": [{"message": {"content": 7}}]}, "a reply that cannot be read"),
    ],
)
async def test_a_defective_reply_is_described_and_its_tokens_count(
    changed: dict[str, Any], defect: str
) -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 7}
    budget = Budget(tokens=100_000)
    body = json.dumps({"id": "what-came", "usage": usage, **changed}).encode()
    async with fixed_response(200, body) as url, twice(StandIn(), base_url=url, budget=budget) as client:
        (error,) = await client.ask(call())
    check_remedy(error, "retry", defect)
    assert f"({defect}" in str(error)
    assert "what-came" in str(error)
    assert budget.spent.tokens == 2 * 57
    assert client.records[0].output_tokens == 7


async def test_a_page_is_shown_by_its_text_and_the_advice_is_kept() -> None:
    page = "<html><head><title>404 Not Found</title></head><body><!-- pad -->" + "<p>So &amp; so</p>" * 500
    async with (
        fixed_response(404, page.encode(), "text/html") as url,
        twice(StandIn(), base_url=url) as client,
    ):
        (error,) = await client.ask(call())
    first, advice = str(error).splitlines()
    assert "answered 404: 404 Not Found So & so" in first
    assert len(first) < 700
    assert advice == "Check the model's name and the base URL."
    async with (
        fixed_response(504, page.encode(), "text/html") as url,
        twice(StandIn(), base_url=url) as client,
    ):
        (error,) = await client.ask(call())
    assert str(error).endswith("… (after 2 attempts)")


async def test_a_key_where_a_message_is_cut_is_not_shown() -> None:
    key = "sk-secret-0123456789abcdef"

    def refuse(_: Messages, __: str) -> str:
        raise Refused("x" * (MAX_MESSAGE_CHARS - 10) + key)

    with Recorder(refuse) as server:
        async with twice(StandIn(), base_url=server.base_url, keys={"OPENAI_API_KEY": key}) as client:
            (error,) = await client.ask(call())
    assert "sk-" not in str(error)


def check_remedy(error: object, remedy: Remedy, what: str) -> None:
    """The error is of the class that the remedy calls for, and its message has a few lines."""
    assert isinstance(error, RunStopped if remedy == "stop run" else CallFailed), (what, error)
    assert len(str(error).splitlines()) <= 2, (what, error)
    assert ("(after 2 attempts)" in str(error)) == (remedy in ("retry", "slow down")), (what, error)


# --- anything else

TEXT = st.text(max_size=20) | st.sampled_from(["context length", "_unsafe", "per day", *ALL_CODES])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT, inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ("error", "code", "message", "type", "choices", "usage", "finish_reason", "content", "model"),
                inner,
            ),
        )
    ),
    max_leaves=10,
)
HERE = Endpoint("openai", "m", "http://127.0.0.1/v1")
REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def of_status(make: type[openai.APIStatusError]) -> st.SearchStrategy[Exception]:
    return st.builds(
        lambda status, body, headers: make(
            "it failed", response=httpx2.Response(status, request=REQUEST, headers=headers), body=body
        ),
        st.integers(100, 999),
        JSON,
        st.dictionaries(
            st.sampled_from(["retry-after", "retry-after-ms", "date"]),
            st.text("0123456789-.eGMT :", max_size=30) | st.text(st.characters(codec="ascii"), max_size=9),
        ),
    )


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


PLAIN: list[type[Exception]] = [
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, AssertionError, OSError),
    *(TimeoutError, ConnectionResetError, ConnectionRefusedError, RecursionError, EOFError),
    *(aiohttp.ClientError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.InvalidURL),
    *(httpx2.TransportError, httpx2.ReadTimeout, httpx2.ConnectError, httpx2.RemoteProtocolError),
]
ANY_ERROR = st.one_of(
    *map(of_status, (openai.APIStatusError, openai.BadRequestError, openai.RateLimitError)),
    st.builds(BadResponse, st.integers(), JSON, st.dictionaries(TEXT, TEXT, max_size=2)),
    st.builds(lambda kind, value: kind(value), st.sampled_from(PLAIN), TEXT | JSON),
    st.builds(lambda kind: kind(), st.sampled_from(PLAIN[:13])),
    st.builds(
        lambda kind, message: caused(openai.APIConnectionError(request=REQUEST), kind(message)),
        st.sampled_from(PLAIN),
        TEXT,
    ),
    st.just(openai.APITimeoutError(request=REQUEST)),
    st.builds(lambda body: openai.APIError("it failed", REQUEST, body=body), JSON),
    st.builds(
        lambda body: openai.APIResponseValidationError(httpx2.Response(200, request=REQUEST), body), JSON
    ),
)


@given(ANY_ERROR, st.booleans())
def test_any_error_at_all_has_a_kind(error: Exception, has_replied: bool) -> None:
    found = classify(error, HERE, has_replied=has_replied)
    check_failure(found)
    assert found.code is None or isinstance(found.code, str)
    assert found.wait is None or found.wait >= 0
    if has_replied:
        assert found.kind.key != "not allowed"


@given(
    st.text(max_size=9),
    TEXT | st.sampled_from(["length", "stop", "content_filter", "network_error"]),
    JSON,
    st.booleans(),
)
def test_any_end_of_a_reply_is_a_reply_or_a_failure(
    text: str, finish: str, refusal: Any, is_draft: bool
) -> None:
    message = AIMessage(
        text, response_metadata={"finish_reason": finish}, additional_kwargs={"refusal": refusal}
    )
    found = classify_reply(message, text, call(purpose="draft" if is_draft else "speech"), HERE)
    if found is None:
        assert text.strip()
        assert not (is_draft and finish == "length")
    else:
        check_failure(found)


def check_failure(found: Failure) -> None:
    assert found.remedy in get_args(Remedy)
    assert found.describe(str)
    assert found.kind.key


NEAR = st.sampled_from(
    [
        {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"role": "assistant", "content": None}, "finish_reason": "length"}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "Yes."}]}}]},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": {"role": "assistant", "content": "Yes."}}], "usage": {"prompt_tokens": "x"}},
        {"choices": [{"message": {"role": "assistant", "content": "Yes."}}], "usage": []},
        {"error": None},
        {"error": "busy"},
        {"error": {"code": 429, "details": [{"retryDelay": "0.01s"}, 7]}},
        [{"error": {"code": 429, "message": "Please retry in 9ms."}}],
    ]
)
BODIES = (JSON | NEAR).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
TYPES = st.sampled_from(["application/json", "text/html", "application/octet-stream", ""])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([200, 200, 201, 204, 302, 400, 403, 418, 429, 500, 599]), BODIES, TYPES)
def test_any_response_over_http_is_a_reply_or_a_failure(status: int, body: bytes, media: str) -> None:
    asyncio.run(_one_call(status, body, media))


async def _one_call(status: int, body: bytes, media: str) -> None:
    async with fixed_response(status, body, media) as url, twice(StandIn(), base_url=url) as client:
        (answer,) = await client.ask(call())
    if isinstance(answer, str):
        assert answer.strip()
        assert status < 300
    else:
        assert isinstance(answer, CallFailed | RunStopped)
        # Whatever a server sends, it is the server's failure.
        (record,) = client.records
        assert record.failure
        assert record.failure_kind != "mistake of the program", record.failure
