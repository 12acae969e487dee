"""The results of a run, filtered, sorted and a page at a time.

Filters and orders only read the index of the order (`results_by_…`), so a million results are fast. Text
search (`search`) is the exception: it reads all samples, or those that `ledger.text_scan` found.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sqlalchemy import Column, ColumnElement, Select, exists, func, literal_column, select, text, tuple_

from ledger.decisions import DecisionFilter, condition
from ledger.ledger import BATCH, Ledger, Result
from ledger.search import Search, contains, searched_texts
from ledger.tables import GROWTH, NOT_DONE, accepted_exchanges, results, samples
from ledger.text_scan import ScannedSearch, TextScan
from samples.json_values import to_json
from samples.sample import Sample

SortKey = Literal["position", "accepted", "growth", "length"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
"""By position in the data, accepted rounds, ratio of new to old tokens, or new tokens."""

GREW = 2.0
"""The ratio of new to old tokens above which a result is one that grew much."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which results are wanted; fields that are empty or None match all."""

    mode: str = ""
    status: str = ""
    reason: str = ""
    """A kind of failure, or the reason of a skipped sample."""
    accepted: int | None = None
    """Accepted rounds of some exchange; a failed one has 0."""
    changed: bool = False
    """Whether some draft was accepted, in whichever round and exchange."""
    contradict: bool = False
    """Whether some verdicts contradict each other."""
    grew: bool = False
    decided: DecisionFilter | Literal[""] = ""
    reviewer: str = ""
    """Whose decisions `decided` is about, or who has decided on some exchange; empty for those that count."""
    old_length: str = ""
    """A range of tokens of the old responses, as in "64-127" or "4096-"."""
    new_length: str = ""
    """The same of the new responses."""
    ending: str = ""
    """How some exchange ended. Only `search` uses it."""
    orders: str = ""
    """How the two orders of judgment compare in some round, see `compared_orders`. Only `search` uses it."""
    text: str = ""
    """Occurs in the sample's id, requests or responses (`ledger.search.contains`). Only `search` uses it."""

    @property
    def is_searched(self) -> bool:
        """Whether every result must be read, by `search`, to know whether it matches."""
        return bool(self.text or self.ending or self.orders)


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
    """A page of results."""

    found: list[ResultRow]
    total: int
    """How many results the filter matches."""
    begin: int
    """The position of the first result of the page among them."""

    @property
    def end(self) -> int:
        """The position after the last of them."""
        return self.begin + len(self.found)


ResultKey = tuple[int, str]
"""The position and the mode of a result."""


def page(ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool, begin: int, size: int) -> ResultsPage:
    """Return at most `size` results from position `begin`."""
    total = count(ledger, wanted)
    if begin > total / 2:
        # From the other end, since SQLite reads what it skips.
        number = max(0, min(size, total - begin))
        backwards = _ordered(wanted, order, not down).offset(total - begin - number).limit(number)
        keys = _keys(ledger, backwards)[::-1]
    else:
        keys = _keys(ledger, _ordered(wanted, order, down).offset(begin).limit(size))
    return ResultsPage(list(_load(ledger, keys)), total, begin)


def count(ledger: Ledger, wanted: Filter) -> int:
    """Return how many results the filter matches."""
    query: Select[int] = select(func.count()).select_from(results).where(*_conditions(wanted))
    if (
        wanted.accepted is not None
        and replace(wanted, mode="", accepted=None, ending="", orders="", text="") == Filter()
    ):
        # One small table suffices, and nothing is looked up for each result.
        query = select(func.count()).select_from(accepted_exchanges).where(*_in_table(wanted))
        if not wanted.accepted:
            return (ledger.scalar(query) or 0) + (ledger.scalar(_failed_only(wanted)) or 0)
    return ledger.scalar(query) or 0


