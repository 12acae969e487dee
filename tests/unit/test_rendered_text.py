"""Texts as they are shown: nothing of them is hidden, whatever Markdown would keep to itself."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reporting.html_text import rendered

SYNTAX = (
    *(
        "\n",
        "\n\n",
        "\n> ",
        "\n- ",
        "\n  ",
        "\n    ",
        "\n7. ",
        "\n3) ",
        "\n# ",
        "\n---\n",
        "\n===\n",
        "\n```",
        "\n~~~",
    ),
    *(
        "|",
        "\n|",
        "\n|---|---|\n|",
        "\n|:-:|--:|\n",
        "`",
        "``",
        "$",
        "$$",
        "\n$$\n",
        "\\",
        r"\(",
        r"\)",
        r"\[",
        r"\]",
    ),
    *(
        "[",
        "]",
        "](",
        "](http://",
        ")",
        "![",
        "[](http://",
        "]: ",
        "\n[x]: http://",
        "<",
        ">",
        '"',
        "(",
        '"title"',
    ),
    *(
        "*",
        "**",
        "_",
        "~~",
        "&amp;",
        "&#x20;",
        "{",
        "}",
        "^",
        "=",
        " + ",
        r"\frac",
        r"\text{",
        r"\hspace{-9em}",
    ),
    *(r"\begin{align}", r"\end{align}", r"\raisebox{9em}{", "> " * 25, "- " * 12),
)


WORD = re.compile("w[0-9]+w")


def words(shown: str) -> set[str]:
    """Return the words of a page, also those of the addresses of its links."""
    text = " ".join([*re.findall('href="([^"]*)"', shown), re.sub("<[^>]*>", "", shown)])
    return {*WORD.findall(text)}


@given(st.lists(st.sampled_from([*SYNTAX, *[" W "] * 25])))
@example(["\n|", " W ", "|\n|---|\n|", " W ", "|", " W ", "`", " W ", "|", " W ", "`"])
def test_all_words_are_shown(pieces: list[str]) -> None:
    text = "".join(f" w{i}w " if piece == " W " else piece for i, piece in enumerate(pieces))
    assert words(rendered(text)) == {*WORD.findall(text)}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("|a|b|\n|-|-|\n|1|$|x|$ is large|", ["a", "b", "1", "|x| is large"]),
        ("|a|b|\n|-|-|\n|1|`x|y` or `x\\|y`|", ["a", "b", "1", "x|y or x|y"]),
        ("|a|b|\n|-|-|\n|1|2|3|4|\n|5|", ["a", "b", "1", "2|3|4", "5", ""]),
        ("|a|b|\n|-|-|\n|$5 | and 6$|", ["a", "b", "$5", "and 6$"]),
        ("|a|b|\n|-|-|\n|$5|$6|", ["a", "b", "$5", "$6"]),
    ],
)
def test_the_cells_of_a_table_hold_all_of_a_row(text: str, seen: list[str]) -> None:
    cells = re.findall("<t[hd][^>]*>(.*?)</t[hd]>", rendered(text))
    assert [re.sub("<[^>]*>", "", cell) for cell in cells] == seen


def test_columns_keep_their_alignment() -> None:
    shown = rendered("|a|b|c|d|\n|:-|:-:|-:|-|\n|1|2|3|4|")
    assert re.findall('<(t[hd])(?: class="(.*?)")?', shown.replace("<thead>", "")) == [
        (cell, name) for cell in ("th", "td") for name in ("tal", "tac", "tar", "")
    ]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("[//]: # (aside)", "[//]: # (aside)"),
        ("[x]: http://a.example 'aside'", "[x]: http://a.example 'aside'"),
        ("[](http://a.example/x)", "http://a.example/x"),
        ("[\u200b](http://a.example/%E6%95%B0)", "\u200bhttp://a.example/数"),
        ('[x](http://a.example "aside")', "x (aside)"),
        ('![x](http://a.example "aside")', "[picture: x] (aside)"),
        ("[![](http://a.example/p)](http://a.example)", "[picture: http://a.example/p]"),
        ("[x](<an aside>)", "[x](<an aside>)"),
        ("[x](tel:aside)", "[x](tel:aside)"),
        ("```python aside\n1\n```", "python aside1"),
        ("> " * 40 + "deep", "> " * 24 + "deep"),
    ],
)
def test_what_markdown_keeps_to_itself_is_shown(text: str, seen: str) -> None:
    assert html.unescape(re.sub("<[^>]*>", "", rendered(text))).strip() == seen


def test_items_have_the_numbers_that_are_written() -> None:
    assert re.findall('value="(.*?)"', rendered("3. a\n7. b\n7. c")) == ["3", "7", "7"]
