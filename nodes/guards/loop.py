"""The guard `loop`: a draft that says the same again and again."""

import re

from nodes.guards.texts import NUMBERS, TAIL

_ASKS_FOR_REPETITION = re.compile(
    r"repeat|repetit|over and over|again and again|\btimes\b|\d\s*times|mantra|chant|tongue[- ]?twister"
    r"|refrain|chorus|\bsong|lyric|poem|rhyme|verse|\bpattern|print|loop|\brows?\b|\blines of\b|dummy"
    r"|placeholder|lorem|filler|ascii"
    r"|重复|反复|\d+[遍次]|[一二三四五六七八九十百千][遍次]|口号|绕口令|歌|诗|循环|打印|图案|占位",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?;。！？；\n]+\s*")
_LIKE_A_TABLE = re.compile(r"[|{}<>=\\\t]|--|\d\s*[,;xX×*/+]\s*\d")


def is_loop(draft: str, request: str, response: str) -> bool:
    """Whether a draft says the same again and again to its end, and the current response does not."""
    if any(
        loops(draft, request) and not loops(response, request) for loops in (_loops, _ends_in_one, _is_twice)
    ):
        return True
    return _is_repeated(response, draft, request)


_MANY_SIGNS = 80


def _ends_in_one(text: str, request: str) -> bool:
    """Whether a text ends in one letter or sign, again and again, that is no line to write on or to cross."""
    text = text.rstrip()
    last = text[-1:]
    body = text.rstrip(last) if last else ""
    if len(text) - len(body) < _MANY_SIGNS or last in "_.…`~|" or not body:
        return False
    in_table = "|" in body[-300:] or body[-1:] == "+"
    return not (in_table or _ASKS_FOR_REPETITION.search(request) or re.search(r"\d{2}", request))


def _is_twice(text: str, request: str) -> bool:
    """Whether a text is the same twice."""
    if len(text) < 2 * _LEAST_TWICE or "```" in text or _ASKS_FOR_REPETITION.search(request):
        return False
    plain = " ".join(text.split())
    half = len(plain) // 2
    if plain[half : half + 1] != " " or plain[:half] != plain[half + 1 :] or _ASKS_FOR_TWO.search(request):
        return False
    said = sum(map(str.isalpha, plain[:half]))
    return said >= half / 2 and len(plain[:half].encode("utf-8", "replace")) >= _LEAST_TWICE_BYTES


_LEAST_TWICE, _LEAST_TWICE_BYTES = 20, 60
_ASKS_FOR_TWO = re.compile(
    r"\btwo\b|\btwice\b|\bboth\b|\bdouble|\bcop(?:y|ies)\b|\b2\b|两|二|双", re.IGNORECASE
)


def _is_repeated(response: str, draft: str, request: str) -> bool:
    """Whether a draft is nothing but the current response, several times."""
    if len(draft) < 1.5 * len(response) or _ASKS_FOR_REPETITION.search(request):
        return False
    once, again = "".join(response.split()), "".join(draft.split())
    times, rest = divmod(len(again), max(1, len(once)))
    return len(once.encode("utf-8", "replace")) >= 30 and not rest and times > 1 and again == once * times


def _loops(text: str, request: str) -> bool:
    tail = text[-TAIL:].rstrip()
    if len(tail) < 60 or tail.count("```") % 2 or tail.endswith("```"):
        return False
    return _is_periodic(tail, request) or _repeats_units(tail, request)


def _is_periodic(tail: str, request: str) -> bool:
    """Whether the end of a text is one phrase, again and again."""
    flat = " ".join(tail.lower().split())
    ending = flat[-12:]
    before = flat.rfind(ending, 0, -1)
    if before < 0:
        return False
    period = len(flat) - len(ending) - before
    # How far back each character is the one a period later: in steps, doubled while they fit.
    length, step = period + len(ending), max(period, 64)
    while length < len(flat):
        some = min(step, len(flat) - period - (length - period))
        if some <= 0:
            break
        end = len(flat) - (length - period)
        if flat[end - some : end] != flat[end - some - period : end - period]:
            if some == 1:
                break
            step = some // 2
            continue
        length += some
        step *= 2
    times = length / period
    phrase = flat[-period:]
    # In bytes, since a Chinese character says as much as three letters.
    said = len("".join(filter(str.isalpha, phrase)).encode("utf-8", "replace"))
    weight = len(flat[-length:].encode("utf-8", "replace"))
    if not said or _LIKE_A_TABLE.search(phrase):
        return False
    if _ASKS_FOR_REPETITION.search(request):
        return times >= 30 and weight >= 1500
    if len(phrase.encode("utf-8", "replace")) >= 40:
        return times >= 4
    return times >= 8 and weight >= 160 if said >= 5 else times >= 40 and weight >= 400


_UNITS = 40
"""How many sentences and lines at the end of a draft are compared."""


def _repeats_units(tail: str, request: str) -> bool:
    """Whether the last sentences are a few, in any order, each again and again."""
    units = [unit for unit in _SENTENCE_END.split(tail) if unit][-_UNITS:]
    # The number of an item is no difference.
    units = [unit for each in units if (unit := each.strip(NUMBERS))]
    if len(units) < 12 or len(set(units)) > len(units) / 2 or _ASKS_FOR_REPETITION.search(request):
        return False
    # The last one may be cut off; a short unit is a label, a name or an item.
    last = units[:-1]
    long = [
        unit for unit in last if len(unit.encode("utf-8", "replace")) >= 9 and not _LIKE_A_TABLE.search(unit)
    ]
    return len(long) >= max(11, 0.8 * len(last)) and len(set(long)) <= len(long) / 4
