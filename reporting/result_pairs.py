"""The pairs of results that two sides of a comparison have for the same samples, as numbers in a database.

If both runs read the same file, samples match by position; otherwise by id and requests, since numbered
records of two unrelated files have the same ids.
"""

from collections.abc import Iterator
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
    Table,
    and_,
    insert,
    or_,
    text,
    true,
)

from ledger.ledger import BATCH, Ledger, ledger_errors
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


def fill(connection: Connection, a: ModeResults, b: ModeResults) -> tuple[int, int]:
    """Collect the pairs of two sides in a database that is empty.

    Returns:
        How many results of A and of B have no partner, which is unfinished or not in the other run.

    Raises:
        LedgerError: one of the ledgers cannot be read.
    """
    _metadata.create_all(connection)
    connection.commit()
    a.ledger.attach(connection, "a")
    b.ledger.attach(connection, "b")
    same_data = a.data == b.data
    if not same_data:
        _store_partners(connection, a.ledger, b.ledger)
    with ledger_errors(b.ledger.path):
        alone = _fill_pairs(connection, a.mode, b.mode, same_data)
    connection.commit()
    connection.exec_driver_sql("DETACH a")
    connection.exec_driver_sql("DETACH b")
    return alone


def is_comparable(a: Ledger, b: Ledger) -> bool:
    """Whether runs over different data have any finished sample in common.

    Raises:
        LedgerError: one of the ledgers cannot be read.
    """
    return next(_partners(a, b), None) is not None


_metadata = MetaData()

pairs = Table(
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
    pairs.c.accepted_a,
    pairs.c.accepted_b,
    pairs.c.failed_a,
    pairs.c.failed_b,
    pairs.c.differ,
)
Index("by_growth", pairs.c.more_growth, pairs.c.position, *_FILTERED_BY)
Index("by_accepted", pairs.c.more_accepted, pairs.c.position, *_FILTERED_BY)

_partner = Table(
    "partners",
    _metadata,
    Column("position", Integer, primary_key=True),
    Column("other", Integer, nullable=False, unique=True),
)

_CHANGED_A, _CHANGED_B = pairs.c.accepted_a > 0, pairs.c.accepted_b > 0

CONDITIONS: dict[PairFilter, ColumnElement[bool]] = {
    "all": true(),
    "differ": pairs.c.differ,
    "both": and_(_CHANGED_A, _CHANGED_B),
    "only_a": and_(_CHANGED_A, ~_CHANGED_B),
    "only_b": and_(~_CHANGED_A, _CHANGED_B),
    "neither": ~or_(_CHANGED_A, _CHANGED_B),
    "failed": pairs.c.failed_a != pairs.c.failed_b,
}

COLUMNS: dict[PairSortKey, list[ColumnElement[Any]]] = {
    "position": [pairs.c.position],
    "growth": [pairs.c.more_growth, pairs.c.position],
    "accepted": [pairs.c.more_accepted, pairs.c.position],
}


def _partners(a: Ledger, b: Ledger) -> Iterator[tuple[int, int]]:
    """Yield the positions, in A's and in B's data, of the finished samples with the same id and requests."""
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
        ON json_extract(y.value, '$.exchange') = json_extract(x.value, '$.exchange')
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
