r"""Reads a judge's reply: which response it prefers, or its two scores.

    >>> read_verdict("assistant 2\nIt gives an example.", "compare")
    [0.0, 1.0]
    >>> read_verdict("Both have their points.\n\n**Verdict:** Both are equally good.", "compare")
    [1.0, 1.0]
    >>> read_verdict("Response 1: 8/10, Response 2: 9/10", "score")
    [8.0, 9.0]
    >>> read_verdict("Assistant 1: short.", "compare")

Each line is normalized, the names of the responses become `①` and `②`, and a clause of what remains has to be
one of a few statements as a whole. So a line that mentions an assistant, denies or hedges is not read.
"""

import re
import unicodedata
from collections.abc import Callable, Container, Iterator
from itertools import takewhile
from typing import Literal, NamedTuple

from nodes.settings import VerdictForm
from prompts.pack import FIRST_LINES, FirstLine

LOWEST, HIGHEST = 1.0, 10.0
"""The limits of a score."""

GREATEST_LEAD: dict[VerdictForm, float] = {"compare": 1.0, "score": HIGHEST - LOWEST}
"""The most points by which a verdict can put one response before the other."""

MAX_CHARS = 20_000
"""How many characters of a reply are read, thoughts not counted."""

MAX_LINE = 1_000
"""How many characters of a line are read."""

Better = Literal["1", "2", "equal"]
_POINTS: dict[Better, list[float]] = {"1": [1.0, 0.0], "2": [0.0, 1.0], "equal": [1.0, 1.0]}


def reply_form(first_line: FirstLine) -> str:
    """Return the regex of a verdict and its explanation, for servers that can constrain their output.

    The explanation begins with a visible character and ends where the model or the limit for replies ends it.
    (A bound here, as in `{0,1500}`, costs vLLM's xgrammar up to 100 ms for each token; this takes
    microseconds.)
    """
    if isinstance(first_line, str):
        first = _escaped(first_line).replace(_escaped("{score}"), r"(10|[1-9](\.5)?)")
    else:
        first = f"({'|'.join(map(_escaped, first_line))})"
    return rf"{first}\n[^\s][\s\S]*"


def _escaped(text: str) -> str:
    """Escape what has a meaning in a regex; `re.escape` escapes more, which not all servers take."""
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


def read_verdict(reply: str, form: VerdictForm, first_line: FirstLine | None = None) -> list[float] | None:
    """Return the points for response 1 and response 2 in a judge's reply; None where it cannot be read.

    `first_line` is the one that the judge was asked for, if that is not the usual one. Its own words are read
    first, and others only if the usual reading takes none of its words for another verdict.

    The first line with content counts, unless the next line or one with a label is another verdict; rules,
    fences and labels ("Verdict:") are not content. Where it is no verdict, the later lines count that are a
    verdict and nothing else, if all of these agree. What is in the tags of thoughts is not read. An ambiguous
    reply is not read.
    """
    text = _without_thoughts(reply.strip())[:MAX_CHARS]
    own = first_line if first_line not in FIRST_LINES.values() else None
    if form == "score":
        scores = _own_scores(text, own) if isinstance(own, str) else _scored(text)
        return scores if scores and all(LOWEST <= score <= HIGHEST for score in scores) else None
    better = _own_better(text, own) if isinstance(own, tuple) else _compared(text)
    return list(_POINTS[better]) if better else None


# --- a first line of the pack's own


def _own_scores(text: str, first_line: str) -> list[float] | None:
    """Return the scores in the very words that were asked for, otherwise as usual if that means the same."""
    pattern = _escaped(_own_line(first_line)).replace(_escaped("{score}"), r"(\d{1,2}(?:\.\d{1,2})?)")
    for line in _own_lines(text)[:1]:
        if found := re.fullmatch(rf"{pattern}[ .!。*`\"']*", line):
            return [float(score) for score in found.groups()]
    example = _scored(first_line.replace("{score}", "3", 1).replace("{score}", "7", 1))
    return _scored(text) if example in (None, [3.0, 7.0]) else None


