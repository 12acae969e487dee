"""The pairs of results that two sides have for the same samples."""

from pathlib import Path

from ledger.ledger import Ledger, Result
from ledger.writer import Writer
from reporting.comparison import Comparison
from reporting.result_pairs import ModeResults
from samples.formats import make_sample

TURNS = [("human", "One?"), ("gpt", "1"), ("human", "Two?"), ("gpt", "2")]


async def side(file: Path, **responses: str) -> ModeResults:
    """Return a result of these exchanges of one conversation."""
    ledger = Ledger.create(file)
    record = {"conversations": [{"from": who, "value": text} for who, text in TURNS]}
    outcome = [
        {"exchange": number, "original": str(number + 1), "response": responses[name], "ending": "max_rounds"}
        | {"accepted_rounds": 1, "rounds": []}
        for number, name in enumerate(("first", "second"))
        if name in responses
    ]
    async with Writer(ledger) as writer:
        result = Result("evolve", "done", None, 1, len(outcome), 1, 1, 0, outcome, 0.0)
        await writer.add_result(make_sample(0, "talk", record, "sharegpt"), result)
    return ModeResults(ledger, "evolve", "data")


async def test_responses_of_the_same_exchange_are_compared(tmp_path: Path) -> None:
    both = await side(tmp_path / "both.sqlite", first="1", second="New.")
    second = await side(tmp_path / "second.sqlite", second="New.")
    other = await side(tmp_path / "other.sqlite", first="New.")
    assert Comparison(both, second).kinds["differ"] == Comparison(second, both).kinds["differ"] == 0
    assert Comparison(both, other).kinds["differ"] == Comparison(second, other).kinds["differ"] == 1
