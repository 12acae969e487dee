"""Keys and tokens made from them: none of them reaches a user or a file, whatever a server sends."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors.classify import classify
from models.errors.exceptions import BadResponse
from models.keys import Keys, MissingKey
from models.settings import KEY_NAMES, Endpoint, ModelSettings, Provider
from models.tracing import _without
from standin import StandIn
from tests.gateways import call, gateway_to

NAMES = sorted({name for names in KEY_NAMES.values() for name in names.split(" and ")})
KEY = st.text("abcdefXYZ0123456789-._/+=%:", min_size=8, max_size=40).map(lambda text: f"sk-{text}")
ANY = st.text(max_size=30)


@given(st.lists(KEY, min_size=len(NAMES), max_size=len(NAMES)), st.data())
def test_no_key_is_left_in_any_text(values: list[str], data: st.DataObject) -> None:
    keys = Keys(dict(zip(NAMES, values, strict=True)))
    spellings = [form for key in values for form in (key, quote(key, safe=""), json.dumps(key).strip('"'))]
    parts = data.draw(st.lists(ANY | st.sampled_from(spellings), max_size=8))
    redacted = keys.redact(" ".join(parts))
    assert not [form for form in spellings if form in redacted]


@given(st.lists(KEY.map(lambda key: f"{key}-0123456789ab"), min_size=1, max_size=3), ANY)
def test_no_secret_is_left_in_a_reply(values: list[str], before: str) -> None:
    keys = Keys(dict(zip(NAMES, values, strict=False)))
    redacted = keys.redact_reply(" ".join([before, *values]))
    assert not [value for value in values if value in redacted]


@pytest.mark.parametrize("key", ["none", "assistant", "lm-studio", "not-needed-for-this-server"])
def test_a_key_that_may_be_a_word_stays_in_replies(key: str) -> None:
    reply = f"assistant 2\nThere is {key} in it."
    keys = Keys({"OPENAI_API_KEY": key})
    assert keys.redact_reply(reply) == reply
    assert key not in keys.redact(reply)


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-0123456789abcdefXYZ",
        "a.*b+c?(d)[e]{f}|g^h$i\\1",
        "12345678901234567890",
        "qWeRtYuIoPaSdFgHjKlZxC",
        "p@ss/w0rd with spaces & <b>",
        "=====+++++/////-----",
    ],
)
def test_an_echo_is_taken_out_in_every_form(key: str) -> None:
    keys = Keys({"OPENAI_API_KEY": key})
    half = len(key) // 2
    forms = [
        key,
        quote(key, safe=""),
        quote(key, safe="").lower() if "%" in quote(key) else key,
        quote(quote(key, safe=""), safe=""),
        json.dumps(key)[1:-1],
        json.dumps(json.dumps(key))[3:-3],
        key.replace("/", "\\/"),
        html.escape(key),
        f"{key[:half]}\n    {key[half:]}",
        *(b64encode(b"x" * before + key.encode() + b"yz").decode() for before in range(4)),
        urlsafe_b64encode(f"user:{key}".encode()).decode(),
        key.encode().hex(),
    ]
    for form in forms:
        for redact in (keys.redact, keys.redact_reply):
            assert "[OPENAI_API_KEY]" in redact(f"It is «{form}», indeed."), form
    escaped = "".join(f"\\u{ord(char):04x}" for char in key)
    assert keys.redact(f'"{escaped}"') == '"[OPENAI_API_KEY]"'
    assert keys.redact("".join(f"&#{ord(char)};" for char in key)) == "[OPENAI_API_KEY]"


@pytest.mark.parametrize("key", ["key", "e", "none", "ab1", "test"])
def test_a_short_key_is_taken_out_of_messages_as_a_word_only(key: str) -> None:
    keys = Keys({"OPENAI_API_KEY": key})
    assert keys.redact(f"Bearer {key}: wrong") == "Bearer [OPENAI_API_KEY]: wrong"
    assert keys.redact(f"密钥{key}无效") == "密钥[OPENAI_API_KEY]无效"
    assert keys.redact(f"({key})={key}") == "([OPENAI_API_KEY])=[OPENAI_API_KEY]"
    for honest in ("monkeys are nonetheless testable", f"x{key}x"):
        assert keys.redact(honest) == honest


@given(ANY, KEY)
def test_an_honest_reply_stays_as_it_is(reply: str, key: str) -> None:
    keys = Keys({"OPENAI_API_KEY": key + "0123456789abcdef"})
    assert keys.redact_reply(reply) == reply


def test_keys_are_found_in_settings_proxies_and_headers() -> None:
    settings = ModelSettings(
        model="openai:m",
        base_url=("https://host/sk-path-0123456789/v1?sig=s3cr3t&api-version=2024-10-21&beta=true",),
        extra_body={"metadata": {"apiKey": "hunter2", "user": "me"}, "min_tokens": 2},
    )
    variables = {
        "HTTPS_PROXY": "http://me:pass%40word@proxy:3128",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: Bearer gw-0123456789abcdef\nX-Team: blue-0123456789abcdef",
    }
    keys = Keys(variables, settings)
    secrets = ["sk-path-0123456789", "s3cr3t", "hunter2", "pass%40word", "pass@word", "gw-0123456789abcdef"]
    redacted = keys.redact(" ".join([*secrets, "blue-0123456789abcdef"]))
    assert not [secret for secret in secrets if secret in redacted]
    assert "blue" not in redacted
    assert keys.redact("me true 2024-10-21 v1") == "[HTTPS_PROXY] true 2024-10-21 v1"


def test_traces_hold_no_key_of_a_request() -> None:
    found = _without(Keys({}))({"extra_body": {"api_key": "hunter2", "n": 2}, "inputs": {"key": "a text"}})
    assert found == {"extra_body": {"api_key": "…", "n": 2}, "inputs": {"key": "a text"}}


def test_a_role_may_have_its_own_key() -> None:
    keys = Keys({"OPENAI_API_KEY": "sk-all", "OPENAI_API_KEY_JUDGE": "sk-judge", "QIANFAN_AK_JUDGE": "id"})
    one = Endpoint("openai", "m", None)
    assert keys.of(one, "judge").get_secret_value() == "sk-judge"
    assert keys.of(one, "editor").get_secret_value() == "sk-all"
    assert keys.variable(one, "judge") == "OPENAI_API_KEY_JUDGE"
    assert keys.redact("sk-judge, sk-all") == "[OPENAI_API_KEY_JUDGE], [OPENAI_API_KEY]"
    with pytest.raises(MissingKey, match="QIANFAN_AK=… and QIANFAN_SK=…"):  # one of two is not enough
        keys.of(Endpoint("wenxin", "m", None), "judge")


async def test_a_role_is_asked_with_its_own_key() -> None:
    with StandIn() as server:
        keys = {"OPENAI_API_KEY": "of-all-others", "OPENAI_API_KEY_EDITOR": server.key("openai")}
        async with gateway_to(server, keys=keys) as client:
            assert [type(reply) for reply in await client.ask(call())] == [str]


@pytest.mark.parametrize("key", ["sk-naïve", "sk-one\nX-Other: two", "sk-\x00"])
def test_what_no_header_can_hold_is_not_a_key(key: str) -> None:
    with pytest.raises(MissingKey, match="OPENAI_API_KEY_EDITOR is not a key") as refused:
        Keys({"OPENAI_API_KEY_EDITOR": key}).of(Endpoint("openai", "m", None), "editor")
    assert "sk-" not in str(refused.value)


def test_keys_come_from_the_environment_or_else_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    monkeypatch.setenv("VLLM_API_KEY", "of-the-environment")
    Path(".env").write_text("OPENAI_API_KEY=of-the-file\nVLLM_API_KEY=of-the-file\n", encoding="utf-8-sig")
    keys = Keys.load()
    assert keys.of(Endpoint("openai", "m", None), "judge").get_secret_value() == "of-the-file"
    assert keys.of(Endpoint("vllm", "m", None), "judge").get_secret_value() == "of-the-environment"
    Path(".env").write_text("OPENAI_API_KEY=ключ", encoding="utf-16")
    with pytest.raises(MissingKey, match="UTF-8"):
        Keys.load()


@given(st.sampled_from(["access_token", "client_id", "client_secret"]), KEY.map(quote), ANY)
def test_no_token_is_left_in_an_address(name: str, token: str, after: str) -> None:
    redacted = Keys({}).redact(f"POST http://127.0.0.1/chat?{name}={token}&x=1 failed {after}")
    assert f"{name}={token}" not in redacted
    assert f"?{name}=[token]&x=1 failed" in redacted


def test_no_signed_token_is_left() -> None:
    assert Keys({}).redact("Bearer eyJhbGciOiJI.eyJhcGlfa2V5Ijo.c2lnbmF0dXJl!") == "Bearer [token]!"


@given(
    st.integers(200, 599),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | ANY,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "error_code", "error_msg", "code", "x"]), inner)
        ),
        max_leaves=8,
    ),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text("0123456789-.einf :")
    ),
)
@example(429, {}, {"retry-after-ms": "inf"})
@example(429, {}, {"retry-after": "9" * 400})
@example(429, {}, {"retry-after": "Sun, 99 Nov 2026 99:00:00 GMT"})
def test_any_refusal_has_a_kind(status: int, body: object, headers: dict[str, str]) -> None:
    endpoint = Endpoint("wenxin", "m", "http://127.0.0.1")
    found = classify(BadResponse(status, body, headers), endpoint, has_replied=False)
    assert "wenxin:m" in found.describe(str)
    assert found.wait is None or 0 <= found.wait < float("inf")


@pytest.mark.parametrize("provider", [each for each in KEY_NAMES if KEY_NAMES[each] != "VLLM_API_KEY"])
def test_a_missing_key_is_asked_for_by_name(provider: Provider) -> None:
    names = KEY_NAMES[provider].split(" and ")
    with pytest.raises(MissingKey) as missing:
        Keys(dict.fromkeys(names[:-1], "only-the-first-part")).of(Endpoint(provider, "m", None), "judge")
    for name in names:
        assert f"{name}=…" in str(missing.value)
