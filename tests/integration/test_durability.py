"""What is finished stays finished: killed runs, full disks, locked files, clocks that jump, networks that go.

The runs here meet real causes: signals, mounted file systems, other processes, closed ports.
"""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graph.build import conversation_graph, exchange_graph
from graph.settings import Settings
from ledger.ledger import Ledger, LedgerError
from ledger.tables import VERSION
from ledger.writer import Writer
from models.call import Call, CallRecord
from models.gateway import Gateway
from models.keys import Keys
from reporting.chart_data import pace
from runners.engine import evolve_sample
from samples.reader import open_data
from standin import StandIn
from tests import program
from tests.conftest import look, remount
from tests.program import coevol, start

CONCURRENCY = 8
IN_FLIGHT = 2 * CONCURRENCY
"""The most calls that are sent and not on file: as many samples are under way, and two calls of each."""

SHORT_SIGHT = [
    sys.executable,
    "-c",
    "import models.gateway as d; d.PATIENCE = 3; from runners.cli import main; main()",
]
"""The program, giving an endpoint up that was gone for three seconds (not five minutes)."""


def records(count: int) -> list[dict[str, str]]:
    return [
        {"instruction": f"Say something about number {n}.", "input": "", "output": f"It is {n}. " * 20}
        for n in range(count)
    ]


def written(folder: Path, count: int) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(records(count)), encoding="utf-8")
    return path


def words(server: StandIn, data: Path, run: Path | str) -> tuple[object, ...]:
    at = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
    return ("evolve", data, "-o", run, *at, "--concurrency", CONCURRENCY)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(latency=0.02) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def exported(run: Path, folder: Path) -> Any:
    """The data set that comes out of a run."""
    target = folder / f"{time.monotonic_ns()}.json"
    look("export", run, "-o", target, cwd=folder)
    return json.loads(target.read_text(encoding="utf-8"))


def undisturbed(server: StandIn, data: Path, folder: Path) -> tuple[Any, Counter[str]]:
    """What comes out of a run that nothing happens to, and what it asks."""
    before = len(server.chats())
    look(*words(server, data, folder / "undisturbed"), cwd=folder)
    return exported(folder / "undisturbed", folder), Counter(r.digest for r in server.chats()[before:])


