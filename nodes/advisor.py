"""The advisor: turns the debate, or the bare record, into at most three writing suggestions.

Where that is too long for its model, the debate may be shortened; request and response are not.
"""

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from models.call import Message, Shortenable
from nodes.agent import Ask, Node, renderer
from nodes.debater import DebateView, contributions
from nodes.settings import AgentSettings
from nodes.views import ResponseView
from prompts.method import STEPS, Mode

NOTHING = "(This debater wrote nothing.)"
"""What the advisor sees in place of a contribution without text."""


class AdvisorView(DebateView, ResponseView):
    """What the advisor can see; a mode may show it less."""


def advisor(mode: Mode, ask: Ask) -> Node[AdvisorView]:
    """Create the node that writes the suggestions; empty where it, or all of the debate, has no text."""
    step = STEPS["advisor"]
    shown = mode.shown(step.name)

    async def node(state: AdvisorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        debate = contributions(state) if "debate" in shown else None
        if debate is not None and not any(debate):
            return {"suggestions": ""}
        response = state["response"] if "response" in shown else None
        persona = settings.persona("advisor")
        render = await renderer(step.name, settings, state, persona=persona, response=response)

        def messages(debate: Sequence[str] | None) -> list[Message]:
            return render(debate=debate)

        if debate is not None:
            debate = [text or NOTHING for text in debate]
        shortenable = Shortenable(tuple(debate), messages) if debate else None
        reply = await ask(step, state, settings, messages(debate), shortenable=shortenable)
        return {"suggestions": reply.strip()}

    return node
