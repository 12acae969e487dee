"""Removes from an editor's draft what is not part of the answer.

A draft becomes training data, so two errors are possible: keeping "Here is the revised response:", and
removing something that belongs there. The second is worse. So each rule only removes a known wording at the
edge of the draft, and only if neither the request nor the current response is a reason to keep it. In doubt
it stays.

The rules, each with what stops it:

- **A lead-in**: a first line such as "Sure! Here's an improved version:" or "以下是修改后的回答：", or the
  label "Revised response:", which text may follow on the same line. English and Chinese, from a closed
  vocabulary that always includes *revised* (improved, edited, ...; 修改后) and, on a line of its own, ends
  with a colon or is a heading. Stopped if the request quotes such a line or asks for a revision, or if the
  current response begins with one.
- **A heading or tag of the prompt**: "Response:", "## Response" or "**Response**" as a line of its own,
  `<response>` before and `</response>` after the text. Stopped if the request or the current response has
  that tag or begins a line with that heading; tags also if the request mentions markup or the text has more
  of it.
- **Quotation marks around the whole.** Stopped by a further such mark inside, by any in the request, by a
  request for data, code or something usually quoted, and by a current response that begins with one.
- **A code fence around the whole**, without a language or tagged as text or markdown. Stopped by another
  fence inside, by code-like lines, by a request that mentions code or data, and by a fence in the current
  response.

Not covered: lead-ins in other languages, and remarks after the answer.
"""

import re
from collections.abc import Callable

_Rule = Callable[[str, str, str], str]


def clean_draft(draft: str, request: str, response: str | None) -> str:
    """Return the draft without what is not the answer, by the rules of this module.

    `response` is the current response, None if the editor did not see one. The inside of the draft is never
    changed, cleaning twice changes nothing more, and only a blank draft becomes empty.
    """
    text, before = _trimmed(draft), None
    while text != before:
        before = text
        for rule in _RULES:
            text = _trimmed(rule(text, request, response or "")) or text
    return text


def _trimmed(text: str) -> str:
    """Strip a text, except an indentation that the following lines have as well."""
    text = re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip()
    _, _, rest = text.partition("\n")
    return text if re.search(r"^[ \t]+\S", rest, re.MULTILINE) else text.lstrip()


# --- lead-ins

_REVISED = (
    r"(?:revised|improved|edited|updated|enhanced|refined|rewritten|reworked|polished|corrected"
    r"|modified)"
)
_ANSWER = r"(?:response|answer|reply|version)"
_LEAD_IN = (
    # Sure! Here's
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|great|understood)\b[\s,.!:—–-]*)?"
    r"(?:here(?:['’]s|\s+is)|below\s+is|this\s+is|the\s+following\s+is)"
    # the revised and improved response
    rf"\s+(?:the|a|an|my|your)\s+(?:{_REVISED}(?:\s+and\s+|,\s+|\s+))+{_ANSWER}"
    # to your question / of the original response / based on the suggestions provided
    r"(?:,?\s+(?:to|for)\s+(?:the|your)\s+(?:request|question|instruction|prompt|query)"
    r"|\s+of\s+(?:the|your)\s+(?:(?:original|current|previous)\s+)?(?:response|answer|reply)"
    r"|,?\s+(?:that\s+|which\s+)?(?:based\s+on|incorporat(?:ing|es)|follow(?:ing|s)|with|using"
    r"|address(?:ing|es)|considering|according\s+to)\s+(?:(?:the|your|all|these)\s+)*"
    r"(?:suggestions?|suggested\s+(?:changes|improvements)|feedback|advice|improvements|changes)"
    r"(?:\s+(?:provided|given|above|made|applied|incorporated))?)*"
)
_TITLE = rf"(?:(?:the|my)\s+)?{_REVISED}\s+(?:response|answer|reply)"

