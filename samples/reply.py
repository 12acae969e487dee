"""Takes the reply out of what a model wrote, now or in the data of another.

Some servers send more than the reply: the model's thoughts, and marks of its chat template. Both are taken
off at the edges, whatever family of models they come from. What is inside a reply is left alone, since the
reply may be about such tags and marks. What is taken off:

- **Thoughts** at the beginning, or as a block of their own at the end: between tags such as `<think>`,
  `<thinking>`, `<seed:think>` and `[THINK]`, in a channel (gpt-oss, Gemma 4), or after Granite's "Here is my
  thought process:". A thought that is never closed is all there is. With some chat templates the opening tag
  is part of the prompt, and the text begins in the middle of a thought: see `_end_of_open_thought`. After
  thoughts, a tag around the whole answer (`<answer>`) goes too.
- **Marks** of a turn's beginning (`<|im_start|>assistant`, `<s>`) and end (`<|im_end|>`, `</s>`).
- **White space** at both ends.

A tag that is a word (`<reasoning>`, unlike `<think>`) stays where the sample's own texts have it, and so does
a mark at the end. What the template of a conversation writes between the turns is none of these texts: see
`_readings`. The time is linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from fastchat.conversation import conv_templates, get_conv_template

Message = Mapping[str, Any]
"""A message of a chat, with its `content`."""


class Reply(NamedTuple):
    """A reply, and what was around it."""

    text: str
    thoughts: str = ""
    marks: tuple[str, ...] = ()
    """The tags and marks that were taken off."""


class Response(NamedTuple):
    """A response of a data set, and what is around it: together they are the text as it was."""

    before: str
    text: str
    after: str
    thoughts: str
    """Those in the text around it; empty where there are none, or only tags without any."""


# --- thoughts

_WORD = (
    r"(?:\w{1,20}[:_-])?"
    r"(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis|inner_monologue|monologue|思考)"
    r"(?:[_-]\w{1,20})?"
)
_STARTS = r"(?:start|begin)"
_MARK_OF_THOUGHT = r"\w{0,20}(?:think|thought|inner|reason)\w{0,20}"
_OPENING = re.compile(
    rf"<(?P<word>{_WORD})(?:\s[^<>\n]{{0,200}})?>"
    r"|\[(?P<bracket>(?-i:THINK|THINKING|THOUGHTS?|REASONING))\]|(?P<kimi>◁think▷)"
    r"|(?P<webui><details type=\"reasoning\"[^<>\n]{0,200}>)"
    r"|(?P<gemma><\|channel>thought\b)|(?P<medgemma><unused94>(?:thought\b)?)"
    r"|(?P<solar><\|think(?:ing)?\|>)|(?P<apertus><\|inner_prefix\|>)"
    # <|START_THINKING|>, <|begin_of_thought|>, <|thought_start|>
    rf"|<[|｜](?P<mark>(?={_MARK_OF_THOUGHT})(?:{_STARTS}\w{{1,24}}|\w{{1,24}}_{_STARTS}))[|｜]>",
    re.IGNORECASE,
)
_CLOSINGS = {
    "kimi": "◁/think▷",
    "webui": "</details>",
    "gemma": r"<channel\|>",
    "medgemma": "<unused95>",
    "solar": r"<\|/think(?:ing)?\|>|<\|end\|>",
    "apertus": r"<\|inner_suffix\|>",
}
# An end that may be all that is left of a thought.
_ANY_CLOSING = re.compile(
    rf"</{_WORD}>|\[/THINK\]|◁/think▷|<channel\|>|<unused95>|<\|/think(?:ing)?\|>|<\|inner_suffix\|>"
    rf"|<[|｜](?={_MARK_OF_THOUGHT})(?:end\w{{1,24}}|\w{{1,24}}_end)[|｜]>",
    re.IGNORECASE,
)
_OTHER_CLOSING = re.compile(r"</(?:think(?:ing)?|thoughts?)>", re.IGNORECASE)
_PARTS_OF_CLOSING: tuple[str, ...] = ("◁", "｜", "</", "[/", "|>", "<unused95>")
_CLOSES = re.compile(r"</(\w{0,20}(?:think|thought)\w{0,20})>\s*\Z", re.IGNORECASE)
_ANSWER = re.compile(r"<(answer|response|output|final(?:_answer)?|solution)>", re.IGNORECASE)
# Tags that models are trained on; the others may be words of the data.
_THINK = re.compile(r"(?:\w+[:_-])?think(?:[_-]\w+)?", re.IGNORECASE)

_HARMONY = re.compile(
    r"(?:<\|start\|>\s*assistant\s*)?(?:<\|channel\|>)?\s*(analysis|commentary|final)\b[^<\n]{0,100}"
    r"(?:<\|constrain\|>\s*\w{1,20}\s*)?<\|message\|>"
)
_HARMONY_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
# The same, as a server leaves it that drops special tokens.
_BARE_HARMONY = re.compile(r"analysis(?=[A-Z\W])(.*?)assistantfinal(?![a-z])", re.DOTALL)
_GRANITE = re.compile(
    r"\s*Here(?:'s| is| are) my (?:thought process|reasoning(?: process| steps)?):(.*?)"
    r"\n[ \t]*Here(?:'s| is) my response:",
    re.DOTALL | re.IGNORECASE,
)
# What Ollama prints around them.
_OLLAMA = re.compile(r"\s*Thinking\.\.\.[ \t]*\n(.*?)\n[ \t]*\.\.\.done thinking\.[ \t]*(?:\n|\Z)", re.DOTALL)

# --- marks

_SPECIAL = r"<\|/?[A-Za-z][\w▁./:-]{2,40}\|>|<｜[^｜<>\n]{1,40}｜>"
_NAMED = (
    r"<\|?(?:im_start|im_end|start_of_turn|end_of_turn|start_of_role|end_of_role|end_of_utterance)\|?>"
    r"|<\|(?:turn|channel)>|<(?:turn|channel)\|>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|\[\|(?:user|assistant|system|endofturn)\|\]|<role>(?:HUMAN|ASSISTANT|SYSTEM|OBSERVATION)</role>"
    r"|<unused\d{1,4}>|<reserved_\d{1,4}>|\[UNUSED_TOKEN_\d{1,4}\]|<eo[ahm]>|<seed:[be]os>"
    r"|</?tool_(?:call|response)s?>"
)
_CONTROL = re.compile(f"{_SPECIAL}|{_NAMED}")
# Each of them has one of these, as few other texts do, and these are found faster.
_PARTS_OF_CONTROL: tuple[str, ...] = (
    *("｜", "<|", "|>", "[|", "</s>", "INST]", "SYS>>", "_of_", "<im_", "<role>", "<unused", "<reserved_"),
    *("[UNUSED_", "<eo", "<seed:", "_PROMPT]", "_TOOLS]", "[TOOL_", "[/TOOL_", "tool_call", "tool_response"),
)
_END = re.compile(
    rf"(?:(?!<\|(?:message|channel)\|>)(?:{_SPECIAL})|{_NAMED}|</s>"
    r"|<(?:eos|eot|eop|eod|EOS|EOT|pad|endoftext)>|\[(?:end of text|EOS)\]"
    # The last of them may be torn.
    r"|<\|/?(?=im|e[no]|start|user|assistant|\w{1,20}_)[A-Za-z]\w{1,40}\|?|<｜[^｜<>\s]{2,40}｜?|<(?:end|start)_of_\w{0,12}|<im_\w{0,5}|</s)\Z"
)
_TOOL = ("<tool_", "</tool_")
"""The model calls a tool, and gives no reply."""
_BEGIN = re.compile(
    r"(?:<s>|<bos>|<(?:pad|unk)>(?=[<\w]|\Z)|\[/INST\]|<role>ASSISTANT</role>"
    # Not the turn of another.
    rf"|(?!<[|｜]\w{{0,12}}(?:user|human|system|observation|tool|prompter|python))(?:{_SPECIAL})"
    r"|<start_of_turn>|<\|turn>|<im_start>|\[\|assistant\|\])"
    r"(?:(?:assistant|model|gpt|bot)(?=\s*<[|｜]|[ \t]*\n|\Z))?",
    re.IGNORECASE,
)
# What is left of <|start_header_id|>assistant<|end_header_id|> where special tokens are dropped.
_BARE_ROLE = re.compile(r"assistant\r?\n\r?\n(?=\s*\S)")
_NO_BEGIN = re.compile(r" [a-z]|\s*(?:user|human|system|tool|observation)\s*[\n<]")
# "The token for the end is </s>"
_IN_SENTENCE = re.compile(
    r"(?:\b(?:is|are|was|as|by|with|in|to|of|called|named|tokens?|tags?|marks?|uses?|and|or)|[,:，：]) \Z"
    r"|[是为叫用] ?\Z",
    re.IGNORECASE,
)
# "<think> is the tag that ...", "<think> and </think> enclose ..."
_IS_ABOUT = re.compile(r" [a-z]{1,20}[ ,.:]")
_WORDS_OF_THOUGHT = (
    *("hink", "HINK", "hought", "HOUGHT", "easoning", "EASONING", "eflection", "cratchpad", "nalysis"),
    *("onologue", "unused94", "inner_prefix"),
)
"""Each thought has one of these, as few other texts do."""
_LONGEST_MARK = 64
_MOST_MARKS = 100
"""Marks taken off at either end; a text with more is not worth the time."""
_QUOTES = "`\"'“”‘’「」"
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_INDENTED = re.compile(r"\n[ \t]+\S")


def read_reply(
    text: str,
    thoughts: str = "",
    *,
    prompt: Sequence[Message] = (),
    parts: Sequence[str] = (),
    indented: bool = False,
) -> Reply:
    """Return the reply in what a model wrote.

    Args:
        text: what it wrote.
        thoughts: what came as thoughts in a field of its own.
        prompt: the messages that it answers.
        parts: the sample's own texts in them; without any, the whole prompt counts as the sample's for marks.
        indented: whether the first line keeps its indentation where a later line has one, as code has.
    """
    # An unpaired surrogate, which JSON can carry and UTF-8 cannot, would fit in no file.
    text, thoughts = (each.encode("utf-8", "replace").decode() for each in (text, thoughts))
    reply, _ = _read(text, [thoughts], _sample_texts(prompt, parts), parts, indented=indented)
    return reply


def read_response(text: str, parts: Sequence[str] = ()) -> Response:
    """Return a response of a data set apart from its thoughts. `parts` are its request and system prompt.

    What may be a tag that the response is about stays: one that begins a sentence, or ends a thought that was
    never opened and is not at the end of a line, as templates write it. Where there are no tags of thoughts
    the whole text is the response, marks and white space too.
    """
    if may_have_thoughts(text):
        reply, (start, end) = _read(text, [], parts, parts, is_given=True)
        tags = (mark for mark in reply.marks if _OPENING.fullmatch(mark) or _ANY_CLOSING.fullmatch(mark))
        if reply.thoughts or any(tags):
            return Response(text[:start], text[start:end], text[end:], reply.thoughts)
    return Response("", text, "", "")


def may_have_thoughts(text: str) -> bool:
    """Return whether a look for thoughts is worth the time."""
    if "<" in text or "[" in text or "◁" in text or text[:4] in ("anal", "Here", "Thin"):
        for word in _WORDS_OF_THOUGHT:  # `any` takes twice as long
            if word in text:
                return True
    return False


def without_marks(text: str) -> str:
    """Return a response without the template marks and the white space around it."""
    found: list[str] = []
    end = _before_end_marks(text, (), found) if any(each in text for each in "<[") else len(text)
    start = _past_space(text, 0, end)
    while (begin := _BEGIN.match(text, start, end)) and _is_begin(text, begin, end, ()):
        start = _past_space(text, begin.end(), end)
    return text[start:end].rstrip()


def _read(
    text: str,
    found: list[str],
    own: Sequence[str],
    parts: Sequence[str],
    *,
    indented: bool = False,
    is_given: bool = False,
) -> tuple[Reply, tuple[int, int]]:
    """Return the reply, and where it is in the text."""
    marks: list[str] = []
    start, end = 0, len(text)
    if any(each in text for each in "<[◁"):
        start, end, marks = _unmarked(text, found, own, parts, is_given=is_given)
    elif edge := _BARE_ROLE.match(text):
        start, marks = edge.end(), ["assistant"]
    for name, form in (
        ("analysis", _BARE_HARMONY),
        ("Here is my thought process:", _GRANITE),
        ("Thinking...", _OLLAMA),
    ):
        if edge := form.match(text, start, end):
            found.append(edge[1])
            marks.append(name)
            start = edge.end()
    kept = "\n\n".join(filter(None, map(str.strip, found)))
    inner = text[start:end].rstrip()
    reply = trimmed(inner) if indented else inner.strip()
    start += len(inner) - len(reply)
    return Reply(reply, kept, tuple(dict.fromkeys(marks))), (start, start + len(reply))


def is_thought(kind: str) -> bool:
    """Return whether parts of this type hold thoughts."""
    return any(word in kind for word in ("think", "thought", "reason"))


def message_parts(message: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the content of a chat completion's message as text, and the thoughts that came apart from it.

    They are in a field of the message, or in parts of its content. Content that is neither text nor parts is
    returned as it is.
    """
    content = message.get("content")
    thoughts = [next((text for field in THOUGHT_FIELDS if (text := text_in(message.get(field)))), "")]
    if isinstance(content, list):
        texts: list[str] = []
        for part in content:
            kind = str(part.get("type", "text")) if isinstance(part, dict) else "text"
            (thoughts if is_thought(kind) else texts).append(text_in(part))
        content = "".join(texts)
    return content, "\n\n".join(filter(None, thoughts))


THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "thoughts",
    "reasoning_details",
    "thinking_blocks",
)
_TEXT_FIELDS = ("text", "thinking", "reasoning", "summary", "content", "output_text", "value")


def text_in(value: Any, depth: int = 4) -> str:
    """Return the text in a part of a message, however it is nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "".join(text_in(each, depth - 1) for each in value)
    if isinstance(value, dict) and depth:
        return next((text for name in _TEXT_FIELDS if (text := text_in(value.get(name), depth - 1))), "")
    return ""


_AT_BEGINNING_OF_LINE = re.compile(r"^[ \t]*[<\[]\S*", re.MULTILINE)
_DAMAGE = re.compile("[\x00\ud800-\udfff]")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that count as letters or signs, and show nothing."""


def is_blank(text: str) -> bool:
    """Return whether a text has nothing but characters that show nothing: white space, joiners, marks."""
    return all(unicodedata.category(each) in _INVISIBLE or each in _BLANK for each in text)


_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def damage(text: str, own: Iterable[str] = ()) -> str | None:
    """Return the name of a character that shows a text to be damaged, None where it has none: a NUL, or half
    of a surrogate pair. The sample's own texts may have it."""
    found = set(_DAMAGE.findall(text))
    if found:
        found -= set("".join(own))
    return f"U+{ord(min(found)):04X}" if found else None


