"""Keys, and what is made from them: whatever a server says, none of it reaches a person or a file."""

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.diagnosis import diagnose
from models.failures import AnswerRefused
from models.keys import KEY_NAMES, Keys, MissingKey
from models.settings import Endpoint, Provider

NAMES = sorted({name for names in KEY_NAMES.values() for name in names.split(" and ")})
KEY = st.text("abcdefXYZ0123456789-._/+=%:", min_size=8, max_size=40).map(lambda text: f"sk-{text}")
ANY = st.text(max_size=30)


@given(st.lists(KEY, min_size=len(NAMES), max_size=len(NAMES)), st.data())
def test_no_key_is_left_in_any_text(values: list[str], data: st.DataObject) -> None:
    keys = Keys(dict(zip(NAMES, values, strict=True)))
    spelled = [form for key in values for form in (key, quote(key, safe=""), json.dumps(key).strip('"'))]
    parts = data.draw(st.lists(ANY | st.sampled_from(spelled), max_size=8))
    for redact in (keys.redact, keys.redact_reply):
        said = redact(" ".join(parts))
        assert not [form for form in spelled if form in said]


@given(st.sampled_from(["access_token", "client_id", "client_secret"]), KEY.map(quote), ANY)
def test_no_token_is_left_in_an_address(name: str, token: str, after: str) -> None:
    said = Keys({}).redact(f"POST http://127.0.0.1/chat?{name}={token}&x=1 failed {after}")
    assert f"{name}={token}" not in said
    assert f"?{name}=[token]&x=1 failed" in said


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
def test_any_refusal_has_a_meaning(status: int, body: object, headers: dict[str, str]) -> None:
    endpoint = Endpoint("wenxin", "m", "http://127.0.0.1")
    found = diagnose(AnswerRefused(status, body, headers), endpoint, has_answered=False)
    assert "wenxin:m" in found.message
    assert found.wait is None or 0 <= found.wait < float("inf")


@pytest.mark.parametrize("provider", KEY_NAMES)
def test_a_missing_key_is_asked_for_by_name(provider: Provider) -> None:
    if provider == "vllm":
        pytest.skip("needs none")
    names = KEY_NAMES[provider].split(" and ")
    with pytest.raises(MissingKey) as missing:
        Keys(dict.fromkeys(names[:-1], "only-the-first-part")).of(Endpoint(provider, "m", None))
    for name in names:
        assert f"{name}=…" in str(missing.value)
