"""Looking for a text in all that a run holds, which takes as long as there is to read: a bit at a time."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ledger.ledger import Result
from samples.sample import Sample

Hit = TypeVar("Hit")


class Search(Generic[Hit]):
    """Goes through a list for those that are wanted.

    `after` gives the next part of the list after one of it, or the first part. `place` is how many of the
    list have been looked at, counted from its beginning, and `ended` whether that is all of it.
    """

    def __init__(
        self, after: Callable[[Hit | None], list[Hit]], is_wanted: Callable[[Hit], bool], place: int = 0
    ) -> None:
        self._after = after
        self._is_wanted = is_wanted
        self._last: Hit | None = None
        self.place = place
        self.ended = False

    def look(self, most: int, patience: float = 0.0) -> list[Hit]:
        """What is found in the next part, or in as many parts as `patience` seconds are enough for.

        At most so many are looked for; the search goes on after the last of them.

        Raises:
            LedgerError: a ledger cannot be read.
        """
        found: list[Hit] = []
        until = time.monotonic() + patience
        while not self.ended:
            part = self._after(self._last)
            self.ended = not part
            for self._last in part:
                self.place += 1
                if self._is_wanted(self._last):
                    found.append(self._last)
                    if len(found) == most:
                        return found
            if time.monotonic() >= until:
                break
        return found


def texts_of(sample: Sample, result: Result) -> Iterator[str]:
    """What is searched of a result: the sample's id, its requests, its old and its new responses."""
    yield sample.id
    for exchange in sample.exchanges:
        yield from (exchange.instruction, exchange.input, exchange.response)
    for done in result.outcome:
        yield done["response"]


def mentions(texts: Iterable[str], text: str) -> bool:
    """Whether one of the texts holds this one; case does not matter."""
    wanted = text.casefold()
    return any(wanted in each.casefold() for each in texts)
