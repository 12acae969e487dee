"""The two sides of a comparison, A and B, each a mode of a run, as the address names them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ledger.search import Search
from reporting.common_samples import CommonNumbers, common_numbers
from reporting.comparison import ComparedSample, Comparison, mode_results
from reporting.result_pairs import PAIR_FILTERS, PAIR_SORT_KEYS, ModeResults, PairFilter, PairSortKey
from reporting.snapshot import state
from samples.sample import Sample
from viewer.background_refresh import BackgroundRefresh
from viewer.frame import COMPARE
from viewer.run import MAX_TEXT, RunPages, address, number_in, sample_path

CACHED = 4
"""Comparisons in memory: users switch between a few, and one of a million samples takes 100 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A mode of a run."""

    key: str
    """Its name in addresses."""
    run: RunPages
    mode: str

    @property
    def name(self) -> str:
        """Its name on pages."""
        return f"{self.run.name} · {self.mode}" if self.run.shown else self.mode

    def results(self) -> ModeResults:
        """Return its results in the ledger."""
        return mode_results(self.run, self.mode)


class Sides:
    """All sides that can be compared."""

    def __init__(self, runs: Sequence[RunPages]) -> None:
        self.all = {
            f"{number}-{mode}": Side(f"{number}-{mode}", run, mode)
            for number, run in enumerate(runs, 1)
            for mode in run.modes
        }
        self.base = runs[0].base
        """Where the pages of these runs begin."""
        self._first, self._second = _defaults(runs)
        self._compared = lru_cache(CACHED)(_compared)
        self._numbers = lru_cache(CACHED)(_numbers)

    def chosen(self, query: Any) -> tuple[Side, Side]:
        """Return the two sides that an address names, or else the default ones."""
        a, b = (self.all.get(query.get(name, "")) for name in ("a", "b"))
        return a or self.all[self._first], b or self.all[self._second]

    def compared(self, a: Side, b: Side) -> BackgroundRefresh[Comparison]:
        """Return the comparison of these two."""
        return self._compared(a, b)

    def numbers(self, a: Side, b: Side) -> BackgroundRefresh[CommonNumbers | None]:
        """Return the numbers of these two over the samples of their comparison; None before there is one."""
        return self._numbers(a, b, self._compared(a, b))


def _defaults(runs: Sequence[RunPages]) -> tuple[str, str]:
    if len(runs) == 1:
        return f"1-{runs[0].modes[0]}", f"1-{runs[0].modes[-1]}"
    one, other = (run.modes for run in runs)
    same = next((mode for mode in reversed(one) if mode in other), None)
    return f"1-{same or one[-1]}", f"2-{same or other[-1]}"


def _compared(a: Side, b: Side) -> BackgroundRefresh[Comparison]:
    return BackgroundRefresh(
        lambda: (state(a.run.ledger), state(b.run.ledger)), lambda: Comparison(a.results(), b.results())
    )


def _numbers(
    a: Side, b: Side, compared: BackgroundRefresh[Comparison]
) -> BackgroundRefresh[CommonNumbers | None]:
    def count() -> CommonNumbers | None:
        found = compared.current
        return common_numbers((a.run, a.mode), (b.run, b.mode), found) if found else None

    return BackgroundRefresh(lambda: compared.current, count)


@dataclass(frozen=True, slots=True)
class ComparisonQuery:
    """What an address of the comparison pages asks for."""

    a: Side
    b: Side
    kind: PairFilter = "differ"
    order: PairSortKey = "position"
    down: bool = False
    begin: int = 0
    text: str = ""

    @classmethod
    def read(cls, sides: Sides, query: Any) -> "ComparisonQuery":
        """Read an address; invalid values count as not given."""
        kind, order = query.get("kind"), query.get("order")
        return cls(
            *sides.chosen(query),
            kind=kind if kind in PAIR_FILTERS else "differ",
            order=order if order in PAIR_SORT_KEYS else "position",
            down="down" in query,
            begin=number_in(query.get("begin", "")) or 0,
            text=query.get("text", "").strip()[:MAX_TEXT],
        )

    @property
    def names(self) -> str:
        """What it compares, for the titles of pages."""
        return f"{self.a.name} and {self.b.name}"

    def link(self, page: str = "/samples", /, **changes: object) -> str:
        """Return the address of a page with changed values, from the table's first row."""
        values = {
            "a": self.a.key,
            "b": self.b.key,
            "kind": "" if self.kind == "differ" else self.kind,
            "order": "" if self.order == "position" else self.order,
            "down": self.down,
            "text": self.text,
        }
        return address(self.a.run.base + COMPARE + page, values | changes)

    def pair_link(self, sample: Sample, **more: object) -> str:
        """Return the address of a pair, by its sample in A, with a way back here."""
        path, named = sample_path(sample)
        return self.link(path, **named, begin=self.begin or None, **more)

    def search(
        self, compared: Comparison, *, begin: int = 0, position: int | None = None, back: bool = False
    ) -> Search[ComparedSample]:
        """Search for the text: from a position in the table, or from a pair, also backwards."""
        runs = {side.run.prefix: side.run for side in (self.a, self.b)}.values()
        return compared.search(
            self.kind,
            self.order,
            self.text,
            [run.scan(self.text) for run in runs],
            down=self.down is not back,
            begin=begin,
            position=position,
        )
