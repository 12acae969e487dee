"""What was said over an exchange: which of the calls on file its result was made from.

The record keeps every call, and a place in a debate may have several: a call failed, or a verdict could not
be read and was asked for again, or the sample was worked on anew and an exchange before this one came out
differently, so that everything was said once more. Whoever tells the story of a sample asks here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from models.call import STEPS, Step

Call = Mapping[str, Any]
"""A call as `ledger.ledger.Ledger.calls` gives it."""


class Said(NamedTuple):
    """What was said in one place of a debate.

    `counts` is the call that the result was made from, or that it failed at; None where there is none.
    `others` are the calls that do not count, in the order they finished, and why not.
    """

    counts: Call | None
    others: list[tuple[Call, str]]

    @property
    def calls(self) -> list[tuple[Call, str]]:
        """All of them in the order they finished; the one that counts has nothing said against it."""
        return [*self.others, *([(self.counts, "")] if self.counts else [])]


Debate = Mapping[int, Mapping[Step, Said]]
"""What was said, by round and step, both in the order a person reads them."""

FAILED = "it failed"
UNREADABLE = "the verdict could not be read"
ANEW = "the sample was worked on again"

_TOGETHER: Mapping[Step, int] = {
    "positive_opening": 0,
    "critical_opening": 0,
    "positive_free": 1,
    "critical_free": 1,
    "advisor": 2,
    "editor": 3,
    "judge_forward": 4,
    "judge_reversed": 4,
}
"""The steps that are asked for at the same time have the same number; those that follow have a higher one."""


def debate(calls: Iterable[Call], done: Mapping[str, Any]) -> Debate:
    """What was said over an exchange with this outcome; `calls` are those of its mode, as they finished.

    In each place the last call counts: what was asked before was asked of another state of things. Where
    the result was made without coming to a place, no call there counts.
    """
    found: defaultdict[int, defaultdict[Step, list[Call]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        if call["exchange"] == done["exchange"]:
            found[call["round"]][call["step"]].append(call)
    return {
        number: {
            step: _said(found[number][step], came_to=_came_to(number, step, done))
            for step in STEPS
            if step in found[number]
        }
        for number in sorted(found)
    }


def _came_to(number: int, step: Step, done: Mapping[str, Any]) -> bool:
    failure = done.get("failure")
    if failure:
        here = number, _TOGETHER[step]
        return here <= (failure["round"], _TOGETHER[failure["step"]])
    round_ = next((each for each in done["rounds"] if each["round"] == number), None)
    if round_ is None:
        return False
    return not step.startswith("judge_") or round_[step.removeprefix("judge_")] is not None


def _said(calls: list[Call], *, came_to: bool) -> Said:
    others: list[tuple[Call, str]] = []
    for call, after in zip(calls, [*calls[1:], None], strict=True):
        if after is None and came_to:
            return Said(call, others)
        again = after is not None and after["asked"] > call["asked"]
        others.append((call, FAILED if call["failure"] else UNREADABLE if again else ANEW))
    return Said(None, others)
