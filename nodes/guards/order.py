"""The guards in their order, and what they are asked about."""

from functools import cache

from fastchat.conversation import get_conv_template

from nodes.decision import Guard
from nodes.guards.chatter import has_chatter
from nodes.guards.instructions import Instructions, repeats_instructions
from nodes.guards.language import is_other_language
from nodes.guards.loop import is_loop
from nodes.guards.no_answer import is_no_answer
from nodes.guards.refusal import is_refusal
from nodes.guards.suggestions import returns_suggestions
from nodes.guards.texts import GAP
from nodes.guards.unchanged import is_unchanged


async def refused_by(
    draft: str,
    request: str,
    response: str,
    instructions: Instructions,
    system: str = "",
    suggestions: str = "",
) -> Guard | None:
    """Return the first guard that refuses a draft, None where none does.

    Args:
        draft: what the editor wrote.
        request: what it answers.
        response: the current response; empty where there is none.
        instructions: the texts of the prompt pack.
        system: the record's own system prompt.
        suggestions: what the editor was advised.
    """
    if is_unchanged(draft, response):
        return "unchanged"
    asked, request = request, f"{system}\n{request}" if system else request
    if is_refusal(draft, request, response):
        return "refusal"
    if is_loop(draft, request, response):
        return "loop"
    if (
        repeats_instructions(draft, request, response, instructions)
        or is_no_answer(draft, request, response)
        or returns_suggestions(draft, suggestions)
    ):
        return "instructions"
    if has_chatter(draft, request, response):
        return "chatter"
    return "language" if await is_other_language(draft, asked, response, system) else None


def own_text(request: str, template: str) -> tuple[str, str]:
    """Return what a request says apart from the FastChat template that a conversation is written in: the
    conversation's own system prompt, and its turns without the names of the speakers.

    The template's words, in English, are no sign of what is asked. A plain request comes back as it is.
    """
    header, user, assistant = _marks(template) if template else ("", "", "")
    if not (user and assistant and user in request and request.rstrip().endswith(assistant)):
        return "", request
    if header and request.startswith(header):
        system, turns = "", request[len(header) :]
    else:
        system, _, turns = request.partition(user)
    return system.strip(), turns.replace(user, "\n").replace(assistant, "\n").strip()


@cache
def _marks(template: str) -> tuple[str, str, str]:
    """Return what a FastChat template writes before the first turn, and before a user's and a reply."""
    conversation = get_conv_template(template)
    user, assistant, *_ = conversation.roles
    conversation.append_message(user, GAP)
    conversation.append_message(assistant, None)
    before, _, after = conversation.get_prompt().partition(GAP)
    at = before.rfind(user)
    return (before[:at], before[at:].strip(), after.strip()) if at >= 0 and user else ("", "", "")
