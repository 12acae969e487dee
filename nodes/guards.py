"""The guards: checks of a draft that need no model, between the editor and the judge.

A draft that one of them refuses is not judged, which saves two calls, and never becomes training data: the
exchange ends with its current response. They are ours, not the paper's (`--guards off`). In doubt a draft
passes; the judge is still to come. What each looks for, and how often it refuses a good response, is in
docs/guards.md.

Each is a comparison: what the current response does too, or the request calls for, is no reason to refuse.
All take time linear in the length of the texts.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from fastchat.conversation import get_conv_template
from langgraph.runtime import Runtime

from nodes.agent import Node, request_values
from nodes.checks import Candidate, Check, Outcome, no_checks
from nodes.decision import CheckedView, Guard, RefusedView, refuse, without_draft
from nodes.language import is_other_language
from nodes.settings import AgentSettings
from prompts.method import DEBATE, STEPS, TEMPLATES, Mode
from prompts.pack import Pack, current_pack


async def refused_by(
    draft: str,
    request: str,
    response: str,
    instructions: "Instructions",
    system: str = "",
    suggestions: str = "",
) -> Guard | None:
    """Return the first guard that refuses a draft, None where none does.

    Args:
        draft: what the editor wrote.
        request: what it answers.
        response: the current response; empty where there is none.
        instructions: the texts of the prompt pack.
        system: the record's own system prompt.
        suggestions: what the editor was advised.
    """
    if is_unchanged(draft, response):
        return "unchanged"
    asked, request = request, f"{system}\n{request}" if system else request
    if is_refusal(draft, request, response):
        return "refusal"
    if is_loop(draft, request, response):
        return "loop"
    if (
        repeats_instructions(draft, request, response, instructions)
        or is_no_answer(draft, request, response)
        or returns_suggestions(draft, suggestions)
    ):
        return "instructions"
    if has_chatter(draft, request, response):
        return "chatter"
    return "language" if await is_other_language(draft, asked, response, system) else None


def own_text(request: str, template: str) -> tuple[str, str]:
    """Return what a request says apart from the FastChat template that a conversation is written in: the
    conversation's own system prompt, and its turns without the names of the speakers.

    The template's words, in English, are no sign of what is asked. A plain request comes back as it is.
    """
    header, user, assistant = _marks(template) if template else ("", "", "")
    if not (user and assistant and user in request and request.rstrip().endswith(assistant)):
        return "", request
    if header and request.startswith(header):
        system, turns = "", request[len(header) :]
    else:
        system, _, turns = request.partition(user)
    return system.strip(), turns.replace(user, "\n").replace(assistant, "\n").strip()


@cache
def _marks(template: str) -> tuple[str, str, str]:
    """Return what a FastChat template writes before the first turn, and before a user's and a reply."""
    conversation = get_conv_template(template)
    user, assistant, *_ = conversation.roles
    conversation.append_message(user, _GAP)
    conversation.append_message(assistant, None)
    before, _, after = conversation.get_prompt().partition(_GAP)
    at = before.rfind(user)
    return (before[:at], before[at:].strip(), after.strip()) if at >= 0 and user else ("", "", "")


# --- unchanged


def is_unchanged(draft: str, response: str) -> bool:
    """Whether a draft is the current response word for word: white space and Unicode's several ways to write
    one letter do not count."""
    # Most differ from the beginning.
    return _plain(draft[:200])[:50] == _plain(response[:200])[:50] and _plain(draft) == _plain(response)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


# --- refusal

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
    longest = _SHORT_REFUSAL if text.isascii() or not _HAN.search(text) else _SHORT_ZH_REFUSAL
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


# --- loop

_TAIL = 6_000
"""Characters at the end of a draft in which a loop is looked for: one that goes on to the end is there."""

