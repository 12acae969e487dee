"""What a run writes down of its workers."""

from pathlib import Path

import pytest

from reporting import workers
from reporting.workers import AtWork


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_it_is_as_private_as_the_ledger(mode: int, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").touch()
    (tmp_path / "ledger.sqlite").chmod(mode)
    left = tmp_path / f"{workers.FILE}.new"  # by a run that was killed
    left.touch(0o666)
    workers.write(tmp_path, [AtWork("worker 1 on node", 2, 1, 0)])
    assert (tmp_path / workers.FILE).stat().st_mode & 0o777 == mode
    assert workers.read(tmp_path)[0].name == "worker 1 on node" and not left.exists()


def test_many_workers_fit_on_a_line() -> None:
    few = [AtWork(f"worker {n} on node1", n, 1, 0) for n in range(1, 3)]
    assert workers.line(few) == (
        "2 workers: worker 1 on node1 has 1 sample, 1 in flight; worker 2 on node1 has 2 samples, 1 in flight"
    )
    many = [AtWork(f"worker {n} on node{n % 3}", 8 + n % 2, 7, 0) for n in range(1, 21)]
    assert workers.line(many) == "20 workers on 3 nodes: 8 to 9 samples each, 140 calls in flight"
    assert len(workers.lines(many)) == 20
