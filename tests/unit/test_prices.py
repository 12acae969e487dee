"""What calls cost: by service tier, and at prices that the user gives."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.limits.budget import worst_case
from models.providers.prices import cost, has_tier
from models.settings import Endpoint, ModelSettings
from standin import StandIn
from tests.conftest import look
from tests.program import EXAMPLES

AT = datetime(2026, 11, 26, tzinfo=UTC)
AZURE = "https://mine.openai.azure.com/openai/v1"
RUN = ("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--stop", 2, "--mode", "edit")


def price(endpoint: Endpoint, tier: str | None = None) -> float:
    found = cost(endpoint, 2, 2_000_000, 1_000_000, 500_000, AT, tier)
    assert found is not None
    return found


@pytest.mark.parametrize("url", [None, AZURE])
def test_flex_takes_half_the_list_price_and_priority_more(url: str | None) -> None:
    endpoint = Endpoint("openai", "gpt-5.4-mini", url)
    assert price(endpoint, "flex") == pytest.approx(price(endpoint) / 2)
    assert price(endpoint, "priority") > price(endpoint) == price(endpoint, "default")


def test_a_price_that_is_given_takes_the_place_of_the_list() -> None:
    endpoint = Endpoint("openai", "gpt-5.4-mini", None, (2.0, 0.5, 8.0))
    assert price(endpoint) == pytest.approx(2.0 + 0.5 + 4.0)
    assert price(endpoint, "flex") == pytest.approx(3.25)
    # Only OpenAI's tiers have these prices.
    assert price(endpoint._replace(provider="vllm"), "flex") == price(endpoint)


@pytest.mark.parametrize("given", [None, (2.0, 0.5, 8.0)])
def test_more_cached_tokens_than_a_prompt_has_make_no_call_cheaper(
    given: tuple[float, float, float] | None,
) -> None:
    endpoint = Endpoint("openai", "gpt-5.4-mini", None, given)
    assert cost(endpoint, 1, 100, 5000, 20, AT) == cost(endpoint, 1, 100, 100, 20, AT)


def test_the_worst_case_of_flex_is_the_default_tier() -> None:
    endpoint = Endpoint("openai", "gpt-5.4-mini", None)
    assert worst_case(endpoint, 1000, 500, "flex") == worst_case(endpoint, 1000, 500)
    assert worst_case(endpoint, 1000, 500, "priority").dollars > worst_case(endpoint, 1000, 500).dollars


def test_which_models_have_flex_shows_in_their_prices() -> None:
    assert has_tier(Endpoint("openai", "gpt-5.4-mini", None), "flex")
    assert not has_tier(Endpoint("openai", "gpt-4.1-mini", None), "flex")
    assert has_tier(Endpoint("openai", "a-model-to-come", None), "flex")


def test_flex_has_fifteen_minutes_unless_told_otherwise() -> None:
    assert ModelSettings(service_tier="flex").timeout == 900
    assert ModelSettings(service_tier="flex", timeout=60).timeout == 60
    assert ModelSettings(service_tier="priority").timeout == ModelSettings().timeout


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("openai:x=1,2", "expected three prices"),
        ("openai:x=1,2,3,4", "expected three prices"),
        ("openai:x", "expected MODEL=INPUT,CACHED,OUTPUT"),
        ("openai:x=1,2,three", "expected MODEL=INPUT,CACHED,OUTPUT"),
        ("openai:x=1,2,nan", "Input should be a finite number"),
        ("openai:x=1,-2,3", "greater than or equal to 0"),
        ("openai:y=1,2,3", "no role has this model; they have openai:x"),
    ],
)
def test_prices_that_cannot_be_used_are_refused(tmp_path: Path, given: str, complaint: str) -> None:
    shown = look(*RUN, "--model", "openai:x", "--price", given, cwd=tmp_path, status=2).stderr
    assert complaint in " ".join(shown.split())


def test_a_dry_run_says_what_is_likely_at_prices_of_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('model = "vllm:standin"\n[price]\n"vllm:standin" = [1, 0.1, 4]\n')
    words = ("--settings", "mine.toml", "--dry-run")
    shown = look(*RUN, *words, cwd=tmp_path).stdout
    assert "Calls    2\n" in shown
    assert (
        re.search(r"Likely   2 calls, [\d,]+ \+ [\d,]+ tokens, \$0.00", shown)
        and "no price list" not in shown
    )
    shown = look(*RUN, *words, "--mode", "evolve", cwd=tmp_path).stdout
    assert "- Likely: 50 % of the drafts are accepted" in shown
    # A price on the command line counts instead of that in the file.
    shown = look(*RUN, *words, "--price", "vllm:standin=0,0,0", cwd=tmp_path).stdout
    assert "Dollars  none" in shown


def test_a_dry_run_goes_by_what_finished_samples_took(tmp_path: Path) -> None:
    records = [{"instruction": f"Name {n} fruits.", "input": "", "output": "Apples."} for n in range(24)]
    (tmp_path / "data.json").write_text(json.dumps(records))
    words = ("evolve", "data.json", "-o", "run", "--max-rounds", 2, "--rehearsal-wins", 1)
    look(*words, "--stop", 20, cwd=tmp_path)
    shown = look(*words, "--dry-run", cwd=tmp_path).stdout
    assert "Likely   64 calls" in shown  # each sample took two rounds of eight calls
    assert "Likely is what the 20 samples took that are finished" in shown and "50 %" not in shown


def test_what_is_likely_has_the_price_of_the_tier_that_is_asked_for(tmp_path: Path) -> None:
    records = [{"instruction": f"Name {n} fruits.", "input": "", "output": "Apples."} for n in range(24)]
    (tmp_path / "data.json").write_text(json.dumps(records))
    key = {"OPENAI_API_KEY": "sk-standin-openai-0001"}
    with StandIn() as server:
        at = ("--model", "openai:gpt-5.4-mini", "--base-url", server.base_url("openai"))
        price = ("--price", "openai:gpt-5.4-mini=1000,1000,1000")
        words = ("evolve", "data.json", "-o", "run", "--mode", "edit", *at, *price)
        look(*words, "--stop", 20, cwd=tmp_path, env=key)

    def likely(*tier: str) -> float:
        shown = look(*words, *tier, "--dry-run", cwd=tmp_path, env=key).stdout
        assert "- Prices are those given (--price)" in shown
        (found,) = re.findall(r"Likely .* tokens, \$([\d.]+)\n", shown)
        return float(found)

    usual = likely()
    assert likely("--service-tier", "flex") == pytest.approx(usual / 2, rel=0.02)
    assert likely("--service-tier", "priority") == pytest.approx(usual * 2, rel=0.02)


def test_a_price_is_given_once_and_by_model(tmp_path: Path) -> None:
    twice = ("--price", "openai:x=1,1,1", "--price", "openai:x=2,2,2")
    shown = look(*RUN, "--model", "openai:x", *twice, cwd=tmp_path, status=2).stderr
    assert "--price is given twice for openai:x" in shown
    (tmp_path / "mine.toml").write_text("price = 3\n")
    shown = look(*RUN, "--settings", "mine.toml", cwd=tmp_path, status=2).stderr
    assert "price: expected a table by model, not 3" in shown


@pytest.mark.parametrize("prices", ["1,4", "1,0.1,4,2", "1"])
def test_a_price_has_three_parts(prices: str, tmp_path: Path) -> None:
    given = ("--model", "vllm:x", "--dry-run", "--price", f"vllm:x={prices}")
    assert "[INPUT, CACHED, OUTPUT]" in look(*RUN, *given, cwd=tmp_path, status=2).stderr
    for line in (f"[{prices}]", f'"{prices}"'):
        (tmp_path / "mine.toml").write_text(f'model = "vllm:x"\nprice = {{ "vllm:x" = {line} }}\n')
        shown = look(*RUN, "--settings", "mine.toml", cwd=tmp_path, status=2).stderr
        assert "price.vllm:x: expected three prices, [INPUT, CACHED, OUTPUT]" in shown


def test_prices_in_another_order_are_refused(tmp_path: Path) -> None:
    run = (*RUN, "--model", "vllm:x", "--dry-run")
    shown = look(*run, "--price", "vllm:x=1,4,0.1", cwd=tmp_path, status=2).stderr
    assert "the order is INPUT,CACHED,OUTPUT" in shown
    (tmp_path / "mine.toml").write_text('[price]\n"vllm:x" = [1, 4, 0.1]\n')
    shown = look(*run, "--settings", "mine.toml", cwd=tmp_path, status=2).stderr
    assert "the order is INPUT,CACHED,OUTPUT" in shown
    look(*run, "--price", "vllm:x=1,1,0", cwd=tmp_path)


def test_a_budget_in_dollars_needs_a_price_that_may_be_given(tmp_path: Path) -> None:
    with StandIn() as server:
        model = ("--model", "vllm:standin", "--base-url", server.base_url("vllm"), "--budget", 1)
        assert "--price gives it one" in look(*RUN, *model, cwd=tmp_path, status=2).stderr
        look(*RUN, *model, "--price", "vllm:standin=1,0.1,4", cwd=tmp_path)
    assert "≥" not in (shown := look("stats", "run", cwd=tmp_path).stdout)
    assert "$0.0" in shown and "Unknown cost" not in shown


def test_a_call_without_token_counts_is_no_missing_price(tmp_path: Path) -> None:
    records = [
        {"instruction": f"Name {what}.", "input": "", "output": "Yes."} for what in ("fruits", "withheld")
    ]
    (tmp_path / "data.json").write_text(json.dumps(records))
    with StandIn("content_filter:word=withheld") as server:
        words = ("--mode", "edit", "--model", "vllm:standin", "--base-url", server.base_url("vllm"))
        price = ("--price", "vllm:standin=1,0.1,4")
        look("evolve", "data.json", "-o", "run", *words, *price, cwd=tmp_path, status=1)
    shown = look("stats", "run", cwd=tmp_path).stdout
    assert "≥ $0.0" in shown and "1 call came back without token counts" in shown
    assert "no price list" not in shown
