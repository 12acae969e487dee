"""The runs that the pages are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ledger.ledger import Ledger

PREFIXES = ("", "/other")
"""Where the pages of the first and of the second run begin."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its ledger, and what made it, as its folder notes it down.

    Its pages begin at `prefix`. `shown` are the names of all runs that are looked at together, this one among
    them, and where their pages begin; it is empty where there is only this one.
    """

    name: str
    ledger: Ledger
    made_by: Mapping[str, Any]
    prefix: str = PREFIXES[0]
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def modes(self) -> list[str]:
        """The modes it was made with."""
        return list(self.made_by["modes"])

    @property
    def expected(self) -> int:
        """How many results there will be when it is finished: one for each record and mode."""
        return int(self.made_by["data"]["records"]) * len(self.modes)

    @property
    def lazy(self) -> bool:
        """Whether the second judgement was left out where the first decided."""
        return bool(self.made_by["settings"].get("lazy_judge"))

    @property
    def is_compared(self) -> bool:
        """Whether there is something to compare it with: another run, or another of its modes."""
        return len(self.shown) > 1 or len(self.modes) > 1

    def address(self, path: str, values: Mapping[str, object] | None = None) -> str:
        """A link to a page of this run, see `address`."""
        return address(self.prefix + path, values or {})


def address(path: str, values: Mapping[str, object]) -> str:
    """A link to a page with these values; those that are empty are left out, so that links stay short."""
    # Not by `in`, to which 0 is False: it is a number of accepted rounds.
    given = {name: value for name, value in values.items() if value not in ("", None) and value is not False}
    query = urlencode({name: 1 if value is True else value for name, value in given.items()})
    return f"{path}?{query}" if query else path
