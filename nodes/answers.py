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
    "answer:", "answer is", "correct option is" or "答案" on its line, a quantity or a letter alone after an
    earlier `####`, and the last line.
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
    if "####" not in last and (start := f"\n{text}".rfind("\n####")) >= 0:
        line = plain(text[start + 4 :].partition("\n")[0])
        quantity = _quantity(line)  # others are headings
        if (quantity and quantity.unit[:1] not in (".", ")", ":")) or _LETTER.fullmatch(line):
            yield Answer(line, True)
    if last.strip("`*_-=#~$ "):
        yield Answer(last, False)


def plain(text: str) -> str:
    """Return a text with full-width characters as ASCII's, and without what only formats it."""
    text = (text if text.isascii() else text.translate(_WIDE)).replace("{,}", ",")
    text = (
        _FRACTION.sub(r"\1\2/\3\4", _FORMAT.sub("", text))
        .replace(r"\%", "%")
        .replace(r"\$", "$")
        .strip(" \t\r\n*_`\"'“”‘’")
    )
    for opening, closing in _AROUND:
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner and closing[-1] not in inner:
            text = inner.strip()
    text = text.rstrip(" .!,;:").strip(" *_`\"'“”‘’")
    return text.replace(" ", "") if _SPACED.fullmatch(text) else text


_FORMAT = re.compile(r"\\(?:,|!|;|\s|text\b|mathrm\b|mathbf\b|textbf\b|left\b|right\b)|\*\*")
_FRACTION = re.compile(r"(?<!\d)\\[dt]?frac\s?(?:\{(\d{1,20})\}|(\d))\s?(?:\{(\d{1,20})\}|(\d))")
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
    r"|(?:(?<=correct )|(?<=right )|(?<=best ))(?:option|choice)[\s*_]{0,5}(?:is|would be|=|[:：])"
    r"|答案[\s*_]{0,5}(?:[应應][该該]?)?(?:[是为為选選]|[:：=])|故(?:应|應|正确|正確)?[选選]"
    r"|[选選](?:[择擇项項])?(?=\s?[(（]?[a-z](?![a-z]))"
)
_SAYINGS = ("answer", "option", "choice", "答案", "故", "选", "選")
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
    option = _OPTION.fullmatch(text)
    for answer, _ in answers[:1]:
        folded = _folded(answer)
        # Paris, the capital; B) Paris
        after = folded[len(text) : len(text) + 1]
        if _same(folded, text) or (folded.startswith(text) and after and after in ",.;:)(["):
            return True
        if option and (chosen := _CHOSEN.match(folded)) and option[1] == (chosen[1] or chosen[2]):
            return True
        if option and option[2] and _same(folded, option[2]):
            return True
        if not option and _has(folded, text):
            return True
    return False


_OPTION = re.compile(r"[(\[]?([a-z])(?:[)\]]|$|(?=[.:]))[.:]?(?: (.+))?")
"""A letter, or one with the text of that choice."""
_LETTER = re.compile(r"[(\[]?[A-Za-z][)\]]?")
_CHOSEN = re.compile(
    r"(?:the )?(?:(?:correct|right|best|final) )?(?:option|choice|answer|选项|選項)(?: is| ?[:是为為])? ?"
    r"[(\[]?([a-z])(?![\w'])"
    r"|[(\[]?([a-z])(?:[)\]]|$|[,.;:(]| is (?:the )?(?:correct|right|best|answer))"
)
_WORDS = re.compile(r"\w[\w '.:/-]*")
_DECIDED = {"yes", "no", "true", "false"}
"""Answers that others have as words too."""
_MENTIONS = 20


