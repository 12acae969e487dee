"""Alpaca records: `instruction`, `input`, `output`, and optionally `system` and `history`.

`history` is LLaMA-Factory's list of earlier (request, response) pairs. It is written when a conversation is
converted to Alpaca; input records that have it are skipped, since the method treats an Alpaca record as one
exchange.
"""

from collections.abc import Sequence
from typing import Any

from samples.fields import (
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    Turn,
    field_names,
    is_encodable,
    json_type,
    media_reason,
    optional_text,
)
from samples.sample import DataError, Exchange

FIELDS = ("instruction", "input", "output", "system", "history")

# Placeholders for "no input" in the original Alpaca prompts and in some data sets.
_NO_INPUT = {"<noinput>", "<no input>"}


def check(record: dict[str, Any]) -> None:
    """Raise DataError if a field is missing or has the wrong type."""
    if "instruction" not in record or "output" not in record:
        raise DataError(
            f'expected an Alpaca record with "instruction" and "output", found {field_names(record)}'
        )
    optional_text(record, "instruction")
    _input(record)
    optional_text(record, "output")
    optional_text(record, "system")


def parse(record: dict[str, Any]) -> Parsed:
    """Return the one exchange of an Alpaca record.

    An empty `output` is a response to improve; a null one is no response, so the record is skipped. Raises
    DataError under the same conditions as `check`.
    """
    check(record)
    instruction = optional_text(record, "instruction")
    input_text = _input(record)
    output = optional_text(record, "output")
    system = optional_text(record, "system")
    if not instruction.strip():
        # Some records hold the whole request in `input`.
        instruction, input_text = input_text, ""

    skip = media_reason(record)
    if record.get("history"):
        skip = skip or 'earlier exchanges in "history"'
    if not instruction:
        skip = skip or NO_REQUEST
    if record["output"] is None:
        skip = skip or NO_RESPONSE
    if not all(map(is_encodable, (instruction, input_text, output, system))):
        skip = skip or NOT_TEXT
    if skip is not None:
        return Parsed(system, (), skip)
    return Parsed(system, (Exchange(instruction, input_text, output),), None)


def with_responses(record: dict[str, Any], responses: Sequence[str]) -> dict[str, Any]:
    """Return a copy of the record with its response replaced, or unchanged if there are no responses."""
    return {**record, "output": responses[0]} if responses else dict(record)


def read_turns(record: dict[str, Any]) -> list[Turn]:
    """Return the record as turns. Raises DataError if `history` is not a list of pairs of strings."""
    turns = []
    if system := optional_text(record, "system"):
        turns.append(Turn("system", system, {}))
    history = record.get("history") or ()
    for pair in history if isinstance(history, list | tuple) else [history]:
        match pair:
            case [str(request), str(response)]:
                turns += [Turn("user", request, {}), Turn("assistant", response, {})]
            case _:
                raise DataError('"history" is not a list of (request, response) pairs')
    # LLaMA-Factory joins the two parts of a request in the same way.
    request = "\n".join(filter(None, (optional_text(record, "instruction"), _input(record))))
    turns.append(Turn("user", request, {}))
    if record["output"] is not None:
        turns.append(Turn("assistant", optional_text(record, "output"), {}))
    return turns


def write_turns(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return the Alpaca fields that hold the turns.

    The last exchange becomes instruction and output, earlier ones become `history`. An unanswered last
    request and the extra fields of turns are dropped: Alpaca cannot hold them. Raises DataError if the turns
    are not pairs of request and response.
    """
    system = ""
    if turns and turns[0].role == "system":
        system, turns = turns[0].text, turns[1:]
    if turns and turns[-1].role == "user":
        turns = turns[:-1]
    if not turns:
        raise DataError("it has no answered request")
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise DataError("its turns do not alternate between request and response")

    texts = [turn.text for turn in turns]
    *history, last = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    fields: dict[str, Any] = {"instruction": last[0], "input": "", "output": last[1]}
    if system:
        fields["system"] = system
    if history:
        fields["history"] = history
    return fields


def _input(record: dict[str, Any]) -> str:
    value = record.get("input")
    if not value:
        return ""
    if not isinstance(value, str):
        raise DataError(f'expected a string in "input", found {json_type(value)}')
    stripped = value.strip()
    return "" if not stripped or stripped.lower() in _NO_INPUT else value
