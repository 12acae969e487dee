"""The fields of a reply in JSON, or what looks like it."""

import re
from collections.abc import Callable, Iterator

from nodes.verdict.lines import MAX_LINE, normalized

_TOKEN = re.compile(
    r"""\s+|"(?P<s>(?:[^"\\]|\\.)*)(?:"|\\?\Z)|'(?P<t>(?:[^'\\]|\\.)*)(?:'|\\?\Z)|(?P<n>-?\d[\d.]*)|(?P<p>[{}\[\]:,])|[^\s"'{}\[\]:,\d-]+|-""",
    re.S,
)


def fields(text: str, read: Callable[[str], str] = normalized) -> Iterator[tuple[str, str]]:
    """Yield the names and values in the first JSON object of a reply, however deep, even if it is cut off."""
    start = re.search(r"\{\s*[\"']", text)
    if not start:
        return
    key, last, depth = "", "", 0
    for token in _TOKEN.finditer(text, start.start()):
        value = token["s"] if token["s"] is not None else token["t"] if token["t"] is not None else token["n"]
        mark = token["p"]
        if mark == ":":
            key, last = last, ""
        elif mark == "{":
            depth += 1
            if key:
                yield key, "{"
            key = ""
        elif mark == "}":
            depth -= 1
            if depth == 0:
                return
        elif mark in ("]", ","):
            key = key if mark == "," and last == "[" else ""
        elif mark == "[":
            last = "["
        elif value is not None:
            value = read(value.replace("\\n", " ")[:MAX_LINE])
            if key:
                yield key, value
            elif last != "[":
                last = normalized(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", token["s"] or token["t"] or "")[:60])
