"""How far several reviewers of a run agree."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ledger.decisions import KINDS
from ledger.tables import reviewed
from trials.reviewers import alpha


@dataclass(slots=True)
class Reviewing:
    """The exchanges on which two or more reviewers decided, outdated decisions left out."""

    reviewers: int
    """Who decided on some of them."""
    exchanges: int
    agreed: int
    """Exchanges for which all want the same text."""
    agreement: float
    """Their share."""
    alpha: float | None
    """Krippendorff's, of the texts that they want: 1 is full agreement, 0 that of chance. None if all
    decisions are alike, or where the extra `trial` is not installed."""


def reviewing(connection: Connection, mode: str) -> Reviewing | None:
    """Compare the decisions of the reviewers in a mode; None if no two decided on the same."""
    of = reviewed.c
    query = select(of.position, of.exchange, of.reviewer, of.decision, of.response)
    query = query.where(of.mode == mode, of.stands).order_by(of.number)
    by_exchange: defaultdict[tuple[int, int], dict[str, tuple[str, str]]] = defaultdict(dict)
    for position, exchange, reviewer, kind, response in connection.execute(query):
        by_exchange[position, exchange][reviewer] = kind, response
    shared = [by for by in by_exchange.values() if len(by) > 1]
    if not shared:
        return None
    coded = [dict(zip(by, _codes([*by.values()]), strict=True)) for by in shared]
    agreed = sum(len(set(by.values())) == 1 for by in coded)
    names = {name for by in shared for name in by}
    return Reviewing(len(names), len(shared), agreed, agreed / len(shared), alpha(coded))


def _codes(made: Sequence[tuple[str, str]]) -> list[int]:
    """Return a number for each decision on an exchange: the same where the same text is wanted.

    Results and originals have theirs everywhere, other texts in the order in which they occur: each in a
    category of its own, no two edits could agree by chance.
    """
    texts: dict[str, int] = {}
    return [
        KINDS.index(kind)
        if kind in ("accepted", "rejected")
        else texts.setdefault(response, len(texts) + len(KINDS))
        for kind, response in made
    ]
