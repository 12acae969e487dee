"""Finds the samples in whose recorded texts a text may occur, by reading all of them in SQLite.

SQLite compares a gigabyte of texts in a second or two, a hundred times faster than they are read into
results. Texts of the debate are among them, so each sample found is looked at again (`ledger.browse.search`).
An index of trigrams would be as large as the texts, and its writing would cost every run.
"""

import threading
import time
from typing import Any
from unicodedata import category

from sqlalchemy import Connection, text

from ledger.ledger import Ledger
from ledger.search import folded
from samples.json_values import to_json

COMMON = 10_000
"""Samples from which on a text is common: reading results in order finds it fast, so the scan ends."""

CHUNK = 20_000
"""Rows of each table that are read at a time."""

MAX_PATTERN = 1000
"""Characters that are compared; SQLite refuses very long patterns."""


class TextScan:
    """A scan for a text that continues where it was, also with what a run in progress adds.

    ASCII letters match in both cases, and letters without cases (Chinese, Arabic) as they are; a text with
    others is compared as `folded`, which takes three times as long.
    """

    def __init__(self, ledger: Ledger, wanted: str) -> None:
        self._ledger = ledger
        self._wanted = wanted.partition("\0")[0][:MAX_PATTERN]
        self._texts = self._results = 0
        """The last row read of each table."""
        self._lock = threading.Lock()
        self.ids: set[str] = set()
        """Ids of samples that may have the text."""
        self.share = 0.0
        """How much has been read, from 0 to 1."""

    @property
    def is_common(self) -> bool:
        """Whether so many samples have the text that the scan was given up."""
        return len(self.ids) >= COMMON

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to read at the moment."""
        return self.is_common or self.share == 1.0

    def advance(self, patience: float) -> None:
        """Read on for so many seconds, at least one chunk.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        until = time.monotonic() + patience
        with self._lock, self._ledger.reading() as connection:
            texts, results = connection.execute(text(_ENDS)).one()
            compared, values = self._comparison(connection)
            if not self._results:
                self.ids.update(row[0] for row in connection.execute(text(_SAME_ID), {"id": self._wanted}))
            while not self.is_common:
                self.ids.update(self._chunk(connection, compared, values))
                self._texts = min(self._texts + CHUNK, texts)
                self._results = min(self._results + CHUNK, results)
                rows = texts + results
                self.share = (self._texts + self._results) / rows if rows else 1.0
                if self.share == 1.0 or time.monotonic() >= until:
                    break

    def _chunk(self, connection: Connection, compared: str, values: dict[str, str]) -> set[str]:
        bounds = {"texts": self._texts, "results": self._results, "size": CHUNK, "common": COMMON}
        conditions = {
            name: compared.format(column=column, value=value) for name, (column, value) in _COMPARED.items()
        }
        return {row[0] for row in connection.execute(text(_CHUNK.format(**conditions)), {**bounds, **values})}

    def _comparison(self, connection: Connection) -> tuple[str, dict[str, str]]:
        """Return the comparison in SQL, and its values: the text, and as it stands in JSON."""
        forms = {"plain": self._wanted, "json": to_json(self._wanted)[1:-1]}
        if all(each.isascii() or category(each) == "Lo" for each in self._wanted):
            return _LIKE, {name: f"%{_escaped(form)}%" for name, form in forms.items()}
        driver: Any = connection.connection.driver_connection
        # `a REGEXP b` calls regexp(b, a).
        driver.create_function("regexp", 2, lambda wanted, found: wanted in folded(found), deterministic=True)
        return "{column} REGEXP {value}", {name: folded(form) for name, form in forms.items()}


_ENDS = "SELECT coalesce((SELECT max(id) FROM texts), 0), coalesce((SELECT max(rowid) FROM results), 0)"

_SAME_ID = "SELECT id FROM samples WHERE id = :id"

_LIKE = "{column} LIKE {value} ESCAPE '|'"

_COMPARED = {
    "text": ("text", ":plain"),
    "id": ("s.id", ":plain"),
    "record": ("s.record", ":json"),
    "outcome": ("r.outcome", ":json"),
}

# The texts of prompts belong to no sample. Short texts are within the records and outcomes.
_CHUNK = """
    SELECT * FROM (
        SELECT sample FROM texts
        WHERE id > :texts AND id <= :texts + :size AND {text} AND sample IS NOT NULL
        UNION
        SELECT s.id FROM results r JOIN samples s USING (position)
        WHERE r.rowid > :results AND r.rowid <= :results + :size AND ({id} OR {record} OR {outcome})
    ) LIMIT :common
"""


def _escaped(pattern: str) -> str:
    return "".join(f"|{each}" if each in "|%_" else each for each in pattern)
