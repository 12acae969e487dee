"""Final answers: where a text has one, and whether it is the one of a reference.

The rule is in docs/references.md. It leans toward agreement: a check only refuses, and the judge is still to
come. All of it takes time linear in the length of the texts, of which it looks at the ends.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nodes.quantities import (
    CURRENCY_AFTER,
    NEAR,
    NUMBER,
    PERCENT,
    Quantity,
    begins,
    currency_of,
    in_figures,
    is_bound,
    quantity_in,
    value_of,
)

_END = 10_000
"""Characters at the end of a text in which its final answer is looked for."""

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    **{0x3000: " ", 0x2212: "-", 0x2019: "'", 0x3002: "."},
    # White space within numbers.
    **dict.fromkeys((0x00A0, 0x202F, 0x2009), " "),
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0xFE63), "-"),
    **{0x2080 + digit: str(digit) for digit in range(10)},
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

    That is: the content of the last `\boxed{}`, that of the last `<answer>` where it is one line, what
    follows `####` on the last line, what follows the last "answer:", "answer is", "correct option is" or
    "答案" on its line, a quantity or a letter alone after an earlier `####`, and the last line. Of several
    lines in `<answer>`, these are the text.
    """
    text = text[-_END:]
    if (boxed := _boxed(text)) is not None:
        yield Answer(boxed, True)
    if tagged := _tagged(text):
        if "\n" not in tagged:
            yield Answer(tagged, True)
        text = tagged
    last = text.rstrip(_RULES)
    last = text[last.rfind("\n") + 1 :].strip().partition("\n")[0].rstrip()
    if "####" in last:
        yield Answer(last[last.rfind("####") + 4 :].strip(), True)
    if said := _said(text):
        yield Answer(said, True)
    if "####" not in last and (start := f"\n{text}".rfind("\n####")) >= 0:
        line = plain(text[start + 4 :].partition("\n")[0])
        quantity = quantity_in(line)  # others are headings
        if (quantity and quantity.unit[:1] not in (".", ")", ":")) or _LETTER.fullmatch(line):
            yield Answer(line, True)
    if last.strip(_RULES):
        yield Answer(last, False)


_RULES = "`*_-=#~$ \t\r\n"
"""Lines of nothing else end a block, and say nothing."""


def _tagged(text: str) -> str:
    """Return the content of the last `<answer>`; empty if there is none."""
    if not (found := [*_TAG.finditer(text)]) or not found[-1][1]:
        return ""
    opening = next((tag for tag in reversed(found[:-1]) if not tag[1]), None)
    return text[opening.end() : found[-1].start()].strip() if opening else ""


_TAG = re.compile(r"<(/)?(?:final_)?answer>", re.IGNORECASE)


def plain(text: str) -> str:
    """Return a text with full-width characters as ASCII's, and without what only formats it."""
    if not text.isascii():
        text = _RAISED.sub(lambda raised: f"^{raised[0].translate(_FLAT)}", text).translate(_WIDE)
    text = _FUNCTIONS.sub(r" \1", _WORD.sub(r"\1", text.replace("{,}", ",")))
    text = (
        _FRACTION.sub(r"\1\2/\3\4", _DEGREES.sub("°", _FORMAT.sub("", text)))
        .replace(r"\%", "%")
        .replace(r"\$", "$")
        .strip(" \t\r\n*_`\"'“”‘’")
    )
    for opening, closing in _AROUND:
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner and closing[-1] not in inner:
            text = inner.strip()
    text = _NOON.sub(r"\1m", text.rstrip(" .!,;:").strip(" *_`\"'“”‘’"))
    return text.replace(" ", "") if _SPACED.fullmatch(text) else text