def _own_better(text: str, first_line: tuple[str, ...]) -> Better | None:
    """Return the verdict in the very words that were asked for, otherwise as usual if that means the same.

    Where the words are those of several verdicts, they are copies of what may be replied.
    """
    names: dict[str, Better] = dict(zip(map(_own_line, first_line), _POINTS, strict=True))
    said = [_own_name(line, names) for line in _own_lines(text, names)]
    if said and said[0]:
        return None if said[1:2] and said[1] and said[1] != said[0] else said[0]
    if given := {better for better in said if better}:
        return given.pop() if len(given) == 1 else None
    return _compared(text) if all(map(_is_usual, first_line, _POINTS)) else None


def _is_usual(name: str, better: Better) -> bool:
    """Whether these words are usually read as this verdict, or as none and name no other side."""
    if usual := _compared(name):
        return usual == better
    others = {"1": "②|2|b|two|second", "2": "①|1|a|one|first"}.get(better)
    return not (others and re.search(rf"(?<![a-z0-9])(?:{others})(?![a-z0-9])", _normalized(name)))


def _own_lines(text: str, names: Container[str] = ()) -> list[str]:
    """Return the lines with content, lower-case and without labels; of JSON, the value of the verdict.

    Rules, fences and tags are no content, unless they are one of `names`.
    """
    if text[:1] == "{":
        text = next((value for key, value in _fields(text, str) if _is_label(key) and value), text)
    lines = [_own_line(raw) for raw in text.splitlines() if not _FENCE.match(raw)]
    return [line for line in lines if line in names or re.search(r"[^\W_]", _TAG.sub("", line))]


def _own_line(raw: str) -> str:
    line = re.sub(r"^\s*(?:[-+•]|\d[.)])\s+", "", raw[:MAX_LINE]).casefold()
    line = (_TAG.sub("", line).strip(" \t*`\"'#") or line).strip()
    label, colon, value = line.replace("：", ":").partition(":")
    return value.strip(" \t*`\"'") if colon and _is_label(_normalized(label)) else line


def _own_name(line: str, names: dict[str, Better]) -> Better | None:
    if line in names:
        return names[line]
    said = {
        better
        for name, better in names.items()
        if name and line.startswith(name) and _BARE_REST.match(line[len(name) :].lstrip("*`\"'"))
    }
    return said.pop() if len(said) == 1 else None


# --- words


def _any(words: str) -> str:
    """Return the regex of alternatives that are written on several lines."""
    return f"(?:{''.join(line.strip() for line in words.splitlines())})"


_NOUN = _any("""assistant|response|answer|reply|option|candidate|output|model|version|text|completion|
    solution|assistent|antwort|asistente|respuesta|assistente|resposta|risposta|réponse|ассистент|ответ""")
_ZH_NOUN = _any("助手|助理|回答|回复|答案|回应|响应|答复|选项|模型|版本|アシスタント|응답|답변|어시스턴트")
_ADVERB = _any("""overall|clearly|definitely|slightly|much|far|by far|a bit|a little|somewhat|marginally|
    significantly|generally|considerably|substantially|still|simply|just|ultimately|the|a|an|both|then|
    also|here|obviously|therefore|thus|probably|likely|arguably|
    deutlich|klar|etwas|leicht|insgesamt""")
_BETTER = _any("""better|best|superior|preferable|preferred|favou?red|stronger|strongest|winner|winning|
    besser|meilleure?|mejor|migliore|melhor|лучше|my (?:choice|pick|preference)|my preferred""")
_THING = _any("""response|answer|assistant|reply|one|choice|option|pick|output|version|text|work|
    of the two|of both|overall|quality|for training|as training data|training (?:example|data|sample|
    response)|candidate|in (?:general|my opinion|my view|my judgment|comparison)""")
