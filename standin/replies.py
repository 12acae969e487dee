"""What the models say: each agent of a round is played by the rules of `models.providers.rehearsal`.

Which agent is asked is read from the task in the last message, outside of the fences around material. The
words looked for are those any pack needs in order to say what it wants: a verdict about two assistants or
two numbers, at most three suggestions, a debate and its side. A message with none of them but with a
response or suggestions in it asks for an edited response; any other gets a short answer.
"""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from models.providers.rehearsal import RehearsalModel

from models.settings import ROLES, Role

_FENCED = re.compile(r"<([a-z_]+(?:-\d+)?)>\n.*?\n</\1>", re.DOTALL)
_JUDGE = re.compile(r"assistant 1\b.*assistant 2\b|two numbers", re.DOTALL)
_ADVISOR = re.compile(r"at most (?:3|three)(?: [a-z]+)? suggestions")
_FREE = re.compile(r"\bplausib|\bfree debate\b")
_FOR_THE_RESPONSE = re.compile(r"\bspea\w+ for\b|\bargued for\b")
_OPENING = re.compile(r"\bdebat|\bargue\b")
_AGAINST = re.compile(r"\bnot accurate\b|\binaccurate\b|\bagainst the response\b")
_POINT = "The request asks for this, and the response deals with it in its own way. One may see it so or so."
_MATERIAL = re.compile(r"<(?:response|suggestions|request)(?:-\d+)?>\n")

Message = dict[str, str]


class Said(NamedTuple):
    """The reply to a conversation, and who gave it: a role, or `other`."""

    role: str
    text: str


class Agents:
    """The models behind the server.

    `wins` is the share of comparisons that the draft is to win, `points` the most that a debater makes.
    """

    def __init__(self, wins: float, points: int = 0) -> None:
        self._points = points
        self._models = {role: RehearsalModel(role=role, wins=wins) for role in ROLES}

    def say(self, messages: Sequence[Message]) -> Said:
        """The reply to these messages, which follows from them alone."""
        text = "\n\n".join(message["content"] for message in messages)
        role = role_asked(messages[-1]["content"])
        if role is None:
            return Said("other", "Ready.")
        reply = self._models[role].reply(text)
        if role == "judge" and len(messages) > 2 and any(m["role"] == "assistant" for m in messages):
            # Asked again for a verdict that could not be read: this time it can.
            reply = reply if reply[:1] in "ae123456789" else "equal\nThere is little between them."
            if _scored(messages[0]["content"]) and reply.startswith("equal"):
                reply = "7 7\nThere is little between them."
        elif role in ("positive", "critical") and self._points:
            made = random.Random(text).randint(1, self._points)  # noqa: S311 - no secret
            reply = "\n".join([reply, *(f"{number}. {_POINT}" for number in range(1, made + 1))])
        return Said(role, reply)


def role_asked(prompt: str) -> Role | None:
    """The agent that a prompt speaks to, None where it is for none of them."""
    task = _FENCED.sub("", prompt).lower()
    if _JUDGE.search(task):
        return "judge"
    if _ADVISOR.search(task):
        return "advisor"
    if _FREE.search(task):
        # Whoever weighs what was said for the response is the one who speaks against it.
        return "critical" if _FOR_THE_RESPONSE.search(task) else "positive"
    if _OPENING.search(task):
        return "critical" if _AGAINST.search(task) else "positive"
    return "editor" if _MATERIAL.search(prompt) else None


def _scored(prompt: str) -> bool:
    return "two numbers" in _FENCED.sub("", prompt).lower()
