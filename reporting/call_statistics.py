"""The calls of a run, and what they took, from the totals that its ledger keeps."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from ledger.usage import Counted, free_calls
from models.settings import ROLES, Role
from prompts.method import STEPS
from reporting.cost import NEVER_BILLED


@dataclass(slots=True)
class CallTotals:
    """Calls, and what they took."""

    calls: int = 0
    failed: int = 0
    """Those without a usable reply."""
    attempts: int = 0
    input_tokens: int = 0
    """The provider's own count, like all tokens here, over the calls that have one."""
    cached_tokens: int = 0
    """The part of `input_tokens` that came from a prefix cache."""
    output_tokens: int = 0
    without_usage: int = 0
    """Calls without token counts that may have cost something."""
    shortened: int = 0
    """Calls in whose prompts the debate was shortened to fit."""
    latency_sum: float = 0.0
    """Seconds, of each call's last attempt."""
    started_sum: float = 0.0
    """Of the Unix times of the calls with token counts."""
    p95_latency: float | None = None
    """Within half a percent."""

    @property
    def mean_latency(self) -> float | None:
        """The average latency."""
        return self.latency_sum / self.calls if self.calls else None

    def __iadd__(self, other: "CallTotals") -> "CallTotals":
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


_SUMMED = [name for name in CallTotals.__slots__ if name != "p95_latency"]


@dataclass(slots=True)
class CallStatistics:
    """The calls of a run."""

    total: CallTotals = field(default_factory=CallTotals)
    by_role: dict[Role, CallTotals] = field(default_factory=dict)
    by_model: dict[str, CallTotals] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], CallTotals] = field(default_factory=dict)
    """By mode, step and model; without 95th percentiles."""
    billed: dict[tuple[str, str, str], list[Counted]] = field(default_factory=dict)
    """Those of `lines` with token counts, by service tier."""

    def of_mode(self, mode: str) -> CallTotals:
        """Return the calls of a mode, without their 95th percentile."""
        sums = CallTotals()
        for line, some in self.lines.items():
            if line[0] == mode:
                sums += some
        return sums


def call_statistics(connection: Connection) -> CallStatistics:
    """Count the calls in a ledger."""
    found = CallStatistics()
    by_role: defaultdict[Role, CallTotals] = defaultdict(CallTotals)
    by_model: defaultdict[str, CallTotals] = defaultdict(CallTotals)
    for mode, step, model, *counts in connection.execute(text(_CALLS)):
        found.lines[mode, step, model] = CallTotals(*counts)
    if any(some.failed and some.without_usage for some in found.lines.values()):
        for which, number in free_calls(connection, NEVER_BILLED).items():
            found.lines[which].without_usage -= number
    for (_, step, model), some in found.lines.items():
        for sums in (found.total, by_role[STEPS[step].role], by_model[model]):
            sums += some
    for mode, *row in connection.execute(text(_BILLED)):
        line = Counted(*row)
        found.billed.setdefault((mode, line.step, line.model), []).append(line)
    latencies: defaultdict[tuple[str, Any], Counter[float]] = defaultdict(Counter)
    for step, model, latency, number in connection.execute(text(_LATENCIES)):
        for group in (("all", ""), ("role", STEPS[step].role), ("model", model)):
            latencies[group][latency] += number
    if found.total.calls:
        found.total.p95_latency = percentile(latencies["all", ""], 95)
    for role, calls in by_role.items():
        calls.p95_latency = percentile(latencies["role", role], 95)
    for model, calls in by_model.items():
        calls.p95_latency = percentile(latencies["model", model], 95)
    found.by_role = {role: by_role[role] for role in ROLES if role in by_role}
    found.by_model = dict(sorted(by_model.items()))
    return found


_CALLS = """
    SELECT mode, step, model, calls, failed, attempts, input_tokens, cached_tokens, output_tokens, uncounted,
        shortened, latency, started
    FROM call_totals
"""

_BILLED = """
    SELECT mode, step, model, calls, input_tokens, cached_tokens, output_tokens, started / calls, tier
    FROM billed
"""

_LATENCIES = "SELECT step, model, latency, sum(calls) FROM latency_totals GROUP BY 1, 2, 3"


def percentile(counted: Mapping[float, int], percent: int) -> float:
    """Return a percentile, by nearest rank, of values that occur so many times each."""
    rank = -(-percent * sum(counted.values()) // 100)
    for value in sorted(counted):
        rank -= counted[value]
        if rank <= 0:
            break
    return value
