"""Conversations of which a part stays as it is: the rest is worked on, with all of it as history."""

import json
from pathlib import Path
from typing import Any

import pytest

import coevol
from ledger.ledger import Ledger
from tests.conftest import look
from tests.program import write


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


CALL = answer("", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
RESULT = {"role": "tool", "content": "17", "tool_call_id": "1"}


@pytest.mark.parametrize(
    ("messages", "worked_on"),
    [
        ([user("One?"), answer("A wrong one.", weight=0), user("No."), answer("Four.", weight=1)], [1]),
        ([answer("A rest."), user("One?"), answer("1."), user("Two?"), answer("2.")], [0, 1]),
        ([user("One?"), answer("1."), answer("Or I."), user("Two?"), answer("2.")], [1]),
        (
            [
                user("One?"),
                answer("1."),
                user("Look."),
                CALL,
                RESULT,
                answer("17."),
                user("Two?"),
                answer("2."),
            ],
            [0, 2],
        ),
    ],
)
def test_only_what_can_be_worked_on_is(tmp_path: Path, messages: list[Any], worked_on: list[int]) -> None:
    data = write(tmp_path / "data.json", [{"messages": messages}])
    run = coevol.run(data, tmp_path / "run", coevol.Settings(model="rehearsal", max_rounds=1), modes=["edit"])
    ledger = Ledger.open(tmp_path / "run" / "ledger.sqlite")
    calls = list(ledger.all_calls())
    assert [call["exchange"] for call in calls] == worked_on
    assert [row["exchange"] for row in run.exchanges()] == worked_on
    # What stays as it is belongs to the history of what comes after it.
    seen = json.dumps(calls[-1]["messages"])
    assert all(text in seen for text in [each["content"] for each in messages if each["role"] == "user"][-2:])
    look("export", "run", "-o", "out.json", cwd=tmp_path)
    (record,) = json.loads((tmp_path / "out.json").read_text("utf-8"))
    changed = [new for new, old in zip(record["messages"], messages, strict=True) if new != old]
    assert len(changed) == len(worked_on)
