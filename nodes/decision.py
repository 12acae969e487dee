"""The end of a round: the two judgments become points, and the points decide.

In the modes without a judge the editor's draft is the result. A draft that a guard refused is neither. Of
several drafts from one prompt (best-of-n) each has a round, and the best so far is the current response.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NotRequired, get_args

from typing_extensions import TypedDict

from nodes.settings import VerdictForm
from nodes.verdict.reading import GREATEST_LEAD
from nodes.views import Judgment, RequestView, ResponseView

Guard = Literal[
    "repeated", "unchanged", "refusal", "loop", "instructions", "chatter", "language", "disagrees",
    "check_failed",
]  # fmt: skip
"""The guards (`nodes.guards.order`), in the order in which they see a draft. The last two are the outcomes of
`check`, which is there with and without the others."""

GUARDS: tuple[Guard, ...] = get_args(Guard)

Refused = Literal[
    "guard_repeated", "guard_unchanged", "guard_refusal", "guard_loop", "guard_instructions", "guard_chatter",
    "guard_language", "guard_disagrees", "guard_check_failed",
]  # fmt: skip
"""`guard_` and a guard: it refused the last draft."""

_REFUSED: Mapping[Guard, Refused] = dict(zip(GUARDS, get_args(Refused), strict=True))

WithoutText = Literal["no_suggestions", "no_draft"]
"""The debate or the advisor, or the editor, wrote nothing."""

STOPPED: tuple[str, ...] = (*get_args(Refused), *get_args(WithoutText))
"""The endings before anything could be judged or adopted: the current response is the result."""

Ending = Literal["max_rounds", "not_accepted", "judge_error", "one_pass", "all_drafts", Refused, WithoutText]
"""Why the rounds ended: the limit was reached, the draft was not preferred, neither judgment could be read,
the mode has one pass and no judge, all drafts of best-of-n were written, a guard refused the draft, or there
was none."""


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
    guard: NotRequired[Guard]
    """The guard that refused the draft, which was not judged then."""
    remark: NotRequired[str]
    """Why, where the guard's name does not say all."""


class DraftView(ResponseView):
    """A draft and what it was written from."""

    suggestions: NotRequired[str]
    draft: str


class DecisionView(DraftView):
    """What the decision is based on."""

    forward: Judgment | None
    reversed: Judgment | None
    """None where it was not asked for."""
    rounds: list[Round]
    ending: NotRequired[Ending]


class CheckedView(RequestView):
    """What a check sees besides the response."""

    references: NotRequired[list[str]]
    """Answers known to be right, of which one is enough."""


class RefusedView(DraftView, CheckedView):
    """What the guards see, and what a refused draft is recorded with."""

    rounds: list[Round]


def merge(forward: Judgment | None, reverse: Judgment | None) -> Points | None:
    """Average all judgments of both orders, for the current response and for the draft.

    The current response is response 1 in forward order and response 2 in reversed order. The judges of a
    panel count alike. A reply that cannot be read, or was not asked for, does not count; None means that none
    can be read.
    """
    current, draft = [], []
    for judgment, place in ((forward, 0), (reverse, 1)):
        for points in (each["points"] for each in _judgments(judgment)):
            if points:
                current.append(points[place])
                draft.append(points[1 - place])
    if not current:
        return None
    # Sums that are exact: in whatever order the same points were given, they are equal.
    return Points(current=fmean(current), draft=fmean(draft))


def _judgments(judgment: Judgment | None) -> Sequence[Judgment]:
    """Return the judgments of one order, of each judge."""
    if judgment is None:
        return []
    return list(judgment["panel"].values()) if "panel" in judgment else [judgment]


def points_by_judge(done: Round) -> dict[str, Points | None]:
    """Return the points of each judge of a panel, by its model, over both orders; empty without a panel."""
    forward, reverse = done["forward"], done["reversed"]
    panel = forward.get("panel", {}) if forward else {}
    other = reverse.get("panel", {}) if reverse else {}
    return {model: merge(judgment, other.get(model)) for model, judgment in panel.items()}


def judges_disagree(done: Round) -> bool:
    """Whether the judges of a panel do not all say the same, as far as they can be read: that the draft is
    better, the current response, or neither."""
    leads = [points["draft"] - points["current"] for points in points_by_judge(done).values() if points]
    return len({(lead > 0) - (lead < 0) for lead in leads}) > 1


def settled(forward: Judgment | None, form: VerdictForm) -> bool:
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
    What differs is the record: merged points are those of the forward judgment, and a second judgment that
    would have contradicted it, or whose call would have failed, remains unknown.

    Of a panel, the leads of all readable judgments add up, and each judge's reversed one may be g: so it is
    decided where it is for each judge.
    """
    return bool(forward) and all(_is_lost(each["points"], form) for each in _judgments(forward))


def _is_lost(points: list[float] | None, form: VerdictForm) -> bool:
    """Whether the draft, response 2, loses by the greatest lead there is."""
    return points is not None and points[1] - points[0] + GREATEST_LEAD[form] <= 0


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
    done = _round(state, accepted=accepted)
    done |= {"forward": state["forward"], "reversed": state["reversed"], "points": points}
    update: dict[str, Any] = {"rounds": [*state["rounds"], done]}
    if accepted:
        update |= {"response": state["draft"], "round": state["round"] + 1, "ending": "max_rounds"}
    else:
        update["ending"] = "not_accepted" if points else "judge_error"
    return update


def keep_best(state: DecisionView) -> dict[str, Any]:
    """End a round of best-of-n: its draft is the best so far if it has more points than that. A draft that
    was not judged (`STOPPED`) is recorded already."""
    update = {} if state.get("ending") in STOPPED else decide(state)
    return update | {"round": state["round"] + 1, "ending": "all_drafts"}


def ending_of_drafts(rounds: Sequence[Round]) -> Ending:
    """Return how an exchange of best-of-n ended. Where no draft has points: no judgment could be read, or why
    the first draft was not judged."""
    if any(done["points"] for done in rounds):
        return "all_drafts"
    if any(done["forward"] for done in rounds):
        return "judge_error"
    guard = rounds[0].get("guard")
    return _REFUSED[guard] if guard else "no_draft"


def adopt(state: DraftView) -> dict[str, Any]:
    """End a round without a judge: the draft is the result."""
    return {"response": state["draft"], "rounds": [_round(state, accepted=True)], "ending": "one_pass"}


def refuse(state: RefusedView, guard: Guard, remark: str = "") -> dict[str, Any]:
    """End a round whose draft a guard refuses: the current response stays."""
    done = _round(state, accepted=False)
    done["guard"] = guard
    if remark:
        done["remark"] = remark
    return {"rounds": [*state["rounds"], done], "ending": _REFUSED[guard]}


def without_draft(state: RefusedView) -> dict[str, Any]:
    """End a round of best-of-n in which the editor wrote nothing."""
    return {"rounds": [*state["rounds"], _round(state, accepted=False)], "ending": "no_draft"}


def _round(state: DraftView, *, accepted: bool) -> Round:
    """Return the record of a round in which nothing was judged."""
    return Round(
        round=state["round"],
        suggestions=state.get("suggestions"),
        draft=state["draft"],
        forward=None,
        reversed=None,
        points=None,
        accepted=accepted,
    )