_ASKS_FOR_REPETITION = re.compile(
    r"repeat|repetit|over and over|again and again|\btimes\b|\d\s*times|mantra|chant|tongue[- ]?twister"
    r"|refrain|chorus|\bsong|lyric|poem|rhyme|verse|\bpattern|print|loop|\brows?\b|\blines of\b|dummy"
    r"|placeholder|lorem|filler|ascii"
    r"|重复|反复|\d+[遍次]|[一二三四五六七八九十百千][遍次]|口号|绕口令|歌|诗|循环|打印|图案|占位",
    re.IGNORECASE,
)
_NUMBERS = "0123456789()[].):、）-*•·+> \t"
_SENTENCE_END = re.compile(r"[.!?;。！？；\n]+\s*")
_LIKE_A_TABLE = re.compile(r"[|{}<>=\\\t]|--|\d\s*[,;xX×*/+]\s*\d")


def is_loop(draft: str, request: str, response: str) -> bool:
    """Whether a draft says the same again and again to its end, and the current response does not."""
    if any(
        loops(draft, request) and not loops(response, request) for loops in (_loops, _ends_in_one, _is_twice)
    ):
        return True
    return _is_repeated(response, draft, request)


_MANY_SIGNS = 80


def _ends_in_one(text: str, request: str) -> bool:
    """Whether a text ends in one letter or sign, again and again, that is no line to write on or to cross."""
    text = text.rstrip()
    last = text[-1:]
    body = text.rstrip(last) if last else ""
    if len(text) - len(body) < _MANY_SIGNS or last in "_.…`~|" or not body:
        return False
    in_table = "|" in body[-300:] or body[-1:] == "+"
    return not (in_table or _ASKS_FOR_REPETITION.search(request) or re.search(r"\d{2}", request))


def _is_twice(text: str, request: str) -> bool:
    """Whether a text is the same twice."""
    if len(text) < 2 * _LEAST_TWICE or "```" in text or _ASKS_FOR_REPETITION.search(request):
        return False
    plain = " ".join(text.split())
    half = len(plain) // 2
    if plain[half : half + 1] != " " or plain[:half] != plain[half + 1 :] or _ASKS_FOR_TWO.search(request):
        return False
    said = sum(map(str.isalpha, plain[:half]))
    return said >= half / 2 and len(plain[:half].encode("utf-8", "replace")) >= _LEAST_TWICE_BYTES


_LEAST_TWICE, _LEAST_TWICE_BYTES = 20, 60
_ASKS_FOR_TWO = re.compile(
    r"\btwo\b|\btwice\b|\bboth\b|\bdouble|\bcop(?:y|ies)\b|\b2\b|两|二|双", re.IGNORECASE
)


def _is_repeated(response: str, draft: str, request: str) -> bool:
    """Whether a draft is nothing but the current response, several times."""
    if len(draft) < 1.5 * len(response) or _ASKS_FOR_REPETITION.search(request):
        return False
    once, again = "".join(response.split()), "".join(draft.split())
    times, rest = divmod(len(again), max(1, len(once)))
    return len(once.encode("utf-8", "replace")) >= 30 and not rest and times > 1 and again == once * times


def _loops(text: str, request: str) -> bool:
    tail = text[-_TAIL:].rstrip()
    if len(tail) < 60 or tail.count("```") % 2 or tail.endswith("```"):
        return False
    return _is_periodic(tail, request) or _repeats_units(tail, request)


def _is_periodic(tail: str, request: str) -> bool:
    """Whether the end of a text is one phrase, again and again."""
    flat = " ".join(tail.lower().split())
    ending = flat[-12:]
    before = flat.rfind(ending, 0, -1)
    if before < 0:
        return False
    period = len(flat) - len(ending) - before
    # How far back each character is the one a period later: in steps, doubled while they fit.
    length, step = period + len(ending), max(period, 64)
    while length < len(flat):
        some = min(step, len(flat) - period - (length - period))
        if some <= 0:
            break
        end = len(flat) - (length - period)
        if flat[end - some : end] != flat[end - some - period : end - period]:
            if some == 1:
                break
            step = some // 2
            continue
        length += some
        step *= 2
    times = length / period
    phrase = flat[-period:]
    # In bytes, since a Chinese character says as much as three letters.
    said = len("".join(filter(str.isalpha, phrase)).encode("utf-8", "replace"))
    weight = len(flat[-length:].encode("utf-8", "replace"))
    if not said or _LIKE_A_TABLE.search(phrase):
        return False
    if _ASKS_FOR_REPETITION.search(request):
        return times >= 30 and weight >= 1500
    if len(phrase.encode("utf-8", "replace")) >= 40:
        return times >= 4
    return times >= 8 and weight >= 160 if said >= 5 else times >= 40 and weight >= 400


