"""Ledgers of older versions of the program: upgraded completely, or left unchanged."""

import json
import shutil
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from ledger.tables import VERSION
from runners.api import load_run
from standin import Fault, StandIn
from standin.frames import THOUGHTS
from tests.conftest import look, remount
from tests.program import DATA, EXAMPLES, start

RECORD = {
    "id": "fruit",
    "instruction": "Name a fruit that grows on trees, and say where it comes from.",
    "input": "",
    "output": "The apple, which comes from the mountains of Central Asia.",
}
EVOLVE = ("evolve", "data.json", "-o", "run", "--mode", "edit")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of a run whose ledger has version 3."""
    (tmp_path / "data.json").write_text(json.dumps([RECORD]))
    look(*EVOLVE, cwd=tmp_path)
    for file in (tmp_path / "run").glob("ledger*"):
        file.unlink()
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((DATA / "ledger_3.sql").read_text(encoding="utf-8"))
    return tmp_path / "run"


def version(run: Path) -> int:
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def tables(ledger: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns of each table, view and index, and for each trigger nothing."""
    with closing(sqlite3.connect(ledger)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return {
            name: connection.execute(f"PRAGMA {'index_info' if kind == 'index' else 'table_xinfo'}({name})")
            .fetchall()
            for kind, name in names.fetchall()
        }  # fmt: skip


def test_an_older_ledger_is_upgraded_with_its_contents(old: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(old / "ledger.sqlite")
    assert version(old) == VERSION
    Ledger.create(tmp_path / "new.sqlite")
    assert tables(old / "ledger.sqlite") == tables(tmp_path / "new.sqlite")
    ((sample, results),) = ledger.samples()
    assert sample.record == RECORD
    (call,) = ledger.calls("fruit")
    assert call["reply"] == results["edit"].outcome[0]["response"]
    assert "Tian Shan" in call["reply"]
    # The run resumes and has nothing left to do.
    assert "1/1 samples" in look(*EVOLVE, cwd=tmp_path).stderr
    assert len(ledger.calls("fruit")) == 1
    look("export", "run", "-o", "out.json", cwd=tmp_path)
    assert "Tian Shan" in (tmp_path / "out.json").read_text()


def test_a_run_goes_on_without_settings_that_it_did_not_have(tmp_path: Path) -> None:
    """A run begun before there were guards has none, and its memory window did not count the prompt."""
    (tmp_path / "data.json").write_text(json.dumps([RECORD]))
    command = ("evolve", "data.json", "-o", "run", "--max-rounds=1")
    look(*command, "--guards=off", "--memory-window=2", cwd=tmp_path)
    file = tmp_path / "run" / "run.json"
    made = json.loads(file.read_text())
    del made["settings"]["guards"]
    made["settings"]["memory_window"] = 1
    file.write_text(json.dumps(made))
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as connection, connection:
        connection.execute("DELETE FROM results")
    again = look(*command, "--memory-window=1", cwd=tmp_path).stderr
    (last,) = (line for line in again.splitlines() if "8 from the ledger" in line)
    assert " 0 calls" in last
    assert json.loads(file.read_text()) == made
    for options in (("--memory-window=1", "--guards=on"), ("--memory-window=2",)):
        assert "made differently" in look(*command, *options, cwd=tmp_path, status=2).stderr


def test_several_processes_upgrade_at_once(old: Path, tmp_path: Path) -> None:
    processes = [start("stats", "run", cwd=tmp_path) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "1 of 1 finished" in out
    assert version(old) == VERSION


def test_an_upgrade_waits_for_a_writer_and_does_not_disturb_it(old: Path, tmp_path: Path) -> None:
    add = "INSERT INTO texts VALUES (?, NULL, 'from a program of the older version')"
    with closing(sqlite3.connect(old / "ledger.sqlite", check_same_thread=False)) as writer:
        writer.execute(add, (6,))
        waiting = threading.Timer(1, writer.commit)
        waiting.start()
        assert "1 of 1 finished" in look("stats", "run", cwd=tmp_path).stdout
        waiting.join()
        with writer:
            writer.execute(add, (7,))
    assert version(old) == VERSION
    assert Ledger.open(old / "ledger.sqlite").last_text_id() == 7


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old / "ledger.sqlite")) as connection:
        connection.execute("CREATE TABLE decided (by INTEGER)")  # the name of the upgrade's last view
    before = tables(old / "ledger.sqlite")
    message = look("stats", "run", cwd=tmp_path, status=2).stderr
    assert message.count("\n") == 1
    assert "table decided already exists" in message
    assert version(old) == 3
    assert tables(old / "ledger.sqlite") == before


def test_an_older_ledger_in_a_folder_that_is_read_only_is_refused(old: Path, disk: Path) -> None:
    remount(disk, "size=50m")
    shutil.copytree(old, disk / "run")
    remount(disk, "ro")
    message = look("stats", "run", cwd=disk, status=2).stderr
    assert message.count("\n") == 1
    assert "version 3" in message
    assert "read-only: make it writable, or look at a copy" in message
    remount(disk, "rw")
    assert "1 of 1 finished" in look("stats", "run", cwd=disk).stdout


# A run of version 7 over eight records, killed while `prime` was in progress and before `moon`. The model
# refused `withheld` (content filter) and `quince`, its draft for `zebra` was truncated, `tool` was skipped.

RUN_7 = DATA / "run_7"
FAILED = {"withheld": "content filter", "zebra": "truncated", "quince": "refused"}
# With the built-in pack of that version, which is `default` in the folder.
MODES_7 = ("--mode", "edit", "--mode", "evolve", "--max-rounds", 2, "--prompts", RUN_7 / "default")


@pytest.fixture
def run_7(tmp_path: Path) -> Path:
    """The folder of that run; its data is next to it."""
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(RUN_7 / "data.json", tmp_path)
    shutil.copy(RUN_7 / "run.json", run)
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((RUN_7 / "ledger.sql").read_text(encoding="utf-8"))
    return run


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        return connection.execute(query).fetchall()


FAILURES_OF_CALLS = "SELECT number, {} FROM calls WHERE failure IS NOT NULL ORDER BY number"
FAILURES_OF_RESULTS = "SELECT position, mode, {} FROM results WHERE status = 'failed' ORDER BY position, mode"


def test_kind_and_message_of_failures_are_split(run_7: Path, tmp_path: Path) -> None:
    before = [
        rows(run_7, FAILURES_OF_CALLS.format("failure")),
        rows(run_7, FAILURES_OF_RESULTS.format("reason")),
    ]
    skipped = "SELECT position, failure_kind, reason FROM results WHERE status = 'skipped'"
    ledger = Ledger.open(run_7 / "ledger.sqlite")
    assert version(run_7) == VERSION
    Ledger.create(tmp_path / "new.sqlite")
    assert tables(run_7 / "ledger.sqlite") == tables(tmp_path / "new.sqlite")
    after = [
        rows(run_7, FAILURES_OF_CALLS.format("failure_kind, failure")),
        rows(run_7, FAILURES_OF_RESULTS.format("failure_kind, reason")),
    ]
    for old, new in zip(before, after, strict=True):
        assert len(new) >= 6
        assert new == [(*key, *text.split(": ", 1)) for *key, text in old]
    assert rows(run_7, skipped) == [(2, None, "an empty request")]
    for sample, by_mode in ledger.samples():
        for result in by_mode.values():
            assert result.failure_kind == FAILED.get(sample.id)
            assert (result.status == "failed") == (sample.id in FAILED)
    messages = {
        sample.id: by_mode["evolve"].reason for sample, by_mode in ledger.samples() if sample.id in FAILED
    }
    assert messages["zebra"] == "the draft was cut off at the limit for replies\nRaise --max-tokens."
    assert "answered 400 (content_filter): The prompt was flagged" in str(messages["withheld"])
    assert "answered 400 (invalid_request_error): The request is not valid." in str(messages["quince"])


def test_a_run_of_version_7_resumes_and_repeats_no_recorded_call(
    run_7: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content(messages: Any) -> str:
        return json.dumps(messages, sort_keys=True)

    ledger = Ledger.open(run_7 / "ledger.sqlite")
    recorded = Counter(content(call["messages"]) for call in load_run(run_7).calls())
    finished = {sample.id: by_mode for sample, by_mode in ledger.samples()}
    with StandIn() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-4o-mini", *MODES_7)
        ended = look(*words, "--base-url", server.base_url("openai"), cwd=tmp_path, status=1)
        asked = Counter(content(chat.body["messages"]) for chat in server.chats())
    # Two modes of eight records, the skipped one counts once.
    assert "16/16 samples" in ended.stderr
    assert "6 failed" in ended.stderr
    assert not recorded & asked
    assert max(asked.values()) == 1
    new = list(load_run(run_7).calls())[recorded.total() :]
    assert len(new) == asked.total()
    assert {(call["sample"], call["mode"]) for call in new} == {
        ("prime", "evolve"), ("moon", "edit"), ("moon", "evolve")
    }  # fmt: skip
    for sample, by_mode in ledger.samples():
        assert by_mode.items() >= finished.get(sample.id, {}).items()
        assert set(by_mode) == ({""} if sample.id == "tool" else {"edit", "evolve"})


def test_all_commands_can_use_a_run_of_version_7(run_7: Path, tmp_path: Path) -> None:
    stats = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)
    assert {mode: stats["modes"][mode]["failed"] for mode in ("edit", "evolve")} == {"edit": 3, "evolve": 3}
    assert all(kind in json.dumps(stats) for kind in FAILED.values())
    assert "content filter" in look("stats", "run", cwd=tmp_path).stdout
    for sample, kind in FAILED.items():
        shown = look("show", "run", sample, cwd=tmp_path).stdout
        assert f"{kind}: " in shown
        assert f"{kind}: {kind}" not in shown
    assert "accepted" in look("show", "run", "river", cwd=tmp_path).stdout
    look("export", "run", "--mode", "evolve", "-o", "out.json", cwd=tmp_path)
    exported = {record["id"]: record for record in json.loads((tmp_path / "out.json").read_text("utf-8"))}
    original = {record["id"]: record for record in json.loads((tmp_path / "data.json").read_text("utf-8"))}
    assert all(exported[sample] == original[sample] for sample in FAILED)
    assert exported["river"] != original["river"]
    assert "editor" in look("graph", "run", cwd=tmp_path).stdout
    look("report", "run", "-o", "report.html", cwd=tmp_path)
    assert "content filter" in (tmp_path / "report.html").read_text("utf-8")
    loaded = load_run(run_7)
    assert {row["failure_kind"] for row in loaded.samples() if row["status"] == "failed"} == set(
        FAILED.values()
    )


def columns_7(table: str) -> list[str]:
    """Return the columns that a table has in version 7."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((RUN_7 / "ledger.sql").read_text(encoding="utf-8"))
        return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def test_what_a_program_of_version_7_still_writes_is_split(run_7: Path) -> None:
    calls, results = columns_7("calls"), columns_7("results")
    assert "failure_kind" not in calls + results

    def insert(verb: str, table: str, names: list[str], like: str, **changed: object) -> None:
        old = dict(
            zip(
                names,
                writer.execute(f"SELECT {', '.join(names)} FROM {table} {like}").fetchone(),
                strict=True,
            )
        )
        marks = ", ".join("?" * len(names))
        with writer:
            writer.execute(
                f"{verb} INTO {table} ({', '.join(names)}) VALUES ({marks})", [*(old | changed).values()]
            )

    last = rows(run_7, "SELECT max(number) FROM calls")[0][0]
    call, result = "WHERE sample = 'moon' OR step = 'editor'", "WHERE mode = 'edit' AND status = 'done'"
    with closing(sqlite3.connect(run_7 / "ledger.sqlite")) as writer:
        writer.execute("SELECT count(*) FROM calls").fetchall()
        Ledger.open(run_7 / "ledger.sqlite")  # which upgrades it
        failure = "too long: the server answered 400: at most 4096 tokens: 5000 given\nShorten it."
        insert("INSERT", "calls", calls, call, number=last + 1, failure=failure)
        insert("INSERT", "calls", calls, call, number=last + 2, failure=None)
        insert("INSERT OR REPLACE", "results", results, result, position=7, status="failed", reason=failure)
        insert("INSERT OR REPLACE", "results", results, result, position=0, status="failed", reason=failure)
        insert(
            "INSERT OR REPLACE",
            "results",
            results,
            result,
            position=2,
            mode="",
            status="skipped",
            reason="odd: x",
        )
    split = ("too long", "the server answered 400: at most 4096 tokens: 5000 given\nShorten it.")
    assert rows(run_7, f"SELECT failure_kind, failure FROM calls WHERE number > {last} ORDER BY number") == [
        split, (None, None)
    ]  # fmt: skip
    written = "position IN (0, 2, 7) AND mode <> 'evolve' ORDER BY position"
    assert rows(run_7, f"SELECT failure_kind, reason FROM results WHERE {written}") == [
        split,
        (None, "odd: x"),
        split,
    ]
    # The totals count each result and each call once.
    counted = "SELECT mode, status, count(*) FROM results GROUP BY 1, 2 ORDER BY 1, 2"
    totals = (
        "SELECT mode, status, sum(results) FROM result_totals GROUP BY 1, 2 HAVING sum(results) ORDER BY 1, 2"
    )
    assert rows(run_7, counted) == rows(run_7, totals)
    counted = "SELECT count(*), count(failure) FROM calls"
    assert rows(run_7, counted) == rows(run_7, "SELECT sum(calls), sum(failed) FROM call_totals")


def test_a_call_of_version_8_has_no_thoughts_and_those_that_follow_may_have_some(
    run_7: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(run_7 / "ledger.sqlite")) as connection:
        upgrade = (EXAMPLES.parent / "ledger/upgrades/to_8.sql").read_text(encoding="utf-8")
        connection.executescript(f"{upgrade} PRAGMA user_version = 8;")
    recorded = len(list(load_run(run_7).calls()))
    assert version(run_7) == VERSION
    assert {call["thoughts"] for call in load_run(run_7).calls()} == {None}
    with StandIn(Fault("framed", code="reasoning_content")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-4o-mini", *MODES_7)
        look(*words, "--base-url", server.base_url("openai"), cwd=tmp_path, status=1)
    calls = list(load_run(run_7).calls())
    assert [call["thoughts"] for call in calls] == recorded * [None] + (len(calls) - recorded) * [THOUGHTS]
    assert len(calls) > recorded
