"""The debate over an exchange: which of the recorded calls its result was made from.

The ledger keeps every call, and a step may have several: a call failed, or a verdict could not be read and
was asked for again, or the sample was worked on again and an earlier exchange came out differently, so that
everything was asked again. All displays of a debate use this.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, get_args

from nodes.decision import WithoutText
from prompts.method import STEPS

CallRow = Mapping[str, Any]
"""A call as `ledger.ledger.Ledger.calls` returns it."""


class StepCalls(NamedTuple):
    """The calls of one step of a round."""

    counted: CallRow | None
    """The call that the result was made from, or that it failed at; None if there is none."""
    superseded: list[tuple[CallRow, str]]
    """The calls that do not count, in the order they finished, and why not."""
    others: Sequence[CallRow] = ()
    """The calls of a panel's other judges that count, in the order of the panel."""

    @property
    def all(self) -> list[tuple[CallRow, str]]:
        """All calls, first those that do not count; what counts has an empty reason."""
        counted = [self.counted, *self.others] if self.counted else []
        return [*self.superseded, *((call, "") for call in counted)]


Transcript = Mapping[int, Mapping[str, StepCalls]]
"""The calls by round and step, both in the order in which they are read."""

FAILED = "it failed"
UNREADABLE = "the verdict could not be read"
REPEATED = "the sample was worked on again"


def transcript(calls: Iterable[CallRow], done: Mapping[str, Any], mode: str) -> Transcript:
    """Return the debate over an exchange with this outcome; `calls` are those of its mode, as they finished.

    In each step the last call counts, since earlier ones belong to an earlier attempt. Where the
    result was made without reaching a step, no call counts there.
    """
    found: defaultdict[int, defaultdict[str, list[CallRow]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        if call["exchange"] == done["exchange"]:
            found[call["round"]][call["step"]].append(call)
    return {
        number: {
            step: _of_step(found[number][step], number, step, done, mode)
            for step in STEPS
            if step in found[number]
        }
        for number in sorted(found)
    }


def _of_step(calls: list[CallRow], number: int, step: str, done: Mapping[str, Any], mode: str) -> StepCalls:
    was_reached = _was_reached(number, step, done, mode)
    if STEPS[step].purpose != "verdict" or len({call["model"] for call in calls}) == 1:
        return _calls(calls, was_reached=was_reached)
    round_ = next((each for each in done["rounds"] if each["round"] == number), None)
    judgment = round_[STEPS[step].order] if round_ else None
    panel = (judgment or {}).get("panel", {})
    models = dict.fromkeys([*panel, *(call["model"] for call in calls)])
    each = [
        _calls([call for call in calls if call["model"] == model], was_reached=was_reached)
        for model in models
    ]
    counted = [judged.counted for judged in each if judged.counted]
    superseded = [call for judged in each for call in judged.superseded]
    return StepCalls(counted[0] if counted else None, superseded, counted[1:])


def _was_reached(number: int, step: str, done: Mapping[str, Any], mode: str) -> bool:
    failure = done.get("failure")
    if failure:
        # An internal error belongs to no step: all that is recorded counts.
        stages = _stages(mode)
        return not failure["step"] or (number, stages[step]) <= (failure["round"], stages[failure["step"]])
    if done["ending"] in get_args(WithoutText) and number == len(done["rounds"]) + 1:
        return STEPS[step].purpose != "verdict"  # a round without a draft is not recorded
    round_ = next((each for each in done["rounds"] if each["round"] == number), None)
    if round_ is None:
        return False
    return STEPS[step].purpose != "verdict" or round_[STEPS[step].order] is not None


@cache
def _stages(mode: str) -> dict[str, int]:
    """Number the steps of a mode so that those asked at the same time share a number."""
    from graph.topology import depths, topology  # slow to load, and seldom needed

    return depths(topology(mode))


def _calls(calls: list[CallRow], *, was_reached: bool) -> StepCalls:
    superseded: list[tuple[CallRow, str]] = []
    for call, after in zip(calls, [*calls[1:], None], strict=True):
        if after is None and was_reached:
            return StepCalls(call, superseded)
        asked_again = after is not None and after["asked"] > call["asked"]
        why = FAILED if call["failure"] else UNREADABLE if asked_again else REPEATED
        superseded.append((call, why))
    return StepCalls(None, superseded)
