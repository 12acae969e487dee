"""Find texts that share long runs of words with benchmarks, which must not be trained on.

A run is 8 words; of scripts that put no spaces between words it is 16 characters (Chinese, Japanese) or 32
(Thai, Lao, Khmer, Burmese), and mixed text counts in proportion. Case, punctuation, width and invisible
characters do not matter (Unicode NFKC, case folded). Texts are compared by 64-bit hashes of their runs: 12
bytes for each run of the benchmarks, and nothing for each record that is compared.

Some runs only show that benchmarks repeat themselves, such as "which of the following is the best answer". A
run does not count if it is in more than `COMMON_TEXTS` different texts of the benchmarks, or in at least
`COMMON_ENTRIES` entries that are more than a tenth of all.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import regex

from samples.compressed import open_binary
from samples.fields import raw_text
from samples.files import read_records
from samples.sample import DataError
from samples.sources import find_source

WORDS, HAN, UNSPACED = 8, 16, 32
"""The length of a run: words, characters of Chinese or Japanese, or of other scripts without spaces."""

COMMON_TEXTS, COMMON_ENTRIES = 10, 3
MOST_HITS = 10
"""Hits of one record that are listed."""

_LONGEST_SHOWN = 300

_WEIGHTS = {"word": UNSPACED // WORDS, "han": UNSPACED // HAN, "unspaced": 1}
_HAN = r"\p{Han}\p{Hiragana}\p{Katakana}ー"
_OTHERS = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_ASCII_WORDS = re.compile("[a-z0-9]+")
_WORDS = regex.compile(rf"[{_HAN}{_OTHERS}]|[\w--[_{_HAN}{_OTHERS}]]+", regex.V1)
_IS_HAN, _IS_OTHER = regex.compile(f"[{_HAN}]"), regex.compile(f"[{_OTHERS}]")
_INVISIBLE = dict.fromkeys((0xAD, 0x034F, 0x180E, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF))
"""Characters within words that are not seen: soft hyphens, joiners, marks of direction."""
_TEXT_ENDING = re.compile(r"\.(txt|text|md)(\.(gz|zst|bz2))?$", re.IGNORECASE)

_FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2**64."""

_BITS_A_RUN, _MOST_BITS = 16, 2**27


@dataclass(frozen=True, slots=True)
class Hit:
    """A run that a text shares with a benchmark."""

    benchmark: str
    """The file."""
    line: int
    """The line, or the row of a Parquet file, on which the entry begins."""
    entry: int
    """Its number in the file, from 1: a whole JSON array may be one line."""
    run: str
    """The shared words, normalized; longer than a run where more is shared."""


class Benchmarks:
    """The runs of some benchmarks."""

    def __init__(self, names: Sequence[str]) -> None:
        """Read the benchmarks.

        Args:
            names: files, or anything else that `samples.sources.find_source` takes; of their records all
                strings count, whatever their fields. Lines of plain text are entries, too.

        Raises:
            DataError: one cannot be read, or holds no entries.
        """
        self.entries = 0
        """How many entries there are."""
        self.files: list[str] = []
        """Their names, without folders."""
        self._places: list[tuple[int, int, int]] = []  # file, line and number of the first entry with a text
        runs = self._read(names)
        self.common = 0
        """How many runs do not count because they are in many entries."""
        self.without_runs = 0
        """How many entries nothing can be found of: too short, or with common runs only."""
        self._index(*runs)

    def hits(self, texts: Iterable[str]) -> list[Hit]:
        """Return what texts share with the benchmarks, at most `MOST_HITS` of it."""
        found: list[Hit] = []
        for text in texts:
            words = _words(text)
            starts, ends, hashes = _runs(words)
            at = self._find(hashes)
            if at is not None:
                found += self._merged(words, starts, ends, hashes, at)
            if len(found) >= MOST_HITS:
                break
        return list(dict.fromkeys(found))[:MOST_HITS]

    def _read(self, names: Sequence[str]) -> "tuple[list[Any], array[int], array[int], array[int]]":
        """Return the hashes of the runs of each different text, how many entries have it, and pairs of an
        entry and a text that it has."""
        hashes: list[Any] = []
        numbers: dict[int, int] = {}
        counts, of_entry, of_text = array("I"), array("I"), array("I")
        for name in names:
            before = self.entries
            for file, line, entry, texts in _entries(name):
                if entry == 1:
                    self.files.append(file)
                for text in set(texts):
                    words = _words(text)
                    key = hash(tuple(words))
                    number = numbers.setdefault(key, len(numbers))
                    if number == len(hashes):
                        hashes.append(np.unique(_runs(words)[2]))
                        counts.append(0)
                        self._places.append((len(self.files) - 1, line, entry))
                    counts[number] += 1
                    of_entry.append(self.entries)
                    of_text.append(number)
                self.entries += 1
            if self.entries == before:
                raise DataError(f"{name} has no entries to compare with")
        return hashes, counts, of_entry, of_text

    def _index(
        self, hashes: list[Any], counts: "array[int]", of_entry: "array[int]", of_text: "array[int]"
    ) -> None:
        texts = np.repeat(np.arange(len(hashes), dtype=np.uint32), [len(each) for each in hashes])
        joined = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
        hashes.clear()
        order = np.argsort(joined, kind="stable")
        joined, texts = joined[order], texts[order]
        first = np.flatnonzero(np.diff(joined, prepend=~joined[:1]))
        in_texts = np.diff(first, append=len(joined))
        entries = np.frombuffer(counts, np.uint32) if counts else np.zeros(0, np.uint32)
        in_entries = np.add.reduceat(entries[texts], first) if len(first) else first
        common = (in_texts > COMMON_TEXTS) | (
            (in_entries >= COMMON_ENTRIES) & (in_entries * 10 > self.entries)
        )
        self.common = int(common.sum())
        findable = np.zeros(len(entries), bool)
        findable[texts[np.repeat(~common, in_texts)]] = True
        known = np.zeros(self.entries, bool)
        if of_text:
            known[np.frombuffer(of_entry, np.uint32)[findable[np.frombuffer(of_text, np.uint32)]]] = True
        self.without_runs = int(self.entries - known.sum())
        self._hashes, self._texts = joined[first[~common]], texts[first[~common]]
        # Nearly all runs that are looked up are in no benchmark, and a table of bits says so at once.
        bits = min(_MOST_BITS, 1 << max(16, (len(self._hashes) * _BITS_A_RUN).bit_length()))
        self._shift = np.uint64(64 - (bits.bit_length() - 1))
        table = np.zeros(bits, bool)
        table[self._hashes >> self._shift] = True
        self._table = np.packbits(table, bitorder="little")

    def _find(self, hashes: Any) -> Any:
        """Return which of these runs are in a benchmark; None if none is."""
        if not len(hashes) or not len(self._hashes):
            return None
        bit = hashes >> self._shift
        maybe = np.flatnonzero(
            (self._table[bit >> np.uint64(3)] >> (bit & np.uint64(7)).astype(np.uint8)) & 1
        )
        if not len(maybe):
            return None
        place = np.minimum(np.searchsorted(self._hashes, hashes[maybe]), len(self._hashes) - 1)
        found = maybe[self._hashes[place] == hashes[maybe]]
        return found if len(found) else None

    def _merged(self, words: list[str], starts: Any, ends: Any, hashes: Any, at: Any) -> Iterator[Hit]:
        """Yield hits, those next to each other in one entry as one."""
        texts = self._texts[np.searchsorted(self._hashes, hashes[at])].tolist()
        runs = list(zip(starts[at].tolist(), ends[at].tolist(), texts, strict=True))
        begin, end, text = runs[0]
        for start, stop, other in [*runs[1:], (len(words) + 1, 0, -1)]:
            if other == text and start <= end:
                end = stop
                continue
            file, line, entry = self._places[text]
            yield Hit(self.files[file], line, entry, _joined(words[begin:end])[:_LONGEST_SHOWN])
            begin, end, text = start, stop, other


