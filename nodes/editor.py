"""The editor: writes the draft."""

from typing import Any

from langgraph.runtime import Runtime

from nodes.agent import Ask, MaterialWithResponse, Node, prompt, shown
from nodes.settings import AgentSettings
from prompts.cleaning import clean_draft


class EditorView(MaterialWithResponse):
    """What the editor can see; a mode may show it less."""

    suggestions: str


def editor(ask: Ask, *, sees_response: bool, sees_suggestions: bool) -> Node[EditorView]:
    """The node that writes the draft. A draft that was cut off is of no use: the call then fails."""

    async def node(state: EditorView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        response = state["response"] if sees_response else None
        messages = await prompt(
            "editor",
            settings,
            state,
            persona=settings.editor_persona,
            response=response,
            suggestions=state["suggestions"] if sees_suggestions else None,
        )
        reply = await ask("editor", state, settings, messages, whole=True)
        return {"draft": clean_draft(reply, shown(state)["request"], response)}

    return node
