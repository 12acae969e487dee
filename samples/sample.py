"""The parts of a data set: samples, each with one or more exchanges.

A run never changes a sample's record; `samples.formats.with_responses` builds the output record from it.
"""

from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["alpaca", "sharegpt", "messages"]


class DataError(Exception):
    """The data set cannot be used. The message names the file and position, and what was expected."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    instruction: str
    """The whole request, except where an Alpaca record adds an `input`."""
    input: str
    """The second part of an Alpaca request; often empty, and always empty in other formats."""
    response: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a data set, with the parts of it that the method works on."""

    position: int  # index of the record in the file, from 0, whichever part of the file a run covers
    id: str  # the record's own id, or its position as text
    format: Format
    record: dict[str, Any]  # as read
    system: str  # the system prompt, or empty
    exchanges: tuple[Exchange, ...]  # the answered ones; an unanswered last request is only in `record`
    skip: str | None = None  # why the method cannot work on the record; None if it can
