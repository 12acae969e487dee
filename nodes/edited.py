"""Judgments that a person edits in a state that a server keeps."""

from collections.abc import Callable, Mapping
from typing import Any, NotRequired, cast

from nodes.agent import missing
from nodes.decision import STOPPED, DecisionView
from nodes.judge import averaged
from nodes.settings import AgentSettings, Order
from nodes.verdict.reading import read_verdict
from nodes.views import Judgment
from prompts.pack import current_pack

ORDERS: tuple[Order, ...] = ("forward", "reversed")

Read = Callable[[str], list[float] | None]
"""Reads the points of a reply; None if it has no verdict."""


class HeardView(DecisionView):
    """What the decision is based on, and the judgments as they were made."""

    said_forward: NotRequired[Judgment]
    said_reversed: NotRequired[Judgment]
    positive_memory: NotRequired[Any]
    critical_memory: NotRequired[Any]
    positive_weighed: NotRequired[Any]
    critical_weighed: NotRequired[Any]
    routing: Mapping[str, Any]


def is_as_said(state: Mapping[str, Any], order: Order) -> bool:
    """Return whether a judgment is as it was made."""
    return bool(state.get(order) == state.get(f"said_{order}"))


async def as_edited(state: HeardView, settings: AgentSettings) -> dict[str, Any]:
    """Return the judgments that were edited, with the points of what they now say.

    Points that were edited count as they are; otherwise they are read from the edited reply.

    Raises:
        ValueError: a judgment is missing or cannot be used; the message says why.
    """
    if state.get("ending") in STOPPED:
        return {}
    lazy = state["routing"]["lazy_judge"]
    edited: dict[str, Any] = {}
    for order in ORDERS:
        given: Any = state.get(order)
        if given is None:
            if order == "forward" or not lazy:
                raise missing(order, f"judge_{order}")
        elif not is_as_said(state, order):
            read = await _reader(settings)
            edited[order] = _judgment(given, state.get(f"said_{order}"), read, order)
    return edited


async def _reader(settings: AgentSettings) -> Read:
    form = settings.verdict
    first_line = (await current_pack(settings.prompts)).first_lines[f"judge_{form}"]
    return lambda reply: read_verdict(reply, form, first_line)


def _judgment(given: Any, said: Any, read: Read, where: str) -> Judgment:
    """Return an edited judgment with its points; `said` is the one that was made, and `where` its field."""
    if not (isinstance(given, dict) and isinstance(given.get("reply"), str)):
        raise ValueError(
            f'`{where}` is not a judgment: it takes {{"reply": "assistant 2"}} or what the judge says'
        )
    before = said if isinstance(said, dict) else {}
    if panel := given.get("panel"):
        if not isinstance(panel, dict):
            raise ValueError(f"`{where}.panel` is not a panel: it takes a judgment for each model")
        earlier = before.get("panel") or {}
        judgments: dict[str, Judgment] = {}
        for model, one in panel.items():
            is_same = one == earlier.get(model)
            judgments[model] = (
                one if is_same else _judgment(one, earlier.get(model), read, f"{where}.panel.{model}")
            )
        return averaged(judgments)
    points = given.get("points")
    if points is not None and points != before.get("points"):
        if not (
            isinstance(points, list)
            and len(points) == 2
            and all(type(each) in (int, float) for each in points)
        ):
            raise ValueError(
                f"`{where}.points` takes two numbers, for response 1 and response 2, such as [0, 1]"
            )
        points = [float(each) for each in points]
    elif given["reply"] == before.get("reply"):
        points = before.get("points")
    elif (points := read(given["reply"])) is None:
        raise ValueError(
            f"no verdict can be read in the edited `{where}.reply`: its first line is to be the verdict"
        )
    return cast(Judgment, {**given, "points": points})
