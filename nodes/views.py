"""What agents see and say, for those who read it without running a graph."""

from typing import NotRequired

from typing_extensions import TypedDict


class RequestView(TypedDict):
    """The part of the state that every agent sees: the request, and where in the run it is."""

    id: str
    exchange: int
    round: int
    system: str
    """Empty where the record has none."""
    instruction: str
    input: str
    """Empty where the record has none."""


class ResponseView(RequestView):
    """The request and the current response."""

    response: str


class Judgment(TypedDict):
    """What the judge said, and the points it gave to response 1 and response 2."""

    reply: str
    """Of a judge that was asked again, the last reply."""
    points: list[float] | None
    """None where the reply could not be read."""
    panel: NotRequired[dict[str, "Judgment"]]
    """Of a panel: the judgment of each judge by its model. Then `reply` is empty, and `points` the average of
    those that could be read."""
