"""The node that lets a draft pass or ends its round."""

from typing import Any

from langgraph.runtime import Runtime

from nodes.agent import Node, request_values
from nodes.checks import Candidate, Check, Outcome, no_checks
from nodes.decision import CheckedView, Guard, RefusedView, refuse, without_draft
from nodes.guards.instructions import instructions_of
from nodes.guards.order import own_text, refused_by
from nodes.guards.unchanged import is_unchanged
from nodes.settings import AgentSettings
from prompts.method import Mode
from prompts.pack import current_pack

_PASSED: dict[str, Any] = {"ending": None, "forward": None, "reversed": None}
"""A draft that goes on is a new one: in Studio the state may hold what was said of another."""


def guards(mode: Mode, check: Check = no_checks) -> Node[RefusedView]:
    """Create the node that lets a draft pass, or ends the round, and in most modes with it the exchange: the
    current response stays.

    It does so too where the editor wrote nothing, or had nothing to write from, and, of several drafts from
    one prompt, where an earlier one is the same: its verdict is known.
    """
    advised = "suggestions" in mode.shown("editor")

    async def node(state: RefusedView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        if not state["draft"]:
            if mode.is_best_of:
                return without_draft(state)
            return {"ending": "no_suggestions" if advised and not state["suggestions"] else "no_draft"}
        if mode.is_best_of and any(is_unchanged(state["draft"], done["draft"]) for done in state["rounds"]):
            return refuse(state, "repeated")
        if settings.guards == "on" and (guard := await refusal_of(state, settings)):
            return refuse(state, guard)
        outcome = await checked(state, state["draft"], settings, check)
        if outcome is None or outcome.agrees:
            return _PASSED
        return refuse(state, "check_failed" if outcome.agrees is None else "disagrees", outcome.remark)

    async def refusal_of(state: RefusedView, settings: AgentSettings) -> Guard | None:
        instructions = instructions_of(await current_pack(settings.prompts), settings, mode)
        # Conversations are worked on in graph/, whose settings have the template.
        template = getattr(settings, "conversation_template", "")
        system, request = own_text(request_values(state)["request"], template)
        return await refused_by(
            state["draft"],
            request,
            state["response"],
            instructions,
            f"{state['system']}\n{system}".strip(),
            state.get("suggestions", ""),
        )

    return node


async def checked(state: CheckedView, response: str, settings: AgentSettings, check: Check) -> Outcome | None:
    """Check a response as the settings say; None where there is nothing to check it by."""
    if settings.check is None:
        return None
    record = {"id": state["id"], "exchange": state["exchange"]}
    record |= {"request": state["instruction"], "input": state["input"]}
    return await check(settings.check, Candidate(response, state.get("references", []), record))
