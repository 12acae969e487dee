"""Read and write records as streams of JSON: an array, or one object per line (JSON lines).

Strings (even with unpaired surrogates), integers of up to 4,300 digits and the order of fields are kept
exactly. The spelling of a number is not (`1.50` becomes 1.5). NaN and infinities, which Python's own encoder
writes, are read as null, and so are fractions and powers beyond those that Python has. An object with two
values under one name is no record, since readers differ in which one they keep.
"""

import codecs
import datetime
import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import UUID

import msgspec

from samples.bounds import MAX_RECORD_MB, MB, TOO_DEEP, TWICE, count_names, nested_too_deeply, too_large
from samples.compressed import open_binary
from samples.fields import brief, json_type, raw_text, unreadable
from samples.sample import DataError

MAX_RECORD_BYTES = MAX_RECORD_MB * MB

_CHUNK_BYTES = 1024 * 1024
_BLANK = " \t\r\n"
_FIRST_OF_VALUE = tuple('"[-0123456789tfnNI')
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_NAME = r"(?:data|rows|records|examples|instances|items|entries|samples|dataset|train)"
_ARRAY_OF_RECORDS = r'\s*:\s*\[(?=\s*\{\s*"(?!role"|from"))'
WRAPPER = re.compile(
    r'\{\s*(?:"[^"\\]{1,60}"\s*:\s*(?:"[^"\\]*"|[-+.\deE]+|true|false|null)\s*,\s*){0,8}'
    + f'"{_NAME}"{_ARRAY_OF_RECORDS}'
)
"""The beginning of an object that has an array of records, and before it at most texts and numbers."""

_ANOTHER = re.compile(r',\s*"([^"\\]{1,60})"' + _ARRAY_OF_RECORDS)

LONGEST_WRAPPER = 1000
"""Characters among which they are looked for."""

_OPENING_TURN = re.compile(r'\[\s{0,99}\{\s{0,99}"(?:role|from)"')
_LIST_OF_TURNS = 'a list of turns: write each as an object with the list in "messages"'

_NEW_LINE = re.compile(r"\r?\n")  # which may be in what is JSON between its tokens only

_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_QUOTE_AND_BLANK = re.compile(rb'"[ \t\r\n]+:')
_NAME_AND_BLANK = re.compile(rb'(?:(?<!\\)|(?<=\\\\))"[ \t\r\n]+:')
_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"|["\[\]{}]', re.DOTALL)

decode = msgspec.json.Decoder().decode
"""Decode bytes to the same value as Python's own decoder, in a third of the time.

It rejects some valid JSON, such as unpaired surrogates, and its error messages say less; so whatever it
rejects is passed to Python's decoder.
"""

DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""The exceptions that `decode` raises."""

# If the end of a token is cut off, a decoder reports the error at its start. This is the longest such token:
# a surrogate pair written as two escapes.
_LONGEST_TOKEN = len(r"\ud83d\ude00")


def read_lines(
    path: Path, *, keep_bad: bool = False, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each record of a JSON lines file with its line number, from 1.

    Blank lines are skipped. Raises DataError naming the file, line and record; with `keep_bad`, a line that
    is no record, or nested too deeply, is yielded as `unreadable` instead, unless it is too large.
    """
    with open_binary(path) as file:
        record_number, end_offset = 1, 0
        read_line = partial(file.readline, max_bytes + 1)
        for line_number, line in enumerate(iter(read_line, b""), start=1):
            end_offset += len(line)
            if len(line) > max_bytes:
                raise DataError(
                    f"{path}, line {line_number} (record {record_number}): {too_large(max_bytes)}"
                )
            if line_number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.isspace():
                continue
            try:
                record = decode(line)
            except DECODE_ERRORS:
                record = None
            if (
                type(record) is dict
                and (names := count_names(record)) >= 0
                and not repeated_name(line, names)
            ):
                yield line_number, record
                record_number += 1
                continue
            try:
                text = line.decode().strip(_BLANK)
                if not text:
                    continue
                record, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError) as error:
                message = _explain_line(error, line, line_number, end_offset)
            else:
                if type(record) is dict and text[end:].strip() == ",":  # as lines of an array have it
                    end = len(text)
                if end != len(text):
                    message = f"{_ONE_PER_LINE}, found {text[end : end + 20]!a} after it"
                elif type(record) is not dict:
                    message = f"expected an object, found {_found(record)}"
                elif nested_too_deeply(record):
                    message = f"the record is {TOO_DEEP}"
                elif name := repeated_name(line, count_names(record)):
                    message = f'"{brief(name)}" {TWICE}'
                else:
                    yield line_number, record
                    record_number += 1
                    continue
            if not keep_bad:
                raise DataError(f"{path}, line {line_number} (record {record_number}): {message}")
            yield line_number, unreadable(line.rstrip(b"\r\n").decode(errors="surrogateescape"), message)
            record_number += 1


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
        text = _Window(path, file, chunk_bytes, max_bytes)
        text.skip_blank()
        is_array, is_wrapped = text.peek() == "[", False
        if not is_array and text.peek() == "{":
            while len(text.buffer) - text.position < LONGEST_WRAPPER and text.read_more():
                pass
            if wrapper := WRAPPER.match(text.buffer, text.position):
                is_array = is_wrapped = True
                text.position = wrapper.end() - 1
        elif not is_array:
            text.fail("expected an array of records")
        text.position += is_array
        text.skip_blank()
        if text.peek() == "]":
            text.position += 1
            text.expect_end()
            return
        while True:
            text.record_number += 1
            is_object, why = text.peek() == "{", None
            if text.peek() == "]":
                text.fail('expected another record after the comma, found "]": take that comma out')
            if not is_object and not (keep_bad and text.peek() in _FIRST_OF_VALUE):
                text.fail(f"expected an object, found {text.describe_next()}")
            while True:
                try:
                    record, end = _DECODER.raw_decode(text.buffer, text.position)
                    if is_object or end < len(text.buffer) or not text.read_more():
                        break  # a number may go on
                except json.JSONDecodeError as error:
                    if not _may_be_truncated(error, text.buffer):
                        text.fail_at(error)
                    if text.read_more():
                        continue
                    if error.pos < len(text.buffer) and not _is_unterminated(error):
                        text.fail_at(error)
                    text.fail("the file ends inside the record that starts here")
                except (ValueError, RecursionError) as error:
                    if not keep_bad or text.peek() not in "[{":
                        text.fail(_explain(error))
                    record, why, end = None, _explain(error), text.find_end()
                    break
            line = text.line()
            if end - text.position > max_bytes:
                text.fail(too_large(max_bytes))
            if nested_too_deeply(record):
                why = f"the record is {TOO_DEEP}"
            elif name := repeated_name(text.buffer[text.position : end], count_names(record)):
                why = f'"{brief(name)}" {TWICE}'
            elif not is_object:
                why = why or f"expected an object, found {_found(record)}"
            if why is not None:
                if not keep_bad:
                    text.fail(why)
                record = unreadable(text.buffer[text.position : end], why)
            text.position = end
            yield line, record

            comma = _COMMA.match(text.buffer, end) if is_array else None
            if comma and comma.end() < len(text.buffer):
                text.position = comma.end()
                continue
            # Either the array ends here, or the rest is not in memory yet.
            text.skip_blank()
            if not is_array:
                if text.peek() == "{":
                    text.fail(
                        "expected one object or an array, found another object after the first: write one a "
                        "line (as jq -c . does), or all in an array"
                    )
                text.expect_end()
                return
            if text.peek() == "]":
                text.position += 1
                if is_wrapped:
                    text.skip_blank()
                    while len(text.buffer) - text.position < LONGEST_WRAPPER and text.read_more():
                        pass
                    if other := _ANOTHER.match(text.buffer, text.position):
                        text.fail(
                            f'the object has more records in "{other[1]}": write those to work on to a file '
                            "of their own"
                        )
                    if text.peek() not in (",", "}"):
                        text.fail(f"expected the end of the object, found {text.describe_next()}")
                    return
                text.expect_end()
                return
            if text.peek() != ",":
                text.fail(f"expected a comma or ] after this record, found {text.describe_next()}")
            text.position += 1
            text.skip_blank()