_UNITS = 40
"""How many sentences and lines at the end of a draft are compared."""


def _repeats_units(tail: str, request: str) -> bool:
    """Whether the last sentences are a few, in any order, each again and again."""
    units = [unit for unit in _SENTENCE_END.split(tail) if unit][-_UNITS:]
    # The number of an item is no difference.
    units = [unit for each in units if (unit := each.strip(_NUMBERS))]
    if len(units) < 12 or len(set(units)) > len(units) / 2 or _ASKS_FOR_REPETITION.search(request):
        return False
    # The last one may be cut off; a short unit is a label, a name or an item.
    last = units[:-1]
    long = [
        unit for unit in last if len(unit.encode("utf-8", "replace")) >= 9 and not _LIKE_A_TABLE.search(unit)
    ]
    return len(long) >= max(11, 0.8 * len(last)) and len(set(long)) <= len(long) / 4


# --- instructions

RUN, HAN_RUN = 8, 16
"""How many words of the instructions in a row, or Chinese characters, are a repetition of them."""
_STEP, _HAN_STEP = 4, 8
# Every run holds one of the shorter ones that begin at each fifth word (ninth character).

_WORDS = re.compile(r"[^\W_]+")
_HAN = re.compile(r"[㐀-䶿一-鿿]+")


class Instructions(NamedTuple):
    """The own text of a prompt pack, as it is searched."""

    starts: frozenset[str]
    """All runs of half the length."""
    words: str
    """The words in lower case, a space around each."""
    han: str
    """The Chinese characters."""


_GAP = "\ue000"
"""What stands in a prompt in place of each text that is not the pack's own; no word holds it."""


def instructions_of(pack: Pack, settings: AgentSettings, mode: Mode) -> Instructions:
    """Return what the agents of a mode are told besides the record and each other's texts.

    A pack may choose its words by what there is: with and without an input and a system prompt.
    """
    personas = tuple(settings.persona(STEPS[step].role) for step in mode.steps)
    key = (pack.digest, pack.own.get(mode.editor), mode, settings.verdict, personas)
    if key not in _read:
        if len(_read) > 50:  # in Studio, where packs and personas are edited
            _read.clear()
        _read[key] = read_instructions(_own_texts(pack, mode, settings.verdict, personas))
    return _read[key]


_read: dict[tuple[object, ...], Instructions] = {}


def _own_texts(pack: Pack, mode: Mode, verdict: str, personas: Sequence[str]) -> Iterator[str]:
    texts: dict[str, None] = {}
    for name, persona in zip(mode.steps, personas, strict=True):
        step, shown = STEPS[name], mode.shown(name)
        template = f"judge_{verdict}" if step.forms else mode.templates(name)[0]
        for given in ("", _GAP):
            values: dict[str, Any] = dict.fromkeys(TEMPLATES[template].variables)
            values |= dict.fromkeys(shown, _GAP)
            values |= dict.fromkeys(step.optional, given or None)
            if "debate" in shown:
                values["debate"] = [_GAP] * len(DEBATE)
            prompt = pack.render(
                template, persona=persona, system=given, instruction=_GAP, input=given, **values
            )
            texts |= dict.fromkeys(message["content"] for message in prompt)
    for text in texts:
        yield from text.split(_GAP)