_RAISED = re.compile("[⁰¹²³⁴-⁹⁻]+")
_FLAT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_WORD = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s?\{([^{}]{0,60})\}")
_FUNCTIONS = re.compile(r"\\(log|ln|lg|exp|sin|cos|tan|max|min)\b")
_FORMAT = re.compile(r"\\(?:,|!|;|\s|text\b|mathrm\b|mathbf\b|textbf\b|left\b|right\b)|\*\*")
_FRACTION = re.compile(r"(?<!\d)\\[dt]?frac\s?(?:\{(-?\d{1,20})\}|(\d))\s?(?:\{(\d{1,20})\}|(\d))")
_DEGREES = re.compile(r"(?<=\d)\s?(?:\^\s?(?:\{\\circ\}|\\circ\b)|(?i:degrees?\b))")
_NOON = re.compile(r"(?<=[\d ])([ap])\.\s?m\b\.?", re.IGNORECASE)
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
    r"answers?[\s*_\"']{0,5}(?:\([^()\n]{0,20}\)[\s*_]{0,5})?(?:is|are|was|=|[:：])"
    r"|(?:(?<=correct )|(?<=right )|(?<=best ))(?:option|choice)[\s*_]{0,5}(?:is|would be|=|[:：])"
    r"|答案[】\]]|答案[\s*_]{0,5}(?:[应應][该該]?)?(?:[是为為选選]|[:：=])|故(?:应|應|正确|正確)?[选選]"
    r"|[选選](?:[择擇项項])?[是为為:：]?(?=\s?[(（]?(?:[a-z]|[a-h]{2,8})(?![a-z]))"
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
            after = text[found.end() :].lstrip(" \t\r\n*_`:：")
            if line := after[: after.find("\n") if "\n" in after else None].strip():
                # As JSON has it.
                return line.split('"')[1] if line[0] == '"' and line.count('"') > 1 else line
    return ""


def _agrees(draft: str, found: Sequence[Answer], reference: str) -> bool:
    right = right_answer(reference)
    wanted = in_figures(plain(right))
    if (named := _EQUATION.fullmatch(wanted)) and quantity_in(named[1]):
        wanted = named[1]
    text = " ".join(wanted.casefold().split())
    if not text:
        return False
    if len(draft) < 2 * len(right) + 50 and _same(_folded(draft), text):
        return True
    answers = [(in_figures(plain(each.text)), each.marked) for each in found]
    if quantity := quantity_in(wanted):
        for answer, marked in answers:
            if (is_it := _is_quantity(answer, quantity, marked=marked)) is not None:
                return is_it
        return False
    option, letters = _OPTION.fullmatch(text), _letters(wanted)
    for answer, _ in answers[:1]:
        folded = _folded(answer)
        # Paris, the capital; B) Paris
        after = folded[len(text) : len(text) + 1]
        if _same(folded, text) or (folded.startswith(text) and after and after in ",.;:)(["):
            return True
        if letters and letters == _letters(answer):
            return True
        if option and (chosen := _CHOSEN.match(folded)) and option[1] == (chosen[1] or chosen[2]):
            return True
        if option and option[2] and _same(folded, option[2]):
            return True
        if not option and (_has(folded, text) or (text in _HELD and folded.endswith(f" is {text}"))):
            return True
    return False


_EQUATION = re.compile(r"[A-Za-z]\s?=\s?(.+)")
_OPTION = re.compile(r"[(\[]?([a-z])(?:[)\]]|$|(?=[.:]))[.:]?(?: (.+))?")
"""A letter, or one with the text of that choice."""
_LETTER = re.compile(r"[(\[]?[A-Za-z][)\]]?")
_CHOSEN = re.compile(
    r"(?:the )?(?:(?:correct|right|best|final) )?(?:option|choice|answer|选项|選項)(?: is| ?[:是为為])? ?"
    r"[(\[]?([a-z])(?![\w'])"
    r"|[(\[]?([a-z])(?:[)\]]|$|[,.;:(]| is (?:the )?(?:correct|right|best|answer)"
    r"|\s?(?:正[确確]|[选選]?[项項])|\s[-—]\s)"
)
_ONE = r"[(\[]?[a-h][)\]]?"
_SEVERAL = re.compile(
    r"(?:the )?(?:(?:correct|right|best|final) )?"
    r"(?:(?:options|choices|answers|选项|選項)(?: are|[:是为為])? ?)?"
    rf"(?:both )?((?:{_ONE}(?:\s?(?:[,;/&+、，和与與及]|and\b)){{1,2}}\s?){{1,7}}{_ONE})"
    r"(?: are (?:the )?(?:correct|right|best|true|answers?)\b.*)?",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"(?<![A-Za-z])[A-Ha-h](?![A-Za-z])")


