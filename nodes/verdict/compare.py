"""Which response a reply prefers."""

import re
from typing import Literal, NamedTuple

from nodes.verdict.json_reply import fields
from nodes.verdict.labels import is_label, label_off
from nodes.verdict.lines import LETTER, SECOND, lines_of
from nodes.verdict.words import (
    ADVERB,
    BECAUSE,
    BETTER,
    DOES,
    EQUAL,
    NOUN,
    OFTEN,
    THING,
    WILL,
    ZH_EQUAL,
    ZH_NOUN,
    Better,
    any_of,
)

_WINS = re.compile(
    rf"(?P<x>[①②])(?:'s)?(?: {DOES})?(?: {ADVERB})* {BETTER}(?: {THING})*"
    r"(?: (?:than|to|over|compared (?:to|with)|as|que|als|чем)"
    rf" (?:the other(?: one)?|(?P<y>[①②]))(?: {THING})*)?"
    rf"(?: {ADVERB})*"
    rf"|(?P<x2>[①②])(?: {ADVERB})* (?:wins?|won|prevails|gewinnt|gagne|gana)"
    r"(?: overall| (?:over|against) (?P<y2>[①②]))?"
    rf"|(?P<x3>[①②])(?: {ADVERB})* ?(?:beats|outperforms|outperformed|surpasses|>{{1,3}}|over) ?(?P<y3>[①②])"
    rf"|(?P<y4>[①②]) ?(?:(?:is|was)(?: {ADVERB})* (?:worse than|inferior to|weaker than)|<{{1,3}})"
    r" ?(?P<x4>[①②])"
    rf"|(?P<y11>[①②]) (?:is|was)(?: {ADVERB})* (?:outperformed|beaten|surpassed) by (?P<x11>[①②])"
    # Chinese: is better (than); is better than; is not as good as. Then Japanese and Korean.
    r"|(?P<x5>[①②])(?:的?(?:整体|总体|质量|表现))*+(?:(?:比|相比)(?P<y5>[①②]|另一个))?"
    r"(?:是|要|明显|略|稍|显然|整体|总体|相对|会|的|质量|而言)*(?:更|较|最|略|稍|为)?"
    r"(?:好|优|佳|胜|优秀|出色|胜出|获胜|胜一筹|优越|更胜一筹)(?:一些|一点|些|了)?的?(?:那?一?个|回答|回复|答案)?"
    r"|(?P<x6>[①②])(?:明显|略|稍|整体)?(?:优于|好于|胜过|强于|胜于)(?P<y6>[①②])"
    r"|(?P<y7>[①②])(?:不如|不及|逊于|差于|劣于)(?P<x7>[①②])"
    r"|(?P<y10>[①②])(?:并|明显)?没有?(?P<x10>[①②])(?:那么|这么)?(?:好|优秀|出色)"
    r"|(?P<x8>[①②])の方が(?:良い|优れている|よい)(?:です)?"
    r"|(?P<x9>[①②])(?:이|가)? ?더 (?:낫다|좋다|낫습니다|좋습니다)"
)
"""Statements that x is better, than y where it is named."""

_WE = any_of("""(?:it|this|that|they|there|both|these|the two|we have|i (?:call|declare) (?:it|
    this))(?: of them)?(?: of the)?(?: NOUNs?| replies| sides)?(?: (?:are|is|was|were|have|has|end in|
    deserve|did|do|perform|performed))?|it's|they're|there's|neither is better|
    beide(?: NOUN(?:en)?)?(?: sind)?""").replace("NOUN", NOUN)
_ABOUT = any_of("""roughly|about|essentially|basically|nearly|approximately|practically|quite|considered|
    deemed|judged|in|as|result in""")
_BETWEEN = any_of(
    """in (?:overall )?quality|overall|in value|between (?:the two|them|both)|here|to me|good|quality"""
)
_TIE = re.compile(
    rf"(?:{_WE} )?(?:(?:{ADVERB}|{_ABOUT}) )*{EQUAL}(?: {_BETWEEN})*|c"
    rf"|neither(?: ① nor ②| ② nor ①| {NOUN}| one| of (?:them|the two))? (?:is|was)(?: {ADVERB})*"
    r" (?:better|superior|preferable)(?: overall| than the other)?"
    rf"|(?:both|两者|二者|它们|(?:这?两|2)[个份者种](?:{ZH_NOUN}|assistant)?)?的?(?:质量|水平|表现|整体|内容)?"
    rf"(?:是|都|基本|大致|几乎|差不多|完全|上|为|均|可以说)*{ZH_EQUAL}的?"
)
_TIE_ALONE = re.compile(rf"c|{EQUAL}|{ZH_EQUAL}")

