"""The order and the sides in which a person sees comparisons, so that nothing tells which arm is which."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

Comparison = tuple[str, int, str, str]
"""Sample, exchange, arm and rival."""


class Shown(NamedTuple):
    """A comparison as a person sees it."""

    sample: str
    exchange: int
    left: str
    """An arm, as is `right`."""
    right: str

    @property
    def arms(self) -> frozenset[str]:
        """The two arms, whatever their sides."""
        return frozenset((self.left, self.right))


def shuffled(comparisons: Iterable[Comparison], person: str, seed: int) -> list[Shown]:
    """Return comparisons in the order and with the sides of a person: the same each time, in any order given.

    Both follow from a hash. Another person has another order, so that several cover more in the same time,
    and other sides.
    """
    hashed = sorted((_hash(seed, person, *each), each) for each in comparisons)
    return [
        Shown(sample, exchange, *((arm, rival) if digest[-1] % 2 else (rival, arm)))
        for digest, (sample, exchange, arm, rival) in hashed
    ]


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
