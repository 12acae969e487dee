"""Full disks and read-only folders, on a file system mounted for the test."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from standin import StandIn
from tests.conftest import look, remount
from tests.disturbed import (
    IN_FLIGHT,
    command,
    exported,
    recorded,
    requests,
    slow_server,
    undisturbed,
    write_data,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with slow_server(monkeypatch) as server:
        yield server


def test_a_run_stops_on_a_full_disk_and_resumes_when_there_is_room(
    server: StandIn, disk: Path, tmp_path: Path
) -> None:
    data = write_data(tmp_path, 60)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    ended = look(*command(server, data, disk / "run"), cwd=tmp_path, status=3)
    assert "disk is full" in ended.stderr
    assert 0 < recorded(disk / "run") < asked.total()
    lost = len(server.chats()) - before - recorded(disk / "run")
    assert lost <= IN_FLIGHT
    remount(disk, "size=50m")
    look(*command(server, data, disk / "run"), cwd=tmp_path)
    assert exported(disk / "run", tmp_path) == expected
    assert (requests(server, before) - asked).total() == lost
    recorded(disk / "run")


def test_a_run_does_not_begin_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path, 3)
    for room in (0, 8192, 32_768):
        with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        os.truncate(disk / "filler", (disk / "filler").stat().st_size - room)
        refused = look("evolve", data, "-o", disk / "run", cwd=tmp_path, status=2)
        assert "disk is full" in refused.stderr or "No space left" in refused.stderr, refused.stderr
        (disk / "filler").unlink()
    remount(disk, "size=50m")
    look("evolve", data, "-o", disk / "run", cwd=tmp_path)
    assert len(exported(disk / "run", tmp_path)) == 3


def test_a_read_only_folder_can_be_read_but_not_written(disk: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path, 6)
    remount(disk, "size=50m")
    look("evolve", data, "-o", disk / "run", "--stop", 4, cwd=tmp_path)
    remount(disk, "ro")
    assert "read-only" in look("evolve", data, "-o", disk / "run", cwd=tmp_path, status=2).stderr
    assert "Read-only" in look("evolve", data, "-o", disk / "other", cwd=tmp_path, status=2).stderr
    assert json.loads(look("stats", disk / "run", "--json", cwd=tmp_path).stdout)["samples"]["finished"] == 4
    assert "Sample 2 of" in look("show", disk / "run", 2, cwd=tmp_path).stdout
    assert len(exported(disk / "run", tmp_path)) == 4
    remount(disk, "rw")
    look("evolve", data, "-o", disk / "run", cwd=tmp_path)
    assert len(exported(disk / "run", tmp_path)) == 6
