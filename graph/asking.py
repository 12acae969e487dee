"""How the nodes of a graph reach models: a step becomes a call with its place in the run."""

from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from graph.settings import Settings
from models.call import Call, Message, Shortenable
from models.errors.exceptions import CallFailed
from models.errors.kinds import ASKED_AGAIN, UNUSABLE_REPLY
from models.settings import Role
from nodes.agent import Ask
from nodes.settings import AgentSettings
from prompts.method import Step


class Speak(Protocol):
    """How a graph reaches models: makes a call and returns the reply."""

    def __call__(self, call: Call, settings: Settings) -> Awaitable[str]:
        """Make a call. Raises `CallFailed` where this call cannot be done."""
        ...


def asking(mode: str, speak: Speak, *, drafts: bool = False) -> Ask:
    """Return how nodes ask in a mode; `drafts` says whether each round is one of several drafts."""

    async def ask(
        step: Step,
        at: Mapping[str, Any],
        settings: AgentSettings,
        messages: list[Message],
        *,
        asked: int = 1,
        form: str | None = None,
        shortenable: Shortenable | None = None,
        role: Role | None = None,
    ) -> str:
        call = Call(
            sample=at["id"],
            mode=mode,
            exchange=at["exchange"],
            round=at["round"],
            step=step.name,
            role=role or step.role,
            messages=messages,
            purpose=step.purpose,
            parts=tuple(_texts(at)),
            asked=asked,
            form=form,
            shortenable=shortenable,
            draft=at["round"] if drafts and step.purpose == "draft" else None,
        )
        # Nodes know the agents' part of the settings only; the context they come from is the whole.
        whole = cast(Settings, settings)
        # A judge is asked again by its node, with a reminder. A draft that was cut off may be had with a
        # higher limit, so it is a failure.
        without_text = ASKED_AGAIN if step.purpose == "draft" else UNUSABLE_REPLY
        for again in range(2):
            try:
                return await speak(replace(call, asked=asked + 1) if again else call, whole)
            except CallFailed as failure:
                if failure.kind not in without_text:
                    raise
                if failure.kind not in ASKED_AGAIN or step.purpose == "verdict":
                    break
        return ""

    return ask


def _texts(state: Mapping[str, Any]) -> Iterator[str]:
    for value in state.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):  # a debater's memory
            yield value[-1]["content"]