def search(
    ledger: Ledger,
    wanted: Filter,
    order: SortKey,
    *,
    down: bool,
    begin: int = 0,
    key: ResultKey | None = None,
    scan: TextScan | None = None,
) -> Search[ResultRow]:
    """Search for the filter's text, ending and orders among the results that its other fields match.

    The search starts at position `begin`, or after the result `key`. With the `scan` of the ledger for the
    text, which it continues, it passes over the samples in which the text does not occur.
    """

    def after(last: ResultRow | None, ids: Collection[str] | None = None) -> list[ResultRow]:
        keys = _ordered(wanted, order, down)
        start = last.key if last else key
        if start is None and begin and ids is not None:
            # Positions count all results.
            start = next(iter(_keys(ledger, keys.offset(begin - 1).limit(1))), None)
            if start is None:
                return []
        if start:
            conditions = _after(ledger, order, down, start)
            if conditions is None:
                return []
            keys = keys.where(*conditions)
        else:
            keys = keys.offset(begin)
        if ids is not None:
            keys = keys.where(_plain(results.c.position).in_(positions_of(ids)))
        return list(_load(ledger, _keys(ledger, keys.limit(BATCH))))

    def is_wanted(found: ResultRow) -> bool:
        outcome = found.result.outcome
        if wanted.ending and all(done["ending"] != wanted.ending for done in outcome):
            return False
        if wanted.orders and not any(has_orders(done, wanted.orders) for done in outcome):
            return False
        return not wanted.text or contains(searched_texts(found.sample, found.result), wanted.text)

    def position(last: ResultRow | None) -> int:
        before = _after(ledger, order, not down, last.key) if last else None
        if before is None:
            return count(ledger, wanted)
        query = select(func.count()).select_from(results).where(*_conditions(wanted), *before)
        return int(ledger.scalar(query) or 0) + 1

    def among(ids: Collection[str]) -> list[ResultRow]:
        """Return the hits among these samples; the table is not read for its order."""
        keys = select(results.c.position, results.c.mode).where(results.c.position.in_(positions_of(ids)))
        found = _load(ledger, _keys(ledger, keys.where(*_conditions(wanted)).order_by(results.c.position)))
        return [row for row in found if is_wanted(row)]

    if scan is None:
        return Search(after, is_wanted, begin)
    return ScannedSearch([scan], after, among, is_wanted, position, begin)


def positions_of(ids: Collection[str]) -> Select[int]:
    """Select the positions of the samples with these ids, however many."""
    given = func.json_each(to_json([*ids])).table_valued("value")
    return select(samples.c.position).where(samples.c.id.in_(select(given.c.value)))


def has_orders(done: Mapping[str, Any], wanted: str) -> bool:
    """Whether in some round of an exchange the two orders of judgment compare like this."""
    return any(compared_orders(each) == wanted for each in done["rounds"])


def compared_orders(done: Mapping[str, Any]) -> str:
    """Return how the two orders of judgment of a round compare; empty where none was asked for.

    The names are the fields of `reporting.judging.Judging`.
    """
    forward, reverse = done["forward"], done["reversed"]
    if not forward or not reverse:
        return "calls_saved" if forward else ""
    if not forward["points"] or not reverse["points"]:
        return "one_unreadable" if forward["points"] or reverse["points"] else "both_unreadable"
    # By how much each order prefers what it was shown first: the current response, then the draft.
    one, other = (each["points"][0] - each["points"][1] for each in (forward, reverse))
    if not one or not other:
        return "one_tie" if one or other else "agreed"
    if (one > 0) != (other > 0):
        return "agreed"
    return "favoured_first" if one > 0 else "favoured_second"


def adjacent(
    ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool, key: ResultKey
) -> tuple[ResultKey | None, ResultKey | None]:
    """Return the keys of the results before and after this one, in this order."""
    return _next(ledger, wanted, order, not down, key), _next(ledger, wanted, order, down, key)


def accepted(ledger: Ledger, mode: str = "") -> dict[int, int]:
    """Count the exchanges of a mode, or of all, by accepted rounds; failed ones have 0."""
    query = text(
        "SELECT accepted_rounds, sum(exchanges) AS n FROM exchange_totals "
        "WHERE :mode IN ('', mode) GROUP BY accepted_rounds HAVING n > 0 ORDER BY accepted_rounds"
    )
    return {row[0]: row[1] for row in ledger.rows(query, mode=mode)}


def has_conversations(ledger: Ledger) -> bool:
    """Whether some sample has several exchanges that were worked on."""
    query = "SELECT coalesce(sum(exchanges) > sum(results), 0) FROM result_totals WHERE status <> 'skipped'"
    return bool(ledger.scalar(text(query)))


def reasons(ledger: Ledger) -> dict[str, int]:
    """Count failed and skipped samples by the kind of failure or the reason."""
    query = (
        select(_reason, func.count())
        .where(literal_column(NOT_DONE))
        .group_by(_reason)
        .order_by(func.count().desc(), _reason)
    )
    return {row[0]: row[1] for row in ledger.rows(query)}