_DOES = _any("""is|was|gave|gives|provides|provided|wrote|writes|has|had|offers|offered|produces|produced|
    delivers|delivered|makes|made|presents|did|does|performs|performed|as|to be|be|ist|est|es|è|é""")
_EQUAL = _any("""equal|equals|tie|tied|draw|a tie|a draw|a toss-up|equally (?:good|well written|well|
    strong|helpful|great|matched|useful|valid|effective|suitable|preferable|bad|poor|weak|wrong|flawed|
    incorrect|unhelpful)|of (?:the same|equal|
    equivalent) quality|of equal (?:value|merit)|equal in (?:quality|value|merit)|equivalent|on par|
    identical|(?:the )?same|even|no (?:clear |real |significant |meaningful )?(?:difference|preference)|
    gleichstand|unentschieden|gleich(?: gut)?|gleichwertig|
    ebenbürtig|égalité|ex æquo|empate|pareggio|ничья|引き分け|同点|무승부|동점""")
_ZH_EQUAL = _any(
    """平局|平手|打平|平|相等|相当|相同|一样|一样好|同样好|同样出色|同等|不分上下|不相上下|不分伯仲|难分伯仲|难分高下|旗鼓相当|没有区别|没有差别|质量相当|水平相当|
    差不多"""
)
_CORE = _any("""verdicts?|judge?ments?|judge|decision|answer|output|result|choice|chosen|choose|winner|
    winning|best|better|ranking|preferred|preference|prefer|selected|selection|select|pick|conclusion|ruling|
    overall|final|scores?|ratings?|points|urteil|ergebnis|gewinner|sieger|jugement|gagnant|veredicto|resultado|
    ganador|вердикт""")
_ZH_CORE = _any(
    """结论|输出|判断|判定|判决|裁决|评判|答案|结果|选择|胜者|胜出者?|获胜者?|更好|更优|最佳|较好|优胜者?|评分|得分|分数|打分|総合|結論"""
)
_FILLER = _any("""my|the|our|your|is|are|here's|here|of|for|one|response|assistant|so|and|on|in|le|la|il|
    el|as|follows|summary|evaluation|assessment|would|be|i|both|clearly|clear""")
_ZH_FILLER = _any("最终|的|是|我|为|回答|回复|助手|综合|总体|总|方")
_OFTEN = _any(" (?:personally|therefore|also|still|strongly|ultimately|firmly)")
_WILL = _any("'d|'ll| would| will| do| must| have to| can")
_BECAUSE = _any("because|since|as|due to|for|reason")


# --- lines