def control_token(text: str, prompt: Sequence[Message], parts: Sequence[str] = ()) -> str | None:
    """Return a token of a chat template in a text, None where it has none.

    It shows that the model continued past the end of its turn, or that the server does not use the model's
    template. One in code, or one that the sample's own texts have too, is what the text is about.

    Args:
        text: a reply as `read_reply` returns it.
        prompt: the messages that it answers.
        parts: the sample's own texts in them; without any, the whole prompt counts as the sample's.
    """
    if ("<" not in text and "[" not in text) or not any(part in text for part in _PARTS_OF_CONTROL):
        return None
    tokens = _tokens([_CODE.sub("", text)])
    own: set[str] = set()
    for each in _sample_texts(prompt, parts) if tokens else ():
        readings = [{*_tokens([reading]), *(["</s>"] * ("</s>" in reading))} for reading in _readings(each)]
        own |= set.intersection(*readings)
    if own:  # the answer to a question about one of them speaks of the others too
        tokens = _tokens(_AT_BEGINNING_OF_LINE.findall(_CODE.sub("", text)))
    return next((token for token in tokens if token not in own), None)


def _tokens(texts: Iterable[str]) -> dict[str, None]:
    """Return the control tokens in texts, in order."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(_CONTROL.findall(text))
        if "</s>" in text and "<s>" not in text:  # else it is what HTML strikes out
            found["</s>"] = None
    return found


def _sample_texts(prompt: Sequence[Message], parts: Sequence[str]) -> Sequence[str]:
    return parts or [message["content"] for message in prompt]


class _Form(NamedTuple):
    """What a FastChat template writes around the texts of a conversation."""

    before: str
    after_system: str
    answer: str
    """Between a request and its response."""
    request: str
    """Between a response and the next request."""
    last: str
    """After the last request."""


@cache
def _forms() -> tuple[_Form, ...]:
    """Return the forms of the templates that write marks, with a system prompt and with their own one."""
    system, turn = "\ue000", "\ue001"
    found: dict[_Form, None] = {}
    for name in conv_templates:
        for given in (system, ""):
            template = get_conv_template(name)
            if given:
                template.set_system_message(given)
            try:
                user, assistant = template.roles
                for role, text in ((user, turn), (assistant, turn), (user, turn), (assistant, None)):
                    template.append_message(role, text)
                first, *others = template.get_prompt().split(turn)
            except ValueError:
                continue  # it writes no conversation as one text
            before, _, after_system = first.partition(system)
            form = _Form(before, after_system, *others)
            if form.last.strip() and ("</s>" in "".join(form) or _tokens(form)):
                found[form] = None
    return tuple(found)


def _readings(text: str) -> list[str]:
    """Return what a text says: without what a template wrote, where it may be a conversation that one made.

    Templates that are alike write the same texts, so there may be several readings. A mark is the sample's
    own where all of them have it.
    """
    found: list[str] = []
    bare = text.rstrip()
    for form in _forms():
        last = form.last.rstrip()
        if not (bare.endswith(last) and text.startswith(form.before) and form.after_system in text):
            continue
        rest = text[len(form.before) : len(bare) - len(last)]
        if form.after_system:
            rest = rest.replace(form.after_system, "\n", 1)
        *turns, request = rest.split(form.request)
        # A text may speak of these marks itself: the template writes one of each to an exchange.
        texts = [
            turn.replace(form.answer, "\n", 1) if form.answer in turn else turn + form.request
            for turn in turns
        ]
        found.append("\n".join([*texts, request]))
    return found or [text]


def _unmarked(
    text: str, thoughts: list[str], own: Sequence[str], parts: Sequence[str], *, is_given: bool
) -> tuple[int, int, list[str]]:
    """Return where a text is without what is around it, and the marks taken off; add its thoughts to those
    found. For `is_given` see `read_response`."""
    marks: list[str] = []
    end = _before_end_marks(text, own, marks)
    start, has_thought = 0, False
    for _ in range(_MOST_MARKS):
        start = _past_space(text, start, end)
        if harmony := _HARMONY.match(text, start, end):
            marks.append("<|channel|>")
            has_thought = True
            if harmony[1] == "final":
                # What follows the answer is left in it, to be seen.
                return harmony.end(), end, marks
            close = _HARMONY_END.search(text, harmony.end(), end)
            close_at, start_at = close.span() if close else (end, end)
            thoughts.append(text[harmony.end() : close_at])
            start = start_at
        elif (opening := _OPENING.match(text, start, end)) and not _is_of_data(opening["word"], parts):
            close_at, start_at = _end_of_thought(text, opening, end)
            if close_at == end and any(opening[0] in part for part in parts):
                break  # never closed, and what the sample is about
            on_a_line = close_at == end or text.find("\n", opening.end(), close_at) < 0
            if is_given and on_a_line and _IS_ABOUT.match(text, opening.end(), end):
                break
            marks.append(opening[0])
            has_thought = True
            thoughts.append(text[opening.end() : close_at])
            start = start_at
        elif (begin := _BEGIN.match(text, start, end)) and _is_begin(text, begin, end, own):
            marks.append(begin[0])
            start = begin.end()
        else:
            break
    if not has_thought and (tag := _end_of_open_thought(text, start, end, parts, is_given=is_given)):
        marks.append(tag[0])
        thoughts.append(text[start : start + tag.start()])
        start, has_thought = start + tag.end(), True
    start = _past_space(text, start, end)
    answer = _ANSWER.match(text, start, end) if has_thought else None
    if answer and not _is_of_data(answer[1], parts):
        closing, whole = f"</{answer[1]}>", text[answer.end() : end].rstrip()
        if whole.find(closing) in (-1, len(whole) - len(closing)):
            marks.append(answer[0])
            return answer.end(), answer.end() + len(whole.removesuffix(closing)), marks
    if trailing := _thought_at_end(text, start, end, parts):
        marks.append(trailing[0])
        thoughts.append(text[trailing.end() : text.rindex("</", start, end)])
        end = trailing.start()
    return start, end, marks


def _past_space(text: str, at: int, end: int) -> int:
    while at < end and text[at].isspace():
        at += 1
    return at


def _before_end_marks(text: str, own: Sequence[str], marks: list[str]) -> int:
    """Return where a text ends before the marks of a turn's end, other than those of the sample's texts."""
    end = len(text)
    for _ in range(_MOST_MARKS):
        bare = end
        while bare and text[bare - 1].isspace():
            bare -= 1
        mark = _END.search(text, max(0, bare - _LONGEST_MARK), bare)
        if mark is None or _ANY_CLOSING.fullmatch(mark[0]) or mark[0].startswith(_TOOL):
            break
        before = text[max(0, mark.start() - 20) : mark.start()]
        struck_out = mark[0] == "</s>" and _strikes_out(text, mark.start())
        if _IN_SENTENCE.search(before) or struck_out or (mark[0] not in marks and _is_own(mark[0], own)):
            break
        marks.append(mark[0])
        end = mark.start()
    return end


def _is_own(mark: str, texts: Sequence[str]) -> bool:
    return any(mark in text and all(mark in reading for reading in _readings(text)) for text in texts)


def _strikes_out(text: str, at: int) -> bool:
    """Whether a `</s>` is HTML: it closes a `<s>` that does not begin the text."""
    begins = text.lstrip().startswith("<s>")
    return text.count("<s>", 0, at) - begins > text.count("</s>", 0, at)


def _is_begin(text: str, begin: re.Match[str], end: int, own: Sequence[str]) -> bool:
    """Whether a mark at the beginning is one, and not a word of the answer ("<|endoftext|> is ...") or its
    markup ("<s>old</s> new"), or the beginning of another's turn."""
    if begin[0] in ("<pad>", "<unk>") and _is_own(begin[0], own):
        return False
    if begin[0] == "<s>" and text.find("</s>", begin.end(), end) >= 0:
        return False
    return not _NO_BEGIN.match(text, begin.end(), end)


