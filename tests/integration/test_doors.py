"""What charts of a run lead to: filters find the samples that the charts count."""

from pathlib import Path

from ledger import browse
from ledger.browse import Filter, compared_orders, has_orders
from reporting import chart_data
from reporting.run import open_run
from reporting.snapshot import snapshot
from tests.conftest import look
from tests.program import DATA


def test_filters_find_what_charts_count(tmp_path: Path) -> None:
    look(
        "evolve", DATA / "alpaca_en_40.json", "-o", "run", "--rehearsal-wins", 0.6, "--stop", 25, cwd=tmp_path
    )
    run = open_run(tmp_path / "run")
    counted = snapshot(run)
    assert counted.part == {"start": 0, "stop": 25}
    assert sum(counted.part_results.values()) == 25
    old, new = counted.lengths["evolve"]
    for name, before, after in zip(chart_data.classes(), old, new, strict=True):
        of = chart_data.token_range(name)
        assert browse.count(run.ledger, Filter(mode="evolve", old_length=of)) == before
        assert browse.count(run.ledger, Filter(mode="evolve", new_length=of)) == after

    judging = counted.statistics.modes["evolve"].judging
    assert judging
    outcomes = [results["evolve"].outcome[0] for _, results in run.ledger.samples()]
    rounds = [compared_orders(each) for outcome in outcomes for each in outcome["rounds"]]
    for field in ("agreed", "one_tie", "favoured_first", "favoured_second", "one_unreadable"):
        assert rounds.count(field) == getattr(judging, field)
        search = browse.search(run.ledger, Filter(orders=field), "position", down=False)
        assert len(search.find(100, patience=60)) == sum(has_orders(each, field) for each in outcomes)
    assert judging.contradicted

    ending = outcomes[0]["ending"]
    search = browse.search(run.ledger, Filter(ending=ending), "position", down=False)
    assert len(search.find(100, patience=60)) == sum(each["ending"] == ending for each in outcomes)
    # Another command works on other records, or on all.
    look(
        "evolve",
        DATA / "alpaca_en_40.json",
        "-o",
        "run",
        "--rehearsal-wins",
        0.6,
        "--start",
        30,
        cwd=tmp_path,
    )
    counted = snapshot(run)
    assert (counted.part, sum(counted.part_results.values())) == ({"start": 30, "stop": 40}, 10)
    look("evolve", DATA / "alpaca_en_40.json", "-o", "run", "--rehearsal-wins", 0.6, cwd=tmp_path)
    counted = snapshot(run)
    assert (counted.part, sum(counted.part_results.values())) == (None, 40)
