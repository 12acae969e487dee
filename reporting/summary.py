"""The summary of a run: the object of `coevol stats --json`.

It stays as it is from version to version, except for new fields:

- `run`: what made it: `created`, `data`, `modes`, `models` by role, `prompts`, `settings`, `versions`, and
  `later`: limits on replies that it continued with, each with its time (`at`, `max_tokens`).
- `samples`: `records` in the data, `finished` in at least one mode, `skipped`, and `skipped_by_reason`.
- `modes`: by mode the fields of `reporting.statistics.ModeStatistics`, with those of `Lengths`, `Judging`
  (null in modes without a judge), `Deciding` (null where no user has decided anything) and `Checking` (null
  where there was neither a reference nor a check), and `calls`, with those of `CallTotals` but the 95th
  percentile.
- `calls`: `total`, `by_role` and `by_model`, each with the fields of `reporting.call_statistics.CallTotals`;
  and `by_tier`, where servers said that they served calls in other tiers than the default one: those calls,
  their tokens, and what they cost.

Calls and modes also have `cost_usd`, null where no price is known, and `cost_complete`: false where the price
or the tokens of some calls are unknown and their cost is missing.

Shares and ratios are plain numbers (0.5 is half, a ratio of 2 is twice), latencies are seconds; what cannot
be computed (an average of nothing) is null.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import chain
from math import fsum
from typing import Any

from ledger.usage import Counted
from prompts.method import STEPS
from reporting.call_statistics import CallStatistics, CallTotals
from reporting.cost import cost
from reporting.manifest import Manifest, endpoints, shown_settings
from reporting.run import Run
from reporting.statistics import ModeStatistics, Statistics, statistics


def summary(run: Run, modes: list[str] | None = None) -> dict[str, Any]:
    """Summarize a run, or some of its modes.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return summarize(run.manifest, statistics(run.ledger, modes or run.modes))


def summarize(manifest: Manifest, found: Statistics) -> dict[str, Any]:
    """Summarize a run from its statistics."""
    bill = _Bill(manifest, found.calls)
    return {
        "run": what_made(manifest),
        "samples": {
            "records": manifest["data"]["records"],
            "finished": found.samples,
            "skipped": sum(found.skipped.values()),
            "skipped_by_reason": found.skipped,
        },
        "modes": {
            mode: _mode(numbers)
            | bill.of(lambda m, s, n, mode=mode: m == mode)
            | {"calls": _calls_of_mode(found.calls.of_mode(mode))}
            for mode, numbers in found.modes.items()
        },
        "calls": {
            "total": _calls(found.calls.total) | bill.of(lambda m, s, n: True),
            "by_role": {
                role: _calls(calls) | bill.of(lambda m, s, n, role=role: STEPS[s].role == role)
                for role, calls in found.calls.by_role.items()
            },
            "by_model": {
                model: _calls(calls) | bill.of(lambda m, s, n, model=model: n == model)
                for model, calls in found.calls.by_model.items()
            },
            **({"by_tier": tiers} if (tiers := bill.by_tier()) else {}),
        },
    }


def what_made(manifest: Manifest) -> dict[str, Any]:
    """Return what made a run, for those who see it."""
    return {
        "created": manifest["created"],
        "data": {name: value for name, value in manifest["data"].items() if name not in ("types", "dialect")},
        "modes": manifest["modes"],
        "models": {role: endpoint.model for role, endpoint in endpoints(manifest).items()},
        "prompts": manifest["prompts"],
        "settings": shown_settings(manifest),
        "versions": manifest["versions"],
        "later": manifest.get("later", []),
    }


class _Bill:
    """What the calls of a run cost, in all and in part."""

    def __init__(self, manifest: Manifest, calls: CallStatistics) -> None:
        models = endpoints(manifest)
        self._prices = {
            line: [(each, cost(models, each)) for each in calls.billed.get(line, [])] for line in calls.lines
        }
        self._without_usage = {line for line, some in calls.lines.items() if some.without_usage}

    def of(self, is_wanted: Callable[..., bool]) -> dict[str, Any]:
        """Return `cost_usd` and `cost_complete` of the calls that are wanted by mode, step and model."""
        wanted = {line for line in self._prices if is_wanted(*line)}
        prices = [price for line in wanted for _, price in self._prices[line]]
        whole = None not in prices and not wanted & self._without_usage
        # Calls that never reached a model cost nothing.
        is_free = whole and bool(wanted) and not prices
        return {"cost_usd": 0.0 if is_free else _sum(prices), "cost_complete": whole}

    def by_tier(self) -> dict[str, dict[str, Any]]:
        """Return the calls that were served in other tiers than the default one."""
        tiers: dict[str, list[tuple[Counted, float | None]]] = {}
        for line, price in chain(*self._prices.values()):
            if line.tier:
                tiers.setdefault(line.tier, []).append((line, price))
        fields = ("calls", "input_tokens", "cached_tokens", "output_tokens")
        return {
            tier: {name: sum(getattr(line, name) for line, _ in lines) for name in fields}
            | {"cost_usd": _sum(price for _, price in lines)}
            for tier, lines in sorted(tiers.items())
        }


def _sum(prices: Iterable[float | None]) -> float | None:
    """Return the sum of the prices that are known, None where none is."""
    known = [price for price in prices if price is not None]
    return fsum(known) if known else None


def _mode(numbers: ModeStatistics) -> dict[str, Any]:
    fields = asdict(numbers)
    if not numbers.panel:
        del fields["panel"]  # which runs with one judge do not have
    if numbers.judging:
        fields["judging"]["agreement"] = numbers.judging.agreement
    return fields


def _calls_of_mode(calls: CallTotals) -> dict[str, Any]:
    totals = _calls(calls)
    del totals["p95_latency"]  # which is not counted by mode
    return totals


def _calls(calls: CallTotals) -> dict[str, Any]:
    fields = asdict(calls)
    del fields["latency_sum"], fields["started_sum"]
    return fields | {"mean_latency": calls.mean_latency}
