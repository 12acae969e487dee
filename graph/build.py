"""The graph of an exchange, in each mode. In mode `evolve`:

    begin → positive_opening ┐   ┌ positive_free ┐                             ┌ judge_forward  ┐
          → critical_opening ┴ → ┴ critical_free ┴ → advisor → editor → guards ┴ judge_reversed ┴ → decide ┐
                    ↑___________________________ while the draft is accepted ______________________________┘

A draft that `guards` refuses ends the exchange at once; of several drafts from one prompt (best-of-n) each is
a round, whatever becomes of it. With `lazy_judge` the judgments follow one another, and the second is left
out where the first decides.

The other modes are parts of it (`prompts.method.MODES`); without a judge, `guards` is the last node. The
order, and what each agent sees, are the method's (arXiv 2406.07054).

All nodes and edges are coroutines: LangGraph hands plain functions to a thread each time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graph.asking import Speak, asking
from graph.settings import Settings, settings_of
from graph.state import (
    Agreement,
    AlpacaRecord,
    ExchangeFailure,
    ExchangeResult,
    ExchangeState,
    Routing,
)
from models.errors.exceptions import CallFailed
from nodes.advisor import advisor
from nodes.agent import Node
from nodes.checks import Check, no_checks
from nodes.debater import free, opening
from nodes.decision import (
    STOPPED,
    DecisionView,
    DraftView,
    RefusedView,
    adopt,
    decide,
    ending_of_drafts,
    keep_best,
    settled,
)
from nodes.edited import HeardView, as_edited, is_as_said
from nodes.editor import editor
from nodes.guards.node import checked, guards
from nodes.judge import judge
from prompts.method import DEBATE, Mode
from samples.alpaca import PARTS
from samples.formats import parse_record
from samples.references import reference_texts
from samples.sample import DataError

ExchangeGraph = CompiledStateGraph[ExchangeState, Settings, AlpacaRecord, ExchangeResult]

Again = Callable[[ExchangeState], Awaitable[list[str]]]
"""Says which nodes follow the decision."""


def exchange_graph(mode: Mode, speak: Speak, check: Check = no_checks) -> ExchangeGraph:
    """Build the graph that works on one exchange.

    It takes an Alpaca record and returns an `ExchangeResult`; a call that fails ends it with `CallFailed`.
    `check` is for settings with a check.
    """
    ask = asking(mode.name, speak, drafts=mode.is_best_of)
    graph = StateGraph(
        ExchangeState,
        context_schema=settings_of(mode),
        input_schema=AlpacaRecord,
        output_schema=ExchangeResult,
    )
    graph.add_node("begin", begin)
    graph.add_edge(START, "begin")
    first, last = ["editor"], ["begin"]  # the steps that open a round, and those that the next step waits for

    if DEBATE[0] in mode.steps:
        graph.add_node("positive_opening", opening("positive", ask))
        graph.add_node("critical_opening", opening("critical", ask))
        graph.add_node("positive_free", free("positive", ask))
        graph.add_node("critical_free", free("critical", ask))
        first = ["positive_opening", "critical_opening"]
        for node in first:
            graph.add_edge("begin", node)
        _join(graph, first, "positive_free")
        _join(graph, first, "critical_free")
        last = ["positive_free", "critical_free"]

    if "advisor" in mode.steps:
        graph.add_node("advisor", advisor(mode, ask))
        _join(graph, last, "advisor")
        first, last = first if DEBATE[0] in mode.steps else ["advisor"], ["advisor"]

    graph.add_node("editor", editor(mode, ask))
    _join(graph, last, "editor")
    graph.add_edge("editor", "guards")
    guard, last_of_all = guards(mode, check), finish(mode, check)

    if mode.is_judged:
        graph.add_node("guards", _routed(guard))
        graph.add_node("judge_forward", judge("forward", ask))
        graph.add_node("judge_reversed", judge("reversed", ask))
        again = after_draft if mode.is_best_of else _after_decision(first)
        graph.add_node("decide", _deciding(keep_best if mode.is_best_of else decide, again))
        refused = "decide" if mode.is_best_of else "finish"
        judges = ["judge_forward", "judge_reversed"]
        graph.add_conditional_edges("guards", _after_guards(refused), [*judges, refused])
        graph.add_conditional_edges("judge_forward", after_forward, ["judge_reversed", "decide"])
        graph.add_edge("judge_reversed", "decide")
        graph.add_conditional_edges("decide", again, [*first, "finish"])
        graph.add_node("finish", last_of_all)
        graph.add_edge("finish", END)
    else:
        graph.add_node("guards", _then(guard, last_of_all))
        graph.add_edge("guards", END)
    return graph.compile(name=mode.name)


def _join(graph: Any, sources: list[str], target: str) -> None:
    """Let a node follow all of these, which end in the same superstep, so that it runs once.

    An edge from a list of nodes would do the same; but LangGraph's server loses it from a thread's history,
    and there would be no way to continue from there.
    """
    for source in sources:
        graph.add_edge(source, target)


_SPEECHES = ("positive_memory", "critical_memory", "positive_weighed", "critical_weighed")
"""What the debaters leave in the state, for one round."""

_EARLIER = (*_SPEECHES, "reference", "agrees")
"""What the state may still hold of an earlier record, and no node replaces."""


class BeginView(AlpacaRecord, total=False):
    """The record, and `_EARLIER`."""

    positive_memory: Any
    critical_memory: Any
    positive_weighed: Any
    critical_weighed: Any
    reference: Any
    agrees: Any


async def begin(state: BeginView, runtime: Runtime[Settings]) -> dict[str, Any]:
    """Take the record in.

    Raises:
        ValueError: the graph has no settings, or the method cannot work on this record; the message says why.
    """
    require_settings(runtime)
    for other in ("conversations", "messages"):
        if state.get(other):
            raise ValueError(f"this record has `{other}`: use the graph `conversation`")
    if state.get("history"):
        raise ValueError(
            "this record has `history`, earlier exchanges, which this graph does not work on: use the graph "
            "`conversation`, with all of it as `conversations` or `messages`"
        )
    if state.get("instruction") is None:
        raise ValueError("this record has no `instruction`, the request to respond to")
    given: Mapping[str, Any] = state
    record = {name: given[name] for name in PARTS if given.get(name) is not None}
    try:
        parsed = parse_record({"output": "", **record}, "alpaca", runtime.context.thoughts)
    except DataError as error:
        raise ValueError(f"this record cannot be worked on: {error}") from None
    if parsed.skip:
        raise ValueError(f"this record cannot be worked on: {parsed.skip}")
    (exchange,) = parsed.exchanges
    references = list(reference_texts(state.get("references")))
    known: dict[str, Any] = {name: None for name in _EARLIER if state.get(name)}
    if references:
        known["reference"] = reference_text(references)
    return known | {
        "id": state.get("id") or "",
        "exchange": state.get("exchange") or 0,
        "round": 1,
        "system": parsed.system,
        "instruction": exchange.instruction,
        "input": exchange.input,
        "original": exchange.response,
        "response": exchange.response,
        "references": references,
        "rounds": [],
        "routing": _routing(runtime.context),
    }


def _routing(settings: Settings) -> Routing:
    return Routing(
        max_rounds=settings.max_rounds,
        drafts=settings.drafts,
        lazy_judge=settings.lazy_judge,
        verdict=settings.verdict,
    )


def _routed(node: Node[RefusedView]) -> Node[RefusedView]:
    """Let a node renew what the edges read, since in Studio settings change between two steps."""

    async def routed(state: RefusedView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        return {**await node(state, runtime=runtime), "routing": _routing(runtime.context)}

    return routed


def _then(node: Node[RefusedView], following: Node[ExchangeState]) -> Node[ExchangeState]:
    """Make one node of two: each takes LangGraph a quarter of a millisecond, in mode `edit` a tenth of
    what the sample costs."""

    async def both(state: ExchangeState, *, runtime: Runtime[Any]) -> dict[str, Any]:
        update = await node(cast(RefusedView, state), runtime=runtime)
        return update | await following(cast(ExchangeState, {**state, **update}), runtime=runtime)

    return both


def _deciding(decision: Callable[[DecisionView], dict[str, Any]], again: Again) -> Any:
    async def deciding(state: HeardView, runtime: Runtime[Settings]) -> dict[str, Any]:
        heard = cast(DecisionView, {**state, **await as_edited(state, runtime.context)})
        # What was said in this round is in its record: the next one begins without it.
        update = {**decision(heard), "routing": _routing(runtime.context)}
        if "finish" not in await again(cast(ExchangeState, {**state, **update})):
            update |= {name: None for name in _SPEECHES if state.get(name)}
        return update

    return deciding


def reference_text(references: Sequence[str]) -> str:
    """Return what the judge is shown of references."""
    if len(references) == 1:
        return references[0]
    return "\n".join(["One of these:", *(f"- {text}" for text in references)])


def _after_guards(refused: str) -> Any:
    async def after_guards(state: ExchangeState) -> list[str]:
        """Judge the draft unless there is nothing to judge: in both orders at once, with `lazy_judge` in the
        first."""
        if state.get("ending") in STOPPED:
            return [refused]
        return ["judge_forward"] if state["routing"]["lazy_judge"] else ["judge_forward", "judge_reversed"]

    return after_guards


async def after_forward(state: ExchangeState) -> Literal["judge_reversed", "decide"]:
    """Decide once all judgments are there that the decision needs.

    Judged at once, both end in the same superstep, so the decision is made once.
    """
    routing = state["routing"]
    if not routing["lazy_judge"]:
        return "decide"
    if is_as_said(state, "forward") and settled(state["forward"], routing["verdict"]):
        return "decide"
    return "judge_reversed"


def _after_decision(first: list[str]) -> Again:
    async def after_decision(state: ExchangeState) -> list[str]:
        """Loop: another round while the draft was accepted and `max_rounds` allows it."""
        rounds = state["rounds"]  # a person may have emptied it
        accepted = bool(rounds) and rounds[-1]["accepted"]
        return first if accepted and state["round"] <= state["routing"]["max_rounds"] else ["finish"]

    return after_decision


async def after_draft(state: ExchangeState) -> list[str]:
    """Loop: as many drafts as `drafts` says."""
    return ["editor"] if state["round"] <= state["routing"]["drafts"] else ["finish"]


def finish(mode: Mode, check: Check) -> Node[ExchangeState]:
    """Create the node that counts what was accepted, and checks what the exchange began with.

    Without a judge it adopts the draft first, unless there is none or a guard refused it. Of several drafts
    it says why none was accepted where none could be compared.
    """

    async def node(state: ExchangeState, *, runtime: Runtime[Settings]) -> dict[str, Any]:
        adopted = {} if mode.is_judged or state.get("ending") in STOPPED else adopt(cast(DraftView, state))
        accepted = sum(done["accepted"] for done in {**state, **adopted}["rounds"])
        update: dict[str, Any] = {**adopted, "accepted_rounds": accepted}
        if mode.is_best_of and state["rounds"]:
            update["ending"] = ending_of_drafts(state["rounds"])
        original = await checked(state, state["original"], runtime.context, check)
        if original:
            # A draft that does not pass is never accepted.
            final = True if accepted else original.agrees
            update["agrees"] = Agreement(original=original.agrees, final=final)
        return update

    return node


def failed_exchange(number: int, original: str, failure: CallFailed) -> ExchangeResult:
    """Return the result of an exchange that could not be finished: its original response, and the reason."""
    return ExchangeResult(
        exchange=number,
        original=original,
        response=original,
        ending="failed",
        accepted_rounds=0,
        rounds=[],
        failure=ExchangeFailure(
            step=failure.step, round=failure.round, reason=failure.kind, message=str(failure)
        ),
    )


def require_settings(runtime: Runtime[Settings]) -> None:
    """Raise ValueError if a graph was invoked without settings: they are its context."""
    if runtime.context is None:
        raise ValueError("the graph has no settings: invoke it with context=Settings(...)")
