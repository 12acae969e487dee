"""The debaters: one speaks for the response, one against it.

Each opens with a position fixed beforehand. In the free debate each weighs what the other one opened with;
it sees its own opening as conversation, and nothing else the other one said. Where that is too long for its
model, what both said in their openings may be shortened; the record in its own opening's prompt is not.
"""

from collections.abc import Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime

from models.call import Shortenable, Step
from nodes.agent import Ask, Material, MaterialWithResponse, Node, prompt, renderer
from nodes.settings import AgentSettings
from prompts.pack import Message

Side = Literal["positive", "critical"]

_OPENING: dict[Side, Step] = {"positive": "positive_opening", "critical": "critical_opening"}
_FREE: dict[Side, Step] = {"positive": "positive_free", "critical": "critical_free"}


class Opened(MaterialWithResponse):
    """What a debater sees in the free debate: both openings, each as the conversation it was."""

    positive_memory: list[Message]
    critical_memory: list[Message]


def opening(side: Side, ask: Ask) -> Node[MaterialWithResponse]:
    """The node in which a debater opens; it leaves the opening as conversation in its memory."""
    step = _OPENING[side]

    async def node(state: MaterialWithResponse, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        messages = await prompt(
            step,
            settings,
            state,
            persona=_persona(side, settings),
            response=state["response"],
        )
        reply = await ask(step, state, settings, messages)
        return {f"{side}_memory": [*messages, Message(role="assistant", content=reply)]}

    return node


def free(side: Side, ask: Ask) -> Node[Opened]:
    """The node in which a debater weighs the other one's opening."""
    step = _FREE[side]

    async def node(state: Opened, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        own, other = state["positive_memory"], state["critical_memory"]
        if side == "critical":
            own, other = other, own
        render = await renderer(
            step,
            settings,
            state,
            persona=_persona(side, settings),
            response=state["response"],
        )

        def messages(openings: Sequence[str]) -> list[Message]:
            said, heard = openings
            memory = [*own[:-1], Message(role="assistant", content=said)]
            return remembered(memory, settings.memory_window) + render(other_opening=heard)

        openings = own[-1]["content"], other[-1]["content"]
        shortenable = Shortenable(openings, messages)
        reply = await ask(step, state, settings, messages(openings), shortenable=shortenable)
        return {f"{side}_weighed": reply}

    return node


def remembered(memory: list[Message], window: int) -> list[Message]:
    """The latest `window` messages of a conversation and its system messages, which are not counted.

    A window of 0 is all of them (SPEC: `memory_window`).
    """
    if not window:
        return memory
    system = [message for message in memory if message["role"] == "system"]
    return system + [message for message in memory if message["role"] != "system"][-window:]


def contributions(state: "Debated") -> list[str]:
    """What the debaters said, in the order the advisor reads it."""
    return [
        state["positive_memory"][-1]["content"],
        state["critical_memory"][-1]["content"],
        state["positive_weighed"],
        state["critical_weighed"],
    ]


class Debated(Material):
    """The finished debate."""

    positive_memory: list[Message]
    critical_memory: list[Message]
    positive_weighed: str
    critical_weighed: str


def _persona(side: Side, settings: AgentSettings) -> str:
    return settings.positive_persona if side == "positive" else settings.critical_persona
