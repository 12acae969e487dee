"""What the parsers of all formats share: their result types and their checks of single fields."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from samples.sample import DataError, Exchange

# Fields in which LLaMA-Factory, LLaVA and similar tools attach media, which a text model cannot process.
MEDIA_FIELDS = frozenset({"images", "image", "videos", "video", "audios", "audio"})

# Placeholders for "no input" in the original Alpaca prompts and in some data sets.
_NO_INPUT = {"<noinput>", "<no input>"}

NO_REQUEST = "an empty request"
NO_RESPONSE = "no answered request"
NOT_TEXT = "text with an unpaired surrogate, which cannot be sent to a model"


Place = tuple[str | int, ...]
"""Where in a record a text is: names of fields and positions in lists, from the outside."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of one record that the method works on."""

    system: str
    exchanges: tuple[Exchange, ...]  # the answered requests in order; mostly empty if the record is skipped
    skip: str | None  # why the method cannot work on the record
    responses: tuple[Place, ...] = ()  # where those of the exchanges are
    thinking: int = 0  # responses with thoughts, whether they are worked on or not
    ended: bool = False  # whether marks of a turn's end were taken off a response


_RAW, _WHY = "__unreadable__", "__because__"


def unreadable(raw: str, why: str) -> dict[str, Any]:
    """Return a record in place of a part of a file that is none, to be written as it was."""
    return {_RAW: raw, _WHY: why}


def raw_text(record: Mapping[str, Any]) -> str | None:
    """Return what `unreadable` was given; None if the record is a record."""
    return record[_RAW] if record.keys() == {_RAW, _WHY} else None


def why_unreadable(record: Mapping[str, Any]) -> str | None:
    """Return why there is no record here; None if there is one."""
    return record[_WHY] if raw_text(record) is not None else None


def is_missing(value: object) -> bool:
    """Return whether a value stands for none: null, or NaN, which pandas writes in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_empty(value: object) -> bool:
    """Return whether a field has nothing in it: none, white space, or a list or object without items."""
    return is_missing(value) or (isinstance(value, str) and not value.strip()) or value in ([], {}, ())


def plural(number: int, noun: str) -> str:
    """Format a count with its noun."""
    if number == 1:
        return f"1 {noun}"
    ies = noun.endswith("y") and noun[-2:-1] not in "aeo"
    return f"{number:,} {noun[:-1]}ies" if ies else f"{number:,} {noun}s"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as in "57 %"."""
    return f"{100 * share:.{digits}f} %"


def signed_points(difference: float, digits: int = 0) -> str:
    """Return a difference of shares in points, as in "+13" or "−3"."""
    points = round(100 * difference, digits)
    return f"{'−' if points < 0 else '+' if points else ''}{abs(points):.{digits}f}"


def json_type(value: object) -> str:
    """Describe the JSON type of a value for an error message."""
    if is_missing(value):
        return "null"
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a value of type {type(value).__name__}"


def field_names(record: Mapping[str, Any]) -> str:
    """List the names of a record's first fields for an error message."""
    if not record:
        return "an empty object"
    shown = ", ".join(brief(name) for name in list(record)[:8])
    return f"the fields {shown}" + (", …" if len(record) > 8 else "")


def brief(text: str) -> str:
    """Shorten a text to 40 characters and escape control characters, for a message."""
    shown = text if len(text) <= 40 else text[:39] + "…"
    return shown if shown.isprintable() else ascii(shown)[1:-1]


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


LONGEST_NAME = 100
"""Characters of a field's name that says what the field is; longer ones are texts of strangers."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text, as a set."""
    return frozenset(text.split())


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a field's name, such as score and gpt for `scoreGPT4` or `score_gpt4`."""
    return tuple(word.lower() for word in _WORDS.findall(name[:LONGEST_NAME]))


def join_distinct(texts: Iterable[str]) -> str:
    """Join texts, leaving out empty ones and duplicates."""
    return "\n\n".join(dict.fromkeys(filter(None, texts)))


def optional_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a field, or an empty string if it is missing, null or NaN.

    Raises DataError if the field holds anything else.
    """
    value = record.get(name)
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    raise DataError(f'expected a string in "{name}", found {json_type(value)}')


def system_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a system prompt, as `optional_text` does; an empty list or object is none."""
    return "" if record.get(name) in ([], {}) else optional_text(record, name)


def response_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a response, as `optional_text` does; that of a number is how JSON writes it."""
    value = record.get(name)
    return number_text(value) or optional_text(record, name)


def number_text(value: object) -> str:
    """Return how JSON writes a number; empty if the value is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not is_missing(value)
    return str(value) if is_number else ""


def optional_input(record: Mapping[str, Any], name: str) -> str:
    """Return the second part of a request; empty where it is missing or a placeholder.

    Raises DataError if the field holds anything but a text.
    """
    value = record.get(name)
    if not value or is_missing(value):
        return ""
    if not isinstance(value, str):
        raise DataError(f'expected a string in "{name}", found {json_type(value)}')
    stripped = value.strip()
    return "" if not stripped or stripped.lower() in _NO_INPUT else value


def media_reason(record: Mapping[str, Any]) -> str | None:
    """Return why a record with images, video or audio is skipped; None if it has none of these."""
    if MEDIA_FIELDS.isdisjoint(record):
        return None
    for name, value in record.items():
        if name in MEDIA_FIELDS and value and value != "[]" and not is_missing(value):  # a list in a table
            return f'non-text content in "{name}"'
    return None


def is_encodable(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8. An unpaired surrogate, which JSON allows, cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(text: str) -> str:
    """Replace unpaired surrogates, for consumers that only accept UTF-8: a browser, a data frame."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
