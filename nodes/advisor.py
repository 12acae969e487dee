"""The advisor: turns the debate, or the bare record, into at most three writing suggestions.

Where all of it is too long for its model, the debate may be shortened; request and response are not.
"""

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from models.call import Shortenable
from nodes.agent import Ask, MaterialWithResponse, Node, renderer
from nodes.debater import Debated, contributions
from nodes.settings import AgentSettings
from prompts.pack import Message


class AdvisorView(Debated, MaterialWithResponse):
    """What the advisor can see; a mode may show it less."""


def advisor(ask: Ask, *, sees_response: bool, sees_debate: bool) -> Node[AdvisorView]:
    """The node that writes the suggestions."""

    async def node(state: AdvisorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        render = await renderer(
            "advisor",
            settings,
            state,
            persona=settings.advisor_persona,
            response=state["response"] if sees_response else None,
        )

        def messages(debate: Sequence[str] | None) -> list[Message]:
            return render(debate=debate)

        debate = contributions(state) if sees_debate else None
        shortenable = Shortenable(tuple(debate), messages) if debate else None
        reply = await ask("advisor", state, settings, messages(debate), shortenable=shortenable)
        return {"suggestions": reply.strip()}

    return node
