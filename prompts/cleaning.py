"""Removes from an editor's draft what is not part of the answer.

A draft becomes training data, so two errors are possible: keeping "Here is the revised response:", and
removing something that belongs there. The second is worse. So each rule only removes a known wording at the
edge of the draft, and only if neither the request nor the current response is a reason to keep it. In doubt
it stays.

The rules, each with what stops it:

- **What frames the draft**: an announcement or marker at its beginning ("Sure! Here's an improved version:",
  "#Revised Response#:", "修改后的回答："), the rules and end marks that belong to it, and a remark after it
  that speaks of the revision ("This version adds detail."; see `prompts.chatter`). Stopped if the request
  quotes such a line or asks for a revision, if the current response begins with one, or if the draft has the
  original under a heading of its own. A remark also stays in a message ("Dear Ann, …") and after a text that
  speaks of versions, unless a rule sets it off from an announced draft. Without an announcement a remark goes
  only if it names the revised response ("I hope this revised response helps!").
- **A heading or tag of the prompt**: "Response:", "## Response" or "[Response]" as a line of its own,
  "Response:" before a single line, `<response>` before and `</response>` after the text. Stopped if the
  request or the current response has that tag or begins a line with that heading; before a single line also
  if they mention responses or answers or the line has another colon; tags also if the request mentions markup
  or the text has more of it.
- **Two rules around the whole.** Stopped by further rules, and by a current response that begins with one.
- **Quotation marks around the whole**, if that is more than a sentence. Stopped by a further such mark
  inside, by any in the request, by a request for data, code or something usually quoted, for one paragraph
  by any request to write something, and by a current response that begins with one.
- **A code fence around the whole**, without a language or tagged as text or markdown. Stopped by another
  fence inside, by code-like lines, by a request that mentions code or data, and by a fence in the current
  response.
- **A JSON object around the whole** (`{"response": "…"}`), fenced or not, with one text under a name for a
  response. Stopped by a request that mentions code or data, and by a current response that begins so.
- **The request, or the current response, under a label** ("Request: … Response: …"), or a question as the
  first line, if it is there word for word and the current response does not begin so.
- **"Assistant:" or "Final answer:" at the beginning.** Stopped by a request for a dialog, a role or an
  abbreviation, by one that has the word, by further labels, and by a current response that begins so.
- **Praise of the question at the beginning** ("Great question!"). Stopped by a request that speaks of
  questions or wants a dialog, a speech or a message, by a current response that begins so, and where little
  else is left.

Not covered: chatter in other languages, and remarks that an answer may end with ("I hope this helps!").
"""

import json
import re
from collections.abc import Callable

from prompts.chatter import announced_original, calls_it_a_version, ends_frame, is_remark, is_rule, lead_in
from samples.reply import trimmed

MOST_LAYERS = 20
"""A draft with more around it than this is something else, and stays as it is."""

_Rule = Callable[[str, str, str], str]


def clean_draft(draft: str, request: str, response: str | None) -> str:
    """Return the draft without what is not the answer, by the rules of this module.

    `response` is the current response, None if the editor did not see one. The inside of the draft is never
    changed, cleaning twice changes nothing more, and only a blank draft becomes empty.
    """
    text = whole = trimmed(draft)
    for _ in range(MOST_LAYERS):
        before = text
        for rule in _RULES:
            text = trimmed(rule(text, request, response or "")) or text
        if text == before:
            return text
    return whole


# --- what frames the draft

