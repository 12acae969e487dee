"""What agents said to each other, shortened: the longest first, at the end of a sentence or a line.

Which texts may be shortened, and when, is not decided here.
"""

import re
from collections.abc import Sequence

from samples.tokens import estimate_tokens

MARK = "[… the rest is left out here, for want of room]"
"""Stands in the place of what was left out."""

LEAST = 240
"""Characters that are left of a text at least, the mark included: a debater's first point. Less would be no
contribution any more."""

_ENDS = re.compile(r"\n|[.!?…][\"'”’)\]*]*(?=\s)|[。！？][”’」』）]*")
"""Where a text may end: a line, or a sentence."""


def shorten_longest(texts: Sequence[str], tokens: float) -> tuple[list[str], int]:
    """The texts, the longest of them shortened so that all have about `tokens` tokens together, and how far.

    All are held to one length, in characters, so that nobody's words count for less than another's: the
    longest loses first, and the shortest is not touched before the others are as short. Where even `LEAST`
    characters of each are too many, that is what is left.
    """
    low, high = LEAST, max(map(len, texts), default=LEAST)
    # The greatest length that fits lies between them; `low` fits or is the least.
    while low < high:
        middle = (low + high + 1) // 2
        if sum(estimate_tokens(shortened(text, middle)) for text in texts) <= tokens:
            low = middle
        else:
            high = middle - 1
    return [shortened(text, low) for text in texts], low


def shortened(text: str, most: int) -> str:
    """The beginning of a text, and the mark, in at most `most` characters; the text itself where it fits.

    It ends with a sentence or a line where that costs less than half of it, otherwise with a word.
    """
    if len(text) <= most:
        return text
    room = max(0, most - len(MARK) - 1)
    # One character more than there is room for shows whether a sentence or a word ends where the room does.
    ends = [end.end() for end in _ENDS.finditer(text[: room + 1]) if room / 2 <= end.end() <= room]
    words = text.rfind(" ", room // 2, room + 1)
    end = ends[-1] if ends else words if words > 0 else room
    return f"{text[:end].rstrip()}\n{MARK}"
