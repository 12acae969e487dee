"""Applies users' decisions to results."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from ledger.decisions import Decision
from ledger.ledger import Result

DecidedBy = Literal["judge", "human"]
DECIDED_BY: tuple[DecidedBy, ...] = get_args(DecidedBy)


def followed(result: Result, decisions: Mapping[int, Decision]) -> Result:
    """Return the result with the user's response in each exchange that has a current decision.

    There the outcome has two more fields: `decision`, its kind, and `judged`, the result that was decided on.
    """
    outcome: list[dict[str, Any]] = []
    for done in result.outcome:
        decision = decisions.get(done["exchange"])
        if decision and decision.stands:
            applied = {"response": decision.response, "decision": decision.kind, "judged": done["response"]}
            outcome.append({**done, **applied})
        else:
            outcome.append(done)
    return replace(result, outcome=outcome)


def has_new_response(result: Result) -> bool:
    """Whether a draft was accepted in some exchange, or a user wants another response than the original."""
    return any(
        done["response"] != done["original"] if "decision" in done else done["accepted_rounds"] > 0
        for done in result.outcome
    )
