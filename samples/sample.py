"""What a data set is made of: samples, each of one or more exchanges.

A sample is a record as it was read, and beside it what the method needs of it. The record itself is
never changed: what comes out of a run is made from it by `samples.formats.with_responses`.
"""

from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["alpaca", "sharegpt", "messages"]


class DataError(Exception):
    """The data set cannot be used. The message names file, place and what was expected."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response.

    The request of an Alpaca record has two parts, `instruction` and (often empty) `input`. Every
    other request is an `instruction` alone.
    """

    instruction: str
    input: str
    response: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a data set.

    `position` counts the records of the file from 0 and stays the same whatever part of it is
    worked on; `id` is the record's own, or its position as text where it has none. `system` is the
    record's system prompt or empty. `skip` says why the method cannot work on the record; it is
    None where it can. `exchanges` holds the answered ones only: a last request without an answer is
    left in the record.
    """

    position: int
    id: str
    format: Format
    record: dict[str, Any]
    system: str
    exchanges: tuple[Exchange, ...]
    skip: str | None = None
