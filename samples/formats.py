"""Parse records of any supported format and write new responses into them.

Fields that a format does not define are kept unchanged. No function here modifies the record it is given.

    >>> sample_record = {"instruction": "Say hello.", "input": "", "output": "Hello!"}
    >>> parse_record(sample_record, "alpaca").exchanges
    (Exchange(instruction='Say hello.', input='', response='Hello!', fixed=False, thoughts=''),)
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from samples import alpaca
from samples.exchanges import parse_turns
from samples.fields import Parsed, is_missing, join_distinct, media_reason, why_unreadable
from samples.layout_fields import fields_of_other_side, other_side, own_fields, parts_of
from samples.layout_turns import marking_fields, own_reason, read_turns, repeated_prompt
from samples.layouts import LAYOUTS, LISTS, OTHER_SYSTEM_FIELDS, candidates, names_taken, side_of
from samples.neighbors import ORIGINAL, Neighbors
from samples.nested import put
from samples.references import with_references
from samples.reply import without_marks
from samples.sample import DataError, Exchange, Format, Sample
from samples.thoughts import (
    Thoughts,
    rewritten,
    thought_part,
    thoughts_next_to,
    with_thoughts,
    without_thoughts,
)
from samples.turn_names import names_of, pair_names
from samples.turns import Turn

FORMATS: tuple[Format, ...] = get_args(Format)
"""The formats that can be written."""

READ_FORMATS = LAYOUTS
"""The formats that can be read, all of them with a name of their own."""


def detect_format(record: dict[str, Any]) -> str | None:
    """Return the format of a record, or None if it has none or may have several."""
    found = candidates(record)
    return found[0] if len(found) == 1 else None


def check_record(record: dict[str, Any], format: str) -> int:
    """Return how many of a record's responses have thoughts.

    Raises DataError if `parse_record` would, without parsing where a cheaper check exists.
    """
    if format == "alpaca" and not record.get("history"):
        alpaca.check(record)
        return bool(alpaca.thoughts_of(record))
    return parse_record(record, format).thinking


def parse_record(record: dict[str, Any], format: str, thoughts: Thoughts = "keep") -> Parsed:
    """Return the parts of a record that the method works on.

    Responses are without their thoughts, unless `thoughts` is "text"; with "skip" those that have some are
    not worked on.

    `skip` is set on a valid record that the method cannot handle (images, tool calls, an empty request).
    Raises DataError, without file or position, if a field is missing or has the wrong type.
    """
    if format == "alpaca" and (not record.get("history") or is_missing(record["history"])):
        return alpaca.parse(record, thoughts)
    found = parse_turns(read_turns(record, format), thoughts)
    own = own_reason(record, format)
    if own and format.startswith("preference") and not found.skip:
        return replace(found, skip=own)  # earlier versions worked on it; their results need the exchanges
    skip = own or media_reason(record) or found.skip
    return found if skip == found.skip else Parsed(found.system, (), skip, thinking=found.thinking)


def make_sample(
    position: int,
    sample_id: str,
    record: dict[str, Any],
    format: str,
    thoughts: Thoughts = "keep",
    reference: str | None = None,
) -> Sample:
    """Return the sample of a record; `reference` is the field of its references.

    Raises DataError as `parse_record` does, whose `thoughts` it takes.
    """
    found = parse_record(record, format, thoughts)
    if reference and not found.skip:
        found = with_references(found, record, reference)
    as_read = found.skip is not None or not (found.thinking or found.ended) or thoughts == "text"
    if (
        as_read
        and len(found.exchanges) < (2 if format == "alpaca" else math.inf)
        and _is_plain(record, format)
    ):
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


def _is_plain(record: Mapping[str, Any], format: str) -> bool:
    """Return whether the graphs can take a record as it is: nothing in it is another format's."""
    # They go by the names of fields, also of those that have no value.
    if format == "alpaca":
        is_text = not isinstance(record.get("system"), list | dict)
        return is_text and record.keys().isdisjoint(("conversations", "messages"))
    is_list = format in ("sharegpt", "messages") and record.keys().isdisjoint(
        ("instruction", *OTHER_SYSTEM_FIELDS)
    )
    return is_list and not marking_fields(record, format) and candidates(record) == [format]


def unreadable_sample(
    position: int, sample_id: str, record: dict[str, Any], format: str, reason: str
) -> Sample:
    """Return a sample that is skipped because its record cannot be read."""
    return Sample(position, sample_id, "alpaca", record, "", (), reason, record, format)


