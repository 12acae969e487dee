"""What cannot be recorded fails alone, and nothing else of the ledger is lost."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from ledger.ledger import Ledger, Result, Unwritable
from ledger.writer import Writer
from models.call import CallRecord, Message
from samples.formats import make_sample
from tests.gateways import call
from tests.hostile import nested

LONG = "This text is long enough to be stored once, and to be referred to. "


def made(number: int, **changes: Any) -> CallRecord:
    messages = [Message(role="user", content=f"{LONG} {number}")]
    one = CallRecord(call(number), "request", "model", messages, LONG, "stop", 1, 1, None, 0.0, 0.0, 1)
    return replace(one, **changes)


async def test_an_entry_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger.sqlite")
    record = {"instruction": LONG, "output": "b", "meta": eval(nested(80)), "n": 1}
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    result = Result("evolve", "done", None, 0, 1, 1, 1, 0, [], 0.0)
    sample = make_sample(0, "a", record, "alpaca")
    unwritable = make_sample(1, "b", {**record, "meta": deep}, "alpaca")
    async with Writer(ledger) as writer:
        found = await asyncio.gather(
            writer.add_call(made(1)),
            writer.add_call(made(2, input_tokens=2**70)),
            writer.add_result(unwritable, result),
            writer.add_call(made(3)),
            writer.add_result(sample, result),
            return_exceptions=True,
        )
        await writer.add_call(made(4))
    assert [type(each) for each in found] == [type(None), Unwritable, Unwritable, type(None), type(None)]
    assert str(found[1]).startswith("it cannot be recorded: OverflowError: ")
    assert [row["sample"] for row in ledger.all_calls()] == ["s1", "s3", "s4"]
    assert {row["messages"][0]["content"][:-2] for row in ledger.all_calls()} == {LONG}
    assert [(kept.id, kept.record) for kept, _ in ledger.samples()] == [("a", record)]


async def test_of_several_additions_those_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger.sqlite")
    async with Writer(ledger) as writer:
        failed = await writer.add_all([made(1), made(2, input_tokens=2**70), made(3)])
        assert not await writer.add_all([made(4)])
    assert list(failed) == [1] and "OverflowError" in str(failed[1])
    assert [row["sample"] for row in ledger.all_calls()] == ["s1", "s3", "s4"]
