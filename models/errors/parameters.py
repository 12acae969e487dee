"""Which field of a request a server refuses, and how the user changes it or leaves it out."""

import json
import re
from collections.abc import Sequence
from typing import Any

from models.errors.kinds import NO_TIER

_OURS = ("temperature", "top_p", "seed", "max_tokens", "max_completion_tokens", "reasoning_effort")
"""The fields that may be in a request whose body is unknown."""

_ASKED_FOR = ("enable_thinking",)
"""Fields that servers ask for in their refusals."""

_NEVER = frozenset({"messages", "model"})

_MAX_CHARS = 4000
"""How much of a message is read."""

_REFUSAL = re.compile(
    r"support|allowed|permitted|accepted|forbidden|invalid|cannot|can't|can not|must |should |has to |at once"
    r"|range|at (?:most|least)|less than|greater than|between|deprecated|unknown|unrecogni[sz]ed|unexpected"
    r"|instead|not both|only one|不支持|不能|必须|取值|范围|无效|参数"
)

_THE_ONE_VALUE = re.compile(
    r"only (?:the )?(?:default )?(?:value )?\(?(\d+(?:\.\d+)?)\)?(?: value)? (?:is|are) "
)


_STREAM_FIELD = re.compile(r"['\"`]stream['\"`]|\bstream (?:mode|parameter|field|must|should)|\bstream ?[:=]")


def sent_with(error: Exception) -> dict[str, Any] | None:
    """Return the body of the request that an error answers, None where it is unknown."""
    request = getattr(error, "request", None)
    try:
        body = json.loads(request.content) if request is not None else None
    except (ValueError, AttributeError, RuntimeError):
        return None
    return body if isinstance(body, dict) else None


def refused_fields(error: Exception, message: str) -> list[str]:
    """Return the fields of a request that the message of its refusal names, in its order.

    A message that only mentions a field, without a word of refusal, names none.
    """
    text = message[:_MAX_CHARS].lower()
    if not _REFUSAL.search(text):
        return []
    body = sent_with(error)
    names = [name for name in (*_ASKED_FOR, *(_OURS if body is None else body)) if name not in _NEVER]
    places = {name: re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", text) for name in names}
    if not _STREAM_FIELD.search(text):  # the word has other uses
        places.pop("stream", None)
    found = {name: place.start() for name, place in places.items() if place}
    return sorted(found, key=found.__getitem__)


def parameter_advice(fields: Sequence[str], message: str) -> str:
    """Return how to change the fields that a server refuses, or to leave them out."""
    if {"temperature", "top_p"} <= set(fields):
        return "Leave one of them out: --top-p default, or --temperature default."
    return " ".join(_advice(field, message) for field in fields[:3])


def _advice(field: str, message: str) -> str:
    match field:
        case "temperature" | "top_p":
            option = f"--{field.replace('_', '-')}"
            if only := _THE_ONE_VALUE.search(message.lower()):
                return f"Use {option} {only[1]}, or leave it out: {option} default."
            return f"Leave it out with {option} default, or change it."
        case "seed":
            return "This server takes no such seed: leave --seed out, or change it."
        case "max_tokens" | "max_completion_tokens":
            other = "max_completion_tokens" if field == "max_tokens" else "max_tokens"
            return (
                f"Change --max-tokens, or send it under another name: --extra-body '{{\"{other}\": NUMBER}}'."
            )
        case "stream":
            # What it says is learned from, so it says so in spite of the field.
            return "What is between here and the model may change the field `stream`."
        case "enable_thinking":
            return "Switch its thinking off: --extra-body '{\"enable_thinking\": false}'."
        case "service_tier":
            return NO_TIER.advice
        case "reasoning_effort" | "thinking" | "chat_template_kwargs":
            return f"Change --thinking, or leave {field} out of --extra-body."
        case _:
            return f"Change {field} in --extra-body, or leave it out there."
