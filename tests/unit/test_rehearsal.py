"""The provider that plays all roles by rules."""

import pytest

from models.providers.rehearsal import RehearsalModel

MARK = " [rehearsed 1×: a model would have revised this]"


def verdict(model: RehearsalModel, first: str, second: str) -> str:
    prompt = "\n".join(f"<response-{n}>\n{text}\n</response-{n}>" for n, text in ((1, first), (2, second)))
    return model.reply(prompt, "verdict", "judge").splitlines()[0]


@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize(
    ("response", "edited"),
    [("Seven.", "Seven is prime."), ("A prime: 5", "A prime: 11")],
)
def test_a_draft_that_a_person_edited_wins_in_both_orders(response: str, edited: str, mark: str) -> None:
    model = RehearsalModel(wins=1.0)
    response, edited = response + mark, edited + mark
    assert verdict(model, response, edited) == "assistant 2"
    assert verdict(model, edited, response) == "assistant 1"


def test_the_one_that_was_rehearsed_more_often_is_the_draft() -> None:
    model = RehearsalModel(wins=1.0)
    response, draft = (
        "A response that is much longer than the draft, for whatever reason it has.",
        "Seven." + MARK,
    )
    assert verdict(model, response, draft) == "assistant 2"
    assert verdict(model, draft, response) == "assistant 1"


def test_both_orders_take_the_same_response_for_the_draft() -> None:
    model = RehearsalModel(wins=1.0)
    for one, other in (("Seven.", "Eleven"), ("A prime: 5", "A prime: 7"), ("Seven" + MARK, "Three" + MARK)):
        assert {verdict(model, one, other), verdict(model, other, one)} == {"assistant 1", "assistant 2"}
