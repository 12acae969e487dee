"""Compares the results of the same samples in two runs, or in two modes of one run.

The two results of a sample are a pair. All pairs are collected once, in a private temporary database of
numbers; so a million of them are filtered and sorted without reading their texts, and readers do not block a
ledger.

If both runs read the same file, samples match by position; otherwise by id and requests, since numbered
records of two unrelated files have the same ids.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Select,
    StaticPool,
    Table,
    and_,
    create_engine,
    func,
    insert,
    or_,
    select,
    text,
    true,
    tuple_,
)

from ledger.ledger import BATCH, Ledger, Result, ledger_errors
from ledger.search import Search, contains, searched_texts
from reporting.run import Run
from samples.sample import Sample

PairFilter = Literal["all", "differ", "both", "only_a", "only_b", "neither", "failed"]
PAIR_FILTERS: tuple[PairFilter, ...] = get_args(PairFilter)
"""All pairs; those whose responses differ; those in which both results, only one or neither have an accepted
draft; those in which one result failed."""

PairSortKey = Literal["position", "growth", "accepted"]
PAIR_SORT_KEYS: tuple[PairSortKey, ...] = get_args(PairSortKey)
"""By position in A's data; by how much more B grew than A; by how many more rounds B accepted."""

POSITIONS = 20_000
"""Positions compared in one read of the ledgers. In between, the writer of a running run can restart its
write-ahead log."""


class ModeResults(NamedTuple):
    """One side of a comparison: a mode of a run."""

    ledger: Ledger
    mode: str
    data: str
    """The hash of the file that the run read."""


def mode_results(run: Run, mode: str) -> ModeResults:
    """Return a mode of a run as one side of a comparison."""
    return ModeResults(run.ledger, mode, run.manifest["data"]["sha256"])


@dataclass(frozen=True, slots=True)
class ResultPair:
    """The numbers of a sample's two results, A's and B's."""

    position: int
    """In A's data."""
    other: int
    """In B's data."""
    accepted_a: int
    accepted_b: int
    failed_a: bool
    failed_b: bool
    growth_a: float
    """Ratio of new to old tokens."""
    growth_b: float
    differ: bool


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
        self._lock = threading.Lock()
        # An unnamed file: SQLite keeps it in memory while it is small, and removes it when closed.
        self._engine = create_engine("sqlite://", creator=_temporary_file, poolclass=StaticPool)
        with self._connection() as connection:
            _metadata.create_all(connection)
            connection.commit()
            a.ledger.attach(connection, "a")
            b.ledger.attach(connection, "b")
            same_data = a.data == b.data
            if not same_data:
                _store_partners(connection, a.ledger, b.ledger)
            with ledger_errors(b.ledger.path):
                self.alone_a, self.alone_b = _fill_pairs(connection, a.mode, b.mode, same_data)
                """Results without a partner, which is unfinished or not in the other run."""
            connection.commit()
            connection.exec_driver_sql("DETACH a")
            connection.exec_driver_sql("DETACH b")
            self.kinds: dict[PairFilter, int] = {
                kind: connection.execute(
                    select(func.count()).select_from(_pairs).where(_CONDITIONS[kind])
                ).scalar_one()
                for kind in PAIR_FILTERS
            }
            """The number of pairs by filter."""

    def positions(self) -> tuple[list[int], list[int]]:
        """Return the positions of the pairs, in A's data and in B's."""
        with self._connection() as connection:
            rows = connection.execute(select(_pairs.c.position, _pairs.c.other)).all()
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
        a: ModeResults,
        b: ModeResults,
        kind: PairFilter,
        order: PairSortKey,
        wanted: str,
        *,
        down: bool,
        begin: int = 0,
        position: int | None = None,
    ) -> Search["ComparedSample"]:
        """Search for a text in the ids, requests, old and new responses of the pairs.

        The search starts at position `begin`, or after the pair of the sample at `position` in A's data.
        """

        def after(last: ComparedSample | None) -> list[ComparedSample]:
            if last is None and position is None:
                return _load(a, b, self._part(kind, order, down, begin, BATCH))
            here = last.pair.position if last else position
            return _load(a, b, self._after(kind, order, down, here, BATCH))

        return Search(after, lambda found: contains(_texts(found), wanted), begin)

    def pair_at(self, position: int) -> ResultPair | None:
        """Return the pair of the sample at this position in A's data; None if there is none."""
        return next(iter(self._found(select(_pairs).where(_pairs.c.position == position))), None)

    def adjacent(
        self, kind: PairFilter, order: PairSortKey, *, down: bool, position: int
    ) -> tuple[int | None, int | None]:
        """Return the positions of the pairs before and after this one, in this order."""
        return self._next(kind, order, not down, position), self._next(kind, order, down, position)

    def _part(
        self, kind: PairFilter, order: PairSortKey, down: bool, begin: int, size: int
    ) -> list[ResultPair]:
        return self._found(_ordered(kind, order, down).offset(begin).limit(size))

    def _next(self, kind: PairFilter, order: PairSortKey, down: bool, position: int) -> int | None:
        return next((pair.position for pair in self._after(kind, order, down, position, 1)), None)

    def _after(
        self, kind: PairFilter, order: PairSortKey, down: bool, position: int | None, size: int
    ) -> list[ResultPair]:
        columns = _COLUMNS[order]
        with self._connection() as connection:
            values = connection.execute(select(*columns).where(_pairs.c.position == position)).first()
        if values is None:
            return []
        after = tuple_(*columns) < tuple_(*values) if down else tuple_(*columns) > tuple_(*values)
        return self._found(_ordered(kind, order, down).where(after).limit(size))

    def _found(self, query: Any) -> list[ResultPair]:
        with self._connection() as connection:
            rows = connection.execute(query).mappings().all()
        return [ResultPair(**{name: row[name] for name in ResultPair.__dataclass_fields__}) for row in rows]

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._lock, self._engine.connect() as connection:
            yield connection


