"""Users' decisions on results: of each reviewer at most one for each exchange and mode.

A decision is the response that the user wants; its kind says where that text comes from. It applies to the
result that the user saw: if the sample is worked on again with another result, the decision is kept but is
outdated, until the result is the same again or the user decides again. Of several reviewers' decisions on an
exchange the latest counts, of those that are not outdated.

A decision is a row that is added to a history and never changed, so nobody overwrites another's. The viewer
writes it from its own process while the run's writer is at work: one statement in a transaction of its own,
so that they block each other for milliseconds only.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from unicodedata import normalize

from sqlalchemy import ColumnElement, and_, func, insert, literal_column, select, text, true

from ledger.ledger import Ledger, LedgerError, Result, ledger_errors
from ledger.tables import decided, decision_history, results, reviewed
from ledger.texts import json_text
from samples.fields import as_text

DecisionKind = Literal["accepted", "rejected", "chosen", "edited"]
KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
"""The user wants the result; the original; another draft of the exchange; or a text of their own."""

DECIDED_BY_JUDGE = ("max_rounds", "not_accepted", "all_drafts")
"""The endings of an exchange in which the judge decided."""

OVERRULED: tuple[DecisionKind, ...] = ("rejected", "chosen")
"""The decisions that contradict the judge."""

DecisionFilter = Literal["all", "some", DecisionKind, "disagree", "disputed", "outdated"]
FILTERS: tuple[DecisionFilter, ...] = ("all", "some", *KINDS, "disagree", "disputed", "outdated")
"""Filters of results: all exchanges are decided; some are undecided; some exchange has a decision of this
kind; in some exchange user and judge disagree, or two reviewers; a decision is outdated."""

MAX_NAME = 100
"""Characters of a reviewer's name."""


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
    reviewer: str = ""
    """A name, or empty."""
    counts: bool = True
    """Whether it is the one that counts, of several reviewers' on the exchange."""
    disputed: bool = False
    """Whether reviewers want different texts there, outdated decisions left out."""


Decisions = Mapping[tuple[int, str], Mapping[int, Decision]]
"""Decisions by position and mode, and by exchange."""

Reviews = Mapping[tuple[int, str], Mapping[int, Sequence[Decision]]]
"""The same of all reviewers, the one that counts first."""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the history: a decision, or that it was withdrawn."""

    position: int
    mode: str
    exchange: int
    reviewer: str
    kind: DecisionKind | Literal["withdrawn"]
    response: str
    """The text that the user wants; empty if it was withdrawn."""
    note: str
    decided: float
    """Unix time."""


def reviewer_name(given: str) -> str:
    """Return a name as it is stored: on one line, composed, without what cannot be seen, and cut."""
    composed = normalize("NFC", as_text(given))
    shown = "".join(each if each.isprintable() or each in _JOINERS else " " for each in composed)
    return " ".join(shown.split())[:MAX_NAME].strip()


_JOINERS = "\u200c\u200d"
"""They are not printable, but a part of names in several scripts."""


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
    reviewer: str = "",
) -> Decision:
    """Record a reviewer's decision on an exchange of the result that the reviewer saw, in place of an earlier
    one of the same reviewer.

    For `drafts` see `decision_kind`.

    Raises:
        LedgerError: the ledger holds another result by now, or cannot be written.
    """
    done = next(done for done in result.outcome if done["exchange"] == exchange)
    kind, name = decision_kind(done, response, drafts), reviewer_name(reviewer)
    decision = Decision(kind, response, note, time.time(), stands=True, reviewer=name)
    row = {
        "position": position,
        "mode": result.mode,
        "exchange": exchange,
        "reviewer": name,
        "decision": kind,
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
    INSERT INTO decision_history
        (position, mode, exchange, reviewer, decision, response, seen, note, decided)
    SELECT position, mode, exchange, :reviewer, :decision, :response, response, :note, :decided FROM responses
    WHERE position = :position AND mode = :mode AND exchange = :exchange AND finished = :finished
"""


