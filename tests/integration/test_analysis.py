"""A run in a notebook: rows that data frames take, and numbers that agree with `coevol stats`."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas
import polars
import pyarrow
import pytest

from coevol import load_run
from ledger.decisions import decide
from ledger.ledger import Ledger, LedgerError
from tests.conftest import FAILING
from tests.program import EXAMPLES


def test_rows_agree_with_the_statistics(modes_run: Path) -> None:
    run = load_run(modes_run)
    stats = run.stats()
    samples = pandas.DataFrame(run.samples())
    assert dict(samples.groupby("mode").size()) == {"edit": 12, "evolve": 12}
    rounds = pandas.DataFrame(run.rounds())
    judged = rounds[rounds["mode"] == "evolve"]
    judging = stats["modes"]["evolve"]["judging"]
    assert len(judged) == judging["rounds"]
    assert (
        judged.accepted.sum()
        == judging["accepted"]
        == samples[samples["mode"] == "evolve"].accepted_rounds.sum()
    )
    assert judged.favoured_position.notna().sum() == judging["contradicted"]
    won = judged[judged.accepted]
    assert (won.points_draft > won.points_current).all()
    both = judged.dropna(subset=["forward_draft", "reversed_draft"])
    assert ((both.forward_draft + both.reversed_draft) / 2 == both.points_draft).all()
    exchanges = pandas.DataFrame(run.exchanges())
    changed = exchanges[(exchanges["mode"] == "evolve") & (exchanges.original != exchanges.response)]
    assert len(changed) == stats["modes"]["evolve"]["changed"]
    calls = pandas.DataFrame(run.calls())
    assert len(calls) == stats["calls"]["total"]["calls"]
    assert calls.output_tokens.sum() == stats["calls"]["total"]["output_tokens"]
    assert list(calls.number) == sorted(calls.number)


def test_failed_and_skipped_samples_say_why(failing_run: Path) -> None:
    run = load_run(str(failing_run))
    assert repr(run) == "<run of 3 records, modes evolve>"
    rows = {row["sample"]: row for row in run.samples()}
    assert [row["status"] for row in rows.values()] == ["failed", "skipped", "done"]
    assert rows["tool"]["mode"] == ""
    first, failed, last = (row for row in run.exchanges() if row["sample"] == "middle")
    assert [row["instruction"] for row in (first, failed, last)] == [
        turn["value"] for turn in FAILING[0]["conversations"][::2]
    ]
    assert failed["ending"] == "failed"
    assert failed["failure"]
    assert first["failure"] is last["failure"] is None
    sent = [call for call in run.calls() if call["sample"] == "middle" and call["failure"]]
    assert all("withheld" in str(call["messages"]) for call in sent)
    assert sent


@pytest.mark.parametrize("kind", ["samples", "exchanges", "rounds", "decisions", "calls"])
def test_data_frames_accept_rows_whose_first_ones_lack_values(
    failing_run: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(failing_run, tmp_path / "run")
    ledger = Ledger.open(tmp_path / "run" / "ledger.sqlite")
    sample, results = next(ledger.samples())
    decide(ledger, sample.position, results["evolve"], 0, "half a pair: \ud800", "\udfff")
    rows = getattr(load_run(tmp_path / "run"), kind)()
    expected = list(rows)
    assert expected == list(rows)
    frame = polars.DataFrame(rows)
    assert frame.to_dicts() == expected
    assert all(list(row) == frame.columns for row in expected)
    assert polars.Null not in frame.dtypes
    assert len(pandas.DataFrame(rows)) == len(pandas.DataFrame.from_arrow(rows)) == len(expected)


def test_types_are_those_of_late_rows_too(modes_run: Path, tmp_path: Path) -> None:
    shutil.copytree(modes_run, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as ledger:
        ledger.execute("UPDATE calls SET failure = 'rate limit', code = '429' WHERE number > 100")
        ledger.commit()
    calls = polars.DataFrame(load_run(tmp_path / "run").calls())
    assert calls["failure"].null_count() == 100
    assert calls["shortened_to"].dtype == polars.Int64
    assert pyarrow.table(load_run(tmp_path / "run").calls()).num_rows == len(calls) > 200


def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is not a run"):
        load_run(tmp_path)


def test_the_example_analyses_a_run(modes_run: Path) -> None:
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "analysis.py", modes_run],
        cwd=EXAMPLES.parent, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    for words in (
        "accepted_rounds",
        "judged rounds contradict themselves",
        "judge_forward",
        "cost_usd",
        "len",
    ):
        assert words in ended.stdout


def test_the_command_line_does_not_import_it() -> None:
    code = "import runners.cli, sys; sys.exit('reporting.recorded_run' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES.parent, check=True)
