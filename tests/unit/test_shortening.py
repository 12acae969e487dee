"""Prompts that do not fit: what is shortened in them, how far, and what never is."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import DefaultAioHttpClient

import models.limits.context_window
from ledger.ledger import Ledger
from models.call import Message
from models.limits.context_window import ContextWindow
from models.limits.shortening import LEAST, MARK, shorten_longest, shortened
from models.settings import Endpoint, ModelSettings
from samples.tokens import estimate_tokens
from standin import StandIn
from tests import gateways
from tests.conftest import look

RECORDS = [
    {
        "id": f"r{number}",
        "instruction": f"Say what is good about the number {number}. " * 3,
        "input": "",
        "output": f"It is a number. I know {number * number} better ones. " * 4,
    }
    for number in range(8)
]
"""Of which each opening's prompt has some 1,250 tokens in pack `default`, most of them the pack's."""

POINTS = 40
"""The most points a debater makes: up to 1,200 tokens a speech."""

LIMITS: dict[str, tuple[str, dict[str, Any], tuple[object, ...], int]] = {
    "vllm": ("vllm:standin", {"context": 2600}, ("--max-tokens", 600), 2000),
    "no system role": (
        "vllm:standin-plain",
        {"context": 1300},
        ("--max-tokens", 300, "--prompts", "classic"),
        1000,
    ),
    "far-off limit": ("vllm:standin", {"context": 2600}, ("--max-tokens", 2500), 1950),
    "own limit": ("vllm:standin", {"context": 9000}, ("--max-input-tokens", 2000), 2000),
    "openai": ("openai:gpt-4o-mini", {}, ("--max-input-tokens", 2000), 2000),
}
"""A model, the server's options, ours, and the most tokens that a prompt may have."""


def evolve(server: StandIn, folder: Path, model: str, *words: object, status: int = 0) -> str:
    (folder / "data.json").write_text(json.dumps(RECORDS))
    url = server.base_url(model.partition(":")[0])
    given = ("evolve", "data.json", "-o", "run", "--max-rounds", 1, "--model", model, "--base-url", url)
    return look(*given, *words, cwd=folder, status=status).stderr


def made(folder: Path) -> list[dict[str, Any]]:
    return list(Ledger.open(folder / "run" / "ledger.sqlite").every_call())


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in StandIn().environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("case", LIMITS)
def test_the_debate_is_shortened_to_what_fits_and_nothing_else_is(case: str, tmp_path: Path) -> None:
    model, options, words, most = LIMITS[case]
    with StandIn(points=POINTS, **options) as server:
        evolve(server, tmp_path, model, *words)
        assert {chat.status for chat in server.chats()} <= {200, 400}
        sent = {chat.digest: chat for chat in server.chats() if chat.status == 200}
        assert len(sent) >= len(RECORDS) * 8
        # The estimate counts no frames of messages, which the server does.
        assert max(chat.asked for chat in sent.values()) <= most + (
            40 if "--max-input-tokens" in words else 0
        )
    calls = made(tmp_path)
    said = {(call["sample"], call["step"]): call["reply"] for call in calls}
    records = {record["id"]: record for record in RECORDS}
    cut = [call for call in calls if call["shortened_to"] is not None]
    assert {call["step"] for call in cut} == {"positive_free", "critical_free", "advisor"}
    for call in calls:
        text = "\n".join(message["content"] for message in call["messages"])
        record = records[call["sample"]]
        assert f"<request>\n{record['instruction']}\n</request>" in text
        assert call["step"] == "editor" or f"<response>\n{record['output']}\n</response>" in text
        assert (MARK in text) == (call["shortened_to"] is not None)
    for call in (call for call in cut if call["step"] == "advisor"):
        text = call["messages"][-1]["content"]
        speeches = re.findall(r"<(positive|critical)>\n(.*?)\n</\1>", text, re.DOTALL)
        whole = [
            said[call["sample"], f"{side}_{step}"]
            for step in ("opening", "free")
            for side in ("positive", "critical")
        ]
        # Fairly: what is longer than the bound is cut to it, what is not is left alone.
        assert [text for _, text in speeches] == [shortened(text, call["shortened_to"]) for text in whole]