_ASKS_FOR_REVISION = re.compile(
    r"revis|rewrit|rewrote|edit|improv|correct|fix|rephras|reword|paraphras|proofread|polish|updat"
    r"|enhanc|refin|modif|convert|chang|修|改|润色|优化|完善|更新|编辑|调整|纠正",
    re.IGNORECASE,
)
_ASKS_FOR_VERSION = re.compile(
    r"\bmake\b|better|simpl|short|optimi[sz]|refactor|summar|translat|version|grammar|spelling|mistake|error"
    r"|版|错|语法|翻译|总结|缩",
    re.IGNORECASE,
)
_MENTIONS_RESPONSES = re.compile(
    r"response|answer|reply|replies|respond|回答|回复|答复|响应|答案", re.IGNORECASE
)
_ASKS_FOR_MAIL = re.compile(
    r"mail|letter|message|memo|note|announce|press release|changelog|\b(?:write|reply|respond) to\b"
    r"|\b(?:tell (?!me\b|us\b)|inform\b|notify\b|thank\b|remind\b)|信|邮件|消息|通知|公告|告诉|告知",
    re.IGNORECASE,
)
_LIKE_MAIL = re.compile(
    r"\s*(?:(?:dear|hi|hello|hey|good (?:morning|afternoon|evening))\b|(?:to|subject):"
    r"|尊敬的|亲爱的|[您你]好|主题)",
    re.IGNORECASE,
)
_COURTESY = re.compile(r"\W*(?:please|let me|feel free|i hope|hopefully|如果|希望)", re.IGNORECASE)
_SPEAKS_OF_VERSIONS = re.compile(r"version|draft|revis|版本|草稿|修改|修订", re.IGNORECASE)
_MOST_CLOSINGS = 6
_LONGEST_CLOSING = 20
"""Lines of remarks that may follow the rule that closes a frame."""


def _without_frame(text: str, request: str, response: str) -> str:
    asks = bool(_ASKS_FOR_REVISION.search(request))
    opening = lead_in(text)
    if not opening:
        start = len(text) - len(_last_paragraph(text))
        is_said = is_remark(text[start:]) and not is_remark(_last_paragraph(response))
        if start and is_said and not asks and not _may_end_so(text[:start], request):
            return _without_last_rule(text[:start])
        return text
    rest = text[len(opening) :]
    if lead_in(response) or _wording(opening) in _wording(request) or announced_original(rest):
        return text
    # If the user asks for a revision, the answer itself may begin with "Here is the revised version:", or, if
    # the request mentions a response, with "Here is the revised response:".
    if calls_it_a_version(opening):
        is_part_of_answer = asks or bool(_ASKS_FOR_VERSION.search(request))
    else:
        is_part_of_answer = asks and bool(_MENTIONS_RESPONSES.search(request))
    if is_part_of_answer:
        return text
    return _without_closing(rest, opening, request) or rest


def _without_closing(text: str, opening: str, request: str) -> str:
    """Return an announced draft without the marks and remarks after it."""
    may_end_so = _may_end_so(_before_remarks(text), request)
    has_rule = is_rule(opening.rpartition("\n")[2]) or is_rule(opening.lstrip()[:3])
    for _ in range(_MOST_CLOSINGS):
        before = text = text.rstrip()
        body, _, last = text.rpartition("\n")
        if ends_frame(last) or (is_rule(last) and (has_rule or not body.rpartition("\n")[2].strip())):
            text = body
        elif has_rule or not may_end_so:
            remark = "" if may_end_so else _last_paragraph(text)
            if has_rule and not is_remark(remark, in_frame=True):
                remark = _after_last_rule(text)
            if is_remark(remark.partition("\n")[0], in_frame=True):
                text = text[: len(text) - len(remark)]
        if text == before:
            break
    return text


def _before_remarks(text: str) -> str:
    """Return a text without its last paragraph, and the one before if the last is a courtesy."""
    last = _last_paragraph(text)
    if _COURTESY.match(last) and is_remark(last, in_frame=True):
        text = text[: len(text) - len(last)].rstrip()
        last = _last_paragraph(text)
    return text[: len(text) - len(last)]


def _may_end_so(body: str, request: str) -> bool:
    """Whether a text, such as a letter, may itself speak of a version at its end."""
    return bool(_ASKS_FOR_MAIL.search(request) or _LIKE_MAIL.match(body) or _SPEAKS_OF_VERSIONS.search(body))