def read_instructions(texts: Iterable[str]) -> Instructions:
    """Return texts as they are searched."""
    starts: set[str] = set()
    all_words: list[str] = []
    all_han: list[str] = []
    for text in texts:
        words, han = _words(text), _han(text)
        starts.update(
            _runs(words, _STEP), (han[at : at + _HAN_STEP] for at in range(len(han) - _HAN_STEP + 1))
        )
        all_words += [*words, "\n"]
        all_han.append(han)
    return Instructions(frozenset(starts), f" {' '.join(all_words)} ", "\n".join(all_han))


_ROLE_TALK = re.compile(
    r"(?:^|[.!?:\n]\s{0,3})as\s+(?:the|an?|your)\s+(?:editor|advisor|judge|debater|reviewer)\s*,\s*i\b"
    r"|\bmy\s+(?:role|task|job)\s+(?:as\s+(?:the|an?|your)\s+(?:editor|advisor|judge|debater|reviewer)\b"
    r"|is\s+to\s+(?:edit|revise|improve|rewrite)\s+(?:the|this|your|what)\b)"
    r"|\b(?:is|be|being|makes?|as)\s+(?:good|high[- ]quality|suitable|useful|better)\s+training\s+data\b"
    r"|\b(?:the|your|both)\s+(?:positive|critical)\s+debaters?\b|\bthe\s+debate\s+above\b"
    r"|\bassistant\s+[12]\b|\bresponse\s+[12]\s*(?:is|by|and|,|:|has)"
    r"|^\W{0,4}your\s+role\s*[:：]|</?(?:suggestions|system_prompt|positive|critical|other_opening)(?:-\d+)?>"
    r"|作为(?:一[名位个])?(?:编辑|评审|裁判|辩手|顾问)[，,]?我|(?:优质|良好|好|高质量|合格)的?训练(?:数据|资料|样本)"
    r"|(?:正方|反方)辩手|助手\s*[12]",
    re.IGNORECASE | re.MULTILINE,
)
"""Talk of the agents, of training data and of the prompt's own parts."""
_OTHER_ROLES = re.compile(
    r"training\s+data|\beditor|\bjudge|\bdebat|\badvisor|\bassistant\s+[12]|\breviewer|machine\s+learning|\bprompt"
    r"|训练|编辑|评审|裁判|辩|顾问|助手",
    re.IGNORECASE,
)

_SELF_TALK = re.compile(
    r"\b(?:meets?|met|satisf(?:y|ies)|fulfil(?:l|ls|s)?)\s+(?:all\s+(?:of\s+)?)?(?:the|these|those|your)\s+"
    r"(?:\w{1,20}\s+)?(?:criteria|requirements)\s+(?:for\s+(?:being\s+)?(?:a\s+)?good|of\s+a\s+good|set|mentioned|given|listed)"
    r"|\bthis\s+is\s+(?:an?|the)\s+(?:better|improved|revised|updated)\s+(?:response|answer)\s+(?:because|since|that|which)\b"
    # The revised response now includes …
    r"|\b(?:this|the|my)\s+(?:revised|improved|edited|updated|rewritten)\s+(?:response|answer|reply)\s+"
    r"(?!(?:of|to|from|in|time|rate)\b)\w"
    r"|(?:修改|修订|改进|优化|润色|完善|改写|原|当前|原始|原来|之前|先前|上述|旧)[后的过]{0,2}(?:回答|回复|答复)"
    r"(?:是|已|更|在|中|没|未|不|保留|增加|包含|满足|符合|做|能|可|采纳|缺|准确|虽|较|只|仅|基本)",
    re.IGNORECASE,
)
"""Talk of the response before the draft, or of the draft as of a response."""

