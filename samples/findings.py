"""What a pass over the records of a data set found, and what a user should know of it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from samples.common_types import CommonTypes
from samples.fields import brief, field_names, plural
from samples.formats import parse_record
from samples.ids import Ids
from samples.references import fields_of_turn, has_reference, with_references
from samples.thoughts import WHAT_BECOMES, Thoughts

_REASONS, _EXAMPLES = 5, 3
"""How many reasons, and records of each, are shown of records that cannot be read."""

_MOST_FIELDS = 8
"""Fields that are named in a line."""

_MOST_REASONS = 1000
"""Different reasons that are counted apart."""

_DETAIL = re.compile(
    r" near '.*'(?=; )| near \".*\"(?=; )|, found byte 0x\w\w at file offset \d+|^turn \d+: "
)


@dataclass(slots=True)
class Findings:
    """What was found so far."""

    count: int = 0
    """How many records there are."""
    ids: Ids = field(default_factory=Ids)
    types: CommonTypes | None = None
    """The types of the fields; None if the files have types of their own."""
    thinking: int = 0
    """How many responses have thoughts."""
    first_bad: tuple[int, str] | None = None
    """The position of the first record that cannot be read, and the reason."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """How many records cannot be read, by the reason."""
    examples: dict[str, list[int]] = field(default_factory=dict)
    """The positions of the first ones of each reason."""
    is_worked_on: bool = False
    """Whether there is a record to work on."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many records before it are not worked on, by the reason."""
    without_reference: int = 0
    """How many records that are worked on have no reference."""
    unseen: list[str] = field(default_factory=list)
    """The fields named by a user that no record has."""
    no_reference: str = ""
    """What the first of them has; empty once one with a reference was found."""
    _has_reference: bool = False

    def look_for_work(self, record: dict[str, Any], format: str, thoughts: Thoughts) -> None:
        """Count a record that is not worked on, until one is."""
        skip = parse_record(record, format, thoughts).skip
        self.is_worked_on = skip is None
        if skip is not None and (skip in self.skipped or len(self.skipped) < _MOST_REASONS):
            self.skipped[skip] += 1

    def look_for_reference(self, record: dict[str, Any], format: str, field: str) -> None:
        """Count a record that is worked on and has no reference."""
        parsed = parse_record(record, format)
        if parsed.skip:
            return
        if has_reference(with_references(parsed, record, field)):
            self.no_reference, self._has_reference = "", True
            return
        self.without_reference += 1
        if not self._has_reference and not self.no_reference:
            turns = {name: None for place in parsed.responses for name in fields_of_turn(record, place)}
            of_turns = f", and its responses have {field_names(turns)}" if turns else ""
            self.no_reference = f"{field_names(record)}{of_turns}"

    def object_to(self, position: int, reason: str) -> None:
        """Count a record that cannot be read."""
        self.first_bad = self.first_bad or (position, reason)
        reason = kind_of(reason)
        if reason not in self.unreadable and len(self.unreadable) == _MOST_REASONS:
            reason = "other reasons"
        self.unreadable[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(position)

    def notices(self, thoughts: Thoughts, reference: str | None) -> Iterator[str]:
        """Yield what a user should know, but for ids that repeat."""
        if self.thinking:
            yield f"{plural(self.thinking, 'response')} with thoughts: {WHAT_BECOMES[thoughts]}"
        if self.skipped and not self.is_worked_on:
            reasons = (f"{reason} ({count:,})" for reason, count in self.skipped.most_common(_REASONS))
            yield f"no record can be worked on; all stay as they are: {', '.join(reasons)}"
        if number := self.unreadable.total():
            yield f"{number:,} of {plural(self.count, 'record')} cannot be read and stay as they are:"
            for reason, count in self.unreadable.most_common(_REASONS):
                examples = ", ".join(f"{position + 1:,}" for position in self.examples[reason])
                yield f"  {count:,}: {reason} (record {examples}{', …' * (count > _EXAMPLES)})"
            if len(self.unreadable) > _REASONS:
                yield f"  and others, for {plural(len(self.unreadable) - _REASONS, 'other reason')}"
        if self.types and (mixed := self.types.found()):
            shown = ", ".join(f"{brief(name)} ({what})" for name, what in list(mixed.items())[:_MOST_FIELDS])
            yield (
                "text in Parquet, and so on the Hub, since their values have no type in common: "
                f"{shown}{', …' * (len(mixed) > _MOST_FIELDS)}"
            )
        if self.without_reference:
            yield (
                f'records without a reference in "{reference}": {self.without_reference:,} of '
                f"{self.count:,}; they are worked on without one"
            )


def kind_of(reason: str) -> str:
    """Return a reason without what differs from record to record, for counting."""
    return _DETAIL.sub("", reason)