_ZH_REVISED = r"(?:修改|修订|改进|优化|润色|完善|更新|编辑|改写|调整)"
_ZH_LEAD_IN = (
    r"(?:(?:好的|好|当然|当然可以|没问题|可以)[，,。！!]\s*)?"
    r"(?:以下|下面|这|这里)就?是(?:我|一个|一份)?"
    r"(?:根据(?:上述|以上|这些|您的|你的)?(?:建议|意见|反馈))?经?过?"
    rf"(?:{_ZH_REVISED}[并和、]?)+(?:之后|后|过|版)?的?(?:回答|回复|答复|响应|答案|版本)"
)
_ZH_TITLE = rf"{_ZH_REVISED}(?:之后|后|过|版)的?(?:回答|回复|答复|响应)"

_ANNOUNCEMENT = re.compile(
    "|".join(f"(?:{part})" for part in (_LEAD_IN, _TITLE, _ZH_LEAD_IN, _ZH_TITLE)), re.IGNORECASE
)
_LABEL = re.compile(rf"(?:\*\*|__)?(?:{_TITLE}|{_ZH_TITLE})(?:\*\*|__)?\s*[:：](?:\*\*|__)?", re.IGNORECASE)
_MARKED = re.compile(r"\s*(?:#{1,6}\s+\S.*|\*\*[^*]+\*\*|__[^_]+__)\s*")

_ASKS_FOR_REVISION = re.compile(
    r"revis|rewrit|rewrote|edit|improv|correct|fix|rephras|reword|paraphras|proofread|polish|updat"
    r"|enhanc|refin|modif|convert|chang|修|改|润色|优化|完善|更新|编辑|调整|纠正",
    re.IGNORECASE,
)
_MENTIONS_RESPONSES = re.compile(
    r"response|answer|reply|replies|respond|回答|回复|答复|响应|答案", re.IGNORECASE
)


def _without_lead_in(text: str, request: str, response: str) -> str:
    lead_in = _lead_in(text)
    if not lead_in or _lead_in(response) or _wording(lead_in) in _wording(request):
        return text
    # If the user asks for a revision, the answer itself may begin with "Here is the revised version:", or, if
    # the request mentions a response, with "Here is the revised response:".
    part_of_answer = re.search(r"version|版本", lead_in, re.I) or _MENTIONS_RESPONSES.search(request)
    if part_of_answer and _ASKS_FOR_REVISION.search(request):
        return text
    return text[len(lead_in) :]


def _lead_in(text: str) -> str:
    """Return the lead-in at the beginning of a text, or an empty string."""
    line, _, _ = text.partition("\n")
    plain = re.sub(r"\*\*|__|^\s*#+", "", line).strip()
    # Without a colon or the marks of a heading it could be a sentence of the answer.
    announces = plain.endswith((":", "：")) or _MARKED.fullmatch(line)
    if announces and _ANNOUNCEMENT.fullmatch(plain.rstrip(":： ")):
        return line
    label = _LABEL.match(line)
    return label[0] if label else ""


def _wording(text: str) -> str:
    """Return the words of a text without punctuation, to find them in another text."""
    return " ".join(re.findall(r"[\w']+", text.replace("’", "'").replace("_", " ").lower()))


# --- headings and tags of the prompt

_HEADING = re.compile(r"#{1,6}\s+response:?|\*\*response:?\*\*:?|response:", re.IGNORECASE)
_ASKS_FOR_MARKUP = re.compile(r"\bx?html\b|xml|\btags?\b|markup|标签", re.IGNORECASE)
_TAG = re.compile(r"</?response(?:-\d+)?>", re.IGNORECASE)
_ANY_END_TAG = re.compile(r"</\w[^<>\n]*>|/>")


def _without_heading(text: str, request: str, response: str) -> str:
    line, _, rest = text.partition("\n")
    own = re.compile(r"^[^\w\n]*response\b[^\w\n]*$|^[^\w\n]*response[*_]*:", re.IGNORECASE | re.MULTILINE)
    if not _HEADING.fullmatch(line.strip()) or own.search(response) or "response:" in request.lower():
        return text
    # A heading among others of the same kind belongs to the answer.
    others = r"^#{1,6}\s" if line.startswith("#") else r"^\W{0,4}\w[\w ]{0,30}:\W*$|^\*\*[^*\n]+\*\*:?$"
    return text if re.search(others, rest, re.MULTILINE) else rest


