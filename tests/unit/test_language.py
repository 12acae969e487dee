"""Which languages the texts of a data set are in."""

import pytest

from nodes.guards.language import languages

ENGLISH = (
    "The harbor was built by the people of the town long before the railway came, and most of the "
    "houses along the water are older than the church that stands behind them on the hill."
)
GERMAN = (
    "Der Hafen wurde von den Leuten der Stadt gebaut, lange bevor die Eisenbahn kam, und die meisten "
    "Häuser am Wasser sind älter als die Kirche, die hinter ihnen auf dem Hügel steht."
)
CHINESE = (
    "这个港口是很久以前由镇上的人们建造的，那时铁路还没有修到这里，水边的大多数房子都比山上的教堂还要古老。"
)
CODE = "```python\nprint('hello')\n```"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([ENGLISH], ["en"]),
        ([CHINESE, CHINESE, ENGLISH], ["zh", "en"]),
        ([GERMAN, GERMAN, CODE, "", "42"], ["de"]),
        ([ENGLISH] * 30 + [GERMAN], ["en"]),
        (
            ["Name a river in the north.", "Why is the sky blue in the morning?", "Say what a harbor is."]
            * 4,
            ["en"],
        ),
        ([CODE, "1 + 1 = 2", ""], []),
        ([], []),
    ],
)
def test_languages_are_named_the_most_frequent_first(texts: list[str], expected: list[str]) -> None:
    assert languages(texts) == expected
