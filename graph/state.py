"""The state that travels through the graphs; plain JSON types throughout.

What each agent reads of it is declared with the agent, in `nodes/`; here is the whole, its input and its
output. The types come from typing_extensions because Pydantic, which makes their schemas for Studio, accepts
those of `typing` only from Python 3.12.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from nodes.advisor import AdvisorView
from nodes.debater import OpeningsView
from nodes.decision import Ending, Round
from nodes.settings import VerdictForm
from nodes.views import Judgment

Id = Annotated[str, Field(title="Id", description="A name of your choice; may be left out.", default="")]
System = Annotated[
    str, Field(title="System prompt", description="The record's own; may be empty.", default="")
]


class AlpacaRecord(TypedDict, total=False):
    """The input of the exchange graph: an Alpaca record."""

    id: Id
    instruction: Annotated[
        str,
        Field(
            title="Request", description="What is asked.", examples=["Explain in one sentence what dew is."]
        ),
    ]
    input: Annotated[
        str, Field(title="Input", description="A text that the request is about; may be empty.", default="")
    ]
    output: Annotated[
        str,
        Field(
            title="Response",
            description="The response to improve.",
            examples=["Dew is water on grass in the morning."],
            default="",
        ),
    ]
    system: System
    exchange: SkipJsonSchema[int]
    """Its number in a conversation, from 0."""
    conversations: SkipJsonSchema[Any]
    messages: SkipJsonSchema[Any]
    history: SkipJsonSchema[Any]
    """Not worked on here: in a record that has them, these say which graph takes it."""
    references: Annotated[
        list[str],
        Field(
            title="References",
            description="Answers known to be right, of which one is enough: shown to the judge, and what "
            "`check` compares.",
            default=[],
        ),
    ]


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


class Routing(TypedDict):
    """The settings that decide which way the graph goes.

    Its conditional edges read them here: when a person edits the state, edges are given no settings.
    """

    max_rounds: int
    drafts: int
    lazy_judge: bool
    verdict: VerdictForm


class ExchangeState(OpeningsView, AdvisorView):
    """The state of the exchange graph."""

    routing: Routing
    output: str
    original: str
    suggestions: str
    draft: str
    references: NotRequired[list[str]]
    reference: NotRequired[str]
    agrees: NotRequired[Agreement]
    forward: Judgment | None
    reversed: Judgment | None
    said_forward: NotRequired[Judgment]
    said_reversed: NotRequired[Judgment]
    """The judgments as they were made, by which edits are known."""
    rounds: list[Round]
    ending: Ending | None
    """None while it is open."""
    accepted_rounds: int


class ConversationRecord(TypedDict, total=False):
    """The input of the conversation graph: a ShareGPT record, or OpenAI-style messages."""

    id: Id
    system: System
    conversations: Annotated[
        list[dict[str, Any]],
        Field(
            title="Conversation (ShareGPT)",
            description="Turns of `human` and `gpt`; or fill in the messages below.",
            examples=[
                [
                    {"from": "human", "value": "What is dew?"},
                    {"from": "gpt", "value": "Water on grass."},
                    {"from": "human", "value": "And frost?"},
                    {"from": "gpt", "value": "Frozen dew."},
                ]
            ],
        ),
    ]
    messages: Annotated[
        list[dict[str, Any]],
        Field(
            title="Messages (OpenAI)",
            description="Messages of `system`, `user` and `assistant`.",
            examples=[
                [
                    {"role": "user", "content": "What is dew?"},
                    {"role": "assistant", "content": "Water on grass."},
                ]
            ],
        ),
    ]
    instruction: SkipJsonSchema[Any]
    """Not worked on here: a record that has it is for the other graphs."""
    references: Annotated[
        list[list[str]],
        Field(
            title="References",
            description="Answers known to be right, a list for each exchange with an answer.",
            default=[],
        ),
    ]


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
    ended: bool
    """Whether no further exchange is worked on."""


class ConversationResult(TypedDict):
    """The output of the conversation graph: a result for each exchange that was worked on."""

    id: str
    results: list[ExchangeResult]
