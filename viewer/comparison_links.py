"""What is compared: two sides, A and B, each a mode of a run. Which they are stands in the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ledger.search import Search
from reporting import comparison
from reporting.comparison import KINDS, ORDERS, Comparison, Found, Kind, Order
from reporting.snapshot import state
from viewer.background_refresh import Aside
from viewer.frame import COMPARE
from viewer.run import Run, address

REMEMBERED = 4
"""How many comparisons are kept: a person goes back and forth between a few, and one of a million samples
takes 100 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A mode of a run. `key` stands for it in addresses."""

    key: str
    run: Run
    mode: str

    @property
    def name(self) -> str:
        """What it is called on pages."""
        return f"{self.run.name} · {self.mode}" if self.run.shown else self.mode

    def results(self) -> comparison.Side:
        """Its results in the ledger."""
        return comparison.Side(self.run.ledger, self.mode, self.run.made_by["data"]["sha256"])


class Sides:
    """All that can be compared."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.all = {
            f"{number}-{mode}": Side(f"{number}-{mode}", run, mode)
            for number, run in enumerate(runs, 1)
            for mode in run.modes
        }
        self._first, self._second = _defaults(runs)
        self._compared = lru_cache(REMEMBERED)(_compared)

    def chosen(self, query: Any) -> tuple[Side, Side]:
        """The two that an address names; where it names none, those that a person most likely means."""
        a, b = (self.all.get(query.get(name, "")) for name in ("a", "b"))
        return a or self.all[self._first], b or self.all[self._second]

    def compared(self, a: Side, b: Side) -> Aside[Comparison]:
        """What compares these two."""
        return self._compared(a, b)


def _defaults(runs: Sequence[Run]) -> tuple[str, str]:
    if len(runs) == 1:
        return f"1-{runs[0].modes[0]}", f"1-{runs[0].modes[-1]}"
    one, other = (run.modes for run in runs)
    same = next((mode for mode in reversed(one) if mode in other), None)
    return f"1-{same or one[-1]}", f"2-{same or other[-1]}"


def _compared(a: Side, b: Side) -> Aside[Comparison]:
    return Aside(
        lambda: (state(a.run.ledger), state(b.run.ledger)), lambda: Comparison(a.results(), b.results())
    )


@dataclass(frozen=True, slots=True)
class View:
    """What an address of the pages of comparison asks for."""

    a: Side
    b: Side
    kind: Kind = "differ"
    order: Order = "position"
    down: bool = False
    begin: int = 0
    text: str = ""

    @classmethod
    def read(cls, sides: Sides, query: Any) -> "View":
        """What is in an address; values that make no sense count as not given."""
        kind, order, begin = query.get("kind"), query.get("order"), query.get("begin", "")
        return cls(
            *sides.chosen(query),
            kind=kind if kind in KINDS else "differ",
            order=order if order in ORDERS else "position",
            down="down" in query,
            begin=int(begin) if begin.isdecimal() else 0,
            text=query.get("text", ""),
        )

    def link(self, page: str = "/samples", /, **changes: object) -> str:
        """The address of one of the pages with some of this changed, from the table's beginning on."""
        values = {
            "a": self.a.key,
            "b": self.b.key,
            "kind": "" if self.kind == "differ" else self.kind,
            "order": "" if self.order == "position" else self.order,
            "down": self.down,
            "text": self.text,
        }
        return address(COMPARE + page, values | changes)

    def pair_link(self, position: int, **more: object) -> str:
        """The address of a pair that was reached from here."""
        return self.link(f"/sample/{position}", begin=self.begin or None, **more)

    def search(
        self, compared: Comparison, *, begin: int = 0, position: int | None = None, back: bool = False
    ) -> Search[Found]:
        """The search for the text: from a place in the table on, or from a pair on, also backwards."""
        return compared.search(
            self.a.results(),
            self.b.results(),
            self.kind,
            self.order,
            self.text,
            down=self.down is not back,
            begin=begin,
            position=position,
        )
