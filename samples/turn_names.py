"""The names by which turns have their role and text, and roles their meaning, in data sets and trainers."""

from collections.abc import Mapping
from typing import Any

from samples.fields import is_missing

# Role names found in published data sets.
_ROLES = {
    "user": ("human", "user", "prompter", "instruction", "question", "用户"),
    "assistant": (
        *("gpt", "assistant", "chatgpt", "bard", "bing", "claude", "model", "ai", "bot", "chatbot", "gemini"),
        *("llama", "mistral", "qwen", "deepseek", "glm", "chatglm", "ernie", "grok", "answer", "助手"),
    ),
    "system": ("system", "developer"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}

_PAIRS = (
    *(("input", "output"), ("human", "assistant"), ("user", "assistant"), ("prompt", "response")),
    *(("instruction", "output"), ("instruction", "response"), ("question", "answer"), ("query", "response")),
    *(("prompt", "completion"), ("human", "gpt"), ("user", "bot")),
)
"""Names of request and response where one object holds both."""

_TEXTS = ("content", "value", "text", "parts")
"""Names of the text of a turn, for those that do not go with the name of its role."""


def names_of(turn: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of a turn's role and text."""
    is_from = "from" in turn and not ("role" in turn and is_missing(turn["from"]))
    role, text = ("from", "value") if is_from else ("role", "content")
    if type(turn.get(text)) is not str and is_missing(turn.get(text)):
        others = (name for name in _TEXTS if isinstance(turn.get(name), str | list | dict))
        text = next(others, text)
    return role, text


def role_of(name: str) -> str | None:
    """Return the role that a name stands for: system, user or assistant; None if it is another."""
    known = name.strip().lower()
    return _ROLE_OF.get(known) or ("assistant" if known.startswith("gpt") else None)


def pair_names(item: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the names of request and response in an object that holds both; None if it does not."""
    if "from" in item or "role" in item:
        return None
    return next((pair for pair in _PAIRS if pair[0] in item and pair[1] in item), None)
