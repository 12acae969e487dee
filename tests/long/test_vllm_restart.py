"""A vLLM replica that is restarted during a run, which takes minutes."""

import json
import signal
import time
from pathlib import Path

import pytest

from ledger.ledger import Ledger
from tests.program import DATA, start
from tests.vllm_server import VllmServer

pytestmark = pytest.mark.long

ENDING = ("--extra-body", json.dumps({"min_tokens": 12, "logit_bias": {"1": 100}}))
"""Makes the tiny model end each reply after twelve tokens: its token 1 is the end."""


def test_a_restarted_replica_gets_work_again(
    vllm_servers: tuple[VllmServer, VllmServer], tmp_path: Path
) -> None:
    first, second = vllm_servers
    second.stop()
    second.start()
    words = ("evolve", DATA / "alpaca_en_40.json", "-o", "run", "--model", "vllm:tiny", *ENDING)
    two = ("--base-url", first.base_url, "--base-url", second.base_url)
    run = start(*words, *two, "--max-tokens", 64, "--concurrency", 4, cwd=tmp_path)
    second.wait()
    while second.replies() < 10:
        assert run.poll() is None, "the run ended before the replica got any work"
        time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 3, err
    finished = [
        result
        for _, by_mode in Ledger.open(tmp_path / "run" / "ledger.sqlite").samples()
        for result in by_mode.values()
    ]
    assert {result.status for result in finished} == {"done"}
