"""The judge: compares the current response with the draft, once in each order."""

from typing import Any, NotRequired

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from models.call import Message
from nodes.agent import Ask, Node, ResponseView, prompt
from nodes.settings import AgentSettings, Order
from nodes.verdict import read_verdict, reply_form
from prompts.method import STEPS
from prompts.pack import current_pack


class Judgment(TypedDict):
    """What the judge said, and the points it gave to response 1 and response 2."""

    reply: str
    """Of a judge that was asked again, the last reply."""
    points: list[float] | None
    """None where the reply could not be read."""


class JudgeView(ResponseView):
    """What the judge sees; the order decides which of the two responses comes first."""

    draft: str
    reference: NotRequired[str]


def judge(order: Order, ask: Ask) -> Node[JudgeView]:
    """Create the node that judges in one order: forward shows the current response first, reversed the
    draft."""
    step = STEPS[f"judge_{order}"]

    async def node(state: JudgeView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        first, second = state["response"], state["draft"]
        if order == "reversed":
            first, second = second, first
        seen: dict[str, Any] = {"persona": settings.persona("judge"), "reference": state.get("reference")}
        seen |= {"response_1": first, "response_2": second}
        messages = await prompt(f"judge_{settings.verdict}", settings, state, **seen)
        first_line = (await current_pack(settings.prompts)).first_lines[f"judge_{settings.verdict}"]
        form = reply_form(first_line)
        reply = await ask(step, state, settings, messages, form=form)
        points = read_verdict(reply, settings.verdict, first_line)
        for retry in range(settings.judge_retries):
            if points:
                break
            reminder = await prompt(f"judge_{settings.verdict}_again", settings, state, **seen)
            # Servers refuse an empty message: where there was no reply, the reminder ends the prompt.
            answer = [Message(role="assistant", content=reply)] if reply else []
            messages = [*messages, *answer, *reminder]
            reply = await ask(step, state, settings, messages, asked=retry + 2, form=form)
            points = read_verdict(reply, settings.verdict, first_line)
        update: dict[str, Any] = {order: Judgment(reply=reply, points=points)}
        if order == "forward" and settings.lazy_judge:
            update["reversed"] = None  # not asked so far; the state may hold that of the round before
        return update

    return node
