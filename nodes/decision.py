"""The end of a round: the two judgements become points, and the points decide.

In the modes without a judge the editor's draft is the result.
"""

from typing import Any, Literal

from typing_extensions import TypedDict

from models.call import VerdictForm
from nodes.agent import MaterialWithResponse
from nodes.judge import GREATEST_LEAD, Judgement

Ending = Literal["max_rounds", "not_accepted", "judge_error", "one_pass"]
"""Why the rounds ended: the limit was reached, the draft was not preferred, neither judgement could be read,
or the mode has one pass and no judge."""


class Points(TypedDict):
    """What a round's judgements give to the response it started from and to its draft."""

    current: float
    draft: float


class Round(TypedDict):
    """What came of one round. In modes without debate, advice or judgement those fields are None.

    `reversed` alone is None where `forward` decided and `lazy_judge` spared the second judgement.
    """

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
    reversed: Judgement | None
    rounds: list[Round]


def merge(forward: Judgement, reverse: Judgement | None) -> Points | None:
    """The average of both orders, for the current response and for the draft.

    The current response is response 1 in forward order and response 2 in reversed order. Where one of
    the replies cannot be read, or was not asked for, the other alone counts; None means that neither can.
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


def settled(forward: Judgement, form: VerdictForm) -> bool:
    """Whether the forward judgement decides the round, whatever the reversed one would say.

    Let f be the draft's lead (its points less those of the current response) in forward order, r its lead in
    reversed order, and g the greatest lead there is: 1 under `compare`, 9 under `score`. By the merge rule
    the draft is accepted if and only if

    - f + r > 0, where both can be read (the averages differ by half of that);
    - f > 0, where only the forward judgement can;
    - r > 0, where only the reversed one can.

    The forward judgement decides where all that may follow leads to the same:

    - It cannot be read: r > 0 accepts, r ≤ 0 does not. Nothing is decided.
    - f + g ≤ 0, which means f = -g, since no lead is greater: f + r ≤ f + g ≤ 0 for every r, and f < 0. The
      draft is not accepted, whether the reversed judgement can be read or not. Decided.
    - -g < f ≤ 0: r = g accepts, an unreadable one does not. Nothing is decided.
    - f > 0: an unreadable one accepts, and r = -g does not, as f - g ≤ 0. Nothing is decided.

    So it decides where the draft loses by as much as can be: `assistant 1` under `compare`, `10 1` under
    `score`. An acceptance is never decided by one order. The round's ending is the same too (a judgement was
    read). What is not the same is the record: merged points are those of the forward judgement, and a
    second judgement that would have contradicted it, or whose call would have failed, is not known of.
    """
    if not forward["points"]:
        return False
    current, draft = forward["points"]
    return draft - current + GREATEST_LEAD[form] <= 0


def favoured_position(done: Round) -> Literal[1, 2] | None:
    """The place, 1 or 2, that both orders of a round preferred, whichever response stood there.

    Then the two judgements contradict each other. None where they do not: they name the same winner,
    either sees a tie, cannot be read or was not asked for, or nothing was judged.
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
