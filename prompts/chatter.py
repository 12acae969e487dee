"""What editors write around a draft: announcements and markers before it, remarks after it.

Closed vocabularies decide, English and Chinese: a line is an announcement only if all its words are of the
kind that speak of a revised response, and a paragraph is a remark only if it speaks of one.
"""

import re

MAX_LINE = 400
"""The longest line that may be an announcement or a remark, in characters."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_REVISED = _set(
    "revised improved edited updated enhanced refined rewritten reworked polished corrected modified "
    "adjusted revamped optimized"
)
_NEWER = _set("new final")
_RESPONSE = _set("response answer reply")
_VERSION = _set("version draft text revision rewrite")
_ADVICE = _set("suggestion suggestions suggested feedback advice recommendations")
_BY = _set("based incorporating incorporates addressing addresses considering according using")
_POINTERS = _set("here here's below this following i've")
_WORDS = frozenset.union(_REVISED, _NEWER, _RESPONSE, _VERSION, _ADVICE, _POINTERS) | _set(
    """
    a an the that which it its it's these those all both any each some my your our you i i'd i'll we me
    there of to for with without from by in on at as into about and or but while so than also too now just
    be is are was has have had would will can could above follows follow what find please sure certainly
    absolutely course okay ok great understood alright got thing no problem happy glad help thanks thank
    much based incorporating incorporates incorporate incorporated addressing addresses address addressed
    considering considers taking takes taken account consideration using uses used applying applies
    applied according reflecting reflects integrating integrates implementing implements including
    includes keeping keeps maintaining maintains preserving making makes made ensuring ensures providing
    provides offering offers adding adds improving improves enhancing enhances fixing fixes correcting
    clarifying clarifies meeting meets aligns revise improve edit update refine revising rewriting rewrote
    improvement improvements change changes edits revisions recommendation comment comments critique
    critiques point points concern concerns issue issues guidelines criteria requirements instruction
    instructions notes debate debaters advisor advisor's editor editor's writing provided given mentioned
    listed received request question prompt query task user user's original current previous initial old
    earlier existing more most slightly further fully clearer clear concise detailed complete accurate
    correct helpful comprehensive precise specific engaging natural polite formal professional friendly
    informative quality clarity conciseness detail details accuracy tone structure flow readability
    grammar completeness depth context information easier easy understand read end you'll requested
    needed better
    """
)
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
_BETWEEN_WORDS = re.compile(r"[\s,.!;:：()（）—–-]*")

_ZH_REVISED = "修改|修订|改进|优化|润色|完善|更新|编辑|改写|调整|重写|修正"
_ZH_RESPONSE = "回答|回复|答复|响应"
_ZH_ALLOWED = re.compile(
    r"(?:[\s，,、。！!/]|好的|好|当然|可以|没问题|明白|收到|谢谢|感谢|您|你|我们|我|的|了|以下|下面|如下|这里|这|就|是"
    r"|为|一个|一份|一版|个|份|版本|版|根据|按照|结合|参考|基于|针对|考虑|采纳|到|上述|以上|这些|所有|全部|提供|提出|给出|建议|意见"
    rf"|反馈|要求|请求|{_ZH_REVISED}|并|和|与|及|对|将|把|进行|经过|经|之后|后|过|已经|已|原来|原始|原有|原|{_ZH_RESPONSE}"
    r"|答案|内容|文本|最终|新|更加|更|清晰|准确|完整|简洁|详细|自然|具体|流畅|质量|表达)++"
)
_ZH_CORE = re.compile(
    rf"(?:{_ZH_REVISED})(?:之后|后|过|版|好|了)?的?(?:{_ZH_RESPONSE}|答案|版本|内容|文本)"
    rf"|(?:最终|新)版?的?(?:{_ZH_RESPONSE})|更好的(?:{_ZH_RESPONSE}|答案)|(?:建议|意见|反馈)[^，。]{{0,20}}(?:{_ZH_RESPONSE})"
)

_MARKS = "#*_=~-–—[]【】〖〗〔〕<>《》「」『』()（）:： \t"
_CLOSING = str.maketrans("[【〖〔<《「『(（", "]】〗〕>》」』)）")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•–—>]|\d+[.)])\s")
_RULE = re.compile(r"[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|={3,}[ \t]*|[—─]{2,}[ \t]*)")
_FRONT_MATTER = re.compile(r"\s*---[ \t]*\n(?:[\w-]+:[^\n]*\n)+---")
_GREETING = re.compile(r"sure|certainly|absolutely|of course|ok|great|understood|alright|got it|thank", re.I)
_ORIGINAL = re.compile(
    r"^[^\w\n]*(?:original|previous|old|current|first) (?:response|answer|reply|version|text|draft)[^\w\n]*$"
    rf"|^[^\w\n]*(?:原始?|原来的?|修改前的?)(?:{_ZH_RESPONSE}|答案|版本|文本)[^\w\n]*$",
    re.I | re.M,
)
_LABEL = re.compile(
    r"(?P<words>[^:：\n]{1,200})[:：](?:\*\*|__)?[ \t]*"
    r"|[\[【〖](?P<bracketed>[^\[\]【】〖〗\n]{1,80})[\]】〗][ \t]*[:：]?[ \t]*"
)


def is_rule(line: str) -> bool:
    """Whether a line is a horizontal rule, in Markdown or drawn with other characters."""
    return len(line) <= MAX_LINE and bool(_RULE.fullmatch(line))


def lead_in(text: str) -> str:
    """Return the announcement that a text begins with, and a greeting or rules around it, or an empty string.

    It is a line such as "Sure! Here's an improved version:" or "### Revised response ###", or a label such as
    "Revised response:" with the response behind it.
    """
    lines = text.split("\n", 12)
    at = 0
    for opens in (_greets, is_rule):
        if opens(lines[at]):
            at = _next(lines, at)
    line, following = lines[at], _next(lines, at)
    is_underlined = following == at + 1 and is_rule(lines[following])
    if following > at and (_announces(line) or (is_underlined and _speaks_of_revision(line))):
        if is_rule(lines[following]) and not _FRONT_MATTER.match("\n".join(lines[following:])):
            at = following
        return "\n".join(lines[: at + 1])
    label = _LABEL.match(line[:MAX_LINE])
    if label and _is_label(label, line[label.end() :].strip()):
        return "\n".join([*lines[:at], label[0]])
    return ""


def _next(lines: list[str], at: int) -> int:
    """Return the index of the next line that is not blank; `at` if there is none."""
    return next((index for index in range(at + 1, len(lines)) if lines[index].strip()), at)


def announced_original(text: str) -> bool:
    """Whether a text holds the original under a heading of its own, so that it shows both."""
    return bool(_ORIGINAL.search(text))


def calls_it_a_version(announcement: str) -> bool:
    """Whether an announcement is of a version or text, as an answer's own may be, and not of a response."""
    return not _RESPONSE & set(_words(announcement)) and not re.search(_ZH_RESPONSE, announcement)


