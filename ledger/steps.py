"""What the calls of each step of a mode took: the numbers at the nodes of its graph."""

from dataclasses import dataclass

from sqlalchemy import text

from ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class StepCalls:
    """The calls of one step.

    `visits` counts the rounds that came to it, `first` those of them that were an exchange's first: a step
    may make several calls, after a failure or a verdict that cannot be read. Token counts are the
    providers' own; latencies are seconds, of each call's last attempt.
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
    only = {"mode": mode} | ({} if sample is None else {"sample": sample})
    query = _STEPS.format(condition="" if sample is None else "AND sample = :sample")
    with ledger.reading() as connection:
        rows = connection.execute(text(query), only)
        return {row[0]: StepCalls(*row[1:]) for row in rows}


def finished_exchanges(ledger: Ledger, mode: str, sample: str | None = None) -> int:
    """How many exchanges came to their end in a mode, of all samples or of one; failed ones did not.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    condition = "" if sample is None else "AND position = (SELECT position FROM samples WHERE id = :sample)"
    query = _FINISHED.format(condition=condition)
    with ledger.reading() as connection:
        only = {"mode": mode} | ({} if sample is None else {"sample": sample})
        number: int = connection.execute(text(query), only).scalar_one()
    return number


_FINISHED = """
    SELECT count(*) FROM results, json_each(results.outcome) AS exchange
    WHERE mode = :mode AND json_extract(exchange.value, '$.ending') != 'failed' {condition}
"""

# Median and 95th percentile are nearest ranks.
_STEPS = """
    WITH placed AS (
        SELECT step, round, sample || char(0) || exchange || char(0) || round AS visit, failure,
            input_tokens, output_tokens, latency,
            row_number() OVER (PARTITION BY step ORDER BY latency) AS place,
            count(*) OVER (PARTITION BY step) AS number
        FROM calls WHERE mode = :mode {condition}
    )
    SELECT step, count(*), count(DISTINCT visit), count(DISTINCT CASE WHEN round = 1 THEN visit END),
        sum(failure IS NOT NULL), coalesce(sum(input_tokens), 0),
        coalesce(sum(output_tokens), 0), max(CASE WHEN place = (number + 1) / 2 THEN latency END),
        max(CASE WHEN place = (95 * number + 99) / 100 THEN latency END)
    FROM placed GROUP BY step
"""
