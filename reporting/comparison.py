"""Compares the results of the same samples in two runs, or in two modes of one run.

The two results of a sample are a pair. All pairs are collected once, in a private temporary database of
numbers; so a million of them are filtered and sorted without reading their texts, and readers do not block a
ledger.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, StaticPool, create_engine, func, select, tuple_

from ledger.browse import positions_of
from ledger.ledger import BATCH, Result
from ledger.search import contains, searched_texts
from ledger.text_scan import ScannedSearch, TextScan
from reporting.result_pairs import (
    COLUMNS,
    CONDITIONS,
    PAIR_FILTERS,
    ModeResults,
    PairFilter,
    PairSortKey,
    ResultPair,
    fill,
    pairs,
)
from reporting.run import Run
from samples.json_values import to_json
from samples.sample import Sample


def mode_results(run: Run, mode: str) -> ModeResults:
    """Return a mode of a run as one side of a comparison."""
    return ModeResults(run.ledger, mode, run.manifest["data"]["sha256"])


@dataclass(frozen=True, slots=True)
class ComparedSample:
    """A pair, and its sample and result on both sides."""

    pair: ResultPair
    a: tuple[Sample, Result]
    b: tuple[Sample, Result]


class Comparison:
    """The pairs of two sides.

    Raises:
        LedgerError: one of the ledgers cannot be read.
    """

    def __init__(self, a: ModeResults, b: ModeResults) -> None:
        self._a, self._b = a, b
        self._lock = threading.Lock()
        # An unnamed file: SQLite keeps it in memory while it is small, and removes it when closed.
        self._engine = create_engine("sqlite://", creator=_temporary_file, poolclass=StaticPool)
        with self._connection() as connection:
            self.alone_a, self.alone_b = fill(connection, a, b)
            """Results without a partner, which is unfinished or not in the other run."""
            self.kinds: dict[PairFilter, int] = {
                kind: connection.execute(
                    select(func.count()).select_from(pairs).where(CONDITIONS[kind])
                ).scalar_one()
                for kind in PAIR_FILTERS
            }
            """The number of pairs by filter."""

    def positions(self) -> tuple[list[int], list[int]]:
        """Return the positions of the pairs, in A's data and in B's."""
        with self._connection() as connection:
            rows = connection.execute(select(pairs.c.position, pairs.c.other)).all()
        return [row[0] for row in rows], [row[1] for row in rows]

    def page(
        self, kind: PairFilter, order: PairSortKey, *, down: bool, begin: int, size: int
    ) -> list[ResultPair]:
        """Return at most `size` pairs from position `begin`."""
        total = self.kinds[kind]
        if begin > total / 2:
            # From the other end, since SQLite reads what it skips.
            count = max(0, min(size, total - begin))
            return self._part(kind, order, not down, total - begin - count, count)[::-1]
        return self._part(kind, order, down, begin, size)

    def search(
        self,
        kind: PairFilter,
        order: PairSortKey,
        wanted: str,
        scans: Sequence[TextScan],
        *,
        down: bool,
        begin: int = 0,
        position: int | None = None,
    ) -> ScannedSearch[ComparedSample]:
        """Search for a text in the ids, requests, old and new responses of the pairs.

        The search starts at position `begin`, or after the pair of the sample at `position` in A's data. It
        continues the `scans` of the ledgers for the text, and passes over the samples in which the text does
        not occur.
        """

        @cache
        def has_id(ids: frozenset[str]) -> ColumnElement[bool]:
            positions = func.json_each(to_json(self._positions(ids))).table_valued("value")
            return pairs.c.position.in_(select(positions.c.value))

        def after(last: ComparedSample | None, ids: frozenset[str] | None) -> list[ComparedSample]:
            start = last.pair.position if last else position
            if start is None and begin and ids is not None:
                # Positions count all pairs.
                start = next((pair.position for pair in self._part(kind, order, down, begin - 1, 1)), None)
            some = () if ids is None else (has_id(ids),)
            if start is None:
                return self._load(self._part(kind, order, down, begin, BATCH, *some))
            return self._load(self._after(kind, order, down, start, BATCH, *some))

        def among(ids: frozenset[str]) -> list[ComparedSample]:
            """Return the hits among the pairs of these samples."""
            found = self._load(self._found(select(pairs).where(CONDITIONS[kind], has_id(ids))))
            return [each for each in found if is_wanted(each)]

        def is_wanted(found: ComparedSample) -> bool:
            return contains(_texts(found), wanted)

        def position_after(last: ComparedSample | None) -> int:
            before = self._beyond(order, not down, last.pair.position) if last else None
            if before is None:
                return self.kinds[kind]
            with self._connection() as connection:
                query = select(func.count()).select_from(pairs).where(CONDITIONS[kind], before)
                return connection.execute(query).scalar_one() + 1

        return ScannedSearch(scans, after, among, is_wanted, position_after, begin)

    def pair_at(self, position: int) -> ResultPair | None:
        """Return the pair of the sample at this position in A's data; None if there is none."""
        return next(iter(self._found(select(pairs).where(pairs.c.position == position))), None)

    def adjacent(
        self, kind: PairFilter, order: PairSortKey, *, down: bool, position: int
    ) -> tuple[int | None, int | None]:
        """Return the positions of the pairs before and after this one, in this order."""
        return self._next(kind, order, not down, position), self._next(kind, order, down, position)

    def _part(
        self,
        kind: PairFilter,
        order: PairSortKey,
        down: bool,
        begin: int,
        size: int,
        *some: ColumnElement[bool],
    ) -> list[ResultPair]:
        return self._found(_ordered(kind, order, down).where(*some).offset(begin).limit(size))

    def _next(self, kind: PairFilter, order: PairSortKey, down: bool, position: int) -> int | None:
        return next((pair.position for pair in self._after(kind, order, down, position, 1)), None)

    def _after(
        self,
        kind: PairFilter,
        order: PairSortKey,
        down: bool,
        position: int,
        size: int,
        *some: ColumnElement[bool],
    ) -> list[ResultPair]:
        after = self._beyond(order, down, position)
        if after is None:
            return []
        return self._found(_ordered(kind, order, down).where(after, *some).limit(size))

    def _beyond(self, order: PairSortKey, down: bool, position: int) -> ColumnElement[bool] | None:
        """Return the condition of the pairs after that at a position; None if there is none."""
        columns = COLUMNS[order]
        with self._connection() as connection:
            values = connection.execute(select(*columns).where(pairs.c.position == position)).first()
        if values is None:
            return None
        return tuple_(*columns) < tuple_(*values) if down else tuple_(*columns) > tuple_(*values)

    def _found(self, query: Select[Any]) -> list[ResultPair]:
        with self._connection() as connection:
            rows = connection.execute(query).mappings().all()
        return [ResultPair(**{name: row[name] for name in ResultPair.__dataclass_fields__}) for row in rows]

    def _positions(self, ids: frozenset[str]) -> list[int]:
        """Return the positions in A's data of samples with these ids."""
        found = {row[0] for row in self._a.ledger.rows(positions_of(ids))}
        if self._a.data == self._b.data:
            # The runs may have taken the ids from different fields.
            found.update(row[0] for row in self._b.ledger.rows(positions_of(ids)))
        return [*found]

    def _load(self, pairs: Sequence[ResultPair]) -> list[ComparedSample]:
        here = _results(self._a, [pair.position for pair in pairs])
        there = _results(self._b, [pair.other for pair in pairs])
        return [
            ComparedSample(pair, here[pair.position], there[pair.other])
            for pair in pairs
            if pair.position in here and pair.other in there
        ]

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._lock, self._engine.connect() as connection:
            yield connection


def _ordered(kind: PairFilter, order: PairSortKey, down: bool) -> Select[Any]:
    columns = (column.desc() if down else column.asc() for column in COLUMNS[order])
    return select(pairs).where(CONDITIONS[kind]).order_by(*columns)


def _results(side: ModeResults, positions: list[int]) -> dict[int, tuple[Sample, Result]]:
    found = side.ledger.samples_at(positions)
    return {s.position: (s, by_mode[side.mode]) for s, by_mode in found if side.mode in by_mode}


def _texts(found: ComparedSample) -> Iterator[str]:
    for sample, result in (found.a, found.b):
        yield from searched_texts(sample, result)


def _temporary_file() -> sqlite3.Connection:
    return sqlite3.connect("", uri=True, check_same_thread=False)
