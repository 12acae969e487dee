"""The guard `refusal`: a draft that does not answer, where the current response did."""

import re

from nodes.guards.texts import HAN

_REFUSED = (
    r"(?:help|assist|comply|fulfil|answer|respond|provide|generat|creat|produc|writ|shar|support|engag|continu"
    r"|discuss|complet|process|carry|do\s+(?:that|this|so|it)|offer|give|participat|proceed|accommodat|endors"
    r"|facilitat|rewrit|revis|improv|edit|perform|meet|grant|satisfy|offer|advis|encourag|promot|condon)"
)
_CANNOT = (
    r"(?:can(?:'|no)t|can\s+not|could\s*n[o']t|won't|will\s+not|would\s+not|wouldn't|must\s+decline|have\s+to\s+decline"
    r"|need\s+to\s+decline|am\s+(?:not\s+able|unable|not\s+allowed|not\s+permitted|not\s+programmed|not\s+comfortable)"
    r"|'m\s+(?:not\s+able|unable|not\s+allowed|not\s+permitted|not\s+programmed|not\s+comfortable)"
    r"|do\s+not\s+feel\s+comfortable|don't\s+feel\s+comfortable)"
)
_NO_IDIOM = r"(?!help\s+(?:but|it|myself|(?!with)\w{2,20}ing)\b)"
"""I can't help laughing."""
_SORRY = (
    r"(?:(?:i['’]?m|i\s+am|we['’]?re|we\s+are)\s+(?:so\s+|very\s+|truly\s+|really\s+)?(?:sorry|afraid)"
    r"|sorry|(?:my\s+)?(?:sincere\s+)?apologies|i\s+apologi[sz]e|i\s+regret|unfortunately|regrettably)"
)
_AS_AI = (
    r"as\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model|assistant|responsible|ethical|virtual)"
    r"(?:[\s-]+(?:ai|language|model|assistant|chatbot|system|powered|based|developed|trained|created|by|openai|alibaba"
    r"|cloud|anthropic|meta|google))*"
)
_REFUSALS = re.compile(
    # I'm sorry, but I can't help with that.
    rf"{_SORRY}\b[^.!?\n]{{0,60}}?\bi\s*(?:{_CANNOT})\s+{_NO_IDIOM}(?:\w{{1,20}}\s+){{0,2}}?{_REFUSED}"
    # As an AI language model, I cannot provide …
    rf"|\b{_AS_AI}[\s,]+(?:\w{{1,20}}\s+){{0,3}}?i\s*(?:{_CANNOT})\s+{_NO_IDIOM}(?:\w{{1,20}}\s+){{0,2}}?{_REFUSED}"
    # I cannot assist with that request.
    rf"|\bi\s*(?:{_CANNOT})\s+(?:to\s+|be\s+able\s+to\s+|in\s+good\s+conscience\s+)?{_NO_IDIOM}(?:help|assist|comply|fulfil"
    r"|(?:provide|generate|create|write|answer|complete|process|do|support|engage|continue|respond|discuss)[a-z]*"
    r"\s+(?:\w{1,20}\s+){0,3}?(?:that|this|these|such|your|the)\b)"
    r"|\bi\s+(?:must|have\s+to|need\s+to|will\s+have\s+to|respectfully)\s+(?:respectfully\s+)?(?:decline|refuse)\b"
    r"|\b(?:this|that|your|the)\s+(?:request|prompt|question|content)\s+(?:is|goes|violates|appears)\b[^.!?\n]{0,40}?"
    r"\b(?:against|violat|inappropriate|harmful|not\s+something\s+i\s+can)"
    rf"|{_SORRY}\b[^.!?\n]{{0,20}}\b(?:that|this|it)(?:['’]s|\s+is)\s+(?:beyond|outside|not\s+within|more\s+than)\s+"
    r"(?:of\s+)?(?:what|my|the\s+scope)\b"
    r"|\b(?:leider|tut\s+mir\s+leid|entschuldigung)\b[^.!?\n]{0,40}?\b(?:kann|darf|möchte|werde)\b[^.!?\n]{0,60}?"
    r"\b(?:nicht|keine?n?)\b[^.!?\n]{0,40}?\b(?:helfen|beantworten|antworten|bereitstellen|unterstützen|erfüllen|weiterhelfen)"
    r"|\bi\s+decline\s+to\b|\bthat(?:'s|\s+is)\s+not\s+something\s+i\s+can\b",
    re.IGNORECASE,
)
_ZH_REFUSALS = re.compile(
    r"(?:抱歉|对不起|不好意思|很遗憾|十分遗憾|非常遗憾)[^。！？\n]{0,20}?(?:无法|不能|没办法|没有办法|不便|难以|不可以)"
    r"[^。！？\n]{0,12}?(?:帮|协助|提供|回答|回复|完成|满足|生成|创作|撰写|写|处理|执行|参与|讨论|继续|给出|支持|答复|改写|修改)"
    r"|作为[^。！？\n]{0,14}?(?:AI|人工智能|语言模型|智能助手|助手|助理|机器人)[^。！？\n]{0,12}?"
    r"(?:无法|不能|没办法|没有能力|不便|不可以|不会)[^。！？\n]{0,8}?(?:帮|协助|提供|回答|回复|完成|满足|生成|创作|撰写|写|处理|执行"
    r"|参与|讨论|继续|给出|支持|答复|改写|修改)"
    r"|我(?:无法|不能|没办法)(?:帮助?你|帮助?您|协助你|协助您|满足(?:你|您|这|该)|回答(?:你|您|这|该)|完成(?:你|您|这|该)"
    r"|提供(?:这|该|此|相关|您|你)|处理(?:这|该|此)|继续)"
    r"|(?:这|该|您的|你的)个?(?:请求|问题|要求|内容)[^。！？\n]{0,10}?(?:违反|不当|不适合|不合适|有害)",
    re.IGNORECASE,
)
# What a model cannot do is no refusal to say: the pack asks for it where a request needs more than text.
_LIMITS = re.compile(
    r"real[- ]?time|up[- ]to[- ]date|current\s+(?:data|information|events|weather|time|date)|brows|internet"
    r"|online|attach|upload|\b(?:open|view|see|hear|play|display|show|draw|access|send|click|look|run|execute|physically)\b"
    r"|\b(?:image|picture|photo|video|audio|file|link|url|website|sound)s?\b|without|\bmore\s+(?:information|context|details)"
    r"|personal\s+(?:experience|opinion|feeling|belief)|feelings|opinions|emotions|not\s+(?:provided|given|included)"
    r"|实时|联网|上网|浏览|图片|图像|照片|视频|音频|文件|链接|网址|网站|更多信息|上下文|个人(?:经历|意见|观点|感受)|情感|感情"
    r"|没有(?:提供|给出)|未提供|请提供",
    re.IGNORECASE,
)
_SIGNS_OF_REFUSAL = (
    "sorry", "afraid", "apolog", "regret", "unfortunately", "can't", "cannot", "can not", "unable",
    "not able", "won't", "will not", "not allowed", "not permitted", "comfortable", "declin", "refus",
    "request", "prompt", "as an ai", "as a ", "as an ", "not something i", "content", "question", "抱歉",
    "对不起", "不好意思", "遗憾", "无法", "不能", "没办法", "没有能力", "请求", "违反", "不便", "leid",
    "entschuld",
)  # fmt: skip
"""One of these is in every refusal; a quick look."""
_HEAD = 300
"""Characters in which a refusal begins."""
_MAX_REFUSAL = 900
"""Characters: whoever writes more than that has answered."""