def write_lines(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSON lines in UTF-8, and what could not be read as it was, but on one line."""
    for record in records:
        if (raw := raw_text(record)) is not None:
            file.write(_as_read(_NEW_LINE.sub(" ", raw)) + b"\n")
        else:
            file.write(_utf8(to_json(record)) + b"\n")


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
            file.write(separator + b" " + _as_read(raw))
        else:
            file.write(separator + _utf8(_encode([value], _INDENTED)[2:-2]))
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


def _encode(value: Any, encoder: json.JSONEncoder) -> str:
    try:
        return encoder.encode(value)
    except RecursionError as error:
        raise DataError("a record is nested too deeply to be written as JSON") from error
    except ValueError:
        return encoder.encode(_replace_non_finite(value))


def _as_read(raw: str) -> bytes:
    """Return the bytes of a text that was decoded with "surrogateescape"."""
    try:
        return raw.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return _utf8(raw)


def _utf8(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


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


def _parse_float(digits: str) -> float | None:
    number = float(digits)
    return None if math.isinf(number) else number


_NUMBERS: dict[str, Any] = {
    "parse_float": _parse_float,
    "parse_constant": lambda name: None,
}
_DECODER = json.JSONDecoder(**_NUMBERS)


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
    if names is not None and not may_repeat(text if isinstance(text, bytes) else _utf8(text), names):
        return ""
    if isinstance(text, bytes):
        text = text.decode(errors="replace").strip(_BLANK).removeprefix("\ufeff")

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


_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_to_string)
_INDENTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_to_string, indent=1)
_SORTED = json.JSONEncoder(sort_keys=True)
_ONE_PER_LINE = "expected one JSON object per line"


def _explain(error: ValueError | RecursionError) -> str:
    """Explain why a record could not be decoded."""
    match error:
        case RecursionError():
            return f"the record is {TOO_DEEP}"
        case json.JSONDecodeError():
            near = error.doc[error.pos : error.pos + 20]
            if near.startswith("'"):
                return f"invalid JSON: found {near!a}, as Python prints it; write it with json.dumps"
            return f"invalid JSON: {error.msg}" + (f" near {near!a}" if near else "")
        case _:
            return f"invalid JSON: {str(error).partition(';')[0]}"


def _explain_line(error: ValueError | RecursionError, line: bytes, line_number: int, end_offset: int) -> str:
    """Explain why a line, which ends at an offset in the file, could not be decoded."""
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(line[error.start], end_offset - len(line) + error.start)
    if isinstance(error, json.JSONDecodeError) and _may_be_truncated(error, error.doc):
        if not line.endswith(b"\n"):
            return f"the file ends inside this record; {_ONE_PER_LINE}"
        if line_number == 1:
            return f"the object that starts here does not end on this line; {_ONE_PER_LINE}, or a JSON array"
    return f"{_explain(error)}; {_ONE_PER_LINE}"


def _not_utf8(byte: int, offset: int) -> str:
    return f"expected UTF-8, found byte 0x{byte:02x} at file offset {offset}"


def _is_unterminated(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string")


def _may_be_truncated(error: json.JSONDecodeError, text: str) -> bool:
    """Return whether the error may be due to the missing end of the text."""
    return _is_unterminated(error) or error.pos >= len(text) - _LONGEST_TOKEN


def _found(value: Any) -> str:
    is_turns = isinstance(value, list) and value and isinstance(value[0], dict)
    return _LIST_OF_TURNS if is_turns and {"role", "from"} & value[0].keys() else json_type(value)


class _Window:
    """The part of a JSON file that is in memory, with the current reading position."""

    def __init__(self, path: Path, file: BinaryIO, chunk_bytes: int, max_bytes: int) -> None:
        self.path = path
        self.file = file
        self.chunk_bytes = chunk_bytes
        self.max_bytes = max_bytes
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.buffer = ""
        self.position = 0
        self.end_offset = 0  # of what was read
        self.record_number = 0
        # Lines are counted only up to here until a line number is needed.
        self.counted_to = 0
        self.counted_lines = 1

    def read_more(self) -> bool:
        """Read the next chunk and drop the text before the position. Return False at the end of the file."""
        unread = len(self.buffer) - self.position
        if unread > self.max_bytes:
            self.fail(too_large(self.max_bytes))
        self.line()
        # A record longer than a chunk is decoded again from its start after each read. Doubling what is in
        # memory each time keeps the total work proportional to the record's length.
        wanted = max(self.chunk_bytes, min(unread, self.max_bytes + 1 - unread))
        text = ""
        at_end = False
        while not text and not at_end:
            data = self.file.read(wanted)
            self.end_offset += len(data)
            at_end = not data
            try:
                text = self.decoder.decode(data, final=at_end)
            except UnicodeDecodeError as error:
                self._fail_decoding(error)
        if not text:
            return False
        self.buffer = self.buffer[self.position :] + text
        self.position = self.counted_to = 0
        return True

    def skip_blank(self) -> None:
        """Advance past white space."""
        while True:
            if found := _NOT_BLANK.search(self.buffer, self.position):
                self.position = found.start()
                return
            self.position = len(self.buffer)
            if not self.read_more():
                return

    def peek(self) -> str:
        """Return the next character, or an empty string at the end of the file."""
        return self.buffer[self.position : self.position + 1]

    def describe_next(self) -> str:
        """Describe what starts at the position, for an error message."""
        match self.peek():
            case "":
                return "the end of the file"
            case '"':
                return "a string"
            case "[":
                return _LIST_OF_TURNS if _OPENING_TURN.match(self.buffer, self.position) else "a list"
            case "{":
                return "another object"
            case character if character in "-0123456789":
                return "a number"
            case _:
                return ascii(self.buffer[self.position : self.position + 20])

    def line(self) -> int:
        """Return the line number of the position, from 1."""
        self.counted_lines += self.buffer.count("\n", self.counted_to, self.position)
        self.counted_to = self.position
        return self.counted_lines

    def find_end(self) -> int:
        """Return the index at which the list or object at the position ends, however deep it is nested."""
        depth, start = 0, self.position
        while True:
            for found in _BRACKET_OR_STRING.finditer(self.buffer, start):
                start = found.start()
                if found[0] == '"':  # of a string whose end is not read yet
                    break
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
                start = found.end()
                if not depth:
                    return start
            read = start - self.position
            if not self.read_more():
                self.fail("the file ends inside the record that starts here")
            start = self.position + read

    def expect_end(self) -> None:
        """Fail if anything but white space follows."""
        self.skip_blank()
        if self.peek():
            self.fail(f"expected nothing after the end of the data, found {self.describe_next()}")

    def fail_at(self, error: json.JSONDecodeError) -> NoReturn:
        """Raise DataError for a JSON error after the position."""
        self.position = error.pos
        self.fail(_explain(error))

    def fail(self, message: str) -> NoReturn:
        """Raise DataError naming the position."""
        record = f" (record {self.record_number})" if self.record_number else ""
        raise DataError(f"{self.path}, line {self.line()}{record}: {message}")

    def _fail_decoding(self, error: UnicodeDecodeError) -> NoReturn:
        # `error.object` also contains the bytes of a character that the previous read cut off, so it starts
        # before the last read and ends with it.
        offset = self.end_offset - len(error.object) + error.start
        line = self.counted_lines + self.buffer.count("\n", self.counted_to)
        line += error.object.count(b"\n", 0, error.start)
        message = _not_utf8(error.object[error.start], offset)
        raise DataError(f"{self.path}, line {line}: {message}") from error
