"""The guard `instructions`, third part: a draft that is the suggestions themselves."""

import re

from nodes.guards.texts import NUMBERS

_ADVISES = re.compile(
    r"(?:mention|includ|add|explain|clarif|provid|describ|specif|elaborat|expand|rephras|rewrit|reword|shorten|remov|delet"
    r"|correct|stat|name|emphasi|highlight|avoid|ensur|consider|replac|fix|simplif|mak|us)(?:e|y|s|se|ze|t|d)?\b"
    r"|[^\n]{0,200}\b(?:should|could|would\s+be\s+better)\b|(?:建议|应|可以|增加|补充|说明|提到|删|改|加|避免|使用|明确)",
    re.IGNORECASE,
)


def returns_suggestions(draft: str, suggestions: str) -> bool:
    """Whether a draft is the suggestions themselves, which may hold a whole answer, but here advise."""
    if not suggestions or not 0.5 < len(draft) / len(suggestions) < 2:
        return False
    given, taken = _items(suggestions), _items(draft)
    shared = set(given) & set(taken)
    if not taken or len(shared) < 0.8 * max(len(set(given)), len(set(taken))):
        return False
    return sum(bool(_ADVISES.match(unit)) for unit in taken) >= len(taken) / 2


def _items(text: str) -> list[str]:
    """Return the sentences of a text, without numbers and headings."""
    units = [unit.strip(NUMBERS).lower() for unit in re.split(r"[.!?;。！？；\n:：]+", text)]
    return [unit for unit in units if len(unit.encode("utf-8", "replace")) > 14]
