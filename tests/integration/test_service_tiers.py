"""Service tiers: asked for, recorded as served, billed as such, and what a lack of room does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graph.settings import Settings
from runners.api import load_run
from standin import Fault, StandIn
from standin.server import StandIn as Server
from tests.conftest import look
from tests.gateways import QUICK, evolve
from tests.program import EXAMPLES, records, write

RUN = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 4, "--mode", "edit")
PRICE = ("--price", "openai:gpt-5.4-mini=1,1,1")
FLEX = ("--service-tier", "flex")
KEY = {"OPENAI_API_KEY": "sk-standin-openai-0001"}


def at(server: Server, model: str = "gpt-5.4-mini") -> tuple[str, ...]:
    return ("--model", f"openai:{model}", "--base-url", server.base_url("openai"))


def calls(folder: Path) -> list[dict[str, Any]]:
    return list(load_run(folder / "run").calls())


def test_a_tier_is_asked_for_recorded_and_billed(tmp_path: Path) -> None:
    with StandIn() as server:
        look(*RUN, *at(server), *FLEX, *PRICE, cwd=tmp_path, env=KEY)
        assert {chat.body["service_tier"] for chat in server.chats()} == {"flex"}
    made = calls(tmp_path)
    assert {call["service_tier"] for call in made} == {"flex"}
    tokens = sum(call["input_tokens"] + call["output_tokens"] for call in made)
    counted = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]
    assert counted["total"]["cost_complete"]
    assert round(counted["total"]["cost_usd"], 9) == round(tokens / 2_000_000, 9)
    assert counted["by_tier"]["flex"]["cost_usd"] == counted["total"]["cost_usd"]
    assert "4 of 4 calls were served and billed as flex" in look("stats", "run", cwd=tmp_path).stdout
    out = look("show", "run", made[0]["sample"], "--calls", cwd=tmp_path).stdout
    assert "served as flex" in " ".join(out.split())
    look("export", "run", "-o", "out.json", "--with-provenance", cwd=tmp_path)
    rows = json.loads((tmp_path / "out.json").read_text())
    assert round(sum(row["coevol_cost_usd"] for row in rows), 9) == round(tokens / 2_000_000, 9)


def test_what_counts_is_the_tier_that_was_served(tmp_path: Path) -> None:
    with StandIn(Fault("tier", nth="2", code="default")) as server:
        words = (*RUN, *at(server), "--service-tier", "priority", *PRICE, "--concurrency", 1)
        look(*words, cwd=tmp_path, env=KEY)
    made = calls(tmp_path)
    assert [call["service_tier"] for call in made] == ["priority", "default", "priority", "priority"]
    dollars = sum(
        (call["input_tokens"] + call["output_tokens"]) * (1 + (call["service_tier"] == "priority"))
        for call in made
    )
    total = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert round(total["cost_usd"], 9) == round(dollars / 1_000_000, 9)


def test_a_run_goes_on_in_another_tier_and_at_other_prices(tmp_path: Path) -> None:
    with StandIn() as server:
        look(*RUN, *at(server), cwd=tmp_path, env=KEY)
        assert not any("service_tier" in chat.body for chat in server.chats())
        before = calls(tmp_path)
        shown = look(
            *RUN[:4], "--mode", "edit", "--stop", 5, *at(server), *FLEX, *PRICE, cwd=tmp_path, env=KEY
        )
        assert " 1 call," in shown.stderr
    after = calls(tmp_path)
    assert [call["request"] for call in after[:4]] == [call["request"] for call in before]
    assert [call["service_tier"] for call in after] == ["default"] * 4 + ["flex"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["price"]


def test_a_budget_counts_with_the_prices_of_the_run(tmp_path: Path) -> None:
    with StandIn() as server:
        words = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--mode", "edit", *at(server))
        look(*words, "--stop", 2, *PRICE, cwd=tmp_path, env=KEY)
        shown = look(*words, "--budget", 0.0001, cwd=tmp_path, env=KEY, status=3).stderr
        assert "the budget (--budget 0.0001) allows no further call" in " ".join(shown.split())
        look(*words, "--budget", 5, cwd=tmp_path, env=KEY)
    total = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert total["cost_complete"]


def test_a_call_that_never_left_cost_nothing(tmp_path: Path) -> None:
    words = (*RUN, "--model", "openai:gpt-5.4-mini", *PRICE)
    look(*words, "--base-url", "http://127.0.0.1:9/v1", "--stop", 1, cwd=tmp_path, env=KEY, status=3)
    unreached = len(calls(tmp_path))
    assert unreached
    total = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert (total["calls"], total["cost_usd"], total["cost_complete"]) == (unreached, 0.0, True)
    with StandIn("no_usage:nth=2") as server:
        look(*words, "--base-url", server.base_url("openai"), "--stop", 1, cwd=tmp_path, env=KEY)
        counted = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
        assert counted["calls"] > unreached and counted["cost_complete"] and counted["cost_usd"] > 0
        assert "without token counts" not in look("stats", "run", cwd=tmp_path).stdout
        look("export", "run", "-o", "out.json", "--with-provenance", cwd=tmp_path)
        (row,) = json.loads((tmp_path / "out.json").read_text())[:1]
        assert row["coevol_cost_complete"] and row["coevol_calls"] > 1
        # What was answered without token counts may cost something.
        look(*words, "--base-url", server.base_url("openai"), "--stop", 2, cwd=tmp_path, env=KEY)
    counted = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["calls"]["total"]
    assert counted["without_usage"] == 1 and not counted["cost_complete"]


def test_a_lack_of_room_holds_up_one_call_and_slows_down_none(tmp_path: Path) -> None:
    no_room = Fault("429", nth="1/3", times=2, code="resource_unavailable", message="Resource unavailable.")
    with StandIn(no_room) as server:
        shown = look(*RUN, *at(server), *FLEX, "--concurrency", 2, cwd=tmp_path, env=KEY).stderr
    assert "4/4 samples" in shown and " 0 failed" in shown
    made = calls(tmp_path)
    assert sum(call["attempts"] for call in made) > len(made) and not any(call["failure"] for call in made)


def test_a_lack_of_room_ends_the_run_though_the_server_asks_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY["OPENAI_API_KEY"])
    no_room = Fault(
        "429", times=30, code="resource_unavailable", message="Unavailable.", retry_after="ms:200"
    )
    policy = replace(QUICK, max_call_seconds=1.0)
    with StandIn(no_room) as server:
        settings = Settings(
            model="openai:gpt-5.4-mini", base_url=server.base_url("openai"), service_tier="flex"
        )
        data = write(tmp_path / "data.json", records(6))
        ended = evolve(data, tmp_path / "run", settings, modes=("edit",), policy=policy)
    assert "No call had a reply for" in ended.message
    assert "--service-tier default does not wait for it" in ended.message


def test_a_model_without_the_tier_is_reported_before_and_stops_the_run(tmp_path: Path) -> None:
    with StandIn() as server:
        words = (*at(server, "gpt-4.1-mini"), *FLEX)
        checked = look("check", *words, cwd=tmp_path, env=KEY, status=2).stdout
        shown = look(*RUN, *words, cwd=tmp_path, env=KEY, status=3).stderr
        invalid = look(
            *RUN, *at(server), "--extra-body", '{"service_tier": "cheap"}', cwd=tmp_path, env=KEY, status=3
        )
    for text in (checked, shown):
        assert "Flex is not available for this model" in text and "Leave --service-tier out" in text
    assert "Invalid service_tier argument" in invalid.stderr and "--service-tier" in invalid.stderr
    words = ("--model", "openai:gpt-4.1-mini", "--dry-run", *FLEX)
    assert "have no tier flex" in look(*RUN, *words, cwd=tmp_path).stderr


def test_a_tier_is_said_of_the_models_that_are_asked_for_it(tmp_path: Path) -> None:
    words = ("--model", "vllm:standin", "--dry-run", *FLEX)
    shown = look(*RUN, *words, cwd=tmp_path)
    assert "has no service tiers: --service-tier flex is not sent" in shown.stderr
    assert "- Prices are list prices, without" in shown.stdout
    shown = look(*RUN, *words, "--model", "editor=openai:gpt-5.4-mini", cwd=tmp_path)
    assert "- Prices are list prices of the tier flex for openai:gpt-5.4-mini, without" in shown.stdout


def test_a_check_says_in_which_tier_it_was_served(tmp_path: Path) -> None:
    with StandIn() as server:
        assert "Served in the tier flex" in look("check", *at(server), *FLEX, cwd=tmp_path, env=KEY).stdout
        assert " tier" not in look("check", *at(server), cwd=tmp_path, env=KEY).stdout
    with StandIn(Fault("tier", code="default")) as server:
        shown = look("check", *at(server), *FLEX, cwd=tmp_path, env=KEY).stdout
    assert "It asked for the tier flex, and the reply names default, whose price counts" in shown
    with StandIn(Fault("tier", code="on_demand")) as server:
        shown = look("check", *at(server), *FLEX, cwd=tmp_path, env=KEY).stdout
    assert "names none, so the default price counts" in shown
