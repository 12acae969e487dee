"""Labels before a verdict: "Verdict:", "My choice is"."""

import re

from nodes.verdict.words import CORE, FILLER, ZH_CORE, ZH_FILLER

_LABEL = re.compile(
    rf"(?=.*(?:\b{CORE}\b|{ZH_CORE}))(?:(?:\b(?:{CORE}|{FILLER})\b|{ZH_CORE}|{ZH_FILLER})[ ']*+)++"
)
_LABELLED = re.compile(r"([^:=—–]{1,60}?) ?(?:[:=—–]| - |\bis\b|\bgoes to\b|是|为)[: ]*(.*)", re.S)


def is_label(words: str) -> bool:
    """Whether these words announce a verdict."""
    return len(words) <= 60 and bool(_LABEL.fullmatch(words.strip()))


def label_off(line: str) -> tuple[str, bool]:
    """Return the line without labels at its beginning, and whether there were any."""
    found = False
    for _ in range(3):
        match = _LABELLED.match(line)
        if not match or not is_label(match[1]):
            break
        line, found = match[2].strip(), True
    return line, found
