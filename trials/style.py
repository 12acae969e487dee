"""What of a response may attract a referee besides its quality."""

import re

from trials.judgments import Features

_HEADER = re.compile(r"^ {0,3}#{1,6} ", re.MULTILINE)
_ITEM = re.compile(r"^ {0,8}(?:[-*+]|\d{1,3}[.)]) ", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*")


def features_of(response: str) -> Features:
    """Return the length in characters, and how dense Markdown's headers, list items and bold passages are."""
    length = len(response)
    each = (len(pattern.findall(response)) / max(length, 1) for pattern in (_HEADER, _ITEM, _BOLD))
    return Features(float(length), *each)
