"""What the models reply: each coevol agent is played by `models.providers.rehearsal`.

The role is recognized from the task in the last message, ignoring fenced material. The patterns match what
any prompt pack must say: a verdict on two assistants or two numbers, at most three suggestions, a debate and
its side. Any other message gets an edited response if it contains material to edit, or else a short answer.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from models.providers.rehearsal import RehearsalModel
from models.settings import Role

_FENCED = re.compile(r"<([a-z_]+(?:-\d+)?)>\n.*?\n</\1>", re.DOTALL)
_JUDGE = re.compile(r"assistant 1\b.*assistant 2\b|two numbers", re.DOTALL)
_ADVISOR = re.compile(r"at most (?:3|three)(?: [a-z]+)? suggestions")
_FREE = re.compile(r"\bplausib|\bfree debate\b")
_FOR_THE_RESPONSE = re.compile(r"\bspea\w+ for\b|\bargued for\b")
_OPENING = re.compile(r"\bdebat|\bargue\b")
_AGAINST = re.compile(r"\bnot accurate\b|\binaccurate\b|\bagainst the response\b")
_POINT = "The request asks for this, and the response deals with it in its own way. One may see it so or so."
_MATERIAL = re.compile(r"<(?:response|suggestions|request)(?:-\d+)?>\n")

_PURPOSES: Mapping[Role, Literal["speech", "suggestions", "draft", "verdict"]] = {
    "positive": "speech",
    "critical": "speech",
    "advisor": "suggestions",
    "editor": "draft",
    "judge": "verdict",
}

Message = dict[str, str]


class Reply(NamedTuple):
    """The reply to a conversation."""

    role: str
    """The agent that replies, or `other`."""
    text: str


class Agents:
    """The models behind the server; `wins` and `points` are those of `Options`."""

    def __init__(self, wins: float, points: int = 0) -> None:
        self._points = points
        self._drafts = Counter[str]()
        self._model = RehearsalModel(wins=wins)

    def say(self, messages: Sequence[Message], sampling: Mapping[str, object] | None = None) -> Reply:
        """Return the reply to these messages, determined by them alone.

        As with a model, an answer to a request alone differs at a `temperature` above 0: by the `seed`, and
        without one from time to time.
        """
        text = "\n\n".join(message["content"] for message in messages)
        role = find_role(messages[-1]["content"])
        if role is None:
            return Reply("other", "Ready.")
        reply = self._model.reply(text, _PURPOSES[role], role, self._draft(text, role, sampling or {}))
        if role == "judge" and len(messages) > 2 and any(m["role"] == "assistant" for m in messages):
            # The judge's first verdict was unreadable; a repeated request gets a readable one.
            reply = reply if reply[:1] in "ae123456789" else "equal\nThere is little between them."
            if _asks_for_scores(messages[0]["content"]) and reply.startswith("equal"):
                reply = "7 7\nThere is little between them."
        elif role in ("positive", "critical") and self._points:
            points = random.Random(text).randint(1, self._points)  # noqa: S311 - not cryptographic
            reply = "\n".join([reply, *(f"{number}. {_POINT}" for number in range(1, points + 1))])
        return Reply(role, reply)

    def _draft(self, text: str, role: Role, sampling: Mapping[str, object]) -> int:
        temperature, seed = sampling.get("temperature"), sampling.get("seed")
        if role != "editor" or not isinstance(temperature, int | float) or temperature <= 0:
            return 1
        if isinstance(seed, int):
            return seed
        self._drafts[text] += 1
        return self._drafts[text]


def find_role(prompt: str) -> Role | None:
    """Return the agent that a prompt addresses, None if it addresses none."""
    task = _FENCED.sub("", prompt).lower()
    if _JUDGE.search(task):
        return "judge"
    if _ADVISOR.search(task):
        return "advisor"
    if _FREE.search(task):
        # The agent that weighs the arguments for the response is the one that argues against it.
        return "critical" if _FOR_THE_RESPONSE.search(task) else "positive"
    if _OPENING.search(task):
        return "critical" if _AGAINST.search(task) else "positive"
    return "editor" if _MATERIAL.search(prompt) else None


def _asks_for_scores(prompt: str) -> bool:
    return "two numbers" in _FENCED.sub("", prompt).lower()
