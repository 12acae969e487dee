"""Takes the reply out of what a model wrote, now or in the data of another.

Some servers send more than the reply: the model's thoughts, and marks of its chat template. Both are taken
off at the edges, whatever family of models they come from. What is inside a reply is left alone, since the
reply may be about such tags and marks. What is taken off:

- **Thoughts** at the beginning, or as a block of their own at the end: between tags such as `<think>`,
  `<thinking>`, `<seed:think>` and `[THINK]`, in a channel (gpt-oss, Gemma 4), or after Granite's "Here is my
  thought process:". A thought that is never closed is all there is. With some chat templates the opening tag
  is part of the prompt, and the text begins in the middle of a thought: see `samples.thought_forms`. After
  thoughts, a tag around the whole answer (`<answer>`) goes too.
- **Marks** of a turn's beginning (`<|im_start|>assistant`, `<s>`) and end (`<|im_end|>`, `</s>`).
- **White space** at both ends.

A tag that is a word (`<reasoning>`, unlike `<think>`) stays where the sample's own texts have it, and so does
a mark at the end. What the template of a conversation writes between the turns is none of these texts: see
`samples.control_tokens`. The time is linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from samples.control_tokens import NAMED, SPECIAL, Message, readings, sample_texts
from samples.thought_forms import (
    ANSWER,
    ANY_CLOSING,
    BARE_HARMONY,
    GRANITE,
    HARMONY,
    HARMONY_END,
    IS_ABOUT,
    LONGEST_MARK,
    MOST_MARKS,
    OLLAMA,
    OPENING,
    WORDS_OF_THOUGHT,
    end_of_open_thought,
    end_of_thought,
    is_of_data,
    thought_at_end,
)


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


_END = re.compile(
    rf"(?:(?!<\|(?:message|channel)\|>)(?:{SPECIAL})|{NAMED}|</s>"
    r"|<(?:eos|eot|eop|eod|EOS|EOT|pad|endoftext)>|\[(?:end of text|EOS)\]"
    # The last of them may be torn.
    r"|<\|/?(?=im|e[no]|start|user|assistant|\w{1,20}_)[A-Za-z]\w{1,40}\|?|<｜[^｜<>\s]{2,40}｜?|<(?:end|start)_of_\w{0,12}|<im_\w{0,5}|</s)\Z"
)
_TOOL = ("<tool_", "</tool_")
"""The model calls a tool, and gives no reply."""
_BEGIN = re.compile(
    r"(?:<s>|<bos>|<(?:pad|unk)>(?=[<\w]|\Z)|\[/INST\]|<role>ASSISTANT</role>"
    # Not the turn of another.
    rf"|(?!<[|｜]\w{{0,12}}(?:user|human|system|observation|tool|prompter|python))(?:{SPECIAL})"
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
    reply, _ = _read(text, [thoughts], sample_texts(prompt, parts), parts, indented=indented)
    return reply


def read_response(text: str, parts: Sequence[str] = ()) -> Response:
    """Return a response of a data set apart from its thoughts. `parts` are its request and system prompt.

    What may be a tag that the response is about stays: one that begins a sentence, or ends a thought that was
    never opened and is not at the end of a line, as templates write it. Where there are no tags of thoughts
    the whole text is the response, white space and marks too, except those of a turn's end.
    """
    if may_have_thoughts(text):
        reply, (start, end) = _read(text, [], parts, parts, is_given=True)
        tags = (mark for mark in reply.marks if OPENING.fullmatch(mark) or ANY_CLOSING.fullmatch(mark))
        if reply.thoughts or any(tags):
            return Response(text[:start], text[start:end], text[end:], reply.thoughts)
    said = without_end_marks(text, parts)
    return Response("", said, text[len(said) :], "")


def may_end_with_mark(text: str) -> bool:
    """Return whether a look for marks of a turn's end is worth the time."""
    return text[-LONGEST_MARK:].rstrip()[-1:] in (">", "]")


