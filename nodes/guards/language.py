"""Which language a draft is in, as far as that is certain: nothing here guesses.

The script decides first (Chinese characters where Latin letters are called for, say); among languages of one
script a detector that needs no network does, py3langid. It is loaded when the first draft needs it, which
takes about a second; most drafts share enough words with the request or the current response that it is not
asked.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

MIN_LETTERS = 50
"""A draft with fewer letters of its main script is too short to tell."""

MIN_LETTERS_OF_SURE = 100
"""The same for the detector, which mistakes short texts, names and formulas for other languages."""

SURE = 0.8
"""How probable the detector must find a language."""

SAMPLE = 600
"""Characters of a text that are looked at."""

_SCRIPTS = {
    "Latin": "À-ÖØ-öø-ɏḀ-ỿ",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "Kana": "ぁ-ゟ゠-ヺー-ヿ",
    "Hangul": "ᄀ-ᇿ㄰-㆏가-힯",
    "Cyrillic": "Ѐ-ԯ",
    "Greek": "Ͱ-Ͽἀ-῿",
    "Arabic": "؀-ۿݐ-ݿ",
    "Hebrew": "֐-׿",
    "Devanagari": "ऀ-ॿ",
    "Bengali": "ঀ-৿",
    "Tamil": "஀-௿",
    "Thai": "฀-๿",
}
_WEIGHTS = {"Han": 3, "Kana": 2, "Hangul": 2}
"""How many letters one of these says as much as."""
_LETTERS = {script: re.compile(f"[{ranges}]") for script, ranges in _SCRIPTS.items()}

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ASCII_LETTERS = re.compile(r"[^A-Za-z]+")

_WORD = re.compile(r"[^\W\d_]+")
# Code, addresses and formulas are in no language.
_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|\$\$.*?\$\$|\bhttps?://\S+|<[^<>\n]{1,200}>", re.DOTALL
)
_CODE_LINE = re.compile(
    r"^[ \t]*(?:def |if .*:|for .*:|while .*:|else:|try:|except\b|raise |print\(|#|//|class "
    r"|import |from \w+ import|#include|function |const |let |var |public |private "
    r"|SELECT |CREATE |INSERT |return\b|</?\w+[ >]|[{}\[\]|]).*$"
    r"|^.*[;{}][ \t]*$|^[ \t]*[\w.]+\([^()\n]*\)[ \t]*$",
    re.MULTILINE,
)

_NAMED = re.compile(
    r"translat|\btransliterat|\blanguages?\b|\bbilingual|\bmultilingual"
    r"|\b(?:english|chinese|mandarin|cantonese|spanish|castilian|french|german|italian|portuguese|brazilian|russian"
    r"|japanese|korean|arabic|hebrew|hindi|urdu|bengali|punjabi|tamil|telugu|marathi|gujarati|persian|farsi|turkish"
    r"|greek|latin|dutch|swedish|danish|norwegian|finnish|icelandic|polish|czech|slovak|hungarian|romanian"
    r"|bulgarian|serbian|croatian|bosnian|slovene|slovenian|ukrainian|belarusian|lithuanian|latvian|estonian"
    r"|vietnamese|thai|lao|khmer|burmese|indonesian|malay|tagalog|filipino|swahili|zulu|afrikaans|irish|welsh"
    r"|gaelic|basque|catalan|galician|albanian|armenian|georgian|mongolian|tibetan|sanskrit|esperanto|yiddish"
    r"|pinyin|romaji|espa[nñ]ol|ingl[eé]s|fran[cç]ais|anglais|deutsch|englisch|italiano|portugu[eê]s)\b"
    r"|[英中法德日韩俄汉葡泰越藏蒙梵]文|[英汉法德日韩俄葡泰越藏蒙梵]语|西班牙|意大利|葡萄牙|阿拉伯|拉丁|希腊|希伯来"
    r"|粤语|普通话|国语|外语|双语|语言|文言|拼音|翻译|译[成为文]|[直意口笔]译|английск|русск|перевед|перевод|日本語|英語"
    r"|中国語|翻訳|영어|번역",
    re.IGNORECASE,
)


async def is_other_language(draft: str, request: str, response: str, system: str = "") -> bool:
    """Whether a draft is surely in a language that neither its request nor the current response is in.

    Never where the request or its system prompt names a language or asks for a translation.
    """
    if _shared(_words(draft[:SAMPLE]), response[: 3 * SAMPLE]):
        return False
    letters = _by_script(sample := _prose(draft))
    script = _main_script(letters)
    if script is None or letters[script] * _WEIGHTS.get(script, 1) < MIN_LETTERS:
        return False
    others = [text for text in (_prose(response), _prose(request), _end(request)) if text]
    # What one of them has a tenth of its letters in may be what the draft has to be in.
    called_for = {name for text in others for name in _used(_by_script(text))}
    instructed = _prose(system)
    if called_for and instructed:
        # Many a system prompt is English whatever the conversation is in: alone it calls for no Latin script.
        called_for |= {*_used(_by_script(instructed))} - {"Latin"}
        others.append(instructed)
    if not called_for:
        return False
    if script not in called_for:
        return not _names_one(request, system)
    if letters[script] < MIN_LETTERS_OF_SURE or script not in ("Latin", "Cyrillic", "Arabic"):
        return False
    words = _words(sample)
    if any(_shared(words, other) for other in others) or _names_one(request, system):
        return False
    return await _is_other(sample, others)


def _names_one(request: str, system: str) -> bool:
    """Whether a language is named, or a translation asked for."""
    return bool(_NAMED.search(request) or _NAMED.search(system))


def languages(texts: Iterable[str], least: float = 0.05) -> list[str]:
    """Return the languages of texts as ISO 639-1 codes, the most frequent first; empty if none is sure.

    Each text counts once, and languages of less than the share `least` of them are left out. Texts too short
    to tell are only looked at, joined, where no other tells.
    """
    families: Counter[str] = Counter()
    members: dict[str, Counter[str]] = {}
    short: list[str] = []
    detector = _detector()

    def count(text: str) -> None:
        (name, _), *_ = detector.rank(text)
        family, sure = _language(detector, text)
        if sure >= SURE:
            families[family] += 1
            members.setdefault(family, Counter())[name] += 1

    for text in texts:
        prose = _prose(text)
        letters = _by_script(prose)
        script = _main_script(letters)
        if script and letters[script] * _WEIGHTS.get(script, 1) >= MIN_LETTERS_OF_SURE:
            count(prose)
        elif script:
            short.append(prose)
    if not families:
        joined = "\n".join(short)
        for start in range(0, len(joined), SAMPLE):
            count(joined[start : start + SAMPLE])
    common = [family for family, n in families.most_common() if n >= least * families.total()]
    return [members[family].most_common(1)[0][0] for family in common]


async def _is_other(draft: str, others: Iterable[str]) -> bool:
    detector = _detector() if _loaded else await asyncio.to_thread(_detector)
    language, sure = _language(detector, draft)
    if sure < SURE:
        return False
    # A language that cannot be distinguished from the draft's, or cannot be detected, is no evidence.
    known = [_language(detector, other) for other in others if _letters(other) >= MIN_LETTERS]
    return bool(known) and all(is_sure >= SURE and name != language for name, is_sure in known)


def _language(detector: Any, text: str) -> tuple[str, float]:
    """Return the language of a text, or its family, and how probable that is."""
    ranked = detector.rank(text)
    family = _FAMILY.get(ranked[0][0], ranked[0][0])
    return family, sum(sure for name, sure in ranked[:10] if _FAMILY.get(name, name) == family)


_loaded: list[bool] = []


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    _loaded.append(True)
    return detector


# Languages so close that the detector takes one for the other.
_FAMILIES = (
    *("es gl pt ca an oc ast", "da no nb nn sv fo", "hr sr bs sl", "cs sk", "id ms jv", "af nl"),
    "ru uk be bg mk",
)
_FAMILY = {name: family for family in _FAMILIES for name in family.split()}


def _prose(text: str) -> str:
    """Return the beginning of a text without what is in no language."""
    beginning = text[: 3 * SAMPLE]
    if "`" in beginning or "<" in beginning or "$" in beginning or "://" in beginning or "~~~" in beginning:
        beginning = _NO_PROSE.sub(" ", beginning)
    prose = _CODE_LINE.sub(" ", beginning)
    # What is mostly code is in no language: its names and comments are often English anyway.
    return prose[:SAMPLE] if len(prose) > len(beginning) / 2 else ""


def _end(text: str) -> str:
    """Return the end of a long text: of a conversation it is the request itself."""
    return _prose(text[-SAMPLE:]) if len(text) > SAMPLE else ""


def _by_script(text: str) -> dict[str, int]:
    rest = "".join(_NOT_ASCII.findall(text))
    ascii_letters = len(_ASCII_LETTERS.sub("", text))
    counted = {name: len(letters.findall(rest)) if rest else 0 for name, letters in _LETTERS.items()}
    counted["Latin"] += ascii_letters
    if counted["Kana"] > 0.1 * counted["Han"]:  # Japanese
        counted |= {"Kana": counted["Kana"] + counted["Han"], "Han": 0}
    return {name: number for name, number in counted.items() if number}


def _letters(text: str) -> int:
    return sum(map(len, _WORD.findall(text)))


def _main_script(letters: dict[str, int]) -> str | None:
    """Return the script of nearly all letters; None if there is none."""
    whole = sum(letters.values())
    return next((name for name, number in letters.items() if number > 0.9 * whole), None)


def _used(letters: dict[str, int]) -> Iterable[str]:
    whole = sum(letters.values())
    return [name for name, number in letters.items() if number * _WEIGHTS.get(name, 1) > 0.1 * whole]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if len(word) < 6]


def _shared(words: list[str], other: str) -> bool:
    """Whether the short words of a draft, most of which only say how the others belong together, are mostly
    those of another text."""
    known = set(_words(other))
    return sum(word in known for word in words) >= max(8, 0.4 * len(words))
