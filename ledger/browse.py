"""Looking through the results of a run: filtered, sorted and a page at a time.

Filters and orders read the index of the order (`results_by_…`) and no texts, so a million results are quick.
The search in texts is the exception: it reads the samples one after the other, for half a second, and says
how far it came.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Column, ColumnElement, Select, and_, func, literal_column, select, tuple_

from ledger.decisions import Choice, chosen_by
from ledger.ledger import PAGE, Ledger, Result
from ledger.tables import GROWTH, NOT_DONE, results
from samples.sample import Sample

Order = Literal["position", "accepted", "growth", "length"]
ORDERS: tuple[Order, ...] = get_args(Order)
"""By the place in the data; by accepted rounds; by how much longer the new responses are (as a share, and as
the number of tokens that the new ones have)."""

GREW = 2.0
"""From this ratio of new to old tokens on a response counts as one that grew much."""

PATIENCE = 0.5
"""Seconds for which a search reads before it shows what it has found."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which results are wanted; what is empty or None does not matter.

    `reason` is the short name by which failures are counted, or the reason of a skipped sample; `decided` is
    about what people decided. `text` occurs in the sample's id, its requests, its old or its new responses;
    case does not matter.
    """

    mode: str = ""
    status: str = ""
    reason: str = ""
    accepted: int | None = None
    contradict: bool = False
    grew: bool = False
    decided: Choice | Literal[""] = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A result and its sample."""

    sample: Sample
    result: Result

    @property
    def key(self) -> "Key":
        """Its position and mode."""
        return self.sample.position, self.result.mode


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the results there are.

    `total` counts what the filter lets through, its text aside. `begin` and `end` are the places in that
    list between which this page was found; `end == total` means that nothing comes after.
    """

    found: list[Found]
    total: int
    begin: int
    end: int


Key = tuple[int, str]
"""The position and the mode of a result."""


def page(ledger: Ledger, wanted: Filter, order: Order, *, down: bool, begin: int, size: int) -> Page:
    """The results from place `begin` on, at most `size` of them."""
    with ledger.reading() as connection:
        total = connection.execute(
            select(func.count()).select_from(results).where(*_conditions(wanted))
        ).scalar_one()
    keys = _ordered(wanted, order, down)
    if not wanted.text:
        if begin > total / 2:
            # Counted from the other end: what is skipped is read all the same.
            count = max(0, min(size, total - begin))
            backwards = _ordered(wanted, order, not down).offset(total - begin - count).limit(count)
            chosen = _keys(ledger, backwards)[::-1]
        else:
            chosen = _keys(ledger, keys.offset(begin).limit(size))
        return Page(list(_looked_up(ledger, chosen)), total, begin, begin + len(chosen))
    found: list[Found] = []
    place, until = begin, time.monotonic() + PATIENCE
    while place < total and len(found) < size and time.monotonic() < until:
        chosen = _keys(ledger, keys.offset(place).limit(PAGE))
        if not chosen:
            break
        for hit in _looked_up(ledger, chosen):
            place += 1
            if _mentions(hit, wanted.text):
                found.append(hit)
                if len(found) == size:
                    break
    return Page(found, total, begin, place)


def beside(
    ledger: Ledger, wanted: Filter, order: Order, *, down: bool, key: Key
) -> tuple[Key | None, Key | None]:
    """The keys of the results before and after this one, in this order."""
    return _next(ledger, wanted, order, not down, key), _next(ledger, wanted, order, down, key)


def reasons(ledger: Ledger) -> dict[str, int]:
    """How often samples failed or were skipped, by the short name of the reason."""
    name = _short_reason()
    query = (
        select(name, func.count())
        .where(literal_column(NOT_DONE))
        .group_by(name)
        .order_by(func.count().desc(), name)
    )
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _next(ledger: Ledger, wanted: Filter, order: Order, down: bool, key: Key) -> Key | None:
    columns = _columns(order)
    until = time.monotonic() + PATIENCE / 2
    while time.monotonic() < until:
        here = select(*columns).where(results.c.position == key[0], results.c.mode == key[1])
        with ledger.reading() as connection:
            values = connection.execute(here).first()
        if values is None:
            return None
        beyond = tuple_(*columns) < tuple_(*values) if down else tuple_(*columns) > tuple_(*values)
        # Said once more of the first column, since an index of an expression is entered by no row of values.
        begin = columns[0] <= values[0] if down else columns[0] >= values[0]
        keys = _ordered(wanted, order, down).where(beyond, begin)
        chosen = _keys(ledger, keys.limit(PAGE if wanted.text else 1))
        if not chosen:
            return None
        if not wanted.text:
            return chosen[0]
        for hit in _looked_up(ledger, chosen):
            if _mentions(hit, wanted.text):
                return hit.key
        key = chosen[-1]
    return None


def _ordered(wanted: Filter, order: Order, down: bool) -> Select[int, str]:
    columns = [column.desc() if down else column.asc() for column in _columns(order)]
    return select(results.c.position, results.c.mode).where(*_conditions(wanted)).order_by(*columns)


def _columns(order: Order) -> list[ColumnElement[Any]]:
    """What is sorted by; position and mode make it a strict order."""
    first: dict[Order, list[ColumnElement[Any]]] = {
        "position": [],
        "accepted": [results.c.accepted_rounds],
        "growth": [GROWTH],
        "length": [results.c.final_tokens],
    }
    return [*first[order], results.c.position, results.c.mode]


def _short_reason() -> ColumnElement[str]:
    colon = func.instr(results.c.reason, ": ")
    return func.iif(
        and_(results.c.status == "failed", colon > 0),
        func.substr(results.c.reason, 1, colon - 1),
        results.c.reason,
    )


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.mode:
        yield _plain(results.c.mode) == wanted.mode
    if wanted.status:
        yield _plain(results.c.status) == wanted.status
    if wanted.reason:
        yield literal_column(NOT_DONE)
        yield _short_reason() == wanted.reason
    if wanted.accepted is not None:
        yield _plain(results.c.accepted_rounds) == wanted.accepted
    if wanted.contradict:
        yield results.c.contradictions > 0
    if wanted.grew:
        yield results.c.final_tokens > GREW * results.c.original_tokens
    if wanted.decided:
        yield chosen_by(wanted.decided)


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """A column that no index is looked up by: rows are read in the order of theirs, not found and sorted."""
    return literal_column(f"+{column}", column.type)


def _keys(ledger: Ledger, query: Select[int, str]) -> list[Key]:
    with ledger.reading() as connection:
        return [(row[0], row[1]) for row in connection.execute(query)]


def _looked_up(ledger: Ledger, keys: list[Key]) -> Iterator[Found]:
    by_position = {sample.position: (sample, by_mode) for sample, by_mode in ledger.at({p for p, _ in keys})}
    for position, mode in keys:
        if position in by_position and mode in by_position[position][1]:
            sample, by_mode = by_position[position]
            yield Found(sample, by_mode[mode])


def _mentions(found: Found, text: str) -> bool:
    wanted = text.casefold()
    sample = found.sample
    texts = [sample.id]
    texts += [part for e in sample.exchanges for part in (e.instruction, e.input, e.response)]
    texts += [exchange["response"] for exchange in found.result.outcome]
    return any(wanted in part.casefold() for part in texts)
