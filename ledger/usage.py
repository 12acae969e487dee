"""What the calls on file took, as far as a bill needs it."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import and_, exists, func, literal_column, select, text, true

from ledger.ledger import Ledger
from ledger.tables import UNCOUNTED, calls, results, samples


class Counted(NamedTuple):
    """Calls of one step to one model whose tokens the provider counted; `at` is their average Unix time."""

    step: str
    model: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    at: float


class Uncounted(NamedTuple):
    """A call without token counts."""

    step: str
    model: str
    attempts: int
    failure_kind: str | None
    messages: list[str]
    """What was sent."""


_COUNTED = and_(calls.c.input_tokens.is_not(None), calls.c.output_tokens.is_not(None))
_SUMS = (
    calls.c.step,
    calls.c.model,
    func.count(),
    func.sum(calls.c.input_tokens),
    func.sum(func.coalesce(calls.c.cached_tokens, 0)),
    func.sum(calls.c.output_tokens),
    func.avg(calls.c.started),
)


def counted(ledger: Ledger) -> list[Counted]:
    """The calls whose tokens are known, by step and model."""
    with ledger.reading() as connection:
        return [Counted(*row) for row in connection.execute(text(_TOTALS))]


_TOTALS = """
    SELECT step, model, sum(calls - uncounted) AS counted, sum(input_tokens), sum(cached_tokens),
        sum(output_tokens), sum(started) / sum(calls - uncounted)
    FROM call_totals GROUP BY step, model HAVING counted > 0
"""


def uncounted(ledger: Ledger) -> Iterator[Uncounted]:
    """The calls whose tokens are not known, one by one."""
    query = select(calls.c.number, calls.c.step, calls.c.model, calls.c.attempts, calls.c.failure_kind)
    with ledger.reading() as connection:
        for number, step, model, attempts, failure_kind in connection.execute(
            query.where(literal_column(UNCOUNTED))
        ).all():
            said = text("SELECT content FROM prompts WHERE number = :number")
            sent = [*connection.scalars(said, {"number": number})]
            yield Uncounted(step, model, attempts, failure_kind, sent)


def reusable(ledger: Ledger, *, but_failed: bool) -> list[Counted]:
    """The calls with a reply that are on file for samples not finished: they will not be made again.

    With `but_failed` failed samples count as not finished.
    """
    counts = results.c.status != "failed" if but_failed else true()
    finished = exists().where(
        samples.c.id == calls.c.sample,
        results.c.position == samples.c.position,
        results.c.mode == calls.c.mode,
        counts,
    )
    query = select(*_SUMS).where(calls.c.failure.is_(None), _COUNTED, ~finished)
    with ledger.reading() as connection:
        return [Counted(*row) for row in connection.execute(query.group_by(calls.c.step, calls.c.model))]
