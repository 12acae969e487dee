"""Damaged runs are refused with one clear message and left as they are."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from ledger.ledger import Ledger, LedgerError
from ledger.tables import VERSION
from ledger.writer import Writer
from models.call import Call, CallRecord
from tests.conftest import look
from tests.program import records, write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "data.json", records(8))
    look("evolve", "data.json", "-o", "run", "--stop", 6, cwd=folder)
    return folder


def refusal(folder: Path) -> str:
    """Return the last line of the message about a run that cannot be used, the same from every command."""
    before = (folder / "run" / "ledger.sqlite").read_bytes()
    messages = [
        look(*command, cwd=folder, status=2).stderr
        for command in (
            ("stats", "run"),
            ("show", "run", "2"),
            ("export", "run", "-o", "out.json"),
            ("evolve", "data.json", "-o", "run"),
        )
    ]
    (last,) = {message.strip().splitlines()[-1] for message in messages}
    assert not (folder / "out.json").exists()
    assert (folder / "run" / "ledger.sqlite").read_bytes() == before
    return last


def copied(sound: Path, folder: Path) -> Path:
    shutil.copytree(sound, folder, dirs_exist_ok=True)
    return folder / "run"


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_a_ledger_of_another_version_is_refused(version: int, sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    with sqlite3.connect(run / "ledger.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert f"its tables have version {version}, this one reads {VERSION}" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [50, 4096, 20_000, 0.5])
def test_a_ledger_cut_short_is_refused(kept: float, sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    whole = (run / "ledger.sqlite").read_bytes()
    (run / "ledger.sqlite").write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    assert "cannot be used" in refusal(tmp_path)


def test_a_file_that_is_not_a_ledger_is_refused_and_kept(sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    (run / "ledger.sqlite").write_text("Dear diary, " * 1000)
    assert "file is not a database" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        '{"settings": 3}',
        "null",
        "\ud83d",
        '{"created": "2026", "modes": "evolve"}',
    ],
)
def test_a_run_with_a_damaged_manifest_is_refused(text: str | None, sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    if text is None:
        (run / "run.json").unlink()
    else:
        (run / "run.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "run.json" in refusal(tmp_path)


async def test_a_ledger_that_can_no_longer_be_opened_fails_every_write(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    writer = Writer(Ledger.create(tmp_path / "run" / "ledger.sqlite"))
    shutil.rmtree(tmp_path / "run")
    async with writer:
        for _ in range(2):
            with pytest.raises(LedgerError, match="unable to open"):
                await writer.add_call(call_record(Call("a", "edit", 0, 1, "editor", "editor", [])))


def call_record(call: Call) -> CallRecord:
    return CallRecord(call, "0", "m", [], "", None, None, None, None, 0.0, 0.0, 1)
