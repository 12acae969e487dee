"""What users decided on the results of a run, and how far several reviewers agree."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ledger.decisions import DECIDED_BY_JUDGE, KINDS
from ledger.tables import decided, reviewed
from trials.reviewers import alpha


@dataclass(slots=True)
class Deciding:
    """What users decided on the results of exchanges; of several reviewers' decisions the one that counts."""

    decided: int
    """Decisions that are current; by kind in the next four (`ledger.decisions.KINDS`)."""
    accepted: int
    rejected: int
    chosen: int
    edited: int
    outdated: int
    """Decisions on a result that has changed since."""
    compared: int
    """Exchanges in which the judge decided and so did a user, for one of the texts that the judge had before
    it: who writes a text of their own answers another question."""
    agreement: float | None
    """The share of `accepted` among them; None in modes without a judge, or if nothing was compared."""


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


def deciding(connection: Connection, mode: str) -> Deciding | None:
    """Count the decisions in a mode; None if there are none."""
    number = func.count()
    all_ = connection.execute(select(number).where(decided.c.mode == mode)).scalar_one()
    if not all_:
        return None
    kinds: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    judged = decided.c.ending.in_(DECIDED_BY_JUDGE)
    current = select(decided.c.decision, judged, number).where(decided.c.mode == mode, decided.c.stands)
    for kind, by_judge, count in connection.execute(current.group_by(decided.c.decision, judged)):
        kinds[kind] += count
        if by_judge and kind != "edited":
            compared[kind] += count
    return Deciding(
        decided=kinds.total(),
        **{kind: kinds[kind] for kind in KINDS},
        outdated=all_ - kinds.total(),
        compared=compared.total(),
        agreement=compared["accepted"] / compared.total() if compared else None,
    )


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
