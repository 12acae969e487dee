"""The difference between two texts, by words.

>>> differences("Say the word.", "Say a kind word.")
[Change(old='Say ', new='Say '), Change(old='the', new='a kind'), Change(old=' word.', new=' word.')]
"""

from difflib import SequenceMatcher
from typing import NamedTuple

import regex

MOST_COMPARED = 4_000_000
"""Words of one text times words of the other, above which what lies between the first and the last difference
counts as changed as a whole: comparing takes time in proportion to it, at worst."""

# Between words in these scripts stand no spaces: there each letter counts as one.
_LONE = r"\p{Han}\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\u3040-\u30ff\uff66-\uff9f"
_LETTER = rf"[[\p{{L}}\p{{N}}_]--[{_LONE}]]"
# Marks (vowels, accents) and what joins letters or keeps them apart belong to the word they stand in.
_MORE = rf"[[\p{{L}}\p{{N}}\p{{M}}_\u200c\u200d]--[{_LONE}]]"
_WORD = regex.compile(
    rf"""
    \n
    | [^\S\n]+ (?!\p{{M}})
    | {_LETTER} {_MORE}* (?: ['’] (?={_LETTER}) {_MORE}+ | (?<=\p{{N}}) [.,] (?=\p{{N}}) {_MORE}+ )*
    | \X  # a letter of those scripts, a sign or an emoji, with all that belongs to it
    """,
    regex.VERBOSE | regex.VERSION1,
)


class Change(NamedTuple):
    """A piece of the old text and what stands in its place in the new one; where they agree both are it."""

    old: str
    new: str


def differences(old: str, new: str) -> list[Change]:
    """Both texts, in pieces, in order."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    begin = 0
    while begin < min(len(a), len(b)) and a[begin] == b[begin]:
        begin += 1
    end = 0
    while end < min(len(a), len(b)) - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    inner_a, inner_b = a[begin : len(a) - end], b[begin : len(b) - end]
    pieces = [(a[:begin], a[:begin])]
    if len(inner_a) * len(inner_b) > MOST_COMPARED:
        pieces.append((inner_a, inner_b))
    else:
        for _, i, j, k, m in SequenceMatcher(None, inner_a, inner_b).get_opcodes():
            pieces.append((inner_a[i:j], inner_b[k:m]))
    pieces.append((a[len(a) - end :], a[len(a) - end :]))
    return _joined([Change("".join(x), "".join(y)) for x, y in pieces])


def _joined(pieces: list[Change]) -> list[Change]:
    """Changes with nothing but a space between them, as one."""
    joined: list[Change] = []
    for number, (old, new) in enumerate(pieces):
        if not old and not new:
            continue
        after = pieces[number + 1] if number + 1 < len(pieces) else Change("", "")
        between = old == new and not old.strip(" ") and after.old != after.new
        if joined and joined[-1].old != joined[-1].new and (old != new or between):
            joined[-1] = Change(joined[-1].old + old, joined[-1].new + new)
        else:
            joined.append(Change(old, new))
    return joined
