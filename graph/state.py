"""The state that travels through the graphs; plain JSON types throughout.

What each agent reads of it is declared with the agent, in `nodes/`; here is the whole, its input and its
output. The types come from typing_extensions because Pydantic, which makes their schemas for Studio, accepts
those of `typing` only from Python 3.12.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from nodes.advisor import AdvisorView
from nodes.debater import OpeningsView
from nodes.decision import Ending, Round
from nodes.judge import Judgment


class AlpacaRecord(TypedDict, total=False):
    """The input of the exchange graph: an Alpaca record."""

    id: str
    instruction: str
    input: str
    output: str
    system: str
    exchange: int
    references: list[str]
    """Answers known to be right, of which one is enough: shown to the judge, and what `check` compares."""


class Agreement(TypedDict):
    """Whether the responses of an exchange pass the check (`nodes.checks`); None where it had no result."""

    original: bool | None
    final: bool | None


class ExchangeFailure(TypedDict):
    """Why an exchange failed."""

    step: str
    round: int
    reason: str
    """The key of the failure's kind."""
    message: str


class ExchangeResult(TypedDict):
    """The outcome of one exchange."""

    exchange: int
    original: str
    response: str
    """The last accepted draft; the original where none was accepted or the exchange failed."""
    ending: Ending | Literal["failed"]
    accepted_rounds: int
    rounds: list[Round]
    failure: NotRequired[ExchangeFailure]
    reference: NotRequired[str]
    """What the judge was shown."""
    agrees: NotRequired[Agreement]
    """Where there was something to check by."""


class ExchangeState(OpeningsView, AdvisorView):
    """The state of the exchange graph."""

    output: str
    original: str
    suggestions: str
    draft: str
    references: NotRequired[list[str]]
    reference: NotRequired[str]
    agrees: NotRequired[Agreement]
    forward: Judgment
    reversed: Judgment | None
    rounds: list[Round]
    ending: Ending
    accepted_rounds: int


class ConversationRecord(TypedDict, total=False):
    """The input of the conversation graph: a ShareGPT record, or OpenAI-style messages."""

    id: str
    system: str
    conversations: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    references: list[list[str]]
    """Those of each answered exchange, see `AlpacaRecord`."""


class RequestAndResponse(TypedDict):
    """A request and its response in a conversation."""

    request: str
    response: str
    fixed: NotRequired[bool]
    """Whether the response stays as it is."""


class ConversationState(ConversationRecord):
    """The state of the conversation graph: the exchanges evolved so far, and the next one."""

    turns: list[RequestAndResponse]
    exchange: int
    results: list[ExchangeResult]


class ConversationResult(TypedDict):
    """The output of the conversation graph: a result for each exchange that was worked on."""

    id: str
    results: list[ExchangeResult]