def _next(ledger: Ledger, wanted: Filter, order: SortKey, down: bool, key: ResultKey) -> ResultKey | None:
    conditions = _after(ledger, order, down, key)
    if conditions is None:
        return None
    return next(iter(_keys(ledger, _ordered(wanted, order, down).where(*conditions).limit(1))), None)


def _after(ledger: Ledger, order: SortKey, down: bool, key: ResultKey) -> list[ColumnElement[bool]] | None:
    """Return the conditions of the results after this one; None if it no longer exists."""
    columns = _columns(order)
    here = select(*columns).where(results.c.position == key[0], results.c.mode == key[1])
    values = next(iter(ledger.rows(here)), None)
    if values is None:
        return None
    after = tuple_(*columns) < tuple_(*values) if down else tuple_(*columns) > tuple_(*values)
    # Repeated for the first column: SQLite cannot use an index on an expression for a row of values.
    begin = columns[0] <= values[0] if down else columns[0] >= values[0]
    return [after, begin]


def _ordered(wanted: Filter, order: SortKey, down: bool) -> Select[int, str]:
    columns = [column.desc() if down else column.asc() for column in _columns(order)]
    return select(results.c.position, results.c.mode).where(*_conditions(wanted)).order_by(*columns)


def _columns(order: SortKey) -> list[ColumnElement[Any]]:
    """Return the columns to sort by; position and mode make the order strict."""
    first: dict[SortKey, list[ColumnElement[Any]]] = {
        "position": [],
        "accepted": [results.c.accepted_rounds],
        "growth": [GROWTH],
        "length": [results.c.final_tokens],
    }
    return [*first[order], results.c.position, results.c.mode]


_reason = func.coalesce(results.c.failure_kind, results.c.reason)


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.mode:
        yield _plain(results.c.mode) == wanted.mode
    if wanted.status:
        yield _plain(results.c.status) == wanted.status
    if wanted.reason:
        yield literal_column(NOT_DONE)
        yield _reason == wanted.reason
    if wanted.accepted is not None:
        # A result has at least as many accepted rounds as any of its exchanges; the index can check that.
        yield _plain(results.c.accepted_rounds) >= wanted.accepted
        found = _has_accepted(wanted.accepted)
        yield found if wanted.accepted else found | (_plain(results.c.status) == "failed")
    if wanted.changed:
        yield _plain(results.c.accepted_rounds) > 0
    if wanted.contradict:
        yield results.c.contradictions > 0
    if wanted.grew:
        yield results.c.final_tokens > GREW * results.c.original_tokens
    for length, tokens in ((wanted.old_length, "original_tokens"), (wanted.new_length, "final_tokens")):
        if length:
            least, _, most = length.partition("-")
            yield _plain(results.c[tokens]) >= int(least)
            if most:
                yield _plain(results.c[tokens]) <= int(most)
    if wanted.decided or wanted.reviewer:
        yield condition(wanted.decided, wanted.reviewer)


def _has_accepted(rounds: int) -> ColumnElement[bool]:
    here = accepted_exchanges.c
    same = here.mode == results.c.mode, here.position == results.c.position
    return exists().where(*same, here.accepted_rounds == rounds)


def _in_table(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.mode:
        yield accepted_exchanges.c.mode == wanted.mode
    yield accepted_exchanges.c.accepted_rounds == wanted.accepted


def _failed_only(wanted: Filter) -> Select[int]:
    """Select the number of failed results that the table of accepted rounds, which has no failed exchanges,
    does not list with 0."""
    query = select(func.count()).select_from(results)
    query = query.where(literal_column(NOT_DONE), results.c.status == "failed", ~_has_accepted(0))
    return query.where(results.c.mode == wanted.mode) if wanted.mode else query


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """Hide a column from SQLite's choice of index, so that it reads in order instead of sorting."""
    return literal_column(f"+{column}", column.type)


def _keys(ledger: Ledger, query: Select[int, str]) -> list[ResultKey]:
    return [(row[0], row[1]) for row in ledger.rows(query)]


def _load(ledger: Ledger, keys: list[ResultKey]) -> Iterator[ResultRow]:
    found = ledger.samples_at({position for position, _ in keys})
    rows = {
        (s.position, mode): ResultRow(s, result) for s, by_mode in found for mode, result in by_mode.items()
    }
    yield from (rows[key] for key in keys if key in rows)
