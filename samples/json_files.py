"""Records in JSON files, an array or one object a line (JSON lines), in and out as a stream.

What is kept exactly: texts (half surrogate pairs too), whole numbers of any size, the order of
fields. Not kept: how a number was written (`1.50` is 1.5), and the first of two fields with the
same name.
"""

import codecs
import datetime
import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import UUID

import msgspec

from samples.fields import kind
from samples.sample import DataError

# A record larger than this is a file that is not what it seems, not a sample.
MAX_RECORD_BYTES = 256 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024
_BLANK = " \t\r\n"
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")

decode = msgspec.json.Decoder().decode
"""Bytes as the value that Python's own decoder makes of them, in a third of the time.

It refuses some texts that are JSON, such as those with half a surrogate pair, and says less of what is
broken: what it refuses is for Python's decoder to read, or to explain.
"""

REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What `decode` raises."""

# The longest thing at whose first character a decoder reports an error when its end is cut off:
# a surrogate pair written as two escapes.
_LONGEST_TOKEN = len(r"\ud83d\ude00")


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a JSON lines file, each with the number of its line, from 1.

    Blank lines are passed over. Raises DataError that names file, line and record.
    """
    with path.open("rb") as file:
        record_number = 1
        read_line = partial(file.readline, MAX_RECORD_BYTES + 1)
        for line_number, line in enumerate(iter(read_line, b""), start=1):
            if line_number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            try:
                record = decode(line)
            except REFUSALS:
                record = None
            if type(record) is dict:
                yield line_number, record
                record_number += 1
                continue
            try:
                text = line.decode().strip(_BLANK)
                if not text:
                    continue
                record, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError) as error:
                message = _broken_line(error, line, line_number, file.tell())
            else:
                if end != len(text):
                    message = f"expected one JSON object a line, found {text[end : end + 20]!a} after it"
                elif type(record) is not dict:
                    message = f"expected an object, found {kind(record)}"
                else:
                    yield line_number, record
                    record_number += 1
                    continue
            raise DataError(f"{path}, line {line_number} (record {record_number}): {message}")


def read_array(path: Path, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a JSON array, each with the number of the line it begins on, from 1.

    The file is read `chunk_bytes` at a time. Raises DataError that names file, line and record.
    """
    with path.open("rb") as file:
        text = _Window(path, file, chunk_bytes)
        text.skip_blank()
        if text.peek() != "[":
            text.fail("expected an array of records")
        text.position += 1
        text.skip_blank()
        if text.peek() == "]":
            text.position += 1
            text.expect_end()
            return
        while True:
            text.record_number += 1
            if text.peek() != "{":
                text.fail(f"expected an object, found {text.what()}")
            while True:
                try:
                    record, end = _DECODER.raw_decode(text.buffer, text.position)
                    break
                except json.JSONDecodeError as error:
                    if not _is_cut(error, text.buffer):
                        text.fail_at(error)
                    if text.more():
                        continue
                    if error.pos < len(text.buffer) and not _is_unterminated(error):
                        text.fail_at(error)
                    text.fail("the file ends inside this record, which begins here")
                except (ValueError, RecursionError) as error:
                    text.fail(_broken(error))
            line = text.line()
            text.position = end
            yield line, record

            comma = _COMMA.match(text.buffer, end)
            if comma and comma.end() < len(text.buffer):
                text.position = comma.end()
                continue
            # The array ends here, or what follows is not in memory yet.
            text.skip_blank()
            if text.peek() == "]":
                text.position += 1
                text.expect_end()
                return
            if text.peek() != ",":
                text.fail(f"expected a comma or ] after this record, found {text.what()}")
            text.position += 1
            text.skip_blank()


def write_lines(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSON lines in UTF-8."""
    for record in records:
        file.write(_bytes(to_json(record)) + b"\n")


def write_array(file: BinaryIO, records: Iterable[dict[str, Any]]) -> None:
    """Write records as a JSON array in UTF-8, each field on a line of its own."""
    # Encoding the record as an array of one gives it the indentation it has in the whole.
    before = b"[\n"
    for record in records:
        file.write(before + _bytes(_encoded([record], _INDENTED)[2:-2]))
        before = b",\n"
    file.write(b"\n]\n" if before == b",\n" else b"[]\n")


def read_json(text: str) -> Any:
    """What `to_json` wrote."""
    try:
        return decode(text)
    except REFUSALS:
        return json.loads(text)


def to_json(value: Any) -> str:
    """The value as JSON on one line, in the way records are written.

    Values that Parquet brings and JSON does not know become text: dates and times as in ISO 8601,
    durations in seconds ("1.5 s"), decimals and UUIDs as they print, bytes as base64. Numbers that
    are not finite become null. The result may hold half surrogate pairs; encode with
    errors="backslashreplace", which turns them into the escapes that JSON has for them. Raises
    DataError where the value is nested too deeply or of another type.
    """
    return _encoded(value, _COMPACT)


def _encoded(value: Any, encoder: json.JSONEncoder) -> str:
    try:
        return encoder.encode(value)
    except RecursionError as error:
        raise DataError("a record is nested too deeply to be written as JSON") from error
    except ValueError:
        return encoder.encode(_finite_only(value))


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _as_text(value: Any) -> str:
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


def _finite_only(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_finite_only(item) for item in value]
        case dict():
            return {key: _finite_only(item) for key, item in value.items()}
        case _:
            return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


_DECODER = json.JSONDecoder(parse_float=_finite_float, parse_constant=_refuse_constant)
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_text)
_INDENTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_text, indent=1)
_TOO_LARGE = f"the record is larger than {MAX_RECORD_BYTES // 1024**2} MiB"


