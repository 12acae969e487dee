"""Conversations as lists of texts, without roles: one list in turn, or one of requests and one of responses.

Sources: ERNIEKit, "Data formats" (`src`, `tgt` and `label`); the cards of preference data sets.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

from samples.marks import is_marked
from samples.nested import turns_in_texts
from samples.preferences import SIDES, is_ranked, several_message
from samples.sample import DataError
from samples.turns import Turn, turns_in


def is_texts(value: Any) -> TypeGuard[list[str]]:
    """Return whether a value is a list of texts, with one at least, that are not turns as JSON."""
    are_texts = isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    return are_texts and turns_in_texts(value) is None


def turns_by_texts(record: Mapping[str, Any], request: str, response: str, marks: str = "") -> list[Turn]:
    """Return the turns of a record that has its requests in one list and their responses in another; empty if
    it has not. A list in the field `marks` may say which are learned from, as ERNIEKit's `label` does.
    """
    requests, answers, weights = (record.get(name) for name in (request, response, marks))
    if not (is_texts(requests) and is_texts(answers) and len(requests) == len(answers)):
        return []
    if not (isinstance(weights, list) and len(weights) == len(answers)):
        weights = [1] * len(answers)
    turns = []
    for n, (asked, answer) in enumerate(zip(requests, answers, strict=True)):
        source = {"content": answer} if weights[n] == 1 else {"content": answer, "weight": weights[n]}
        turns.append(Turn("user", request, asked, None, (request, n)))
        place = (response, n)
        turns.append(Turn("assistant", response, answer, None, place, is_marked(source), source=source))
    return turns


def are_several(texts: list[str], request: str) -> bool:
    """Return whether texts on one side of a preference record may be several responses to its request."""
    if len(texts) == 1:
        return False
    return len(texts) % 2 > 0 or (bool(request.strip()) and texts[0].strip() != request.strip())


def texts_in_turn(texts: list[str], field: str, side: str, request: str) -> list[Turn]:
    """Return the turns of one side of a preference record that is a list of texts.

    They are requests and responses in turn, of which the first may be the record's own request again.

    Raises:
        DataError: they may be several responses to the request.
    """
    if are_several(texts, request):
        if not is_ranked(texts):
            raise DataError(several_message([field]))
        # Skipped; earlier versions worked on one of them.
        return [Turn("assistant", "assistant", texts[SIDES.index(side)], None, (field, SIDES.index(side)))]
    if len(texts) == 1:
        return [Turn("assistant", "assistant", texts[0], None, (field, 0))]
    return turns_in(texts, field)[bool(request.strip()) :]
