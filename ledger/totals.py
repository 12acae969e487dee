"""Totals that a ledger keeps, so that a run of any length is summarized in constant time.

Triggers update them with every row, in its transaction, whichever version of the program writes it. A
replaced result is subtracted; calls are only ever added.

Latencies are counted by their first three digits, so percentiles are within half a percent. Calls are also
counted by the second in which they finished.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""The bounds between length classes, in tokens."""

TABLES = (
    """
    CREATE TABLE result_totals (
        mode TEXT, status TEXT, changed INTEGER, original_class INTEGER, final_class INTEGER,
        results INTEGER, exchanges INTEGER, original_tokens INTEGER, final_tokens INTEGER,
        ratios INTEGER, doubled INTEGER,
        PRIMARY KEY (mode, status, changed, original_class, final_class)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE exchange_totals (
        mode TEXT, ending TEXT, accepted_rounds INTEGER, failure TEXT, exchanges INTEGER,
        PRIMARY KEY (mode, ending, accepted_rounds, failure)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE round_totals (
        mode TEXT, forward TEXT, reversed TEXT, accepted INTEGER, rounds INTEGER,
        PRIMARY KEY (mode, forward, reversed, accepted)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE call_totals (
        mode TEXT, step TEXT, model TEXT,
        calls INTEGER, failed INTEGER, attempts INTEGER, uncounted INTEGER, input_tokens INTEGER,
        cached_tokens INTEGER, output_tokens INTEGER, shortened INTEGER, started REAL, latency REAL,
        visits INTEGER, first_visits INTEGER,
        PRIMARY KEY (mode, step, model)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE latency_totals (
        mode TEXT, step TEXT, model TEXT, latency REAL, calls INTEGER,
        PRIMARY KEY (mode, step, model, latency)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE second_totals (second INTEGER PRIMARY KEY, calls INTEGER)",
)

_RESULTS = (
    """
    INSERT INTO result_totals
    SELECT mode, status, accepted_rounds > 0, {original_class}, {final_class},
        {sign} count(*), {sign} sum(exchanges), {sign} sum(original_tokens), {sign} sum(final_tokens),
        {sign} sum(original_tokens > 0),
        {sign} sum(original_tokens > 0 AND final_tokens > 2 * original_tokens)
    FROM {rows} AS one WHERE true GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, status, changed, original_class, final_class) DO UPDATE SET
        results = results + excluded.results, exchanges = exchanges + excluded.exchanges,
        original_tokens = original_tokens + excluded.original_tokens,
        final_tokens = final_tokens + excluded.final_tokens,
        ratios = ratios + excluded.ratios, doubled = doubled + excluded.doubled
    """,
    """
    INSERT INTO exchange_totals
    SELECT mode, json_extract(exchange.value, '$.ending'), json_extract(exchange.value, '$.accepted_rounds'),
        coalesce(json_extract(exchange.value, '$.failure.reason'), ''), {sign} count(*)
    FROM {rows} AS one, json_each(outcome) AS exchange WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, ending, accepted_rounds, failure) DO UPDATE SET
        exchanges = exchanges + excluded.exchanges
    """,
    # The response that each order prefers: the current one is first in forward and second in reversed order.
    # If the forward order decided, the reversed one was not asked for.
    """
    INSERT INTO round_totals
    SELECT mode, {forward},
        CASE json_type(round.value, '$.reversed') WHEN 'null' THEN 'not asked' ELSE {reversed} END,
        json_extract(round.value, '$.accepted'), {sign} count(*)
    FROM {rows} AS one, json_each(outcome) AS exchange, json_each(exchange.value, '$.rounds') AS round
    WHERE json_type(round.value, '$.forward') = 'object' GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, forward, reversed, accepted) DO UPDATE SET rounds = rounds + excluded.rounds
    """,
)

# A step visits a round with the first of its calls there; after a failure or an unreadable verdict it makes
# more.
_CALLS = (
    """
    INSERT INTO call_totals
    SELECT mode, step, model, count(*), sum(failure IS NOT NULL), sum(attempts), sum(NOT counted),
        sum(CASE WHEN counted THEN input_tokens ELSE 0 END),
        sum(CASE WHEN counted THEN coalesce(cached_tokens, 0) ELSE 0 END),
        sum(CASE WHEN counted THEN output_tokens ELSE 0 END),
        count(shortened_to), sum(CASE WHEN counted THEN started ELSE 0 END),
        sum(latency), sum(first), sum(first AND round = 1)
    FROM (
        SELECT *, input_tokens IS NOT NULL AND output_tokens IS NOT NULL AS counted, NOT EXISTS (
            SELECT 1 FROM calls AS earlier
            WHERE earlier.sample = one.sample AND earlier.mode = one.mode AND earlier.step = one.step
                AND earlier.exchange = one.exchange AND earlier.round = one.round
                AND earlier.number < one.number
        ) AS first
        FROM {rows} AS one
    ) WHERE true GROUP BY 1, 2, 3
    ON CONFLICT (mode, step, model) DO UPDATE SET
        calls = calls + excluded.calls, failed = failed + excluded.failed,
        attempts = attempts + excluded.attempts, uncounted = uncounted + excluded.uncounted,
        input_tokens = input_tokens + excluded.input_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        shortened = shortened + excluded.shortened, started = started + excluded.started,
        latency = latency + excluded.latency, visits = visits + excluded.visits,
        first_visits = first_visits + excluded.first_visits
    """,
    """
    INSERT INTO latency_totals
    SELECT mode, step, model, CAST(printf('%.2e', latency) AS REAL), count(*)
    FROM {rows} AS one WHERE true GROUP BY 1, 2, 3, 4
    ON CONFLICT (mode, step, model, latency) DO UPDATE SET calls = calls + excluded.calls
    """,
    """
    INSERT INTO second_totals
    SELECT CAST(started + latency AS INTEGER), count(*) FROM {rows} AS one WHERE true GROUP BY 1
    ON CONFLICT (second) DO UPDATE SET calls = calls + excluded.calls
    """,
)

_RESULT_COLUMNS = (
    *("mode", "status", "accepted_rounds", "exchanges", "original_tokens", "final_tokens", "outcome"),
)
_CALL_COLUMNS = (
    *("number", "sample", "mode", "exchange", "round", "step", "model", "input_tokens", "cached_tokens"),
    *("output_tokens", "shortened_to", "started", "latency", "attempts", "failure"),
)


def _length_class(column: str) -> str:
    cases = " ".join(f"WHEN {column} < {bound} THEN {index}" for index, bound in enumerate(LENGTHS))
    return f"CASE {cases} ELSE {len(LENGTHS)} END"


def _preferred(order: str, current: int, draft: int) -> str:
    points = [f"json_extract(round.value, '$.{order}.points[{index}]')" for index in (current, draft)]
    return (
        f"CASE sign({points[0]} - {points[1]}) "
        "WHEN 1 THEN 'current' WHEN -1 THEN 'draft' WHEN 0 THEN 'neither' ELSE 'unreadable' END"
    )


def _adding(statements: tuple[str, ...], rows: str, sign: str = "") -> str:
    """Return the statements that add rows to the totals, or subtract them."""
    return "; ".join(
        statement.format(
            rows=rows,
            sign=sign,
            original_class=_length_class("original_tokens"),
            final_class=_length_class("final_tokens"),
            forward=_preferred("forward", 0, 1),
            reversed=_preferred("reversed", 1, 0),
        )
        for statement in statements
    )


def _row(name: str, columns: tuple[str, ...]) -> str:
    """Return a trigger's row as a table."""
    return f"(SELECT {', '.join(f'{name}.{column} AS {column}' for column in columns)})"


