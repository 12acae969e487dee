"""The judge: compares the current response with the draft, once in each order."""

from typing import Any

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from models.call import Message
from nodes.agent import Ask, Node, ResponseView, prompt
from nodes.settings import AgentSettings, Order, VerdictForm
from nodes.verdict import GREATEST_LEAD as GREATEST_LEAD  # for the decision
from nodes.verdict import read_verdict
from prompts.method import STEPS


class Judgment(TypedDict):
    """What the judge said, and the points it gave to response 1 and response 2."""

    reply: str
    """Of a judge that was asked again, the last reply."""
    points: list[float] | None
    """None where the reply could not be read."""


class JudgeView(ResponseView):
    """What the judge sees; the order decides which of the two responses comes first."""

    draft: str


def judge(order: Order, ask: Ask) -> Node[JudgeView]:
    """Create the node that judges in one order: forward shows the current response first, reversed the
    draft."""
    step = STEPS[f"judge_{order}"]

    async def node(state: JudgeView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        first, second = state["response"], state["draft"]
        if order == "reversed":
            first, second = second, first
        messages = await prompt(
            f"judge_{settings.verdict}",
            settings,
            state,
            persona=settings.persona("judge"),
            response_1=first,
            response_2=second,
        )
        form = REPLY_FORMS[settings.verdict]
        reply = await ask(step, state, settings, messages, form=form)
        points = read_verdict(reply, settings.verdict)
        for retry in range(settings.judge_retries):
            if points:
                break
            answer = Message(role="assistant", content=reply)
            messages = [*messages, answer, Message(role="user", content=REMINDERS[settings.verdict])]
            reply = await ask(step, state, settings, messages, asked=retry + 2, form=form)
            points = read_verdict(reply, settings.verdict)
        update: dict[str, Any] = {order: Judgment(reply=reply, points=points)}
        if order == "forward" and settings.lazy_judge:
            update["reversed"] = None  # not asked so far; the state may hold that of the round before
        return update

    return node


REPLY_FORMS: dict[VerdictForm, str] = {
    "compare": r"(assistant 1|assistant 2|equal)\n[^\s][\s\S]*",
    "score": r"(10|[1-9](\.5)?) (10|[1-9](\.5)?)\n[^\s][\s\S]*",
}
"""A verdict and its explanation as a regex, for servers that can constrain their output. The explanation
begins with a visible character and ends where the model or the limit for replies ends it. (A bound here, as
in `{0,1500}`, costs vLLM's xgrammar up to 100 ms for each token; this takes microseconds.)"""

REMINDERS: dict[VerdictForm, str] = {
    "compare": "The first line of your reply has to be the verdict alone, and it is not. Reply again: first "
    "one line that is exactly one of these three, then your explanation.\nassistant 1\nassistant 2\nequal",
    "score": "The first line of your reply has to be the scores alone, and it is not. Reply again: first "
    "one line with two numbers from 1 to 10, separated by a space (the score of response 1, then the score "
    "of response 2), then your explanation.",
}
"""What a judge is asked whose verdict cannot be read."""