def on_file(run: Path) -> int:
    """The calls in a ledger, whose file has to be sound."""
    with sqlite3.connect(run / "ledger.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    connection.close()
    return int(count)


def wait_for_calls(server: StandIn, count: int, process: subprocess.Popen[str]) -> None:
    while len(server.chats()) < count and process.poll() is None:
        time.sleep(0.01)


# Killed


@pytest.mark.parametrize(("kills", "samples"), [(5, 60), pytest.param(30, 300, marks=pytest.mark.long)])
def test_a_run_that_is_killed_at_any_moment_loses_what_was_in_flight_and_nothing_else(
    kills: int, samples: int, server: StandIn, tmp_path: Path
) -> None:
    data = written(tmp_path, samples)
    expected, asked = undisturbed(server, data, tmp_path)
    before = known = len(server.chats())
    chance, lost, saved = random.Random(4), 0, 0
    for kill in range(kills):
        process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
        # Among them moments at which nothing has been asked yet, and moments on the way back.
        some = chance.randrange(2 * asked.total() // (kills + 1))
        wait_for_calls(server, known + some, process)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.communicate()
        time.sleep(0.2)  # what had been sent arrives
        known, was_saved = len(server.chats()), saved
        saved = on_file(tmp_path / "run") if (tmp_path / "run" / "ledger.sqlite").exists() else 0
        in_flight = known - before - lost - saved
        assert 0 <= in_flight <= IN_FLIGHT, f"kill {kill}: {saved - was_saved} calls on file"
        lost += in_flight
    look(*words(server, data, "run"), cwd=tmp_path)
    assert exported(tmp_path / "run", tmp_path) == expected
    again = Counter(r.digest for r in server.chats()[before:])
    assert again.keys() == asked.keys()
    assert (again - asked).total() == lost
    assert on_file(tmp_path / "run") == asked.total()


def test_a_call_that_cannot_be_done_is_not_paid_for_again_after_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    topics = ("apples", "a zebra", "pears", "plums", "figs")
    talk = [
        turn
        for topic in topics
        for turn in ({"from": "human", "value": f"Tell of {topic}."}, {"from": "gpt", "value": "No."})
    ]
    lines = (json.dumps({"id": n, "conversations": talk}) + "\n" for n in range(6))
    data.write_text("".join(lines), encoding="utf-8")
    # With no exchange before it in the prompt, only one of them knows of a zebra.
    one_by_one = ("--mode", "edit", "--history-window", 1)
    with StandIn("truncated:word=zebra", latency=0.2) as server:
        at = (*words(server, data, "run"), *one_by_one)
        process = start(*at, cwd=tmp_path, env=server.environment())
        wait_for_calls(server, 15, process)
        process.kill()
        process.communicate()
        time.sleep(0.4)  # what had been sent arrives
        lost = len(server.chats()) - on_file(tmp_path / "run")
        coevol(*at, cwd=tmp_path, env=server.environment(), status=1)
        assert len(server.chats()) == len(topics) * 6 + lost == on_file(tmp_path / "run") + lost
        coevol(*at, "--retry-failed", cwd=tmp_path, env=server.environment(), status=1)
        assert len(server.chats()) == (len(topics) + 1) * 6 + lost


def test_a_run_that_is_killed_while_its_ledger_is_made_begins_anew(tmp_path: Path) -> None:
    data = written(tmp_path, 2)
    look("evolve", data, "-o", "run", cwd=tmp_path)
    run = tmp_path / "run"
    (run / "ledger.sqlite").unlink()
    (run / "run.json").unlink()
    (run / "run.json.new").write_text('{"cre')
    with sqlite3.connect(run / "ledger.sqlite") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    look("evolve", data, "-o", "run", cwd=tmp_path)
    assert len(exported(run, tmp_path)) == 2


def test_what_was_in_flight_when_a_run_was_ended_at_once_counts_as_spent(tmp_path: Path) -> None:
    data = written(tmp_path, 40)
    with StandIn(latency=30) as server:
        at = (*words(server, data, "run"), "--mode", "edit", "--budget-tokens", 100_000)
        process = start(*at, cwd=tmp_path, env=server.environment())
        wait_for_calls(server, CONCURRENCY // 2, process)
        time.sleep(0.3)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 3, said
        assert "calls in flight are finished first; once more gives them up" in said
        assert on_file(tmp_path / "run") == len(server.chats())
        expected = look(*at, "--dry-run", cwd=tmp_path).stdout
    # At their worst: each a thousand tokens of reply.
    spent = re.search(r"Spent.*?([\d,]+) tokens", expected)
    assert spent, expected
    assert int(spent[1].replace(",", "")) >= 1000 * CONCURRENCY // 2


def hang_up(process: subprocess.Popen[str]) -> None:
    """Nobody reads any more what it says."""
    for stream in (process.stdout, process.stderr):
        assert stream
        stream.close()


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_ends_a_run_as_an_interrupt_does(
    sent: signal.Signals, server: StandIn, tmp_path: Path
) -> None:
    data = written(tmp_path, 60)
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 40, process)
    hang_up(process)
    process.send_signal(sent)
    assert process.wait(60) == 3
    assert on_file(tmp_path / "run") == len(server.chats())


def test_a_run_goes_on_where_nobody_reads_what_it_says(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(tmp_path, 40)
    chatty = "import runners.progress as p; p.IN_LOG = 0.1; from runners.cli import main; main()"
    monkeypatch.setattr(program, "COMMAND", [sys.executable, "-c", chatty])
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 20, process)
    hang_up(process)
    assert process.wait(60) == 0
    assert on_file(tmp_path / "run") == len(server.chats())
    assert len(exported(tmp_path / "run", tmp_path)) == 40


# The data


@pytest.mark.parametrize("change", ["cut", "other", "gone"])
def test_a_run_stops_where_its_data_is_written_to(change: str, server: StandIn, tmp_path: Path) -> None:
    whole = "".join(json.dumps(record) + "\n" for record in records(150))
    data, run = tmp_path / "data.jsonl", tmp_path / "run"
    data.write_text(whole, encoding="utf-8")
    at = (*words(server, data, run), "--mode", "edit")
    process = start(*at, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 1, process)
    if change == "cut":
        os.truncate(data, whole.index("\n", len(whole) // 2) + 1)  # each line that is left is a record
    elif change == "other":
        data.write_text(whole.replace("number", "letter"), encoding="utf-8")
    else:
        data.unlink()  # whoever reads it goes on reading
    _, said = process.communicate(timeout=300)
    assert process.returncode == (0 if change == "gone" else 3), said
    assert ("was written to while it was worked on" in said) == (change != "gone")
    on_file(run)
    data.write_text(whole, encoding="utf-8")
    look(*at, cwd=tmp_path)
    with sqlite3.connect(run / "ledger.sqlite") as connection:
        others = connection.execute("SELECT count(*) FROM samples WHERE record LIKE '%letter%'")
        assert others.fetchone() == (0,)
    connection.close()
    assert len(exported(run, tmp_path)) == 150


def test_a_run_keeps_the_prompts_it_began_with(server: StandIn, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(Path(__file__).parents[1] / "prompts" / "default", pack)
    at = (*words(server, written(tmp_path, 250), "run"), "--mode", "edit", "--prompts", pack)
    process = start(*at, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 1, process)
    editor = (pack / "editor.jinja").read_text(encoding="utf-8")
    (pack / "editor.jinja").write_text("{% call user_message() %} half written", encoding="utf-8")
    time.sleep(1.2)  # Studio would have looked at it again
    (pack / "editor.jinja").write_text(editor.replace("{% endcall", "Rhyme. {% endcall"), encoding="utf-8")
    asked = len(server.chats())
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert len(server.chats()) > asked
    assert not any(b"Rhyme" in request.raw for request in server.chats())
    assert "texts of the prompts" in look(*at, cwd=tmp_path, status=2).stderr


# The disk


def test_a_run_stops_on_a_full_disk_and_goes_on_when_there_is_room(
    server: StandIn, disk: Path, tmp_path: Path
) -> None:
    data = written(tmp_path, 60)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    process = coevol(*words(server, data, disk / "run"), cwd=tmp_path, env=server.environment(), status=3)
    assert "disk is full" in process.stderr
    assert 0 < on_file(disk / "run") < asked.total()
    lost = len(server.chats()) - before - on_file(disk / "run")
    assert lost <= IN_FLIGHT
    remount(disk, "size=50m")
    look(*words(server, data, disk / "run"), cwd=tmp_path)
    assert exported(disk / "run", tmp_path) == expected
    assert (Counter(r.digest for r in server.chats()[before:]) - asked).total() == lost
    on_file(disk / "run")


def test_a_run_does_not_begin_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    data = written(tmp_path, 3)
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


def test_a_read_only_folder_can_be_looked_at_and_not_worked_in(disk: Path, tmp_path: Path) -> None:
    data = written(tmp_path, 6)
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


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_run_whose_ledger_goes_away_stops_at_once(how: str, server: StandIn, tmp_path: Path) -> None:
    data, run = written(tmp_path, 200), tmp_path / "run"
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 40, process)
    if how == "moved":
        run.rename(tmp_path / "elsewhere")
    else:
        (run / "ledger.sqlite").unlink()
    asked = len(server.chats())
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "was moved or deleted while the run wrote to it" in said
    assert len(server.chats()) - asked <= 2 * IN_FLIGHT
    assert not (run / "ledger.sqlite").exists()
    if how == "deleted":
        lost = look(*words(server, data, "run"), cwd=tmp_path, status=2).stderr
        assert "run has lost its ledger.sqlite" in lost
    else:
        (tmp_path / "elsewhere").rename(run)
        assert on_file(run) >= asked - IN_FLIGHT
        look(*words(server, data, "run"), cwd=tmp_path)
        assert len(exported(run, tmp_path)) == 200
        assert len(server.chats()) - on_file(run) <= 3 * IN_FLIGHT


HOLD = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "status"), [(2, 0), (60, 3)])
def test_a_ledger_that_another_process_holds_is_waited_for_and_then_given_up(
    seconds: float, status: int, server: StandIn, tmp_path: Path
) -> None:
    data = written(tmp_path, 30)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, before + 30, process)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run" / "ledger.sqlite"), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        _, err = process.communicate(timeout=60)
        holder.kill()
    assert process.returncode == status, err
    assert ("database is locked" in err) == (status == 3)
    assert "Traceback" not in err
    lost = len(server.chats()) - before - on_file(tmp_path / "run")
    assert lost <= (IN_FLIGHT if status else 0)
    look(*words(server, data, "run"), cwd=tmp_path)
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (Counter(r.digest for r in server.chats()[before:]) - asked).total() == lost


async def test_a_ledger_that_cannot_be_opened_any_more_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    writer = Writer(Ledger.create(tmp_path / "run" / "ledger.sqlite"))
    shutil.rmtree(tmp_path / "run")
    async with writer:
        for _ in range(2):
            with pytest.raises(LedgerError, match="unable to open"):
                await writer.add_call(call_record(Call("a", "edit", 0, 1, "editor", [])))


def call_record(call: Call) -> CallRecord:
    return CallRecord(call, "0", "m", [], "", None, None, None, None, 0.0, 0.0, 1)


# The clock


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, clock, chance = written(tmp_path, 5), time.time, random.Random(9)
    with StandIn("500:rate=0.05,seed=3", "429:rate=0.05,retry_after=date:1", own_process=True) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        expected, asked = undisturbed(server, data, tmp_path)
        before, began = len(server.chats()), time.monotonic()
        with monkeypatch.context() as jumping:
            jumping.setattr(time, "time", lambda: clock() + chance.choice((-4e8, -90_000, 0, 90_000, 4e8)))
            look(*words(server, data, "run"), "--rpm", 6000, "--tpm", 10_000_000, cwd=tmp_path)
            look("stats", "run", cwd=tmp_path)
        assert time.monotonic() - began < 120
        assert exported(tmp_path / "run", tmp_path) == expected
        assert Counter(r.digest for r in server.chats()[before:]).keys() == asked.keys()
    # A chart of such a run is of no use, and no harm.
    drawn = pace(Ledger.open(tmp_path / "run" / "ledger.sqlite"))
    assert drawn and len(drawn.calls) <= 61
    assert sum(drawn.calls) == on_file(tmp_path / "run")


# The network


def test_a_run_waits_for_an_endpoint_that_is_gone_for_a_while(server: StandIn, tmp_path: Path) -> None:
    data = written(tmp_path, 30)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, before + 60, process)
    server.stop()
    time.sleep(4)
    assert process.poll() is None
    server.start()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (Counter(r.digest for r in server.chats()[before:]) - asked).total() <= IN_FLIGHT