@pytest.mark.parametrize("window", [0, 1])
def test_a_debater_remembers_its_own_prompt_whole(window: int, tmp_path: Path) -> None:
    with StandIn(points=POINTS, context=2600) as server:
        evolve(server, tmp_path, "vllm:standin", "--max-tokens", 600, "--memory-window", window)
    calls = {(call["sample"], call["step"]): call for call in made(tmp_path)}
    free = [call for (_, step), call in calls.items() if step.endswith("_free")]
    assert len(free) == 2 * len(RECORDS)
    shorter = [call for call in free if call["shortened_to"] is not None]
    assert shorter
    for call in shorter:
        side = call["step"].partition("_")[0]
        own = calls[call["sample"], f"{side}_opening"]
        said = shortened(own["reply"], call["shortened_to"])
        if window:  # what it said without the question opens the user's message
            assert call["messages"][0] == own["messages"][0]
            assert f"You said before:\n\n{said}\n\n" in call["messages"][1]["content"]
        else:
            assert call["messages"][:-1] == [*own["messages"], {"role": "assistant", "content": said}]


def test_a_run_finds_its_calls_again_whatever_the_limit_is(tmp_path: Path) -> None:
    with StandIn("no_balance:nth=50", points=POINTS, context=2600, latency=0.01) as server:
        words = ("--max-tokens", 600, "--concurrency", 4)
        evolve(server, tmp_path, "vllm:standin", *words, status=3)
        before = {call["number"]: call for call in made(tmp_path)}
        assert [call for call in before.values() if call["shortened_to"] is not None]
        server.order()
        # Its server is started with another context, and the user has another limit too.
        server.app.options = server.app.provider("vllm").options = StandIn(context=8000).options
        evolve(server, tmp_path, "vllm:standin", *words, "--max-input-tokens", 1900)
        after = {call["number"]: call for call in made(tmp_path)}
        assert before.items() <= after.items()
        places = Counter((call["sample"], call["step"]) for call in after.values() if not call["failure"])
        assert set(places.values()) == {1}
        assert len(places) == 8 * len(RECORDS)


def test_what_was_shortened_is_seen(tmp_path: Path) -> None:
    with StandIn(points=POINTS, context=2600) as server:
        evolve(server, tmp_path, "vllm:standin", "--max-tokens", 600)
    cut = [call for call in made(tmp_path) if call["shortened_to"] is not None]
    assert f"In {len(cut)} prompts the debate was shortened" in look("stats", "run", cwd=tmp_path).stdout
    total = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert total["shortened"] == len(cut)
    advisor = next(call for call in cut if call["step"] == "advisor")
    story = look("show", "run", advisor["sample"], "--calls", cwd=tmp_path).stdout
    assert f"Advisor (saw at most {advisor['shortened_to']:,} characters of each speech)" in story
    assert MARK in story


@pytest.mark.parametrize("model", ["vllm:standin", "openai:gpt-4o-mini"])
def test_what_does_not_fit_even_so_is_too_long_and_costs_no_call(model: str, tmp_path: Path) -> None:
    # Room for the openings, and not for what a debater has to remember beside the least of the speeches.
    limit = 1300
    with StandIn(points=POINTS) as server:
        words = ("--max-input-tokens", limit, "--max-failures", 1)
        evolve(server, tmp_path, model, *words, status=1)
        assert {chat.role for chat in server.chats()} == {"positive", "critical"}
    failed = [call for call in made(tmp_path) if call["failure"]]
    assert {call["step"] for call in failed} <= {"positive_free", "critical_free"}
    for call in failed:
        assert (call["attempts"], call["shortened_to"]) == (0, None)
        assert re.match(
            r"too long: the prompt has (?:about )?1,\d{3} tokens, the debate shortened; ", call["failure"]
        )
        assert f"takes {limit:,} by --max-input-tokens" in call["failure"]


async def test_a_server_that_was_starting_is_asked_for_its_context_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = StandIn(context=2600).start()
    server.stop()
    endpoint = Endpoint("vllm", "standin", server.base_url("vllm"))
    long = replace(gateways.call(), messages=[Message(role="user", content="many words " * 4000)])
    async with DefaultAioHttpClient() as client:
        room = ContextWindow(endpoint, "none", client, ModelSettings())
        assert await room.fit(long, list) == (long, None)
        with server:
            assert await room.fit(long, list) == (long, None)  # a moment ago it told nothing
            monkeypatch.setattr(models.limits.context_window, "ASK_AGAIN", 0)
            _, refusal = await room.fit(long, list)
            assert refusal
            assert "its context of 2,600" in refusal.told(str)


@given(st.text("ab .!?\n。」", max_size=900) | st.text(max_size=900), st.integers(LEAST, 900))
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
    assert to == LEAST or used <= tokens
    if short != texts and to > LEAST:
        # No more would have fitted.
        assert sum(estimate_tokens(shortened(text, to + 1)) for text in texts) > tokens
