"""Marks, on turns or next to all of them, that say whether a response is to be learned from.

They have the names that trainers give them.

Sources: OpenAI, "Fine-tuning" (`weight`); LLaMA-Factory, `data/README.md` (`loss_weight`); ms-swift, "Custom
dataset" (`loss`, `loss_scale`); Axolotl, "Chat template" (`train`, `train_detail`).
"""

import math
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

from samples.fields import LONGEST_NAME, words, words_of
from samples.nested import unpack
from samples.thoughts import thought_part
from samples.turn_names import names_of

_MARKS = ("weight", "loss_weight", "loss_scale", "loss", "train", "training", "trainable")
"""Fields that say whether a turn is learned from: OpenAI's, LLaMA-Factory's, ms-swift's, Axolotl's."""

_SAYS_TRAIN = words("train training trainable trained loss weight weights learn learnable learned supervised")
_MASK = words("mask masks")
_SAYS_NOT = _MASK | words("masked ignore ignored exclude excluded skip no not without")
_AROUND = words(
    "on turn message is should do for compute calculate use in scale this to be from mask masks of"
)
_AROUND_LOSS = words("with output response answer assistant")
"""Words of other names of such fields, as in `train_on_turn` and `is_masked`; and next to "loss" or "train",
as in `output_with_loss`."""

_WEIGHTS = ("loss_weight", "weight", "loss_scale")
"""Those that may be any number."""


def is_marked(turn: Mapping[str, Any]) -> bool:
    """Return whether a turn, or a part of its text, is marked as not to be learned from."""
    return _has_mark(turn) or any(map(_has_mark, _text_parts(turn))) or _has_masked_detail(turn)


def marks_next_to(
    fields: Mapping[str, Any], known: Container[str], roles: Sequence[str | None]
) -> dict[str, set[int]]:
    """Return which responses the fields next to all turns mark as not to be learned from, by the field.

    Responses are positions among turns of these roles. A field has one value for all, or a list with one for
    each turn or each response; `known` fields are no marks.
    """
    found: dict[str, set[int]] = {}
    for name, value in fields.items():
        if name in known or not is_mark_name(name):
            continue
        responses = [n for n, role in enumerate(roles) if role == "assistant"]
        if isinstance(value, list):
            spoken = [n for n, role in enumerate(roles) if role != "system"]
            places = next((at for at in (range(len(roles)), spoken, responses) if len(at) == len(value)), ())
            marked = {n for n, each in zip(places, value, strict=False) if _has_mark({name: each})}
            if places:
                found[name] = marked.intersection(responses)
        elif _has_mark({name: value}) and (name != "loss" or value is False):  # which else is a measure
            found[name] = {*responses}
    return found


def is_mark_name(name: str) -> bool:
    """Return whether a field of this name may say what is learned from."""
    return name in _MARKS or (len(name) <= LONGEST_NAME and _kind_of_mark(name) is not None)


def _has_mark(fields: Mapping[str, Any]) -> bool:
    return has_known_mark(fields) or any(_is_other_mark(name, value) for name, value in fields.items())


def has_known_mark(fields: Mapping[str, Any]) -> bool:
    """Return whether a field of a name that trainers document marks a turn as not to be learned from."""
    return any(name in fields and _is_zero(fields[name]) for name in _MARKS)


def _is_other_mark(name: str, value: Any) -> bool:
    if not isinstance(value, str | int | float):
        return False
    said = str(value).strip().lower()
    if isinstance(value, str) and said not in ("true", "false", "yes", "no", "0", "1"):
        return False
    kind = _kind_of_mark(name) if len(name) <= LONGEST_NAME else None
    if kind == "not":
        return said in ("true", "yes")  # a number may be anything
    return kind == "train" and (said == "no" or _is_zero(value))


@lru_cache(1024)
def _kind_of_mark(name: str) -> str | None:
    """Return whether a field of this name says that a turn is learned from ("train"), or is not ("not")."""
    named = set(words_of(name))
    around = _AROUND if named.isdisjoint(("loss", "train")) else _AROUND | _AROUND_LOSS
    if not named or not named <= _SAYS_TRAIN | _SAYS_NOT | around:
        return None
    trains, denies = bool(named & _SAYS_TRAIN), bool(named & _SAYS_NOT)
    if trains and named & _SAYS_NOT <= _MASK:  # a mask of the loss is 0 where nothing is learned
        return "train"
    return "not" if denies else None


def _has_masked_detail(turn: Mapping[str, Any]) -> bool:
    """Return whether Axolotl's marks by positions in the text leave out a part of it."""
    parts = (unpack(turn.get("train_detail")) or ([], None))[0]
    return any(isinstance(part, dict) and _has_mark(part) for part in parts)


def _text_parts(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = turn.get(names_of(turn)[1])
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, dict) and not thought_part(part)]


def weight_of(turn: Mapping[str, Any]) -> float:
    """Return how much is learned from a turn; 1 unless it says otherwise."""
    if is_marked(turn):
        return 0
    for name in _WEIGHTS:
        value = turn.get(name)
        if isinstance(value, int | float) and 0 < value < math.inf:
            return float(value)
    return 1


def _is_zero(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("0", "0.0", "false")
    return isinstance(value, bool | int | float) and value == 0
