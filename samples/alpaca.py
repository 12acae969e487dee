"""Alpaca records: `instruction`, `input`, `output`, and optionally `system` and `history`.

`history` is LLaMA-Factory's: a list of earlier (request, response) pairs. It is written where a
conversation becomes an Alpaca record; a record that comes with one is skipped, since the method
takes an Alpaca record to be one exchange.
"""

from collections.abc import Sequence
from typing import Any

from samples.fields import (
    NO_REQUEST,
    NO_RESPONSE,
    NOT_TEXT,
    Parsed,
    Turn,
    is_text,
    kind,
    media,
    names,
    optional_text,
)
from samples.sample import DataError, Exchange

FIELDS = ("instruction", "input", "output", "system", "history")

# What the tools of the original Alpaca write into prompts, and some data sets into `input`, for
# none.
_NO_INPUT = {"<noinput>", "<no input>"}


def check(record: dict[str, Any]) -> None:
    """Raises DataError where a field is missing or of the wrong type."""
    if "instruction" not in record or "output" not in record:
        raise DataError(f'expected an Alpaca record with "instruction" and "output", found {names(record)}')
    optional_text(record, "instruction")
    _input(record)
    optional_text(record, "output")
    optional_text(record, "system")


def parse(record: dict[str, Any]) -> Parsed:
    """The one exchange of an Alpaca record.

    An empty `output` is a response that can be improved; a null one is no response, and skipped.
    Raises DataError as `check` does.
    """
    check(record)
    instruction = optional_text(record, "instruction")
    input_text = _input(record)
    output = optional_text(record, "output")
    system = optional_text(record, "system")
    if not instruction.strip():
        # Some records hold the whole request in `input`.
        instruction, input_text = input_text, ""

    skip = media(record)
    if record.get("history"):
        skip = skip or 'earlier exchanges in "history"'
    if not instruction:
        skip = skip or NO_REQUEST
    if record["output"] is None:
        skip = skip or NO_RESPONSE
    if not all(map(is_text, (instruction, input_text, output, system))):
        skip = skip or NOT_TEXT
    if skip is not None:
        return Parsed(system, (), skip)
    return Parsed(system, (Exchange(instruction, input_text, output),), None)


def answered(record: dict[str, Any], responses: Sequence[str]) -> dict[str, Any]:
    """A copy of the record with its response replaced; without responses, the record as it is."""
    return {**record, "output": responses[0]} if responses else dict(record)


def read_turns(record: dict[str, Any]) -> list[Turn]:
    """The record as turns. Raises DataError where `history` is not a list of pairs of texts."""
    turns = []
    if system := optional_text(record, "system"):
        turns.append(Turn("system", system, {}))
    for pair in record.get("history") or ():
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
    """The fields of an Alpaca record that hold the turns.

    The last exchange is instruction and output, earlier ones are `history`. Alpaca has no place for
    a last request without an answer, nor for a turn's other fields: both are left out. Raises
    DataError where the turns are not pairs of request and response.
    """
    system = ""
    if turns and turns[0].role == "system":
        system, turns = turns[0].text, turns[1:]
    if turns and turns[-1].role == "user":
        turns = turns[:-1]
    if not turns:
        raise DataError("it has no answered request")
    if [turn.role for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise DataError("its turns are not pairs of request and response")

    texts = [turn.text for turn in turns]
    pairs = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    fields: dict[str, Any] = {"instruction": pairs[-1][0], "input": "", "output": pairs[-1][1]}
    if system:
        fields["system"] = system
    if pairs[:-1]:
        fields["history"] = pairs[:-1]
    return fields


def _input(record: dict[str, Any]) -> str:
    value = record.get("input")
    if not value:
        return ""
    if not isinstance(value, str):
        raise DataError(f'expected text in "input", found {kind(value)}')
    stripped = value.strip()
    return "" if not stripped or stripped.lower() in _NO_INPUT else value
