"""How judgments compare: the two orders of a judge, and the judges of a panel."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from nodes.decision import judges_disagree, points_by_judge


@dataclass(slots=True)
class Judging:
    """How the two orders of judgment compare, over all judged rounds."""

    rounds: int
    accepted: int
    agreed: int
    """Both orders name the same winner, or both a tie."""
    one_tie: int
    """One order names a winner and the other a tie."""
    contradicted: int
    """The orders name opposite winners: both favored the response shown first, or both the one shown
    second."""
    favoured_first: int
    favoured_second: int
    one_unreadable: int
    both_unreadable: int
    calls_saved: int
    """Rounds that the first order decided, so that the second was not asked for (`lazy_judge`)."""

    @property
    def agreement(self) -> float | None:
        """The share of `agreed` in the rounds where both orders could be read, from 0 to 1."""
        readable = self.agreed + self.one_tie + self.contradicted
        return self.agreed / readable if readable else None


@dataclass(slots=True)
class PanelJudge:
    """What a judge of a panel said, over all judged rounds: each time the average of its two orders."""

    draft: int = 0
    """Rounds in which it preferred the draft; the others likewise."""
    current: int = 0
    neither: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class Panel:
    """How the judges of a panel compare, over all judged rounds."""

    rounds: int
    disagreed: int
    """Those of them in which the judges that could be read did not all say the same."""
    judges: dict[str, PanelJudge]
    """By model."""


def judging(connection: Connection, mode: str) -> Judging | None:
    """Compare the two orders of a mode; None if no round was judged."""
    found = Judging(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for forward, reverse, accepted, number in connection.execute(text(_JUDGING), {"mode": mode}):
        found.rounds += number
        found.accepted += number * accepted
        unreadable = (forward, reverse).count("unreadable")
        if reverse == "not asked":
            found.calls_saved += number
        elif unreadable == 2:
            found.both_unreadable += number
        elif unreadable:
            found.one_unreadable += number
        elif forward == reverse:
            found.agreed += number
        elif "neither" in (forward, reverse):
            found.one_tie += number
        else:
            found.contradicted += number
            if forward == "current":
                found.favoured_first += number
            else:
                found.favoured_second += number
    return found if found.rounds else None


_JUDGING = "SELECT forward, reversed, accepted, rounds FROM round_totals WHERE mode = :mode AND rounds > 0"


def panel(connection: Connection, mode: str) -> Panel | None:
    """Compare the judges of a mode; None where one judge decides, or nothing was judged.

    What each of them said is read from the results: the totals only know their average.
    """
    judges = connection.execute(text(_JUDGES), {"mode": mode}).scalar_one()
    if judges < 2:
        return None
    # Only points are decoded, and each combination of them, of which there are few, is looked at once.
    rounds: Counter[tuple[Any, ...]] = Counter()
    for (outcome,) in connection.execution_options(yield_per=1000).execute(text(_JUDGED), {"mode": mode}):
        for exchange in _decoder.decode(outcome):
            rounds.update((_said(done.forward), _said(done.reversed)) for done in exchange.rounds)
    found = Panel(0, 0, {})
    for orders, number in rounds.items():
        forward, reverse = (
            {"panel": {model: {"points": points} for model, points in each}} for each in orders
        )
        done: Any = {"forward": forward, "reversed": reverse}
        said = points_by_judge(done)
        found.rounds += number * bool(said)
        found.disagreed += number * judges_disagree(done)
        for model, points in said.items():
            judge = found.judges.setdefault(model, PanelJudge())
            lead = points["draft"] - points["current"] if points else 0
            word = "draft" if lead > 0 else "current" if lead < 0 else "neither" if points else "unreadable"
            setattr(judge, word, getattr(judge, word) + number)
    return found if found.rounds else None


class _Judge(msgspec.Struct):
    points: tuple[float, ...] | None = None


class _Judgment(msgspec.Struct):
    panel: dict[str, _Judge] = {}


class _Round(msgspec.Struct):
    forward: _Judgment | None = None
    reversed: _Judgment | None = None


class _Exchange(msgspec.Struct):
    rounds: list[_Round]


_decoder = msgspec.json.Decoder(list[_Exchange])


def _said(judgment: _Judgment | None) -> tuple[tuple[str, tuple[float, ...] | None], ...]:
    return tuple((model, judge.points) for model, judge in judgment.panel.items()) if judgment else ()


_JUDGES = "SELECT count(DISTINCT model) FROM call_totals WHERE mode = :mode AND step = 'judge_forward'"

_JUDGED = "SELECT outcome FROM results WHERE mode = :mode"
