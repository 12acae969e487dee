"""What the readers of all formats share: what they hand back, and how they look at a field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samples.sample import DataError, Exchange

# Fields by which LLaMA-Factory, LLaVA and their like attach material that a text model cannot see.
MEDIA_FIELDS = frozenset({"images", "image", "videos", "video", "audios", "audio"})

NO_REQUEST = "an empty request"
NO_RESPONSE = "no answered request"
NOT_TEXT = "text with half a surrogate pair, which no model can be sent"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the method needs of one record.

    `exchanges` holds the answered requests in order; it is empty where `skip` says why the method
    cannot work on the record.
    """

    system: str
    exchanges: tuple[Exchange, ...]
    skip: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn on its way from one format to another.

    `role` is "system", "user" or "assistant". `extra` holds the turn's fields that are neither role
    nor text.
    """

    role: str
    text: str
    extra: Mapping[str, Any]


def kind(value: object) -> str:
    """The JSON type of a value, in words for an error message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a value of type {type(value).__name__}"


def names(record: Mapping[str, Any]) -> str:
    """The names of a record's fields, shortened, for an error message."""
    if not record:
        return "an object without fields"
    shown = ", ".join(brief(name) for name in list(record)[:8])
    return f"the fields {shown}" + (", …" if len(record) > 8 else "")


def brief(text: str) -> str:
    """At most 40 characters of a text that may be long and hold anything, for a message."""
    shown = text if len(text) <= 40 else text[:39] + "…"
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def optional_text(record: Mapping[str, Any], name: str) -> str:
    """The text of a field that may be missing or null, both of which are an empty text.

    Raises DataError where the field holds something else.
    """
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f'expected text in "{name}", found {kind(value)}')
    return value


def media(record: Mapping[str, Any]) -> str | None:
    """Why a record with pictures, films or sound is skipped; None where it has none."""
    if MEDIA_FIELDS.isdisjoint(record):
        return None
    attached = [name for name in record if name in MEDIA_FIELDS and record[name]]
    return f'material that is not text, in "{attached[0]}"' if attached else None


def is_text(text: str) -> bool:
    """Whether the text can be written as UTF-8; half a surrogate pair (JSON has them) cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(text: str) -> str:
    """The text without halves of surrogate pairs, for what takes UTF-8 only: a browser, a data frame."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