_THOUGHTS = re.compile(
    r"^[ \t]*<(think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|explanation)>", re.M | re.I
)
_THOUGHTS_END = re.compile(r"^[ \t]*</(?:think|thinking|thoughts?|reasoning)>", re.M | re.I)
_FENCE = re.compile(r"\s*(?:```|~~~)\s*\w*\s*$")
_MARKS = str.maketrans(dict.fromkeys('*_`#"“”„«»「」『』【】《》[]{}$~', " ") | {"’": "'", "‘": "'"})
_STRUCK = re.compile(r"(~~?)[^~]+\1")
_CROSSED = str.maketrans(dict.fromkeys("❌❎✖✗✘☒🚫⛔👎🙅\u0335\u0336", "×"))
"""What denies that which it stands next to. Other pictures are left out."""
_SIMPLIFIED = str.maketrans(
    "勝獲應較優於兩樣當輸論結終斷選擇沒會個條種總體認覺傾歡雖儘盡並顯評質響為這與們難數決遜強過來說綜現內別區復複覆無雙對後項標題類",
    "胜获应较优于两样当输论结终断选择没会个条种总体认觉倾欢虽尽尽并显评质响为这与们难数决逊强过来说综现内别区复复复无双对后项标题类",
)
_LATEX = re.compile(r"\\[a-z]+|\\.")
_TAG = re.compile(
    r"</?(?:(?:final )?(?:verdict|winner|answer|output|result|choice|decision|judge?ment|preference|rating)"
    r"|scores?|better|p|b|i|u|em|strong|h\d|center|span|div|br|code|pre|li|ul)\s?/?>"
)
_BULLET = re.compile(r"(?:[-+>•·–—=|:.]\s+|[-=>]+(?=[^\W\d]))+")
_NUMBERED = re.compile(r"\d{1,2}[.)] (?=[①②])")
_LETTER = r"[a-zà-öø-ÿа-я]"
_NAME = re.compile(
    rf"(?<![a-z0-9])(?:the |la |le |die )?{_NOUN} ?(?:#|no\.? ?|number |-)?"
    r"(?P<number>[12ab]|one|two)(?![a-z0-9]|[.,/:]\d|%)"
    rf"(?:(?:'s?)? (?:response|answer|reply|output|version|text)(?!{_LETTER})|'s(?=[.,;:!]|$))?"
    rf"|(?<![a-z])(?:the )?(?P<nth>first|second|1st|2nd) {_NOUN}(?!{_LETTER})"
    rf"|(?<![a-z])the (?P<the>first|second|1st|2nd|former|latter)(?: one(?!{_LETTER})|(?= (?:is|was|wins)\b))"
    rf"|(?<![两个])(?:{_ZH_NOUN}|assistant|response) ?(?P<zh>[12ab一二])号?"
    rf"(?![a-z0-9下个些样般致直定旦种段项])(?: ?的 ?{_ZH_NOUN})?(?: ?的?表现|的内容)?"
    rf"|第 ?(?P<zh_nth>[12一二]) ?[个份条种位款]? ?{_ZH_NOUN}|(?P<zh_the>前者|后者)"
    r"|第 ?(?P<zh_one>[12一二]) ?[个份条种位款](?=[更较比要最优胜好没]|明显|略|稍)(?!更?[好优佳]的)"
    rf"|(?<!{_LETTER})(?:die |der )?(?P<de>erste|zweite) {_NOUN}(?!{_LETTER})"
    r"|^(?:die|der) (?P<de_is>erste|zweite)(?= ist\b)|(?<= than )the (?P<than>first|second)(?=[.!]?$)"
    r"|(?<=选)第 ?(?P<zh_pick>[12一二]) ?个(?=[.!。]?$)"
)
_SECOND = {"2", "b", "two", "second", "2nd", "latter", "二", "后者", "zweite"}
_PLURAL = re.compile(rf"(?:both )?{_NOUN}s? (?:1|a) (?:and|&) (?:2|b)(?![a-z0-9])")
_PAIR = re.compile(
    r"(?:both )?(?:①(?: and | & |和|与|、|跟)②|②(?: and | & |和|与)①"
    r"|(?<!to )(?<!with )(?<!like )(?<!than )①, ②)"
)
_TWICE = re.compile(r"([①②])[ ,/=-]*\(?(?:by |from |i\.e\.,? )?\1(?:'s)?\)?")
_NOT_THE_OTHER = re.compile(
    r"([①②])(?:(?:, | )(?:and )?(?:rather than|instead of|not) |[, ]?(?:而不是|而非|不是) ?)(?!\1)[①②]"
    r"(?=\s*(?:$|[.;!。,:(—–]))"
)
_QUOTED = re.compile(r"^(?:'(.*)')$|^\((?=.{1,20}\)$)(.*)\)$")
_TIGHT = re.compile(
    r"(?<=[①②\u3040-\u9fff]) (?=[\u3040-\u9fff])|(?<=[\u3040-\u9fff]) (?=[①②])|(?<=[<]) | (?=[>])"
)


