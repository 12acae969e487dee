"""The formats a record can have: what the method needs of it, and the record with new responses.

Fields that a format does not know are carried along as they are. Nothing here changes a record it
is given.

    >>> sample_record = {"instruction": "Say hello.", "input": "", "output": "Hello!"}
    >>> parse_record(sample_record, "alpaca").exchanges
    (Exchange(instruction='Say hello.', input='', response='Hello!'),)
"""

from collections.abc import Sequence
from typing import Any, get_args

from samples import alpaca, conversations
from samples.fields import Parsed, Turn
from samples.sample import DataError, Format, Sample

__all__ = ["FORMATS", "Parsed", "check_record", "detect_format", "parse_record", "with_responses"]

FORMATS: tuple[Format, ...] = get_args(Format)

# The field by which a format is recognised.
_MARKS: dict[Format, str] = {
    "alpaca": "instruction",
    "sharegpt": "conversations",
    "messages": "messages",
}


def detect_format(record: dict[str, Any]) -> Format | None:
    """The format whose leading field the record has; None where that is none of them or several.

    Of several, those that are null do not count: a Parquet file has every column in every row.
    """
    found = [name for name in FORMATS if _MARKS[name] in record]
    if len(found) > 1:
        found = [name for name in found if record[_MARKS[name]] is not None]
    return found[0] if len(found) == 1 else None


def check_record(record: dict[str, Any], format: Format) -> None:
    """Raises DataError where `parse_record` would, in less time where that makes a difference."""
    if format == "alpaca":
        alpaca.check(record)
    else:
        conversations.parse(record, format)


def parse_record(record: dict[str, Any], format: Format) -> Parsed:
    """What the method needs of a record of the given format.

    A record that is sound but not for this method (pictures, tool calls, an empty request) says so
    in `skip`. Raises DataError, without naming file or place, where a field is missing or of the
    wrong type.
    """
    if format == "alpaca":
        return alpaca.parse(record)
    return conversations.parse(record, format)


def with_responses(sample: Sample, responses: Sequence[str], to: Format | None = None) -> dict[str, Any]:
    """The sample's record with new responses, one for each of its exchanges, in order.

    In the sample's own format (`to` is None or the same) everything else is exactly as it was read.
    In another format the conversation is translated and takes the place of the fields it was in;
    other fields are kept, unless they have the name of one that the translation writes. Several
    exchanges become an Alpaca record as LLaMA-Factory has it: the last one as instruction and
    output, earlier ones as `history`. Alpaca has no place for a last request without an answer and
    for a turn's other fields: these are left out.

    Raises DataError where the other format cannot express the record, which happens only to skipped
    samples (tool calls; a conversation without an answer as an Alpaca record); ValueError where the
    number of responses is not that of the exchanges.
    """
    if len(responses) != len(sample.exchanges):
        raise ValueError(f"sample {sample.id}: {len(sample.exchanges)} exchanges, {len(responses)} responses")
    if sample.format == "alpaca":
        record = alpaca.answered(sample.record, responses)
    else:
        record = conversations.answered(sample.record, sample.format, sample.exchanges, responses)
    if to is None or to == sample.format:
        return record
    try:
        turns = _read_turns(record, sample.format)
        fields = alpaca.write_turns(turns) if to == "alpaca" else conversations.write_turns(turns, to)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error
    known = alpaca.FIELDS if sample.format == "alpaca" else conversations.fields(sample.format)
    return _replaced(record, known, fields)


def _read_turns(record: dict[str, Any], format: Format) -> list[Turn]:
    if format == "alpaca":
        return alpaca.read_turns(record)
    return conversations.read_turns(record, format)


def _replaced(record: dict[str, Any], known: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """The record with `fields` where the first of its known fields was, and without the others."""
    replaced: dict[str, Any] = {}
    for name, value in record.items():
        if name in known:
            replaced |= {field: fields[field] for field in fields if field not in replaced}
        elif name not in fields:
            replaced[name] = value
    return replaced
