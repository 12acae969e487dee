"""The editor: writes the draft."""

from typing import Any

from langgraph.runtime import Runtime

from nodes.agent import Ask, Node, prompt, request_values
from nodes.settings import AgentSettings
from nodes.views import ResponseView
from prompts.cleaning import clean_draft
from prompts.method import STEPS, Mode


class EditorView(ResponseView):
    """What the editor can see; a mode may show it less."""

    suggestions: str


def editor(mode: Mode, ask: Ask) -> Node[EditorView]:
    """Create the node that writes the draft; empty where it, or the advisor before it, wrote nothing."""
    step = STEPS["editor"]
    shown = mode.shown(step.name)

    async def node(state: EditorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        if "suggestions" in shown and not state["suggestions"]:
            return {"draft": ""}
        response = state["response"] if "response" in shown else None
        messages = await prompt(
            step.name,
            settings,
            state,
            persona=settings.persona("editor"),
            response=response,
            suggestions=state["suggestions"] if "suggestions" in shown else None,
        )
        reply = await ask(step, state, settings, messages)
        if settings.clean:
            reply = clean_draft(reply, request_values(state)["request"], response)
        return {"draft": reply}

    return node
