"""Thoughts of the responses that a data set has: in their text, in parts of it, or in fields next to it.

Agents see the response without them. What becomes of them is one of `THOUGHTS`: `skip` leaves a response that
has thoughts as it is; `drop` and `keep` say whether a new response has the old thoughts before it, which may
argue for what it no longer says. `text` takes thoughts in the text for a part of the response, as runs did
before they were separated. A response that is not changed keeps its thoughts in any case.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

from samples.fields import LONGEST_NAME, join_distinct, words, words_of
from samples.message_parts import THOUGHT_FIELDS, is_thought, text_in
from samples.reply import Response, read_response, without_end_marks
from samples.thought_forms import end_of_unclosed, thoughts_within

Thoughts = Literal["skip", "drop", "keep", "text"]
THOUGHTS: tuple[Thoughts, ...] = get_args(Thoughts)

WHAT_BECOMES: dict[Thoughts, str] = {
    "skip": "they stay as they are; --thoughts drop or --thoughts keep works on them",
    "drop": "no agent sees the thoughts, and a new response has none",
    "keep": "no agent sees the thoughts, and a new response has the old ones before it",
    "text": "thoughts in a response are a part of it",
}
"""What a user should know about responses with thoughts."""

HAS_THOUGHTS = "thoughts in the response (--thoughts drop or keep works on it)"
"""Why a response is left as it is."""

_CORE = words("""
    reasoning thinking think thought thoughts cot rationale scratchpad monologue
""")
_AROUND = words("""
    content text trace traces process step steps trajectory trajectories chain of details blocks block
    inner complex long model raw full generated response answer output completion generation assistant
    solution reply deepseek qwen qwq claude gemini glm kimi llama mistral o r v gpt
""")
_CLOSING = re.compile(r"<\|(?:(end_of)|END)_(\w{1,30})\|>")
_SETTINGS = words("""
    on off auto low medium high none true false yes no enabled disabled null n/a
""")
"""What such a field holds where it says how much is thought."""


def is_thought_field(name: str) -> bool:
    """Return whether a field of this name next to a response holds its thoughts."""
    return len(name) <= LONGEST_NAME and _is_thought_field(name)


@lru_cache(4096)
def _is_thought_field(name: str) -> bool:
    return name in THOUGHT_FIELDS or any(
        not _CORE.isdisjoint(named) and _CORE.union(_AROUND).issuperset(named)
        for named in (words_of(name), words_of(name.lower()))  # such as reasoningContent and Complex_CoT
    )


def is_of_rater(name: str) -> bool:
    """Return whether a field of this name next to both sides of a preference says why one is the better."""
    return "rationale" in words_of(name) and is_thought_field(name)


def thought_fields(fields: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields next to a response that hold its thoughts."""
    return [name for name in fields if is_thought_field(name) and _thoughts(fields[name])]


def without_thoughts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields next to a response without those that hold its thoughts."""
    thoughts = thought_fields(fields)
    return {name: value for name, value in fields.items() if name not in thoughts}


def thoughts_next_to(fields: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """Return the thoughts in the fields next to a response; fields that are `known` hold something else."""
    if not any(map(is_thought_field, fields)):
        return ""
    return join_distinct(_thoughts(fields[name]) for name in thought_fields(fields) if name not in known)


def _thoughts(value: Any) -> str:
    text = text_in(value).strip()
    return "" if text.lower() in _SETTINGS else text


def thought_part(part: Any) -> str | None:
    """Return the type of a part if it holds thoughts, and "thought" for Gemini's, which has none."""
    if not isinstance(part, dict):
        return None
    if part.get("thought") is True:
        return "thought"
    kind = part.get("type")
    return kind if isinstance(kind, str) and is_thought(kind) else None


def with_thoughts(text: str, thoughts: str) -> str:
    """Return a response with thoughts before it, as chat templates and trainers take them in a text."""
    if not thoughts or read_response(text).thoughts:
        return text
    return f"<think>\n{thoughts}\n</think>\n\n{text}"


def read_apart(text: str, parts: Sequence[str] = ()) -> Response:
    """Return a response of a data set apart from its thoughts, as `read_response` does, and from those that
    are blocks between its texts. These are then before the response, which is no longer all in one place.
    """
    found = read_response(text, parts)
    within = thoughts_within(found.text, parts, are_more=bool(found.thoughts)) if found.text else []
    if not within:
        return found
    ends = [0, *(place for block in within for place in block[:2]), len(found.text)]
    texts = [found.text[start:end].strip() for start, end in zip(ends[::2], ends[1::2], strict=True)]
    before = "".join(f"{found.text[start:end]}\n\n" for start, end, _ in within)
    thoughts = join_distinct([found.thoughts, *(thought for _, _, thought in within)])
    return Response(found.before + before, "\n\n".join(filter(None, texts)), found.after, thoughts)


def rewritten(content: Any, response: str, parts: Sequence[str], thoughts: Thoughts) -> Any:
    """Return the content of a turn with a new response, in the shape of the old content.

    That is a text, or a list with one text part after those with thoughts. `parts` are the request and the
    system prompt. Tags around no thoughts and marks of a turn's end stay in any case.
    """
    texts = [text for part in content if (text := _text_of(part))] if isinstance(content, list) else [content]
    old = "\n".join(text for text in texts if isinstance(text, str))
    if thoughts != "text":
        before, said_before, after, said = read_apart(old, parts)
        if thoughts == "keep" or not said:
            # A thought that was cut off would go on in the new response.
            end = "" if said_before or not said else end_of_unclosed(before)
            response = (before.rstrip() + end if end else before) + response + after
        else:
            after = old[len(without_end_marks(old, parts)) :]
            # A mark that closes what one before the response opened goes with that, and the space before it.
            rest = _CLOSING.sub(
                lambda mark: (
                    "" if f"<|{'begin_of' if mark[1] else 'START'}_{mark[2]}|>" in before else mark[0]
                ),
                after,
            )
            response += after if rest == after else rest.strip()
    if not isinstance(content, list):
        return response
    kept = [part for part in content if thought_part(part) and thoughts == "keep"]
    blank = {"text": ""} if any(map(_has_no_type, content)) else {"type": "text", "text": ""}
    first = next((part for part in content if not thought_part(part)), blank)
    if isinstance(first, str):
        return [*kept, response]
    return [*kept, {**first, ("text" if isinstance(first.get("text"), str) else "value"): response}]


def _has_no_type(part: Any) -> bool:
    return isinstance(part, dict) and "type" not in part


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    return "" if thought_part(part) else str(part.get("text") or part.get("value") or "")
