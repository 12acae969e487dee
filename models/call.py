"""A model call: the request as an agent states it, and the record of what happened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from typing_extensions import TypedDict

from models.settings import Role

MessageRole = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """One message of a prompt."""

    role: MessageRole
    content: str


Purpose = Literal["speech", "suggestions", "draft", "verdict"]
"""What a reply is for."""


@dataclass(frozen=True, slots=True)
class Shortenable:
    """The texts of other agents in a prompt, which may be shortened if it does not fit the context window."""

    texts: tuple[str, ...]
    messages: Callable[[Sequence[str]], list[Message]]
    """Render the prompt with other texts in their place."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the model of a role, and where in the run it is made.

    The first five fields and `asked` are its address: no two calls of a run share one, but for those of the
    judges of a panel, whose models differ.
    """

    sample: str
    mode: str
    exchange: int
    """Counts from 0."""
    round: int
    """Counts from 1."""
    step: str
    role: Role
    messages: list[Message]
    purpose: Purpose = "speech"
    """A draft that was cut off at the token limit is useless; other replies are used as they are."""
    parts: tuple[str, ...] = ()
    """Texts that the messages are made of, so that the ledger can store them once."""
    asked: int = 1
    """Which time this step is asked: a judge whose verdict cannot be read is asked again."""
    form: str | None = None
    """A regular expression for the reply, for servers that can constrain their output."""
    draft: int | None = None
    """Of several drafts from one prompt, the number of this one, from 1: sampled at
    `temperature_of_drafts`, with a seed of its own."""
    shortenable: Shortenable | None = field(default=None, repr=False, compare=False)
    shortened_to: int | None = None
    """Characters left of the longest shortened text; None where all are whole."""

    def shortened(self, texts: Sequence[str], to: int) -> Self:
        """Return the call with shorter texts in place of those that may be shortened."""
        if self.shortenable is None:
            raise ValueError("nothing in this call may be shortened")
        messages = self.shortenable.messages(texts)
        return replace(self, messages=messages, parts=(*self.parts, *texts), shortened_to=to)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One finished call: what was sent, what came back, and what it took."""

    call: Call
    request: str
    """A hash of model, parameters and messages as the agent stated them, so that the call is found again
    however the prompt was shortened or reshaped before it was sent."""
    model: str
    messages: list[Message]
    """What was sent."""
    reply: str
    """Of a failed call, whatever text arrived."""
    finish_reason: str | None
    input_tokens: int | None
    """The provider's own count, like all token counts here; None where it gave none."""
    output_tokens: int | None
    cached_tokens: int | None
    """The part of `input_tokens` that came from a prefix cache."""
    started: float
    """Unix time of the last attempt."""
    latency: float
    """Seconds that the last attempt took."""
    attempts: int
    failure_kind: str | None = None
    """The key of its `FailureKind`; None where the call succeeded."""
    failure: str | None = None
    """What happened, for users."""
    code: str | None = None
    """The provider's code for the failure, or the HTTP status or finish reason."""
    thoughts: str = ""
    """What the model thought before it replied, where it says so. No other agent sees it."""
    service_tier: str | None = None
    """The tier that the server says it was served in, which is the one that is billed."""