def _broken(error: ValueError | RecursionError) -> str:
    """What is wrong with the text of a record, as far as it can be said."""
    match error:
        case RecursionError():
            return "the record is nested too deeply"
        case json.JSONDecodeError():
            near = error.doc[error.pos : error.pos + 20]
            return f"not JSON: {error.msg}" + (f" near {near!a}" if near else "")
        case _:
            return f"not JSON: {error}"


def _broken_line(error: ValueError | RecursionError, line: bytes, line_number: int, end_offset: int) -> str:
    """What is wrong with a line of JSON lines that ends at an offset of the file."""
    if len(line) > MAX_RECORD_BYTES:
        return _TOO_LARGE
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(line[error.start], end_offset - len(line) + error.start)
    if isinstance(error, json.JSONDecodeError) and _is_cut(error, error.doc):
        if not line.endswith(b"\n"):
            return "the file ends inside this record; expected one JSON object a line"
        if line_number == 1:
            return (
                "an object begins here and does not end on the same line; "
                "expected an array of records, or one JSON object a line"
            )
    return f"{_broken(error)}; expected one JSON object a line"


def _not_utf8(byte: int, offset: int) -> str:
    return f"expected UTF-8, found the byte 0x{byte:02x} at offset {offset} of the file"


def _is_unterminated(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string")


def _is_cut(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the error may come from the text's end being missing."""
    return _is_unterminated(error) or error.pos >= len(text) - _LONGEST_TOKEN


class _Window:
    """The part of a JSON file that is in memory, and where in it the reading stands."""

    def __init__(self, path: Path, file: BinaryIO, chunk_bytes: int) -> None:
        self.path = path
        self.file = file
        self.chunk_bytes = chunk_bytes
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.buffer = ""
        self.position = 0
        self.record_number = 0
        # Lines are counted up to here only, and on from here when a line number is needed.
        self.counted_to = 0
        self.counted_lines = 1

    def more(self) -> bool:
        """Read on, letting go of the text before the position. False at the end of the file."""
        unread = len(self.buffer) - self.position
        if unread > MAX_RECORD_BYTES:
            self.fail(_TOO_LARGE)
        self.line()
        # A record that is longer than a chunk is decoded again from its beginning each time more of
        # it arrives; reading as much again as there is keeps the sum of that work proportional to
        # its length.
        wanted = max(self.chunk_bytes, unread)
        text = ""
        at_end = False
        while not text and not at_end:
            data = self.file.read(wanted)
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
        """Move on past white space."""
        while True:
            if found := _NOT_BLANK.search(self.buffer, self.position):
                self.position = found.start()
                return
            self.position = len(self.buffer)
            if not self.more():
                return

    def peek(self) -> str:
        """The next character, or nothing at the end of the file."""
        return self.buffer[self.position : self.position + 1]

    def what(self) -> str:
        """What begins at the position, in words for an error message."""
        match self.peek():
            case "":
                return "the end of the file"
            case '"':
                return "text"
            case "[":
                return "a list"
            case "{":
                return "another one"
            case character if character in "-0123456789":
                return "a number"
            case _:
                return ascii(self.buffer[self.position : self.position + 20])

    def line(self) -> int:
        """The number of the line the position is on, from 1."""
        self.counted_lines += self.buffer.count("\n", self.counted_to, self.position)
        self.counted_to = self.position
        return self.counted_lines

    def expect_end(self) -> None:
        """Fail where anything but white space follows."""
        self.skip_blank()
        if self.peek():
            self.fail(f"expected nothing after the array's end, found {self.what()}")

    def fail_at(self, error: json.JSONDecodeError) -> NoReturn:
        """Raise DataError for JSON that is broken somewhere after the position."""
        self.position = error.pos
        self.fail(_broken(error))

    def fail(self, message: str) -> NoReturn:
        """Raise DataError for the position."""
        place = f"line {self.line()}"
        if self.record_number:
            place += f" (record {self.record_number})"
        raise DataError(f"{self.path}, {place}: {message}")

    def _fail_decoding(self, error: UnicodeDecodeError) -> NoReturn:
        # The decoder had kept the bytes of a character cut off before, so `error.object` begins
        # earlier than the last read did, and ends with it.
        offset = self.file.tell() - len(error.object) + error.start
        line = self.counted_lines + self.buffer.count("\n", self.counted_to)
        line += error.object.count(b"\n", 0, error.start)
        message = _not_utf8(error.object[error.start], offset)
        raise DataError(f"{self.path}, line {line}: {message}") from error
