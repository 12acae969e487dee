"""The graphs: the exchange graph in each mode, and the conversation graph around it.

An exchange, in mode `evolve`:

    begin → positive_opening ┐   ┌ positive_free ┐                    ┌ judge_forward  ┐
          → critical_opening ┴ → ┴ critical_free ┴ → advisor → editor ┴ judge_reversed ┴ → decide ┐
                    ↑______________________ while the draft is accepted __________________________┘

With `lazy_judge` the judgements follow one another, and the second is left out where the first decides.

The other modes are parts of it. The order, and what each agent sees, are the method's (arXiv 2406.07054).
"""

from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Literal, Protocol, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graph.conversation import reached_its_end, request_of, turns_of
from graph.settings import Settings
from graph.state import (
    AlpacaRecord,
    ConversationRecord,
    ConversationResult,
    ConversationState,
    ExchangeResult,
    ExchangeState,
    Failure,
)
from models.call import Call, Shortenable, Step, VerdictForm
from models.errors.kinds import CallFailed
from nodes.advisor import advisor
from nodes.agent import Ask
from nodes.debater import free, opening
from nodes.decision import adopt, decide, settled
from nodes.editor import editor
from nodes.judge import judge
from nodes.settings import AgentSettings
from prompts.method import Mode
from prompts.pack import Message
from samples.formats import parse_record
from samples.sample import DataError

ExchangeGraph = CompiledStateGraph[ExchangeState, Settings, AlpacaRecord, ExchangeResult]
ConversationGraph = CompiledStateGraph[ConversationState, Settings, ConversationRecord, ConversationResult]


class Speak(Protocol):
    """The way a graph reaches models: makes a call and gives the reply."""

    def __call__(self, call: Call, settings: Settings) -> Awaitable[str]:
        """Make a call. Raises `CallFailed` where this call cannot be done."""
        ...


def exchange_graph(mode: Mode, speak: Speak) -> ExchangeGraph:
    """The graph that works on one exchange.

    It takes an Alpaca record and gives an `ExchangeResult`; a call that fails ends it with `CallFailed`.
    """
    ask = _asker(mode, speak)
    graph = StateGraph(
        ExchangeState,
        context_schema=Settings,
        input_schema=AlpacaRecord,
        output_schema=ExchangeResult,
    )
    graph.add_node("begin", begin)
    graph.add_edge(START, "begin")

    if mode in ("debate", "evolve"):
        graph.add_node("positive_opening", opening("positive", ask))
        graph.add_node("critical_opening", opening("critical", ask))
        graph.add_node("positive_free", free("positive", ask))
        graph.add_node("critical_free", free("critical", ask))
        graph.add_edge("begin", "positive_opening")
        graph.add_edge("begin", "critical_opening")
        graph.add_edge(["positive_opening", "critical_opening"], "positive_free")
        graph.add_edge(["positive_opening", "critical_opening"], "critical_free")

    if mode != "edit":
        debated = mode in ("debate", "evolve")
        graph.add_node(
            "advisor",
            advisor(ask, sees_response=mode != "advise-blind", sees_debate=debated),
        )
        if debated:
            graph.add_edge(["positive_free", "critical_free"], "advisor")
        else:
            graph.add_edge("begin", "advisor")

    graph.add_node(
        "editor",
        editor(
            ask,
            sees_response=mode not in ("edit", "advise-blind"),
            sees_suggestions=mode != "edit",
        ),
    )
    graph.add_edge("begin" if mode == "edit" else "advisor", "editor")

    if mode == "evolve":
        graph.add_node("judge_forward", judge("forward", ask))
        graph.add_node("judge_reversed", judge("reversed", ask))
        graph.add_node("decide", decide)
        graph.add_edge("editor", "judge_forward")
        graph.add_conditional_edges("editor", beside_forward, ["judge_reversed"])
        graph.add_conditional_edges("judge_forward", after_forward, ["judge_reversed", "decide"])
        graph.add_edge("judge_reversed", "decide")
        graph.add_conditional_edges(
            "decide", after_decision, ["positive_opening", "critical_opening", "finish"]
        )
    else:
        graph.add_node("adopt", adopt)
        graph.add_edge("editor", "adopt")
        graph.add_edge("adopt", "finish")

    graph.add_node("finish", finish)
    graph.add_edge("finish", END)
    return graph.compile(name=mode)


