"""Upgrades the tables of an older ledger.

Each file in `upgrades/` holds the SQL from one version to the next, frozen as it was then. An upgrade only
adds: a program of the older version may be writing to the ledger at that moment, and continues undisturbed.
"""

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from sqlalchemy import Connection

from ledger.tables import VERSION

OLDEST = 3
"""The oldest version that can be upgraded."""


def upgrade(connection: Connection) -> int:
    """Upgrade a ledger to this version, completely or not at all. Another process may try the same.

    Return its version, which is not `VERSION` where no upgrade leads there.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would begin no transaction for what follows
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not OLDEST <= found <= VERSION:
        connection.rollback()
        return found
    for version in range(found, VERSION):
        for statement in _statements(version):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
    connection.commit()
    return VERSION


def _statements(version: int) -> Iterator[str]:
    """Yield the statements of an upgrade one by one: run as one script, they would not be one transaction."""
    sql = files("ledger").joinpath("upgrades", f"{version}_to_{version + 1}.sql").read_text(encoding="utf-8")
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if statement.strip() and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
