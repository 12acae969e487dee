"""A run that is killed 30 times."""

from pathlib import Path

import pytest

from tests.disturbed import kill_at_random, slow_server

pytestmark = pytest.mark.long


def test_a_run_killed_again_and_again_loses_only_calls_in_flight(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with slow_server(monkeypatch) as server:
        kill_at_random(30, 300, server, tmp_path)