def _last_paragraph(text: str) -> str:
    """Return the last line if a blank line or a rule is before it, otherwise an empty string."""
    body = text.rstrip().rpartition("\n")[0]
    above = body.rpartition("\n")[2]
    is_paragraph = bool(body.strip()) and (not above.strip() or is_rule(above))
    return text[len(body) + 1 :] if is_paragraph else ""


def _after_last_rule(text: str) -> str:
    lines = text.rsplit("\n", _LONGEST_CLOSING)[1:]
    last = max((index for index, line in enumerate(lines) if is_rule(line)), default=len(lines))
    return "\n".join(lines[last + 1 :]).lstrip()


def _without_last_rule(text: str) -> str:
    body, _, last = text.rstrip().rpartition("\n")
    return body if is_rule(last) and not body.rpartition("\n")[2].strip() else text


def _without_rules(text: str, request: str, response: str) -> str:
    lines = text.split("\n")
    around = is_rule(lines[0]) and is_rule(lines[-1]) and len(lines) > 2
    if not around or is_rule(response.partition("\n")[0]) or _ASKS_FOR_CODE.search(request):
        return text
    inner = lines[1:-1]
    return text if any(map(is_rule, inner)) or _FRONT_MATTER.match(inner[0]) else "\n".join(inner)


_FRONT_MATTER = re.compile(r"[\w-]+:")


def _wording(text: str) -> str:
    """Return the words of a text without punctuation, to find them in another text."""
    return " ".join(re.findall(r"[\w']+", text.replace("’", "'").replace("_", " ").lower()))


# --- headings and tags of the prompt

_HEADING = re.compile(r"(?:#{1,6}|\*\*|\[|=+|-+)\s*response[\s#*:\]=-]*|response:", re.IGNORECASE)
_LABEL = re.compile(r"(?:\*\*)?response:(?:\*\*)?[ \t]+(?=[^\W\d_])", re.IGNORECASE)
_ASKS_FOR_MARKUP = re.compile(r"\bx?html\b|xml|\btags?\b|markup|标签", re.IGNORECASE)
_NAME = r"(?:response(?:-\d+)?|(?:revised|improved|updated|new|final)[_ -](?:response|answer|draft))"
_TAG = re.compile(rf"</?{_NAME}>", re.IGNORECASE)
_REQUEST_TAGS = re.compile(r"\A<request>(?:(?!</?request>).)*</request>\s*(?=<response>)", re.DOTALL)
_ANY_END_TAG = re.compile(r"</\w[^<>\n]*>|/>")


def _without_heading(text: str, request: str, response: str) -> str:
    line, _, rest = text.partition("\n")
    label = _LABEL.match(text)
    # One line, and no other label on it.
    if (
        label
        and not rest
        and not re.search("[:：]", text[label.end() :])
        and not _MENTIONS_RESPONSES.search(request + response)
    ):
        return text[label.end() :]
    own = re.compile(r"^[^\w\n]*response\b[^\w\n]*$|^[^\w\n]*response[*_]*:", re.IGNORECASE | re.MULTILINE)
    if not _HEADING.fullmatch(line.strip()) or own.search(response) or "response:" in request.lower():
        return text
    # A heading among others of the same kind belongs to the answer.
    others = r"^#{1,6}\s" if line.startswith("#") else r"^\W{0,4}\w[\w ]{0,30}:\W*$|^\*\*[^*\n]+\*\*:?$"
    return text if re.search(others, rest, re.MULTILINE) else rest


def _without_tags(text: str, request: str, response: str) -> str:
    if _TAG.search(request) or _TAG.search(response) or _ASKS_FOR_MARKUP.search(request):
        return text
    if "<request>" not in request:
        text = _REQUEST_TAGS.sub("", text)
    if text.startswith("<answer>") and "<" not in text[1:]:  # never closed
        return text if "<answer>" in request + response else text.removeprefix("<answer>")
    opening = re.match(rf"<({_NAME})>", text, re.IGNORECASE)
    closing = re.search(rf"</({_NAME})>\Z", text, re.IGNORECASE)
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


