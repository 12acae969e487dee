"""A first line that the prompt pack words itself."""

import re
from collections.abc import Container

from nodes.verdict.compare import BARE_REST, compared
from nodes.verdict.json_reply import fields
from nodes.verdict.labels import is_label
from nodes.verdict.lines import FENCE, MAX_LINE, TAG, normalized
from nodes.verdict.score import scored
from nodes.verdict.words import POINTS, Better


def escaped(text: str) -> str:
    """Escape what has a meaning in a regex; `re.escape` escapes more, which not all servers take."""
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


def own_scores(text: str, first_line: str) -> list[float] | None:
    """Return the scores in the very words that were asked for, otherwise as usual if that means the same."""
    pattern = escaped(_own_line(first_line)).replace(escaped("{score}"), r"(\d{1,2}(?:\.\d{1,2})?)")
    for line in _own_lines(text)[:1]:
        if found := re.fullmatch(rf"{pattern}[ .!。*`\"']*", line):
            return [float(score) for score in found.groups()]
    example = scored(first_line.replace("{score}", "3", 1).replace("{score}", "7", 1))
    return scored(text) if example in (None, [3.0, 7.0]) else None


def own_better(text: str, first_line: tuple[str, ...]) -> Better | None:
    """Return the verdict in the very words that were asked for, otherwise as usual if that means the same.

    Where the words are those of several verdicts, they are copies of what may be replied.
    """
    names: dict[str, Better] = dict(zip(map(_own_line, first_line), POINTS, strict=True))
    said = [_own_name(line, names) for line in _own_lines(text, names)]
    if said and said[0]:
        return None if said[1:2] and said[1] and said[1] != said[0] else said[0]
    if given := {better for better in said if better}:
        return given.pop() if len(given) == 1 else None
    return compared(text) if all(map(_is_usual, first_line, POINTS)) else None


def _is_usual(name: str, better: Better) -> bool:
    """Whether these words are usually read as this verdict, or as none and name no other side."""
    if usual := compared(name):
        return usual == better
    others = {"1": "②|2|b|two|second", "2": "①|1|a|one|first"}.get(better)
    return not (others and re.search(rf"(?<![a-z0-9])(?:{others})(?![a-z0-9])", normalized(name)))


def _own_lines(text: str, names: Container[str] = ()) -> list[str]:
    """Return the lines with content, lower-case and without labels; of JSON, the value of the verdict.

    Rules, fences and tags are no content, unless they are one of `names`.
    """
    if text[:1] == "{":
        text = next((value for key, value in fields(text, str) if is_label(key) and value), text)
    lines = [_own_line(raw) for raw in text.splitlines() if not FENCE.match(raw)]
    return [line for line in lines if line in names or re.search(r"[^\W_]", TAG.sub("", line))]


def _own_line(raw: str) -> str:
    line = re.sub(r"^\s*(?:[-+•]|\d[.)])\s+", "", raw[:MAX_LINE]).casefold()
    line = (TAG.sub("", line).strip(" \t*`\"'#") or line).strip()
    label, colon, value = line.replace("：", ":").partition(":")
    return value.strip(" \t*`\"'") if colon and is_label(normalized(label)) else line


def _own_name(line: str, names: dict[str, Better]) -> Better | None:
    if line in names:
        return names[line]
    said = {
        better
        for name, better in names.items()
        if name and line.startswith(name) and BARE_REST.match(line[len(name) :].lstrip("*`\"'"))
    }
    return said.pop() if len(said) == 1 else None
