"""Fences: tags around the texts that a data set or a model wrote, which the text itself cannot close.

What closes a fence is for a model to decide, and models read leniently. So everything that looks like the
closing tag counts as one: in other letter case, with white space or invisible characters in it, in look-alike
or styled letters (`</ｒｅｑｕｅｓｔ>`, Cyrillic `</rеquest>`), with another angle bracket or slash, with
attributes, or written as HTML entities. An opening tag does not: it ends nothing, and numbering past it would
change the prompts of honest texts that have one.
"""

import html
import itertools
import re
import unicodedata
from functools import lru_cache

_ANGLES = "<˂ᐸᚲ‹≮\u2329〈❬❮❰⟨⧼〈﹤＜𝈶"
_OTHERS = _ANGLES.replace("<", "")
_SLASHES = "/᜵⁁⁄∕╱⟋⧸Ⳇ〳ノ㇓丿／𝈺"
_DASHES = "-˗‐‑‒–—―⁃−➖ー"

_MAYBE = re.compile(
    rf"(?:[{_ANGLES}]|&(?:amp;)*(?:lt|#x?[0-9a-f]*))[^\w{_ANGLES}&]*[{_SLASHES}&\u115f\u1160\u3164\uffa0\u2800]",
    re.IGNORECASE,
)
"""What every closing tag begins with."""

_LOOK_ALIKES = {
    "a": "аαɑ⍺Ꭺꓮⲁ",
    "b": "вьβƅᏏᏴꓐⲃ",
    "c": "сϲᏟꓚⲥ",
    "d": "ԁᎠᏧꓓ",
    "e": "еєεҽɛ℮Ꭼꓰⲉ",
    "f": "ϝքꓝ",
    "g": "ցԍɡᏀꓖ",
    "h": "һհнηᎻᏂꓧⲏ",
    "i": "іιɩӏ⍳Ꭵꓲⲓl1|ǀ",
    "j": "јϳᎫꓙ",
    "k": "кκᏦꓗⲕ",
    "l": "ӏіιǀᏞꓡꓲi1|լ",
    "m": "мᎷꓟⲙμ",
    "n": "ոռпηꓠⲛν",
    "o": "оοσօჿⲟꓳ०০੦૦௦౦೦൦๐໐0",
    "p": "рρᏢꓑⲣ",
    "q": "ԛգզᑫ",
    "r": "гᴦᎡᏒꓣⲅ",
    "s": "ѕտᏚꓢ",
    "t": "тτᎢꓔⲧ",
    "u": "υսʋꓴ∪",
    "v": "νѵᏙꓦ∨",
    "w": "ԝωшաᎳꓪⲱ",
    "x": "хχ×ᕁꓫⲭ",
    "y": "уγүყᎩꓬⲩυ",
    "z": "ζᏃꓜⲍ",
    "-": _DASHES,
}
"""What looks like a letter and is another one, in the form that `_skeleton` leaves. Styled letters and those
with marks are not here: Unicode knows what they are."""


def fence(tag: str, text: str) -> str:
    """Put text between `<tag>` and `</tag>`, each on a line of its own.

    If the text contains anything like that closing tag, the tag is numbered (`tag-2`, …), so that a record
    cannot end its own fence. The same text always gets the same tag.
    """
    taken = _closings(tag, text) if _may_close(text) else ()
    number = next(n for n in itertools.count(1) if n not in taken)
    name = tag if number == 1 else f"{tag}-{number}"
    return f"<{name}>\n{text}\n</{name}>"


def _may_close(text: str) -> bool:
    """Whether a text has the beginning of a closing tag. Most have none, which costs next to nothing."""
    if "<" in text or "&" in text or (not text.isascii() and any(map(text.__contains__, _OTHERS))):
        return _MAYBE.search(text) is not None
    return False


def _closings(tag: str, text: str) -> set[int]:
    """Return the numbers of the tag's closing tags in a text; 1 is the one without a number."""
    seen = _closing(_skeleton(tag) or tag).finditer(_skeleton(text))
    taken = set()
    for found in itertools.chain(_closing(tag).finditer(text), seen):
        if not found["number"] or found["gap"]:
            taken.add(1)
        if found["number"] and len(found["number"]) < 10:  # no fence has a number of more digits
            taken.add(int(found["number"]))
    return taken


@lru_cache(100)
def _closing(tag: str) -> re.Pattern[str]:
    blank = r"\s\x00-\x1f\x7f"
    gap = f"[{blank}]*"
    # Blanks stand for an underscore, too. Nothing that repeats may begin as what it follows ends: then a long
    # run of blanks takes quadratic time.
    parts = (
        gap.join(f"[{re.escape(letter + _LOOK_ALIKES.get(letter.lower(), ''))}]" for letter in part)
        for part in tag.split("_")
    )
    name = f"[{blank}_ˍ]+".join(parts)
    dash = f"[{re.escape(_DASHES)}_ˍ]"
    # A slash may be escaped, as in JSON.
    begins = rf"[{_ANGLES}][\s\x00-\x1f\x7f\\]*(?:[{_SLASHES}]{gap})+"
    number = rf"(?:(?P<gap>{gap})(?:{dash}{gap})*(?P<number>\d+))?(?![\w-])"
    return re.compile(begins + name + number, re.IGNORECASE)


def _skeleton(text: str) -> str:
    """Return a text as it looks: entities decoded, letters without style and marks, in lower case, and
    nothing that is invisible."""
    for _ in range(5):  # `&amp;lt;` too
        if "&" in text:
            text = html.unescape(text)
    if text.isascii():
        return text
    # Marks first: sorting a long run of them, as normalization does, takes quadratic time.
    return unicodedata.normalize("NFKD", text.translate(_SHAPES)).casefold().translate(_SHAPES)


_LATIN = re.compile(
    r"(?:(?:NEGATIVE (?:CIRCLED|SQUARED) )?LATIN (?:CAPITAL |SMALL )?|REGIONAL INDICATOR SYMBOL )LETTER "
    r"(?:SMALL CAPITAL |DOTLESS |LONG )?([A-Z])(?: WITH .*)?"
)
"""The names of letters that are a Latin one with a style or marks of its own."""


class _Shapes(dict[int, int | None]):
    """For `str.translate`: what each character looks like, None for what is not seen."""

    def __missing__(self, code: int) -> int | None:
        return _shape(code)


_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""What is not seen although Unicode says otherwise: fillers of Hangul, Braille without a dot."""


@lru_cache(10_000)
def _shape(code: int) -> int | None:
    char = chr(code)
    kind = unicodedata.category(char)
    if kind in ("Mn", "Me", "Cf") or (kind == "Cc" and not char.isspace()) or char in _INVISIBLE:
        return None
    if found := _LATIN.fullmatch(unicodedata.name(char, "")):
        return ord(found[1].lower())
    return code


_SHAPES = _Shapes({code: code for code in range(32, 127)})
