"""Ledgers that an older version of the program made: taken to this version, whole, or left as they are."""

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ledger.ledger import Ledger
from ledger.tables import VERSION
from tests.conftest import look, remount
from tests.program import coevol, start

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
        connection.executescript(Path(__file__).with_name("ledger_3.sql").read_text())
    return tmp_path / "run"


def version(run: Path) -> int:
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def tables(ledger: Path) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each table and view, and the columns of each index."""
    with closing(sqlite3.connect(ledger)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return {
            name: connection.execute(f"PRAGMA {'index_info' if kind == 'index' else 'table_xinfo'}({name})")
            .fetchall()
            for kind, name in names.fetchall()
        }  # fmt: skip


def test_an_older_ledger_is_upgraded_with_all_it_holds(old: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(old / "ledger.sqlite")
    assert version(old) == VERSION
    Ledger.create(tmp_path / "new.sqlite")
    assert tables(old / "ledger.sqlite") == tables(tmp_path / "new.sqlite")
    ((sample, results),) = ledger.samples()
    assert sample.record == RECORD
    (call,) = ledger.calls("fruit")
    assert call["reply"] == results["edit"].outcome[0]["response"]
    assert "Tian Shan" in call["reply"]
    # The run goes on as it was, and has nothing left to do.
    assert "1/1 samples" in look(*EVOLVE, cwd=tmp_path).stderr
    assert len(ledger.calls("fruit")) == 1
    look("export", "run", "-o", "out.json", cwd=tmp_path)
    assert "Tian Shan" in (tmp_path / "out.json").read_text()


def test_several_processes_upgrade_at_once(old: Path, tmp_path: Path) -> None:
    processes = [start("stats", "run", cwd=tmp_path) for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "1 of 1 finished" in out
    assert version(old) == VERSION


def test_an_upgrade_waits_for_who_writes_and_disturbs_nobody(old: Path, tmp_path: Path) -> None:
    add = "INSERT INTO texts VALUES (?, NULL, 'from a program of the older version')"
    with closing(sqlite3.connect(old / "ledger.sqlite", check_same_thread=False)) as writer:
        writer.execute(add, (6,))
        waiting = threading.Timer(1, writer.commit)
        waiting.start()
        assert "1 of 1 finished" in coevol("stats", "run", cwd=tmp_path).stdout
        waiting.join()
        with writer:
            writer.execute(add, (7,))
    assert version(old) == VERSION
    assert Ledger.open(old / "ledger.sqlite").last_text() == 7


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old / "ledger.sqlite")) as connection:
        connection.execute("CREATE TABLE decided (by INTEGER)")  # where the upgrade's last view belongs
    before = tables(old / "ledger.sqlite")
    said = look("stats", "run", cwd=tmp_path, status=2).stderr
    assert said.count("\n") == 1
    assert "table decided already exists" in said
    assert version(old) == 3
    assert tables(old / "ledger.sqlite") == before


def test_an_older_ledger_in_a_folder_that_is_read_only_is_refused(old: Path, disk: Path) -> None:
    remount(disk, "size=50m")
    shutil.copytree(old, disk / "run")
    remount(disk, "ro")
    said = look("stats", "run", cwd=disk, status=2).stderr
    assert said.count("\n") == 1
    assert "from version 3 to" in said
    assert "read-only: make it writable, or look at a copy" in said
    remount(disk, "rw")
    assert "1 of 1 finished" in look("stats", "run", cwd=disk).stdout
