"""What charts of a run are drawn from: how long responses are, and how the calls came in over time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, select

from ledger.ledger import Ledger
from ledger.tables import calls, results

BOUNDS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Between the classes of lengths, in tokens: each is twice the one before."""

INTERVALS = 60
"""The most points of the chart of calls over time."""


def classes() -> list[str]:
    """The names of the classes of lengths, from the shortest on."""
    pairs = zip((0, *BOUNDS), BOUNDS, strict=False)
    return [f"{low:,}–{high - 1:,}" for low, high in pairs] + [f"{BOUNDS[-1]:,}+"]


def lengths(ledger: Ledger, mode: str) -> tuple[list[int], list[int]]:
    """How many finished samples of a mode have old and new responses in each class of length.

    A sample's length is that of all its responses that were worked on, in estimated tokens.
    """
    old, new = (
        _classified(ledger, mode, column) for column in (results.c.original_tokens, results.c.final_tokens)
    )
    numbers = range(len(BOUNDS) + 1)
    return [old.get(number, 0) for number in numbers], [new.get(number, 0) for number in numbers]


def _classified(ledger: Ledger, mode: str, tokens: ColumnElement[int]) -> Mapping[int, int]:
    number = case(*((tokens < bound, place) for place, bound in enumerate(BOUNDS)), else_=len(BOUNDS))
    query = select(number, func.count()).where(results.c.mode == mode, results.c.status == "done")
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(number))}


@dataclass(frozen=True, slots=True)
class Pace:
    """How many calls finished in each interval of `width` seconds; `begin` is a Unix time."""

    begin: float
    width: float
    calls: list[int]


def pace(ledger: Ledger) -> Pace | None:
    """The calls of a run over time, None where there are none. A pause in the run shows as a gap."""
    ended = calls.c.started + calls.c.latency
    with ledger.reading() as connection:
        # Calls are numbered in the order in which they finish.
        first, last = (
            connection.execute(select(ended).order_by(order).limit(1)).scalar()
            for order in (calls.c.number.asc(), calls.c.number.desc())
        )
        if first is None or last is None:
            return None
        width = max((last - first) / INTERVALS, 1.0)
        interval = func.floor((ended - first) / width)
        rows = connection.execute(select(interval, func.count()).group_by(interval))
        counted: Counter[int] = Counter()
        for row in rows:
            # A clock that was set back or forth may put calls before the first or far after the last.
            counted[min(max(0, int(row[0])), INTERVALS)] += row[1]
    return Pace(first, width, [counted[place] for place in range(max(counted) + 1)])


def finished(ledger: Ledger) -> dict[str, int]:
    """How many results there are, by status."""
    with ledger.reading() as connection:
        query = select(results.c.status, func.count()).group_by(results.c.status)
        return {row[0]: row[1] for row in connection.execute(query)}
