"""Statistics: every number equals a count over the samples one by one."""

import json
import math
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from ledger import browse
from ledger.browse import Filter
from ledger.ledger import Ledger
from models.providers.prices import cost
from models.settings import Endpoint
from reporting import chart_data
from reporting.comparison_table import GROWTH, Form, subtracted
from samples.tokens import estimate_tokens
from tests.conftest import look
from tests.program import DATA

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def stats(run: Path) -> Any:
    return json.loads(look("stats", run, "--json", cwd=run).stdout)


def test_the_results_are_those_of_the_samples(modes_run: Path) -> None:
    report = stats(modes_run)
    samples = list(Ledger.open(modes_run / "ledger.sqlite").samples())
    assert report["samples"] == {"records": 12, "finished": 12, "skipped": 0, "skipped_by_reason": {}}
    for mode in ("edit", "evolve"):
        found = report["modes"][mode]
        results = [by_mode[mode] for _, by_mode in samples]
        outcomes = [outcome for result in results for outcome in result.outcome]
        assert found["changed"] == sum(result.accepted_rounds > 0 for result in results)
        assert found["changed_exchanges"] == sum(o["response"] != o["original"] for o in outcomes)
        accepted = Counter(str(outcome["accepted_rounds"]) for outcome in outcomes)
        assert found["accepted_rounds"] == dict(accepted)
        assert found["endings"] == dict(Counter(outcome["ending"] for outcome in outcomes))
        ratios = [result.final_tokens / result.original_tokens for result in results]
        lengths = found["lengths"]
        assert lengths["average_original_tokens"] == mean(result.original_tokens for result in results)
        assert lengths["average_evolved_tokens"] == mean(result.final_tokens for result in results)
        assert lengths["median_ratio"] == pytest.approx(median(ratios))
        assert lengths["doubled"] == sum(ratio > 2 for ratio in ratios) / len(ratios)
    assert report["modes"]["edit"]["judging"] is None


def test_the_two_orders_are_compared_round_by_round(modes_run: Path) -> None:
    judging = stats(modes_run)["modes"]["evolve"]["judging"]
    expected: Counter[str] = Counter()
    for _, by_mode in Ledger.open(modes_run / "ledger.sqlite").samples():
        for round_ in by_mode["evolve"].outcome[0]["rounds"]:
            expected["rounds"] += 1
            expected["accepted"] += round_["accepted"]
            one, other = round_["forward"]["points"], round_["reversed"]["points"]
            if one is None or other is None:
                expected["both_unreadable" if one == other else "one_unreadable"] += 1
            elif one == other[::-1]:
                expected["agreed"] += 1
            elif one == other:
                expected["contradicted"] += 1
                expected["favoured_first" if one[0] > one[1] else "favoured_second"] += 1
            else:
                expected["one_tie"] += 1
    agreement = judging.pop("agreement")
    assert {name: number for name, number in judging.items() if number} == +expected
    read = expected["agreed"] + expected["one_tie"] + expected["contradicted"]
    assert agreement == expected["agreed"] / read


def test_calls_add_up_by_role_and_by_model(modes_run: Path) -> None:
    report = stats(modes_run)["calls"]
    ledger = Ledger.open(modes_run / "ledger.sqlite")
    calls = [call for sample, _ in ledger.samples() for call in ledger.calls(sample.id)]
    latencies = sorted(call["latency"] for call in calls)
    total = report["total"]
    assert total["calls"] == len(calls)
    assert total["input_tokens"] == sum(call["input_tokens"] for call in calls)
    assert total["output_tokens"] == sum(call["output_tokens"] for call in calls)
    assert total["mean_latency"] == pytest.approx(mean(latencies))
    nearest = latencies[math.ceil(0.95 * len(latencies)) - 1]
    assert total["p95_latency"] == pytest.approx(nearest, rel=0.005)  # its first three digits
    assert sum(role["calls"] for role in report["by_role"].values()) == len(calls)
    assert list(report["by_model"]) == ["rehearsal:"]
    assert report["by_model"]["rehearsal:"]["calls"] == len(calls)
    # An unknown cost is not zero.
    assert total["cost_usd"] is None
    assert total["cost_complete"] is False


def test_failures_and_skipped_records_are_counted_by_reason(failing_run: Path) -> None:
    report = stats(failing_run)
    assert report["samples"]["skipped_by_reason"] == {"a turn of function_call": 1}
    evolve = report["modes"]["evolve"]
    assert (evolve["finished"], evolve["failed"], evolve["exchanges"]) == (2, 1, 4)
    assert (evolve["changed"], evolve["changed_exchanges"]) == (2, 3)
    assert evolve["failures"] == {"content filter": 1}
    assert evolve["endings"] == {"max_rounds": 3, "failed": 1}
    assert report["calls"]["total"]["failed"] == 2  # both openings of the exchange


