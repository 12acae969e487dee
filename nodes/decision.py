"""The end of a round: the two judgments become points, and the points decide.

In the modes without a judge the editor's draft is the result.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from nodes.agent import ResponseView
from nodes.judge import GREATEST_LEAD, Judgment
from nodes.settings import VerdictForm

Ending = Literal["max_rounds", "not_accepted", "judge_error", "one_pass"]
"""Why the rounds ended: the limit was reached, the draft was not preferred, neither judgment could be read,
or the mode has one pass and no judge."""


class Points(TypedDict):
    """The points of a round's judgments for the response it started from and for its draft."""

    current: float
    draft: float


class Round(TypedDict):
    """The outcome of one round. In modes without debate, advice or judgment those fields are None."""

    round: int
    suggestions: str | None
    draft: str
    forward: Judgment | None
    reversed: Judgment | None
    """None also where `forward` decided and `lazy_judge` saved the second judgment."""
    points: Points | None
    accepted: bool


class DecisionView(ResponseView):
    """What the decision is based on."""

    suggestions: NotRequired[str]
    draft: str
    forward: Judgment
    reversed: Judgment | None
    rounds: list[Round]


def merge(forward: Judgment, reverse: Judgment | None) -> Points | None:
    """Average both orders, for the current response and for the draft.

    The current response is response 1 in forward order and response 2 in reversed order. Where one reply
    cannot be read, or was not asked for, the other alone counts; None means that neither can be read.
    """
    current, draft = [], []
    if forward["points"]:
        current.append(forward["points"][0])
        draft.append(forward["points"][1])
    if reverse and reverse["points"]:
        current.append(reverse["points"][1])
        draft.append(reverse["points"][0])
    if not current:
        return None
    return Points(current=sum(current) / len(current), draft=sum(draft) / len(draft))


def settled(forward: Judgment, form: VerdictForm) -> bool:
    """Whether the forward judgment decides the round, whatever the reversed one would be.

    Let f be the draft's lead (its points less those of the current response) in forward order, r its lead in
    reversed order, and g the greatest lead there is: 1 under `compare`, 9 under `score`. By the merge rule
    the draft is accepted if and only if

    - f + r > 0, where both can be read (the averages differ by half of that);
    - f > 0, where only the forward judgment can;
    - r > 0, where only the reversed one can.

    The forward judgment decides where everything that may follow leads to the same:

    - It cannot be read: r > 0 accepts, r ≤ 0 does not. Nothing is decided.
    - f + g ≤ 0, which means f = -g, since no lead is greater: f + r ≤ f + g ≤ 0 for every r, and f < 0. The
      draft is not accepted, whether the reversed judgment can be read or not. Decided.
    - -g < f ≤ 0: r = g accepts, an unreadable one does not. Nothing is decided.
    - f > 0: an unreadable one accepts, and r = -g does not, as f - g ≤ 0. Nothing is decided.

    So it decides where the draft loses by the greatest lead: `assistant 1` under `compare`, `10 1` under
    `score`. One order never decides an acceptance. The round's ending is the same too (a judgment was read).
    What differs is the
    record: merged points are those of the forward judgment, and a second judgment that would have
    contradicted it, or whose call would have failed, remains unknown.
    """
    if not forward["points"]:
        return False
    current, draft = forward["points"]
    return draft - current + GREATEST_LEAD[form] <= 0


def favoured_position(done: Round) -> Literal[1, 2] | None:
    """Return the position, 1 or 2, that both orders of a round preferred, whichever response was there.

    Then the two judgments contradict each other. None where they do not: they name the same winner, one of
    them is a tie, cannot be read or was not asked for, or nothing was judged.
    """
    forward, reverse = done["forward"], done["reversed"]
    if not (forward and reverse and forward["points"] and reverse["points"]):
        return None
    for place in (1, 2):
        if all(points[place - 1] > points[2 - place] for points in (forward["points"], reverse["points"])):
            return place
    return None


def decide(state: DecisionView) -> dict[str, Any]:
    """End a judged round: the draft must have more points, a tie is not enough."""
    points = merge(state["forward"], state["reversed"])
    accepted = points is not None and points["draft"] > points["current"]
    done = Round(
        round=state["round"],
        suggestions=state.get("suggestions"),
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


class DraftView(ResponseView, total=False):
    """What a mode without a judge ends with."""

    suggestions: str
    draft: str


def adopt(state: DraftView) -> dict[str, Any]:
    """End a round without a judge: the draft is the result."""
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
