"""A part of a ledger, to count some samples of a run as a whole run is counted."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Table

from ledger.ledger import Ledger, ledger_errors
from ledger.tables import calls, decision_history, results, samples, texts

_LEFT_OUT = {"record": "''", "messages": "'[]'", "reply": "''", "thoughts": "NULL"}
"""Columns that no number is made from, and what is there instead."""

_DECIDED_ON = """
    SELECT CAST(substr(json_extract(done.value, '$.response'), 2) AS INTEGER)
    FROM main.decision_history JOIN main.results USING (position, mode), json_each(results.outcome) AS done
    WHERE substr(json_extract(done.value, '$.response'), 1, 1) = char(1)
"""
"""The ids of responses with a decision."""


@contextmanager
def excerpt(ledger: Ledger, mode: str, positions: Collection[int]) -> Iterator[Ledger]:
    """Copy the results of some samples in a mode, with their calls and decisions, into a temporary ledger.

    Its triggers count them, so it has all totals; texts are left out but for those that someone decided on,
    since a decision counts as long as the response is the same. A sample with its calls takes about as
    long as it took to write.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with TemporaryDirectory() as folder:
        part = Ledger.create(Path(folder) / "excerpt.sqlite")
        with ledger_errors(ledger.path), part.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
            ledger.attach(connection, "whole")
            connection.exec_driver_sql("CREATE TEMP TABLE wanted (position INTEGER PRIMARY KEY)")
            wanted = [(position,) for position in positions]
            if wanted:
                connection.exec_driver_sql("INSERT INTO wanted VALUES (?)", wanted)
            there = "position IN (SELECT position FROM wanted)"
            for table, where in (
                (samples, there),
                (results, f"mode = :mode AND {there}"),
                (decision_history, f"mode = :mode AND {there}"),
                (calls, "mode = :mode AND sample IN (SELECT id FROM main.samples)"),
            ):
                connection.exec_driver_sql(_copy(table, where), {"mode": mode})
            connection.exec_driver_sql(_copy(texts, f"id IN ({_DECIDED_ON})"))
            connection.commit()
        yield part


def _copy(table: Table, where: str) -> str:
    names = [column.name for column in table.columns]
    values = ", ".join(_LEFT_OUT.get(name, name) for name in names)
    return (
        f"INSERT INTO main.{table.name} ({', '.join(names)}) "  # noqa: S608
        f"SELECT {values} FROM whole.{table.name} WHERE {where}"
    )
