"""The advisor: turns the debate, or the bare record, into at most three writing suggestions."""

from typing import Any

from langgraph.runtime import Runtime

from nodes.agent import Ask, MaterialWithResponse, Node, shown
from nodes.debater import Debated, contributions
from nodes.settings import AgentSettings
from prompts.pack import load_pack


class AdvisorView(Debated, MaterialWithResponse):
    """What the advisor can see; a mode may show it less."""


def advisor(ask: Ask, *, sees_response: bool, sees_debate: bool) -> Node[AdvisorView]:
    """The node that writes the suggestions."""

    async def node(state: AdvisorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        messages = load_pack(settings.prompts).render(
            "advisor",
            persona=settings.advisor_persona,
            response=state["response"] if sees_response else None,
            debate=contributions(state) if sees_debate else None,
            **shown(state),
        )
        return {"suggestions": (await ask("advisor", state, settings, messages)).strip()}

    return node