def _without_thoughts(text: str) -> str:
    lower, kept, at = text.lower(), "", 0
    while opening := _THOUGHTS.search(text, at):
        kept += text[at : opening.start()]
        closing = f"</{opening[1].lower()}>"
        end = lower.find(closing, opening.end())
        if end < 0:
            return kept
        at = end + len(closing)
        if len(kept) > MAX_CHARS:
            break
    kept += text[at:]
    # Many a chat template opens the thoughts in the prompt, so that the reply only closes them.
    closing_only = _THOUGHTS_END.search(kept)
    return kept[closing_only.end() :] if closing_only and kept[closing_only.end() :].strip() else kept


def _lines(text: str) -> Iterator[str]:
    """Yield the lines with content, normalized: plain lower-case text that names the responses ① and ②."""
    label = ""
    for raw in text.splitlines():
        if not _FENCE.match(raw) and (line := _normalized(raw[:MAX_LINE])):
            if _is_label(line.rstrip(":= ")):
                label = f"{line.rstrip(':= ')}: "
            else:
                yield label + line
                label = ""


def _normalized(raw: str) -> str:
    line = unicodedata.normalize("NFKC", raw).lower().replace("->", ":").replace("→", ":")
    line = re.sub(r"(?<=[^\W\d])】(?=[^\s。.])", ": ", line)  # 【Verdict】…
    line = _STRUCK.sub(" × ", line.translate(_SIMPLIFIED)).translate(_CROSSED)
    line = _LATEX.sub(" ", line).translate(_MARKS)
    line = "".join(char for char in line if unicodedata.category(char) not in ("So", "Sk", "Cf", "Mn"))
    line = _PLURAL.sub("both", " ".join(_TAG.sub(" ", line).split()))
    line = _NAME.sub(lambda found: "②" if found[found.lastgroup or 0] in _SECOND else "①", line)
    line = _PAIR.sub("both", _TIGHT.sub("", line))
    line = _COPIED_HEADING.sub(r"\1:", line) if _COPIED_HEADING.fullmatch(line) else _TWICE.sub(r"\1", line)
    line = _NOT_THE_OTHER.sub(r"\1", line)
    for beginning in (_NUMBERED, _BULLET):
        line = line[found.end() :] if (found := beginning.match(line)) else line
    line = line.strip(" |").replace(" ;", ";").replace(" ,", ",").replace(" .", ".")
    line = _QUOTED.sub(r"\1\2", line)
    return line if re.search(r"[^\W_]|[①②]", line) else ""


# --- labels

_LABEL = re.compile(
    rf"(?=.*(?:\b{_CORE}\b|{_ZH_CORE}))(?:(?:\b(?:{_CORE}|{_FILLER})\b|{_ZH_CORE}|{_ZH_FILLER})[ ']*+)++"
)
_LABELLED = re.compile(r"([^:=—–]{1,60}?) ?(?:[:=—–]| - |\bis\b|\bgoes to\b|是|为)[: ]*(.*)", re.S)


def _is_label(words: str) -> bool:
    """Whether these words announce a verdict."""
    return len(words) <= 60 and bool(_LABEL.fullmatch(words.strip()))


def _label_off(line: str) -> tuple[str, bool]:
    """Return the line without labels at its beginning, and whether there were any."""
    found = False
    for _ in range(3):
        match = _LABELLED.match(line)
        if not match or not _is_label(match[1]):
            break
        line, found = match[2].strip(), True
    return line, found


# --- compare

