"""The data of a run's charts: how long responses are, and how fast calls finished."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select, text

from ledger.ledger import Ledger
from ledger.tables import calls

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""The bounds between length classes, in tokens, as in `ledger/upgrades/to_6.sql`."""

INTERVALS = 60
"""The most points of the chart of calls over time."""


def classes() -> list[str]:
    """Return the names of the length classes, shortest first."""
    pairs = zip((0, *LENGTHS), LENGTHS, strict=False)
    return [f"{low:,}–{high - 1:,}" for low, high in pairs] + [f"{LENGTHS[-1]:,}+"]


def token_range(name: str) -> str:
    """Return the range of a length class as filters take it (`ledger.browse.Filter`)."""
    return name.replace(",", "").replace("–", "-").replace("+", "-")


def lengths(ledger: Ledger, mode: str) -> tuple[list[int], list[int]]:
    """Count the samples of a mode by the length class of their old and of their new responses.

    A sample's length is that of all its responses that were worked on, in estimated tokens; a failed one has
    its original.
    """
    old, new = ([0] * (len(LENGTHS) + 1) for _ in range(2))
    query = text("SELECT original_class, final_class, results FROM result_totals WHERE mode = :mode")
    for original, final, number in ledger.rows(query, mode=mode):
        old[original] += number
        new[final] += number
    return old, new


@dataclass(frozen=True, slots=True)
class Throughput:
    """How many calls finished in each interval."""

    begin: float
    """Unix time."""
    width: float
    """Seconds."""
    calls: list[int]


def throughput(ledger: Ledger) -> Throughput | None:
    """Return the calls of a run over time; None if there are none. A pause in the run shows as a gap."""
    ended = calls.c.started + calls.c.latency
    with ledger.reading() as connection:
        # Calls are numbered in the order in which they finish.
        first, last = (
            connection.execute(select(ended).order_by(order).limit(1)).scalar()
            for order in (calls.c.number.asc(), calls.c.number.desc())
        )
        if first is None or last is None:
            return None
        first, last = int(first), int(last)
        width = max((last - first) / INTERVALS, 1.0)
        counted: Counter[int] = Counter()
        for second, number in connection.execute(text("SELECT second, calls FROM second_totals")):
            # If the clock was set, calls may lie before the first or far after the last.
            counted[min(max(0, int((second - first) / width)), INTERVALS)] += number
    return Throughput(first, width, [counted[index] for index in range(max(counted) + 1)])


def finished(ledger: Ledger) -> dict[str, int]:
    """Count the results by status."""
    query = text("SELECT status, sum(results) AS n FROM result_totals GROUP BY status HAVING n > 0")
    return {row[0]: row[1] for row in ledger.rows(query)}


def finished_of(ledger: Ledger, start: int, stop: int) -> dict[str, int]:
    """Count the results of some records by status."""
    query = text(
        "SELECT status, count(*) FROM results WHERE position >= :start AND position < :stop GROUP BY status"
    )
    return {row[0]: row[1] for row in ledger.rows(query, start=start, stop=stop)}
