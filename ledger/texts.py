"""Stores each text once.

The prompts of a round repeat the same texts: the record, other agents' replies, the pack's own text. So a
long string in a JSON value goes into the table `texts`, and the value holds a reference to it: U+0001 and the
text's id. A prompt becomes the list of its pieces.

This only saves space: after a restart a text may be stored a second time.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count
from typing import Any

from sqlalchemy import Connection, text

from samples.json_values import read_json, to_json

SHORT = 48
"""Characters below which a string stays in place: a row and a reference would take as much space."""

REMEMBERED = 2000
"""Texts of no sample that are remembered; a prompt pack has a few dozen."""

BLOCK = 2**20
"""Ids of texts that are given out together: a worker takes minutes to use them up."""

_MARK = "\x01"
_REFERENCE = re.compile(r"\x01[0-9]+")
# A reference as a JSON string. A quote within a string has a backslash before it, a field name a colon after
# it.
_JSON_REFERENCE = re.compile(r'(?<!\\)"\\u0001([0-9]+)"(?!:)')


class TextIds:
    """The ids of texts to come. Processes that encode for one ledger each take blocks of their own."""

    def __init__(self, last_id: int) -> None:
        self._blocks = count(last_id + 1, BLOCK)

    def block(self) -> int:
        """Take `BLOCK` ids; return the first. Threads may do so at a time."""
        return next(self._blocks)

    def __iter__(self) -> Iterator[int]:
        """Take one id after another, for as long as they are wanted."""
        return chain.from_iterable(range(first, first + BLOCK) for first in self._blocks)


class TextStore:
    """Replaces long strings by references, with these ids."""

    def __init__(self, ids: Iterator[int]) -> None:
        self.new_rows: list[tuple[int, str | None, str]] = []
        """Rows of `texts` that are not in the database yet: id, sample, text."""
        self._ids = ids
        self._of_samples: dict[str, dict[str, int]] = {}
        self._of_all: OrderedDict[str, int] = OrderedDict()

    def put(self, value: Any, sample: str) -> Any:
        """Store the long strings of a sample's JSON value; return the value with references."""
        match value:
            case str():
                return self._reference(value, sample)
            case dict():
                return {key: self.put(inner, sample) for key, inner in value.items()}
            case list() | tuple():
                return [self.put(inner, sample) for inner in value]
            case _:
                return value

    def put_prompt(
        self, messages: Iterable[Mapping[str, Any]], parts: Iterable[str], sample: str
    ) -> list[dict[str, Any]]:
        """Store messages; return them with lists of pieces as contents.

        `parts` are texts of the sample that occur in them.
        """
        by_length = sorted({part for part in parts if len(part) >= SHORT}, key=len, reverse=True)
        return [
            {
                "role": message["role"],
                "content": [
                    self._reference(piece, sample if own else None)
                    for piece, own in _pieces(message["content"], by_length)
                ],
            }
            for message in messages
        ]

    def forget(self, sample: str) -> None:
        """Forget the texts of a finished sample."""
        self._of_samples.pop(sample, None)

    def _reference(self, text: str, sample: str | None) -> str:
        if len(text) < SHORT and not text.startswith(_MARK):
            return text
        known = self._of_all if sample is None else self._of_samples.setdefault(sample, {})
        found = known.get(text)
        if found is None:
            if not _is_unicode(text):
                return text
            found = known[text] = next(self._ids)
            self.new_rows.append((found, sample, text))
        if sample is None:
            self._of_all.move_to_end(text)
            if len(self._of_all) > REMEMBERED:
                self._of_all.popitem(last=False)
        return f"{_MARK}{found}"


def resolve(connection: Connection, values: Sequence[str]) -> list[str]:
    """Return strings with references replaced by their texts."""
    found = _texts(connection, (value[1:] for value in values if _REFERENCE.fullmatch(value)))
    return [found[value[1:]] if _REFERENCE.fullmatch(value) else value for value in values]


def resolve_json(connection: Connection, values: Sequence[str]) -> list[Any]:
    """Parse JSON with references replaced by their texts."""
    found = _texts(connection, (number for value in values for number in _JSON_REFERENCE.findall(value)))
    encoded = {number: to_json(text) for number, text in found.items()}
    substitute = partial(_JSON_REFERENCE.sub, lambda reference: encoded[reference[1]])
    return [read_json(substitute(value)) for value in values]


def join_prompt(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return messages as they were sent, from messages with resolved pieces."""
    return [{"role": message["role"], "content": "".join(message["content"])} for message in messages]


def json_text(value: Any) -> str:
    """Encode a value as JSON that is valid UTF-8: unpaired surrogates become escapes."""
    return to_json(value).encode(errors="backslashreplace").decode()


def _pieces(text: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """Split a text at these parts, longest first; yield each piece, and whether it is one of them."""
    if not text:
        return
    for number, part in enumerate(parts):
        before, hit, after = text.partition(part)
        if hit:
            yield from _pieces(before, parts[number + 1 :])
            yield part, True
            yield from _pieces(after, parts[number:])
            return
    yield text, False


def _texts(connection: Connection, wanted: Iterable[str]) -> dict[str, str]:
    numbers = ",".join(dict.fromkeys(wanted))
    query = text("SELECT id, text FROM texts WHERE id IN (SELECT value FROM json_each(:numbers))")
    return {str(row[0]): row[1] for row in connection.execute(query, {"numbers": f"[{numbers}]"})}


def _is_unicode(text: str) -> bool:
    # JSON can hold unpaired surrogates, UTF-8 cannot.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
