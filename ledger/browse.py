"""Looking through the results of a run: filtered, sorted and a page at a time.

Filters and orders read the index of the order (`results_by_…`) and no texts, so a million results are quick.
The search in texts is the exception: it reads the samples one after the other, see `search`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from sqlalchemy import Column, ColumnElement, Select, exists, func, literal_column, select, text, tuple_

from ledger.decisions import DecisionFilter, condition
from ledger.ledger import PAGE, Ledger, Result
from ledger.search import Search, mentions, texts_of
from ledger.tables import GROWTH, NOT_DONE, accepted_exchanges, results
from samples.sample import Sample

SortKey = Literal["position", "accepted", "growth", "length"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
"""By the place in the data; by accepted rounds; by how much longer the new responses are (as a share, and as
the number of tokens that the new ones have)."""

GREW = 2.0
"""From this ratio of new to old tokens on a response counts as one that grew much."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which results are wanted; what is empty or None does not matter.

    `accepted` is how many rounds were accepted in one of the exchanges, which did not fail; `reason` is the
    short name by which failures are counted, or the reason of a skipped sample; `decided` is
    about what people decided. `text` occurs in the sample's id, its requests, its old or its new responses;
    case does not matter.
    """

    mode: str = ""
    status: str = ""
    reason: str = ""
    accepted: int | None = None
    contradict: bool = False
    grew: bool = False
    decided: DecisionFilter | Literal[""] = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A result and its sample."""

    sample: Sample
    result: Result

    @property
    def key(self) -> "ResultKey":
        """Its position and mode."""
        return self.sample.position, self.result.mode


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """A part of the results there are, from place `begin` on. `total` counts what the filter lets through."""

    found: list[ResultRow]
    total: int
    begin: int

    @property
    def end(self) -> int:
        """The place after the last of them."""
        return self.begin + len(self.found)


ResultKey = tuple[int, str]
"""The position and the mode of a result."""


def page(ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool, begin: int, size: int) -> ResultsPage:
    """The results from place `begin` on, at most `size` of them. The filter's text does not matter here."""
    total = count(ledger, wanted)
    if begin > total / 2:
        # Counted from the other end: what is skipped is read all the same.
        number = max(0, min(size, total - begin))
        backwards = _ordered(wanted, order, not down).offset(total - begin - number).limit(number)
        chosen = _keys(ledger, backwards)[::-1]
    else:
        chosen = _keys(ledger, _ordered(wanted, order, down).offset(begin).limit(size))
    return ResultsPage(list(_looked_up(ledger, chosen)), total, begin)


def count(ledger: Ledger, wanted: Filter) -> int:
    """How many results there are; the filter's text does not matter here."""
    query: Select[int] = select(func.count()).select_from(results).where(*_conditions(wanted))
    if wanted.accepted is not None and replace(wanted, mode="", accepted=None, text="") == Filter():
        # All that is asked for stands in one table, and nothing has to be looked up for each result.
        query = select(func.count()).select_from(accepted_exchanges).where(*_in_table(wanted))
    with ledger.reading() as connection:
        number: int = connection.execute(query).scalar_one()
    return number


def search(
    ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool, begin: int = 0, key: ResultKey | None = None
) -> Search[ResultRow]:
    """A search for the filter's text among the results that it lets through otherwise.

    It goes on from place `begin`, or after the result `key`.
    """
    first = key

    def after(last: ResultRow | None) -> list[ResultRow]:
        keys = _ordered(wanted, order, down)
        if last or first:
            beyond = _beyond(ledger, order, down, last.key if last else cast(ResultKey, first))
            if beyond is None:
                return []
            keys = keys.where(*beyond)
        else:
            keys = keys.offset(begin)
        return list(_looked_up(ledger, _keys(ledger, keys.limit(PAGE))))

    return Search(after, lambda found: mentions(texts_of(found.sample, found.result), wanted.text), begin)


def adjacent(
    ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool, key: ResultKey
) -> tuple[ResultKey | None, ResultKey | None]:
    """The keys of the results before and after this one, in this order; the filter's text does not matter."""
    return _next(ledger, wanted, order, not down, key), _next(ledger, wanted, order, down, key)