def _is_of_data(word: str | None, parts: Sequence[str]) -> bool:
    """Whether a tag is a word of the sample's, so that it may be part of the answer."""
    return word is not None and not _THINK.fullmatch(word) and any(f"<{word}" in part for part in parts)


def _end_of_thought(text: str, opening: re.Match[str], end: int) -> tuple[int, int]:
    """Return where an opened thought ends, and where the text goes on after it."""
    if word := opening["word"]:
        form = f"</{re.escape(word)}>"
    elif bracket := opening["bracket"]:
        form = rf"\[/{bracket}\]"
    elif mark := opening["mark"]:
        form = rf"<[|｜]{re.escape(re.sub('start|begin', 'end', mark, flags=re.IGNORECASE))}[|｜]>"
    else:
        form = next(form for name, form in _CLOSINGS.items() if opening[name])
    first: re.Match[str] | None = None
    inner = 0
    tags = re.compile(rf"(?P<open>{re.escape(opening[0])})|{form}", re.IGNORECASE)
    for tag in tags.finditer(text, opening.end(), end):
        is_mention = _is_mention(text, tag)
        if tag["open"]:
            if first and _is_mention(text, first):
                break  # what follows ends another thought
            inner += not is_mention
            continue
        first = first or tag
        if is_mention:
            continue
        if not inner:
            return tag.span()
        inner -= 1
    if first is None and opening["word"]:
        # Some begin with one word for it and end with another.
        others = _OTHER_CLOSING.finditer(text, opening.end(), end)
        first = next((tag for tag in others if not _is_mention(text, tag)), None)
    return first.span() if first else (end, end)


