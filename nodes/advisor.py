"""The advisor: turns the debate, or the bare record, into at most three writing suggestions."""

from typing import Any

from langgraph.runtime import Runtime

from nodes.agent import Ask, MaterialWithResponse, Node, prompt
from nodes.debater import Debated, contributions
from nodes.settings import AgentSettings


class AdvisorView(Debated, MaterialWithResponse):
    """What the advisor can see; a mode may show it less."""


def advisor(ask: Ask, *, sees_response: bool, sees_debate: bool) -> Node[AdvisorView]:
    """The node that writes the suggestions."""

    async def node(state: AdvisorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        messages = await prompt(
            "advisor",
            settings,
            state,
            persona=settings.advisor_persona,
            response=state["response"] if sees_response else None,
            debate=contributions(state) if sees_debate else None,
        )
        return {"suggestions": (await ask("advisor", state, settings, messages)).strip()}

    return node
