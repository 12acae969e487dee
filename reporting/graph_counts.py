"""Counts over a graph: the calls at its nodes, and how often each edge was taken."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_core.runnables.graph import Graph
from sqlalchemy import text

from graph.topology import depths, topology
from ledger.ledger import Ledger
from nodes.decision import STOPPED
from prompts.method import STEPS
from reporting.call_statistics import percentile
from reporting.transcript import CallRow, transcript


@dataclass(frozen=True, slots=True)
class StepCounts:
    """The calls of one step, of all samples or of one.

    Token counts are the providers' own; latencies are seconds of each call's last attempt. Percentiles over
    all samples are within half a percent.
    """

    calls: int
    visits: int
    """Rounds that reached the step, which may make several calls after a failure or an unreadable verdict.
    Over all samples, also those of attempts that were superseded."""
    first_visits: int
    """Those of them that were an exchange's first round."""
    failed: int
    input_tokens: int
    output_tokens: int
    median_latency: float
    p95_latency: float


@dataclass(frozen=True, slots=True)
class GraphCounts:
    """A graph, and by node and edge what happened there. Nothing in it comes from a model or a data set."""

    graph: Graph
    calls: Mapping[str, StepCounts] = field(default_factory=dict)
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Empty for a graph alone, without a run."""


def graph_counts(ledger: Ledger, mode: str, *, lazy: bool, sample: str | None = None) -> GraphCounts:
    """Count how the samples of a run, or one of them, went through the graph of a mode.

    `lazy` says whether the run judged with `lazy_judge`, which decides which edges lead to the second
    judgment.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    graph = topology(mode)
    calls = _of_all(ledger, mode) if sample is None else _of_sample(ledger, mode, sample)
    endings = _endings(ledger, mode, sample)
    return GraphCounts(graph, calls, _taken(graph, calls, endings, lazy=lazy))


def _taken(
    graph: Graph, calls: Mapping[str, StepCounts], endings: Mapping[str, int], *, lazy: bool
) -> dict[tuple[str, str], int]:
    visits = {step: counts.visits for step, counts in calls.items()}
    first = {step: counts.first_visits for step, counts in calls.items()}
    depth = depths(graph)
    finished = sum(endings.values())
    # Of several drafts from one prompt, one that is not judged ends its round and not the exchange.
    skips = any((edge.source, edge.target) == ("guards", "decide") for edge in graph.edges)
    is_judged = any(edge.source == "decide" for edge in graph.edges)
    stopped = 0 if skips else sum(endings.get(ending, 0) for ending in STOPPED)
    # A round begins with an exchange, or after the round before.
    repeats = {step: visits[step] - first[step] for step in calls}
    loop_targets = {edge.target for edge in graph.edges if depth[edge.target] < depth[edge.source]}
    decided = finished - stopped + max((repeats.get(step, 0) for step in loop_targets), default=0)
    skipped = max(decided - visits.get("judge_forward", 0), 0) if skips else 0
    decided -= skipped
    decided_by_first = max(decided - visits.get("judge_reversed", 0), 0) if lazy else 0

    def times(source: str, target: str) -> int:
        match source, target:
            case "__start__", _:
                return max(first.values(), default=0)
            case "begin", _:
                return first.get(target, 0)
            case "judge_forward", "decide":
                return decided_by_first if lazy else decided
            case "judge_reversed", "decide":
                return decided - decided_by_first
            case _, "judge_reversed" if (source == "judge_forward") != lazy:
                return 0
            case "editor", "guards":
                return visits.get("editor", 0)
            case "guards", "finish" if is_judged:
                return stopped
            case "guards", "decide":
                return skipped
            case "decide", "finish":
                return finished - stopped
        if depth[target] < depth[source]:
            return repeats.get(target, 0)
        return visits.get(target, 0) if target in STEPS else finished

    return {(edge.source, edge.target): times(edge.source, edge.target) for edge in graph.edges}


def _of_all(ledger: Ledger, mode: str) -> dict[str, StepCounts]:
    calls = ledger.rows(text(_CALLS), mode=mode)
    latencies: defaultdict[str, Counter[float]] = defaultdict(Counter)
    for step, latency, number in ledger.rows(text(_LATENCIES), mode=mode):
        latencies[step][latency] += number
    return {
        row[0]: StepCounts(*row[1:], *(percentile(latencies[row[0]], percent) for percent in (50, 95)))
        for row in calls
    }


def _of_sample(ledger: Ledger, mode: str, sample: str) -> dict[str, StepCounts]:
    calls = [call for call in ledger.calls(sample) if call["mode"] == mode]
    found = ledger.sample(sample)
    visits, first = Counter[str](), Counter[str]()
    for done in found[1][mode].outcome if found and mode in found[1] else []:
        for number, steps in transcript(calls, done, mode).items():
            reached = [step for step, step_calls in steps.items() if step_calls.counted]
            visits.update(reached)
            first.update(reached if number == 1 else [])
    by_step: defaultdict[str, list[CallRow]] = defaultdict(list)
    for call in calls:
        by_step[call["step"]].append(call)
    return {
        step: StepCounts(
            calls=len(some),
            visits=visits[step],
            first_visits=first[step],
            failed=sum(call["failure"] is not None for call in some),
            input_tokens=sum(call["input_tokens"] or 0 for call in some),
            output_tokens=sum(call["output_tokens"] or 0 for call in some),
            median_latency=percentile(Counter(call["latency"] for call in some), 50),
            p95_latency=percentile(Counter(call["latency"] for call in some), 95),
        )
        for step, some in by_step.items()
    }


def _endings(ledger: Ledger, mode: str, sample: str | None) -> dict[str, int]:
    """Count the exchanges that did not fail by how they ended, of all samples or of one."""
    if sample is None:
        return dict(ledger.rows(text(_ALL_ENDINGS), mode=mode))
    return dict(ledger.rows(text(_ENDINGS), mode=mode, sample=sample))


_ALL_ENDINGS = """
    SELECT ending, sum(exchanges) FROM exchange_totals WHERE mode = :mode AND ending <> 'failed' GROUP BY 1
"""

_ENDINGS = """
    SELECT json_extract(exchange.value, '$.ending') AS ending, count(*)
    FROM results, json_each(results.outcome) AS exchange
    WHERE mode = :mode AND position = (SELECT position FROM samples WHERE id = :sample)
        AND ending <> 'failed'
    GROUP BY 1
"""

_CALLS = """
    SELECT step, sum(calls), sum(visits), sum(first_visits), sum(failed), sum(input_tokens),
        sum(output_tokens)
    FROM call_totals WHERE mode = :mode GROUP BY step
"""

_LATENCIES = "SELECT step, latency, calls FROM latency_totals WHERE mode = :mode"
