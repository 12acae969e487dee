"""What people decide on the results: one decision for each exchange in each mode, the last one counts.

A decision is a text, the response that the person wants; its kind says where that text comes from. It was
made on the result that the person saw. Where a sample is worked on again and the result is another one, the
decision is kept and no longer stands, until the result is the same again or the person decides anew.

Pages write decisions from a process of their own while the run's writer is at work. A decision is one
statement in a transaction of its own, so both wait for each other for milliseconds.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, delete, func, literal_column, select, text, true, tuple_

from ledger.ledger import Ledger, LedgerError, Result, reported
from ledger.tables import decided, decisions, results
from ledger.texts import json_text

DecisionKind = Literal["accepted", "rejected", "chosen", "edited"]
KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
"""The response that the person wants is the result as it is; the original, which the result would have
replaced; another draft of the exchange; a text of the person's own."""

DECIDED_BY_JUDGE = ("max_rounds", "not_accepted")
"""The endings of an exchange in which the judge decided."""

OVERRULED: tuple[DecisionKind, ...] = ("rejected", "chosen")
"""The decisions in which a person wants what the judge did not."""

DecisionFilter = Literal["all", "some", DecisionKind, "disagree", "outdated"]
FILTERS: tuple[DecisionFilter, ...] = ("all", "some", *KINDS, "disagree", "outdated")
"""What results can be chosen by: all of their exchanges are decided, or some are left to decide; some
exchange is decided in this way; in some exchange person and judge disagree; a decision stands no more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided on the result of an exchange.

    `response` is the text that the person wants, `note` says why or is empty, `decided` is a Unix time. It
    `stands` while the result is the one that was decided on.
    """

    kind: DecisionKind
    response: str
    note: str
    decided: float
    stands: bool


Decisions = Mapping[tuple[int, str], Mapping[int, Decision]]
"""Decisions by position and mode, and by exchange."""


def kind_of(done: Mapping[str, Any], response: str, drafts: Collection[str] = ()) -> DecisionKind:
    """What it means to want this response for an exchange with this outcome.

    `drafts` are further drafts of it: the outcome of a failed exchange has none.
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
    """Keep a person's decision on an exchange of a result that was shown; an earlier one is replaced.

    `drafts` are those of the exchange that the result does not have, see `kind_of`.

    Raises:
        LedgerError: the ledger holds another result by now, or it cannot be written.
    """
    done = next(done for done in result.outcome if done["exchange"] == exchange)
    decision = Decision(kind_of(done, response, drafts), response, note, time.time(), stands=True)
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
    with reported(ledger.path), ledger.engine.begin() as connection:
        if not connection.execute(text(_DECIDE), row).rowcount:
            raise LedgerError("this sample has been worked on again since it was shown: load the page anew")
    return decision


# What was seen is taken from the ledger itself, where the result is still the one that was shown.
_DECIDE = """
    INSERT OR REPLACE INTO decisions (position, mode, exchange, decision, response, seen, note, decided)
    SELECT position, mode, exchange, :decision, :response, response, :note, :decided FROM responses
    WHERE position = :position AND mode = :mode AND exchange = :exchange AND finished = :finished
"""


def take_back(ledger: Ledger, position: int, mode: str, exchange: int) -> None:
    """Forget the decision on an exchange.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    place = tuple_(decisions.c.position, decisions.c.mode, decisions.c.exchange)
    with reported(ledger.path), ledger.engine.begin() as connection:
        connection.execute(delete(decisions).where(place == tuple_(position, mode, exchange)))


def on_file(ledger: Ledger, positions: Collection[int] | None = None) -> Decisions:
    """The decisions on file, of all samples (people make them one by one: they fit in memory) or of a few."""
    stands = (
        select(decided.c.stands)
        .where(*(decided.c[column.name] == column for column in decisions.primary_key))
        .scalar_subquery()
        .label("stands")
    )
    wanted = decisions.c.position.in_(positions) if positions is not None else true()
    found: defaultdict[tuple[int, str], dict[int, Decision]] = defaultdict(dict)
    with ledger.reading() as connection:
        for row in connection.execute(select(decisions, stands).where(wanted)).mappings():
            found[row["position"], row["mode"]][row["exchange"]] = Decision(
                kind=row["decision"],
                response=json.loads(row["response"]),
                note=json.loads(row["note"]),
                decided=row["decided"],
                stands=bool(row["stands"]),
            )
    return found


def last(ledger: Ledger) -> object:
    """Something that is another thing after each decision."""
    with ledger.reading() as connection:
        return tuple(connection.execute(select(func.count(), func.max(decisions.c.decided))).one())


def matches(choice: DecisionFilter, decision: Decision | None, ending: str) -> bool:
    """Whether it is for an exchange with this decision and this ending that a result is chosen."""
    stands = decision is not None and decision.stands
    match choice:
        case "all":
            return False  # which is about all of its exchanges
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
    """The condition for rows of `results`."""
    # By the number of its row: for a million results that is several times quicker than by position and mode.
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
