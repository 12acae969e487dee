"""The judge: compares the current response with the draft, once in each order. So does each of a panel."""

import asyncio
from collections.abc import Coroutine, Iterable
from statistics import fmean
from typing import Any, NotRequired

from langgraph.runtime import Runtime

from models.call import Message
from models.settings import Role
from nodes.agent import Ask, Node, prompt
from nodes.settings import AgentSettings, Order
from nodes.verdict.reading import read_verdict, reply_form
from nodes.views import Judgment, ResponseView
from prompts.method import STEPS
from prompts.pack import current_pack


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

        async def judgment(role: Role, messages: list[Message]) -> Judgment:
            reply = await ask(step, state, settings, messages, form=form, role=role)
            points = read_verdict(reply, settings.verdict, first_line)
            for retry in range(settings.judge_retries):
                if points:
                    break
                reminder = await prompt(f"judge_{settings.verdict}_again", settings, state, **seen)
                # Servers refuse an empty message: where there was no reply, the reminder ends the prompt.
                answer = [Message(role="assistant", content=reply)] if reply else []
                messages = [*messages, *answer, *reminder]
                reply = await ask(step, state, settings, messages, asked=retry + 2, form=form, role=role)
                points = read_verdict(reply, settings.verdict, first_line)
            return Judgment(reply=reply, points=points)

        if panel := settings.panel:
            made = await _all(judgment(role, messages) for role in panel)
            judged = averaged(dict(zip(panel.values(), made, strict=True)))
        else:
            judged = await judgment(step.role, messages)
        return {order: judged, f"said_{order}": judged}

    return node


async def _all(judging: Iterable[Coroutine[Any, Any, Judgment]]) -> list[Judgment]:
    """Let the judges of a panel judge at the same time; one that fails ends it."""
    tasks = [asyncio.create_task(one) for one in judging]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def averaged(panel: dict[str, Judgment]) -> Judgment:
    """Return the judgment of a panel in one order."""
    readable = [one["points"] for one in panel.values() if one["points"]]
    points = [fmean(of_one) for of_one in zip(*readable, strict=True)] if readable else None
    return Judgment(reply="", points=points, panel=panel)