_OPEN = re.compile(
    any_of(r"""overall|so|therefore|thus|hence|and|but|then|finally|lastly|ultimately|however|clearly|
    in (?:conclusion|summary|short|the end|total|my (?:opinion|view|judge?ment)|this case|general)|
    all in all|on balance|to (?:conclude|summarize|sum up)|for (?:these|this|that) reasons?|as a result|
    consequently|(?:sure|okay|ok|well|certainly|of course|great)\b[!.]?|based on my (?:evaluation|
    analysis|assessment)|(?:given|based on) (?:this|that|these|the above)|it(?:'s| is) clear that|
    we can (?:see|say|conclude) that|综上所述|综上|
    总体来看|总体而言|总体来说|总体上|总的来说|整体而言|整体来看|整体上|因此|所以|最终|最后|经过比较|比较之后|
    相比之下|那么|我的|但是?|而""")
    + "[, :]*"
)
_SURE = re.compile(r"^(?:sure|okay|ok|certainly|of course)[!.,] ")
_THINK = re.compile(
    rf"(?:(?:i|we|ich|je|yo){WILL}?{OFTEN}*"
    r" (?:think|believe|find|feel|say|judge|conclude|consider|decide|argue|see|rate|call|declare)"
    r"|(?:i am|i'm) convinced|it (?:is|seems clear)|我(?:个人)?(?:认为|觉得|相信|判断))[: ]*(?:that )?"
)
_CHOOSE = re.compile(
    rf"(?:(?:(?:i|we){WILL}?{OFTEN}* )?"
    r"(?:choose|select|pick|prefer|chose|go with|favou?r|vote for|opt for|lean towards?|declare|recommend)"
    r"|ich (?:bevorzuge|wähle)|我(?:会|将)?(?:选择|选|更喜欢|更倾向于|更倾向|支持|偏好|推荐)|选择|选)[: ]*"
)
_OVER_THE_OTHER = re.compile(
    r"(?:as (?:the )?(?:better|best|winner|preferred|winning)|over|to|rather than)\b.*"
)

_CONDITIONS = "even if|if|unless|depending|provided|assuming|whether|when|如果"
_CONCESSIONS = "even though|while|whereas|though|although|虽然|尽管"
_CONTRASTS = f"but|however|yet|except|但是?|而|{_CONCESSIONS}"
_BREAK = re.compile(
    r"[.;!?。]+(?=\s|$|[^\x00-\x7f])|[,、()—–。]| - "
    rf"|(?<!{LETTER})(?:{_CONDITIONS}|{_CONTRASTS}|because|since|as|due to|and|so)(?!{LETTER})"
    r"|因为|由于|而且|它|其"
)
_TAKEN_BACK = re.compile(
    rf"(?:[①②]|\b{BETTER}),? (?:but |and |only )?(?:(?:said|says|thought|thinks) (?:no ?(?:body|one)|never)"
    r"|or so (?:it|they|one|he|she|some)\b|at first (?:glance|sight)|on the surface"
    r"|according to (?:the )?(?:critique|critics?|advisor|suggestions|some|others)"
    r"|i (?:do not|don't|disagree|doubt)(?! see| find| have)"
    r"|(?:which|that|this|it)(?:'s| is| was| would be)"
    r" (?:not (?:true|the case|correct|so)|false|wrong|untrue))"
    r"|^(?:at first (?:glance|sight)|on the surface)\b"
    r"|\b(?:some|one|you|people|many|others|critics) (?:would|might|could|may|will) (?:say|think|argue|claim)"
    r"[.!]*$|(?:[,.!]| -) (?:not|no|wrong|false)[.!]*$|^(?:the )?same as\b|才怪|^乍看|^表面上"
)
"""What makes a statement that of somebody else, or denies it."""
_CONDITION, _CONCESSION = re.compile(_CONDITIONS), re.compile(_CONCESSIONS)
_CONTRAST = re.compile(rf"(?<!{LETTER})(?:{_CONTRASTS})(?!{LETTER})")
_SENTENCE_END = re.compile(r"[.;!?。]")
_REASON = re.compile(rf"{BECAUSE}\b|因为|由于|理由|原因")
BARE_REST = re.compile(rf"\s*(?:$|[.!。;]\s*$|[,(:—–]?\s*(?:- )?(?:{_REASON.pattern}))")
_GOOD = rf"(?:(?:{ADVERB}|more|most|fully) )*" + any_of(
    """(?:complete|correct|accurate|clear|clearer|better|helpful|detailed|thorough|comprehensive|concise|
    informative|relevant|precise|specific|useful|well[- ](?:written|structured|organized))"""
)
_MARGIN = re.compile(
    rf"\s*\((?:by )?(?:{ADVERB}|{BETTER}|narrowly|a (?:small|slight|narrow) margin)"
    rf"(?: (?:{ADVERB}|{BETTER}))*\)\s*[.!]?\s*$"
)
_PRAISED = re.compile(
    rf" ?[-–—] it (?:is|was) {_GOOD}(?:(?:,|,? and) (?:it is )?{_GOOD})*(?: than the other)?[.!]?$"
)
_LOSER = re.compile(
    r"[.,;]? (?:the )?(?:worse|worst|weaker|loser|losing)(?: (?:one|response|answer))?(?: is|:) ?([①②])[.!]?$"
)
_NAMED_REST = re.compile(rf"{BARE_REST.pattern}|[.!。](?!\d)")
_FURTHER = re.compile(r"[,.]? ?[\w①②]")
_BARE: dict[str, Better] = {
    "1": "1", "a": "1", "one": "1", "一": "1", "2": "2", "b": "2", "two": "2", "二": "2",
}  # fmt: skip
_ORDINAL = re.compile(r"(?P<the>the )?(?P<nth>first|second)[.!]?")
_HEADING = re.compile(r"([①②]):?")
"""What the prompt writes above a response."""
_BARE_IN_STATEMENT = re.compile(
    r"^[12ab](?= (?:is|was|wins?|beats|outperforms|surpasses)\b)|(?<= than )[12ab]$|(?<= beats )[12ab]$"
)
_RANKED = re.compile(r"[①1a] ?(?P<sign>[<=>]) ?[②2b]|[②2b] ?(?P<turned>[<=>]) ?[①1a]")
_RANKS: dict[str, Better] = {">": "1", "<": "2", "=": "equal"}
_TURNED: dict[str, Better] = {">": "2", "<": "1", "=": "equal"}
_ASKED = re.compile(r"\s*assistant [12]\s*")