def _is_mention(text: str, tag: re.Match[str]) -> bool:
    """Whether a tag is in quotes or in the middle of a sentence."""
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    in_quotes = before in _QUOTES and after in _QUOTES
    return bool(before and after) and (in_quotes or (before in " \t" and after in " ,.;:)?，。；："))


def _end_of_open_thought(
    text: str, start: int, end: int, parts: Sequence[str], *, is_given: bool
) -> re.Match[str] | None:
    """Return the tag that ends a thought whose opening tag was part of the prompt, None where there is none.
    It is found in `text[start:end]`.

    It is the first such tag that is where a thought ends: at the beginning or the end of a line, or after a
    sentence. In code, in quotes, within a sentence or after an opening tag it is what the text is about;
    where the sample's own texts have it, everywhere but on a line of its own.
    """
    if not any(part in text for part in _PARTS_OF_CLOSING) or not _ANY_CLOSING.search(text, start, end):
        return None
    plain = _CODE.sub(lambda code: " " * len(code[0]), text[start:end])
    opening = _OPENING.search(plain)
    tags = _ANY_CLOSING.finditer(plain, 0, opening.start() if opening else len(plain))
    for tag in islice(tags, _MOST_MARKS):
        line_before = plain[plain.rfind("\n", 0, tag.start()) + 1 : tag.start()]
        line_end = plain.find("\n", tag.end())
        begins = not line_before.strip()
        ends = not plain[tag.end() : line_end if line_end >= 0 else None].strip()
        if any(tag[0] in part for part in parts):
            is_end = begins and ends
        elif is_given:
            said = plain[: tag.start()].rstrip()
            is_end = ends and not line_before[-1:].isspace() and not said.endswith((":", "："))
            is_end = is_end and bool(said)
        else:
            is_end = begins or (ends and not line_before[-1].isspace()) or line_before[-1] in ".!?…。！？"
            # Nor is a tag part of a sentence with letters right before and after it.
            glued = (line_before[-1:] + plain[tag.end() : tag.end() + 1]).strip()
            is_end = is_end or (len(glued) == 2 and glued.isascii() and glued.isalnum())
        if is_end:
            return tag
    return None


def _thought_at_end(text: str, start: int, end: int, parts: Sequence[str]) -> re.Match[str] | None:
    """Return the opening tag of a thought that is the last block of a text, None where there is none."""
    closing = _CLOSES.search(text[max(start, end - _LONGEST_MARK) : end])
    if closing is None or _is_of_data(closing[1], parts):
        return None
    opening = _OPENING.match(text, max(0, text.rfind(f"<{closing[1]}>", start, end)), end)
    if opening is None or opening["word"] != closing[1]:
        return None
    before = text[start : opening.start()]
    in_code = before.count("```") % 2
    return opening if before.rstrip(" \t").endswith("\n") and not in_code else None


def trimmed(text: str) -> str:
    """Strip a text, except an indentation of its first line where a later line has one."""
    text = _BLANK_LINES.sub("", text).rstrip()
    return text if _INDENTED.search(text) else text.lstrip()