def recorded_sample(
    position: int, sample_id: str, record: dict[str, Any], format: str, thoughts: Thoughts = "keep"
) -> Sample:
    """Return the sample of a record that was read before; one that cannot be read is skipped."""
    try:
        return make_sample(position, sample_id, record, format, thoughts)
    except DataError as error:
        return unreadable_sample(position, sample_id, record, format, why_unreadable(record) or str(error))


def with_responses(
    sample: Sample,
    responses: Sequence[str],
    to: Format | None = None,
    neighbors: Neighbors | None = None,
) -> dict[str, Any]:
    """Return the sample's record with new responses, one for each of its exchanges, in order.

    In the sample's own format (`to` is None or the same) everything else is exactly as it was read, but for
    fields that spoke of a response that is new: what becomes of these, and of its thoughts, say `neighbors`.
    In another format the converted conversation replaces the fields that held it. Other fields are kept, as
    `original_…` where the new format has a field of that name; those of the other side of a preference record
    are left out, since it is none any more. A conversation of several exchanges becomes an
    Alpaca record in LLaMA-Factory's style: the last one as instruction and output, earlier ones as `history`.
    An unanswered last request and the extra fields of turns are dropped: Alpaca cannot hold them.

    Raises DataError if the other format cannot express the record (tool calls; an unanswered conversation, a
    leading response or a mark as an Alpaca record), and ValueError if the number of responses is not the
    number of exchanges.
    """
    if len(responses) != len(sample.exchanges):
        raise ValueError(f"sample {sample.id}: {len(responses)} responses, {len(sample.exchanges)} exchanges")
    neighbors = neighbors or Neighbors()
    record = _renewed(sample, responses, neighbors)
    if to is None or to == sample.read_as:
        return record
    if why := why_unreadable(record):
        raise DataError(f"sample {sample.id} cannot be written as {to}: {why}")
    try:
        turns = _turns(record, sample.read_as)
        if turns and to == "alpaca" and thoughts_next_to(record, own_fields(sample.read_as, record)):
            turns[-1] = replace(turns[-1], thoughts="")  # which stay where they are
        fields = alpaca.write_turns(turns) if to == "alpaca" else _write_turns(turns, to)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error
    known = parts_of(sample.read_as, record)
    for name in fields_of_other_side(sample.read_as, record):
        del record[name]
        neighbors.other_side[name] += 1
    return _replace(record, known, fields, names_taken(to, record), neighbors.clashing)


def turns_with_responses(
    sample: Sample, responses: Sequence[str], neighbors: Neighbors | None = None
) -> list[Turn]:
    """Return all turns of a sample, with new responses for its exchanges."""
    return read_turns(with_responses(sample, responses, None, neighbors), sample.read_as)


def same_as_other_side(sample: Sample, responses: Sequence[str]) -> bool:
    """Return whether a new response of a preference record is that of its other side, so that it is none."""
    other = other_side(sample.read_as, sample.read)
    if not other or not sample.exchanges or responses[-1] == sample.exchanges[-1].response:
        return False
    found = _parsed_side(sample.read, other)
    if found is None or not found.exchanges:
        return False
    return without_marks(found.exchanges[-1].response) == without_marks(responses[-1])


def _parsed_side(record: dict[str, Any], side: str) -> Parsed | None:
    """Return the parts of the other side of a preference record; None if it is no response."""
    try:
        return parse_record(record, side)
    except DataError:
        return None


def _renewed(sample: Sample, responses: Sequence[str], neighbors: Neighbors) -> dict[str, Any]:
    """Return the record in its own format with new responses."""
    record = dict(sample.read)
    if all(new == exchange.response for new, exchange in zip(responses, sample.exchanges, strict=True)):
        return record
    replaced: list[tuple[str, str]] = []
    thoughts: list[str] = []
    asked: list[str] = []
    places = parse_record(record, sample.read_as).responses
    for place, exchange, response in zip(places, sample.exchanges, responses, strict=True):
        if response == exchange.response:
            continue
        replaced.append((exchange.instruction, exchange.response))
        thoughts.append(exchange.thoughts)
        asked += (exchange.instruction, exchange.input)
        neighbors.thinking += bool(exchange.thoughts)
        parts = (exchange.instruction, exchange.input, sample.system)
        new = partial(rewritten, response=response, parts=parts, thoughts=neighbors.thoughts)
        record = put(record, place, _behind_prompt(record, sample.read_as, response, new))
        if len(place) > 1 and isinstance(place[-1], str):
            record = put(record, place[:-1], partial(_renewed_turn, neighbors, exchange))
    last = responses[-1] != sample.exchanges[-1].response
    known = (*own_fields(sample.read_as, record), *marking_fields(record, sample.read_as))
    side = side_of(sample.read_as)
    record = neighbors.of_record(
        record, known, replaced, last=last, side=side, thoughts=thoughts, asked=asked
    )
    if neighbors.thoughts != "keep" and last and sample.exchanges[-1].thoughts:
        record = _other_side_without_thoughts(sample, record)
    return record


