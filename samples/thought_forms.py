"""Thoughts in what a model wrote: the forms they have, and where one of them ends."""

import re
from collections.abc import Sequence
from itertools import islice

from samples.control_tokens import CODE

_WORD = (
    r"(?:\w{1,20}[:_-]|ant(?=thinking))?"
    r"(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis|inner_monologue|monologue|cot|思考)"
    r"(?:[_-]\w{1,20})?"
)
_STARTS = r"(?:start|begin)"
_MARK_OF_THOUGHT = r"\w{0,20}(?:think|thought|inner|reason)\w{0,20}"
OPENING = re.compile(
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
ANY_CLOSING = re.compile(
    rf"</{_WORD}>|\[/THINK\]|◁/think▷|<channel\|>|<unused95>|<\|/think(?:ing)?\|>|<\|inner_suffix\|>"
    rf"|<[|｜](?={_MARK_OF_THOUGHT})(?:end\w{{1,24}}|\w{{1,24}}_end)[|｜]>",
    re.IGNORECASE,
)
_ANY_WORD = r"(?:think(?:ing)?|thoughts?|reasoning)"
_OTHER_CLOSING = re.compile(
    rf"<(?:/ ?|\\){_ANY_WORD} ?>|<[|｜]?(?:end[_-](?:of[_-])?{_ANY_WORD}|{_ANY_WORD}[_-]end)[|｜]?>",
    re.IGNORECASE,
)
_PARTS_OF_CLOSING: tuple[str, ...] = ("◁", "｜", "</", "[/", "|>", "<unused95>")
_CLOSES = re.compile(r"</(\w{0,20}(?:think|thought)\w{0,20})>\s*\Z", re.IGNORECASE)
ANSWER = re.compile(r"<(answer|response|output|final(?:_answer)?|solution)>", re.IGNORECASE)
_ANSWER_AT_END = re.compile(rf"\n\s{{0,20}}(?={ANSWER.pattern})", re.IGNORECASE)
# Tags that models are trained on; the others may be words of the data.
_THINK = re.compile(r"(?:\w+[:_-])?think(?:[_-]\w+)?", re.IGNORECASE)

_OF_DOCUMENTS = re.compile(r"analysis|reflection", re.IGNORECASE)
"""Words of tags that are thoughts at the beginning of a response, and may be its parts elsewhere."""

HARMONY = re.compile(
    r"(?:<\|start\|>\s*assistant\s*)?(?:<\|channel\|>)?\s*(analysis|commentary|final)\b[^<\n]{0,100}"
    r"(?:<\|constrain\|>\s*\w{1,20}\s*)?<\|message\|>"
)
HARMONY_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
# The same, as a server leaves it that drops special tokens.
BARE_HARMONY = re.compile(r"analysis(?=[A-Z\W])(.*?)assistantfinal(?![a-z])", re.DOTALL)
GRANITE = re.compile(
    r"\s*Here(?:'s| is| are) my (?:thought process|reasoning(?: process| steps)?):(.*?)"
    r"\n[ \t]*Here(?:'s| is) my response:",
    re.DOTALL | re.IGNORECASE,
)
# What Ollama prints around them.
OLLAMA = re.compile(r"\s*Thinking\.\.\.[ \t]*\n(.*?)\n[ \t]*\.\.\.done thinking\.[ \t]*(?:\n|\Z)", re.DOTALL)

# "<think> is the tag that ...", "<think> and </think> enclose ..."
IS_ABOUT = re.compile(r" [a-z]{1,20}[ ,.:]")
WORDS_OF_THOUGHT = (
    *("hink", "HINK", "hought", "HOUGHT", "easoning", "EASONING", "eflection", "cratchpad", "nalysis"),
    *("onologue", "unused94", "inner_prefix", "cot>", "CoT>", "COT>", "思考>"),
)
"""Each thought has one of these, as few other texts do."""
LONGEST_MARK = 64
MOST_MARKS = 100
"""Marks taken off at either end; a text with more is not worth the time."""
_QUOTES = "`\"'“”‘’「」"


def is_of_data(word: str | None, parts: Sequence[str]) -> bool:
    """Whether a tag is a word of the sample's, so that it may be part of the answer."""
    return word is not None and not _THINK.fullmatch(word) and any(f"<{word}" in part for part in parts)


def end_of_thought(text: str, opening: re.Match[str], end: int) -> tuple[int, int]:
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
    if first is None and (opening["word"] or opening["mark"]):
        # Some begin with one word for it and end with another, or with the answer's tag alone.
        others = _OTHER_CLOSING.finditer(text, opening.end(), end)
        first = next((tag for tag in others if not _is_mention(text, tag)), None)
        answer = None if first else _ANSWER_AT_END.search(text, opening.end(), end)
        if answer and text[:end].rstrip().endswith(f"</{answer[1]}>"):
            first = answer
    return first.span() if first else (end, end)


def end_of_unclosed(text: str) -> str:
    """Return what would end the thought that a text leaves open; empty if it leaves none open."""
    at = 0
    for _ in range(MOST_MARKS):
        harmony, opening = HARMONY.search(text, at), OPENING.search(text, at)
        if harmony and (opening is None or harmony.start() <= opening.start()):
            if not (close := HARMONY_END.search(text, harmony.end())):
                return "" if harmony[1] == "final" else "<|end|><|start|>assistant<|channel|>final<|message|>"
            at = close.end()
        elif opening:
            close_at, at = end_of_thought(text, opening, len(text))
            if close_at == len(text):
                return f"\n{_closing_of(opening)}\n\n"
        else:
            return ""
    return ""


def _closing_of(opening: re.Match[str]) -> str:
    if word := opening["word"]:
        return f"</{word}>"
    if bracket := opening["bracket"]:
        return f"[/{bracket}]"
    if opening["mark"]:
        return re.sub("start|begin", "end", opening[0], flags=re.IGNORECASE)
    if opening["solar"]:
        return f"<|/{opening[0][2:]}"
    return next(form for name, form in _CLOSINGS.items() if opening[name]).replace("\\", "")


def _is_mention(text: str, tag: re.Match[str]) -> bool:
    """Whether a tag is in quotes or in the middle of a sentence."""
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    in_quotes = before in _QUOTES and after in _QUOTES
    return bool(before and after) and (in_quotes or (before in " \t" and after in " ,.;:)?，。；："))


def end_of_open_thought(
    text: str, start: int, end: int, parts: Sequence[str], *, is_given: bool
) -> re.Match[str] | None:
    """Return the tag that ends a thought whose opening tag was part of the prompt, None where there is none.
    It is found in `text[start:end]`.

    It is the first such tag that is where a thought ends: at the beginning or the end of a line, or after a
    sentence. In code, in quotes, within a sentence or after an opening tag it is what the text is about;
    where the sample's own texts have it, everywhere but on a line of its own.
    """
    if not any(part in text for part in _PARTS_OF_CLOSING) or not ANY_CLOSING.search(text, start, end):
        return None
    plain = CODE.sub(lambda code: " " * len(code[0]), text[start:end])
    opening = OPENING.search(plain)
    tags = ANY_CLOSING.finditer(plain, 0, opening.start() if opening else len(plain))
    for tag in islice(tags, MOST_MARKS):
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


def thoughts_within(text: str, parts: Sequence[str], *, are_more: bool) -> list[tuple[int, int, str]]:
    """Return where a response has thoughts between its texts, each a block of its own, and these thoughts.

    In code, in quotes, within a sentence, after a colon or where the sample's own texts have the tag, it is
    what the text is about. `are_more` says that there are thoughts around the response: then a sentence need
    not have ended.
    """
    if not any(word in text for word in WORDS_OF_THOUGHT):
        return []
    plain = CODE.sub(lambda code: " " * len(code[0]), text)
    found: list[tuple[int, int, str]] = []
    at = 0
    for _ in range(MOST_MARKS):
        if not (opening := OPENING.search(plain, at)):
            break
        at = opening.end()
        space = plain[max(0, opening.start() - LONGEST_MARK) : opening.start()]
        before = space.rstrip()[-1:]
        is_apart = are_more or before in ".!?…。！？" or space.rstrip(" \t").endswith("\n")
        if not is_apart or before in f":：{_QUOTES}" or _is_mention(plain, opening):
            continue
        if any(opening[0] in part for part in parts) or _OF_DOCUMENTS.search(opening["word"] or ""):
            continue
        close_at, after = end_of_thought(plain, opening, len(plain))
        if close_at < len(plain) and text[opening.end() : close_at].strip():
            found.append((opening.start(), after, text[opening.end() : close_at].strip()))
            at = after
    return found


def thought_at_end(text: str, start: int, end: int, parts: Sequence[str]) -> re.Match[str] | None:
    """Return the opening tag of a thought that is the last block of a text, None where there is none."""
    closing = _CLOSES.search(text[max(start, end - LONGEST_MARK) : end])
    if closing is None or is_of_data(closing[1], parts):
        return None
    opening = OPENING.match(text, max(0, text.rfind(f"<{closing[1]}>", start, end)), end)
    if opening is None or opening["word"] != closing[1]:
        return None
    before = text[start : opening.start()]
    in_code = before.count("```") % 2
    return opening if before.rstrip(" \t").endswith("\n") and not in_code else None
