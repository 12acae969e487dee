"""The numbers of a run, from the totals that its ledger keeps (`ledger/upgrades/to_6.sql`), in constant time.

Users' decisions are counted each time: there are few.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from ledger.ledger import Ledger
from ledger.tables import GROWTH, NOT_DONE
from nodes.decision import GUARDS
from reporting.call_statistics import CallStatistics, call_statistics
from reporting.judging import Judging, Panel, judging, panel
from reporting.reviewing import Deciding, Reviewing, deciding, reviewing


@dataclass(slots=True)
class Lengths:
    """How long responses were and became, over the samples of a mode, in estimated tokens.

    A sample's length is that of all its responses that were worked on, failed ones with their original; a
    ratio is new length over old length, and samples whose old length is 0 have none.
    """

    average_original_tokens: float | None
    average_evolved_tokens: float | None
    ratio_of_averages: float | None
    median_ratio: float | None
    """Over all samples with a ratio."""
    median_ratio_of_changed: float | None
    doubled: float | None
    """The share of them that grew to more than twice their length."""


@dataclass(slots=True)
class Checking:
    """References, and what the check (`check`) says of the responses of exchanges that did not fail."""

    with_reference: int
    """Exchanges with one."""
    checked: int
    """Exchanges whose original response was checked; without a reference only by a command."""
    original_agrees: int
    final_agrees: int
    no_result: int
    """Exchanges in which the check of the original came to no result."""


@dataclass(slots=True)
class ModeStatistics:
    """The outcome of one mode."""

    finished: int
    """Samples that were worked on, skipped ones not included."""
    failed: int
    """Those of them with at least one failed exchange."""
    changed: int
    """Those of them with at least one new response."""
    exchanges: int
    """Exchanges that were worked on."""
    changed_exchanges: int
    accepted_rounds: dict[int, int]
    """Exchanges by accepted rounds, failed ones with 0; 1 if a mode without a judge rewrote the response."""
    endings: dict[str, int]
    refused: dict[str, int]
    """Exchanges that ended because a guard refused the draft, by the guard's key."""
    failures: dict[str, int]
    """Failed exchanges by the key of the failure's kind."""
    lengths: Lengths
    judging: Judging | None
    deciding: Deciding | None
    """None if nothing was decided."""
    checking: Checking | None
    """None if there was no reference and nothing was checked."""
    panel: Panel | None = None
    """None where one judge decides."""
    reviewing: Reviewing | None = None
    """None if no two reviewers decided on the same."""


@dataclass(slots=True)
class Statistics:
    """The numbers of a run at one moment."""

    samples: int
    skipped: dict[str, int]
    """Skipped samples by reason, the most frequent `MAX_REASONS` of them."""
    modes: dict[str, ModeStatistics]
    """In the order asked for."""
    calls: CallStatistics


MAX_REASONS = 50
"""How many different reasons are counted separately; the others count as `OTHER_REASONS`."""

OTHER_REASONS = "other reasons"


