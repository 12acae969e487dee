"""What of a stranger's text reaches a terminal, a message or a log as it is, and what is shown as an escape.

Escaped are characters that command a terminal, change the direction or the lines of a text, or are not seen:
control characters, C1 among them; direction marks; line and paragraph separators; invisible format
characters, tags and fillers; half surrogate pairs. Line feed and tab stay. Writing needs some invisible
characters, which stay where they do that: joiners (and breaks between words) after a letter of the scripts
that have them or after an emoji, one variation selector after a character that it can vary, and the tags of
the three regional flags.
"""

import re

COMMANDS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""What no text needs, as the inside of a regular expression's class."""

_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_JOINERS = "\u180e\u200b-\u200d"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"

# Hebrew, Arabic, the scripts of India and of South East Asia, Mongolian; symbols and emoji.
_JOINED = (
    "\u0590-\u1160\u1161-\u1fff\u2190-\u2bff\ufb1d-\ufdff\ufe0f\ufe70-\ufefc"
    "\U00010800-\U00011fff\U0001f000-\U0001faff"
)
_VARIED = "#*0-9\xa9\xae\u0370-\ufdff\ufe30-\U000dffff"
_FLAGS = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)

_SUSPECT = re.compile(f"[{COMMANDS}{_UNSEEN}{_JOINERS}{_SELECTORS}]")
_UNSAFE = re.compile(
    f"(?P<flag>{_FLAGS})|[{COMMANDS}{_UNSEEN}]|(?<![{_JOINED}])[{_JOINERS}]|(?<![{_VARIED}])[{_SELECTORS}]"
)


def printable(text: str) -> str:
    """Return the text with everything escaped that is not plain text, as in \\x1b."""
    if not _SUSPECT.search(text):
        return text
    return _UNSAFE.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found["flag"] else ascii(found[0])[1:-1]
