"""What the recorded calls took, as far as a bill needs it."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
    func,
    literal_column,
    select,
    text,
    true,
)

from ledger.ledger import Ledger
from ledger.tables import UNCOUNTED, calls, results, samples


class Counted(NamedTuple):
    """Calls of one step to one model, served in one tier, with token counts."""

    step: str
    model: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    at: float
    """Their average Unix time."""
    tier: str | None = None
    """None and `default` are the same."""


class CallsOfSample(NamedTuple):
    """Calls of one step to one model over one sample in one mode."""

    counted: Counted
    without_usage: int
    """Calls without token counts, which are not in `counted`."""
    of_unknown_cost: int
    """Those of them that may have cost something."""


class Uncounted(NamedTuple):
    """A call without token counts."""

    step: str
    model: str
    attempts: int
    failure_kind: str | None
    messages: list[str]
    """The texts that were sent."""


def counted(ledger: Ledger) -> list[Counted]:
    """Return the calls with token counts, by step, model and tier."""
    return [Counted(*row) for row in ledger.rows(text(_TOTALS))]


_TOTALS = """
    SELECT step, model, sum(calls), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
        sum(started) / sum(calls), tier
    FROM billed GROUP BY step, model, tier
"""


def used(ledger: Ledger, free: Collection[str]) -> tuple[dict[int, list[Counted]], int]:
    """Return the calls that its results were made from, by round, step and model: of calls at the same place
    the last one. The second is how many have no token counts and are not in the first, without failures of
    the kinds in `free`, which cost nothing.

    What was asked again, after a failure or because an earlier exchange came out differently, is left out.
    """
    found: dict[int, list[Counted]] = {}
    rows = ledger.rows(text(_USED).bindparams(bindparam("free", list(free), expanding=True)))
    for number, *line, _ in rows:
        if line[2]:
            found.setdefault(number, []).append(Counted(*line))
    return found, sum(row[-1] for row in rows)


_USED = """
    SELECT round, step, model, sum(counted), sum(counted * input_tokens),
        sum(counted * coalesce(cached_tokens, 0)), sum(counted * output_tokens), avg(started),
        sum(NOT counted AND coalesce(failure_kind, '') NOT IN :free)
    FROM (
        SELECT *, input_tokens IS NOT NULL AND output_tokens IS NOT NULL AS counted FROM calls
        WHERE number IN (
            SELECT max(number) FROM calls GROUP BY sample, mode, exchange, round, step, asked, model
        )
    ) GROUP BY round, step, model
"""


def uncounted(ledger: Ledger) -> Iterator[Uncounted]:
    """Yield the calls without token counts."""
    query = select(calls.c.number, calls.c.step, calls.c.model, calls.c.attempts, calls.c.failure_kind)
    with ledger.reading() as connection:
        for number, step, model, attempts, failure_kind in connection.execute(
            query.where(literal_column(UNCOUNTED))
        ).all():
            contents = text("SELECT content FROM prompts WHERE number = :number")
            messages = [*connection.scalars(contents, {"number": number})]
            yield Uncounted(step, model, attempts, failure_kind, messages)


def free_calls(connection: Connection, free: Collection[str]) -> dict[tuple[str, str, str], int]:
    """Return how many calls without token counts cost nothing, since they are failures of the kinds in
    `free`, by mode, step and model."""
    groups = calls.c.mode, calls.c.step, calls.c.model
    failed = calls.c.failure_kind.in_(free)
    query = select(*groups, func.count()).where(literal_column(f"({UNCOUNTED})"), failed).group_by(*groups)
    return {(mode, step, model): number for mode, step, model, number in connection.execute(query)}


def by_sample(
    ledger: Ledger, sample_ids: Collection[str], mode: str, free: Collection[str]
) -> dict[str, list[CallsOfSample]]:
    """Return the calls of some samples in a mode, by sample; failures of the kinds in `free` cost nothing."""
    has_usage = calls.c.input_tokens.is_not(None) & calls.c.output_tokens.is_not(None)
    number = func.count().filter(has_usage)
    is_free = func.coalesce(calls.c.failure_kind, "").in_(free)
    columns = [
        *(calls.c.sample, func.count() - number, func.count().filter(~has_usage, ~is_free)),
        *(calls.c.step, calls.c.model, number),
        *(
            func.coalesce(func.sum(column).filter(has_usage), 0)
            for column in (calls.c.input_tokens, calls.c.cached_tokens, calls.c.output_tokens)
        ),
        *(func.avg(calls.c.started), calls.c.service_tier),
    ]
    query = select(*columns).where(calls.c.sample.in_(sample_ids), calls.c.mode == mode)
    found: dict[str, list[CallsOfSample]] = {}
    groups = calls.c.sample, calls.c.step, calls.c.model, calls.c.service_tier
    for sample, without, unknown, *row in ledger.rows(query.group_by(*groups)):
        found.setdefault(sample, []).append(CallsOfSample(Counted(*row), without, unknown))
    return found


def reusable(ledger: Ledger, *, except_failed: bool) -> list[Counted]:
    """Return the recorded calls with a reply of unfinished samples, which will not be made again.

    With `except_failed`, failed samples count as unfinished.
    """
    counts = results.c.status != "failed" if except_failed else true()
    has_usage = calls.c.input_tokens.is_not(None) & calls.c.output_tokens.is_not(None)
    query = _taken(calls.c.failure.is_(None), ~_result(counts), has_usage)
    return [Counted(*row) for _, *row in ledger.rows(query)]


def of_finished(ledger: Ledger) -> dict[str, list[Counted]]:
    """Return the calls of finished samples, those without token counts included, by mode."""
    found: dict[str, list[Counted]] = {}
    for mode, *row in ledger.rows(_taken(_result(true()))):
        found.setdefault(mode, []).append(Counted(*row))
    return found


def _result(counts: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        samples.c.id == calls.c.sample,
        results.c.position == samples.c.position,
        results.c.mode == calls.c.mode,
        counts,
    )


def _taken(*conditions: ColumnElement[bool]) -> Select[Any]:
    tokens = calls.c.input_tokens, calls.c.cached_tokens, calls.c.output_tokens
    groups = calls.c.step, calls.c.model, calls.c.service_tier
    return (
        select(
            *(calls.c.mode, *groups[:2], func.count()),
            *(func.sum(func.coalesce(column, 0)) for column in tokens),
            *(func.avg(calls.c.started), groups[2]),
        )
        .where(*conditions)
        .group_by(calls.c.mode, *groups)
    )
