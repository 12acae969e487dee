"""Shortens what agents said to each other: the longest text first, at the end of a sentence or a line.

Which texts may be shortened, and when, is decided elsewhere.
"""

import re
from collections.abc import Sequence

from samples.tokens import estimate_tokens

MARK = "[… the rest was cut: the prompt was too long]"
"""Replaces what was left out. Agents read it, so it is part of the requests on record."""

MIN_CHARS = 240
"""Characters that are left of a text at least, the mark included: a debater's first point."""

_ENDS = re.compile(r"\n|[.!?…][\"'”’)\]*]*(?=\s)|[。！？][”’」』）]*")
"""Where a text may end: a line, or a sentence."""


def shorten_longest(texts: Sequence[str], tokens: float) -> tuple[list[str], int]:
    """Shorten the longest texts so that all have about `tokens` tokens together; also return to how many
    characters.

    All are held to one length, so that no text counts for less than another: the longest loses first, and the
    shortest is untouched until the others are as short. `MIN_CHARS` characters of each are left in any case.
    """
    low, high = MIN_CHARS, max(map(len, texts), default=MIN_CHARS)
    # The greatest length that fits lies between them; `low` fits or is the minimum.
    while low < high:
        middle = (low + high + 1) // 2
        if sum(estimate_tokens(shortened(text, middle)) for text in texts) <= tokens:
            low = middle
        else:
            high = middle - 1
    return [shortened(text, low) for text in texts], low


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text and the mark in at most `most` characters; the text itself where it
    fits.

    It ends with a sentence or a line where that costs less than half of it, otherwise with a word.
    """
    if len(text) <= most:
        return text
    room = max(0, most - len(MARK) - 1)
    # One more character shows whether a sentence or a word ends exactly here.
    ends = [end.end() for end in _ENDS.finditer(text[: room + 1]) if room / 2 <= end.end() <= room]
    word_end = text.rfind(" ", room // 2, room + 1)
    end = ends[-1] if ends else word_end if word_end > 0 else room
    return f"{text[:end].rstrip()}\n{MARK}"