def _has(answer: str, text: str) -> bool:
    """Return whether an answer names a text as whole words, and does not deny it."""
    if len(text) < 2 or text in _DECIDED or not _WORDS.fullmatch(text):
        return False
    start = -1
    for _ in range(_MENTIONS):
        start = answer.find(text, start + 1)
        if start < 0:
            return False
        end = start + len(text)
        is_whole = not (
            _joined(answer[start - 1 : start], text[0]) or _joined(text[-1], answer[end : end + 1])
        )
        if is_whole and not _is_denied(answer, start, end):
            return True
    return False


def _joined(one: str, other: str) -> bool:
    """Return whether two characters are of one word, or of one number."""
    if not one or not other:
        return False
    return (
        (one + other).isascii() and (one.isalnum() or one in ".:/-") and (other.isalnum() or other in ":/-")
    )


def _same(one: str, other: str) -> bool:
    return one.replace(" ", "") == other.replace(" ", "")


_DENIES = re.compile(
    r"(?:\b(?:can)?not|n['’]t|\bnever|\bno longer|\brather than|\binstead of|不是|不等于|不等於|不为|不為"
    r"|不[选選]|[并並]非|而非|≠|\\neq?|!=)"
    r"\s?(?:(?:equal to|exactly|be|the|a|an|about|just|option|in) ?){0,3}[^\w\n]{0,3}$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\s?(?:is|was|are) (?:wrong|incorrect|not (?:the )?(?:correct|right|answer))", re.IGNORECASE
)
_NEAR = 40


def _is_denied(text: str, start: int, end: int) -> bool:
    """Return whether a text says that what it has there is not the answer."""
    before = text[max(start - _NEAR, 0) : start]
    return bool(_DENIES.search(before) or _DENIED.match(text[end : end + _NEAR]))


def _folded(text: str) -> str:
    return " ".join(plain(text).casefold().split())


def _is_quantity(answer: str, wanted: _Quantity, *, marked: bool) -> bool | None:
    """Return whether an answer is a quantity; None if it has no number."""
    before, equals, after = answer.rpartition("=")
    given = _NUMBER.search(before) if marked else None
    # The answer is 5, because 10 / 2 = 5
    is_explained = given and _begins(before, given) and _REASON.search(before, given.end())
    if equals and not is_explained and not before.rstrip().endswith(("!", "\\")) and _NUMBER.search(after):
        answer = after.strip()
    found = list(_NUMBER.finditer(answer))
    if not found:
        return None
    numbers = [each for each in found if not _is_denied(answer, each.start(), each.end())]
    if not numbers:
        return False
    first = numbers[0]
    begins = marked and _begins(answer, first)
    number = first if begins else numbers[-1]
    value, is_part = _value(number[0]), bool(_PERCENT.match(answer, number.end()))
    if value is not None and is_part and not wanted.unit and value / 100 == wanted.value:
        return True
    if wanted.unit and _PERCENT.fullmatch(wanted.unit):
        return value is not None and value == (wanted.value if is_part else wanted.value / 100)
    if value != wanted.value:
        return False
    if wanted.currency and answer[: number.start()].rstrip()[-1:] != wanted.currency:
        return False
    after = answer[number.end() :].lstrip().casefold()
    if not wanted.unit:
        return True
    beyond = after[len(wanted.unit) : len(wanted.unit) + 1]
    return after.startswith(wanted.unit) and not _GOES_ON.match(beyond)


_REASON = re.compile(
    r"\b(?:because|since|as|so|for|where|given|from|by|if|when)\b|[,;.:(，。；：（因由](?!\d)"
)
_PERCENT = re.compile(r"\s?(?:\\?%|percent\b|per cent\b)", re.IGNORECASE)


def first_number(answer: str) -> str:
    """Return the number that an answer begins with; empty if it does not."""
    found = _NUMBER.search(answer)
    return found[0] if found and _begins(answer, found) else ""


def _begins(answer: str, number: re.Match[str]) -> bool:
    return not answer[: number.start()].strip(f"{_SIGNS} ~≈")


_GOES_ON = re.compile(r"[A-Za-z0-9/^²³]")
"""With these it is another unit."""
