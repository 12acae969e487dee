"""Generates any number of records, always the same ones, each different from the others.

Their texts consist of common words and are about as long as in real data sets: in the original Alpaca data an
instruction has some 12 words and a response some 45; newer ones are longer.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

_COMMON = """
the of and a to in is you that it he was for on are as with his they at be this have from or one had by word
but not what all were we when your can said there use an each which she do how their if will up other about
out many then them these so some her would make like him into time has look two more write go see number no
way could people my than first water been call who oil its now find long down day did get come
"""
_WORDS = _COMMON.split()


def text(chance: Random, words: int) -> str:
    """Return a text of so many words."""
    return " ".join(chance.choices(_WORDS, k=words)).capitalize() + "."


def records(count: int, words: int = 60) -> Iterator[dict[str, str]]:
    """Yield Alpaca records with responses of about so many words, a third of them with an input."""
    for number in range(count):
        chance = Random(number)
        yield {
            "instruction": f"{number}: {text(chance, 12)}",
            "input": text(chance, 20) if number % 3 == 0 else "",
            "output": text(chance, chance.randint(words // 2, words * 3 // 2)),
        }


def write_lines(path: Path, count: int, words: int = 60) -> Path:
    """Write records as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for record in records(count, words):
            file.write(json.dumps(record) + "\n")
    return path
