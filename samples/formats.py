"""Parse records of any supported format and write new responses into them.

Fields that a format does not define are kept unchanged. No function here modifies the record it is given.

    >>> sample_record = {"instruction": "Say hello.", "input": "", "output": "Hello!"}
    >>> parse_record(sample_record, "alpaca").exchanges
    (Exchange(instruction='Say hello.', input='', response='Hello!', fixed=False),)
"""

from collections.abc import Sequence
from typing import Any, get_args

from samples import alpaca, layouts
from samples.fields import Parsed, is_missing, media_reason, why_unreadable
from samples.references import with_references
from samples.sample import DataError, Format, Sample
from samples.turns import Turn, join_distinct, parsed, put

__all__ = [
    "FORMATS",
    "READ_FORMATS",
    "Parsed",
    "check_record",
    "detect_format",
    "make_sample",
    "parse_record",
    "recorded_sample",
    "turns_with_responses",
    "unreadable_sample",
    "with_responses",
]

FORMATS: tuple[Format, ...] = get_args(Format)
"""The formats that can be written."""

READ_FORMATS = layouts.LAYOUTS
"""The formats that can be read, all of them with a name of their own."""


def detect_format(record: dict[str, Any]) -> str | None:
    """Return the format of a record, or None if it has none or may have several."""
    found = layouts.candidates(record)
    return found[0] if len(found) == 1 else None


def check_record(record: dict[str, Any], format: str) -> None:
    """Raise DataError if `parse_record` would, without parsing where a cheaper check exists."""
    if format == "alpaca" and not record.get("history"):
        alpaca.check(record)
    else:
        parse_record(record, format)


def parse_record(record: dict[str, Any], format: str) -> Parsed:
    """Return the parts of a record that the method works on.

    `skip` is set on a valid record that the method cannot handle (images, tool calls, an empty request).
    Raises DataError, without file or position, if a field is missing or has the wrong type.
    """
    if format == "alpaca" and (not record.get("history") or is_missing(record["history"])):
        return alpaca.parse(record)
    found = parsed(layouts.read_turns(record, format))
    skip = layouts.own_reason(record, format) or media_reason(record) or found.skip
    return found if skip == found.skip else Parsed(found.system, (), skip)


def make_sample(
    position: int, sample_id: str, record: dict[str, Any], format: str, reference: str | None = None
) -> Sample:
    """Return the sample of a record; `reference` is the field of its references.

    Raises DataError as `parse_record` does.
    """
    found = parse_record(record, format)
    if reference and not found.skip:
        found = with_references(found, record, reference)
    if format in ("sharegpt", "messages") or (format == "alpaca" and len(found.exchanges) < 2):
        return Sample(position, sample_id, format, record, found.system, found.exchanges, found.skip)  # type: ignore[arg-type]
    graphs: Format = "messages"
    taken: dict[str, Any]
    if found.skip:
        taken = record
    elif len(found.exchanges) < 2:
        graphs, taken = "alpaca", {"instruction": "", "input": "", "output": None, "system": found.system}
        for only in found.exchanges:
            taken |= {"instruction": only.instruction, "input": only.input, "output": only.response}
    else:
        taken = {"messages": _messages(found)}
    return Sample(
        position, sample_id, graphs, taken, found.system, found.exchanges, found.skip, record, format
    )


def unreadable_sample(
    position: int, sample_id: str, record: dict[str, Any], format: str, reason: str
) -> Sample:
    """Return a sample that is skipped because its record cannot be read."""
    return Sample(position, sample_id, "alpaca", record, "", (), reason, record, format)


def recorded_sample(position: int, sample_id: str, record: dict[str, Any], format: str) -> Sample:
    """Return the sample of a record that was read before; one that cannot be read is skipped."""
    try:
        return make_sample(position, sample_id, record, format)
    except DataError as error:
        return unreadable_sample(position, sample_id, record, format, why_unreadable(record) or str(error))


