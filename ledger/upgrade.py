"""How the tables of an older ledger become those of this version.

There is a step from each version to the next. Steps only add: a program of the older version may be writing
to the ledger at that moment, and goes on as if nothing had happened.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from ledger import totals
from ledger.tables import BY_ORDER, DECIDED, RESPONSES, VERSION, WITHOUT_COUNTS, decisions


def _from_3(connection: Connection) -> None:
    """What people decide."""
    decisions.create(connection)
    connection.exec_driver_sql(RESPONSES)
    connection.exec_driver_sql(DECIDED)


def _from_4(connection: Connection) -> None:
    """How far prompts were shortened."""
    connection.exec_driver_sql("ALTER TABLE calls ADD COLUMN shortened_to INTEGER")


def _from_5(connection: Connection) -> None:
    """Totals, and an index for each order in which results are shown."""
    for index in (*BY_ORDER, WITHOUT_COUNTS):
        index.create(connection)
    connection.exec_driver_sql("DROP INDEX results_at_a_glance")
    totals.create(connection)


def _from_6(connection: Connection) -> None:
    """Which results have an exchange with so many accepted rounds."""
    totals.create_accepted(connection)


STEPS: Mapping[int, Callable[[Connection], None]] = {3: _from_3, 4: _from_4, 5: _from_5, 6: _from_6}
"""Each step, by the version it starts from.

A step makes what `ledger.tables` says now. Whoever changes that there writes down in the step what it was.
"""


def upgrade(connection: Connection) -> int:
    """Takes a ledger to this version: all of the way, or not a bit of it. Another process may try the same.

    Gives the version that it has then: another one than `VERSION` where no steps lead there.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would begin no transaction for what follows
    version = found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    while version in STEPS:
        STEPS[version](connection)
        version += 1
    if version != VERSION:
        connection.rollback()
        return found
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
    connection.commit()
    return VERSION