_ITSELF = re.compile(
    r"\W{0,4}(?:(?:overall|in\s+summary|note\s+that|note)\W{1,3})?(?:this|the|my)\s+"
    r"(?:(?P<before>original|current|previous|old|initial|first|given|existing|(?:assistant|model|ai)['’]s)\s+"
    r"|(?:new|above|better|final|revised|improved|edited|updated|rewritten|enhanced|refined|polished)\s+)?"
    r"(?P<noun>response|answer|reply|draft|version|revision|rewrite|rewording|text)\b"
    r"(?!\s+(?:of|to|from|by|for|in|on|at|time|rate)\b)"
    r"|[\s（(]{0,3}(?:[该本此这]个?|修改后的?)(?P<han>回答|回复|答复|版本)",
    re.IGNORECASE,
)
"""How a sentence begins that may be about the draft, and may be about anything else that has the name."""
_OF_TEXT = re.compile(
    # meets the criteria, follows all the suggestions
    r"\b(?:meet|satisf|fulfil|address|follow|incorporat|implement|answer|adher|compl[iy]|ignor)\w{0,6}\s+"
    r"(?:[\w'’]{1,20}[\s,]+){0,4}?(?:requests?|suggestions?|suggested|criteri\w{1,3}|requirements?(?!\s*(?:of\b|:))|feedback|prompt"
    r"|instructions?|issues?\s+(?:raised|requested|mentioned)|(?:the|user['’]s)\s+question(?!\s+of))\b"
    # accurately divides
    r"|\b(?:accurate|clear|direct|correct|effective|concise|adequate|successful|proper|thorough|appropriate|precise)ly\s+"
    r"(?:divid|address|answer|summari|describ|explain|provid|captur|reflect|convey|follow|meet|cover|identif|rewrit"
    r"|rephras|present|state|list|convert|translat|incorporat|fulfil)"
    r"|\bas\s+requested\b|\brequested\s+by\s+the\s+(?:user|assistant)|\bgood\s+training|\b(?:the|your)\s+suggestions\b"
    r"|\b(?:improv|enhanc|increas)\w{0,5}\s+(?:the\s+)?(?:\w{1,20}\s+)?(?:clarity|readability|wording|flow|tone)\b(?!\s+of\b)"
    r"|\b(?:clarity|wording|tone|typos?|phrasing|as\s+suggested|lacks?\s+(?:detail|clarity|context|depth)"
    r"|(?:the|all)\s+facts|adds?\s+(?:more\s+)?details?(?!\s+(?:to|of|about|on)\b))\b"
    r"|(?:符合|满足)[^。！？\n]{0,8}(?:要求|建议|标准|指令|请求)|准确|清晰|简洁|通顺|流畅|建议|细节|语气|措辞|训练|没有提到|未提|未说明|更加?(?:完整|详细|自然|全面)",
    re.IGNORECASE,
)
"""What is said of a text as a text."""
_OF_RESPONSE = re.compile(
    r"\b(?:accurate|informative|concise|well[- ](?:structured|written|organi[sz]ed)|grammatical\w{0,2}"
    r"|(?:already|more)\s+(?:clear|complete|correct|detailed)"
    r"|(?:clear|good|correct|complete|fine)\b[^.!?\n]{0,40}?\bbut\b[^.!?\n]{0,20}?\b(?:should|could|does\s+not|lacks))\b",
    re.IGNORECASE,
)
_OF_FORMER = re.compile(
    r"\b(?:incomplete|here\s+is|(?:should|could|(?:does|did)\s+not|fails\s+to|failed\s+to)\s+(?:also\s+)?"
    r"(?:mention|explain|include|address|elaborate|state|name))\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")


def _is_about_itself(sentence: str) -> bool:
    """Whether a sentence is about the draft that it stands in, or the response before it, as a text."""
    found = _ITSELF.match(sentence)
    if not found:
        return False
    rest = sentence[found.end() :]
    if found["han"] == "版本":
        return bool(re.search(r"建议|细节|语气|措辞", rest))
    if _OF_TEXT.search(rest):
        return True
    if found["noun"] not in ("response", "answer", "reply"):
        return False
    if found["before"] and _OF_FORMER.search(rest):
        return True
    # "The answer is more complete" is said of anything.
    return found["noun"] != "answer" and bool(_OF_RESPONSE.search(rest))


_SHORT = 500
"""Characters of a draft that is read as a whole."""