class _Statement(NamedTuple):
    better: Better
    kind: Literal["named", "bare", "stated", "tie"]
    """Whether it is a name alone, a number or letter alone, a statement, or a tie by its word alone."""


def compared(text: str) -> Better | None:
    """Return which response a reply prefers; None where it cannot be read."""
    lines = list(lines_of(text))
    if not any(re.search(r"</ ?[①②]", line) for line in lines):  # else they are fences
        lines = [re.sub(r"^<(.{1,30})>$", r"\1", re.sub(r"<([①②])>", r"\1", line)) for line in lines]
    lines = [line.replace("|", ":") if line.count("|") == 1 else line for line in lines]
    lines = _without_options(lines)
    if not lines:
        return None
    ordinal = _ORDINAL.fullmatch(label_off(lines[0])[0])
    if ordinal and (ordinal["the"] or len(lines) == 1):
        return _of_ordinal(ordinal["nth"], lines[1:])
    headings = {found[1] for line in lines if (found := _HEADING.fullmatch(line))}
    first = _first_line(lines[0])
    if _PRAISED.search(lines[0]) and any(line[0] in "①②" for line in lines[1:]):
        return None  # one is praised, and then the other
    has_parts = len(headings) == 2 and not _ASKED.fullmatch(text.splitlines()[0])
    if first and not (has_parts and first.kind == "named"):
        # A second verdict that says otherwise, on the next line or announced as such, makes both doubtful.
        following = lines[1:2] if lines[1:3] != ["①", "②"] else []
        following += [line for line in lines[1:] if label_off(line)[1]]
        others = (_clause(line.rstrip(" .!。"), named=True) for line in following)
        return None if any(said and said.better != first.better for said in others) else first.better
    # Headings are no verdicts.
    lines = [line for line in lines if not _HEADING.fullmatch(line)] if has_parts else lines[1:]
    values = [value for key, value in fields(text) if is_label(key)]
    said = (*map(_whole_line, lines), *(_clause(value, named=True) for value in values))
    later = {statement.better for statement in said if statement}
    return later.pop() if len(later) == 1 else None


def _of_ordinal(nth: str, later: list[str]) -> Better | None:
    """Return what "the second" on the first line says, unless later lines say otherwise or enumerate."""
    better: Better = "1" if nth == "first" else "2"
    for line in later:
        said = _whole_line(line)
        if (said and said.better != better) or _ORDINAL.fullmatch(label_off(line)[0]):
            return None
    return better


def _without_options(lines: list[str]) -> list[str]:
    """Leave out copies of what the prompt says may be replied."""
    kept: list[str] = []
    for line in lines:
        kept.append(line)
        if kept[-3:-1] == ["①", "②"] and _TIE.fullmatch(line):
            del kept[-3:]
    return kept