def statistics(ledger: Ledger, modes: Sequence[str]) -> Statistics:
    """Count what is in the ledger, for these modes.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with ledger.reading() as connection:
        connection.exec_driver_sql("BEGIN")  # all of it as of one moment
        skipped = connection.execute(
            text(
                f"SELECT reason, count(*) n FROM results WHERE {NOT_DONE} AND status = 'skipped' "  # noqa: S608
                "GROUP BY 1 ORDER BY n DESC"
            )
        )
        return Statistics(
            samples=connection.execute(text("SELECT count(*) FROM samples")).scalar_one(),
            skipped=_reasons(skipped),
            modes={mode: _mode(connection, mode) for mode in modes},
            calls=call_statistics(connection),
        )


def _mode(connection: Connection, mode: str) -> ModeStatistics:
    finished, failed, changed, exchanges = connection.execute(
        text(
            "SELECT coalesce(sum(results), 0), coalesce(sum(CASE status WHEN 'failed' THEN results END), 0), "
            "coalesce(sum(CASE changed WHEN 1 THEN results END), 0), coalesce(sum(exchanges), 0) "
            "FROM result_totals WHERE mode = :mode"
        ),
        {"mode": mode},
    ).one()
    accepted: Counter[int] = Counter()
    endings: Counter[str] = Counter()
    for ending, rounds, number in connection.execute(text(_ENDINGS), {"mode": mode}):
        endings[ending] += number
        accepted[rounds] += number
    return ModeStatistics(
        finished=finished,
        failed=failed,
        changed=changed,
        exchanges=exchanges,
        changed_exchanges=sum(number for rounds, number in accepted.items() if rounds),
        accepted_rounds=dict(sorted(accepted.items())),
        endings=dict(endings.most_common()),
        refused={guard: endings[f"guard_{guard}"] for guard in GUARDS if endings[f"guard_{guard}"]},
        failures=_reasons(connection.execute(text(_FAILURES), {"mode": mode})),
        lengths=_lengths(connection, mode),
        judging=judging(connection, mode),
        deciding=deciding(connection, mode),
        checking=_checking(connection, mode),
        panel=panel(connection, mode),
        reviewing=reviewing(connection, mode),
    )


_ENDINGS = """
    SELECT ending, accepted_rounds, sum(exchanges) AS n FROM exchange_totals
    WHERE mode = :mode GROUP BY 1, 2 HAVING n > 0
"""

_FAILURES = """
    SELECT failure, sum(exchanges) AS n FROM exchange_totals
    WHERE mode = :mode AND failure <> '' GROUP BY 1 HAVING n > 0 ORDER BY n DESC
"""

_CHECKING = "SELECT referenced, checked, original, final, exchanges FROM reference_totals WHERE mode = :mode"


def _checking(connection: Connection, mode: str) -> Checking | None:
    found, any_ = Checking(0, 0, 0, 0, 0), 0
    for referenced, checked, original, final, number in connection.execute(text(_CHECKING), {"mode": mode}):
        any_ += number
        found.with_reference += number * referenced
        found.checked += number * checked
        found.original_agrees += number * (original == 1)
        found.final_agrees += number * (final == 1)
        found.no_result += number * (checked and original == -1)
    return found if any_ else None


_LENGTHS = """
    SELECT sum(original_tokens), sum(final_tokens), sum(exchanges), coalesce(sum(ratios), 0),
        coalesce(sum(CASE changed WHEN 1 THEN ratios END), 0), sum(doubled)
    FROM result_totals WHERE mode = :mode
"""

# In the order of the index by growth, which covers the query: nothing is sorted.
_MEDIAN = f"""
    SELECT avg(growth) FROM (
        SELECT {GROWTH} AS growth FROM results INDEXED BY results_by_growth
        WHERE mode = :mode AND original_tokens > 0 AND accepted_rounds >= :accepted
        ORDER BY growth LIMIT :middle OFFSET :before
    )
"""  # noqa: S608


def _lengths(connection: Connection, mode: str) -> Lengths:
    row = connection.execute(text(_LENGTHS), {"mode": mode}).one()
    original, final, exchanges, ratios, of_changed, doubled = row
    return Lengths(
        average_original_tokens=_ratio(original, exchanges),
        average_evolved_tokens=_ratio(final, exchanges),
        ratio_of_averages=_ratio(final, original),
        median_ratio=_median(connection, mode, 0, ratios),
        median_ratio_of_changed=_median(connection, mode, 1, of_changed),
        doubled=_ratio(doubled, ratios),
    )


def _median(connection: Connection, mode: str, accepted: int, number: int) -> float | None:
    """Return the median growth over so many samples with at least this number of accepted rounds."""
    values = {"mode": mode, "accepted": accepted, "middle": 2 - number % 2, "before": max(number - 1, 0) // 2}
    median: float | None = connection.execute(text(_MEDIAN), values).scalar_one()
    return median


def _reasons(rows: Iterable[Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for number, (reason, count) in enumerate(rows):
        counted[reason if number < MAX_REASONS else OTHER_REASONS] += count
    return dict(counted)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
