"""The guard `instructions`, second part: thoughts, transcripts, words to an adviser, or nothing at all."""

import re

from nodes.guards.chatter import CALLS_FOR_CHATTER, CALLS_FOR_REVISION
from nodes.guards.instructions import OTHER_ADVICE, OTHER_RESPONSES
from nodes.guards.texts import HAN
from nodes.guards.unchanged import is_unchanged

_THOUGHTS = re.compile(
    r"\W{0,4}(?:(?:okay|ok|alright|all\s+right|hmm|so|wait|let\s+me\s+(?:think|see)|let['’]s\s+(?:think|see))"
    r"[\s,.!:;…-]{1,5}(?:(?:so|let\s+me\s+(?:think|see)|let['’]s\s+(?:think|see))[\s,.!:;…-]{1,5})?){1,3}"
    r"(?:(?:here|now)[\s,]{1,3})?(?:the|this)\s+user(?:['’]s\s+(?:request|question|asking|query|prompt)"
    r"|\s+(?:wants|asks|asked|is\s+(?:asking|looking)|needs\s+(?:me|help|an?\s+(?:better|answer|response))|has\s+asked))\b"
    r"|\W{0,4}the\s+user\s+(?:wants|asks|is\s+asking|asked|needs|would\s+like|said|says|has\s+asked)\b[^\n]{0,300}?\b(?:i|we)\s+"
    r"(?:need|should|must|have|will|can)\b"
    r"|\W{0,4}(?:(?:okay|ok|so|first)[\s,.]{1,3})?(?:we|i)\s+(?:need|have|must|should|are\s+asked)\s+(?:to\s+)?(?:now\s+)?"
    r"(?:produce|write|provide|create|craft|give|rewrite|revise|improve|output)\s+(?:an?|the|this|that)\s+"
    r"(?:better|improved|revised|final|new)\s+(?:response|answer)\b"
    r"|\W{0,4}(?:(?:好的?|嗯|首先|现在)[，,。、\s]{1,2}){1,3}(?:我?(?:需要|来)看看?[，,])?(?:这[个位])?用户",
    re.IGNORECASE,
)
"""How a model begins that thinks aloud."""