def _first_line(line: str) -> _Statement | None:
    """Return what a line says, which may continue with reasons; None where it says nothing, or two things."""
    line, labelled = label_off(_SURE.sub("", line))
    if _TAKEN_BACK.search(line):
        return None
    head, colon, _ = line.partition(":")
    if colon and _TIE.fullmatch(head):
        return _Statement("equal", "tie")
    found: list[_Statement] = []
    at, before, is_open = 0, "", True
    reasoned = False
    ends = [*_BREAK.finditer(line)]
    questions = [bool("?" in mark[0]) for mark in ends if _SENTENCE_END.match(mark[0])]
    for mark in (*ends, None):
        clause = line[at : mark.start() if mark else None].strip()
        after, rest = (mark[0], line[mark.start() :]) if mark else ("", "")
        if _CONDITION.fullmatch(before) and not reasoned:
            is_open = False
        is_free = not (
            _CONDITION.fullmatch(after) or _CONCESSION.fullmatch(before) or questions[:1] == [True]
        )
        if clause and is_open and is_free:
            said = _clause(clause, named=labelled or at == 0, chosen=labelled)
            if said and _may_follow(said, rest, labelled=labelled, is_first=at == 0):
                found.append(said)
        reasoned = reasoned or bool(_REASON.match(after))
        if _SENTENCE_END.match(after):
            is_open, reasoned = True, False
            questions.pop(0)
        if mark:
            at, before = mark.end(), after
    if found and found[0].better == "equal" and _CONTRAST.search(line):
        found = [said for said in found if said.better != "equal"]  # "Both are equally correct, but …"
    return found[0] if len({said.better for said in found}) == 1 else None


def _may_follow(said: _Statement, rest: str, *, labelled: bool, is_first: bool) -> bool:
    """Whether what follows on the line leaves a name, a number or a letter a verdict."""
    if said.kind == "named":
        follows = _NAMED_REST.match(rest) or _MARGIN.match(rest) or _PRAISED.match(rest)
        return labelled or (is_first and bool(follows))
    if said.kind == "bare":
        if loser := _LOSER.match(rest):
            return labelled and (loser[1] == "①") == (said.better == "2")
        return bool(BARE_REST.match(rest)) or (labelled and not _FURTHER.match(rest))
    return True


def _whole_line(line: str) -> _Statement | None:
    """Return the verdict of a line that is a verdict and nothing else, or one that is announced as such."""
    plain = line.rstrip(" .!。")
    said = _clause(plain, named=True)
    is_list = plain in _BARE and plain != line
    is_formula = _RANKED.fullmatch(plain) and "①" not in plain
    if said and not is_list and not is_formula:
        return said
    labelled = label_off(line)[1]
    if labelled or _OPEN.match(line):
        said = _first_line(line)
        return said if said and (labelled or said.kind in ("stated", "bare")) else None
    return None


def _clause(text: str, *, named: bool, chosen: bool = False) -> _Statement | None:
    """Return what a clause says.

    `named` says whether a name, number or letter alone is a verdict here, `chosen` whether it was announced.
    """
    for _ in range(4):
        before = text
        text = text[found.end() :] if (found := _OPEN.match(text)) else text
        text, label = label_off(text)
        chosen = chosen or label
        if found := _THINK.match(text):
            text, named = text[found.end() :], True
        if found := _CHOOSE.match(text):
            text, chosen = _OVER_THE_OTHER.sub("", text[found.end() :]).strip(), True
        if text == before:
            break
    text = re.sub(rf"^(?:{ADVERB} )+(?=[①②])", "", text.strip(" ,'")).strip("()")
    text = re.sub(
        r"^([①②]) (?:by far|clearly|slightly|marginally|narrowly|definitely|probably)$", r"\1", text
    )
    if named or chosen:
        if text in ("①", "②"):
            return _Statement("1" if text == "①" else "2", "bare" if chosen else "named")
        if text in _BARE:
            return _Statement(_BARE[text], "bare")
    if ranked := _RANKED.fullmatch(text):
        sign, turned = ranked.groups()
        return _Statement(_RANKS[sign] if sign else _TURNED[turned], "stated")
    text = _BARE_IN_STATEMENT.sub(lambda found: "②" if found[0] in SECOND else "①", text)
    if wins := _WINS.fullmatch(text):
        given = {name: value for name, value in wins.groupdict().items() if value}
        x = next(name for name in given if name[0] == "x")
        if given.get(f"y{x[1:]}") == given[x]:
            return None
        return _Statement("1" if given[x] == "①" else "2", "stated")
    if _TIE.fullmatch(text) and (named or chosen or not _TIE_ALONE.fullmatch(text)):
        return _Statement("equal", "tie")
    return None
