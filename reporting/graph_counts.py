"""A graph with what happened on it: the calls at its nodes, and how often each edge was taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_core.runnables.graph import Graph

from graph.topology import drawing
from ledger.ledger import Ledger
from prompts.method import MODES
from reporting.step_counts import StepCalls, finished_exchanges, steps


@dataclass(frozen=True, slots=True)
class Walk:
    """A graph, and by node and by edge what happened there. Of a graph alone, not of a run, nothing is known.

    Nothing in it comes from a model or a data set.
    """

    graph: Graph
    calls: Mapping[str, StepCalls] = field(default_factory=dict)
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict)


def walked(ledger: Ledger, mode: str, *, lazy: bool, sample: str | None = None) -> Walk:
    """How the samples of a run went through the graph of a mode, or how one of them did.

    `lazy` says whether the run judged with `lazy_judge`: it decides which edges lead to the second judgement.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    graph = drawing(next(known for known in MODES if known == mode))
    calls = steps(ledger, mode, sample)
    finished = finished_exchanges(ledger, mode, sample)
    taken = {
        (edge.source, edge.target): _times(edge.source, edge.target, calls, finished, lazy=lazy)
        for edge in graph.edges
    }
    return Walk(graph, calls, taken)


def _times(source: str, target: str, calls: Mapping[str, StepCalls], finished: int, *, lazy: bool) -> int:
    visits = {step: numbers.visits for step, numbers in calls.items()}
    # A round begins where an exchange does, or where a draft was accepted.
    first = {step: numbers.first for step, numbers in calls.items()}
    opening = "positive_opening"
    decided = finished + visits.get(opening, 0) - first.get(opening, 0)
    at_once = max(decided - visits.get("judge_reversed", 0), 0) if lazy else 0
    match source, target:
        case "__start__", _:
            return max(first.values(), default=0)
        case "begin", _:
            return first.get(target, 0)
        case "decide", "positive_opening" | "critical_opening":
            return visits.get(target, 0) - first.get(target, 0)
        case "judge_forward", "decide":
            return at_once if lazy else decided
        case "judge_reversed", "decide":
            return decided - at_once
        case ("editor", "judge_reversed") if lazy:
            return 0
        case ("judge_forward", "judge_reversed") if not lazy:
            return 0
        case _, "adopt" | "finish" | "__end__":
            return finished
    return visits.get(target, 0)
