"""Who may read a run on a machine that others use, too."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.ledger import Ledger, LedgerError
from runners.api import run
from runners.cli import coevol
from tests.program import write

DATA = [{"id": "a", "instruction": "Why?", "output": "So."}]


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of a folder, under "", and of all that is in it."""
    return {
        "" if path == folder else path.name: path.stat().st_mode & 0o777
        for path in (folder, *sorted(folder.iterdir()))
    }


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data.json", DATA)


def evolve(data: Path, folder: Path, *, shared: bool = False) -> None:
    run(data, folder, shared=shared)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_a_run_is_its_owner_s_alone(data: Path, tmp_path: Path, mask: int) -> None:
    folder = tmp_path / "some" / "run"
    with umask(mask):
        evolve(data, folder)
        with Ledger.open(folder / "ledger.sqlite").reading() as connection:
            connection.exec_driver_sql("PRAGMA user_version").scalar_one()  # SQLite's own files are there
            found = modes(folder)
        coevol(["export", str(folder), "-o", str(tmp_path / "o.json")], standalone_mode=False)
        coevol(["report", str(folder), "-o", str(folder / "r.html")], standalone_mode=False)
    assert {"", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "lock", "run.json"} <= found.keys()
    assert {mode for name, mode in found.items() if name} == {0o600}
    assert found[""] == 0o700
    assert (tmp_path / "some").stat().st_mode & 0o777 == 0o777 & ~mask
    assert modes(folder)["r.html"] == 0o600
    assert (tmp_path / "o.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_shared_run_is_as_open_as_the_umask(data: Path, tmp_path: Path) -> None:
    with umask(0o002):
        evolve(data, tmp_path / "run", shared=True)
        began = modes(tmp_path / "run")
        write(data, [*DATA, {"id": "b", "instruction": "How?", "output": "So."}])
        shutil.rmtree(tmp_path / "run")
        evolve(data, tmp_path / "run", shared=True)
        evolve(data, tmp_path / "run")  # which goes on as it began
        assert modes(tmp_path / "run") == began
    assert began.pop("") == 0o775
    assert set(began.values()) == {0o664}


def test_a_private_run_is_opened_by_going_on_shared(data: Path, tmp_path: Path) -> None:
    with umask(0o027):
        evolve(data, tmp_path / "run")
        evolve(data, tmp_path / "run")
        assert modes(tmp_path / "run")[""] == 0o700
        evolve(data, tmp_path / "run", shared=True)
        found = modes(tmp_path / "run")
    assert found.pop("") == 0o750
    assert set(found.values()) == {0o640}


def test_a_folder_that_was_there_keeps_its_mode(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    evolve(data, tmp_path / "mine")
    found = modes(tmp_path / "mine")
    assert found.pop("") == 0o755
    assert set(found.values()) == {0o600}
    # A folder that is closed for what else is in it stays closed.
    evolve(data, tmp_path / "run")
    (tmp_path / "run" / "diary.txt").write_text("Dear diary")
    (tmp_path / "run" / "diary.txt").chmod(0o600)
    evolve(data, tmp_path / "run", shared=True)
    found = modes(tmp_path / "run")
    assert (found[""], found["diary.txt"]) == (0o700, 0o600)
    assert found["ledger.sqlite"] != 0o600


def test_a_run_of_an_earlier_version_keeps_its_modes(data: Path, tmp_path: Path) -> None:
    with umask(0o022):
        evolve(data, tmp_path / "run", shared=True)
        (tmp_path / "run" / "lock").unlink()
        before = modes(tmp_path / "run")
        evolve(data, tmp_path / "run")
        found = modes(tmp_path / "run")
    assert found.pop("lock") == 0o644
    assert found == before


def test_a_run_of_somebody_else_is_reported(data: Path, tmp_path: Path) -> None:
    evolve(data, tmp_path / "run")
    nobody = 65534
    closed = tmp_path / "run"
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o700 == 0o700 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        os.seteuid(nobody)
    else:
        closed.chmod(0)
    try:
        with pytest.raises(LedgerError, match="cannot be used: Permission denied"):
            Ledger.open(closed / "ledger.sqlite")
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        closed.chmod(0o700)