def test_what_failed_counts_as_unchanged(failing_run: Path) -> None:
    ledger = Ledger.open(failing_run / "ledger.sqlite")
    results = [by_mode["evolve"] for _, by_mode in ledger.samples() if "evolve" in by_mode]
    outcomes = [outcome for result in results for outcome in result.outcome]
    evolve = stats(failing_run)["modes"]["evolve"]
    assert evolve["accepted_rounds"] == {"0": 1, "2": 3} == by_accepted(outcomes)
    lengths = evolve["lengths"]
    original, final = (
        [sum(estimate_tokens(done[which]) for done in result.outcome) for result in results]
        for which in ("original", "response")
    )
    assert lengths["average_original_tokens"] == sum(original) / len(outcomes)
    assert lengths["average_evolved_tokens"] == sum(final) / len(outcomes)
    ratios = [new / old for old, new in zip(original, final, strict=True)]
    assert lengths["median_ratio"] == pytest.approx(median(ratios))
    assert lengths["doubled"] == sum(ratio > 2 for ratio in ratios) / len(ratios)
    # The table of samples and the charts count alike.
    assert browse.accepted(ledger, "evolve") == {0: 1, 2: 3}
    for wanted in (
        Filter(accepted=0),
        Filter(mode="evolve", accepted=0),
        Filter(accepted=0, status="failed"),
    ):
        assert browse.count(ledger, wanted) == 1
        (row,) = browse.page(ledger, wanted, "position", down=False, begin=0, size=9).found
        assert row.sample.id == "middle"
    assert list(map(sum, chart_data.lengths(ledger, "evolve"))) == [2, 2]


def by_accepted(outcomes: list[Any]) -> dict[str, int]:
    return dict(sorted(Counter(str(outcome["accepted_rounds"]) for outcome in outcomes).items()))


def test_tables_have_the_same_numbers_in_plain_text(modes_run: Path, failing_run: Path) -> None:
    shown = look("stats", modes_run, cwd=modes_run).stdout
    assert "\x1b" not in shown
    for words in ("12 of 12 finished", "samples worked on", "3 rounds accepted", "growth of the median"):
        assert words in shown
    rows = {line[:45].strip(): line[45:].split() for line in shown.splitlines()}
    # Mode edit has no judge.
    assert rows["rewritten, without a judge"] == ["12", "100", "%", "0", "0", "%"]
    assert rows["1 round accepted"] == ["3", "25", "%"]
    assert "unknown" in shown
    assert "Unknown cost: no price list has this model" in shown
    assert "$0" not in shown
    shown = look("stats", failing_run, cwd=failing_run).stdout
    assert "1 skipped: a turn of function_call" in shown
    assert "content filter" in shown


@pytest.mark.parametrize(
    ("numbers", "form", "shown"),
    [
        ((0.064, 0.066), Form(1, " %", " points", times=100), ("6.4 %", "6.6 %", "+0.2 points")),
        ((1.036, 1.114), GROWTH, ("1.04×", "1.11×", "+0.07")),
        ((1.05, 1.0), GROWTH, ("1.05×", "1.00×", "−0.05")),
        ((1.001, 1.002), GROWTH, ("1.00×", "1.00×", "=")),
        ((12, 3456), Form(0), ("12", "3,456", "+3,444")),
        ((1.5, 1.25), Form(2, currency="$"), ("$1.50", "$1.25", "−$0.25")),
    ],
)
def test_a_difference_is_that_of_the_rounded_numbers(
    numbers: tuple[float, float], form: Form, shown: tuple[str, str, str]
) -> None:
    assert subtracted(*numbers, form) == shown


def test_a_folder_that_is_not_a_run_is_refused_in_one_line(tmp_path: Path) -> None:
    for command in (("stats", "."), ("show", ".", "1")):
        ended = look(*command, cwd=tmp_path, status=2)
        assert ended.stderr.count("\n") == 1
        assert "is not a run" in ended.stderr


def test_a_price_is_that_of_the_address_that_was_called() -> None:
    model = Endpoint("openai", "gpt-4o-mini", None)
    known = cost(model, 1000, 1_000_000, 0, 1_000_000, NOVEMBER)
    assert known is not None
    assert 0.1 < known < 10
    cached = cost(model, 1000, 1_000_000, 1_000_000, 1_000_000, NOVEMBER)
    assert cached is not None
    assert cached < known
    assert cost(model, 2000, 2_000_000, 0, 2_000_000, NOVEMBER) == pytest.approx(2 * known)
    assert cost(model._replace(base_url="http://127.0.0.1:9/v1"), 1, 1, 0, 1, NOVEMBER) is None
    assert cost(Endpoint("openai", "no-such-model", None), 1, 1, 0, 1, NOVEMBER) is None
    assert cost(Endpoint("vllm", "gpt-4o-mini", None), 1, 1, 0, 1, NOVEMBER) is None
    assert cost(Endpoint("rehearsal", "", None), 1, 1, 0, 1, NOVEMBER) is None


def test_results_that_are_replaced_count_once(modes_run: Path, tmp_path: Path) -> None:
    before = stats(modes_run)
    run = shutil.copytree(modes_run, tmp_path / "run")
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger:
        ledger.execute("INSERT OR REPLACE INTO results SELECT * FROM results")
        ledger.commit()
        assert stats(run)["modes"] == before["modes"]
        ledger.execute("DELETE FROM results WHERE mode = 'edit'")
        ledger.commit()
    assert stats(run)["modes"]["edit"]["exchanges"] == 0


def test_runs_without_a_common_sample_are_compared_in_one_line(tmp_path: Path) -> None:
    for name, part in (("a", ("--stop", 2)), ("b", ("--start", 2, "--stop", 5))):
        look("evolve", DATA / "alpaca_en_40.json", "-o", name, "--mode", "edit", *part, cwd=tmp_path)
    shown = look("stats", "a", "b", cwd=tmp_path).stdout
    assert "No sample has a result in both (2 in A alone, 3 in B alone)" in shown
    assert "samples worked on" not in shown
