"""The graph of a conversation, exchange by exchange: how each becomes a request, and how far it goes."""

from collections.abc import Sequence
from typing import Any, Literal, cast

from fastchat.conversation import get_conv_template
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graph.asking import Speak
from graph.build import exchange_graph, failed_exchange, require_settings
from graph.pausing import PausingInside, pauses_inside
from graph.settings import Settings, settings_of
from graph.state import (
    AlpacaRecord,
    ConversationRecord,
    ConversationResult,
    ConversationState,
    ExchangeResult,
    ExchangeState,
    RequestAndResponse,
)
from graph.streaming import streaming
from models.errors.exceptions import CallFailed
from models.token_counter import count_tokens
from nodes.checks import Check, no_checks
from prompts.method import Mode
from samples.formats import detect_format, parse_record
from samples.sample import DataError
from samples.tokens import estimate_tokens

ConversationGraph = CompiledStateGraph[ConversationState, Settings, ConversationRecord, ConversationResult]

_TURNS = ("conversations", "messages")


def conversation_graph(
    mode: Mode, speak: Speak, check: Check = no_checks, *, steppable: bool = False
) -> ConversationGraph:
    """Build the graph that works on a conversation, exchange by exchange.

    It takes a ShareGPT record or OpenAI-style messages and returns a `ConversationResult`. An exchange with a
    call that fails keeps its response, and the conversation continues with the next one. One that is fixed
    is only seen by those after it. `steppable` is for a server that keeps the states: inside an exchange a
    person can pause, edit and go on there.
    """
    exchange = exchange_graph(mode, speak, check)
    if steppable:
        # All exchanges then have their states under one name, by which LangGraph finds them again.
        exchange = exchange.copy({"checkpointer": True})
    everything = list(ExchangeState.__annotations__)

    async def evolve_exchange(
        state: ConversationState, runtime: Runtime[Settings], config: RunnableConfig
    ) -> dict[str, Any]:
        settings, number = apart(runtime.context), state["exchange"]
        turns, results = list(state["turns"]), list(state["results"])
        turn = turns[number]
        if not turn.get("fixed"):
            record = request_of(turns, number, state["system"], settings)
            record |= {"id": state["id"], "exchange": number, "output": turn["response"]}
            references = state.get("references") or []
            record["references"] = references[number] if number < len(references) else []
            try:
                # All of the state, so that streams show what each agent says and not only the result.
                done: Any = await exchange.ainvoke(
                    record, context=settings, output_keys=everything, **pauses_inside(config)
                )
                names = ExchangeResult.__annotations__
                result: Any = {name: done[name] for name in names if done.get(name) is not None}
            except CallFailed as failure:
                result = failed_exchange(number, turn["response"], failure)
            turns[number] = {"request": turn["request"], "response": result["response"]}
            results.append(result)
        ended = await reached_its_end(turns, number + 1, state["system"], settings)
        return {"turns": turns, "results": results, "exchange": number + 1, "ended": ended}

    graph = StateGraph(
        ConversationState,
        context_schema=settings_of(mode, conversation=True),
        input_schema=ConversationRecord,
        output_schema=ConversationResult,
    )
    graph.add_node("read", read)
    graph.add_node("exchange_graph", cast(Any, evolve_exchange))  # its types have no node with all three
    graph.add_edge(START, "read")
    graph.add_edge("read", "exchange_graph")
    graph.add_conditional_edges("exchange_graph", after_exchange, ["exchange_graph", END])
    compiled = graph.compile(name="conversation")
    return streaming(compiled, PausingInside) if steppable else compiled


async def read(state: ConversationRecord, runtime: Runtime[Settings]) -> dict[str, Any]:
    """Take the conversation in.

    Raises:
        ValueError: the graph has no settings, or the method cannot work on it; the message says why.
    """
    require_settings(runtime)
    system, turns = turns_of(state, runtime.context)
    if not isinstance(state.get("references") or [], list):
        raise ValueError("`references` takes a list: for each exchange with an answer, a list of texts")
    return {"id": state.get("id") or "", "system": system, "turns": turns, "exchange": 0, "results": []}