# --- what it answers, and who speaks

_SPEAKER = re.compile(r"(?:\*\*)?(?P<name>assistant|ai|助手)(?:\*\*)?[:：](?:\*\*)?\s*(?=\w)", re.IGNORECASE)
_LEAST_ANSWER = 60
"""Characters after "Final answer:" that are more than a result."""
_FINAL = re.compile(r"\W{0,4}final answer\W{0,4}\n", re.IGNORECASE)
_LABELED_LINE = re.compile(r"^\W{0,4}\w[\w ]{0,30}[:：]", re.MULTILINE)
_CALLS_FOR_SPEAKERS = re.compile(
    r"chat|dialog|convers|transcript|interview|script|role|prompt|stand for|abbreviat|acronym|defin|glossar"
    r"|对话|聊天|访谈|采访|剧本|提示词|角色|助手",
    re.IGNORECASE,
)
_ECHOES = (
    (re.compile(r"(?:request|question|q|问题|请求)\s?[:：]\s*", re.IGNORECASE), "request"),
    (
        re.compile(r"original(?: (?:response|answer))?\s?[:：]\s*|原(?:回答|文)[:：]\s*", re.IGNORECASE),
        "response",
    ),
)
_ANSWERS = re.compile(
    r"\s*(?:(?:revised|improved|new)(?: (?:response|answer))?|response|answer|a|回答|答案?|修改后(?:的回答)?)"
    r"\s?[:：]\s*",
    re.IGNORECASE,
)


def _without_echo(text: str, request: str, response: str) -> str:
    """Without the request itself, or the current response: under labels, or a question on a line above."""
    for label, name in _ECHOES:
        found, echoed = label.match(text), (request if name == "request" else response).strip()
        if not (found and echoed and text.startswith(echoed, found.end())):
            continue
        answer = _ANSWERS.match(text, found.end() + len(echoed))
        if answer and not label.match(response):
            return text[answer.end() :]
    question = request.strip()
    if not question.endswith(("?", "？")) or response.lstrip().startswith(question):
        return text
    line, _, rest = text.partition("\n")
    if line.strip(" *_#") != question or not rest.strip():
        return text
    answer = _ANSWERS.match(rest)
    return rest[answer.end() :] if answer else rest


def _without_speaker(text: str, request: str, response: str) -> str:
    final = _FINAL.match(text)
    if final and not re.search(r"answer", request, re.IGNORECASE) and not _FINAL.search(response):
        rest = text[final.end() :]
        return text if len(rest) < _LEAST_ANSWER or _LABELED_LINE.search(rest) else rest
    found = _SPEAKER.match(text)
    if (
        found is None
        or _SPEAKER.match(response)
        or _CALLS_FOR_SPEAKERS.search(request)
        or re.search(rf"\b{found['name']}\b", request, re.IGNORECASE)
        or _LABELED_LINE.search(text, found.end())
    ):
        return text
    return text[found.end() :]


# --- praise of the question

_GOOD = (
    r"(?:great|good|excellent|interesting|wonderful|fantastic|fascinating|important|thoughtful|insightful)"
)
_PRAISE = re.compile(
    rf"(?:(?:(?:that|this)(?:['’]s|\s+is)|what)\s+)?(?:an?\s+)?(?:really\s+|very\s+)?{_GOOD}\s+question\s*[!.]+\s+"
    r"|(?:(?:这|那)(?:真)?是)?(?:一?个)?(?:非常|很)?(?:好|棒|有趣|重要|有意思)的?问题[！!。]\s*",
    re.IGNORECASE,
)
_CALLS_FOR_PRAISE = re.compile(
    r"question|\bask|interview|dialog|convers|script|role|pretend|act as|speech|e-?mail|letter|message|reply"
    r"|respond|said?\b"
    r"|问题|提问|采访|对话|角色|扮演|演讲|邮件|信|回复|说",
    re.IGNORECASE,
)
_LEAST_LEFT = 40
"""Characters: "Good question! I don't know." is one text."""


