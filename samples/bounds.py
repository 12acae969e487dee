"""The bounds on what comes from outside: how deep it may be nested, how large a record may be, how far a file
may unfold.

Every value of a data set, a reply or a request passes `nested_too_deeply` where it comes in, so that nothing
later has to expect one that it cannot convert.
"""

import json
from contextlib import suppress
from typing import Any

MAX_DEPTH = 40
"""Levels of lists and objects, the record's own included. Of all that converts such values, a Parquet file
takes the fewest (50 of lists); LangGraph and orjson take 254, Python's recursion about 490."""

TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

TWICE = "is a name with two values in one object; keep one of them"
"""Why a record is none that readers would read differently."""

MAX_RECORD_MB = 16
"""The default of `--max-record-size`. A record takes up to 30 times as much memory as its text."""

MB = 1_000_000

MAX_RECORD_BYTES = MAX_RECORD_MB * MB

UNFOLDED_MB, UNFOLDED_TIMES = 256, 200
"""A file may hold so much, and beyond that so many times its size; compressed texts hold 3 to 30 times
theirs."""


def nested_too_deeply(value: Any) -> bool:
    """Return whether a JSON value has more than `MAX_DEPTH` levels."""
    return count_names(value) < 0


def count_names(value: Any) -> int:
    """Return how many names the objects in a JSON value have, each counted where it occurs; -1 if the value
    is nested too deeply. It is not walked recursively."""
    level, count = [value] if type(value) is dict or type(value) is list else [], 0
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return count
        inner: list[Any] = []
        for each in level:
            if type(each) is dict:
                count += len(each)
            values = each.values() if type(each) is dict else each
            inner += [one for one in values if type(one) is dict or type(one) is list]
        level = inner
    return -1


def load_json(text: str) -> Any:
    """Decode JSON that comes within a text. Raises ValueError if it is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if nested_too_deeply(value):
        raise ValueError(TOO_DEEP)
    return value


def load_if_json(value: Any) -> Any:
    """Return the object or the list that is JSON in a text, as tables have them; other values as they are."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with suppress(ValueError):
            return load_json(value)
    return value


def too_large(limit: int) -> str:
    """Say that a record has more bytes than the limit."""
    return f"the record is larger than {limit / MB:g} MB (--max-record-size)"


def unfolds_too_far(size: int, unfolded: int) -> str | None:
    """Return why a file of this size is not read on once it had so many bytes; None if it is."""
    if unfolded <= max(UNFOLDED_MB * MB, UNFOLDED_TIMES * size):
        return None
    return (
        f"it unfolds to more than {UNFOLDED_TIMES} times its size ({unfolded // MB:,} MB so far); "
        "if that is meant, give it uncompressed, as JSON lines"
    )
