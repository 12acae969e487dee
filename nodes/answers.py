"""Final answers: where a text has one, and whether it is the one of a reference.

The rule is in docs/references.md. It leans toward agreement: a check only refuses, and the judge is still to
come. All of it takes time linear in the length of the texts, of which it looks at the ends.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

_END = 10_000
"""Characters at the end of a text in which its final answer is looked for."""

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    **{0x3000: " ", 0x2212: "-", 0x2019: "'", 0x3002: "."},
    # White space within numbers.
    **dict.fromkeys((0x00A0, 0x202F, 0x2009), " "),
}
"""Full-width forms and others of ASCII's characters."""


class Answer(NamedTuple):
    """What a text may mean as its final answer."""

    text: str
    marked: bool
    """Whether a mark says so; otherwise it is the last line."""


def agrees(draft: str, references: Sequence[str]) -> bool:
    """Return whether the final answer of a draft is that of one of the references."""
    found = list(final_answers(draft))
    return any(_agrees(draft, found, reference) for reference in references)


def final_answer(text: str) -> str:
    """Return the final answer of a text as it is written there; empty if there is none."""
    return next((answer.text for answer in final_answers(text)), "")


def right_answer(reference: str) -> str:
    """Return the answer in a reference: all of it, unless a mark says which."""
    return next((each.text for each in final_answers(reference) if each.marked), reference)


def final_answers(text: str) -> Iterator[Answer]:
    r"""Yield what may be the final answer of a text, the surest first.

    That is: the content of the last `\boxed{}`, what follows `####` on the last line, what follows the last
    "answer:", "answer is" or "答案" on its line, and the last line.
    """
    text = text[-_END:]
    if (boxed := _boxed(text)) is not None:
        yield Answer(boxed, True)
    last = text.rstrip()
    last = last[last.rfind("\n") + 1 :].strip()
    if "####" in last:
        yield Answer(last[last.rfind("####") + 4 :].strip(), True)
    if said := _said(text):
        yield Answer(said, True)
    if last.strip("`*_-=#~$ "):
        yield Answer(last, False)


def plain(text: str) -> str:
    """Return a text with full-width characters as ASCII's, and without what only formats it."""
    text = (text if text.isascii() else text.translate(_WIDE)).replace("{,}", ",")
    text = _FORMAT.sub("", text).replace(r"\%", "%").replace(r"\$", "$").strip(" \t\r\n*_`\"'“”‘’")
    for opening, closing in _AROUND:
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner and closing[-1] not in inner:
            text = inner.strip()
    text = text.rstrip(" .!,;:").strip(" *_`\"'“”‘’")
    return text.replace(" ", "") if _SPACED.fullmatch(text) else text


_FORMAT = re.compile(r"\\(?:,|!|;|\s|text\b|mathrm\b|mathbf\b|textbf\b|left\b|right\b)|\*\*")
_SPACED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_AROUND = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("{", "}"))


