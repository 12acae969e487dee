"""Whole runs over every provider's protocol, with many calls."""

import json
from pathlib import Path

import pytest

from models.settings import Provider
from tests.integration.test_providers import ALPACA, Evolve, every_provider, evolve, survives_failures

__all__ = ["evolve"]

pytestmark = pytest.mark.long


@every_provider
def test_three_calls_in_ten_may_fail(provider: Provider, evolve: Evolve, tmp_path: Path) -> None:
    records = json.loads(ALPACA.read_text("utf-8"))
    data = tmp_path / "data.json"
    data.write_text(
        json.dumps(
            [
                {**record, "instruction": f"{record['instruction']} (variant {n})"}
                for n in range(5)
                for record in records
            ]
        )
    )
    survives_failures(provider, evolve, 200, data=data, max_rounds=3)
