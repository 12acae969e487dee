"""Word-level diff of two texts.

>>> differences("Say the word.", "Say a kind word.")
[Change(old='Say ', new='Say '), Change(old='the', new='a kind'), Change(old=' word.', new=' word.')]
"""

from difflib import SequenceMatcher
from typing import NamedTuple

import regex

MAX_COMPARISONS = 4_000_000
"""Limit on the product of the two word counts, to which the time of a comparison is proportional at worst.
Above it, everything between the first and the last difference counts as one change."""

# Scripts written without spaces between words: each letter counts as a word.
_UNSPACED = r"\p{Han}\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\u3040-\u30ff\uff66-\uff9f"
_LETTER = rf"[[\p{{L}}\p{{N}}_]--[{_UNSPACED}]]"
# Combining marks, joiners and non-joiners are part of the word they occur in.
_INNER = rf"[[\p{{L}}\p{{N}}\p{{M}}_\u200c\u200d]--[{_UNSPACED}]]"
_WORD = regex.compile(
    rf"""
    \n
    | [^\S\n]+ (?!\p{{M}})
    | {_LETTER} {_INNER}* (?: ['’] (?={_LETTER}) {_INNER}+ | (?<=\p{{N}}) [.,] (?=\p{{N}}) {_INNER}+ )*
    | \X  # one unspaced letter, symbol or emoji, with its combining characters
    """,
    regex.VERBOSE | regex.VERSION1,
)


class Change(NamedTuple):
    """A piece of the old text and its counterpart in the new one; the two are equal if nothing changed."""

    old: str
    new: str


def differences(old: str, new: str) -> list[Change]:
    """Split both texts into corresponding pieces, in order."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    prefix = 0
    while prefix < min(len(a), len(b)) and a[prefix] == b[prefix]:
        prefix += 1
    suffix = 0
    while suffix < min(len(a), len(b)) - prefix and a[-1 - suffix] == b[-1 - suffix]:
        suffix += 1
    inner_a, inner_b = a[prefix : len(a) - suffix], b[prefix : len(b) - suffix]
    pieces = [(a[:prefix], a[:prefix])]
    if len(inner_a) * len(inner_b) > MAX_COMPARISONS:
        pieces.append((inner_a, inner_b))
    else:
        for _, i, j, k, m in SequenceMatcher(None, inner_a, inner_b).get_opcodes():
            pieces.append((inner_a[i:j], inner_b[k:m]))
    pieces.append((a[len(a) - suffix :], a[len(a) - suffix :]))
    return _merge_adjacent([Change("".join(x), "".join(y)) for x, y in pieces])


def _merge_adjacent(pieces: list[Change]) -> list[Change]:
    """Merge changes that have at most spaces between them."""
    merged: list[Change] = []
    for number, (old, new) in enumerate(pieces):
        if not old and not new:
            continue
        after = pieces[number + 1] if number + 1 < len(pieces) else Change("", "")
        between = old == new and not old.strip(" ") and after.old != after.new
        if merged and merged[-1].old != merged[-1].new and (old != new or between):
            merged[-1] = Change(merged[-1].old + old, merged[-1].new + new)
        else:
            merged.append(Change(old, new))
    return merged
