"""How texts are shortened, and when a server is asked for its context. Whole runs: `test_long_prompts`."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from openai import DefaultAioHttpClient

from models.call import Message
from models.limits.context_window import ContextWindow
from models.limits.shortening import MARK, MIN_CHARS, shorten_longest, shortened
from models.settings import Endpoint, ModelSettings
from samples.tokens import estimate_tokens
from standin import StandIn
from tests.gateways import call


async def test_a_server_that_was_starting_is_asked_for_its_context_again() -> None:
    server = StandIn(context=2600).start()
    server.stop()
    endpoint = Endpoint("vllm", "standin", server.base_url("vllm"))
    long = replace(call(), messages=[Message(role="user", content="many words " * 4000)])
    async with DefaultAioHttpClient() as client:
        patient, eager = (
            ContextWindow(endpoint, "none", client, ModelSettings(), poll_interval)
            for poll_interval in (30, 0)
        )
        for window in (patient, eager):
            assert await window.fit(long, list) == (long, None)
        with server:
            assert await patient.fit(long, list) == (long, None)
            _, failure = await eager.fit(long, list)
            assert failure
            assert "its context of 2,600" in failure.describe(str)


@given(st.text("ab .!?\n。」", max_size=900) | st.text(max_size=900), st.integers(MIN_CHARS, 900))
def test_any_text_is_shortened_to_any_length(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    if len(text) <= most:
        assert short == text
        return
    kept = short.removesuffix(f"\n{MARK}")
    assert kept != short
    assert text.startswith(kept)
    assert len(shortened(text, most - 1)) <= len(short)


@given(
    st.lists(st.integers(0, 60).map(lambda words: " ".join(["Some words."] * words)), max_size=4),
    st.integers(-50, 700),
)
def test_the_longest_is_shortened_first(texts: list[str], tokens: int) -> None:
    short, to = shorten_longest(texts, tokens)
    assert short == [shortened(text, to) for text in texts]
    used = sum(map(estimate_tokens, short))
    assert to == MIN_CHARS or used <= tokens
    if short != texts and to > MIN_CHARS:
        # No more would have fitted.
        assert sum(estimate_tokens(shortened(text, to + 1)) for text in texts) > tokens
