"""Users' decisions on results: at most one for each exchange and mode.

A decision is the response that the user wants; its kind says where that text comes from. It applies to the
result that the user saw: if the sample is worked on again with another result, the decision is kept but is
outdated, until the result is the same again or the user decides again.

The viewer writes decisions from its own process while the run's writer is at work. Each is one statement in a
transaction of its own, so that they block each other for milliseconds only.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, delete, func, literal_column, select, text, true, tuple_

from ledger.ledger import Ledger, LedgerError, Result, ledger_errors
from ledger.tables import decided, decisions, results
from ledger.texts import json_text

DecisionKind = Literal["accepted", "rejected", "chosen", "edited"]
KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
"""The user wants the result; the original; another draft of the exchange; or a text of their own."""

DECIDED_BY_JUDGE = ("max_rounds", "not_accepted", "all_drafts")
"""The endings of an exchange in which the judge decided."""

OVERRULED: tuple[DecisionKind, ...] = ("rejected", "chosen")
"""The decisions that contradict the judge."""

DecisionFilter = Literal["all", "some", DecisionKind, "disagree", "outdated"]
FILTERS: tuple[DecisionFilter, ...] = ("all", "some", *KINDS, "disagree", "outdated")
"""Filters of results: all exchanges are decided; some are undecided; some exchange has a decision of this
kind; in some exchange user and judge disagree; a decision is outdated."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A user's decision on the result of an exchange."""

    kind: DecisionKind
    response: str
    """The text that the user wants."""
    note: str
    """Why, or empty."""
    decided: float
    """Unix time."""
    stands: bool
    """Whether the result is still the one that was decided on."""


Decisions = Mapping[tuple[int, str], Mapping[int, Decision]]
"""Decisions by position and mode, and by exchange."""


def decision_kind(done: Mapping[str, Any], response: str, drafts: Collection[str] = ()) -> DecisionKind:
    """Return the kind of a decision for this response, on an exchange with this outcome.

    `drafts` are drafts that the outcome does not have: that of a failed exchange has none.
    """
    if response == done["response"]:
        return "accepted"
    if response == done["original"]:
        return "rejected"
    return "chosen" if response in [*drafts, *(each["draft"] for each in done["rounds"])] else "edited"


def decide(
    ledger: Ledger,
    position: int,
    result: Result,
    exchange: int,
    response: str,
    note: str = "",
    drafts: Collection[str] = (),
) -> Decision:
    """Record a user's decision on an exchange of the result that the user saw, replacing an earlier one.

    For `drafts` see `decision_kind`.

    Raises:
        LedgerError: the ledger holds another result by now, or cannot be written.
    """
    done = next(done for done in result.outcome if done["exchange"] == exchange)
    decision = Decision(decision_kind(done, response, drafts), response, note, time.time(), stands=True)
    row = {
        "position": position,
        "mode": result.mode,
        "exchange": exchange,
        "decision": decision.kind,
        "response": json_text(response),
        "note": json_text(note),
        "decided": decision.decided,
        "finished": result.finished,
    }
    with ledger_errors(ledger.path), ledger.engine.begin() as connection:
        if not connection.execute(text(_DECIDE), row).rowcount:
            raise LedgerError("this sample has been worked on again since it was shown: reload the page")
    return decision


# The result that was seen is copied from the ledger, provided that it is still the one that was shown.
_DECIDE = """
    INSERT OR REPLACE INTO decisions (position, mode, exchange, decision, response, seen, note, decided)
    SELECT position, mode, exchange, :decision, :response, response, :note, :decided FROM responses
    WHERE position = :position AND mode = :mode AND exchange = :exchange AND finished = :finished
"""


def delete_decision(ledger: Ledger, position: int, mode: str, exchange: int) -> None:
    """Delete the decision on an exchange.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    key = tuple_(decisions.c.position, decisions.c.mode, decisions.c.exchange)
    with ledger_errors(ledger.path), ledger.engine.begin() as connection:
        connection.execute(delete(decisions).where(key == tuple_(position, mode, exchange)))


def load_decisions(ledger: Ledger, positions: Collection[int] | None = None) -> Decisions:
    """Return the decisions on all samples (users make them one by one, so they fit in memory), or on some."""
    stands = (
        select(decided.c.stands)
        .where(*(decided.c[column.name] == column for column in decisions.primary_key))
        .scalar_subquery()
        .label("stands")
    )
    wanted = decisions.c.position.in_(positions) if positions is not None else true()
    found: defaultdict[tuple[int, str], dict[int, Decision]] = defaultdict(dict)
    for row in ledger.rows(select(decisions, stands).where(wanted)):
        found[row.position, row.mode][row.exchange] = Decision(
            kind=row.decision,
            response=json.loads(row.response),
            note=json.loads(row.note),
            decided=row.decided,
            stands=bool(row.stands),
        )
    return found


def revision(ledger: Ledger) -> object:
    """Return a value that changes with each decision."""
    return tuple(ledger.rows(select(func.count(), func.max(decisions.c.decided)))[0])


def matches(choice: DecisionFilter, decision: Decision | None, ending: str) -> bool:
    """Whether a filter selects results for an exchange with this decision and ending."""
    stands = decision is not None and decision.stands
    match choice:
        case "all":
            return False  # it concerns all exchanges of a result
        case "some":
            return not stands
        case "outdated":
            return decision is not None and not stands
        case "disagree":
            overruled = decision is not None and decision.kind in OVERRULED
            return stands and overruled and ending in DECIDED_BY_JUDGE
        case kind:
            return stands and decision is not None and decision.kind == kind


def condition(choice: DecisionFilter) -> ColumnElement[bool]:
    """Return the condition of a filter on rows of `results`."""
    # Row ids are several times faster than position and mode for a million results.
    result: ColumnElement[int] = literal_column("results.rowid")
    some = select(decided.c.result)
    whole = (
        some.where(decided.c.stands)
        .group_by(decided.c.result, decided.c.exchanges)
        .having(func.count() == decided.c.exchanges)
    )
    match choice:
        case "all":
            return result.in_(whole)
        case "some":
            return and_(results.c.status != "skipped", result.not_in(whole))
        case "outdated":
            return result.in_(some.where(~decided.c.stands))
        case "disagree":
            overruled = decided.c.decision.in_(OVERRULED)
            return result.in_(some.where(decided.c.stands, overruled, decided.c.ending.in_(DECIDED_BY_JUDGE)))
        case kind:
            return result.in_(some.where(decided.c.stands, decided.c.decision == kind))
