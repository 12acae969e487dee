"""What an address of the table of samples asks for: filters, order, columns and the first row."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ledger import browse
from ledger.browse import Filter, ResultRow, SortKey
from ledger.decisions import FILTERS, reviewer_name
from ledger.ledger import BATCH
from ledger.search import Search
from reporting.labels import ENDINGS, JUDGING
from samples.sample import Sample
from viewer.results_table import COLUMNS, SHOWN, Column
from viewer.run import MAX_TEXT, RunPages, number_in, sample_path

_LENGTH = re.compile(r"[0-9]{1,9}-[0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class SamplesQuery:
    """What an address of the table asks for."""

    run: RunPages
    wanted: Filter
    order: SortKey = "position"
    down: bool = False
    begin: int = 0
    columns: tuple[str, ...] = SHOWN

    @classmethod
    def read(cls, run: RunPages, query: Any) -> "SamplesQuery":
        """Read an address; invalid values count as not given."""
        order = query.get("order")
        decided = query.get("decided")
        lengths = {name: query.get(name, "") for name in ("old_length", "new_length")}
        return cls(
            run,
            Filter(
                mode=query.get("mode", ""),
                status=query.get("status", ""),
                reason=query.get("reason", ""),
                accepted=number_in(query.get("accepted", "")),
                changed="changed" in query,
                contradict="contradict" in query,
                grew="grew" in query,
                decided=decided if decided in FILTERS else "",
                reviewer=reviewer_name(query.get("reviewer", "")),
                ending=query.get("ending", "") if query.get("ending") in ENDINGS else "",
                orders=query.get("orders", "") if query.get("orders") in JUDGING else "",
                **{name: given for name, given in lengths.items() if _LENGTH.fullmatch(given)},
                text=query.get("text", "").strip()[:MAX_TEXT],
            ),
            order=order if order in browse.SORT_KEYS else "position",
            down="down" in query,
            begin=number_in(query.get("begin", "")) or 0,
            columns=tuple(filter(COLUMNS.get, query.get("columns", ",".join(shown_columns(run))).split(","))),
        )

    def ignored(self, query: Mapping[str, str]) -> list[str]:
        """Return what its address asks for in vain: no filter has that name, or cannot have that value."""
        values = {**self.values(), "order": self.order}
        chosen = ("accepted", "decided", "ending", "orders", "old_length", "new_length")
        without = [name for name in chosen if query.get(name) and values[name] in ("", None)]
        without += ["order"] if query.get("order", self.order) != self.order else []
        return [f"{name}={value}" for name, value in query.items() if name in without or name not in values]

    def values(self) -> dict[str, object]:
        """Return the values of the address."""
        order = "" if self.order == "position" else self.order
        columns = "" if self.columns == shown_columns(self.run) else ",".join(self.columns) or "id"
        where = {"order": order, "down": self.down, "begin": self.begin or None, "columns": columns}
        return {**asdict(self.wanted), **where}

    def changed(self, **changes: Any) -> "SamplesQuery":
        """Return what the address asks for with changed values."""
        values = {**self.values(), **changes}
        given = {name: str(value) for name, value in values.items() if value not in ("", None, False)}
        return SamplesQuery.read(self.run, given)

    def link(self, **changes: Any) -> str:
        """Return the address of the table with changed values, from its first row."""
        return self.run.address("/samples", {**self.values(), "begin": None, **changes})

    def search(self, **where: Any) -> Search[ResultRow]:
        """Search what the address asks for."""
        scan = self.run.scan(self.wanted.text) if self.wanted.text else None
        where = {"down": self.down, **where}
        return browse.search(self.run.ledger, self.wanted, self.order, scan=scan, **where)

    def results(self) -> Iterator[ResultRow]:
        """Yield all results that the filters select, in the order of the table."""
        search = self.search()
        while not search.ended:
            yield from search.find(BATCH, 1.0)

    def sorted_by(self, column: Column) -> tuple[str, str]:
        """Return where the header of a column leads, and how the table is sorted by it."""
        if column.order != self.order:
            return self.link(order=column.order, down=column.order != "position"), ""
        return self.link(down=not self.down), "descending" if self.down else "ascending"

    def sample_link(self, sample: Sample, mode: str, **more: object) -> str:
        """Return the address of a sample, with a way back here."""
        path, named = sample_path(sample)
        return self.run.address(path, {**named, "of": mode, **self.values(), **more})


def shown_columns(run: RunPages) -> tuple[str, ...]:
    """Return the columns that are shown unless others are chosen: none that says the same of all samples."""
    left_out = {"mode"} if len(run.modes) == 1 else set()
    if not browse.has_conversations(run.ledger):
        left_out.add("exchanges")
    return tuple(name for name in SHOWN if name not in left_out)
