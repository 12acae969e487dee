"""Parse records of any supported format and write new responses into them.

Fields that a format does not define are kept unchanged. No function here modifies the record it is given.

    >>> sample_record = {"instruction": "Say hello.", "input": "", "output": "Hello!"}
    >>> parse_record(sample_record, "alpaca").exchanges
    (Exchange(instruction='Say hello.', input='', response='Hello!'),)
"""

from collections.abc import Sequence
from typing import Any, get_args

from samples import alpaca, conversations
from samples.fields import Parsed
from samples.sample import DataError, Format, Sample

__all__ = ["FORMATS", "Parsed", "check_record", "detect_format", "parse_record", "with_responses"]

FORMATS: tuple[Format, ...] = get_args(Format)

# The field that identifies a format.
_KEY_FIELDS: dict[Format, str] = {
    "alpaca": "instruction",
    "sharegpt": "conversations",
    "messages": "messages",
}


def detect_format(record: dict[str, Any]) -> Format | None:
    """Return the format whose key field the record has, or None if it has none or several of them.

    If it has several, null ones do not count: every row of a Parquet file has every column.
    """
    found = [name for name in FORMATS if _KEY_FIELDS[name] in record]
    if len(found) > 1:
        found = [name for name in found if record[_KEY_FIELDS[name]] is not None]
    return found[0] if len(found) == 1 else None


def check_record(record: dict[str, Any], format: Format) -> None:
    """Raise DataError if `parse_record` would, without parsing where a cheaper check exists."""
    if format == "alpaca":
        alpaca.check(record)
    else:
        conversations.parse(record, format)


def parse_record(record: dict[str, Any], format: Format) -> Parsed:
    """Return the parts of a record that the method works on.

    `skip` is set on a valid record that the method cannot handle (images, tool calls, an empty request).
    Raises DataError, without file or position, if a field is missing or has the wrong type.
    """
    if format == "alpaca":
        return alpaca.parse(record)
    return conversations.parse(record, format)


def with_responses(sample: Sample, responses: Sequence[str], to: Format | None = None) -> dict[str, Any]:
    """Return the sample's record with new responses, one for each of its exchanges, in order.

    In the sample's own format (`to` is None or the same) everything else is exactly as it was read.
    In another format the converted conversation replaces the fields that held it; other fields are kept
    unless their name clashes with one of the converted ones. A conversation of several exchanges becomes an
    Alpaca record in LLaMA-Factory's style: the last one as instruction and output, earlier ones as `history`.
    An unanswered last request and the extra fields of turns are dropped: Alpaca cannot hold them.

    Raises DataError if the other format cannot express the record, which happens only to skipped samples
    (tool calls; an unanswered conversation as an Alpaca record), and ValueError if the number of responses is
    not the number of exchanges.
    """
    if len(responses) != len(sample.exchanges):
        raise ValueError(f"sample {sample.id}: {len(responses)} responses, {len(sample.exchanges)} exchanges")
    if sample.format == "alpaca":
        record = alpaca.with_responses(sample.record, responses)
    else:
        record = conversations.with_responses(sample.record, sample.format, sample.exchanges, responses)
    if to is None or to == sample.format:
        return record
    try:
        if sample.format == "alpaca":
            turns = alpaca.read_turns(record)
        else:
            turns = conversations.read_turns(record, sample.format)
        fields = alpaca.write_turns(turns) if to == "alpaca" else conversations.write_turns(turns, to)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error
    known = alpaca.FIELDS if sample.format == "alpaca" else conversations.fields(sample.format)
    return _replace(record, known, fields)


def _replace(record: dict[str, Any], known: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the record with `fields` at the position of its first known field, without the other ones."""
    replaced: dict[str, Any] = {}
    for name, value in record.items():
        if name in known:
            replaced |= {field: fields[field] for field in fields if field not in replaced}
        elif name not in fields:
            replaced[name] = value
    return replaced