def test_a_run_stops_when_its_endpoint_stays_away_and_goes_on_when_it_is_back(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(tmp_path, 30)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    monkeypatch.setattr(program, "COMMAND", SHORT_SIGHT)
    process = start(*words(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, before + 60, process)
    server.stop()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert f"127.0.0.1:{server.port}" in err.partition("coevol: stopped:")[2]
    assert "Traceback" not in err
    on_file(tmp_path / "run")
    server.start()
    look(*words(server, data, "run"), cwd=tmp_path)
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (Counter(r.digest for r in server.chats()[before:]) - asked).total() <= IN_FLIGHT


@pytest.mark.parametrize("url", ["http://192.0.2.1:8000/v1", "http://models.example/v1"])
def test_a_machine_without_a_network_is_told_so(
    url: str, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("a process cannot be taken off the network here")
    data = written(tmp_path, 3)
    monkeypatch.setattr(program, "COMMAND", [*alone, *program.COMMAND])
    at = ("evolve", data, "-o", "run", "--model", "openai:gpt-4o-mini")
    ended = coevol(*at, "--base-url", url, cwd=tmp_path, env=server.environment(), status=3)
    assert url in ended.stderr
    assert "Check the base URL" in ended.stderr
    # The same run, where there is a network.
    look(*at, "--base-url", server.base_url("openai"), cwd=tmp_path)
    assert len(exported(tmp_path / "run", tmp_path)) == 3


# Damage


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    written(folder, 8)
    look("evolve", "data.json", "-o", "run", "--stop", 6, cwd=folder)
    return folder


def refused(folder: Path, *, and_evolve: bool = True) -> str:
    """What the commands say to a run that none of them can use; each says one thing."""
    said = []
    for command in (("stats", "run"), ("show", "run", "2"), ("export", "run", "-o", "out.json")):
        said.append(look(*command, cwd=folder, status=2).stderr)
    if and_evolve:
        before = (folder / "run" / "ledger.sqlite").read_bytes()
        said.append(look("evolve", "data.json", "-o", "run", cwd=folder, status=2).stderr)
        assert (folder / "run" / "ledger.sqlite").read_bytes() == before
    (last,) = {text.strip().splitlines()[-1] for text in said}
    assert not (folder / "out.json").exists()
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
    said = refused(tmp_path)
    assert f"its tables have version {version}, this one reads {VERSION}" in said


@pytest.mark.parametrize("kept", [50, 4096, 20_000, 0.5])
def test_a_ledger_cut_short_is_refused(kept: float, sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    whole = (run / "ledger.sqlite").read_bytes()
    (run / "ledger.sqlite").write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    assert "cannot be used" in refused(tmp_path)


def test_a_file_that_is_no_ledger_is_refused_and_kept(sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    (run / "ledger.sqlite").write_text("Dear diary, " * 1000)
    assert "file is not a database" in refused(tmp_path)


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
def test_a_run_without_its_facts_is_refused(text: str | None, sound: Path, tmp_path: Path) -> None:
    run = copied(sound, tmp_path)
    if text is None:
        (run / "run.json").unlink()
    else:
        (run / "run.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "run.json" in refused(tmp_path)


def test_data_that_breaks_while_it_is_worked_on_stops_the_run(server: StandIn, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    lines = [json.dumps(record) for record in records(20_000)]
    data.write_text("\n".join(lines))
    one_pass = (*words(server, data, "run"), "--mode", "edit")
    process = start(*one_pass, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 20, process)
    with data.open("r+b") as file:
        file.seek(200_000)
        file.write(b"\n{]\n")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 3, err
    assert "data.jsonl" in err.splitlines()[-1]
    assert "Traceback" not in err
    on_file(tmp_path / "run")


# One sample by itself


async def test_a_sample_takes_itself_settings_and_calls_on_record(server: StandIn, tmp_path: Path) -> None:
    (sample, *_) = open_data(written(tmp_path, 2)).samples()
    settings = Settings.model_validate({"model": "openai:gpt-4o-mini", "base_url": server.base_url("openai")})
    outcomes, new_records = [], []
    replies: dict[tuple[object, ...], str] = {}
    for _ in range(2):
        made: list[CallRecord] = []

        async def keep(record: CallRecord, made: list[CallRecord] = made) -> None:
            made.append(record)

        def recall(call: Call, request: str, known: dict[Any, str] = replies) -> str | None:
            return known.get((*call.address, request))

        async with Gateway(
            settings, Keys(server.environment()), concurrency=4, record=keep, recall=recall
        ) as door:

            def speak(call: Call, settings: Settings, door: Gateway = door) -> Awaitable[str]:
                return door.ask(call)

            graphs = exchange_graph("evolve", speak), conversation_graph("evolve", speak)
            outcomes.append(await evolve_sample(sample, *graphs, settings))
        new_records.append(made)
        replies = {(*record.call.address, record.request): record.reply for record in made}
    assert len(new_records[0]) == len(server.chats()) >= 8
    assert new_records[1] == []
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0]["rounds"]


# Memory


@pytest.mark.parametrize(
    ("early", "late"), [pytest.param(10_000, 100_000, marks=pytest.mark.long, id="100,000 samples")]
)
def test_a_long_run_leaks_nothing(early: int, late: int, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for record in records(late + 2000):
            file.write(json.dumps(record) + "\n")
    process = start("evolve", data, "-o", "run", "--max-rounds", 1, cwd=tmp_path)
    used = [resident_after(count, process, tmp_path / "run") for count in (early, late)]
    process.kill()
    process.communicate()
    assert used[1] <= 1.1 * used[0]


def resident_after(count: int, process: subprocess.Popen[str], run: Path) -> int:
    """The memory that a run's process takes when so many samples are finished, in KiB."""
    while True:
        assert process.poll() is None, "it ended early"
        time.sleep(1)
        try:
            connection = sqlite3.connect(f"file:{run / 'ledger.sqlite'}?mode=ro", uri=True)
            (finished,) = connection.execute("SELECT count(*) FROM results").fetchone()
            connection.close()
        except sqlite3.OperationalError:
            continue  # it is only being made
        if finished >= count:
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])