def _talks_of_itself(text: str) -> bool:
    """Whether a text ends with talk of itself, or is little else.

    What came up before under the name ("a server sends a response") is meant by it later too.
    """
    text = text[-_TAIL:].rstrip().lower()
    begins = 0 if len(text) <= _SHORT else max(text.rfind("\n\n"), len(text) - 1_200)
    before = ""
    for sentence in _SENTENCES.finditer(text):
        words = sentence[0].strip()
        found = _ITSELF.match(words)
        if not found:
            before += sentence[0]
        elif sentence.start() >= begins and _is_about_itself(words):
            name = found["noun"] or found["han"]
            if name[:6] not in before and not (found["noun"] and "```" in text):
                return True
    return False


_OTHER_RESPONSES = re.compile(
    r"\bresponse|\brepl(?:y|ies)|\banswers\b|\b(?:this|the|an?|your|my|student\W?s?)\s+(?:\w{1,20}\s+)?answer|\bdraft"
    r"|\b(?:revis|rewrit|review|critiqu|grad|evaluat|assess|compar|rank|rat)\w{0,10}\s+(?:\w{1,20}\s+){0,4}(?:text|essay"
    r"|email|e-mail|letter|paragraph|article)|回答|回复|答复|响应|评价|评估",
    re.IGNORECASE,
)

_ADVICE_TALK = re.compile(
    # At the beginning, where nothing has been suggested yet; later only of the draft ("it follows …").
    r"(?:\A\W{0,4}(?:here\s+is\s+[^.!?\n]{0,40}?)?(?:based\s+on|following|per|incorporating|according\s+to|addressing|implementing"
    r"|applying|considering|with|using|taking)|\b(?:it|response|answer|draft|i|i['’]ve|i\s+have)\s+(?:also\s+)?(?:follow(?:s|ed)"
    r"|incorporate[sd]|implement(?:s|ed)|appl(?:ies|ied)|address(?:es|ed)|considered))\s+(?:all\s+(?:of\s+)?)?"
    r"(?:the|your)\s+(?:\w{1,20}\s+)?(?:suggestions?|suggested\s+(?:changes|improvements|edits))\b"
    r"(?!\s+(?:of|from|on|in|by|for|at|made|that)\b)"
    r"|\b(?:first|second|third)\s+suggestion\s+(?:is|was|has\s+been)\s+(?:followed|implemented|incorporated|addressed|applied|taken)"
    r"|\A\W{0,4}suggestions?\s*\d{0,2}\s*[:：]"
    r"|\A\W{0,4}suggestions?\s+(?:for|on|to\s+improve)\s+(?:the|this|your)\s+(?:\w{1,20}\s+)?(?:response|answer|reply)\W{0,4}[:：]"
    r"|\A\W{0,4}(?:根据|按照|依据|采纳|结合|参考|遵循)了?(?:上述|以上|您的|你的|所给的?|给出的|提供的|顾问的?){1,3}(?:修改|改进|写作)?建议",
    re.IGNORECASE,
)
"""Talk of the suggestions."""
_OTHER_ADVICE = re.compile(
    r"\bsuggest|\badvice|\badvis|\bfeedback|\brecommend|\btips?\b|建议|意见|反馈", re.IGNORECASE
)

_TALK = (
    (_ROLE_TALK, _OTHER_ROLES),
    (_SELF_TALK, _OTHER_RESPONSES),
    (_ADVICE_TALK, _OTHER_ADVICE),
)
"""Talk that has no place in an answer, each with what of a request explains it."""
_SIGNS_OF_ROLE = (
    "the editor", "an editor", "your editor", "the advisor", "an advisor", "the judge", "a judge",
    "debater", "my role", "my task", "my job", "your role", "training data", "the debate ", "response ",
    "answer ", "reply ", "draft ", "assistant 1", "assistant 2", "<system_prompt", "system_prompt>",
    "positive>", "critical>", "other_opening>", "<positive", "<critical", "编辑", "评审", "裁判", "辩手",
    "顾问", "训练", "回答", "回复", "答复", "响应", "建议", "助手", "suggest", "criteria",
    "requirements",
)  # fmt: skip
"""One of these is in all talk of the role; a quick look."""


