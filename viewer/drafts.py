"""What reviewers wrote and have not saved, in a file of the run's folder, so that it outlives `coevol view`.

It is no part of the ledger: nothing but these pages reads it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from reporting.run import DRAFTS
from samples.files import file_mode

MAX_CHARS = 100_000
"""Characters of a text that can be edited in a page: each key press sends all of it to the server, which
accepts messages of up to 1 MB."""

MAX_DRAFTS = 5_000
"""Drafts that the file holds."""

_TABLE = """
CREATE TABLE IF NOT EXISTS drafts (
    reviewer TEXT, position INTEGER, mode TEXT, exchange INTEGER, text TEXT, note TEXT,
    PRIMARY KEY (reviewer, position, mode, exchange)
)
"""
_ONE = "SELECT * FROM drafts WHERE reviewer = ? AND position = ? AND mode = ? AND exchange = ?"
_OF = "SELECT * FROM drafts WHERE reviewer = ? AND position IN (SELECT value FROM json_each(?))"
_KEEP = "INSERT INTO drafts VALUES (?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM drafts WHERE reviewer = ? AND position = ? AND mode = ? AND exchange = ?"

Place = tuple[str, int, str, int]
"""Reviewer, position, mode and exchange. A further draft of a result has its own name after the mode."""


def another(place: Place) -> Place:
    """Return the place of a further draft of the same result, for one that is written in two windows."""
    position, mode = result_of(place)
    return place[0], position, f"{mode}+{token_hex(4)}", place[3]


def result_of(place: Place) -> tuple[int, str]:
    """Return the position and the mode of the result that a draft is about."""
    return place[1], place[2].partition("+")[0]


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written about the result of an exchange and is not saved."""

    text: str | None
    """The response as edited; None if it is not."""
    note: str

    @property
    def tag(self) -> str:
        """How pages mark where it is, as HTML."""
        return f' <span class="tag user">{"note" if self.text is None else "draft"} not saved</span>'


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts of a run."""

    folder: Path
    unwritten: dict[Place, Draft] = field(default_factory=dict)
    """Those that could not be written, which end with `coevol view`."""

    def get(self, place: Place) -> Draft | None:
        """Return the draft at a place."""
        return self.unwritten.get(place) or next(iter(self._read(_ONE, place).values()), None)

    def of(self, reviewer: str, positions: Iterable[int]) -> dict[Place, Draft]:
        """Return a reviewer's drafts at some positions."""
        wanted = [*positions]
        unwritten = {
            place: each
            for place, each in self.unwritten.items()
            if place[0] == reviewer and place[1] in wanted
        }
        return self._read(_OF, (reviewer, json.dumps(wanted))) | unwritten

    def others(self, place: Place) -> dict[Place, Draft]:
        """Return the other drafts of the same reviewer about the same result of an exchange."""
        found = self.of(place[0], [place[1]])
        about = result_of(place), place[3]
        return {at: found[at] for at in found if at != place and (result_of(at), at[3]) == about}

    def keep(self, place: Place, draft: Draft) -> bool:
        """Keep a draft; return whether it outlives `coevol view`: not if it is too long, or the file is full
        or cannot be written."""
        self.unwritten[place] = draft
        # As JSON, since what is typed may be no whole characters.
        texts = (draft.text if draft.text is None else json.dumps(draft.text), json.dumps(draft.note))
        if sum(map(len, filter(None, (draft.text, draft.note)))) > 2 * MAX_CHARS:
            return False
        try:
            path = self.folder / DRAFTS
            path.touch(file_mode(self.folder))
            with _opened(path) as file:
                file.execute(_TABLE)
                file.execute(_DROP, place)
                if file.execute("SELECT count(*) FROM drafts").fetchone()[0] >= MAX_DRAFTS:
                    return False
                file.execute(_KEEP, (*place, *texts))
        except (OSError, sqlite3.Error):
            return False
        del self.unwritten[place]
        return True

    def drop(self, place: Place) -> Draft | None:
        """Remove a draft and return it."""
        draft = self.get(place)
        self.unwritten.pop(place, None)
        if draft:
            with suppress(OSError, sqlite3.Error), _opened(self.folder / DRAFTS) as file:
                file.execute(_DROP, place)
        return draft

    def _read(self, query: str, values: Sequence[object]) -> dict[Place, Draft]:
        path = self.folder / DRAFTS
        try:
            if not path.exists():
                return {}
            with _opened(path) as file:
                return {
                    (row[0], row[1], row[2], row[3]): Draft(_text(row[4]), _text(row[5]) or "")
                    for row in file.execute(query, values)
                }
        except (OSError, sqlite3.Error, TypeError, ValueError, RecursionError):
            return {}  # it is no file of ours


def _text(stored: str | None) -> str | None:
    return None if stored is None else str(json.loads(stored))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=1.0)) as file, file:
        # What is typed is written often; only a loss of power could damage the file.
        file.execute("PRAGMA synchronous = OFF")
        yield file