def is_comparable(a: Ledger, b: Ledger) -> bool:
    """Whether runs over different data have any finished sample in common.

    Raises:
        LedgerError: one of the ledgers cannot be read.
    """
    return next(_partners(a, b), None) is not None


_metadata = MetaData()

_pairs = Table(
    "pairs",
    _metadata,
    Column("position", Integer, primary_key=True),
    Column("other", Integer, nullable=False),
    Column("accepted_a", Integer, nullable=False),
    Column("accepted_b", Integer, nullable=False),
    Column("failed_a", Boolean, nullable=False),
    Column("failed_b", Boolean, nullable=False),
    Column("growth_a", Float, nullable=False),
    Column("growth_b", Float, nullable=False),
    Column("differ", Boolean, nullable=False),
    Column("more_growth", Float, nullable=False),
    Column("more_accepted", Integer, nullable=False),
)
# The indexes that pairs are sorted by hold all columns of the filters, so that pairs skipped over are not
# read.
_FILTERED_BY = (
    _pairs.c.accepted_a,
    _pairs.c.accepted_b,
    _pairs.c.failed_a,
    _pairs.c.failed_b,
    _pairs.c.differ,
)
Index("by_growth", _pairs.c.more_growth, _pairs.c.position, *_FILTERED_BY)
Index("by_accepted", _pairs.c.more_accepted, _pairs.c.position, *_FILTERED_BY)

_partner = Table(
    "partners",
    _metadata,
    Column("position", Integer, primary_key=True),
    Column("other", Integer, nullable=False, unique=True),
)

_CHANGED_A, _CHANGED_B = _pairs.c.accepted_a > 0, _pairs.c.accepted_b > 0

_CONDITIONS: dict[PairFilter, ColumnElement[bool]] = {
    "all": true(),
    "differ": _pairs.c.differ,
    "both": and_(_CHANGED_A, _CHANGED_B),
    "only_a": and_(_CHANGED_A, ~_CHANGED_B),
    "only_b": and_(~_CHANGED_A, _CHANGED_B),
    "neither": ~or_(_CHANGED_A, _CHANGED_B),
    "failed": _pairs.c.failed_a != _pairs.c.failed_b,
}

_COLUMNS: dict[PairSortKey, list[ColumnElement[Any]]] = {
    "position": [_pairs.c.position],
    "growth": [_pairs.c.more_growth, _pairs.c.position],
    "accepted": [_pairs.c.more_accepted, _pairs.c.position],
}


def _ordered(kind: PairFilter, order: PairSortKey, down: bool) -> Select[Any]:
    columns = (column.desc() if down else column.asc() for column in _COLUMNS[order])
    return select(_pairs).where(_CONDITIONS[kind]).order_by(*columns)


def _load(a: ModeResults, b: ModeResults, pairs: list[ResultPair]) -> list[ComparedSample]:
    here = _results(a, [pair.position for pair in pairs])
    there = _results(b, [pair.other for pair in pairs])
    return [
        ComparedSample(pair, here[pair.position], there[pair.other])
        for pair in pairs
        if pair.position in here and pair.other in there
    ]


def _results(side: ModeResults, positions: list[int]) -> dict[int, tuple[Sample, Result]]:
    found = side.ledger.samples_at(positions)
    return {s.position: (s, by_mode[side.mode]) for s, by_mode in found if side.mode in by_mode}