def ends_frame(line: str) -> bool:
    """Whether a line marks the end of what an announcement opened: "### End ###", "[/Revised response]"."""
    words = _words(line)
    is_end = words[:1] == ["end"] and (len(words) == 1 or bool((_RESPONSE | _VERSION) & set(words)))
    is_marked, plain = line.strip() != line.strip(_MARKS), line.replace("/", "", 1)
    return is_marked and _is_known(plain) and (is_end or (plain != line and _speaks_of_revision(plain)))


def _greets(line: str) -> bool:
    return bool(_GREETING.match(line)) and _is_known(line) and not _announces(line)


def _announces(line: str) -> bool:
    # Without a colon or the marks of a heading it could be a sentence of the answer.
    is_marked = line.strip() != line.strip(_MARKS)
    return is_marked and _ends_itself(line) and not _LIST_ITEM.match(line) and _speaks_of_revision(line)


def _ends_itself(line: str) -> bool:
    """Whether nothing follows the colon of a line but what closes the marks before it."""
    marks = line[: len(line) - len(line.lstrip(_MARKS))]
    _, colon, rest = line.replace("：", ":").rpartition(":")
    return not colon or not rest.strip(marks.translate(_CLOSING) + " \t")


def _is_label(label: re.Match[str], rest: str) -> bool:
    text = label["bracketed"] or label["words"]
    words = set(_words(text))
    if not rest or _LIST_ITEM.match(text) or calls_it_a_version(text) or {"final", "answer"} <= words:
        return False
    # A sentence may continue in lower case.
    return _speaks_of_revision(text) and not (_POINTERS & words and rest[0].islower())


def _speaks_of_revision(line: str) -> bool:
    plain = line.strip(_MARKS)
    if not _is_known(line):
        return len(line) <= MAX_LINE and bool(_ZH_ALLOWED.fullmatch(plain) and _ZH_CORE.search(plain))
    words = _words(line)
    by_advice = bool(_ADVICE & set(words) and _BY & set(words))
    points, is_heading = bool(_POINTERS & set(words)), line.lstrip()[:1] in "#*=[~_-—【"
    for index, word in enumerate(words):
        before = set(words[max(0, index - 4) : index])
        if (
            word in _RESPONSE
            and before & _NEWER
            and (is_heading or word != "answer" or "final" not in before)
        ):
            return True  # "Final answer:" can be an answer's own; as a heading it is not
        after = set(words[index + 1 : index + 2])  # "Response (revised)"
        if word in _RESPONSE | _VERSION and (before | after) & _REVISED:
            return True
        if points and (
            word in ("revision", "rewrite") or (word in _RESPONSE and before & _POINTERS and by_advice)
        ):
            return True
    return False


