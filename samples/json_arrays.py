"""Read and write records as a JSON array, which may be a field of an object."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from samples.bounds import MAX_RECORD_BYTES, TOO_DEEP, TWICE, count_names, nested_too_deeply, too_large
from samples.compressed import open_binary
from samples.fields import brief, raw_text, unreadable
from samples.json_errors import describe_value, explain, is_unterminated, may_be_truncated
from samples.json_values import DECODER, raw_to_utf8, repeated_name, to_indented_json, to_utf8
from samples.json_window import Window

_CHUNK_BYTES = 1024 * 1024
_FIRST_OF_VALUE = tuple('"[-0123456789tfnNI')
_NAME = r"(?:data|rows|records|examples|instances|items|entries|samples|dataset|train)"
_REQUEST = r"(?:instruction|prompt|question|query|problem|input|response|output)"
_ARRAY_OF_RECORDS = r'\s*:\s*\[(?=\s*\{\s*"(?!role"|from"))'
WRAPPER = re.compile(
    rf'\{{\s*(?:"(?!{_REQUEST}")[^"\\]{{1,60}}"\s*:\s*(?:"[^"\\]*"|[-+.\deE]+|true|false|null)\s*,\s*){{0,8}}'
    + f'"{_NAME}"{_ARRAY_OF_RECORDS}'
)
"""The beginning of an object that has an array of records, and before it at most texts and numbers; none of
them is a request, as in a record with a list of its own."""

_ANOTHER = re.compile(r',\s*"([^"\\]{1,60})"' + _ARRAY_OF_RECORDS)

LONGEST_WRAPPER = 1000
"""Characters among which they are looked for."""

_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")


def read_array(
    path: Path,
    chunk_bytes: int = _CHUNK_BYTES,
    *,
    keep_bad: bool = False,
    max_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record of a JSON array with the number of the line on which it starts, from 1.

    The array may be a field of an object (`WRAPPER`), whose other fields are not read, unless the next one is
    another array of records; and a single object is an array of one. The file is read `chunk_bytes` at a
    time. Raises DataError naming the file, line and record; with `keep_bad`, an element that is no object, or
    nested too deeply, is yielded as `unreadable` instead, unless it is too large.
    """
    with open_binary(path) as file:
        text = Window(path, file, chunk_bytes, max_bytes)
        is_array, is_wrapped = _open_array(text)
        if text.peek() == "]":
            text.position += 1
            text.expect_end()
            return
        while True:
            text.record_number += 1
            record, end, why = _next_value(text, keep_bad=keep_bad)
            line = text.line()
            if end - text.position > max_bytes:
                text.fail(too_large(max_bytes))
            if nested_too_deeply(record):
                why = f"the record is {TOO_DEEP}"
            elif name := repeated_name(text.buffer[text.position : end], count_names(record)):
                why = f'"{brief(name)}" {TWICE}'
            elif type(record) is not dict:
                why = why or f"expected an object, found {describe_value(record)}"
            if why:
                if not keep_bad:
                    text.fail(why)
                record = unreadable(text.buffer[text.position : end], why)
            text.position = end
            yield line, record
            if not is_array:
                _end_object(text)
                return
            comma = _COMMA.match(text.buffer, end)
            if comma and comma.end() < len(text.buffer):
                text.position = comma.end()
                continue
            # Either the array ends here, or the rest is not in memory yet.
            text.skip_blank()
            if text.peek() == "]":
                text.position += 1
                if is_wrapped:
                    _end_wrapper(text)
                else:
                    text.expect_end()
                return
            if text.peek() != ",":
                text.fail(f"expected a comma or ] after this record, found {text.describe_next()}")
            text.position += 1
            text.skip_blank()


def _open_array(text: Window) -> tuple[bool, bool]:
    """Go to the first record. Return whether it is in an array, and whether that is a field of an object."""
    text.skip_blank()
    is_array, is_wrapped = text.peek() == "[", False
    if not is_array and text.peek() == "{":
        text.look_ahead(LONGEST_WRAPPER)
        if wrapper := WRAPPER.match(text.buffer, text.position):
            is_array = is_wrapped = True
            text.position = wrapper.end() - 1
    elif not is_array:
        text.fail("expected an array of records")
    text.position += is_array
    text.skip_blank()
    return is_array, is_wrapped


def _next_value(text: Window, *, keep_bad: bool) -> tuple[Any, int, str]:
    """Decode the value at the position. Return it with its end; and if it cannot be decoded, None and why."""
    is_object = text.peek() == "{"
    if text.peek() == "]":
        text.fail('expected another record after the comma, found "]": take that comma out')
    if not is_object and not (keep_bad and text.peek() in _FIRST_OF_VALUE):
        text.fail(f"expected an object, found {text.describe_next()}")
    while True:
        try:
            value, end = DECODER.raw_decode(text.buffer, text.position)
            if is_object or end < len(text.buffer) or not text.read_more():
                return value, end, ""
            # A number may have more digits.
        except json.JSONDecodeError as error:
            if not may_be_truncated(error, text.buffer):
                text.fail_at(error)
            if text.read_more():
                continue
            if error.pos < len(text.buffer) and not is_unterminated(error):
                text.fail_at(error)
            text.fail("the file ends inside the record that starts here")
        except (ValueError, RecursionError) as error:
            if not keep_bad or text.peek() not in "[{":
                text.fail(explain(error))
            return None, text.find_end(), explain(error)


def _end_object(text: Window) -> None:
    """Fail unless the file ends after its only object."""
    text.skip_blank()
    if text.peek() == "{":
        text.fail(
            "expected one object or an array, found another object after the first: write one a line (as "
            "jq -c . does), or all in an array"
        )
    text.expect_end()


def _end_wrapper(text: Window) -> None:
    """Fail if the object around the array has another one, or does not go on as an object does."""
    text.skip_blank()
    text.look_ahead(LONGEST_WRAPPER)
    if other := _ANOTHER.match(text.buffer, text.position):
        text.fail(
            f'the object has more records in "{other[1]}": write those to work on to a file of their own'
        )
    if text.peek() not in (",", "}"):
        text.fail(f"expected the end of the object, found {text.describe_next()}")


def write_array(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as an indented JSON array in UTF-8, and elements that were no records as they were."""
    # Encoding the record as an array of one gives it the indentation of an array element.
    separator = b"[\n"
    for record in records:
        value: Any = record
        if (raw := raw_text(record)) is not None:
            with suppress(ValueError, RecursionError):
                value = json.loads(raw)
        if raw is not None and value is not record and (nested_too_deeply(value) or repeated_name(raw)):
            file.write(separator + b" " + raw_to_utf8(raw))
        else:
            file.write(separator + to_utf8(to_indented_json([value])[2:-2]))
        separator = b",\n"
    file.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def fits_array(record: dict[str, Any]) -> bool:
    """Return whether `write_array` can write a record as it was: it is one, or is JSON at least."""
    if (raw := raw_text(record)) is None:
        return True
    try:
        raw.encode()  # which fails for what is not UTF-8
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True
