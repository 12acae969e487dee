"""Exchanges: which requests and responses of a conversation can be worked on."""

from collections.abc import Sequence
from dataclasses import replace

from samples.fields import (
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    Place,
    brief,
    is_encodable,
    join_distinct,
)
from samples.marks import has_known_mark, is_marked
from samples.reply import may_end_with_mark, may_have_thoughts
from samples.sample import Exchange
from samples.thoughts import HAS_THOUGHTS, Thoughts, read_apart
from samples.tool_calls import TEXT_CALL, TEXT_RESULT, calls_function, gives_result
from samples.turns import FILE_PARTS, Turn

_MEDIA = ("image", "video", "audio", *FILE_PARTS)
"""What obstacles have in them that are media."""

MARKED = "all responses are marked as not to be learned from"
TWO_RESPONSES = "two responses in a row"
LATE_SYSTEM = "a system turn after the first turn"


def parse_turns(turns: Sequence[Turn], thoughts: Thoughts) -> Parsed:
    """Return the exchanges of a conversation.

    Responses are without their thoughts; with `thoughts` "skip" those that had some stay as they are.
    Requests in a row are one request. An exchange stays as it is (`fixed`) if it has turns of tools, media or
    no text, several responses, or a mark that it is not to be learned from. So do all that follow media or a
    late system turn, which no agent can see. A response before the first request is left alone. If no
    exchange can be worked on, the record is skipped, for the first reason. Exchanges of a skipped record are
    only given where earlier versions worked on it: marks on parts, of other names or next to a request and
    its response, or responses that call functions in their text.
    """
    walk = _Walk(thoughts)
    for turn in turns:
        if turn.part and thoughts == "text":
            turn = replace(turn, text=None, obstacle=f"a non-text part ({brief(turn.part)})")
        walk.take(turn)
    walk.close()
    exchanges = tuple(walk.exchanges)
    skip = None
    if all(exchange.fixed for exchange in exchanges):
        skip = walk.reason or (NO_RESPONSE if turns else "an empty conversation")
        if walk.reason is None and any(turn.is_marked for turn in turns):
            skip = MARKED
    elif not is_encodable(walk.system) or not all(_are_encodable(exchange) for exchange in exchanges):
        skip = NOT_TEXT
    worked_on_before = skip in (TEXT_CALL, TEXT_RESULT) or (
        skip in (MARKED, LATE_SYSTEM) and any(map(_was_worked_on, turns))
    )
    if skip and not worked_on_before:
        return Parsed(walk.system, (), skip, thinking=walk.thinking)
    # Earlier versions worked on such responses; their results need the places of these.
    return Parsed(walk.system, exchanges, skip, tuple(walk.answers), walk.thinking, walk.ended)


def _was_worked_on(turn: Turn) -> bool:
    """Return whether earlier versions did not know the marks of a turn: by their names, or on such a turn."""
    source = turn.source
    if source is None or not is_marked(source):
        return False
    return not has_known_mark(source) or {"role", "from"}.isdisjoint(source)


def _are_encodable(exchange: Exchange) -> bool:
    return all(map(is_encodable, (exchange.instruction, exchange.input, exchange.response)))


class _Walk:
    """The exchanges of the turns taken so far."""

    def __init__(self, thoughts: Thoughts) -> None:
        self.system = ""
        self._thoughts = thoughts
        self.exchanges: list[Exchange] = []
        self.answers: list[Place] = []
        self.thinking = 0  # responses with thoughts, or with a part for them that has no text
        self.ended = False  # with a mark that was taken off
        self.reason: str | None = None  # the first one why an exchange cannot be worked on
        self._began = False
        self._requests: list[Turn] = []
        self._responses: list[Turn] = []
        self._obstacle: str | None = None  # of the present exchange
        self._lasting: str | None = None  # of all that follow
        self._called = False  # a function, in the text of the response before

    def take(self, turn: Turn) -> None:
        if turn.role == "system":
            if not self._began and turn.obstacle is None:
                self.system = join_distinct((self.system, turn.text or ""))
                return
            self.close()
            self._lasting = self._lasting or turn.obstacle or LATE_SYSTEM
            self._object_to(self._lasting)
            return
        self._began = True
        if turn.role == "user" and self._responses:
            self.close()
        self._object_to(turn.obstacle)
        if turn.role == "user":
            if self._called and gives_result(turn.text or ""):
                self._object_to(TEXT_RESULT)
            self._called = False
            self._requests.append(turn)
            if turn.obstacle and any(kind in turn.obstacle for kind in _MEDIA):
                self._lasting = self._lasting or turn.obstacle
        elif turn.role == "assistant" and self._requests:
            self._responses.append(turn)
            if calls_function(turn.text or ""):
                self._called = True
                self._object_to(TEXT_CALL)
            if len(self._responses) > 1:
                self._object_to(TWO_RESPONSES)
        elif turn.role == "assistant":
            self._object_to("a response without a request")
            self._obstacle = None

    def close(self) -> None:
        """End the present exchange."""
        if self._requests and self._responses:
            request = "\n\n".join(turn.text or "" for turn in self._requests)
            if not request.strip() and not self._requests[-1].input.strip():
                self._object_to(NO_REQUEST)
            second = self._requests[-1].input
            texts, thoughts = [turn.text or "" for turn in self._responses], ""
            if self._thoughts != "text" and any(
                turn.thoughts or may_have_thoughts(turn.text or "") or may_end_with_mark(turn.text or "")
                for turn in self._responses
            ):
                found = [read_apart(text, (request, second, self.system)) for text in texts]
                texts = [each.text for each in found]
                self.ended = self.ended or any(each.after for each in found)
                thoughts = join_distinct(
                    [*(each.thoughts for each in found), *(turn.thoughts for turn in self._responses)]
                )
            has_part = self._thoughts != "text" and any(turn.part for turn in self._responses)
            self.thinking += bool(thoughts) or has_part
            fixed = any(turn.fixed for turn in self._responses)
            if self._thoughts == "skip" and not fixed and (thoughts or self._responses[0].part):
                self._object_to(HAS_THOUGHTS)
            fixed = fixed or (self._obstacle or self._lasting) is not None
            self.exchanges.append(Exchange(request, second, "\n\n".join(texts), fixed, thoughts))
            self.answers.append(self._responses[0].path)
        if self._responses:
            self._requests, self._responses, self._obstacle = [], [], None

    def _object_to(self, obstacle: str | None) -> None:
        self._obstacle = self._obstacle or obstacle
        self.reason = self.reason or obstacle
