"""A call to a model, as its caller states it and as it went."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, get_args

from models.settings import Role
from prompts.pack import Message

Step = Literal[
    "positive_opening",
    "critical_opening",
    "positive_free",
    "critical_free",
    "advisor",
    "editor",
    "judge_forward",
    "judge_reversed",
]
STEPS: tuple[Step, ...] = get_args(Step)
"""The calls of a round, in the order a person reads them."""

ROLE_OF_STEP: dict[Step, Role] = {
    "positive_opening": "positive",
    "critical_opening": "critical",
    "positive_free": "positive",
    "critical_free": "critical",
    "advisor": "advisor",
    "editor": "editor",
    "judge_forward": "judge",
    "judge_reversed": "judge",
}


VerdictForm = Literal["compare", "score"]
"""The form of a reply: the better response, or points for both, in the first line."""


@dataclass(frozen=True, slots=True)
class Shortenable:
    """What may be shortened in a prompt that is too long for its model: what other agents said.

    `texts` stand in the call's messages; `messages` makes the messages with others in their place.
    """

    texts: tuple[str, ...]
    messages: Callable[[Sequence[str]], list[Message]]


@dataclass(frozen=True, slots=True)
class Call:
    """What an agent wants said to its model, and where in the run it stands.

    The first five fields and `asked` are the call's address: no two calls of a run share it. `exchange`
    counts from 0, `round` from 1; `asked` counts, from 1, how often the step was asked for (a judge whose
    verdict cannot be read is asked again). `whole` means that a reply cut off at its length limit is of no
    use. `parts` are texts that the messages are made of, so that they can be kept once. `form` is the form
    that the reply has to have, for models that can be kept to it. `shortenable` says what may be shortened
    where the prompt does not fit; `shortened_to` is how many characters were left of the longest of these
    texts, None where all of them are whole.
    """

    sample: str
    mode: str
    exchange: int
    round: int
    step: Step
    messages: list[Message]
    whole: bool = False
    parts: tuple[str, ...] = ()
    asked: int = 1
    form: VerdictForm | None = None
    shortenable: Shortenable | None = field(default=None, repr=False, compare=False)
    shortened_to: int | None = None

    @property
    def role(self) -> Role:
        """The role whose model is asked."""
        return ROLE_OF_STEP[self.step]

    @property
    def address(self) -> tuple[str, str, int, int, Step, int]:
        """The place of the call in the run."""
        return self.sample, self.mode, self.exchange, self.round, self.step, self.asked

    def shortened(self, texts: Sequence[str], to: int) -> Self:
        """The call with shorter texts in the place of those that may be shortened."""
        if self.shortenable is None:
            raise ValueError("nothing in this call may be shortened")
        messages = self.shortenable.messages(texts)
        return replace(self, messages=messages, parts=(*self.parts, *texts), shortened_to=to)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One finished call: what was sent, what came back, and what it took.

    `request` identifies what was asked (model, parameters and messages, as a hash): the messages as the
    agent stated them, so that a call is found again whatever was shortened or shaped on its way. `messages`
    are those that were sent. Token counts are the provider's own and None where it gave none;
    `cached_tokens` is the part of `input_tokens` that a prefix cache held. `started` is a Unix time in
    seconds; `latency`, in seconds, is that of the attempt that succeeded (or of the last one). Where the
    call failed, `failure` says why, `code` is the provider's own for it (or the HTTP status, or the finish
    reason), and `reply` holds whatever text came.
    """

    call: Call
    request: str
    model: str
    messages: list[Message]
    reply: str
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    started: float
    latency: float
    attempts: int
    failure: str | None = None
    code: str | None = None
