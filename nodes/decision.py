"""The end of a round: the two judgements become points, and the points decide.

In the modes without a judge the editor's draft is the result.
"""

from typing import Any, Literal

from typing_extensions import TypedDict

from nodes.agent import MaterialWithResponse
from nodes.judge import Judgement

Ending = Literal["max_rounds", "not_accepted", "judge_error", "one_pass"]
"""Why the rounds ended: the limit was reached, the draft was not preferred, neither judgement could be read,
or the mode has one pass and no judge."""


class Points(TypedDict):
    """What a round's judgements give to the response it started from and to its draft."""

    current: float
    draft: float


class Round(TypedDict):
    """What came of one round. In modes without debate, advice or judgement those fields are None."""

    round: int
    suggestions: str | None
    draft: str
    forward: Judgement | None
    reversed: Judgement | None
    points: Points | None
    accepted: bool


class Judged(MaterialWithResponse):
    """What the decision is made from."""

    suggestions: str
    draft: str
    forward: Judgement
    reversed: Judgement
    rounds: list[Round]


def merge(forward: Judgement, reverse: Judgement) -> Points | None:
    """The average of both orders, for the current response and for the draft.

    The current response is response 1 in forward order and response 2 in reversed order. Where one of
    the replies cannot be read the other alone counts; None means that neither can.
    """
    current, draft = [], []
    if forward["points"]:
        current.append(forward["points"][0])
        draft.append(forward["points"][1])
    if reverse["points"]:
        current.append(reverse["points"][1])
        draft.append(reverse["points"][0])
    if not current:
        return None
    return Points(current=sum(current) / len(current), draft=sum(draft) / len(draft))


def favoured_position(done: Round) -> Literal[1, 2] | None:
    """The place, 1 or 2, that both orders of a round preferred, whichever response stood there.

    Then the two judgements contradict each other. None where they do not: they name the same winner,
    either sees a tie or cannot be read, or nothing was judged.
    """
    forward, reverse = done["forward"], done["reversed"]
    if not (forward and reverse and forward["points"] and reverse["points"]):
        return None
    for place in (1, 2):
        if all(points[place - 1] > points[2 - place] for points in (forward["points"], reverse["points"])):
            return place
    return None


def decide(state: Judged) -> dict[str, Any]:
    """The node that ends a round of mode `evolve`: the draft must have more points, a tie is not enough."""
    points = merge(state["forward"], state["reversed"])
    accepted = points is not None and points["draft"] > points["current"]
    done = Round(
        round=state["round"],
        suggestions=state["suggestions"],
        draft=state["draft"],
        forward=state["forward"],
        reversed=state["reversed"],
        points=points,
        accepted=accepted,
    )
    update: dict[str, Any] = {"rounds": [*state["rounds"], done]}
    if accepted:
        update |= {"response": state["draft"], "round": state["round"] + 1, "ending": "max_rounds"}
    else:
        update["ending"] = "not_accepted" if points else "judge_error"
    return update


class Written(MaterialWithResponse, total=False):
    """What a mode without a judge leaves."""

    suggestions: str
    draft: str


def adopt(state: Written) -> dict[str, Any]:
    """The node that ends the modes without a judge: the draft is the result."""
    done = Round(
        round=state["round"],
        suggestions=state.get("suggestions"),
        draft=state["draft"],
        forward=None,
        reversed=None,
        points=None,
        accepted=True,
    )
    return {"response": state["draft"], "rounds": [done], "ending": "one_pass"}