def _is_known(line: str) -> bool:
    """Whether a line has nothing but words of announcements."""
    if len(line) > MAX_LINE:
        return False
    words, plain = _words(line), _plain(line)
    return (
        bool(words)
        and _WORDS.issuperset(words)
        and bool(_BETWEEN_WORDS.fullmatch(_WORD.sub("", plain.strip(_MARKS))))
    )


def _words(line: str) -> list[str]:
    return _WORD.findall(_plain(line[: MAX_LINE + 1]))


def _plain(line: str) -> str:
    return line.lower().replace("’", "'").replace("_", " ")


# --- remarks after the draft

_REVISED_RESPONSE = (
    rf"(?:{'|'.join(sorted(_REVISED))}),?(?: and)?(?: [a-z]+)? (?:response|answer|reply|version|draft)"
)
_DOES = r"(?:(?:now|also|better|fully|directly) )*(?:is|are|has|should|[a-z]+s)\b"
_REVISIONS = r"(?:changes?|revisions?|edits|adjustments?|modifications?|tweaks|refinements?|improvements?)"
_DID = (
    r"made|revised|rewritten|rewrote|added|incorporated|addressed|clarified|fixed|corrected|expanded|simplified"
    r"|improved|adjusted"
)
_QUALITIES = (
    rf"response|version|answer|suggestions?|feedback|clarity|details?|tone|clearer|concise|{_REVISIONS}"
)
_ZH_NEW_RESPONSE = rf"(?:{_ZH_REVISED})(?:后|过|版)?的?(?:{_ZH_RESPONSE}|版本|答案)"

_NOTE = re.compile(r"[\s(（\[*_]*(?:note|注|备注|说明)?[\s*_]*[:：]?[\s*_]*", re.I)
_REMARK = re.compile(
    rf"(?:(?:i )?(?:hope|believe|think)|hopefully)(?: that)? (?:this|the|my) {_REVISED_RESPONSE}\b"
    rf"|(?:this|the|my) {_REVISED_RESPONSE} {_DOES}"
    rf"|(?:please )?let me know\b.*\b{_REVISED_RESPONSE}\b"
    rf"|(?:希望)?(?:这|以上|上述)[个次份版是]?{_ZH_NEW_RESPONSE}",
    re.I,
)
_REMARK_IN_FRAME = re.compile(
    rf"(?:this|the|my) (?:new |final )?(?:version|revision|rewrite|draft|response|reply) {_DOES}"
    rf"|(?:i|i've|i have) (?:also )?(?:{_DID})\b.*\b(?:{_QUALITIES})\b"
    rf"|(?:the |these |key |main |summary of )*{_REVISIONS} (?:made|include|address|improve|are|were)\b"
    rf"|(?:please )?(?:let me know|feel free)\b.*\b{_REVISIONS}\b"
    rf"|(?:(?:i )?hope|hopefully) (?:this|these)\b.*\b(?:{_REVISIONS}|version|revision)\b"
    rf"|(?:这|以上|上述|本|该)[个次份版是]?(?:新)?(?:版本|{_ZH_REVISED}|{_ZH_RESPONSE})"
    rf"|(?:主要)?(?:{_ZH_REVISED})(?:说明|内容|之处|点)[:：]|我已?经?(?:{_ZH_REVISED}|补充|增加|修复)"
    rf"|希望.{{0,20}}(?:{_ZH_REVISED})|如果?[您你]?.{{0,20}}(?:{_ZH_REVISED}).{{0,30}}(?:告诉我|告知|随时)",
    re.I,
)


_ZH_ASIDE = re.compile(
    r"\s*[（(]已经?(?:根据|按照?)[^（）()\n]{0,10}(?:建议|意见|反馈)[^（）()\n]{1,40}[）)]\s*"
)


def is_remark(paragraph: str, *, in_frame: bool = False) -> bool:
    """Whether a paragraph speaks of the revision before it: "I hope this revised version helps!"

    `in_frame` also accepts what says so only where the draft was announced: "This version adds detail."
    """
    if len(paragraph) > MAX_LINE or "\n" in paragraph.strip():
        return False
    if _ZH_ASIDE.fullmatch(paragraph):
        return True
    text = paragraph.replace("’", "'")
    text = text[_NOTE.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
    return bool(_REMARK.match(text) or (in_frame and _REMARK_IN_FRAME.match(text)))
