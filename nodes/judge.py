"""The judge: compares the current response with the draft, once in each order.

A judge is two things: how it is asked (`judge`), and how its reply is read (`read_verdict`):

    >>> read_verdict("assistant 2\nIt gives an example.", "compare")
    [0.0, 1.0]
    >>> read_verdict("Both have their merits.", "compare")
"""

import re
from typing import Any

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from models.call import Message
from nodes.agent import Ask, Node, ResponseView, joined, prompt
from nodes.settings import AgentSettings, Order, VerdictForm
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
            reminder = Message(role="user", content=REMINDERS[settings.verdict])
            # Servers refuse an empty message: where there was no reply, the reminder ends the prompt.
            messages = (
                [*messages, Message(role="assistant", content=reply), reminder]
                if reply
                else joined([*messages, reminder])
            )
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


def read_verdict(reply: str, form: VerdictForm) -> list[float] | None:
    """Return the points for response 1 and response 2 in a judge's reply; None where it cannot be read.

    Only the first line with content counts; the rest is the explanation. A label such as "Output:" before the
    answer, emphasis and case do not matter. An ambiguous reply is not read.
    """
    lines = (line.translate(_EMPHASIS).strip() for line in reply.lower().splitlines())
    line = next((line for line in lines if _LABEL.sub("", line)), "")
    return _compared(line) if form == "compare" else _scored(_LABEL.sub("", line))


_EMPHASIS = str.maketrans("’", "'", '*_`#"“”‘「」[]')
# Up to four words and a colon. A word that is an answer, or announces the explanation, is not a label.
_LABEL = re.compile(
    r"^(?!(?:equal|tie|explanation|reason|reasoning|analysis)\b)[^\W\d]+(?: [^\W\d]+){0,3}\s*[:：]\s*"
)
_NAME = re.compile(r"\b(?:assistant|response)\s*([12])\b|\b(equal|tie)\b")
_DENIAL = re.compile(
    r"\b(?:not|neither|nor|cannot|worse|worst|weaker|inferior|fails?|failed|lacks?|lacking|loses?)\b|n't\b"
)
_LOWEST, _HIGHEST = 1.0, 10.0
_NUMBER = r"(\d+(?:\.\d+)?)"
_SCORES = re.compile(rf"'?{_NUMBER}(?:\s*[,，]\s*|\s+){_NUMBER}[.,;]?'?")
_POINTS: dict[str, list[float]] = {"1": [1.0, 0.0], "2": [0.0, 1.0], "equal": [1.0, 1.0]}

GREATEST_LEAD: dict[VerdictForm, float] = {"compare": 1.0, "score": _HIGHEST - _LOWEST}
"""The most points by which a verdict can put one response before the other."""


def _compared(line: str) -> list[float] | None:
    # A line that names both, or denies what it names, does not say which one is better.
    named = {number or "equal" for number, _ in _NAME.findall(line)}
    if len(named) != 1 or _DENIAL.search(line):
        return None
    return list(_POINTS[named.pop()])


def _scored(line: str) -> list[float] | None:
    found = _SCORES.fullmatch(line)
    if not found:
        return None
    scores = [float(number) for number in found.groups()]
    return scores if all(_LOWEST <= score <= _HIGHEST for score in scores) else None
