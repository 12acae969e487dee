"""What the parsers of all formats share: their result types and their checks of single fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samples.sample import DataError, Exchange

# Fields in which LLaMA-Factory, LLaVA and similar tools attach media, which a text model cannot process.
MEDIA_FIELDS = frozenset({"images", "image", "videos", "video", "audios", "audio"})

NO_REQUEST = "an empty request"
NO_RESPONSE = "no answered request"
NOT_TEXT = "text with an unpaired surrogate, which cannot be sent to a model"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of one record that the method works on."""

    system: str
    exchanges: tuple[Exchange, ...]  # the answered requests in order; empty if the record is skipped
    skip: str | None  # why the method cannot work on the record


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation that is being converted to another format."""

    role: str  # "system", "user" or "assistant"
    text: str
    extra: Mapping[str, Any]  # the turn's fields other than role and text


def json_type(value: object) -> str:
    """Describe the JSON type of a value for an error message."""
    match value:
        case None:
            return "null"
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


def optional_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a field, or an empty string if it is missing or null.

    Raises DataError if the field holds anything else.
    """
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f'expected a string in "{name}", found {json_type(value)}')
    return value


def media_reason(record: Mapping[str, Any]) -> str | None:
    """Return why a record with images, video or audio is skipped; None if it has none of these."""
    if MEDIA_FIELDS.isdisjoint(record):
        return None
    attached = [name for name in record if name in MEDIA_FIELDS and record[name]]
    return f'non-text content in "{attached[0]}"' if attached else None


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