_TURN = (
    r"(?:\A|\n[ \t]{0,4}|[.!?。！？][\"”’)]?\s{1,3}|</s>\s?|<\|im_end\|>\s?|(?<=[。！？]))"
    r"(?P<mark>#{1,4}\s?|\*\*)?"
)
_USER_TURN = re.compile(rf"{_TURN}(?P<name>user|human|instruction|用户)(?:\*\*)?\s?[:：]", re.IGNORECASE)
_OTHER_TURN = re.compile(
    rf"{_TURN}(?:assistant|ai|bot|chatbot|chatgpt|gpt|response|助手|助理)(?:\*\*)?\s?[:：]", re.IGNORECASE
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CALLS_FOR_TURNS = re.compile(
    r"\bchat|dialog|conversation|transcript|interview|\bscript|role[- ]?play|\bprompt|few[- ]shot"
    r"|fine[- ]?tun|对话|聊天|访谈|采访|剧本|提示词|角色",
    re.IGNORECASE,
)


def is_no_answer(draft: str, request: str, response: str) -> bool:
    """Whether a draft begins with thoughts, or goes on as a transcript of a conversation, where nothing calls
    for it and the current response does not."""
    if _THOUGHTS.match(draft[:600]) and not _THOUGHTS.match(response[:600]):
        return True
    if _has_labeled_thoughts(draft) and not (
        _CALLS_FOR_THOUGHTS.search(request) or _has_labeled_thoughts(response)
    ):
        return True
    if _says_nothing(draft, request, response) or _answers_advice(draft, request, response):
        return True
    return (
        _is_transcript(draft, request)
        and not _USER_TURN.search(response)
        and not (_CALLS_FOR_TURNS.search(request) or _USER_TURN.search(request))
    )


_LABELED_THOUGHTS = re.compile(
    r"\W{0,6}(?:thinking|thoughts?|(?:my\s+)?thought\s+process|reasoning|思考(?:过程)?|思路|分析过程)(?:\*\*|\W)"
    r"|\s*(?:&lt;|＜)think(?:ing)?(?:&gt;|＞)",
    re.IGNORECASE,
)
_OTHER_THOUGHTS = re.compile(
    r"\s*>\s?\*\*(?:reasoning|thinking|thoughts?)\*\*[ \t]*\n"
    r"|\s*let\s+me\s+think\b[^.\n]{0,40}\.\s+i\s+(?:need|have)\s+to\s+(?:give|write|provide|answer|respond|improve|rewrite|revise)\b",
    re.IGNORECASE,
)
_LABELED_ANSWER = re.compile(
    r"\n\W{0,6}(?:(?:final\s+|revised\s+)?(?:answer|response)|(?:最终|修改后的)?(?:回答|回复|答案))(?:\*\*)?\s?(?:[:：】\]\n]|\*\*)",
    re.IGNORECASE,
)
_CALLS_FOR_THOUGHTS = re.compile(
    r"think|thought|reason|step|explain|show\s+(?:your|the)\s+work|思|步骤|推理|过程|分析|解释", re.IGNORECASE
)


def _has_labeled_thoughts(text: str) -> bool:
    """Whether a text begins with thoughts under a label, and has its answer under another, or with a plan."""
    if _OTHER_THOUGHTS.match(text[:200]):
        return True
    found = _LABELED_THOUGHTS.match(text[:100])
    if found is None:
        return False
    return found[0].endswith((";", "＞")) or bool(_LABELED_ANSWER.search(text, found.end() - 1))


_NOTHING = re.compile(r"\W{0,3}(?:n\s?/\s?a|none|null|nil|\.{2,10}|…{1,4}|无|没有)\W{0,3}", re.IGNORECASE)
_CALLS_FOR_NOTHING = re.compile(
    r"\b(?:any|which|who|whom|what|is|are|does|did|has|have|find|identif\w+|list|extract|classif\w+|name|many|none|null|nil"
    r"|n/a|punctuation|ellipsis|output|print|result)\b|吗|哪|什么|谁|多少|几|有没有|提取|找|输出",
    re.IGNORECASE,
)
_CALLS_FOR_DOTS = re.compile(
    r"punctuation|ellipsis|\bdots?\b|silen|output|print|\.\.|省略|标点|沉默|输出", re.IGNORECASE
)
_NO_CHANGE = re.compile(
    r"\W{0,3}(?:no\s+(?:changes?|revisions?|edits?|improvements?|modifications?)\s+(?:\w{2,6}\s+)?(?:needed|necessary|required)\b"
    r"|(?:the|this)\s+(?:\w{1,12}\s+)?(?:response|answer)\s+(?:is|looks)\s+(?:already\s+)?(?:\w{1,12}\s+){1,3}(?:and\s+)?"
    r"(?:needs|requires)\s+no\s+(?:\w{1,12}\s+)?(?:changes?|revisions?|improvements?|edits?)"
    r"|no\s+(?:suggestions|feedback|request|response)\s+(?:was|were|has\s+been|have\s+been)\s+(?:provided|given|made)"
    r"|please\s+(?:provide|share|give\s+me)\s+(?:me\s+with\s+)?(?:the|your)\s+(?:\w{1,12}\s+){0,2}(?:request|response|suggestions|answer)\b"
    r"|(?:该|此|当前|原)?(?:回答|回复)?(?:已经?很好|已足够好)?[，,]?(?:无需|不需要|不必|没有必要)(?:再|任何|做|作|进行){0,3}(?:修改|改动|改进)"
    r"|(?:该|此|当前|原)(?:回答|回复)(?:已经?)(?:很|足够|非常)(?:好|完善|完整)"
    r"|请(?:您)?(?:先)?(?:提供|给出|发送)(?:一下)?(?:您|你)?(?:需要|要|想要?)?(?:修改|改进|优化|原来|原始)?的?(?:请求|问题和回答|回答|回复|建议))",
    re.IGNORECASE,
)
_MAX_NOTHING = 200


def _says_nothing(draft: str, request: str, response: str) -> bool:
    """Whether a draft is no answer but a word for none, a word about changes, or the request itself."""
    if len(draft) > _MAX_NOTHING:
        return (
            bool(response)
            and draft[:50].strip() == request[:50].strip()
            and is_unchanged(draft, request)
            and not _CALLS_FOR_ITSELF.search(request)
        )
    if _NOTHING.fullmatch(draft):
        calls = _CALLS_FOR_NOTHING if HAN.search(draft) or draft.strip(" .…") else _CALLS_FOR_DOTS
        return len(response) > 4 * len(draft) and not calls.search(request)
    if _NO_CHANGE.match(draft):
        return not (
            OTHER_RESPONSES.search(request)
            or CALLS_FOR_REVISION.search(request)
            or _NO_CHANGE.match(response)
            or _CALLS_FOR_CHANGES.search(request)
        )
    return bool(response) and is_unchanged(draft, request) and not _CALLS_FOR_ITSELF.search(request)


_CALLS_FOR_CHANGES = re.compile(
    r"chang|check|review|audit|mistake|error|grammar|spelling|modif|convert|检查|错|语法|更改", re.IGNORECASE
)
_CALLS_FOR_ITSELF = re.compile(
    r"repeat|same|echo|cop(?:y|ies)|say|quote|original|correct|rewrit|edit|fix|translat|convert|format|sort|spell|grammar"
    r"|punctuat|capital|remove|replace|output|print|重复|复述|跟我|改|翻译|抄|说|原文|排序|标点|输出",
    re.IGNORECASE,
)

_FEEDBACK = (
    r"(?:short|brief|long|vague|incomplete|incorrect|wrong|unclear|generic|inaccurate|unhelpful|confusing"
    r"|shallow|general)"
)
_TO_ADVICE = re.compile(
    r"\W{0,4}(?:to\s+(?:improve|enhance|revise)\s+(?:the|this)\s+(?:\w{1,12}\s+)?(?:response|answer|reply)\b"
    r"|(?:the|your)\s+(?:original|current|previous|existing|initial|earlier|first)\s+(?:response|answer|reply)\s+"
    rf"(?:is\s+(?:(?:too|rather|already|quite)\s+)?(?:{_FEEDBACK}|good|correct|fine)|lacks|fails\s+to|needs\s+(?:more|to)|could\s+be)\b"
    r"|thank(?:s|\s+you)(?:\s+(?:so|very)\s+much)?\s+for\s+(?:the|your|these|this)\s+(?:\w{1,12}\s+)?(?:feedback|suggestions?)\b"
    r"|you(?:'re|\s+are)\s+(?:absolutely\s+|completely\s+)?right[,.!;]?\s+(?:that\s+)?(?:the|my)\s+(?:\w{1,12}\s+)?(?:answer|response|reply)\s+"
    rf"(?:was|is)\s+(?:too\s+|not\s+|rather\s+)?\w+|(?:i\s+apologi[sz]e|(?:i'm\s+|i\s+am\s+)?sorry|apologies)\s+for\s+(?:the|my)\s+"
    rf"(?:previous\s+|earlier\s+)?{_FEEDBACK}\s+(?:answer|response|reply)\b"
    r"|as\s+(?:the|your)\s+(?:assistant|writer),?\s+i\s+(?:will|'ll|would|have)\s+(?:now\s+)?(?:write|written|give|provide|provided|revise|rewrite)\b"
    r"[^.!?\n]{0,40}(?:answer|response)"
    r"|(?:根据|按照|依据|采纳|结合|参考)了?[^，,。\n]{0,8}(?:建议|反馈|意见)[，,]?[^。，,\n]{0,8}(?:回答|回复|答复)[^。，,\n]{0,8}"
    r"(?:修改|改进|优化|调整|完善|补充|修订)"
    r"|[感谢]谢?(?:您|你)?(?:们)?的(?:宝贵)?(?:反馈|建议|意见|指正)[。！!，,]"
    r"|(?:您|你)说得?(?:很)?对[，,。！](?:之前|原来|上述|先前|刚才|原先|我)[^。，,\n]{0,4}(?:回答|回复|答复))",
    re.IGNORECASE,
)
_CALLS_FOR_ADVICE = re.compile(
    r"thank|apolog|sorry|wrong|incorrect|mistake|error|not\s+(?:right|correct|true)|\btoo\b|longer|shorter|again|you\s+(?:said|forgot|missed)"
    r"|complain|review|谢|歉|错|不对|太|再|投诉|评论|你说",
    re.IGNORECASE,
)


def _answers_advice(draft: str, request: str, response: str) -> bool:
    """Whether a draft begins with words to those who advised it, where the request is no reason for any."""
    return bool(_TO_ADVICE.match(draft[:300].replace("’", "'"))) and not (
        OTHER_ADVICE.search(request)
        or OTHER_RESPONSES.search(request)
        or _CALLS_FOR_ADVICE.search(request)
        or CALLS_FOR_CHATTER.search(request)
        or _TO_ADVICE.match(response[:300].replace("’", "'"))
    )


_LAST_TURN = re.compile(r"(?:\*\*)?(?:user|human|用户)(?:\*\*)?\s?[:：][^\n]+", re.IGNORECASE)
_ABOUT_USERS = re.compile(r"\buser|\brole|\bactor|\bhuman|用户|角色", re.IGNORECASE)
_LABELED = re.compile(r"^\W{0,4}\w[\w /-]{0,30}(?:\*\*)?\s?[:：]", re.MULTILINE)


def _is_transcript(text: str, request: str) -> bool:
    """Whether a text has a turn of a user, with a reply or a question to tell it from a heading."""
    text = _CODE.sub("", text) if "```" in text else text
    turn = _USER_TURN.search(text)
    if turn is None:
        return False
    # The last paragraph alone: among others with labels it is an item.
    before, gap, last = text.rstrip().rpartition("\n\n")
    if gap and _LAST_TURN.fullmatch(last) and not (_LABELED.search(before) or _ABOUT_USERS.search(request)):
        return True
    if _OTHER_TURN.search(text, turn.end()):
        return True
    name = turn["name"]
    if (turn["mark"] or "").startswith("#") and name.lower() in ("human", "user"):
        return True
    line = text[turn.end() : turn.end() + 400].strip().partition("\n")[0].strip()
    return line.endswith(("?", "？")) or (name == "USER" and turn[0][0] in ".!?<" and len(line.split()) > 1)
