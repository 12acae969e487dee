"""Creates the tables of a ledger, and upgrades older ones.

The files in `upgrades/` hold the SQL that leads to each version, frozen as it was then; a new ledger runs all
of them. A program of the older version may be writing to the ledger at that moment and continues undisturbed,
so upgrades add and take nothing away. Version 8 also splits texts of failures; a program of version 7 reads
what remains of them as another failure, and may ask for such a call again.
"""

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from sqlalchemy import Connection

from ledger.tables import VERSION

OLDEST = 3
"""The oldest version that can be upgraded."""


def create(connection: Connection) -> None:
    """Create the tables in an empty file, completely or not at all."""
    # The driver would begin no transaction for what follows.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    _run(connection, OLDEST)


def upgrade(connection: Connection) -> int:
    """Upgrade a ledger to this version, completely or not at all. Another process may try the same.

    Return its version, which is not `VERSION` where no upgrade leads there.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not OLDEST <= found <= VERSION:
        connection.rollback()
        return found
    _run(connection, found + 1)
    return VERSION


def _run(connection: Connection, first: int) -> None:
    for version in range(first, VERSION + 1):
        for statement in _statements(version):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
    connection.commit()


def _statements(version: int) -> Iterator[str]:
    """Yield the statements that lead to a version one by one: one script would not be one transaction."""
    sql = files("ledger").joinpath("upgrades", f"to_{version}.sql").read_text(encoding="utf-8")
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if statement.strip() and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