_ABOUT_PROMPTS = re.compile(r"\bprompts?\b|\bsystem message|提示词", re.IGNORECASE)


def repeats_instructions(draft: str, request: str, response: str, instructions: Instructions) -> bool:
    """Whether a draft repeats what the agents are told, or speaks of its role, and neither request nor
    current response does."""
    # Who writes about prompts may use some of their phrases.
    times = 2 if _ABOUT_PROMPTS.search(request) else 1
    if _quotes(draft, request, response, instructions, times):
        return True
    if any(
        _talks(draft, talk) and not (other.search(request) or _talks(response, talk)) for talk, other in _TALK
    ):
        return True
    return _talks_of_itself(draft) and not _OTHER_RESPONSES.search(request) and not _talks_of_itself(response)


_WINDOW, _MOST = 100, 300
"""Characters around a sign that are read, and how many signs at most."""


def _talks(text: str, talk: re.Pattern[str]) -> bool:
    low, read = text.lower(), 0
    for sign in _SIGNS_OF_ROLE:
        at = low.find(sign)
        while at >= 0 and read < _MOST:
            if talk.search(low, max(0, at - _WINDOW), at + _WINDOW):
                return True
            read, at = read + 1, low.find(sign, at + _WINDOW // 2)
    return False


def _quotes(draft: str, request: str, response: str, told: Instructions, times: int) -> bool:
    """Whether a draft has a run of `times` the usual length in common with the instructions."""
    most, most_han = times * RUN, times * HAN_RUN
    words, known = _words(draft), None
    for at in range(0, len(words) - _STEP + 1, RUN - _STEP + 1):
        if " ".join(words[at : at + _STEP]) not in told.starts:
            continue
        for run in _runs(words[max(0, at - most + _STEP) : at + most], most):
            if f" {run} " in told.words:
                known = known or [f" {' '.join(_words(text))} " for text in (request, response)]
                if not any(f" {run} " in text for text in known):
                    return True
    if draft.isascii() or not told.han:
        return False
    han, known = _han(draft), None
    for at in range(0, len(han) - _HAN_STEP + 1, HAN_RUN - _HAN_STEP + 1):
        if han[at : at + _HAN_STEP] not in told.starts:
            continue
        for begin in range(max(0, at - most_han + _HAN_STEP), min(at, len(han) - most_han) + 1):
            run = han[begin : begin + most_han]
            if run in told.han:
                known = known or [_han(text) for text in (request, response)]
                if not any(run in text for text in known):
                    return True
    return False


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _han(text: str) -> str:
    return "".join(_HAN.findall(text))


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(words[at : at + length]) for at in range(len(words) - length + 1))


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
        calls = _CALLS_FOR_NOTHING if _HAN.search(draft) or draft.strip(" .…") else _CALLS_FOR_DOTS
        return len(response) > 4 * len(draft) and not calls.search(request)
    if _NO_CHANGE.match(draft):
        return not (
            _OTHER_RESPONSES.search(request)
            or _CALLS_FOR_REVISION.search(request)
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
        _OTHER_ADVICE.search(request)
        or _OTHER_RESPONSES.search(request)
        or _CALLS_FOR_ADVICE.search(request)
        or _CALLS_FOR_CHATTER.search(request)
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


_ADVISES = re.compile(
    r"(?:mention|includ|add|explain|clarif|provid|describ|specif|elaborat|expand|rephras|rewrit|reword|shorten|remov|delet"
    r"|correct|stat|name|emphasi|highlight|avoid|ensur|consider|replac|fix|simplif|mak|us)(?:e|y|s|se|ze|t|d)?\b"
    r"|[^\n]{0,200}\b(?:should|could|would\s+be\s+better)\b|(?:建议|应|可以|增加|补充|说明|提到|删|改|加|避免|使用|明确)",
    re.IGNORECASE,
)


def returns_suggestions(draft: str, suggestions: str) -> bool:
    """Whether a draft is the suggestions themselves, which may hold a whole answer, but here advise."""
    if not suggestions or not 0.5 < len(draft) / len(suggestions) < 2:
        return False
    given, taken = _items(suggestions), _items(draft)
    shared = set(given) & set(taken)
    if not taken or len(shared) < 0.8 * max(len(set(given)), len(set(taken))):
        return False
    return sum(bool(_ADVISES.match(unit)) for unit in taken) >= len(taken) / 2


def _items(text: str) -> list[str]:
    """Return the sentences of a text, without numbers and headings."""
    units = [unit.strip(_NUMBERS).lower() for unit in re.split(r"[.!?;。！？；\n:：]+", text)]
    return [unit for unit in units if len(unit.encode("utf-8", "replace")) > 14]


# --- chatter

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
_CALLS_FOR_CHATTER = re.compile(
    r"e-?mail|letter|\bmessage|\bpost\b|dialog|conversation|customer|chat\s*bot|script|role[- ]?play|pretend"
    r"|act as|cover note|memo|reply to|respond to|speech|invitation|announcement|newsletter|\bnote\b"
    r"|word\s+count|字数|信|邮件|对话|客服|消息|角色|扮演|通知|公告|演讲|发言|邀请|回信|留言",
    re.IGNORECASE,
)
_CALLS_FOR_REVISION = re.compile(
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
        and not _CALLS_FOR_CHATTER.search(_last(request))
        and not (_THANKED.match(text) and _THANKS.search(_last(request)))
        and not (_CALLS_FOR_REVISION.search(_last(request)) and _OFFERED.search(_last(request)))
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
    return bool(_CALLS_FOR_REVISION.search(_last(request))) and not re.match(rf"{_YES}", text, re.IGNORECASE)


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


# --- the node

_PASSED: dict[str, Any] = {"ending": None, "forward": None, "reversed": None}
"""A draft that goes on is a new one: in Studio the state may hold what was said of another."""


def guards(mode: Mode, check: Check = no_checks) -> Node[RefusedView]:
    """Create the node that lets a draft pass, or ends the round, and in most modes with it the exchange: the
    current response stays.

    It does so too where the editor wrote nothing, or had nothing to write from, and, of several drafts from
    one prompt, where an earlier one is the same: its verdict is known.
    """
    advised = "suggestions" in mode.shown("editor")

    async def node(state: RefusedView, *, runtime: Runtime[Any]) -> dict[str, Any]:
        settings: AgentSettings = runtime.context
        if not state["draft"]:
            if mode.is_best_of:
                return without_draft(state)
            return {"ending": "no_suggestions" if advised and not state["suggestions"] else "no_draft"}
        if mode.is_best_of and any(is_unchanged(state["draft"], done["draft"]) for done in state["rounds"]):
            return refuse(state, "repeated")
        if settings.guards == "on" and (guard := await refusal_of(state, settings)):
            return refuse(state, guard)
        outcome = await checked(state, state["draft"], settings, check)
        if outcome is None or outcome.agrees:
            return _PASSED
        return refuse(state, "check_failed" if outcome.agrees is None else "disagrees", outcome.remark)

    async def refusal_of(state: RefusedView, settings: AgentSettings) -> Guard | None:
        told = instructions_of(await current_pack(settings.prompts), settings, mode)
        # Conversations are worked on in graph/, whose settings have the template.
        template = getattr(settings, "conversation_template", "")
        system, request = own_text(request_values(state)["request"], template)
        return await refused_by(
            state["draft"],
            request,
            state["response"],
            told,
            f"{state['system']}\n{system}".strip(),
            state.get("suggestions", ""),
        )

    return node


async def checked(state: CheckedView, response: str, settings: AgentSettings, check: Check) -> Outcome | None:
    """Check a response as the settings say; None where there is nothing to check it by."""
    if settings.check is None:
        return None
    record = {"id": state["id"], "exchange": state["exchange"]}
    record |= {"request": state["instruction"], "input": state["input"]}
    return await check(settings.check, Candidate(response, state.get("references", []), record))