def with_responses(sample: Sample, responses: Sequence[str], to: Format | None = None) -> dict[str, Any]:
    """Return the sample's record with new responses, one for each of its exchanges, in order.

    In the sample's own format (`to` is None or the same) everything else is exactly as it was read.
    In another format the converted conversation replaces the fields that held it; other fields are kept
    unless their name clashes with one of the converted ones. A conversation of several exchanges becomes an
    Alpaca record in LLaMA-Factory's style: the last one as instruction and output, earlier ones as `history`.
    An unanswered last request and the extra fields of turns are dropped: Alpaca cannot hold them.

    Raises DataError if the other format cannot express the record (tool calls; an unanswered conversation, a
    leading response or a mark as an Alpaca record), and ValueError if the number of responses is not the
    number of exchanges.
    """
    if len(responses) != len(sample.exchanges):
        raise ValueError(f"sample {sample.id}: {len(responses)} responses, {len(sample.exchanges)} exchanges")
    record = dict(sample.read)
    if any(new != exchange.response for new, exchange in zip(responses, sample.exchanges, strict=True)):
        places = parse_record(record, sample.read_as).responses
        for place, exchange, response in zip(places, sample.exchanges, responses, strict=True):
            if response != exchange.response:
                record = put(record, place, response)
    if to is None or to == sample.read_as:
        return record
    try:
        turns = _turns(record, sample.read_as)
        fields = alpaca.write_turns(turns) if to == "alpaca" else _write_turns(turns, to)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error
    columns = layouts.columns_of(sample.read_as, record)
    known = columns.parts() if columns else (layouts.LISTS[layouts.base_of(sample.read_as)], "system")
    return _replace(record, known, fields)


def turns_with_responses(sample: Sample, responses: Sequence[str]) -> list[Turn]:
    """Return all turns of a sample, with new responses for its exchanges."""
    return layouts.read_turns(with_responses(sample, responses), sample.read_as)


def _turns(record: dict[str, Any], format: str) -> list[Turn]:
    """Return the record as plain turns, the system prompt first.

    Raises DataError if one is not plain text or has an unknown role.
    """
    system: list[Turn] = []
    others: list[Turn] = []
    for turn in layouts.read_turns(record, format):
        if turn.obstacle is not None or turn.text is None:
            raise DataError(f"it has {turn.obstacle}")
        (system if turn.role == "system" and not others else others).append(turn)
    if not system:
        return others
    text = join_distinct(turn.text or "" for turn in system)
    return [Turn("system", "system", text, None, (), source=system[-1].source), *others]


def _write_turns(turns: Sequence[Turn], to: Format) -> dict[str, Any]:
    """Return the field of a conversation that holds the turns."""
    role, content = ("from", "value") if to == "sharegpt" else ("role", "content")
    names = {"user": "human", "assistant": "gpt"} if to == "sharegpt" else {}
    written = []
    for turn in turns:
        fields = {role: names.get(turn.role or "", turn.role), content: turn.whole}
        # A field of the turn that has the name of one of these must not replace it.
        written.append(fields | {name: value for name, value in turn.extra.items() if name not in fields})
    return {layouts.LISTS[to]: written}


def _messages(found: Parsed) -> list[dict[str, Any]]:
    """Return the exchanges as messages, in which those that stay as they are have a weight of 0."""
    written: list[dict[str, Any]] = [{"role": "system", "content": found.system}] if found.system else []
    for exchange in found.exchanges:
        answer: dict[str, Any] = {"role": "assistant", "content": exchange.response}
        if exchange.fixed:
            answer["weight"] = 0
        written += [{"role": "user", "content": exchange.whole_request}, answer]
    return written


def _replace(record: dict[str, Any], known: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the record with `fields` at the position of its first known field, without the other ones."""
    replaced: dict[str, Any] = {}
    for name, value in record.items():
        if name in known:
            replaced |= {field: fields[field] for field in fields if field not in replaced}
        elif name not in fields:
            replaced[name] = value
    return replaced
