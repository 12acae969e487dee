"""The budget of a run, which is never exceeded, and the forecast of what a run will take."""

import asyncio
import random
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.call import Message
from models.errors.exceptions import RunStopped
from models.limits.budget import MAX_UNPROVEN_CALLS, Budget, Usage, prompt_tokens, worst_case
from models.providers.prices import cost
from models.settings import Endpoint
from standin import StandIn
from tests.conftest import look
from tests.gateways import call, gateway_to
from tests.program import EXAMPLES, records, write

MINI = Endpoint("openai", "gpt-5.4-mini", None)
"""A model with a list price. Nothing here calls it."""


def tokens_recorded(run: Path) -> tuple[int, int]:
    """Return the number of recorded calls of a run and the tokens they took."""
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger:
        query = "SELECT count(*), coalesce(sum(input_tokens + output_tokens), 0) FROM calls"
        calls, tokens = ledger.execute(query).fetchone()
    return calls, tokens


def calls_of_unfinished(run: Path) -> int:
    """Return the number of recorded calls of samples without a result."""
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger:
        finished = "SELECT id FROM samples JOIN results USING (position)"
        (calls,) = ledger.execute(f"SELECT count(*) FROM calls WHERE sample NOT IN ({finished})").fetchone()
    return int(calls)


# --- the budget


@pytest.mark.parametrize("appetite", [1.0, 0.2])
async def test_no_call_exceeds_the_dollars_with_64_in_flight(appetite: float) -> None:
    limit, most, at = 0.10, 1000, datetime.now(UTC)
    budget, chance = Budget(dollars=limit), random.Random(1)
    prices: list[float] = []
    in_flight = most_in_flight = stopped = 0

    async def worker() -> None:
        nonlocal in_flight, most_in_flight, stopped
        while True:
            messages = [Message(role="user", content="One more word of it. " * chance.randint(1, 200))]
            try:
                reservation = await budget.reserve(MINI, messages, most)
            except RunStopped:
                stopped += 1
                return
            in_flight += 1
            most_in_flight = max(most_in_flight, in_flight)
            for _ in range(chance.randint(1, 20)):
                await asyncio.sleep(0)
            # What the provider counts differs from the estimate.
            usage = Usage(
                round(prompt_tokens(messages) * chance.uniform(0.7, 1.5)), 0, round(most * appetite)
            )
            prices.append(cost(MINI, 1, usage.input, 0, usage.output, at) or 0.0)
            in_flight -= 1
            budget.settle(reservation, usage)

    await asyncio.gather(*(worker() for _ in range(64)))
    dearest = max(prices)
    assert stopped == 64 and most_in_flight > 1
    assert limit - 2 * dearest / appetite < sum(prices) <= limit
    assert budget.spent.dollars == pytest.approx(sum(prices))


async def test_calls_over_http_stop_before_the_tokens_are_used_up() -> None:
    limit = 1000
    with StandIn() as server:
        budget = Budget(tokens=limit)
        async with gateway_to(server, budget=budget, max_tokens=100) as client:
            replies = await client.ask(*map(call, range(200)))
            counted = [(made.input_tokens or 0) + (made.output_tokens or 0) for made in client.records]
            (reason,) = {str(reply) for reply in replies if isinstance(reply, RunStopped)}
        assert sum(isinstance(reply, str) for reply in replies) == len(counted) == len(server.chats())
        # Calls waited for those in flight, so that only the last worst case is left over.
        assert limit - 200 < sum(counted) == budget.spent.tokens <= limit
        assert f"spent {sum(counted):,} tokens" in reason
        assert f"--budget-tokens {limit}" in reason


async def test_a_refused_attempt_is_free_and_a_lost_one_counts_as_its_worst_case() -> None:
    messages = call().messages
    worst = worst_case(MINI, prompt_tokens(messages), 100).tokens
    with StandIn("429:nth=1") as server:
        async with gateway_to(server, budget=Budget(tokens=worst), max_tokens=100) as client:
            assert [type(reply) for reply in await client.ask(call())] == [str]
    with StandIn("reset") as server:
        budget = Budget(tokens=2 * worst)
        async with gateway_to(server, budget=budget, max_tokens=100) as client:
            assert [type(reply) for reply in await client.ask(call())] == [RunStopped]
        assert len(server.chats()) == 2
        assert budget.spent.tokens == 2 * worst


