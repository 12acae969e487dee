"""Numbers in answers: their value, and what they count.

They are compared by value, however they are written: 12 million, 1.2 × 10^7, 7½, $12 and 12 dollars. All of
it takes time linear in the length of the text.
"""

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

NEAR = 40
"""Characters around a number or a text that say what it is."""


def in_figures(text: str) -> str:
    """Return a text with numbers as `NUMBER` reads them: 12e6 for 12 million, 7 1/2 for 7½, $-5 for -$5."""
    if not text.isascii():
        text = _CHARACTER.sub(_fraction_of, text)
    if "-" in text:
        text = _NEGATIVE.sub(r"\1-", text)
    if "\\" in text or "×" in text:
        text = _MIXED.sub(r"\1 \2\3/\4\5", _FACTOR.sub(r"\1e\2", text))
    return _SCALE.sub(_scaled, _OF_MONEY.sub(_scaled, text))


_MIXED = re.compile(r"(\d)\s?\\[dt]?frac\s?(?:\{(\d{1,20})\}|(\d))\s?(?:\{(\d{1,20})\}|(\d))")
_NEGATIVE = re.compile(r"(?<![\w)])-\s?([$€£¥￥₹])\s?(?=[\d.])")
_CHARACTER = re.compile("(\\d?)\\s?([¼-¾⅐-⅞])")
_FACTOR = re.compile(r"(\d)\s?(?:×|\\times|\\cdot)\s?10\s?\^\s?\{?([-+]?\d{1,2})(?!\d)\}?")
_SCALES = {
    **{"hundred": 2, "thousand": 3, "k": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12},
    **{"m": 6, "b": 9, "万": 4, "萬": 4, "亿": 8, "億": 8},
}
_OF_MONEY = re.compile(r"([$€£¥￥₹]\s?\d[\d,.]{0,20})([KMB])(?![A-Za-z])")
_SCALE = re.compile(
    r"(\d)(?:\s?((?i:hundred|thousand|million|billion|trillion))s?|(k|mn|bn))(?![A-Za-z])|(\d)\s?([万萬亿億])"
)


def _fraction_of(found: re.Match[str]) -> str:
    """Return a fraction that is one character, behind the whole number before it."""
    return f"{found[1]} {unicodedata.normalize('NFKC', found[2]).replace('⁄', '/')}"


def _scaled(found: re.Match[str]) -> str:
    number, scale = (each for each in found.groups() if each)
    return f"{number}e{_SCALES[scale.lower()]}"


class Quantity(NamedTuple):
    """A number with what stands around it."""

    currency: str
    value: Fraction
    unit: str


_SIGNS = "$€£¥￥₹"
_NAMES_OF_SIGNS = {
    "$": "us dollars|us dollar|dollars|dollar|usd|bucks|美元",
    "€": "euros|euro|eur|欧元|歐元",
    "£": "pounds|pound|gbp|英镑|英鎊",
    "¥": "yuan|rmb|cny|yen|jpy|元|円|日元",
    "₹": "rupees|rupee|inr|rs",
}
_SIGN_BY_NAME = {name: sign for sign, names in _NAMES_OF_SIGNS.items() for name in names.split("|")}
_CURRENCY = rf"[{_SIGNS}]|(?<![a-z])(?:{'|'.join(_NAMES_OF_SIGNS.values())})(?![a-z])\.?"
_CURRENCY_BEFORE = re.compile(rf"(?:\b(?:us|au?|ca?|nz|hk|s)(?=\$))?({_CURRENCY})\s?$", re.IGNORECASE)
CURRENCY_AFTER = re.compile(rf"\s?({_CURRENCY})\s?", re.IGNORECASE)
NUMBER = re.compile(
    r"(?<![A-Za-z_^\d.])(?:(?<![\w)])[-+])?"
    r"(?:\d{1,9}(?:\s(?:and\s)?)(?=\d{1,9}/\d)\d{1,9}"  # 7 1/2
    r"|\d{1,3}(?:[,']\d{2,3}){0,8}[,']\d{3}(?!\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d{1,2}(?![A-Za-z0-9_]))?"
    r"(?:\s?/\s?\d+)?(?!\d|\.\d|\s?×)"  # a factor is no answer
)
_QUANTITY = re.compile(
    rf"((?:(?:us|au?|ca?|nz|hk|s)(?=\$))?(?:{_CURRENCY})|)\s?({NUMBER.pattern})\s?([^\d\s=<>][^\d=<>]{{0,19}}(?:\^\d)?)?",
    re.IGNORECASE,
)
_MOST_DIGITS = 60


def quantity_in(text: str) -> Quantity | None:
    """Return the quantity that a text in figures is; None if it is anything else."""
    found = _QUANTITY.fullmatch(text)
    if not found or (value := value_of(found[2])) is None:
        return None
    unit = (found[3] or "").strip().casefold()
    after = None if found[1] else CURRENCY_AFTER.match(unit)
    return Quantity(currency_of(found[1], unit), value, unit[after.end() :] if after else unit)


def currency_of(before: str, after: str) -> str:
    """Return the sign of the currency that a number between these texts is of; empty if it is of none."""
    found = _CURRENCY_BEFORE.search(before[-NEAR:].rstrip()) or CURRENCY_AFTER.match(after)
    if not found:
        return ""
    name = found[1].casefold().rstrip(".")
    return _SIGN_BY_NAME.get(name, name.replace("￥", "¥"))


def value_of(number: str) -> Fraction | None:
    """Return the value of what `NUMBER` found; None if it is none, or has too many digits."""
    if len(number) > _MOST_DIGITS:
        return None
    whole, _, part = number.strip().replace(" and ", " ").partition(" ")
    is_mixed = part[:1].isdigit() and not whole.endswith("/")
    above, _, below = re.sub(r"[,'\s+]", "", part if is_mixed else number).partition("/")
    try:
        fraction = Fraction(above) / int(below or 1)
        if not is_mixed:
            return fraction
        return Fraction(whole) + (-fraction if whole.startswith("-") else fraction)
    except (ValueError, ZeroDivisionError):
        return None


_COMPARES = r"(?:[≥≤⩾⩽]|\\(?:geq?|leq?|gt|lt)(?:slant)?)"
_COMPARISON = re.compile(r"[<>≥≤⩾⩽\\]")
_BOUND_BEFORE = re.compile(rf"(?:{_COMPARES}|(?:^|[^</\w])[a-z]\s?[<>]=?)\s?[{_SIGNS}]?\s?$", re.IGNORECASE)
_BOUND_AFTER = re.compile(rf"\s?(?:{_COMPARES}|(?<=\s)[<>]=?(?=\s))\s?[a-z](?![a-z])", re.IGNORECASE)


def is_bound(text: str, number: re.Match[str]) -> bool:
    """Return whether a number bounds what the answer may be, as in "x ≥ 12"."""
    if not _COMPARISON.search(text):
        return False
    before = text[max(number.start() - NEAR, 0) : number.start()]
    return bool(_BOUND_BEFORE.search(before) or _BOUND_AFTER.match(text, number.end()))


PERCENT = re.compile(r"\s?(?:\\?%|percent\b|per cent\b)", re.IGNORECASE)


def first_number(answer: str) -> str:
    """Return the number that an answer begins with; empty if it does not."""
    found = NUMBER.search(answer)
    return found[0] if found and begins(answer, found) else ""


def begins(answer: str, number: re.Match[str]) -> bool:
    """Return whether an answer begins with a number, but for the sign of its currency."""
    before = answer[: number.start()]
    return not _CURRENCY_BEFORE.sub("", before).strip(f"{_SIGNS} ~≈")
