"""The two scores of a reply."""

import re
from itertools import takewhile

from nodes.verdict.json_reply import fields
from nodes.verdict.labels import is_label, label_off
from nodes.verdict.lines import LETTER, lines_of
from nodes.verdict.words import CORE, FILLER, ZH_CORE, ZH_FILLER, any_of

_SCORE_NAME = re.compile(
    r"(?<![a-z0-9])(?:(?:score|rating|得分|评分) ?(?:#|for )?(?P<number>[12ab])|(?P<letter>[ab])) ?(?=[:=])"
)
_SCORE_TOKEN = re.compile(
    r"(?P<name>[①②])(?:'s)?(?: ?[-–—](?= ))?"
    r"|(?P<number>-?\d+(?:\.\d+)?)(?: ?(?:/|out of|of) ?10(?:\.0)?(?![\d.]))?"
    r"(?: ?(?:分|点|점|points?|pts))?(?!\d|[.:]\d)"
    + f"|(?:{CORE}|{FILLER}|"
    + any_of("""would|while|give|gives|gave|rate|rated|scored|gets?|got|receives?|received|earns?|earned|
    deserves?|assign|assigned|with|at|an|a|to give|vs\\.?|versus|we|i'd|respectively|quality""")
    + rf")(?!{LETTER})|{ZH_CORE}|{ZH_FILLER}|得|给|打|和|与|分别|本|[ ,、;|&()=:'<>]|\.(?= ?[①②])"
)
_HEAD_END = re.compile(
    r"[.;!。](?=\s|$)| [-–—] |[—–(。]|\b(?:because|since|as|due)\b|, (?=[a-z])"
    r"|[,。](?=[①②]的?[\u4e00-\u9fff])|因为"
)


_SCORE = r"\d{1,2}(?:\.\d{1,2})?"
_OF_TEN = r"(?: ?(?:/|out of|of) ?10| points| ?分)?"
_SCALE = re.compile(
    r"(?<=s) 1-10 ?(?=:)"
    r"| ?\((?:on )?(?:a |the )?(?:scale )?(?:of |from )?(?:1 ?(?:[-–]|to) ?|out of |/ ?)10\)"
)
_NUMBERED_SCORE = re.compile(rf"(?P<place>\d)(?:\. |[):] ?)(?P<score>{_SCORE}){_OF_TEN}")
_ROWS = re.compile(rf"1 {_SCORE}{_OF_TEN}\n2 {_SCORE}{_OF_TEN}")
_LONE_SCORE = re.compile(rf"(?P<place>(?!))?(?P<score>{_SCORE}){_OF_TEN}[.,]?")
_FROM_1_TO_10 = re.compile(r"^(?:(?:on )?(?:a |the )?scale )?from 1 to 10 ?[:,] ?(?=\d)")
_BY_MARK = re.compile(
    rf"(?![12](?!\d))({_SCORE})(?: [-–—] |:)(?!0|10$)({_SCORE})"
    rf"|\(?1 ?[:=)] ?({_SCORE}){_OF_TEN}[,;]? \(?2 ?[:=)] ?({_SCORE}){_OF_TEN}\.?"
)
"""Not "8:10", "1:8" and "6:08": one score on a scale, a response and its score, a time of day."""
_ORDERED = re.compile(rf"(?<![\d./])({_SCORE})(?: ?/ ?10)? ?([<>=])=? ?(?:[①②] ?[:=]? ?)?({_SCORE})(?![\d.])")
_SPLIT = re.compile(r"(?<![\d./] )(?<![\d./])\d{1,2} \d{1,2} ?/ ?10(?!\d)")
"""Like "8 5/10", which may be 8.5 of 10."""
_ZH_SCORE = re.compile(
    r"(?<![一二三四五六七八九十点\d])(?P<digit>[一二三四五六七八九十])分"
    r"(?=$|[^a-z\u4e00-\u9fff]|[一二三四五六七八九十]分|[和与])"
    r"|(?<=分)(?P<last>[一二三四五六七八九十])分(?=$|[^a-z\u4e00-\u9fff])"
)
_BY_SLASH = re.compile(rf"({_SCORE})(?: / |/10 ?/ ?)(?!(?:5|10|100)$)({_SCORE})(?:/10)?")
"""Not "4 / 5" and "8 / 10", which are one score on a scale."""