def _boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{}`; None if there is none, or it is not closed."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    start += len("\\boxed{")
    depth = 1
    for brace in _BRACES.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1 if brace[0] == "}" else 0
        if not depth:
            return text[start : brace.start()].strip()
    return None


_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)

_SAYS = re.compile(
    r"answers?[\s*_]{0,5}(?:\([^()\n]{0,20}\)[\s*_]{0,5})?(?:is|are|was|=|[:：])"
    r"|答案[\s*_]{0,5}(?:应该?)?(?:[是为选]|[:：=])|故(?:应|正确)?选"
)
_SAYINGS = ("answer", "答案", "故")
_TRIES = 20
"""How many mentions of an answer are looked at, from the end."""


def _said(text: str) -> str:
    """Return what follows the last "answer is" or such on its line, or on the next one; empty if nothing."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters have several in lower case
        lower = text
    end = len(text)
    for _ in range(_TRIES):
        end = max(lower.rfind(saying, 0, end) for saying in _SAYINGS)
        if end < 0:
            return ""
        if found := _SAYS.match(lower, end):
            after = text[found.end() :].lstrip(" \t\r\n*_:：")
            if line := after[: after.find("\n") if "\n" in after else None].strip():
                return line
    return ""


class _Quantity(NamedTuple):
    """A number with what stands around it."""

    currency: str
    value: Fraction
    unit: str


_SIGNS = "$€£¥￥₹"
_NUMBER = re.compile(
    r"(?<![A-Za-z_^\d.])(?:(?<![\w)])[-+])?"
    r"(?:\d{1,3}(?:[,']\d{2,3}){0,8}[,']\d{3}(?!\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d{1,2}(?!\w))?"
    r"(?:\s?/\s?\d+)?(?!\d|\.\d|\s?×)"  # a factor is no answer
)
_QUANTITY = re.compile(
    rf"([{_SIGNS}]?)\s?({_NUMBER.pattern})\s?([^\d\s=<>][^\d=<>]{{0,19}}(?:\^\d)?)?", re.IGNORECASE
)
_MOST_DIGITS = 60


def _quantity(text: str) -> _Quantity | None:
    found = _QUANTITY.fullmatch(text)
    if not found or (value := _value(found[2])) is None:
        return None
    return _Quantity(found[1], value, (found[3] or "").strip().casefold())


def _value(number: str) -> Fraction | None:
    if len(number) > _MOST_DIGITS:
        return None
    above, _, below = re.sub(r"[,'\s+]", "", number).partition("/")
    try:
        return Fraction(above) / int(below or 1)
    except (ValueError, ZeroDivisionError):
        return None


def _agrees(draft: str, found: Sequence[Answer], reference: str) -> bool:
    right = right_answer(reference)
    wanted = plain(right)
    text = " ".join(wanted.casefold().split())
    if not text:
        return False
    if len(draft) < 2 * len(right) + 50 and _same(_folded(draft), text):
        return True
    answers = [(plain(each.text), each.marked) for each in found]
    if quantity := _quantity(wanted):
        for answer, marked in answers:
            if (is_it := _is_quantity(answer, quantity, marked=marked)) is not None:
                return is_it
        return False
    for answer, _ in answers[:1]:
        folded = _folded(answer)
        # Paris, the capital; B) Paris
        after = folded[len(text) : len(text) + 1]
        if _same(folded, text) or (folded.startswith(text) and after and after in ",.;:)(["):
            return True
        if len(text) == 1 and folded.startswith(f"({text})"):
            return True
    return False


def _same(one: str, other: str) -> bool:
    return one.replace(" ", "") == other.replace(" ", "")


def _folded(text: str) -> str:
    return " ".join(plain(text).casefold().split())


def _is_quantity(answer: str, wanted: _Quantity, *, marked: bool) -> bool | None:
    """Return whether an answer is a quantity; None if it has no number."""
    _, equals, after = answer.rpartition("=")
    if equals and _NUMBER.search(after):
        answer = after.strip()
    numbers = list(_NUMBER.finditer(answer))
    if not numbers:
        return None
    first = numbers[0]
    begins = marked and _begins(answer, first)
    number = first if begins else numbers[-1]
    if _value(number[0]) != wanted.value:
        return False
    if wanted.currency and answer[: number.start()].rstrip()[-1:] != wanted.currency:
        return False
    after = answer[number.end() :].lstrip().casefold()
    if not wanted.unit:
        return True
    beyond = after[len(wanted.unit) : len(wanted.unit) + 1]
    return after.startswith(wanted.unit) and not _GOES_ON.match(beyond)


def first_number(answer: str) -> str:
    """Return the number that an answer begins with; empty if it does not."""
    found = _NUMBER.search(answer)
    return found[0] if found and _begins(answer, found) else ""


def _begins(answer: str, number: re.Match[str]) -> bool:
    return not answer[: number.start()].strip(f"{_SIGNS} ~≈")


_GOES_ON = re.compile(r"[A-Za-z0-9/^²³]")
"""With these it is another unit."""
