"""Finds the samples in whose recorded texts a text may occur, by reading all of them in SQLite, and searches
only these.

SQLite compares a gigabyte of texts in a second or two, a hundred times faster than they are read into
results. Texts of the debate are among them, so each sample found is looked at again (`ledger.browse.search`).
An index of trigrams would be as large as the texts, and its writing would cost every run.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from unicodedata import category

from sqlalchemy import Connection, text

from ledger.ledger import Ledger
from ledger.search import Hit, Search
from samples.json_values import to_json

COMMON = 10_000
"""Samples from which on a text is common: reading results in order finds it fast, so the scan ends."""

CHUNK = 20_000
"""Rows of each table that are read at a time."""

SLICE = 0.2
"""Seconds that a scan reads on before it says how far it is."""

MAX_PATTERN = 1000
"""Characters that are compared; SQLite refuses very long patterns."""


class TextScan:
    """A scan for a text that continues where it was, also with what a run in progress adds.

    It is compared as by `ledger.search.contains`. SQLite compares ASCII letters and letters without cases
    (Chinese, Arabic); texts with others are compared in Python, which takes three times as long.
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
            name: compared.format(column=column, form=form) for name, (column, form) in _COMPARED.items()
        }
        return {row[0] for row in connection.execute(text(_CHUNK.format(**conditions)), {**bounds, **values})}

    def _comparison(self, connection: Connection) -> tuple[str, dict[str, str]]:
        """Return the comparison in SQL, and its values: the text, and as it stands in JSON."""
        words = self._wanted.split()
        forms = {"plain": words, "json": [to_json(word)[1:-1] for word in words]}
        compared: list[str] = []
        values: dict[str, str] = {}
        is_simple = all(each.isascii() or category(each) == "Lo" for each in "".join(words))
        if is_simple:
            compared.append("{column} LIKE :{form} ESCAPE '|'")
            values |= {name: f"%{'%'.join(map(_escaped, form))}%" for name, form in forms.items()}
        if len(words) > 1 or not is_simple:
            compared.append("{column} REGEXP :{form}_pattern")
            for name, form in forms.items():
                values[f"{name}_pattern"] = _GAPS[name].join(re.escape(word.casefold()) for word in form)
            driver: Any = connection.connection.driver_connection
            # `a REGEXP b` calls regexp(b, a).
            driver.create_function("regexp", 2, _matches, deterministic=True)
        return " AND ".join(compared), values


class ScannedSearch(Search[Hit]):
    """A search that reads results in order until scans have found the samples that are left to read.

    Args:
        scans: the scans, one for each ledger that is searched.
        after: returns the part after a result, or the first part, of all samples or of those with these ids.
        among: returns the hits among the samples with these ids.
        is_wanted: whether a result is a hit.
        position_after: returns the position after a result, or after the last one.
        position: the position of the first result.
    """

    def __init__(
        self,
        scans: Sequence[TextScan],
        after: Callable[[Hit | None, frozenset[str] | None], list[Hit]],
        among: Callable[[frozenset[str]], list[Hit]],
        is_wanted: Callable[[Hit], bool],
        position_after: Callable[[Hit | None], int],
        position: int,
    ) -> None:
        self._scans = scans
        self._ids: frozenset[str] | None = None
        self._position_after = position_after
        self._among = among
        self._looked_at: set[str] = set()
        self._early: list[Hit] = []
        super().__init__(lambda last: after(last, self._ids), is_wanted, position)

    def find(self, limit: int, patience: float = 0.0) -> list[Hit]:
        """Return the hits in the next part, as `Search` does; none while the scans go on."""
        left = [scan for scan in self._scans if not scan.ended and not self._is_common]
        for scan in left:
            scan.advance(patience / 2 / len(left) or SLICE)
        ended = self._is_common or all(scan.ended for scan in self._scans)
        if self._ids is None and ended and not self._is_common:
            self._ids = self._found()
        if not ended and not patience:
            return []
        found = super().find(limit, patience / 2)
        if self._ids is not None and (self.ended or found):
            self.position = self._position_after(None if self.ended else found[-1])
        return found

    def early(self, limit: int) -> list[Hit]:
        """Return hits among what the scans have found so far, which need not be the first in order."""
        new = frozenset(islice(self._found() - self._looked_at, limit))
        if new and len(self._early) < limit:
            self._looked_at.update(new)
            self._early += self._among(new)
        return self._early[:limit]

    @property
    def _is_common(self) -> bool:
        return any(scan.is_common for scan in self._scans)

    def _found(self) -> frozenset[str]:
        # A copy of each: another page may be advancing the same scan.
        return frozenset[str]().union(*(frozenset(scan.ids) for scan in self._scans))


_ENDS = "SELECT coalesce((SELECT max(id) FROM texts), 0), coalesce((SELECT max(rowid) FROM results), 0)"

_SAME_ID = "SELECT id FROM samples WHERE id = :id"

_COMPARED = {
    "text": ("text", "plain"),
    "id": ("s.id", "plain"),
    "record": ("s.record", "json"),
    "outcome": ("r.outcome", "json"),
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

_GAPS = {"plain": r"\s+", "json": r"(?:\s|\\[nrtf]|\\u00..)+"}
"""White space between words, and as it stands in JSON."""


def _matches(pattern: str, found: str) -> bool:
    return re.search(pattern, found.casefold()) is not None


def _escaped(pattern: str) -> str:
    return "".join(f"|{each}" if each in "|%_" else each for each in pattern)
