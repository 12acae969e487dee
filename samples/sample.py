"""The parts of a data set: samples, each with one or more exchanges.

A run never changes a sample's record; `samples.formats.with_responses` builds the output record from it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Format = Literal["alpaca", "sharegpt", "messages"]
"""The formats that the graphs take and exports write. Data may have others, see `samples.layouts`."""


class DataError(Exception):
    """The data set cannot be used. The message names the file and position, and what was expected."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    instruction: str
    """The whole request, except where an Alpaca record adds an `input`."""
    input: str
    """The second part of an Alpaca request; often empty, and always empty in conversations."""
    response: str
    fixed: bool = False
    """Whether the response stays as it is: later exchanges see it, and no agent works on it."""
    thoughts: str = ""
    """The thoughts of the response, which are not in it; see `samples.thoughts`."""
    references: tuple[str, ...] = field(default=(), repr=False)
    """Answers to the request that are known to be right."""

    @property
    def whole_request(self) -> str:
        """The request with its `input`."""
        # LLaMA-Factory joins the two parts of an Alpaca request in the same way.
        return "\n".join(filter(None, (self.instruction, self.input)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a data set, with the parts of it that the method works on."""

    position: int  # index of the record in the data, from 0, whichever part of it a run covers
    id: str  # the record's own id, or its position as text
    format: Format
    record: dict[str, Any]  # as the graphs take it, in `format`; as read unless `source` is given
    system: str  # the system prompt, or empty
    exchanges: tuple[Exchange, ...]  # the answered ones; an unanswered last request is only in `record`
    skip: str | None = None  # why the method cannot work on the record; None if it can
    source: dict[str, Any] | None = None  # the record as read, if the graphs cannot take it like that
    source_format: str | None = None  # of `source`

    @property
    def read(self) -> dict[str, Any]:
        """The record as it was read."""
        return self.record if self.source is None else self.source

    @property
    def read_as(self) -> str:
        """The format in which the record was read."""
        return self.source_format or self.format