async def test_what_a_provider_counts_beyond_the_worst_case_is_learned() -> None:
    budget = Budget(tokens=10_000)
    messages = [Message(role="user", content="Hello.")]
    budget.settle(await budget.reserve(MINI, messages, 100), Usage(3000, 0, 1500))
    budget.settle(await budget.reserve(MINI, messages, 100), Usage(3000, 0, 1500))
    with pytest.raises(RunStopped, match="up to 4,500"):
        await budget.reserve(MINI, messages, 100)


@pytest.mark.parametrize("asked", [None, "auto", "flex"])
async def test_calls_in_a_dearer_tier_than_asked_for_keep_to_the_budget(asked: str | None) -> None:
    limit, most, messages = 0.10, 1000, call().messages
    budget, used = Budget(dollars=limit), Usage(prompt_tokens(messages), 0, most, "priority")
    made = 0

    async def worker() -> None:
        nonlocal made
        with pytest.raises(RunStopped):
            while True:
                reservation = await budget.reserve(MINI, messages, most, asked)
                made += 1
                await asyncio.sleep(0)
                budget.settle(reservation, used)

    await asyncio.gather(*(worker() for _ in range(64)))
    worst = worst_case(MINI, prompt_tokens(messages), most, "priority").dollars
    assert budget.spent.dollars == pytest.approx(
        made * (cost(MINI, 1, *used[:3], datetime.now(UTC), "priority") or 0)
    )
    # No project serves calls that ask for flex in priority; where one does, the first few exceed it.
    assert (
        limit - worst < budget.spent.dollars <= limit + (MAX_UNPROVEN_CALLS * worst if asked == "flex" else 0)
    )


async def test_a_server_that_ignores_the_limit_on_replies_gets_a_few_calls_too_many_at_most() -> None:
    limit, notices = 20_000, list[str]()
    with StandIn("unlimited", latency=0.01) as server:
        budget = Budget(tokens=limit)
        async with gateway_to(server, budget=budget, max_tokens=100, notify=notices.append) as client:
            await client.ask(*map(call, range(200)))
            longest = max((made.input_tokens or 0) + (made.output_tokens or 0) for made in client.records)
    assert longest > 900
    assert limit / 2 < budget.spent.tokens <= limit + MAX_UNPROVEN_CALLS * longest
    (notice,) = notices
    assert "ignores the limit on replies" in notice and "--extra-body" in notice


def test_a_budget_and_a_forecast_follow_the_limit_that_is_sent(tmp_path: Path) -> None:
    words = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--model", "vllm:standin", "--dry-run")
    _, short = numbers(look(*words, "--extra-body", '{"max_tokens": 50}', cwd=tmp_path).stdout, "Tokens")
    _, long = numbers(look(*words, cwd=tmp_path).stdout, "Tokens")
    assert short < long
    endless = ("--extra-body", 'judge={"max_tokens": null}')
    assert "removes the limit for judge" in look(*words, *endless, cwd=tmp_path).stdout
    refused = look(*words, *endless, "--budget-tokens", 1000, cwd=tmp_path, status=2).stderr
    assert "a budget needs a limit on replies" in refused