def _texts(found: ComparedSample) -> Iterator[str]:
    for sample, result in (found.a, found.b):
        yield from searched_texts(sample, result)


def _temporary_file() -> sqlite3.Connection:
    return sqlite3.connect("", uri=True, check_same_thread=False)


def _partners(a: Ledger, b: Ledger) -> Iterator[tuple[int, int]]:
    """Yield the positions, in A's and in B's data, of the samples with the same id and the same requests."""
    samples = (sample for sample, _ in a.samples())
    while some := {sample.id: sample for sample in islice(samples, BATCH)}:
        for other, _ in b.samples_with(some):
            if _requests(other) == _requests(some[other.id]):
                yield some[other.id].position, other.position


def _requests(sample: Sample) -> list[tuple[str, str]]:
    return [(exchange.instruction, exchange.input) for exchange in sample.exchanges]


def _store_partners(connection: Connection, a: Ledger, b: Ledger) -> None:
    found = _partners(a, b)
    while some := list(islice(found, POSITIONS)):
        rows = [{"position": position, "other": other} for position, other in some]
        connection.execute(insert(_partner), rows)


def _fill_pairs(connection: Connection, mode_a: str, mode_b: str, same_data: bool) -> tuple[int, int]:
    """Fill the table of pairs; return how many results of either side have no partner."""
    modes = {"mode_a": mode_a, "mode_b": mode_b}
    partner = "a.position" if same_data else "(SELECT other FROM partners WHERE position = a.position)"
    differ = f"{_other_response('a', 'b')} OR {_other_response('b', 'a')}"
    query = text(_PAIRS.format(partner=partner, same_data=int(same_data), differ=differ))
    last = connection.execute(text("SELECT max(position) FROM a.results")).scalar()
    for begin in range(0, (-1 if last is None else last) + 1, POSITIONS):
        connection.execute(query, modes | {"begin": begin, "end": begin + POSITIONS})
        connection.commit()
    alone_a, alone_b = connection.execute(text(_ALONE), modes).one()
    return alone_a, alone_b


# The text of a JSON value, or the one it refers to, see `ledger.texts`.
_TEXT = """
    coalesce((SELECT text FROM {ledger}.texts WHERE substr({value}, 1, 1) = char(1)
        AND id = CAST(substr({value}, 2) AS INTEGER)), {value})
"""

# Whether an exchange that was worked on here has another response there, where it may still have its
# original.
_OTHER_RESPONSE = """
    EXISTS (SELECT 1 FROM json_each({here}.outcome) AS x LEFT JOIN json_each({there}.outcome) AS y
        ON y.key = x.key
        WHERE {response} <> CASE WHEN y.key IS NULL THEN {original} ELSE {other_response} END)
"""


def _other_response(here: str, there: str) -> str:
    return _OTHER_RESPONSE.format(
        here=here,
        there=there,
        response=_TEXT.format(ledger=here, value="json_extract(x.value, '$.response')"),
        original=_TEXT.format(ledger=here, value="json_extract(x.value, '$.original')"),
        other_response=_TEXT.format(ledger=there, value="json_extract(y.value, '$.response')"),
    )


# Texts are compared only if the numbers do not decide whether they differ.
_PAIRS = """
    INSERT INTO pairs
    SELECT position, other, accepted_a, accepted_b, failed_a, failed_b, growth_a, growth_b, differ,
        growth_b - growth_a, accepted_b - accepted_a
    FROM (
        SELECT a.position AS position, b.position AS other,
            a.accepted_rounds AS accepted_a, b.accepted_rounds AS accepted_b,
            a.status = 'failed' AS failed_a, b.status = 'failed' AS failed_b,
            1.0 * a.final_tokens / max(a.original_tokens, 1) AS growth_a,
            1.0 * b.final_tokens / max(b.original_tokens, 1) AS growth_b,
            CASE
                WHEN a.exchanges = b.exchanges AND a.final_tokens <> b.final_tokens THEN 1
                WHEN {same_data} AND a.accepted_rounds = 0 AND b.accepted_rounds = 0 THEN 0
                ELSE {differ}
            END AS differ
        FROM a.results AS a JOIN b.results AS b ON b.position = {partner} AND b.mode = :mode_b
        WHERE a.mode = :mode_a AND a.position >= :begin AND a.position < :end
    )
"""

_ALONE = """
    SELECT (SELECT count(*) FROM a.results WHERE mode = :mode_a) - (SELECT count(*) FROM pairs),
        (SELECT count(*) FROM b.results WHERE mode = :mode_b) - (SELECT count(*) FROM pairs)
"""
