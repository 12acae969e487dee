"""The guard `instructions`, first part: a draft with words of the prompt, or that speaks of its role."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from nodes.guards.texts import GAP, HAN, TAIL
from nodes.settings import AgentSettings
from prompts.method import DEBATE, STEPS, TEMPLATES, Mode
from prompts.pack import Pack

RUN, HAN_RUN = 8, 16
"""How many words of the instructions in a row, or Chinese characters, are a repetition of them."""
_STEP, _HAN_STEP = 4, 8
# Every run holds one of the shorter ones that begin at each fifth word (ninth character).

_WORDS = re.compile(r"[^\W_]+")


class Instructions(NamedTuple):
    """The own text of a prompt pack, as it is searched."""

    starts: frozenset[str]
    """All runs of half the length."""
    words: str
    """The words in lower case, a space around each."""
    han: str
    """The Chinese characters."""


def instructions_of(pack: Pack, settings: AgentSettings, mode: Mode) -> Instructions:
    """Return the instructions that the agents of a mode get besides the record and each other's texts.

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
        for given in ("", GAP):
            values: dict[str, Any] = dict.fromkeys(TEMPLATES[template].variables)
            values |= dict.fromkeys(shown, GAP)
            values |= dict.fromkeys(step.optional, given or None)
            if "debate" in shown:
                values["debate"] = [GAP] * len(DEBATE)
            prompt = pack.render(
                template, persona=persona, system=given, instruction=GAP, input=given, **values
            )
            texts |= dict.fromkeys(message["content"] for message in prompt)
    for text in texts:
        yield from text.split(GAP)


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
    text = text[-TAIL:].rstrip().lower()
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


OTHER_RESPONSES = re.compile(
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
OTHER_ADVICE = re.compile(
    r"\bsuggest|\badvice|\badvis|\bfeedback|\brecommend|\btips?\b|建议|意见|反馈", re.IGNORECASE
)

_TALK = (
    (_ROLE_TALK, _OTHER_ROLES),
    (_SELF_TALK, OTHER_RESPONSES),
    (_ADVICE_TALK, OTHER_ADVICE),
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
    """Whether a draft repeats the agents' instructions, or speaks of its role, and neither request nor
    current response does."""
    # Who writes about prompts may use some of their phrases.
    times = 2 if _ABOUT_PROMPTS.search(request) else 1
    if _quotes(draft, request, response, instructions, times):
        return True
    signs = _signs(draft)
    if any(
        _talks(signs, talk) and not (other.search(request) or _talks(_signs(response), talk))
        for talk, other in _TALK
    ):
        return True
    return _talks_of_itself(draft) and not OTHER_RESPONSES.search(request) and not _talks_of_itself(response)


_WINDOW, _MOST = 100, 300
"""Characters around a sign that are read, and how many signs at most."""


def _signs(text: str) -> list[tuple[str, int, int]]:
    """Return a text with the beginning and the end of what is to be read around each sign in it."""
    low, found = text.lower(), list[tuple[str, int, int]]()
    for sign in _SIGNS_OF_ROLE:
        at = low.find(sign)
        while at >= 0 and len(found) < _MOST:
            found.append((low, max(0, at - _WINDOW), at + _WINDOW))
            at = low.find(sign, at + _WINDOW // 2)
    return found


def _talks(signs: list[tuple[str, int, int]], talk: re.Pattern[str]) -> bool:
    return any(talk.search(*sign) for sign in signs)


def _quotes(draft: str, request: str, response: str, instructions: Instructions, times: int) -> bool:
    """Whether a draft has a run of `times` the usual length in common with the instructions."""
    most, most_han = times * RUN, times * HAN_RUN
    words, known = _words(draft), None
    for at in range(0, len(words) - _STEP + 1, RUN - _STEP + 1):
        if " ".join(words[at : at + _STEP]) not in instructions.starts:
            continue
        for run in _runs(words[max(0, at - most + _STEP) : at + most], most):
            if f" {run} " in instructions.words:
                known = known or [f" {' '.join(_words(text))} " for text in (request, response)]
                if not any(f" {run} " in text for text in known):
                    return True
    if draft.isascii() or not instructions.han:
        return False
    han, known = _han(draft), None
    for at in range(0, len(han) - _HAN_STEP + 1, HAN_RUN - _HAN_STEP + 1):
        if han[at : at + _HAN_STEP] not in instructions.starts:
            continue
        for begin in range(max(0, at - most_han + _HAN_STEP), min(at, len(han) - most_han) + 1):
            run = han[begin : begin + most_han]
            if run in instructions.han:
                known = known or [_han(text) for text in (request, response)]
                if not any(run in text for text in known):
                    return True
    return False


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _han(text: str) -> str:
    return "".join(HAN.findall(text))


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(words[at : at + length]) for at in range(len(words) - length + 1))