def delete_decision(ledger: Ledger, position: int, mode: str, exchange: int, reviewer: str = "") -> None:
    """Withdraw a reviewer's decision on an exchange; the history keeps it.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    change = Change(position, mode, exchange, reviewer_name(reviewer), "withdrawn", "", "", time.time())
    row = {name: getattr(change, name) for name in ("position", "mode", "exchange", "reviewer", "decided")}
    empty = {"response": json_text(""), "seen": "", "note": json_text("")}
    with ledger_errors(ledger.path), ledger.engine.begin() as connection:
        connection.execute(insert(decision_history).values(**row, **empty, decision=change.kind))


def load_decisions(ledger: Ledger, positions: Collection[int] | None = None) -> Decisions:
    """Return the decisions that count, on all samples or on some."""
    found = load_reviews(ledger, positions).items()
    return {key: {number: first for number, (first, *_) in of.items()} for key, of in found}


def load_reviews(ledger: Ledger, positions: Collection[int] | None = None) -> Reviews:
    """Return the decisions of all reviewers on all samples (people make them one by one, so they fit in
    memory), or on some."""
    wanted = reviewed.c.position.in_(positions) if positions is not None else true()
    query = select(reviewed).where(wanted).order_by(reviewed.c.counts.desc(), reviewed.c.number.desc())
    found: defaultdict[tuple[int, str], dict[int, list[Decision]]] = defaultdict(dict)
    for row in ledger.rows(query):
        found[row.position, row.mode].setdefault(row.exchange, []).append(
            Decision(
                kind=row.decision,
                response=json.loads(row.response),
                note=json.loads(row.note),
                decided=row.decided,
                stands=bool(row.stands),
                reviewer=row.reviewer,
                counts=bool(row.counts),
                disputed=bool(row.disputed),
            )
        )
    return found


def of_reviewer(by: Mapping[int, Sequence[Decision]], reviewer: str) -> dict[int, Decision]:
    """Return a reviewer's decisions by exchange, of those on a result; without a name those that count."""
    return {
        number: decision
        for number, some in by.items()
        for decision in some
        if (decision.reviewer == reviewer if reviewer else decision.counts)
    }


def load_history(ledger: Ledger, place: tuple[int, str, int] | None = None) -> list[Change]:
    """Return all that was decided and withdrawn, from the first to the last: everywhere, or on an
    exchange, given by position, mode and number."""
    here: ColumnElement[bool] = true()
    if place:
        columns = (decision_history.c[name] for name in ("position", "mode", "exchange"))
        here = and_(*(column == value for column, value in zip(columns, place, strict=True)))
    return [
        Change(
            **{name: getattr(row, name) for name in ("position", "mode", "exchange", "reviewer", "decided")},
            kind=row.decision,
            response=json.loads(row.response),
            note=json.loads(row.note),
        )
        for row in ledger.rows(select(decision_history).where(here).order_by(decision_history.c.number))
    ]


def reviewers(ledger: Ledger) -> list[str]:
    """Return the names of those who have decided."""
    names = select(decision_history.c.reviewer).where(decision_history.c.reviewer != "").distinct()
    return sorted(row[0] for row in ledger.rows(names))


def revision(ledger: Ledger) -> object:
    """Return a value that changes with each decision."""
    return ledger.scalar(select(func.max(decision_history.c.number)))


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
        case "disputed":
            return decision is not None and decision.disputed
        case "disagree":
            overruled = decision is not None and decision.kind in OVERRULED
            return stands and overruled and ending in DECIDED_BY_JUDGE
        case kind:
            return stands and decision is not None and decision.kind == kind


def condition(choice: DecisionFilter | Literal[""], reviewer: str = "") -> ColumnElement[bool]:
    """Return the condition of a filter on rows of `results`: by the decisions that count, or by a
    reviewer's. Without a choice, the reviewer has decided on some exchange."""
    # Row ids are several times faster than position and mode for a million results.
    result: ColumnElement[int] = literal_column("results.rowid")
    of = reviewed.c if reviewer else decided.c
    some = select(of.result).where(of.reviewer == reviewer if reviewer else true())
    whole = some.where(of.stands).group_by(of.result, of.exchanges).having(func.count() == of.exchanges)
    match choice:
        case "":
            return result.in_(some)
        case "all":
            return result.in_(whole)
        case "some":
            return and_(results.c.status != "skipped", result.not_in(whole))
        case "outdated":
            return result.in_(some.where(~of.stands))
        case "disputed":
            return result.in_(some.where(of.disputed))
        case "disagree":
            overruled = of.decision.in_(OVERRULED)
            return result.in_(some.where(of.stands, overruled, of.ending.in_(DECIDED_BY_JUDGE)))
        case kind:
            return result.in_(some.where(of.stands, of.decision == kind))
