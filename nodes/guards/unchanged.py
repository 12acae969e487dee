"""The guard `unchanged`: a draft that is the current response."""

import unicodedata


def is_unchanged(draft: str, response: str) -> bool:
    """Whether a draft is the current response word for word: white space and Unicode's several ways to write
    one letter do not count."""
    # Most differ from the beginning.
    return _plain(draft[:200])[:50] == _plain(response[:200])[:50] and _plain(draft) == _plain(response)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
