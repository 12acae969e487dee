"""One JSON value: how it is decoded and encoded, and whether an object in it has a name twice.

Strings (even with unpaired surrogates), integers of up to 4,300 digits and the order of fields are kept
exactly. The spelling of a number is not (`1.50` becomes 1.5). NaN and infinities, which Python's own encoder
writes, are read as null, and so are fractions and powers beyond those that Python has. An object with two
values under one name is no record, since readers differ in which one they keep.
"""

import datetime
import json
import math
import re
from base64 import b64encode
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from samples.sample import DataError

BLANK = " \t\r\n"
"""What JSON has as white space."""

_QUOTE_AND_BLANK = re.compile(rb'"[ \t\r\n]+:')
_NAME_AND_BLANK = re.compile(rb'(?:(?<!\\)|(?<=\\\\))"[ \t\r\n]+:')

decode = msgspec.json.Decoder().decode
"""Decode bytes to the same value as Python's own decoder, in a third of the time.

It rejects some valid JSON, such as unpaired surrogates, and its error messages say less; so whatever it
rejects is passed to Python's decoder.
"""

DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""The exceptions that `decode` raises."""


def _parse_float(digits: str) -> float | None:
    number = float(digits)
    return None if math.isinf(number) else number


_NUMBERS: dict[str, Any] = {
    "parse_float": _parse_float,
    "parse_constant": lambda name: None,
}
DECODER = json.JSONDecoder(**_NUMBERS)
"""Python's own decoder, for what `decode` rejects."""


def read_json(text: str) -> Any:
    """Decode the output of `to_json`."""
    try:
        return decode(text)
    except DECODE_ERRORS:
        return json.loads(text)


def to_json(value: Any) -> str:
    """Encode a value as JSON on one line, as records are written.

    Parquet values that JSON lacks become strings: ISO 8601 for dates and times, seconds ("1.5 s") for
    durations, `str` for decimals and UUIDs, base64 for bytes. NaN and infinities become null. The result may
    contain unpaired surrogates: encode it with errors="backslashreplace", which turns them into JSON escapes.
    Raises DataError if the value is nested too deeply or has another type.
    """
    return _encode(value, _COMPACT)


def to_indented_json(value: Any) -> str:
    """Encode a value as `to_json` does, over several lines."""
    return _encode(value, _INDENTED)


def to_utf8(text: str) -> bytes:
    """Encode what `to_json` returns."""
    return text.encode(errors="backslashreplace")


def raw_to_utf8(raw: str) -> bytes:
    """Return the bytes of a text that was decoded with "surrogateescape"."""
    try:
        return raw.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return to_utf8(raw)


def _encode(value: Any, encoder: json.JSONEncoder) -> str:
    try:
        return encoder.encode(value)
    except RecursionError as error:
        raise DataError("a record is nested too deeply to be written as JSON") from error
    except ValueError:
        return encoder.encode(_replace_non_finite(value))


def _to_string(value: Any) -> str:
    match value:
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return f"{value.total_seconds()} s"
        case Decimal() | UUID():
            return str(value)
        case bytes():
            return b64encode(value).decode()
        case _:
            raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _replace_non_finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_replace_non_finite(item) for item in value]
        case dict():
            return {key: _replace_non_finite(item) for key, item in value.items()}
        case _:
            return value


_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_to_string)
_INDENTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_to_string, indent=1)
_SORTED = json.JSONEncoder(sort_keys=True)


class _Repeated(Exception):
    """An object has two values under one name."""


def may_repeat(text: bytes, names: int) -> bool:
    """Return whether a JSON text may have a name twice in one object, of which so many `names` are left."""
    # A name is followed by a colon; in texts, a quote before a colon is written with a backslash. Two of them
    # may be the end of a name.
    if text.count(b":") <= names:  # most records have few, and counting one byte is fast
        return False
    colons = text.count(b'":')
    if _QUOTE_AND_BLANK.search(text):
        colons += len(_NAME_AND_BLANK.findall(text))
    return colons > names and colons - text.count(b'\\":') + text.count(b'\\\\":') > names


def repeated_name(text: str | bytes, names: int | None = None) -> str:
    """Return a name with two values in one object of a JSON text that can be decoded; empty if there is none.

    The same value twice does no harm. With `names`, the text is only decoded if it `may_repeat` one.
    """
    if names is not None and not may_repeat(text if isinstance(text, bytes) else to_utf8(text), names):
        return ""
    if isinstance(text, bytes):
        text = text.decode(errors="replace").strip(BLANK).removeprefix("\ufeff")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            for name, value in pairs:
                # Compared as JSON, since 1, 1.0 and true are equal in Python.
                if _SORTED.encode(found[name]) != _SORTED.encode(value):
                    raise _Repeated(name)
        return found

    try:
        json.JSONDecoder(**_NUMBERS, object_pairs_hook=unique).raw_decode(text)
    except _Repeated as error:
        return str(error) or '""'
    except (ValueError, RecursionError):
        pass
    return ""
