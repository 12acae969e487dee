"""`rehearsal`, a provider without a model: plays every role by simple rules, so that a run can be tried.

Its replies follow from the prompt and what the reply is for, and from nothing else. A draft is the response
found in the prompt, or the request where there is none, with one more sentence; a verdict is drawn from the
two responses, so that in a run of some length drafts win, lose and tie, the two orders contradict each other,
and some verdicts cannot be read. None of its texts is an improvement.

Not covered: a prompt whose material is not fenced (`<response>` … `</response>`) counts as one text, and
there a verdict cannot tell which response is the draft. Nor can it where a person shortened the draft and
took its mark off.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from models.call import Purpose
from models.settings import Role
from samples.tokens import estimate_tokens

NOTICE = (
    "rehearsal: the texts of this model are made by simple rules. They show how a run goes; "
    "they are no improvement and not meant for training."
)

_FENCE = re.compile(r"<(response(?:-\d+)?)>\n(.*?)\n</\1>", re.DOTALL)
_REQUEST = re.compile(r"<(request(?:-\d+)?)>\n(.*?)\n</\1>", re.DOTALL)
_ANY_FENCE = re.compile(r"<([a-z_]+(?:-\d+)?)>\n.*?\n</\1>", re.DOTALL)
_MARK = re.compile(r"\s*\[rehearsed (\d+)×: a model would have revised this\]$")


class RehearsalModel(BaseChatModel):
    """Plays all roles by rules."""

    wins: float = 0.5
    """The share of comparisons that the draft wins."""
    judge: str = ""
    """Judges of different names draw different verdicts."""

    @property
    def _llm_type(self) -> str:
        return "rehearsal"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Return the reply; `kwargs` may hold the `purpose`, the `role` and the `draft` of the call."""
        text = "\n\n".join(str(message.content) for message in messages)
        purpose, role = kwargs.get("purpose", "speech"), kwargs.get("role", "positive")
        reply = self.reply(text, purpose, role, kwargs.get("draft") or 1)
        asked, said = estimate_tokens(text), estimate_tokens(reply)
        message = AIMessage(
            content=reply,
            response_metadata={"finish_reason": "stop"},
            usage_metadata=UsageMetadata(input_tokens=asked, output_tokens=said, total_tokens=asked + said),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Otherwise the base class would start a thread for each reply.
        return self._generate(messages, stop, **kwargs)

    def reply(self, text: str, purpose: Purpose, role: Role, draft: int = 1) -> str:
        """Return the reply to a prompt, all messages of the call in one text.

        Of several drafts from a prompt without a response, `draft` is the number of this one.
        """
        responses = list(_responses(text))
        match purpose:
            case "speech" if role == "critical":
                return _speech(text, "The response should be better", "says less than it could")
            case "speech":
                return _speech(text, "The response can stay as it is", "answers what was asked")
            case "suggestions":
                return "Say the most important thing first.\nGive one concrete example."
            case "draft":
                if responses:
                    return _rehearsed(responses[0], _rehearsals(responses[0]) + 1)
                request = _REQUEST.search(text)
                answer = f"To “{_last_turn(request.group(2))}” one would answer here." if request else text
                return _rehearsed(answer, draft)
            case "verdict":
                asked = _ANY_FENCE.sub("", text).lower()
                return self._verdict(responses, scored="two numbers" in asked)

    def _verdict(self, responses: list[str], scored: bool) -> str:
        first, second = (responses[0], responses[1]) if len(responses) > 1 else ("", "")
        # Drawn from the pair and not from its order, so that both orders know the same outcome.
        drawn = _share("\0".join([*sorted((first, second)), *([self.judge] if self.judge else [])]))
        draft_is_second = _as_draft(second) >= _as_draft(first)
        rest = (drawn - self.wins) / (1 - self.wins) if drawn >= self.wins else None
        draft, current = (2, 1) if draft_is_second else (1, 2)
        if rest is None:
            better = draft
        elif rest < 0.5:
            better = current
        elif rest < 0.62:
            better = 0
        elif rest < 0.72:
            better = 1  # whichever is shown first: the two orders contradict each other
        elif rest < 0.77:
            better = 2  # whichever is shown second
        elif rest < 0.84:
            better = 0 if draft_is_second else current  # one order sees a tie
        elif rest < 0.92 and draft_is_second:
            better = current  # and in the other order unreadable
        else:
            return "Both have their merits; it is hard to say."
        reason = "This verdict was drawn from the texts by a rule (rehearsal)."
        if scored:
            return f"{('7 7', '8 6', '6 8')[better]}\n{reason}"
        return f"{('equal', 'assistant 1', 'assistant 2')[better]}\n{reason}"


def _responses(text: str) -> Iterator[str]:
    return (found.group(2) for found in _FENCE.finditer(text))


_TURN = re.compile(r"</s>|\b(?:USER|ASSISTANT)\s*:")


def _last_turn(request: str) -> str:
    """Return the last turn of a request that is a transcript, which no response should hold."""
    return next((turn.strip() for turn in reversed(_TURN.split(request)) if turn.strip()), "")


def _speech(text: str, position: str, claim: str) -> str:
    responses = list(_responses(text))
    words = (responses[0] if responses else text).split()
    quoted = " ".join(words[:6])[:60]
    return f"{position} (rehearsal). Where it says “{quoted}” it {claim}. It has {len(words)} words."


def _rehearsals(response: str) -> int:
    found = _MARK.search(response)
    return int(found.group(1)) if found else 0


def _as_draft(response: str) -> tuple[int, int, str]:
    """Return what the draft of two responses has more of: it was rehearsed more often, or is longer, as one
    that a person edited may be. So both orders take the same response for the draft."""
    return _rehearsals(response), len(response), response


def _rehearsed(response: str, times: int) -> str:
    return f"{_MARK.sub('', response)} [rehearsed {times}×: a model would have revised this]"


def _share(text: str) -> float:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