async def after_exchange(state: ConversationState) -> Literal["exchange_graph", "__end__"]:
    """Continue with the next exchange, or end the conversation."""
    return "__end__" if state["ended"] or state["exchange"] >= len(state["turns"]) else "exchange_graph"


def apart(settings: Settings) -> Settings:
    """Return the settings of a graph whose record is without thoughts already."""
    return settings if settings.thoughts == "text" else settings.model_copy(update={"thoughts": "text"})


def turns_of(record: ConversationRecord, settings: Settings) -> tuple[str, list[RequestAndResponse]]:
    """Return the system prompt and the answered exchanges of a record.

    Raises:
        ValueError: the method cannot work on this record; the message says why.
    """
    given = {name: value for name, value in record.items() if value is not None}
    if given.get("instruction"):
        raise ValueError("this record has an `instruction`: use the graph `evolve`, or that of another mode")
    given.pop("instruction", None)
    if all(given.get(name) for name in _TURNS):
        raise ValueError(
            "this record has `conversations` and `messages`: give one of the two, in a new thread (a thread "
            "keeps what it was given before)"
        )
    if any(given.get(name) for name in _TURNS):  # of two fields in a form, a person fills in one
        given = {name: value for name, value in given.items() if value or name not in _TURNS}
    form = detect_format(given)
    if form not in ("sharegpt", "messages"):
        raise ValueError("this is not a conversation: it has neither `conversations` nor `messages`")
    try:
        parsed = parse_record(given, form, settings.thoughts)
    except DataError as error:
        raise ValueError(f"this record cannot be worked on: {error}") from None
    if parsed.skip:
        raise ValueError(f"this record cannot be worked on: {parsed.skip}")
    return parsed.system, [
        RequestAndResponse(request=exchange.instruction, response=exchange.response, fixed=exchange.fixed)
        for exchange in parsed.exchanges
    ]


def request_of(
    turns: Sequence[RequestAndResponse], number: int, system: str, settings: Settings
) -> AlpacaRecord:
    """Return the request of exchange `number` (from 0) as the exchange graph takes it.

    It is one text in the form of the FastChat template: the `history_window - 1` exchanges before it and the
    request itself, ending with the assistant's empty turn. A conversation's own system prompt replaces the
    template's. A conversation of one exchange keeps its plain text.
    """
    if len(turns) == 1:
        return AlpacaRecord(instruction=turns[0]["request"], system=system)
    template = get_conv_template(settings.conversation_template)
    if system:
        template.set_system_message(system)
    user, assistant = template.roles
    for turn in turns[max(0, number + 1 - settings.history_window) : number]:
        template.append_message(user, turn["request"])
        template.append_message(assistant, turn["response"])
    template.append_message(user, turns[number]["request"])
    template.append_message(assistant, None)
    text = template.get_prompt()
    # A few templates have no place for a system prompt; there it stays separate.
    return AlpacaRecord(instruction=text, system="" if system in text else system)


async def reached_its_end(
    turns: Sequence[RequestAndResponse], done: int, system: str, settings: Settings
) -> bool:
    """Whether work on a conversation stops after its first `done` exchanges.

    `max_exchanges` decides where it is given, otherwise the length of the conversation so far, with the
    evolved responses, as text. It is counted once an exchange and not recorded: a resumed run counts the same
    text the same way. Only where a server counted at one time and not at the other may it decide otherwise,
    and then only about a conversation that was not finished.
    """
    if done >= len(turns):
        return True
    if settings.max_exchanges is not None:
        return done >= settings.max_exchanges
    so_far = [system, *(text for turn in turns[:done] for text in (turn["request"], turn["response"]))]
    tokens = await count_tokens("\n".join(filter(None, so_far)), settings.tokenizer)
    if tokens is None:
        tokens = sum(map(estimate_tokens, so_far))
    return tokens >= settings.max_conversation_tokens
