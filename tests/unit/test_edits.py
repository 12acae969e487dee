"""What a person may put into the state of a graph."""

import pytest

from graph.edits import complaints_of_edit
from graph.state import ConversationState, ExchangeState
from nodes.views import Judgment

STATES = {False: ExchangeState, True: ConversationState}
FIELDS = [
    (conversation, field)
    for conversation, state in STATES.items()
    for field in state.__annotations__
    if (conversation, field) != (True, "instruction")  # of a record that is refused for having it
]


@pytest.mark.parametrize(("conversation", "field"), FIELDS)
def test_every_field_refuses_what_is_of_another_form(conversation: bool, field: str) -> None:
    for wrong in (5.5, {"x": 1}, [[5]]):
        (says,) = complaints_of_edit({field: wrong}, conversation=conversation)
        assert f"`{field}" in says
    (says,) = complaints_of_edit({f"{field}x": 5}, conversation=conversation)
    assert f"'{field}x' is not a field of the state; did you mean" in says
    # In place of the record, null is as good as absent.
    assert list(complaints_of_edit({field: None}, conversation=conversation, as_input=True)) == []


def test_what_a_state_may_hold_is_accepted() -> None:
    judgment = Judgment(reply="", points=None, panel={"one": Judgment(reply="equal", points=[0.5, 0.5])})
    round_1 = {"round": 1, "suggestions": None, "draft": "A.", "forward": judgment, "reversed": None}
    round_1 |= {"points": None, "accepted": False, "guard": "loop", "remark": "x"}
    cleared = ("positive_memory", "critical_memory", "positive_weighed", "critical_weighed", "reference")
    state = {"rounds": [round_1], "forward": judgment, "reversed": None, "agrees": None, "ending": None}
    state |= {"output": None, "conversations": [], "history": None, **dict.fromkeys(cleared)}
    assert list(complaints_of_edit(state, conversation=False)) == []
    turn = {"request": "A?", "response": "B.", "fixed": True}
    outer = {
        "turns": [turn],
        "results": [],
        "exchange": 1,
        "ended": True,
        "messages": None,
        "references": [[]],
    }
    assert list(complaints_of_edit(outer, conversation=True)) == []


@pytest.mark.parametrize("edit", [{"reply": "equal"}, {"reply": "equal", "points": [1, 0]}])
def test_a_judgment_may_be_its_reply(edit: object) -> None:
    assert list(complaints_of_edit({"forward": edit}, conversation=False)) == []


def test_a_field_of_an_exchange_is_not_one_of_the_conversation() -> None:
    (says,) = complaints_of_edit({"draft": "A."}, conversation=True)
    assert "edit inside `exchange_graph`" in says
