"""Records and Hypothesis strategies for them, for the tests of samples."""

from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
REQUESTS = TEXTS.filter(str.strip)
NAMES = st.text("abcxyz_", min_size=1, max_size=4)

# JSON allows integers beyond 64 bits.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
EXTRAS = st.dictionaries(NAMES, VALUES, max_size=3)

HOSTILE: list[dict[str, Any]] = [
    {"id": "../../x", "instruction": "{{ 7*7 }} {instruction} {% raw %}", "output": "a\x00b"},
    {"id": 2**80, "instruction": "👩🏽‍🚀 שלום العربية \u202e\u2028\u2029\x85", "output": "\ufeff"},
    {"id": "", "instruction": "line\n" * 50_000, "output": "x" * 1_000_000},
    {"": None, "instruction": '"\\"]}[{,', "output": "\r\n\t", "deep": [[[[{"a": [1.5, -0.0]}]]]]},
]
"""Records with texts that are easily broken on their way."""


@st.composite
def alpaca(draw: st.DrawFn) -> dict[str, Any]:
    """A valid Alpaca record."""
    record: dict[str, Any] = {"instruction": draw(REQUESTS), "output": draw(TEXTS)}
    if draw(st.booleans()):
        record["input"] = draw(TEXTS)
    if draw(st.booleans()):
        record["system"] = draw(TEXTS)
    return record | draw(EXTRAS)


@st.composite
def sharegpt(draw: st.DrawFn) -> dict[str, Any]:
    """A valid ShareGPT record."""
    return {"conversations": draw(_turns("from", "value", "human", "gpt"))} | draw(EXTRAS)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A valid OpenAI-style messages record."""
    return {"messages": draw(_turns("role", "content", "user", "assistant"))} | draw(EXTRAS)


@st.composite
def _turns(draw: st.DrawFn, role: str, content: str, user: str, assistant: str) -> list[Any]:
    turns: list[Any] = []
    if draw(st.booleans()):
        turns.append({role: "system", content: draw(TEXTS)})
    for _ in range(draw(st.integers(1, 3))):
        turns.append({role: user, content: draw(REQUESTS)} | draw(EXTRAS))
        turns.append({role: assistant, content: draw(TEXTS)} | draw(EXTRAS))
    if draw(st.booleans()):
        turns.append({role: user, content: draw(TEXTS)})
    return turns
