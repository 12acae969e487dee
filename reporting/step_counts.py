"""What the calls of each step of a mode took: the numbers at the nodes of its graph."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from sqlalchemy import text

from ledger.ledger import Ledger
from reporting.statistics import percentile
from reporting.transcript import Call, debate


@dataclass(frozen=True, slots=True)
class StepCalls:
    """The calls of one step.

    `visits` counts the rounds that came to it, `first` those of them that were an exchange's first: a step
    may make several calls, after a failure or a verdict that cannot be read. Of one sample they are the
    rounds of its result; over all samples, where calls alone are counted, also those of an attempt that was
    given up for another. Token counts are the
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
    if sample is not None:
        return _of_sample(ledger, mode, sample)
    with ledger.reading() as connection:
        latencies: defaultdict[str, Counter[float]] = defaultdict(Counter)
        for step, latency, number in connection.execute(text(_LATENCIES), {"mode": mode}):
            latencies[step][latency] += number
        return {
            row[0]: StepCalls(*row[1:], *(percentile(latencies[row[0]], percent) for percent in (50, 95)))
            for row in connection.execute(text(_OF_ALL), {"mode": mode})
        }


def _of_sample(ledger: Ledger, mode: str, sample: str) -> dict[str, StepCalls]:
    calls = [call for call in ledger.calls(sample) if call["mode"] == mode]
    found = ledger.sample(sample)
    visits, first = Counter[str](), Counter[str]()
    for done in found[1][mode].outcome if found and mode in found[1] else []:
        for number, steps in debate(calls, done).items():
            came_to = [step for step, said in steps.items() if said.counts]
            visits.update(came_to)
            first.update(came_to if number == 1 else [])
    by_step: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_step[call["step"]].append(call)
    return {
        step: StepCalls(
            calls=len(some),
            visits=visits[step],
            first=first[step],
            failed=sum(call["failure"] is not None for call in some),
            input_tokens=sum(call["input_tokens"] or 0 for call in some),
            output_tokens=sum(call["output_tokens"] or 0 for call in some),
            median_latency=percentile(Counter(call["latency"] for call in some), 50),
            p95_latency=percentile(Counter(call["latency"] for call in some), 95),
        )
        for step, some in by_step.items()
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
