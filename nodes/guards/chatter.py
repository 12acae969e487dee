"""The guard `chatter`: words to the reader, or about the draft, before or after an answer."""

import re

_YES = (
    r"(?:(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|definitely|gladly|with\s+pleasure|no\s+problem|okay|ok"
    r"|natürlich|gerne?|selbstverständlich|klar"
    r"|great(?:\s+question)?|got\s+it|understood|alright|all\s+right|thank(?:s|\s+you)(?:\s+for\s+(?:the|your)\s+\w{1,20})?"
    r"|happy\s+to\s+help|i['’]?d\s+be\s+(?:happy|glad)\s+to(?:\s+help)?|i\s+understand)\b[\s,.!:;—–-]*)"
)
_REVISED = (
    r"(?:revis|improv|edit|updat|enhanc|refin|rewrit|rewrot|rework|polish|correct|modif|rephras|restructur|clarif|expand"
    r"|condens|amend|adjust|better)\w{0,10}"
)
_TEXT = r"(?:response|answer|reply|version|draft|text|rewrite|revision|rewording|attempt|message)"
_OPENS = re.compile(
    # Certainly! Here is …:
    rf"(?:{_YES}+(?:here(?:['’]s|\s+(?:is|are|you\s+go))|hier\s+(?:ist|sind)\b|below\s+(?:is|are|you)|the\s+following|this\s+is|please\s+find"
    rf"|i(?:['’]ve|\s+have|['’]ll|\s+will|\s+can|['’]d|\s+would)\b|let\s+me|let['’]s|my\s+)[^\n]{{0,240}}"
    # Here is a rewritten response that addresses the feedback
    rf"|(?:here(?:['’]s|\s+is|\s+are)|below\s+(?:is|are)|this\s+is|the\s+following\s+is|please\s+find(?:\s+below)?)\s+"
    rf"(?:\w{{1,20}}\s+){{0,3}}?(?:{_REVISED}[\s,]+(?:and\s+)?(?:\w{{1,20}}\s+){{0,2}}?{_TEXT}"
    rf"|{_TEXT}\s+(?:{_REVISED}|that\s+(?:addresses|incorporates|follows|takes)"
    r"|(?:based|following|incorporating)))[^\n]{0,240}"
    # I have revised the response …
    rf"|i(?:['’]ve|\s+have)?\s+(?:now\s+|also\s+|carefully\s+)?{_REVISED}\s+(?:the|your|this|my)\s+"
    rf"(?:\w{{1,20}}\s+){{0,2}}?{_TEXT}[^\n]{{0,240}}"
    r"|(?:(?:好的?|当然(?:可以)?|没问题|可以的?|明白了?|收到|[谢感]谢[^\n，,。！!～~]{0,20})[，,。！!～~]\s*)+"
    r"(?:以下|下面|这里?|我(?:来|将|会|已|可以|为)|让我)[^\n]{0,120}"
    r"|(?:以下|下面|这)是?(?:我|一个|一份|为您|为你|根据)?[^\n，。]{0,30}(?:修改|修订|改进|优化|润色|完善|改写|重写|调整|更新)"
    r"[^\n]{0,30}(?:回答|回复|答复|版本|文本)[^\n]{0,80}"
    r"|我(?:已经?|对)[^\n，。]{0,20}(?:修改|修订|改进|优化|润色|完善|改写|重写)[^\n]{0,100})\s*(?:\n|\Z)",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(r"[:：]\s*$|\.{3}\s*$|…\s*$")
_OFFERS = (
    r"i\s+hope\s+(?:this|that|these|it|the\s+(?:above|revised|updated|improved))\b[^\n]{0,60}"
    r"(?:help|useful|meets|clarif|answer|works|suits|satisf|finds)"
    r"|ich\s+hoffe,?\s+(?:das|dies|diese\s+\w{1,20})\s+(?:hilft|helfen)\b|lass(?:en\s+sie)?\s+(?:es\s+)?mich\s+(?:gerne?\s+)?wissen"
    r"|hope\s+(?:this|that|it)\s+helps|(?:please\s+)?(?:feel\s+free\s+to|do\s+not\s+hesitate|don['’]t\s+hesitate)\s+(?:to\s+)?"
    r"(?:ask|reach\s+out|let\s+me|contact\s+me|tell\s+me)"
    r"|(?:please\s+)?(?:just\s+)?let\s+me\s+know\s+(?:if|whether|how|what|in\s+case|should)"
    r"|if\s+(?:you\s+(?:have|need|would\s+like|['’]d\s+like|want)|there['’]?s?\s+(?:is\s+)?any)[^\n]{0,80}"
    r"(?:let\s+me\s+know|feel\s+free|happy\s+to|glad\s+to|i\s+can\b|i['’]m\s+here|just\s+ask)"
    r"|is\s+there\s+anything\s+else\s+(?:i|you)|would\s+you\s+like\s+me\s+to|i['’]?m\s+(?:always\s+)?(?:here|happy|glad)\s+to\s+"
    r"(?:help|assist)"
)
_REMARKS = (
    r"note\s*[:：]\s*(?:i|this\s+(?:version|response|answer|revision)|the\s+(?:above|revised|response|revision|original))\b"
    r"|\(?(?:i\s+have|i['’]ve|i)\s+(?:also\s+)?(?:revis|rewrit|rewrot|edited|improv|incorporat|kept\s+the|removed\s+the|added\s+"
    r"(?:a|an|more|the|some)|made\s+(?:the|some|a\s+few|several|these|minor)\s+(?:\w{1,20}\s+)?(?:changes|edits|revisions|improvements"
    r"|adjustments))"
    r"|(?:key\s+|main\s+|summary\s+of\s+|list\s+of\s+)?(?:changes|revisions|improvements|edits)\s+(?:made|include)\b"
    r"|(?:changes|edits|revisions|improvements)\s*[:：]\s*(?:added|removed|fixed|corrected|changed|rephrased|clarified"
    r"|expanded|improved|replaced|i\b)"
    r"|(?:i\s+have\s+|i['’]ve\s+|i\s+)made\s+(?:the|this|my)\s+(?:response|answer|reply)\s"
    r"|(?:edited|revised|rewritten|updated|reworded)\s+for\s+(?:\w{1,12}\s+)?(?:clarity|completeness|accuracy|conciseness|length|style|tone)\b"
    r"|explanation\s+of\s+(?:the\s+)?(?:changes|revisions)|word\s+count\s*[:：]\s*\d+"
)
_CLOSES = re.compile(
    rf"(?:[\W_]*)(?:{_OFFERS}|{_REMARKS}"
    r"|希望(?:这|以上|上述|我的|能|可以|对)[^\n。！]{0,30}(?:帮助|有用|帮到|满意|启发|启示|参考)"
    r"|(?:如果|如|若)(?:您|你|有|还有)[^\n。！]{0,40}(?:请|欢迎)?(?:随时|告诉我|告知我|联系我|提问|问我|联系)"
    r"|(?:需要|是否需要|要不要|想让)我(?:来)?(?:帮|为|给)(?:助)?(?:您|你)[^\n。]{0,30}吗[？?]?"
    r"|(?:以上|上述|本)(?:回答|回复|答复)(?:涵盖|包含|包括|提供|详细|全面|已)"
    r"|(?:注|注意|说明|备注)\s*[:：]\s*已(?:经)?(?:根据|按照?|采纳)[^\n]{0,10}(?:建议|反馈|意见)"
    r"|(?:(?:全文|本文)(?:共|约|总?计)?|字数(?:统计)?\s*[:：]?|共计?)\s*约?\s*\d{1,5}\s*个?字\W{0,3}\Z"
    r"|(?:请|欢迎)随时(?:告诉|告知|联系|提问|提出|问)|还有(?:什么|其他)[^\n。]{0,20}(?:吗|帮)"
    r"|(?:注|注意|说明|备注)\s*[:：]\s*(?:我|本|这|此|该|以上|修改|已)[^\n]{0,20}(?:修改|改写|优化|版本|回答|回复|润色|调整)"
    r"|(?:主要|具体)?(?:修改|改动|改进|优化)(?:说明|之处|内容|点|如下))",
    re.IGNORECASE,
)
CALLS_FOR_CHATTER = re.compile(
    r"e-?mail|letter|\bmessage|\bpost\b|dialog|conversation|customer|chat\s*bot|script|role[- ]?play|pretend"
    r"|act as|cover note|memo|reply to|respond to|speech|invitation|announcement|newsletter|\bnote\b"
    r"|word\s+count|字数|信|邮件|对话|客服|消息|角色|扮演|通知|公告|演讲|发言|邀请|回信|留言",
    re.IGNORECASE,
)
CALLS_FOR_REVISION = re.compile(
    r"\brevis|rewrit|rewrot|\bedit|improv|correct|\bfix|rephras|reword|paraphras|proofread|polish|refin|修改|润色|改写|优化|修订|改进|改正",
    re.IGNORECASE,
)


_OFFERED = re.compile(r"\b(?:tell|let|contact)\s+(?:me|us)\b|\bhope\b|告诉我|联系|希望", re.IGNORECASE)
"""In a text to be revised: its own offers and hopes."""


_THANKS = re.compile(r"\bthank(?:s|\s+you)\b|谢", re.IGNORECASE)
_THANKED = re.compile(
    r"\W{0,3}(?:you(?:['’]re|\s+are)\s+(?:very\s+|most\s+)?welcome|my\s+pleasure|(?:i['’]m\s+)?(?:glad|happy)\b|any\s?time|no\s+problem"
    r"|不(?:用)?(?:客气|谢)|没关系|很高兴)",
    re.IGNORECASE,
)


def has_chatter(draft: str, request: str, response: str) -> bool:
    """Whether a draft opens or closes with words to the person who reads it, or about the draft, that are no
    part of an answer, and the current response does not."""
    text = draft.strip()
    return (_opens(text) and not _opens_somehow(response) and not _asked_for_revision(text, request)) or (
        _closes(text)
        and not _closes(response.strip())
        and not CALLS_FOR_CHATTER.search(_last(request))
        and not (_THANKED.match(text) and _THANKS.search(_last(request)))
        and not (CALLS_FOR_REVISION.search(_last(request)) and _OFFERED.search(_last(request)))
    )


def _opens(text: str) -> bool:
    found = _OPENS.match(text[:400].lstrip("#*_> "))
    if not found:
        return False
    line = found[0].strip(" \n*_#")
    revised = re.search(_REVISED, line, re.IGNORECASE) or re.search(
        r"修改|修订|改进|优化|润色|完善|改写|重写", line
    )
    return bool(_ANNOUNCES.search(line) or revised)


_ANY_OPENING = re.compile(
    rf"{_YES}|here(?:['’]s|\s+is|\s+are)\b|below\s+(?:is|are)\b|好的?[，,。！!]|当然|没问题|以下是|下面是",
    re.IGNORECASE,
)


def _opens_somehow(text: str) -> bool:
    return bool(_ANY_OPENING.match(text[:400].lstrip("#*_> \n"))) or _opens(text.strip())


def _asked_for_revision(text: str, request: str) -> bool:
    """Whether the request wants a text revised, so that "Here is the revised text:" is its answer's own."""
    return bool(CALLS_FOR_REVISION.search(_last(request))) and not re.match(rf"{_YES}", text, re.IGNORECASE)


def _closes(text: str) -> bool:
    """Whether the last paragraph, or its last sentence, is chatter."""
    last = text[-600:].rsplit("\n\n", 1)[-1].strip(" \n*_-()（）")
    sentences = [
        sentence for sentence in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n", last) if sentence.strip()
    ]
    before = text[: text.rfind(last)]
    return any(
        # What is the whole draft is its answer; and who tells of himself may well have added something.
        part.strip() != text.strip() and not (_DEED.match(part) and re.search(r"\bI\b", before))
        for part in (last, *sentences[-2:])
        if _CLOSES.match(part.strip())
    )


_DEED = re.compile(r"[\W_]*i\s+(?:also\s+)?(?:kept|removed|added)\b", re.IGNORECASE)


def _last(request: str) -> str:
    """Return the end of a request: of a conversation it is the request itself."""
    return request[-1500:]