def without_end_marks(text: str, parts: Sequence[str] = ()) -> str:
    """Return a response without the marks of a turn's end that templates write behind it.

    Those that `parts`, its request and system prompt, speak of stay, and so does a text of marks alone.
    """
    end = _before_end_marks(text, parts, []) if may_end_with_mark(text) else len(text)
    return (text[:end].rstrip() or text) if end < len(text) else text


def may_have_thoughts(text: str) -> bool:
    """Return whether a look for thoughts is worth the time."""
    if "<" in text or "[" in text or "◁" in text or text[:4] in ("anal", "Here", "Thin"):
        for word in WORDS_OF_THOUGHT:  # `any` takes twice as long
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
        ("analysis", BARE_HARMONY),
        ("Here is my thought process:", GRANITE),
        ("Thinking...", OLLAMA),
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


def _unmarked(
    text: str, thoughts: list[str], own: Sequence[str], parts: Sequence[str], *, is_given: bool
) -> tuple[int, int, list[str]]:
    """Return where a text is without what is around it, and the marks taken off; add its thoughts to those
    found. For `is_given` see `read_response`."""
    marks: list[str] = []
    end = _before_end_marks(text, own, marks)
    start, has_thought = 0, False
    for _ in range(MOST_MARKS):
        start = _past_space(text, start, end)
        if harmony := HARMONY.match(text, start, end):
            marks.append("<|channel|>")
            has_thought = True
            if harmony[1] == "final":
                # What follows the answer is left in it, to be seen.
                return harmony.end(), end, marks
            close = HARMONY_END.search(text, harmony.end(), end)
            close_at, start_at = close.span() if close else (end, end)
            thoughts.append(text[harmony.end() : close_at])
            start = start_at
        elif (opening := OPENING.match(text, start, end)) and not is_of_data(opening["word"], parts):
            close_at, start_at = end_of_thought(text, opening, end)
            if close_at == end and any(opening[0] in part for part in parts):
                break  # never closed, and what the sample is about
            on_a_line = close_at == end or text.find("\n", opening.end(), close_at) < 0
            if is_given and on_a_line and IS_ABOUT.match(text, opening.end(), end):
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
    if not has_thought and (tag := end_of_open_thought(text, start, end, parts, is_given=is_given)):
        marks.append(tag[0])
        thoughts.append(text[start : start + tag.start()])
        start, has_thought = start + tag.end(), True
    start = _past_space(text, start, end)
    answer = ANSWER.match(text, start, end) if has_thought else None
    if answer and not is_of_data(answer[1], parts):
        closing, whole = f"</{answer[1]}>", text[answer.end() : end].rstrip()
        if whole.find(closing) in (-1, len(whole) - len(closing)):
            marks.append(answer[0])
            return answer.end(), answer.end() + len(whole.removesuffix(closing)), marks
    if trailing := thought_at_end(text, start, end, parts):
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
    for _ in range(MOST_MARKS):
        bare = end
        while bare and text[bare - 1].isspace():
            bare -= 1
        mark = _END.search(text, max(0, bare - LONGEST_MARK), bare)
        if mark is None or ANY_CLOSING.fullmatch(mark[0]) or mark[0].startswith(_TOOL):
            break
        before = text[max(0, mark.start() - 20) : mark.start()]
        struck_out = mark[0] == "</s>" and _strikes_out(text, mark.start())
        if _IN_SENTENCE.search(before) or struck_out or (mark[0] not in marks and _is_own(mark[0], own)):
            break
        marks.append(mark[0])
        end = mark.start()
    return end


def _is_own(mark: str, texts: Sequence[str]) -> bool:
    return any(mark in text and all(mark in reading for reading in readings(text)) for text in texts)


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


def trimmed(text: str) -> str:
    """Strip a text, except an indentation of its first line where a later line has one."""
    text = _BLANK_LINES.sub("", text).rstrip()
    return text if _INDENTED.search(text) else text.lstrip()