def _triggers() -> Iterator[str]:
    new, old = (_row(name, _RESULT_COLUMNS) for name in ("NEW", "OLD"))
    add, subtract = _adding(_RESULTS, new), _adding(_RESULTS, old, "-")
    yield f"CREATE TRIGGER result_added AFTER INSERT ON results BEGIN {add}; END"
    yield f"CREATE TRIGGER result_removed AFTER DELETE ON results BEGIN {subtract}; END"
    yield f"CREATE TRIGGER result_changed AFTER UPDATE ON results BEGIN {subtract}; {add}; END"
    # Rows that INSERT OR REPLACE removes would fire no trigger.
    yield (
        "CREATE TRIGGER result_replaced BEFORE INSERT ON results BEGIN "
        "DELETE FROM results WHERE position = NEW.position AND mode = NEW.mode; END"
    )
    calls = _adding(_CALLS, _row("NEW", _CALL_COLUMNS))
    yield f"CREATE TRIGGER call_added AFTER INSERT ON calls BEGIN {calls}; END"


ACCEPTED = """
    CREATE TABLE accepted_exchanges (
        mode TEXT, accepted_rounds INTEGER, position INTEGER, PRIMARY KEY (mode, accepted_rounds, position)
    ) WITHOUT ROWID
"""
"""The results that have an exchange with so many accepted rounds; failed exchanges do not count."""

_ACCEPTED_ROWS = """
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM {rows} AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed'
"""


def create_accepted(connection: Connection) -> None:
    """Create the table `accepted_exchanges` with its triggers, and fill it."""
    columns = ("position", "mode", "outcome")
    new, old = (_ACCEPTED_ROWS.format(rows=_row(name, columns)) for name in ("NEW", "OLD"))
    add = "INSERT OR IGNORE INTO accepted_exchanges " + new
    remove = f"DELETE FROM accepted_exchanges WHERE (mode, accepted_rounds, position) IN ({old})"  # noqa: S608
    connection.exec_driver_sql(ACCEPTED)
    connection.exec_driver_sql(f"INSERT INTO accepted_exchanges {_ACCEPTED_ROWS.format(rows='results')}")
    for name, event, change in (
        ("accepted_added", "INSERT", add),
        ("accepted_removed", "DELETE", remove),
        ("accepted_changed", "UPDATE", f"{remove}; {add}"),
    ):
        connection.exec_driver_sql(f"CREATE TRIGGER {name} AFTER {event} ON results BEGIN {change}; END")


def create(connection: Connection) -> None:
    """Create the tables and triggers, and count what is in the ledger so far."""
    for table in TABLES:
        connection.exec_driver_sql(table)
    for statement in (_adding(_RESULTS, "results") + "; " + _adding(_CALLS, "calls")).split("; "):
        connection.exec_driver_sql(statement)
    for trigger in _triggers():
        connection.exec_driver_sql(trigger)