def scored(text: str) -> list[float] | None:
    """Return the scores of response 1 and response 2; None where they cannot be read."""
    lines = [
        _SCORE_NAME.sub(lambda found: "②" if (found[1] or found[2]) in "2b" else "①", line)
        for line in lines_of(text)
    ]
    lines = [_FROM_1_TO_10.sub("", _SCALE.sub("", line).strip()) for line in lines]
    lines = [
        _ZH_SCORE.sub(lambda found: f" {'一二三四五六七八九十'.index(found[0][0]) + 1} ", line).strip()
        for line in lines
    ]
    if not lines:
        return None
    for pattern in (_NUMBERED_SCORE, _LONE_SCORE):
        found_lines = [*takewhile(bool, map(pattern.fullmatch, (label_off(lines[0])[0], *lines[1:3])))]
        if len(found_lines) > 1 or (found_lines and found_lines[0] and found_lines[0]["place"] in ("1", "2")):
            return _of_two_lines([(found["place"], found["score"]) for found in found_lines if found])
    if len(lines) > 1 and _ROWS.fullmatch(f"{lines[0]}\n{lines[1]}"):
        return None
    first = label_off(lines[0])[0]
    if by_mark := _BY_MARK.fullmatch(first):
        if any(re.match(rf"{_SCORE}(?: [-–—] |:)\d", line) for line in lines[1:]):
            return None  # ranges, or times of day
        return [float(score) for score in by_mark.groups() if score]
    if by_slash := _BY_SLASH.fullmatch(lines[0]):
        return [float(by_slash[1]), float(by_slash[2])]
    if pair := _pair(_score_head(lines[0], names=2)):
        return pair
    pairs = {tuple(pair) for line in lines[1:] if (pair := _pair(_numbers(line)))}
    given: dict[str, set[float]] = {"①": set(), "②": set()}
    for line in lines:
        found = _score_head(line, names=1)
        if found and len(found) == 2 and (name := next((x for x in found if isinstance(x, str)), None)):
            given[name] |= {x for x in found if isinstance(x, float)}
    if all(len(scores) == 1 for scores in given.values()):
        pairs.add((given["①"].pop(), given["②"].pop()))
    elif any(given.values()) and not pairs:
        return None
    if not pairs:
        kept = " ".join(
            f"{key if re.search('[①②]', key) else ''} {'' if value == '{' else value}"
            for key, value in fields(text)
            if re.search("[①②]", key) or is_label(key)
        )
        if pair := _pair(_numbers(kept)):
            pairs.add(tuple(pair))
    return list(pairs.pop()) if len(pairs) == 1 else None


def _of_two_lines(scores: list[tuple[str | None, str]]) -> list[float] | None:
    """Return one score a line: two of them and no third. "1" and "2" may be the numbers of the responses."""
    places, values = [place for place, _ in scores], [value for _, value in scores]
    may_be_places = [value.partition(".")[0] for value in values] == ["1", "2"]
    is_pair = places == ["1", "2"] or (places == [None, None] and not may_be_places)
    return [float(value) for value in values] if is_pair else None


def _numbers(line: str) -> list[str | float] | None:
    """Return the names and numbers of a line that holds nothing else than these, labels and separators."""
    line = line.rstrip(" .;,!。")
    if line.count("(") != line.count(")") or _SPLIT.search(line):
        return None
    if (ordered := _ORDERED.search(line)) and not _is_true(*ordered.groups()):
        return None
    found: list[str | float] = []
    at = 0
    while at < len(line):
        token = _SCORE_TOKEN.match(line, at)
        if not token:
            return None
        if token["name"]:
            found.append(token["name"])
        elif token["number"]:
            if len(token["number"]) > 6 or len(found) > 4:
                return None
            found.append(float(token["number"]))
        at = token.end()
    return found


def _is_true(x: str, sign: str, y: str) -> bool:
    return {"<": float(x) < float(y), ">": float(x) > float(y), "=": float(x) == float(y)}[sign]


def _score_head(line: str, names: int) -> list[str | float] | None:
    """Return the names and numbers that a line begins with, if reasons follow."""
    wanted = 2 * names if "①" in line and "②" in line and names == 2 else 2
    if (whole := _numbers(line)) and len(whole) == wanted:
        return whole
    for end in list(_HEAD_END.finditer(line))[:6]:
        head = _numbers(line[: end.start()])
        if head and len(head) in (2, 2 * names) and not re.match(r"\W*\d", line[end.end() :]):
            return head
    return None


def _pair(found: list[str | float] | None) -> list[float] | None:
    numbers = [x for x in found or () if isinstance(x, float)]
    names = [x for x in found or () if isinstance(x, str)]
    if len(numbers) != 2 or len(names) not in (0, 2) or len(set(names)) != len(names):
        return None
    if names and [isinstance(x, str) for x in found or ()] in (
        [True, False, False, True],
        [False, True, True, False],
    ):
        return None
    return numbers[::-1] if names == ["②", "①"] else numbers