def _letters(answer: str) -> frozenset[str]:
    """Return the letters of several choices, such as "A and C" or "ACD"; empty if it is something else."""
    if found := _SEVERAL.fullmatch(answer[:200]):
        return frozenset(letter.upper() for letter in _LETTERS.findall(found[1]))
    is_run = (
        1 < len(answer) < 9
        and "".join(sorted(set(answer))) == answer
        and "A" <= answer[0] <= answer[-1] <= "H"
    )
    return frozenset(answer) if is_run else frozenset()


_WORDS = re.compile(r"\w[\w '.:/-]*")
_HELD = {"true", "false"}
_DECIDED = {"yes", "no", *_HELD}
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


def _is_denied(text: str, start: int, end: int) -> bool:
    """Return whether a text says that what it has there is not the answer."""
    before = text[max(start - NEAR, 0) : start]
    return bool(_DENIES.search(before) or _DENIED.match(text[end : end + NEAR]))


def _folded(text: str) -> str:
    return " ".join(in_figures(plain(text)).casefold().split())


def _is_quantity(answer: str, wanted: Quantity, *, marked: bool) -> bool | None:
    """Return whether an answer is a quantity; None if it has no number."""
    about = _ABOUT.search(answer)
    if about and NUMBER.search(answer[: about.start()]):  # it says the same twice
        said = (answer[: about.start()], answer[about.end() :])
        return any(_is_written(each, wanted, marked=marked) for each in said)
    return _is_written(answer, wanted, marked=marked)


def _is_written(answer: str, wanted: Quantity, *, marked: bool) -> bool | None:
    before, equals, after = answer.rpartition("=")
    given = NUMBER.search(before) if marked else None
    # The answer is 5, because 10 / 2 = 5
    is_explained = given and begins(before, given) and _REASON.search(before, given.end())
    if equals and not is_explained and not before.rstrip().endswith(("!", "\\")) and NUMBER.search(after):
        answer = after.strip()
    found = list(NUMBER.finditer(answer))
    if not found:
        return None
    numbers = [each for each in found if not _is_denied(answer, *each.span()) and not is_bound(answer, each)]
    if not numbers:
        return False
    first = numbers[0]
    is_first = marked and begins(answer, first)
    number = first if is_first else numbers[-1]
    value, is_part = value_of(number[0]), bool(PERCENT.match(answer, number.end()))
    if value is not None and is_part and not wanted.unit and value / 100 == wanted.value:
        return True
    if wanted.unit and PERCENT.fullmatch(wanted.unit):
        return value is not None and value == (wanted.value if is_part else wanted.value / 100)
    if value != wanted.value:
        return False
    before, after = answer[: number.start()], answer[number.end() :].casefold()
    if wanted.currency:
        if currency_of(before, after) != wanted.currency:
            return False
        after = CURRENCY_AFTER.sub("", after, count=1) if CURRENCY_AFTER.match(after) else after
    after = after.lstrip()
    if not wanted.unit:
        return True
    beyond = after[len(wanted.unit) : len(wanted.unit) + 1]
    return after.startswith(wanted.unit) and not _GOES_ON.match(beyond)


_ABOUT = re.compile(
    r"≈|\\approx\b|[(（]\s?(?:(?:about|approx(?:imately|\.)?|roughly|or|i\.e\.|≈|~)(?![a-z])|[大约約即])",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|as|so|for|where|given|from|by|if|when)\b|[,;.:(，。；：（因由](?!\d)"
)
_GOES_ON = re.compile(r"[A-Za-z0-9/^²³]")
"""With these it is another unit."""
