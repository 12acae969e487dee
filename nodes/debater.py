"""The debaters: one argues for the response, one against it.

Each opens with a position fixed beforehand. In the free debate each weighs the other's opening; it sees its
own opening as conversation, and nothing else the other said. Where that is too long for its model, the two
openings may be shortened; the record in the prompt of its own opening is not.

A debater whose model wrote nothing is missing from the debate: an opening that is not there is not shown, and
where there is none to weigh, nothing is weighed.
"""

from collections.abc import Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime

from models.call import Message, Shortenable
from nodes.agent import Ask, Node, missing, prompt, renderer
from nodes.settings import AgentSettings
from nodes.views import RequestView, ResponseView
from prompts.method import STEPS

Debater = Literal["positive", "critical"]


class OpeningsView(ResponseView):
    """What a debater sees in the free debate: both openings, each as the conversation it was."""

    positive_memory: list[Message]
    critical_memory: list[Message]


def opening(debater: Debater, ask: Ask) -> Node[ResponseView]:
    """Create the node in which a debater opens; it leaves the opening as conversation in its memory."""
    step = STEPS[f"{debater}_opening"]

    async def node(state: ResponseView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        persona = settings.persona(debater)
        messages = await prompt(step.name, settings, state, persona=persona, response=state["response"])
        reply = await ask(step, state, settings, messages)
        return {f"{debater}_memory": [*messages, Message(role="assistant", content=reply)]}

    return node


def free(debater: Debater, ask: Ask) -> Node[OpeningsView]:
    """Create the node in which a debater weighs the other's opening."""
    step = STEPS[f"{debater}_free"]

    async def node(state: OpeningsView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        for each in ("positive", "critical"):
            if not state.get(f"{each}_memory"):
                raise missing(f"{each}_memory", f"{each}_opening")
        own, other = state["positive_memory"], state["critical_memory"]
        if debater == "critical":
            own, other = other, own
        openings = own[-1]["content"], other[-1]["content"]
        if not openings[1]:
            return {f"{debater}_weighed": ""}
        persona = settings.persona(debater)
        render = await renderer(step.name, settings, state, persona=persona, response=state["response"])

        def messages(openings: Sequence[str]) -> list[Message]:
            own_opening, other_opening = openings
            said = [Message(role="assistant", content=own_opening)] if own_opening else []
            asked = render(other_opening=other_opening)
            return remembered([*own[:-1], *said], settings.memory_window) + asked

        shortenable = Shortenable(openings, messages)
        reply = await ask(step, state, settings, messages(openings), shortenable=shortenable)
        return {f"{debater}_weighed": reply}

    return node


def remembered(memory: list[Message], window: int) -> list[Message]:
    """Return what is left of a debater's conversation before the prompt of the free debate: with that prompt
    the latest `window` messages, and the system messages, which do not count.

    A window of 0 is all of them.
    """
    if not window:
        return memory
    system = [message for message in memory if message["role"] == "system"]
    others = [message for message in memory if message["role"] != "system"]
    return system + others[max(0, len(others) - (window - 1)) :]


def contributions(state: "DebateView") -> list[str]:
    """Return what the debaters said, in the order of `prompts.method.DEBATE`.

    Raises:
        ValueError: a debater did not contribute.
    """
    for each in ("positive", "critical"):
        if state.get(f"{each}_weighed") is None:
            raise missing(f"{each}_weighed", f"{each}_free")
    return [
        state["positive_memory"][-1]["content"],
        state["critical_memory"][-1]["content"],
        state["positive_weighed"],
        state["critical_weighed"],
    ]


class DebateView(RequestView):
    """The finished debate."""

    positive_memory: list[Message]
    critical_memory: list[Message]
    positive_weighed: str
    critical_weighed: str