_WINS = re.compile(
    rf"(?P<x>[①②])(?:'s)?(?: {_DOES})?(?: {_ADVERB})* {_BETTER}(?: {_THING})*"
    r"(?: (?:than|to|over|compared (?:to|with)|as|que|als|чем)"
    rf" (?:the other(?: one)?|(?P<y>[①②]))(?: {_THING})*)?"
    rf"(?: {_ADVERB})*"
    rf"|(?P<x2>[①②])(?: {_ADVERB})* (?:wins?|won|prevails|gewinnt|gagne|gana)"
    r"(?: overall| (?:over|against) (?P<y2>[①②]))?"
    rf"|(?P<x3>[①②])(?: {_ADVERB})* ?(?:beats|outperforms|outperformed|surpasses|>{{1,3}}|over) ?(?P<y3>[①②])"
    rf"|(?P<y4>[①②]) ?(?:(?:is|was)(?: {_ADVERB})* (?:worse than|inferior to|weaker than)|<{{1,3}})"
    r" ?(?P<x4>[①②])"
    rf"|(?P<y11>[①②]) (?:is|was)(?: {_ADVERB})* (?:outperformed|beaten|surpassed) by (?P<x11>[①②])"
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

_WE = _any("""(?:it|this|that|they|there|both|these|the two|we have|i (?:call|declare) (?:it|
    this))(?: of them)?(?: of the)?(?: NOUNs?| replies| sides)?(?: (?:are|is|was|were|have|has|end in|
    deserve|did|do|perform|performed))?|it's|they're|there's|neither is better|
    beide(?: NOUN(?:en)?)?(?: sind)?""").replace("NOUN", _NOUN)
_ABOUT = _any("""roughly|about|essentially|basically|nearly|approximately|practically|quite|considered|
    deemed|judged|in|as|result in""")
_BETWEEN = _any(
    """in (?:overall )?quality|overall|in value|between (?:the two|them|both)|here|to me|good|quality"""
)
_TIE = re.compile(
    rf"(?:{_WE} )?(?:(?:{_ADVERB}|{_ABOUT}) )*{_EQUAL}(?: {_BETWEEN})*|c"
    rf"|neither(?: ① nor ②| ② nor ①| {_NOUN}| one| of (?:them|the two))? (?:is|was)(?: {_ADVERB})*"
    r" (?:better|superior|preferable)(?: overall| than the other)?"
    rf"|(?:both|两者|二者|它们|(?:这?两|2)[个份者种](?:{_ZH_NOUN}|assistant)?)?的?(?:质量|水平|表现|整体|内容)?"
    rf"(?:是|都|基本|大致|几乎|差不多|完全|上|为|均|可以说)*{_ZH_EQUAL}的?"
)
_TIE_ALONE = re.compile(rf"c|{_EQUAL}|{_ZH_EQUAL}")

_OPEN = re.compile(
    _any(r"""overall|so|therefore|thus|hence|and|but|then|finally|lastly|ultimately|however|clearly|
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
    rf"(?:(?:i|we|ich|je|yo){_WILL}?{_OFTEN}*"
    r" (?:think|believe|find|feel|say|judge|conclude|consider|decide|argue|see|rate|call|declare)"
    r"|(?:i am|i'm) convinced|it (?:is|seems clear)|我(?:个人)?(?:认为|觉得|相信|判断))[: ]*(?:that )?"
)
_CHOOSE = re.compile(
    rf"(?:(?:(?:i|we){_WILL}?{_OFTEN}* )?"
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
    rf"|(?<!{_LETTER})(?:{_CONDITIONS}|{_CONTRASTS}|because|since|as|due to|and|so)(?!{_LETTER})"
    r"|因为|由于|而且|它|其"
)
_TAKEN_BACK = re.compile(
    rf"(?:[①②]|\b{_BETTER}),? (?:but |and |only )?(?:(?:said|says|thought|thinks) (?:no ?(?:body|one)|never)"
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
_CONTRAST = re.compile(rf"(?<!{_LETTER})(?:{_CONTRASTS})(?!{_LETTER})")
_SENTENCE_END = re.compile(r"[.;!?。]")
_REASON = re.compile(rf"{_BECAUSE}\b|因为|由于|理由|原因")
_BARE_REST = re.compile(rf"\s*(?:$|[.!。;]\s*$|[,(:—–]?\s*(?:- )?(?:{_REASON.pattern}))")
_GOOD = rf"(?:(?:{_ADVERB}|more|most|fully) )*" + _any(
    """(?:complete|correct|accurate|clear|clearer|better|helpful|detailed|thorough|comprehensive|concise|
    informative|relevant|precise|specific|useful|well[- ](?:written|structured|organized))"""
)
_MARGIN = re.compile(
    rf"\s*\((?:by )?(?:{_ADVERB}|{_BETTER}|narrowly|a (?:small|slight|narrow) margin)"
    rf"(?: (?:{_ADVERB}|{_BETTER}))*\)\s*[.!]?\s*$"
)
_PRAISED = re.compile(
    rf" ?[-–—] it (?:is|was) {_GOOD}(?:(?:,|,? and) (?:it is )?{_GOOD})*(?: than the other)?[.!]?$"
)
_LOSER = re.compile(
    r"[.,;]? (?:the )?(?:worse|worst|weaker|loser|losing)(?: (?:one|response|answer))?(?: is|:) ?([①②])[.!]?$"
)
_NAMED_REST = re.compile(rf"{_BARE_REST.pattern}|[.!。](?!\d)")
_FURTHER = re.compile(r"[,.]? ?[\w①②]")
_BARE: dict[str, Better] = {
    "1": "1", "a": "1", "one": "1", "一": "1", "2": "2", "b": "2", "two": "2", "二": "2",
}  # fmt: skip
_ORDINAL = re.compile(r"(?P<the>the )?(?P<nth>first|second)[.!]?")
_HEADING = re.compile(r"([①②]):?")
_COPIED_HEADING = re.compile(r"([①②]),? \(?(?:by|from) \1\)?:?")
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


def _compared(text: str) -> Better | None:
    lines = list(_lines(text))
    if not any(re.search(r"</ ?[①②]", line) for line in lines):  # else they are fences
        lines = [re.sub(r"^<(.{1,30})>$", r"\1", re.sub(r"<([①②])>", r"\1", line)) for line in lines]
    lines = [line.replace("|", ":") if line.count("|") == 1 else line for line in lines]
    lines = _without_options(lines)
    if not lines:
        return None
    ordinal = _ORDINAL.fullmatch(_label_off(lines[0])[0])
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
        following += [line for line in lines[1:] if _label_off(line)[1]]
        others = (_clause(line.rstrip(" .!。"), named=True) for line in following)
        return None if any(said and said.better != first.better for said in others) else first.better
    # Headings are no verdicts.
    lines = [line for line in lines if not _HEADING.fullmatch(line)] if has_parts else lines[1:]
    values = [value for key, value in _fields(text) if _is_label(key)]
    said = (*map(_whole_line, lines), *(_clause(value, named=True) for value in values))
    later = {statement.better for statement in said if statement}
    return later.pop() if len(later) == 1 else None


def _of_ordinal(nth: str, later: list[str]) -> Better | None:
    """Return what "the second" on the first line says, unless later lines say otherwise or enumerate."""
    better: Better = "1" if nth == "first" else "2"
    for line in later:
        said = _whole_line(line)
        if (said and said.better != better) or _ORDINAL.fullmatch(_label_off(line)[0]):
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
    line, labelled = _label_off(_SURE.sub("", line))
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
        return bool(_BARE_REST.match(rest)) or (labelled and not _FURTHER.match(rest))
    return True


def _whole_line(line: str) -> _Statement | None:
    """Return the verdict of a line that is a verdict and nothing else, or one that is announced as such."""
    plain = line.rstrip(" .!。")
    said = _clause(plain, named=True)
    is_list = plain in _BARE and plain != line
    is_formula = _RANKED.fullmatch(plain) and "①" not in plain
    if said and not is_list and not is_formula:
        return said
    labelled = _label_off(line)[1]
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
        text, label = _label_off(text)
        chosen = chosen or label
        if found := _THINK.match(text):
            text, named = text[found.end() :], True
        if found := _CHOOSE.match(text):
            text, chosen = _OVER_THE_OTHER.sub("", text[found.end() :]).strip(), True
        if text == before:
            break
    text = re.sub(rf"^(?:{_ADVERB} )+(?=[①②])", "", text.strip(" ,'")).strip("()")
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
    text = _BARE_IN_STATEMENT.sub(lambda found: "②" if found[0] in _SECOND else "①", text)
    if wins := _WINS.fullmatch(text):
        given = {name: value for name, value in wins.groupdict().items() if value}
        x = next(name for name in given if name[0] == "x")
        if given.get(f"y{x[1:]}") == given[x]:
            return None
        return _Statement("1" if given[x] == "①" else "2", "stated")
    if _TIE.fullmatch(text) and (named or chosen or not _TIE_ALONE.fullmatch(text)):
        return _Statement("equal", "tie")
    return None


# --- JSON

_TOKEN = re.compile(
    r"""\s+|"(?P<s>(?:[^"\\]|\\.)*)(?:"|\\?\Z)|'(?P<t>(?:[^'\\]|\\.)*)(?:'|\\?\Z)|(?P<n>-?\d[\d.]*)|(?P<p>[{}\[\]:,])|[^\s"'{}\[\]:,\d-]+|-""",
    re.S,
)