def strings(value: Any) -> Iterator[str]:
    """Yield all strings in a value but the names of fields."""
    rest = [value]
    while rest:
        match rest.pop():
            case str(text):
                yield text
            case dict(fields):
                rest += reversed(fields.values())
            case list(items) | tuple(items):
                rest += reversed(items)


def _entries(name: str) -> Iterator[tuple[str, int, int, list[str]]]:
    """Yield the file, the line, the number and the texts of each entry of a benchmark."""
    if _TEXT_ENDING.search(name):
        path = Path(name)
        try:
            with open_binary(path) as file:
                lines = ((line, text) for line, text in enumerate(file, start=1) if text.strip())
                for entry, (line, text) in enumerate(lines, start=1):
                    yield path.name, line, entry, [text.decode(errors="replace")]
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        return
    for shard in find_source(name).shards:
        found = read_records(shard.path, shard.layout, keep_bad=True)
        for entry, (line, record) in enumerate(found, start=1):
            raw = raw_text(record)
            yield shard.path.name, line, entry, [raw] if raw is not None else list(strings(record))


def _words(text: str) -> list[str]:
    """Return the words of a text, normalized; of scripts without spaces, the characters."""
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())
    words: list[str] = _WORDS.findall(normalize("NFKC", text.translate(_INVISIBLE)).casefold())
    return words


def _joined(words: list[str]) -> str:
    text = ""
    for word in words:
        text += word if not text or _weight(word) + _weight(text[-1]) < _WEIGHTS["word"] + 2 else f" {word}"
    return text


def _weight(word: str) -> int:
    return _WEIGHTS["word"] if len(word) > 1 else _weight_of_character(word)


@cache
def _weight_of_character(character: str) -> int:
    if character.isascii():
        return _WEIGHTS["word"]
    kind = "han" if _IS_HAN.match(character) else "unspaced" if _IS_OTHER.match(character) else "word"
    return _WEIGHTS[kind]


_NONE: tuple[Any, Any, Any] = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64)


def _runs(words: list[str]) -> tuple[Any, Any, Any]:
    """Return where the runs of a text begin and end, and their hashes: polynomials of the words' hashes."""
    count = len(words)
    if count < WORDS:
        return _NONE
    weights = np.fromiter(map(_weight, words), np.int64, count)
    until = np.concatenate((_NONE[0][:1], [0], np.cumsum(weights)))
    ends = np.searchsorted(until, until[:-1] + UNSPACED)
    starts = np.flatnonzero(ends <= count)
    ends = ends[starts]
    powers, inverses = _powers(count)
    sums = np.zeros(count + 1, np.uint64)
    values = np.fromiter(map(hash, words), np.int64, count).view(np.uint64)
    np.cumsum(values * powers[:count], out=sums[1:])
    return starts, ends, (sums[ends] - sums[starts]) * inverses[starts]


def _powers(count: int) -> tuple[Any, Any]:
    """Return at least so many powers of the factor and of its inverse."""
    size = 1 << max(12, count.bit_length())
    return _power_table(_FACTOR, size), _power_table(pow(_FACTOR, -1, 2**64), size)


@cache
def _power_table(factor: int, size: int) -> Any:
    table = np.full(size, factor, np.uint64)
    table[0] = 1
    return np.cumprod(table, dtype=np.uint64)
