"""Prompts that do not fit: what is shortened in them, how far, and what never is."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models.limits.shortening import MARK, shortened
from standin import StandIn
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
"""In pack `default` the prompt of an opening has about 300 tokens, most of them the pack's."""

POINTS = 40
"""The most points a debater makes: up to 1,200 tokens a speech."""

LIMITS: dict[str, tuple[str, dict[str, Any], tuple[object, ...], int]] = {
    "vllm": ("vllm:standin", {"context": 1200}, ("--max-tokens", 300), 900),
    "no system role": (
        "vllm:standin-plain",
        {"context": 1300},
        ("--max-tokens", 300, "--prompts", "classic"),
        1000,
    ),
    "large reply limit": ("vllm:standin", {"context": 2000}, ("--max-tokens", 1900), 1500),
    "lower limit": ("vllm:standin", {"context": 9000}, ("--max-input-tokens", 1500), 1500),
    "openai": ("openai:gpt-4o-mini", {}, ("--max-input-tokens", 1500), 1500),
}
"""A model, the server's options, our options, and the most tokens that a prompt may have."""


def evolve(server: StandIn, folder: Path, model: str, *words: object, status: int = 0) -> str:
    (folder / "data.json").write_text(json.dumps(RECORDS))
    url = server.base_url(model.partition(":")[0])
    given = ("evolve", "data.json", "-o", "run", "--max-rounds", 1, "--model", model, "--base-url", url)
    return look(*given, *words, cwd=folder, status=status).stderr


def calls_of(folder: Path) -> list[dict[str, Any]]:
    return list(Ledger.open(folder / "run" / "ledger.sqlite").all_calls())


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in StandIn().environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("case", LIMITS)
def test_only_the_debate_is_shortened_to_what_fits(case: str, tmp_path: Path) -> None:
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
    calls = calls_of(tmp_path)
    replies = {(call["sample"], call["step"]): call["reply"] for call in calls}
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
            replies[call["sample"], f"{side}_{step}"]
            for step in ("opening", "free")
            for side in ("positive", "critical")
        ]
        # What is longer than the bound is cut to it, the rest is left alone.
        assert [text for _, text in speeches] == [shortened(text, call["shortened_to"]) for text in whole]


@pytest.mark.parametrize("window", [0, 2])
def test_a_debater_sees_its_own_first_prompt_whole(window: int, tmp_path: Path) -> None:
    with StandIn(points=POINTS, context=1400) as server:
        evolve(server, tmp_path, "vllm:standin", "--max-tokens", 600, "--memory-window", window)
    calls = {(call["sample"], call["step"]): call for call in calls_of(tmp_path)}
    free = [call for (_, step), call in calls.items() if step.endswith("_free")]
    assert len(free) == 2 * len(RECORDS)
    shorter = [call for call in free if call["shortened_to"] is not None]
    assert shorter
    for call in shorter:
        side = call["step"].partition("_")[0]
        own = calls[call["sample"], f"{side}_opening"]
        speech = shortened(own["reply"], call["shortened_to"])
        if window:  # a speech without its question opens the user's message
            assert call["messages"][0] == own["messages"][0]
            assert f"You said before:\n\n{speech}\n\n" in call["messages"][1]["content"]
        else:
            assert call["messages"][:-1] == [*own["messages"], {"role": "assistant", "content": speech}]


def test_a_resumed_run_finds_its_calls_whatever_the_limit_is(tmp_path: Path) -> None:
    with StandIn("no_balance:nth=50", points=POINTS, context=1400, latency=0.01) as server:
        words = ("--max-tokens", 600, "--concurrency", 4)
        evolve(server, tmp_path, "vllm:standin", *words, status=3)
        before = {call["number"]: call for call in calls_of(tmp_path)}
        assert [call for call in before.values() if call["shortened_to"] is not None]
        server.order()
        # The server is restarted with another context, and the user sets another limit.
        server.app.options = server.app.provider("vllm").options = StandIn(context=8000).options
        evolve(server, tmp_path, "vllm:standin", *words, "--max-input-tokens", 1000)
        after = {call["number"]: call for call in calls_of(tmp_path)}
        assert before.items() <= after.items()
        addresses = Counter((call["sample"], call["step"]) for call in after.values() if not call["failure"])
        assert set(addresses.values()) == {1}
        assert len(addresses) == 8 * len(RECORDS)


def test_what_was_shortened_is_reported(tmp_path: Path) -> None:
    with StandIn(points=POINTS, context=1400) as server:
        evolve(server, tmp_path, "vllm:standin", "--max-tokens", 600)
    cut = [call for call in calls_of(tmp_path) if call["shortened_to"] is not None]
    assert f"was shortened to fit in {len(cut)} prompts." in look("stats", "run", cwd=tmp_path).stdout
    total = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert total["shortened"] == len(cut)
    advisor = next(call for call in cut if call["step"] == "advisor")
    story = look("show", "run", advisor["sample"], "--calls", cwd=tmp_path).stdout
    assert f"Advisor (saw at most {advisor['shortened_to']:,} characters of each speech)" in story
    assert MARK in story


@pytest.mark.parametrize("model", ["vllm:standin", "openai:gpt-4o-mini"])
def test_what_does_not_fit_even_shortened_costs_no_call(model: str, tmp_path: Path) -> None:
    # Room for the openings, but not for a debater's first prompt and the shortest speeches.
    limit = 400
    with StandIn(points=POINTS) as server:
        words = ("--max-input-tokens", limit, "--max-failures", 1)
        evolve(server, tmp_path, model, *words, status=1)
        assert {chat.role for chat in server.chats()} == {"positive", "critical"}
    failed = [call for call in calls_of(tmp_path) if call["failure"]]
    assert {call["step"] for call in failed} <= {"positive_free", "critical_free"}
    for call in failed:
        assert (call["attempts"], call["shortened_to"]) == (0, None)
        assert call["failure_kind"] == "too long"
        shortened = r"the prompt has (?:about )?(\d+) tokens, the debate shortened; "
        found = re.match(shortened, call["failure"])
        assert found
        assert limit < int(found[1]) < 2 * limit
        assert f"takes {limit:,} by --max-input-tokens" in call["failure"]