def _without_tags(text: str, request: str, response: str) -> str:
    if _TAG.search(request) or _TAG.search(response) or _ASKS_FOR_MARKUP.search(request):
        return text
    opening = re.match(r"<(response(?:-\d+)?)>", text, re.IGNORECASE)
    closing = re.search(r"</(response(?:-\d+)?)>\Z", text, re.IGNORECASE)
    if opening and closing and opening[1].lower() == closing[1].lower():
        inner = text[opening.end() : closing.start()]
    elif closing and not opening and text[: closing.start()].endswith("\n"):
        # Half a fence, on a line of its own.
        inner = text[: closing.start()]
    elif opening and not closing and text[opening.end() :].startswith("\n"):
        inner = text[opening.end() :]
    else:
        return text
    return text if _TAG.search(inner) or _ANY_END_TAG.search(inner) else inner


# --- quotation marks

_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "「": "」", "『": "』"}
_ASKS_FOR_QUOTED = re.compile(
    r"quot|cit(?:e|ation)|say|said|speech|spoken|dialog|line|title|headline|slogan|motto|tagline|proverb"
    r"|caption|tweet|sentence|phrase|word|name|string|json|csv|ya?ml|code|program|script|print|output"
    r"|引|语|句|标题|口号|台词|对话|谚|名|词|字|代码|程序|输出",
    re.IGNORECASE,
)


def _without_quotes(text: str, request: str, response: str) -> str:
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or text[-1] != closing:
        return text
    inner, marks = text[1:-1], {text[0], closing}
    is_wanted = _ASKS_FOR_QUOTED.search(request) or response.lstrip()[:1] in _QUOTES
    if is_wanted or any(mark in inner or mark in request for mark in marks):
        return text
    return inner


# --- code fences

_FENCED = re.compile(
    r"(?P<fence>`{3,}|~{3,})[ \t]*(?:text|txt|plaintext|plain|markdown|md)?[ \t]*\n(?P<inner>.*)\n(?P=fence)",
    re.DOTALL | re.IGNORECASE,
)
_ASKS_FOR_CODE = re.compile(
    r"code|program|script|function|algorithm|implement|command|snippet|regex|expression|quer|shell|bash"
    r"|python|java|html|css|sql|json|xml|ya?ml|csv|latex|markdown|\bmd\b|table|format|ascii|diagram|block|fence"
    r"|代码|程序|脚本|函数|算法|命令|编写|表格|格式|表达式|查询|图",
    re.IGNORECASE,
)
_LIKE_CODE = re.compile(
    r"^[ \t]+\S"  # indented
    r"|[;{}][ \t]*$"  # ends like a statement
    r"|^[{\[<|$>]"  # begins like data, markup, a table or a prompt
    r"|^(?:def|class|import|from|function|const|let|var|public|SELECT|CREATE|INSERT|#include|#!)"
    r"|\w\([^()\n]*\)[ \t]*(?::|$)"  # a call
    r"|^[\w.\[\]]+[ \t]*[-+*/]?=",  # an assignment
    re.MULTILINE,
)
_ANY_FENCE = re.compile(r"^[ \t]*(?:`{3}|~{3})", re.MULTILINE)


def _without_code_fence(text: str, request: str, response: str) -> str:
    found = _FENCED.fullmatch(text)
    if not found or _ASKS_FOR_CODE.search(request) or _ANY_FENCE.search(response):
        return text
    inner = found["inner"]
    return text if _ANY_FENCE.search(inner) or _LIKE_CODE.search(inner) else inner


_RULES: tuple[_Rule, ...] = (
    _without_lead_in,
    _without_heading,
    _without_tags,
    _without_code_fence,
    _without_quotes,
)