def _without_praise(text: str, request: str, response: str) -> str:
    found = _PRAISE.match(text)
    if not found or len(text) - found.end() < _LEAST_LEFT:
        return text
    is_wanted = _CALLS_FOR_PRAISE.search(request) or _PRAISE.match(response.lstrip())
    return text if is_wanted else text[found.end() :]


# --- quotation marks

_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "「": "」", "『": "』"}
_ASKS_FOR_QUOTED = re.compile(
    r"quot|cit(?:e|ation)|passage|excerpt|extract|verse|stanza|poe[mt]|lyric|song|hymn|anthem|psalm|prayer"
    r"|scripture|bible|gospel|soliloqu|monolog|sonnet|shakespeare|famous|memorable|iconic|recite|oath|preamble"
    r"|amendment|declaration|constitution|pledge|creed|mantra|letter|opening|begins?\b|paragraph|wrote|written"
    r"|novel|book|film|movie|character|author|say|said|speech|spoken|dialog|line|title|headline|slogan|motto|tagline|proverb"
    r"|caption|tweet|sentence|phrase|word|name|string|json|csv|ya?ml|code|program|script|print|output"
    r"|段|诗|歌|经|篇|原文|开头|著名|引|语|句|标题|口号|台词|对话|谚|名|词|字|代码|程序|输出",
    re.IGNORECASE,
)

_ASKS_FOR_TEXT = re.compile(
    r"\b(?:write|give|creat|generat|compos|suggest|provid|come up|draft|make|craft|invent|imagin|think of"
    r"|propos|offer|produc|tell|design|form|construct|complet|fill|add|turn)"
    r"|\b(?:what|how) (?:would|could|should|might|do)\b"
    r"|example|metaphor|simile|idiom|joke|riddle|poem|haiku|lyric|rhyme|message"
    r"|写|给|举|例|编|造|拟|创作|设计|生成|提供|比喻",
    re.IGNORECASE,
)
_ENDS_OF_SENTENCES = re.compile(r"[.!?][\s\"')\]]|[。！？\n]")


def _without_quotes(text: str, request: str, response: str) -> str:
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or text[-1] != closing:
        return text
    inner, marks = text[1:-1], {text[0], closing}
    # What a request asks for may be a quoted text: a sentence mostly, seldom several paragraphs.
    if not _ENDS_OF_SENTENCES.search(inner[:-1]) or ("\n\n" not in inner and _ASKS_FOR_TEXT.search(request)):
        return text
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


# --- a JSON object around the whole

_JSON = re.compile(r"(?:```(?:json)?[ \t]*\n)?(?P<object>\{.*\})(?:\n```)?", re.DOTALL | re.IGNORECASE)
_RESPONSE_NAME = re.compile(
    r"(?:(?:revised|improved|new|final|better|rewritten)[ _-]?)?"
    r"(?:response|answer|reply|output|text|content|result)"
    r"|(?:修改后的|改进后的|新的?)?(?:回答|回复|答复|答案)",
    re.IGNORECASE,
)


def _without_json(text: str, request: str, response: str) -> str:
    found = _JSON.fullmatch(text)
    if not found or _ASKS_FOR_CODE.search(request) or response.lstrip()[:1] in ("{", "["):
        return text
    try:
        held = json.loads(found["object"], strict=False)
    except (ValueError, RecursionError):
        return text
    (name, inner), *others = held.items() or [("", None)]
    is_response = isinstance(inner, str) and inner.strip() and _RESPONSE_NAME.fullmatch(name)
    return inner if is_response and not others else text


_RULES: tuple[_Rule, ...] = (
    _without_frame,
    _without_heading,
    _without_tags,
    _without_echo,
    _without_speaker,
    _without_praise,
    _without_json,
    _without_code_fence,
    _without_rules,
    _without_quotes,
)