def _fields(text: str, read: Callable[[str], str] = _normalized) -> Iterator[tuple[str, str]]:
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
                last = _normalized(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", token["s"] or token["t"] or "")[:60])


# --- score

_SCORE_NAME = re.compile(
    r"(?<![a-z0-9])(?:(?:score|rating|得分|评分) ?(?:#|for )?(?P<number>[12ab])|(?P<letter>[ab])) ?(?=[:=])"
)
_SCORE_TOKEN = re.compile(
    r"(?P<name>[①②])(?:'s)?(?: ?[-–—](?= ))?"
    r"|(?P<number>-?\d+(?:\.\d+)?)(?: ?(?:/|out of|of) ?10(?:\.0)?(?![\d.]))?"
    r"(?: ?(?:分|点|점|points?|pts))?(?!\d|[.:]\d)"
    + f"|(?:{_CORE}|{_FILLER}|"
    + _any("""would|while|give|gives|gave|rate|rated|scored|gets?|got|receives?|received|earns?|earned|
    deserves?|assign|assigned|with|at|an|a|to give|vs\\.?|versus|we|i'd|respectively|quality""")
    + rf")(?!{_LETTER})|{_ZH_CORE}|{_ZH_FILLER}|得|给|打|和|与|分别|本|[ ,、;|&()=:'<>]|\.(?= ?[①②])"
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


def _scored(text: str) -> list[float] | None:
    lines = [
        _SCORE_NAME.sub(lambda found: "②" if (found[1] or found[2]) in "2b" else "①", line)
        for line in _lines(text)
    ]
    lines = [_FROM_1_TO_10.sub("", _SCALE.sub("", line).strip()) for line in lines]
    lines = [
        _ZH_SCORE.sub(lambda found: f" {'一二三四五六七八九十'.index(found[0][0]) + 1} ", line).strip()
        for line in lines
    ]
    if not lines:
        return None
    for pattern in (_NUMBERED_SCORE, _LONE_SCORE):
        found_lines = [*takewhile(bool, map(pattern.fullmatch, (_label_off(lines[0])[0], *lines[1:3])))]
        if len(found_lines) > 1 or (found_lines and found_lines[0] and found_lines[0]["place"] in ("1", "2")):
            return _of_two_lines([(found["place"], found["score"]) for found in found_lines if found])
    if len(lines) > 1 and _ROWS.fullmatch(f"{lines[0]}\n{lines[1]}"):
        return None
    first = _label_off(lines[0])[0]
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
            for key, value in _fields(text)
            if re.search("[①②]", key) or _is_label(key)
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
