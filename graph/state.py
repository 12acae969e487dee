"""The state that travels through the graphs; plain JSON types throughout.

What each agent reads of it stands with the agent, in `nodes/`; here is the whole, what goes in and what
comes out. The types come from typing_extensions because Pydantic, which makes their schemas for Studio, takes
those of `typing` only from Python 3.12 on.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from nodes.advisor import AdvisorView
from nodes.debater import Opened
from nodes.decision import Ending, Round
from nodes.judge import Judgement


class AlpacaRecord(TypedDict, total=False):
    """What a person gives the exchange graph: an Alpaca record."""

    id: str
    instruction: str
    input: str
    output: str
    system: str
    exchange: int


class Failure(TypedDict):
    """Why an exchange could not be worked on: at which call, and what went wrong."""

    step: str
    round: int
    reason: str
    message: str


class ExchangeResult(TypedDict):
    """What came of one exchange.

    `response` is the result: the last accepted draft, or the original where none was. A failed exchange
    keeps the original and says why in `failure`.
    """

    exchange: int
    original: str
    response: str
    ending: Ending | Literal["failed"]
    accepted_rounds: int
    rounds: list[Round]
    failure: NotRequired[Failure]


class ExchangeState(Opened, AdvisorView):
    """The state of the exchange graph."""

    output: str
    original: str
    suggestions: str
    draft: str
    forward: Judgement
    reversed: Judgement | None
    rounds: list[Round]
    ending: Ending
    accepted_rounds: int


class ConversationRecord(TypedDict, total=False):
    """What a person gives the conversation graph: a ShareGPT record, or OpenAI-style messages."""

    id: str
    system: str
    conversations: list[dict[str, Any]]
    messages: list[dict[str, Any]]


class Turn(TypedDict):
    """A request and its response, in the course of a conversation."""

    request: str
    response: str


class ConversationState(ConversationRecord):
    """The state of the conversation graph: the exchanges so far evolved, and the one that comes next."""

    turns: list[Turn]
    exchange: int
    results: list[ExchangeResult]


class ConversationResult(TypedDict):
    """What comes out of the conversation graph: a result for each exchange that was worked on."""

    id: str
    results: list[ExchangeResult]
