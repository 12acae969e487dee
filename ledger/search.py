"""Text search over the results of a run, a part at a time, since it reads every text."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ledger.ledger import Result
from samples.sample import Sample

Hit = TypeVar("Hit")


class Search(Generic[Hit]):
    """A search through a list that is read in parts.

    Args:
        after: returns the part after an element, or the first part.
        is_wanted: whether an element is a hit.
        position: the position of the first element in the list.
    """

    def __init__(
        self, after: Callable[[Hit | None], list[Hit]], is_wanted: Callable[[Hit], bool], position: int = 0
    ) -> None:
        self._after = after
        self._is_wanted = is_wanted
        self._last: Hit | None = None
        self.position = position
        """The position after the last element searched."""
        self.ended = False
        """Whether the whole list has been searched."""

    def find(self, limit: int, patience: float = 0.0) -> list[Hit]:
        """Return the hits in the next part, or in as many parts as `patience` seconds suffice for.

        The search stops after `limit` hits; the next call continues from there.

        Raises:
            LedgerError: a ledger cannot be read.
        """
        found: list[Hit] = []
        until = time.monotonic() + patience
        while not self.ended:
            part = self._after(self._last)
            self.ended = not part
            for self._last in part:
                self.position += 1
                if self._is_wanted(self._last):
                    found.append(self._last)
                    if len(found) == limit:
                        return found
            if time.monotonic() >= until:
                break
        return found

    def early(self, limit: int) -> list[Hit]:
        """Return hits that are known before `find` can return any in order; not those of a search that reads
        in order anyway."""
        return []


def searched_texts(sample: Sample, result: Result) -> Iterator[str]:
    """Yield the texts of a result that are searched: its sample's id, requests, old and new responses."""
    yield sample.id
    for exchange in sample.exchanges:
        yield from (exchange.instruction, exchange.input, exchange.response)
    for done in result.outcome:
        yield done["response"]


def contains(texts: Iterable[str], text: str) -> bool:
    """Whether one of the texts contains this one, ignoring case and how words are set apart."""
    wanted = folded(text)
    return any(wanted in folded(each) for each in texts)


def folded(text: str) -> str:
    """Return a text in the form in which texts are compared: without case, any white space as one space."""
    return " ".join(text.casefold().split())


def occurrences(wanted: str) -> re.Pattern[str]:
    """Return a pattern of a text as `contains` finds it; letters that `folded` changes in number are not
    found."""
    return re.compile(r"\s+".join(map(re.escape, wanted.split())), re.IGNORECASE)
