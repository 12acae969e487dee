"""Alpaca records: `instruction`, `input`, `output`, and optionally `system` and `history`.

Most data sets and most records are of this kind, so they are read without the general code of `layouts`.
`history` is LLaMA-Factory's list of earlier (request, response) pairs; a record with it is a conversation.
"""

from collections.abc import Sequence
from typing import Any

from samples.exchanges import MARKED
from samples.fields import (
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    field_names,
    is_encodable,
    is_missing,
    join_distinct,
    media_reason,
    optional_input,
    optional_text,
    response_text,
    system_text,
)
from samples.marks import marks_next_to
from samples.reply import may_have_thoughts
from samples.sample import DataError, Exchange
from samples.thoughts import HAS_THOUGHTS, Thoughts, read_apart, thoughts_next_to, with_thoughts
from samples.tool_calls import TEXT_CALL, calls_function
from samples.turns import Turn


def check(record: dict[str, Any]) -> None:
    """Raise DataError if a field is missing or has the wrong type; `history` is not checked."""
    texts = (
        record.get("instruction"),
        record.get("input", ""),
        record.get("output"),
        record.get("system", ""),
    )
    if all(type(text) is str for text in texts):  # as most records are
        return
    if "instruction" not in record or "output" not in record:
        raise DataError(
            f'expected an Alpaca record with "instruction" and "output", found {field_names(record)}'
        )
    optional_text(record, "instruction")
    optional_input(record, "input")
    response_text(record, "output")
    system_text(record, "system")


PARTS = frozenset({"instruction", "input", "output", "system", "history"})


def thoughts_of(record: dict[str, Any]) -> str:
    """Return the thoughts of the response of a record that was checked."""
    output = record["output"]
    if not isinstance(output, str):
        return ""
    if not may_have_thoughts(output):
        return "" if PARTS.issuperset(record) else thoughts_next_to(record, PARTS)
    parts = [text for name in ("instruction", "input", "system") if isinstance(text := record.get(name), str)]
    return join_distinct((read_apart(output, parts).thoughts, thoughts_next_to(record, PARTS)))


def parse(record: dict[str, Any], thoughts: Thoughts) -> Parsed:
    """Return the one exchange of an Alpaca record without `history`.

    An empty `output` is a response to improve; a null one is no response, so the record is skipped. Raises
    DataError under the same conditions as `check`.
    """
    check(record)
    instruction = optional_text(record, "instruction")
    input_text = optional_input(record, "input")
    output = response_text(record, "output")
    system = system_text(record, "system")
    if not instruction.strip():
        # Some records hold the whole request in `input`.
        instruction, input_text = input_text, ""

    skip = media_reason(record)
    if not instruction:
        skip = skip or NO_REQUEST
    if is_missing(record["output"]):
        skip = skip or NO_RESPONSE
    if not all(map(is_encodable, (instruction, input_text, output, system))):
        skip = skip or NOT_TEXT
    found, ended = "", False
    if thoughts != "text" and skip is None:
        apart = read_apart(output, (instruction, input_text, system))
        output, found = apart.text, join_distinct((apart.thoughts, thoughts_next_to(record, PARTS)))
        ended = bool(apart.after) and not found
        if found and thoughts == "skip":
            skip = HAS_THOUGHTS
    if skip is not None:
        return Parsed(system, (), skip, thinking=bool(found))
    # Earlier versions worked on such responses; their results need the place.
    skip = TEXT_CALL if calls_function(output) else None
    if not PARTS.issuperset(record) and any(marks_next_to(record, PARTS, ("user", "assistant")).values()):
        skip = skip or MARKED
    exchange = Exchange(instruction, input_text, output, skip is not None, thoughts=found)
    return Parsed(system, (exchange,), skip, (("output",),), bool(found), ended)


def write_turns(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return the Alpaca fields that hold the turns.

    The last exchange becomes instruction and output, earlier ones become `history`. An unanswered last
    request and the extra fields of turns are dropped: Alpaca cannot hold them. Raises DataError if the turns
    are not pairs of request and response, or one is marked as not to be learned from.
    """
    system = ""
    if turns and turns[0].role == "system":
        system, turns = turns[0].text or "", turns[1:]
    if turns and turns[-1].role == "user":
        turns = turns[:-1]
    if not turns:
        raise DataError("it has no answered request")
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise DataError("its turns do not alternate between request and response")
    if any(turn.role == "assistant" and turn.is_marked for turn in turns):
        raise DataError("it has a response marked as not to be learned from")

    texts = [with_thoughts(turn.whole, turn.thoughts) for turn in turns[:-2]]
    history = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    asked, answered = turns[-2:]
    fields: dict[str, Any] = {
        "instruction": asked.text,
        "input": asked.input,
        "output": with_thoughts(answered.text or "", answered.thoughts),
    }
    if system:
        fields["system"] = system
    if history:
        fields["history"] = history
    return fields
