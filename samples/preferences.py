"""Preference records: where their better and worse responses are, and how records are labeled as good or bad.

Sources: TRL, "Dataset formats and types"; LLaMA-Factory, `data/README.md` (a list of two outputs, and
`chosen_messages`, in its other versions); ms-swift, "Custom dataset" (`rejected_response`,
`rejected_messages`); OpenAI, "Direct preference optimization" (`preferred_output`, with the request in
`input`); the cards of Anthropic's hh-rlhf and of UltraFeedback.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from samples.fields import brief, is_empty, is_missing, words_of

Side = Literal["chosen", "rejected"]
"""The response of a preference record that is worked on."""
SIDES: tuple[Side, ...] = get_args(Side)

REJECTED = (
    *("rejected_response", "rejected_messages"),
    *("rejected", "rejected_completion", "rejected_output", "rejected_answer"),
)
"""Fields for a worse response than that of the conversation next to it, or for the conversation with it."""

_CHOSEN = (
    *("chosen", "chosen_response", "response_chosen", "chosen_messages", "chosen_conversations"),
    *("chosen_completion", "chosen_output", "chosen_answer"),
)
_SIDES: tuple[dict[str, str], ...] = (
    *({"chosen": name, "rejected": name.replace("chosen", "rejected")} for name in _CHOSEN),
    {"chosen": "preferred_output", "rejected": "non_preferred_output"},
)
"""Fields for the better and the worse response."""

LABELS = ("label", "kto_tag")
_TRUTH = {"true": True, "false": False}
_NUMBERS = {"1": True, "0": False, "1.0": True, "0.0": False}
_FLAGS = {*_TRUTH, *_NUMBERS, "yes", "no", "none"}
"""Texts that say whether something was rejected, and are no response."""

_SEVERAL = ("completions", "generations", "responses", "outputs", "candidates", "answers", "choices")
_LIKE_RESPONSE = frozenset({"response", "answer", "output", "completion", "generation", "reply", "ref"})


def other_of(side: str) -> Side:
    """Return the other side."""
    return "rejected" if side == "chosen" else "chosen"


def side_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of both sides; empty if a record has no two such fields."""
    for fields in _SIDES:
        if not any(is_missing(record.get(field)) for field in fields.values()):
            return {**fields}
    return {}


def lacks_side(record: Mapping[str, Any], side: Side) -> bool:
    """Return whether a preference record has nothing on one side, and something on the other."""
    other = other_of(side)
    for fields in _SIDES:
        mine, theirs = fields[side], fields[other]
        if mine in record and theirs in record:
            return _is_blank(record[mine]) and not _is_blank(record[theirs])
    found = [record[name] for name in REJECTED if name in record]
    return side == "rejected" and bool(found) and all(map(_is_blank, found))


def _is_blank(value: Any) -> bool:
    """Return whether a response, or the last turn of a conversation, says nothing."""
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    if isinstance(value, dict) and value:
        if value.get("tool_calls") or value.get("function_call"):
            return False
        value = next((value[name] for name in ("content", "value", "text") if name in value), value)
    return is_empty(value)


def names_sides(record: Mapping[str, Any]) -> bool:
    """Return whether a record has fields for both sides, with or without values."""
    return any(set(fields.values()) <= record.keys() for fields in _SIDES)


def rejected_field(record: Mapping[str, Any]) -> str:
    """Return the field with a worse response than the record's own; empty if it has none."""
    return next((name for name in REJECTED if _is_response(name, record.get(name))), "")


def _is_response(name: str, value: Any) -> bool:
    """Return whether a field's value may be a response. That of `rejected` may say whether one was rejected;
    other names leave no doubt, and "0" or "no" is a response too."""
    if name != "rejected":
        return not is_missing(value)
    if isinstance(value, str):
        return value.strip().lower() not in _FLAGS
    return isinstance(value, list | dict)


def is_ranked(value: Any) -> bool:
    """Return whether a value is a list of a better and a worse response."""
    return (
        isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, str) for each in value)
    )


def is_of_side(name: str, side: str) -> bool:
    """Return whether a field speaks of one side alone, such as `score_rejected`."""
    if any(fields[side] == name for fields in _SIDES):
        return True
    named = words_of(name)
    return side in named and other_of(side) not in named


def label_of(record: Mapping[str, Any]) -> bool | None:
    """Return whether a record is labeled as good; None if it has no such label."""
    texts = [str(record[name]).strip().lower() for name in LABELS if name in record]
    found = (_TRUTH.get(text, _NUMBERS.get(text)) for text in texts)
    return next((label for label in found if label is not None), None)


def other_label(record: Mapping[str, Any]) -> str:
    """Say which label of a record is not true or false; empty if it has none."""
    for name in LABELS:
        if not is_missing(value := record.get(name)):
            return f'found {brief(str(value))!r} in "{name}", which has to be true or false, or 1 or 0'
    return ""


def label_field(record: Mapping[str, Any], layout: str) -> str:
    """Return the field that labels a record as good or bad; empty if none is sure to.

    A number in `label` may be a class of anything, except in the layout of KTO.
    """
    for name in LABELS:
        text = str(record.get(name)).strip().lower()
        if text in _TRUTH or (text in _NUMBERS and (name == "kto_tag" or layout == "prompt-completion")):
            return name
    return ""


def several_responses(record: Mapping[str, Any]) -> list[str]:
    """Return the fields with several responses to one request: one list, or fields that are numbered."""
    for name, value in record.items():
        if (name in _SEVERAL or name in _LIKE_RESPONSE) and isinstance(value, list):
            # Of turns it would be one response.
            are_objects = bool(value) and all(
                isinstance(each, dict) and not {"role", "from"} & each.keys() for each in value
            )
            if are_objects or (len(value) > 1 and all(isinstance(each, str) for each in value)):
                return [name]
    named = [
        name
        for name, value in record.items()
        if isinstance(value, str)
        and (found := re.fullmatch(r"(.{1,40})_?(?:[0-9]|(?<=_)[abAB])", name))
        and not _LIKE_RESPONSE.isdisjoint(words_of(found[1]))
    ]
    return named if len(named) > 1 else []


def several_message(fields: list[str]) -> str:
    """Say how several responses in these fields may be worked on."""
    named = ", ".join(map(brief, fields[:4]))
    alone = f"; or name one with --columns request=…,response={brief(fields[0])}" if len(fields) > 1 else ""
    return (
        f'several responses to one request ({named}): put the better one into "chosen" and a worse one into '
        f'"rejected", or one of them into "response"{alone}'
    )
