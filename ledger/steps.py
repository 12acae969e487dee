"""What the calls of each step of a mode took: the numbers at the nodes of its graph."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from sqlalchemy import text

from ledger.ledger import Ledger
from ledger.statistics import percentile


@dataclass(frozen=True, slots=True)
class StepCalls:
    """The calls of one step.

    `visits` counts the rounds that came to it, `first` those of them that were an exchange's first: a step
    may make several calls, after a failure or a verdict that cannot be read. Token counts are the
    providers' own; latencies are seconds, of each call's last attempt; percentiles over all samples
    are within half a percent.
    """

    calls: int
    visits: int
    first: int
    failed: int
    input_tokens: int
    output_tokens: int
    median_latency: float
    p95_latency: float


def steps(ledger: Ledger, mode: str, sample: str | None = None) -> dict[str, StepCalls]:
    """The calls of a mode by step, of all samples or of one.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with ledger.reading() as connection:
        if sample is not None:
            rows = connection.execute(text(_OF_SAMPLE), {"mode": mode, "sample": sample})
            return {row[0]: StepCalls(*row[1:]) for row in rows}
        latencies: defaultdict[str, Counter[float]] = defaultdict(Counter)
        for step, latency, number in connection.execute(text(_LATENCIES), {"mode": mode}):
            latencies[step][latency] += number
        return {
            row[0]: StepCalls(*row[1:], *(percentile(latencies[row[0]], percent) for percent in (50, 95)))
            for row in connection.execute(text(_OF_ALL), {"mode": mode})
        }


def finished_exchanges(ledger: Ledger, mode: str, sample: str | None = None) -> int:
    """How many exchanges came to their end in a mode, of all samples or of one; failed ones did not.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    query = _ALL_FINISHED if sample is None else _FINISHED
    with ledger.reading() as connection:
        number: int = connection.execute(
            text(query), {"mode": mode} | ({} if sample is None else {"sample": sample})
        ).scalar_one()
    return number


_ALL_FINISHED = """
    SELECT coalesce(sum(exchanges), 0) FROM exchange_totals WHERE mode = :mode AND ending <> 'failed'
"""

_FINISHED = """
    SELECT count(*) FROM results, json_each(results.outcome) AS exchange
    WHERE mode = :mode AND position = (SELECT position FROM samples WHERE id = :sample)
        AND json_extract(exchange.value, '$.ending') <> 'failed'
"""

_OF_ALL = """
    SELECT step, sum(calls), sum(visits), sum(first_visits), sum(failed), sum(input_tokens),
        sum(output_tokens)
    FROM call_totals WHERE mode = :mode GROUP BY step
"""

_LATENCIES = "SELECT step, latency, calls FROM latency_totals WHERE mode = :mode"

# Median and 95th percentile are nearest ranks.
_OF_SAMPLE = """
    WITH placed AS (
        SELECT step, round, sample || char(0) || exchange || char(0) || round AS visit, failure,
            input_tokens, output_tokens, latency,
            row_number() OVER (PARTITION BY step ORDER BY latency) AS place,
            count(*) OVER (PARTITION BY step) AS number
        FROM calls WHERE mode = :mode AND sample = :sample
    )
    SELECT step, count(*), count(DISTINCT visit), count(DISTINCT CASE WHEN round = 1 THEN visit END),
        sum(failure IS NOT NULL), coalesce(sum(input_tokens), 0),
        coalesce(sum(output_tokens), 0), max(CASE WHEN place = (number + 1) / 2 THEN latency END),
        max(CASE WHEN place = (95 * number + 99) / 100 THEN latency END)
    FROM placed GROUP BY step
"""
