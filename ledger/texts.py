"""Texts are kept once.

The prompts of a round say the same things again and again: what stands in the record, what other agents
replied, what the pack says to everyone. So a long string in a JSON value is put into the table `texts` and
the value holds a reference to it, a string of U+0001 and the text's id. A prompt becomes the list of the
pieces it is made of.

Whether a text is found again is a matter of space only: after a restart it may be put down a second time.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from samples.files import read_json, to_json

SHORT = 48
"""Shorter strings stay where they are: a row and a reference would take as much."""

REMEMBERED = 2000
"""How many texts that belong to no sample are remembered; a prompt pack has a few dozen."""

_MARK = "\x01"
_REFERENCE = re.compile(r"\x01[0-9]+")
# As it stands in JSON. A quote in a string's text has a backslash before it, a field's name a colon after it.
_WRITTEN_REFERENCE = re.compile(r'(?<!\\)"\\u0001([0-9]+)"(?!:)')


class Folder:
    """Puts references in the place of long strings; `new_rows` are the rows of `texts` they refer to."""

    def __init__(self, last_id: int) -> None:
        self.new_rows: list[dict[str, Any]] = []
        self._last_id = last_id
        self._of_samples: dict[str, dict[str, int]] = {}
        self._of_all: OrderedDict[str, int] = OrderedDict()

    def fold(self, value: Any, sample: str) -> Any:
        """A JSON value with references in the place of its long strings, which belong to the sample."""
        match value:
            case str():
                return self._reference(value, sample)
            case dict():
                return {key: self.fold(inner, sample) for key, inner in value.items()}
            case list() | tuple():
                return [self.fold(inner, sample) for inner in value]
            case _:
                return value

    def fold_prompt(
        self, messages: Iterable[Mapping[str, Any]], parts: Iterable[str], sample: str
    ) -> list[dict[str, Any]]:
        """Messages with a list of pieces as content; `parts` are texts of the sample that occur in them."""
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
        """The sample is finished: its texts will not come again."""
        self._of_samples.pop(sample, None)

    def _reference(self, text: str, sample: str | None) -> str:
        if len(text) < SHORT and not text.startswith(_MARK):
            return text
        known = self._of_all if sample is None else self._of_samples.setdefault(sample, {})
        found = known.get(text)
        if found is None:
            if not _is_unicode(text):
                return text
            self._last_id += 1
            found = known[text] = self._last_id
            self.new_rows.append({"id": found, "sample": sample, "text": text})
        if sample is None:
            self._of_all.move_to_end(text)
            if len(self._of_all) > REMEMBERED:
                self._of_all.popitem(last=False)
        return f"{_MARK}{found}"


def unfold(connection: Connection, values: Sequence[str]) -> list[str]:
    """These strings, with the texts in the place of those that are references."""
    found = _texts(connection, (value[1:] for value in values if _REFERENCE.fullmatch(value)))
    return [found[value[1:]] if _REFERENCE.fullmatch(value) else value for value in values]


def unfold_json(connection: Connection, values: Sequence[str]) -> list[Any]:
    """What these JSON texts hold, with the texts in the place of the references."""
    found = _texts(connection, (number for value in values for number in _WRITTEN_REFERENCE.findall(value)))
    written = {number: to_json(text) for number, text in found.items()}
    put_in = partial(_WRITTEN_REFERENCE.sub, lambda reference: written[reference[1]])
    return [read_json(put_in(value)) for value in values]


def unfold_prompt(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Messages as they were sent, from messages whose pieces have been unfolded."""
    return [{"role": message["role"], "content": "".join(message["content"])} for message in messages]


def json_text(value: Any) -> str:
    """A JSON value as text for a database: half a surrogate pair, which UTF-8 knows not, as its escape."""
    return to_json(value).encode(errors="backslashreplace").decode()


def _pieces(text: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is one of the parts; the longest are looked for first."""
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
    # Half a surrogate pair, which JSON can carry, cannot be written as UTF-8.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