def test_a_run_stops_at_its_budget_and_resumes_with_a_larger_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data.json", records(6))
    words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-5.4-mini", "--max-tokens", 300)
    with StandIn() as server:
        there = ("--base-url", server.base_url("openai"))
        for name, key in server.environment().items():
            monkeypatch.setenv(name, key)
        refused = look(*words, *there, "--budget", 5, cwd=tmp_path, status=2)
        assert "openai:gpt-5.4-mini" in refused.stderr and "--budget-tokens" in refused.stderr
        assert not (tmp_path / "run").exists()

        first = look(*words, *there, "--budget-tokens", 20_000, cwd=tmp_path, status=3)
        calls, tokens = tokens_recorded(tmp_path / "run")
        assert calls == len(server.chats()) and 10_000 < tokens <= 20_000
        assert f"this run has spent {tokens:,} tokens" in " ".join(first.stderr.split())

        # At OpenAI's own address the recorded calls have a price, which is more than this. Nothing is called.
        second = look(*words, "--budget", 0.0001, cwd=tmp_path, status=3)
        said = " ".join(second.stderr.split())
        assert "this run has spent $0.0" in said and said.endswith("(--dry-run estimates what it takes)")
        assert tokens_recorded(tmp_path / "run") == (calls, tokens)

        dry = look(*words, *there, "--dry-run", "--budget-tokens", 20_000, cwd=tmp_path)
        assert f"Spent    {tokens:,} tokens" in dry.stdout and "stop before it is done" in dry.stdout
        assert f"Recorded {calls_of_unfinished(tmp_path / 'run'):,} calls" in dry.stdout
        least, most = numbers(dry.stdout, "Calls")

        look(*words, *there, "--budget-tokens", 2_000_000, cwd=tmp_path)
        asked = [request.digest for request in server.chats()]
        assert len(asked) == len(set(asked)) == tokens_recorded(tmp_path / "run")[0]
        assert least <= len(asked) - calls <= most


# --- the forecast


def numbers(text: str, name: str) -> tuple[int, int]:
    """Return the least and the most in a line of the forecast."""
    (line,) = re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)
    found = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", line)]
    return found[0], found[-1]


def test_a_dry_run_estimates_the_price_without_key_call_or_folder(tmp_path: Path) -> None:
    words = (
        "evolve",
        EXAMPLES / "alpaca_en.json",
        "-o",
        "run",
        "--dry-run",
        "--model",
        "openai:gpt-5.4-mini",
    )
    text = look(*words, "--stop", 3, "--max-tokens", 700, "--budget", 0.003, cwd=tmp_path).stdout
    assert not list(tmp_path.iterdir())
    assert numbers(text, "Samples") == (3, 3)
    least, most, likely = re.findall(r"\$([\d.]+)", text)
    assert float(least) < float(likely) < float(most)
    inputs, outputs = (
        re.findall(rf"([\d,]+) to ([\d,]+) of {what}", text)[0] for what in ("prompts", "replies")
    )
    for dollars, *tokens in zip((least, most), inputs, outputs, strict=True):
        asked, replied = (int(number.replace(",", "")) for number in tokens)
        assert float(dollars) == pytest.approx(cost(MINI, 1, asked, 0, replied, datetime.now(UTC)), rel=0.02)
    assert outputs == (f"{3 * 8 * 30:,}", f"{3 * 30 * 700:,}")
    assert "between 30 tokens and 700" in text and "between 1 round and 3" in text
    assert "the run will stop before it is done" in text


def test_a_forecast_holds_and_counts_what_is_finished(tmp_path: Path) -> None:
    words = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--max-rounds", 2, "--max-tokens", 200)
    # Every draft is accepted, and no verdict is unreadable: the most there is.
    certain = (*words, "--rehearsal-wins", 1, "--judge-retries", 0)
    _, most = numbers(look(*certain, "--dry-run", cwd=tmp_path).stdout, "Calls")
    look(*certain, "--stop", 4, cwd=tmp_path)
    calls, _ = tokens_recorded(tmp_path / "run")
    text = look(*certain, "--dry-run", cwd=tmp_path).stdout
    assert numbers(text, "Calls")[1] == most - calls
    assert "4 finished before" in text and re.search(r"Dollars +none", text)
    differently = look(*words, "--dry-run", cwd=tmp_path, status=2)
    assert "made differently" in differently.stderr


def test_a_forecast_of_conversations_holds(tmp_path: Path) -> None:
    words = ("evolve", EXAMPLES / "sharegpt_en.json", "-o", "run", "--mode", "edit", "--mode", "evolve")
    text = look(*words, "--dry-run", cwd=tmp_path).stdout
    assert "in 2 modes" in text and "1 skipped" in text and "conversation" in text
    look(*words, cwd=tmp_path)
    least, most = numbers(text, "Calls")
    assert least <= tokens_recorded(tmp_path / "run")[0] <= most
