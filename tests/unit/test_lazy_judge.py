"""When one judgement decides (`--lazy-judge`). Whole runs: `tests/integration/test_lazy_judge.py`."""

from itertools import product
from typing import get_args

import pytest

from nodes.decision import DecisionView, decide, settled
from nodes.settings import VerdictForm
from nodes.verdict.reading import read_verdict
from nodes.views import Judgment

UNREADABLE = "Both have their merits."
SCORES = [f"{half / 2:g}" for half in range(2, 21)]
REPLIES: dict[VerdictForm, list[str]] = {
    "compare": ["assistant 1", "assistant 2", "equal", UNREADABLE],
    "score": [*(f"{one} {other}" for one, other in product(SCORES, repeat=2)), UNREADABLE],
}
"""All replies that count; scores from 1 to 10 in steps of a half."""

FORMS: tuple[VerdictForm, ...] = get_args(VerdictForm)


def judgements(form: VerdictForm) -> list[Judgment]:
    return [Judgment(reply=reply, points=read_verdict(reply, form)) for reply in REPLIES[form]]


def decided(forward: Judgment, reverse: Judgment | None) -> tuple[str, int, str]:
    """Return the response that is left, the number of the next round, and why the loop would end here."""
    state = DecisionView(
        id="a",
        exchange=0,
        round=1,
        system="",
        instruction="ask",
        input="",
        response="old",
        suggestions="do better",
        draft="new",
        forward=forward,
        reversed=reverse,
        rounds=[],
    )
    update = decide(state)
    return update.get("response", "old"), update.get("round", 1), update["ending"]


@pytest.mark.parametrize("form", FORMS)
def test_one_judgement_decides_exactly_where_no_second_one_changes_anything(
    form: VerdictForm,
) -> None:
    alone = []
    for forward in judgements(form):
        possible = {decided(forward, reverse) for reverse in judgements(form)}
        assert settled(forward, form) == (len(possible) == 1)
        if settled(forward, form):
            assert possible == {decided(forward, None)}
            alone.append(forward["reply"])
    assert alone == (["assistant 1"] if form == "compare" else ["10 1"])