def conversation_graph(mode: Mode, speak: Speak) -> ConversationGraph:
    """The graph that works on a conversation, exchange by exchange.

    It takes a ShareGPT record or OpenAI-style messages and gives a `ConversationResult`. An exchange with
    a call that fails keeps its response, and the conversation goes on with the next one.
    """
    exchange = exchange_graph(mode, speak)

    async def evolve_exchange(state: ConversationState, runtime: Runtime[Settings]) -> dict[str, Any]:
        settings, number = runtime.context, state["exchange"]
        turn = state["turns"][number]
        record = request_of(state["turns"], number, state["system"], settings)
        record |= {"id": state["id"], "exchange": number, "output": turn["response"]}
        try:
            result: Any = await exchange.ainvoke(record, context=settings)
        except CallFailed as failure:
            result = failed_exchange(number, turn["response"], failure)
        turns = list(state["turns"])
        turns[number] = {"request": turn["request"], "response": result["response"]}
        return {"turns": turns, "results": [*state["results"], result], "exchange": number + 1}

    graph = StateGraph(
        ConversationState,
        context_schema=Settings,
        input_schema=ConversationRecord,
        output_schema=ConversationResult,
    )
    graph.add_node("read", read)
    graph.add_node("exchange_graph", evolve_exchange)
    graph.add_edge(START, "read")
    graph.add_edge("read", "exchange_graph")
    graph.add_conditional_edges("exchange_graph", after_exchange, ["exchange_graph", END])
    return graph.compile(name="conversation")


def begin(state: AlpacaRecord, runtime: Runtime[Settings]) -> dict[str, Any]:
    """The node that takes the record in.

    Raises:
        ValueError: the graph has no settings, or the method cannot work on this record; the message says why.
    """
    _need_settings(runtime)
    try:
        parsed = parse_record({"output": "", **state}, "alpaca")
    except DataError as error:
        raise ValueError(f"this record cannot be worked on: {error}") from None
    if parsed.skip:
        raise ValueError(f"this record cannot be worked on: {parsed.skip}")
    (exchange,) = parsed.exchanges
    return {
        "id": state.get("id", ""),
        "exchange": state.get("exchange", 0),
        "round": 1,
        "system": parsed.system,
        "instruction": exchange.instruction,
        "input": exchange.input,
        "original": exchange.response,
        "response": exchange.response,
        "rounds": [],
    }


def beside_forward(state: ExchangeState, runtime: Runtime[Settings]) -> list[Literal["judge_reversed"]]:
    """Both orders are judged side by side, unless `lazy_judge` waits for the first."""
    return [] if runtime.context.lazy_judge else ["judge_reversed"]


def after_forward(state: ExchangeState, runtime: Runtime[Settings]) -> Literal["judge_reversed", "decide"]:
    """The decision, once all judgements are there that it needs.

    Judged side by side, both end in the same step, so that the decision is made once.
    """
    settings = runtime.context
    if settings.lazy_judge and not settled(state["forward"], settings.verdict):
        return "judge_reversed"
    return "decide"


def after_decision(
    state: ExchangeState, runtime: Runtime[Settings]
) -> list[Literal["positive_opening", "critical_opening", "finish"]]:
    """The loop: another round while the draft was accepted and `max_rounds` allows it."""
    accepted = state["rounds"][-1]["accepted"]
    if accepted and state["round"] <= runtime.context.max_rounds:
        return ["positive_opening", "critical_opening"]
    return ["finish"]


def finish(state: ExchangeState) -> dict[str, Any]:
    """The node that counts what was accepted."""
    return {"accepted_rounds": sum(done["accepted"] for done in state["rounds"])}


def failed_exchange(number: int, original: str, failure: CallFailed) -> ExchangeResult:
    """The result of an exchange that could not be finished: its original response, and the reason."""
    return ExchangeResult(
        exchange=number,
        original=original,
        response=original,
        ending="failed",
        accepted_rounds=0,
        rounds=[],
        failure=Failure(
            step=failure.step,
            round=failure.round,
            reason=failure.reason,
            message=str(failure),
        ),
    )


def read(state: ConversationRecord, runtime: Runtime[Settings]) -> dict[str, Any]:
    """The node that takes the conversation in.

    Raises:
        ValueError: the graph has no settings, or the method cannot work on it; the message says why.
    """
    _need_settings(runtime)
    system, turns = turns_of(state)
    return {
        "id": state.get("id", ""),
        "system": system,
        "turns": turns,
        "exchange": 0,
        "results": [],
    }


def after_exchange(
    state: ConversationState, runtime: Runtime[Settings]
) -> Literal["exchange_graph", "__end__"]:
    """The course of a conversation: how far it is worked on."""
    ended = reached_its_end(state["turns"], state["exchange"], state["system"], runtime.context)
    return "__end__" if ended else "exchange_graph"


def _asker(mode: Mode, speak: Speak) -> Ask:
    async def ask(
        step: Step,
        at: Mapping[str, Any],
        settings: AgentSettings,
        messages: list[Message],
        *,
        whole: bool = False,
        asked: int = 1,
        form: VerdictForm | None = None,
        shortenable: Shortenable | None = None,
    ) -> str:
        place = at["id"], mode, at["exchange"], at["round"], step
        parts = tuple(_texts(at))
        call = Call(*place, messages, whole, parts, asked, form, shortenable)
        # Nodes know the agents' part of the settings only; the context they come from is the whole.
        return await speak(call, cast(Settings, settings))

    return ask


def _texts(state: Mapping[str, Any]) -> Iterator[str]:
    for value in state.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):  # a debater's memory
            yield value[-1]["content"]


def _need_settings(runtime: Runtime[Settings]) -> None:
    if runtime.context is None:
        raise ValueError("the graph has no settings: invoke it with context=Settings(...)")
