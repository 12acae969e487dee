"""Texts as they are shown: nothing of them is hidden, whatever Markdown would keep to itself."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reporting.html_text import rendered

SYNTAX = (
    *("\n", "\n\n", "\n> ", "\n- ", "\n  ", "\n    ", "\n7. ", "\n3) ", "\n# ", "\n---\n", "\n===\n", "\n```", "\n~~~"),
    *("|", "\n|", "\n|---|---|\n|", "\n|:-:|--:|\n", "`", "``", "$", "$$", "\n$$\n", "\\", r"\(", r"\)", r"\[", r"\]"),
    *("[", "]", "](", "](http://", ")", "![", "[](http://", "]: ", "\n[x]: http://", "<", ">", '"', "(", '"title"'),
    *("*", "**", "_", "~~", "&amp;", "&#x20;", "{", "}", "^", "=", " + ", r"\frac", r"\text{", r"\hspace{-9em}"),
    *(r"\begin{align}", r"\end{align}", r"\raisebox{9em}{", "> " * 25, "- " * 12),
)


def words(shown: str) -> list[str]:
    """Return the words of a page, also those of the addresses of its links."""
    text = html.unescape(" ".join([*re.findall('href="([^"]*)"', shown), re.sub("<[^>]*>", "", shown)]))
    return re.findall("w[0-9]+w", text)


@given(st.lists(st.sampled_from([*SYNTAX, *[" W "] * 25])))
@example(["\n|", " W ", "|\n|---|\n|", " W ", "|", " W ", "`", " W ", "|", " W ", "`"])
def test_all_words_are_shown(pieces: list[str]) -> None:
    text = "".join(f" w{i}w " if piece == " W " else piece for i, piece in enumerate(pieces))
    assert set(words(rendered(text))) == set(words(text))