def accepted(ledger: Ledger, mode: str = "") -> dict[int, int]:
    """How many exchanges of a mode, or of all, had so many rounds accepted; failed ones do not count."""
    query = text(
        "SELECT accepted_rounds, sum(exchanges) AS n FROM exchange_totals "
        "WHERE ending <> 'failed' AND :mode IN ('', mode) "
        "GROUP BY accepted_rounds HAVING n > 0 ORDER BY accepted_rounds"
    )
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"mode": mode})}


def reasons(ledger: Ledger) -> dict[str, int]:
    """How often samples failed or were skipped, by the short name of the reason."""
    name = _SHORT_REASON
    query = (
        select(name, func.count())
        .where(literal_column(NOT_DONE))
        .group_by(name)
        .order_by(func.count().desc(), name)
    )
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _next(ledger: Ledger, wanted: Filter, order: SortKey, down: bool, key: ResultKey) -> ResultKey | None:
    beyond = _beyond(ledger, order, down, key)
    if beyond is None:
        return None
    return next(iter(_keys(ledger, _ordered(wanted, order, down).where(*beyond).limit(1))), None)


def _beyond(ledger: Ledger, order: SortKey, down: bool, key: ResultKey) -> list[ColumnElement[bool]] | None:
    """The conditions of what comes after a result; None where it is there no more."""
    columns = _columns(order)
    here = select(*columns).where(results.c.position == key[0], results.c.mode == key[1])
    with ledger.reading() as connection:
        values = connection.execute(here).first()
    if values is None:
        return None
    beyond = tuple_(*columns) < tuple_(*values) if down else tuple_(*columns) > tuple_(*values)
    # Said once more of the first column, since an index of an expression is entered by no row of values.
    begin = columns[0] <= values[0] if down else columns[0] >= values[0]
    return [beyond, begin]


def _ordered(wanted: Filter, order: SortKey, down: bool) -> Select[int, str]:
    columns = [column.desc() if down else column.asc() for column in _columns(order)]
    return select(results.c.position, results.c.mode).where(*_conditions(wanted)).order_by(*columns)


def _columns(order: SortKey) -> list[ColumnElement[Any]]:
    """What is sorted by; position and mode make it a strict order."""
    first: dict[SortKey, list[ColumnElement[Any]]] = {
        "position": [],
        "accepted": [results.c.accepted_rounds],
        "growth": [GROWTH],
        "length": [results.c.final_tokens],
    }
    return [*first[order], results.c.position, results.c.mode]


_SHORT_REASON = func.coalesce(results.c.failure_kind, results.c.reason)


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.mode:
        yield _plain(results.c.mode) == wanted.mode
    if wanted.status:
        yield _plain(results.c.status) == wanted.status
    if wanted.reason:
        yield literal_column(NOT_DONE)
        yield _SHORT_REASON == wanted.reason
    if wanted.accepted is not None:
        # No result accepts more in one exchange than in all: said in terms of the index, it spares looks.
        yield _plain(results.c.accepted_rounds) >= wanted.accepted
        here = accepted_exchanges.c
        same = here.mode == results.c.mode, here.position == results.c.position
        yield exists().where(*same, here.accepted_rounds == wanted.accepted)
    if wanted.contradict:
        yield results.c.contradictions > 0
    if wanted.grew:
        yield results.c.final_tokens > GREW * results.c.original_tokens
    if wanted.decided:
        yield condition(wanted.decided)


def _in_table(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.mode:
        yield accepted_exchanges.c.mode == wanted.mode
    yield accepted_exchanges.c.accepted_rounds == wanted.accepted


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """A column that no index is looked up by: rows are read in the order of theirs, not found and sorted."""
    return literal_column(f"+{column}", column.type)


def _keys(ledger: Ledger, query: Select[int, str]) -> list[ResultKey]:
    with ledger.reading() as connection:
        return [(row[0], row[1]) for row in connection.execute(query)]


def _looked_up(ledger: Ledger, keys: list[ResultKey]) -> Iterator[ResultRow]:
    by_position = {sample.position: (sample, by_mode) for sample, by_mode in ledger.at({p for p, _ in keys})}
    for position, mode in keys:
        if position in by_position and mode in by_position[position][1]:
            sample, by_mode = by_position[position]
            yield ResultRow(sample, by_mode[mode])