def _other_side_without_thoughts(sample: Sample, record: dict[str, Any]) -> dict[str, Any]:
    """Return a preference record whose new side has lost its thoughts without those of the other side."""
    other = other_side(sample.read_as, record)
    found = _parsed_side(record, other) if other else None
    if not found or not found.exchanges or not found.exchanges[-1].thoughts:
        return record
    exchange, place = found.exchanges[-1], found.responses[-1]
    parts = (exchange.instruction, exchange.input, found.system)
    new = partial(rewritten, response=exchange.response, parts=parts, thoughts="drop")
    record = put(record, place, _behind_prompt(record, other or "", exchange.response, new))
    return put(record, place[:-1], without_thoughts) if isinstance(place[-1], str) and place[:-1] else record


def _behind_prompt(
    record: dict[str, Any], format: str, response: str, new: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Return how a new response is written where the old one is, which may be behind its request again."""
    prompt = repeated_prompt(record, format)
    if not prompt or response.lstrip().startswith(prompt.strip()):
        return new
    return lambda content: (
        prompt + new(content.removeprefix(prompt)) if isinstance(content, str) else new(content)
    )


def _renewed_turn(neighbors: Neighbors, old: Exchange, turn: dict[str, Any]) -> dict[str, Any]:
    known = pair_names(turn) or names_of(turn)
    renewed = neighbors.of_turn(turn, known, old.response, old.thoughts)
    content = renewed.get(known[1])
    if isinstance(content, list):  # citations and the like are next to the text in a part
        renewed[known[1]] = [
            neighbors.of_turn(part, _OF_PART, old.response, old.thoughts)
            if isinstance(part, dict) and not thought_part(part)
            else part
            for part in content
        ]
    return renewed


_OF_PART = ("type", "text", "value")


def _turns(record: dict[str, Any], format: str) -> list[Turn]:
    """Return the record as plain turns, the system prompt first.

    Raises DataError if one is not plain text or has an unknown role.
    """
    system: list[Turn] = []
    others: list[Turn] = []
    for turn in read_turns(record, format):
        if turn.obstacle is not None or turn.text is None:
            raise DataError(f"it has {turn.obstacle}")
        if turn.part or (turn.source is None and len(turn.path) > 1):  # which is not copied with the turn
            turn = replace(turn, text=with_thoughts(turn.text, turn.thoughts), thoughts="")
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
        extra = {_free(name, turn.extra) if name in fields else name: v for name, v in turn.extra.items()}
        written.append(fields | extra)
    return {LISTS[to]: written}


def _messages(found: Parsed) -> list[dict[str, Any]]:
    """Return the exchanges as messages, in which those that stay as they are have a weight of 0."""
    written: list[dict[str, Any]] = [{"role": "system", "content": found.system}] if found.system else []
    for exchange in found.exchanges:
        answer: dict[str, Any] = {"role": "assistant", "content": exchange.response}
        if exchange.fixed:
            answer["weight"] = 0
        written += [{"role": "user", "content": exchange.whole_request}, answer]
    return written


def _replace(
    record: dict[str, Any],
    known: Sequence[str],
    fields: dict[str, Any],
    taken: Collection[str],
    clashing: Counter[str],
) -> dict[str, Any]:
    """Return the record with `fields` at the position of its first known field, without the other ones.

    Others with a name that is `taken` in the new format are renamed, and counted.
    """
    replaced: dict[str, Any] = {}
    for name, value in record.items():
        if name in known:
            replaced |= {field: fields[field] for field in fields if field not in replaced}
        elif name in taken:
            replaced[_free(name, record)] = value
            clashing[name] += 1
        else:
            replaced[name] = value
    return replaced


def _free(name: str, record: Mapping[str, Any]) -> str:
    """Return a name for a field whose own is taken."""
    free = f"{ORIGINAL}{name}"
    while free in record:
        free += "_"
    return free
