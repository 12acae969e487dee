"""The run that the pages are about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its ledger, and what made it, as its folder notes it down."""

    name: str
    ledger: Ledger
    made_by: Mapping[str, Any]

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