_SHORT_REFUSALS = re.compile(
    r"\W{0,3}(?:"
    rf"(?:{_SORRY}[\s,.]{{1,3}}(?:but\s+)?)?(?:(?:that|this|it)(?:'s|\s+is|\s+goes|\s+would\s+be)\s+against\s+my\s+"
    r"(?:guidelines|polic|programming|principles|rules)"
    r"|i(?:'m|\s+am)\s+not\s+in\s+a\s+position\s+to\s+(?:answer|help|assist|provide|give|comment|discuss|respond)"
    r"|i\s+(?:can't|cannot|can\s+not|am\s+unable\s+to|am\s+not\s+able\s+to)\s+(?:provide|give|offer)\s+(?:you\s+)?"
    r"(?:with\s+)?(?:any\s+)?(?:\w{1,20}\s+){0,2}(?:advice|assistance|guidance)(?:[.!]|\s+(?:on|about|regarding)\b))"
    r"|(?:[您你]好[，,!！]\s*)?(?:抱歉|对不起|不好意思)?[，,]?\s*(?:(?:这个|该|此)?问题)?[，,]?我?(?:暂时|目前|现在|恐怕)?"
    r"(?:(?:无法|不能|不方便|不便|不愿意?|不想)(?:回答|讨论|透露|评论|谈论)"
    r"|(?:让)?(?:我们|咱们)?换个?(?:其他)?(?:话题|问题)(?:吧|聊|再|谈)))",
    re.IGNORECASE,
)
"""Too weak a sign, but where nothing else is said."""
_SHORT_REFUSAL, _SHORT_ZH_REFUSAL = 160, 50
_ASKS_FOR_WORDING = re.compile(
    r"\bhow\s+(?:do|would|can|could|should|might|to)\b|\bwhat\s+(?:do|would|can|could|should|might)\b|\bexample|\bsentence"
    r"|\bwrite|\bquot|\bphras|\bwords?\b|\bsay|例|句|怎么|如何|写|引",
    re.IGNORECASE,
)


def is_refusal(draft: str, request: str, response: str) -> bool:
    """Whether a draft refuses the request where the current response did not."""
    is_weak = _refuses_shortly(draft) and not _CALLS_FOR_TOPICS.search(request)
    if len(draft) > _MAX_REFUSAL or not (is_weak or _refuses(draft)):
        return False
    if _refuses(response) or _refuses_shortly(response):
        return False
    if (
        draft.lstrip()[:1] in _QUOTATION
        and draft.rstrip()[-1:] in _QUOTATION
        and _ASKS_FOR_WORDING.search(request)
    ):
        return False
    # A letter of refusal may have been asked for.
    return not re.search(
        r"refus|declin|reject|apolog|sorry|regret|excuse|turn(?:ing)? down"
        r"|拒绝|婉拒|道歉|抱歉|致歉|谢绝|推辞|对不起",
        request,
        re.IGNORECASE,
    )


_QUOTATION = frozenset('"“”「」『』«»')
_CALLS_FOR_TOPICS = re.compile(r"topic|subject|话题|dialog|role|对话|角色|扮演", re.IGNORECASE)


def _refuses_shortly(text: str) -> bool:
    longest = _SHORT_REFUSAL if text.isascii() or not HAN.search(text) else _SHORT_ZH_REFUSAL
    return len(text) <= longest and bool(_SHORT_REFUSALS.match(text.replace("’", "'")))


def _refuses(text: str) -> bool:
    head = text[:_HEAD].replace("’", "'").lower()
    if not any(sign in head for sign in _SIGNS_OF_REFUSAL):
        return False
    found = _REFUSALS.search(head) or _ZH_REFUSALS.search(head)
    # A refusal opens the text, or its second sentence does; of a story it is far inside.
    if found is None or found.start() > 80:
        return False
    sentence = head[found.start() : found.end() + 80]
    return not _LIMITS.search(sentence)
