"""Parts of a chat message: its text, and the thoughts next to it, as providers and data sets nest them."""

from collections.abc import Mapping
from typing import Any

THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "thoughts",
    "reasoning_details",
    "thinking_blocks",
)
_TEXT_FIELDS = ("text", "thinking", "reasoning", "summary", "content", "output_text", "value")


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


def text_in(value: Any, depth: int = 4) -> str:
    """Return the text in a part of a message, however it is nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "".join(text_in(each, depth - 1) for each in value)
    if isinstance(value, dict) and depth:
        return next((text for name in _TEXT_FIELDS if (text := text_in(value.get(name), depth - 1))), "")
    return ""
