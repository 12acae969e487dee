"""A window on a JSON file: the part of it that is in memory, and where reading has come to."""

import codecs
import json
import re
from pathlib import Path
from typing import BinaryIO, NoReturn

from samples.bounds import too_large
from samples.json_errors import LIST_OF_TURNS, explain, not_utf8
from samples.sample import DataError

_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"|["\[\]{}]', re.DOTALL)
_OPENING_TURN = re.compile(r'\[\s{0,99}\{\s{0,99}"(?:role|from)"')


class Window:
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

    def look_ahead(self, count: int) -> None:
        """Read until so many characters from the position on are in memory, or the file ends."""
        while len(self.buffer) - self.position < count and self.read_more():
            pass

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
                return LIST_OF_TURNS if _OPENING_TURN.match(self.buffer, self.position) else "a list"
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
        self.fail(explain(error))

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
        message = not_utf8(error.object[error.start], offset)
        raise DataError(f"{self.path}, line {line}: {message}") from error
