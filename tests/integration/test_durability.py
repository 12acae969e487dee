"""Finished work is kept: killed and interrupted runs, data and ledgers that change while a run works.

The causes are real: signals, other processes, files that are moved or cut.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graph.build import exchange_graph
from graph.conversation import conversation_graph
from graph.settings import Settings
from models.call import Call, CallRecord
from models.gateway import Gateway
from models.keys import Keys
from models.settings import Limits
from prompts.method import MODES
from runners.worker import evolve_sample
from samples.reader import open_data
from standin import StandIn
from tests import program
from tests.conftest import look
from tests.disturbed import (
    CONCURRENCY,
    IN_FLIGHT,
    command,
    exported,
    kill_at_random,
    recorded,
    requests,
    slow_server,
    undisturbed,
    wait_for_calls,
    write_data,
)
from tests.program import ROOT, records, start


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with slow_server(monkeypatch) as server:
        yield server


# Killed


def test_a_run_killed_again_and_again_loses_only_calls_in_flight(server: StandIn, tmp_path: Path) -> None:
    kill_at_random(5, 40, server, tmp_path)


def test_a_call_that_cannot_succeed_is_not_paid_for_again_after_a_kill(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    topics = ("apples", "a zebra", "pears", "plums", "figs")
    talk = [
        turn
        for topic in topics
        for turn in ({"from": "human", "value": f"Tell of {topic}."}, {"from": "gpt", "value": "No."})
    ]
    lines = (json.dumps({"id": n, "conversations": talk}) + "\n" for n in range(6))
    data.write_text("".join(lines), encoding="utf-8")
    # Without earlier exchanges in the prompt, only one call of each sample mentions a zebra.
    one_by_one = ("--mode", "edit", "--history-window", 1)
    with StandIn("truncated:word=zebra", latency=0.2) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key("openai"))
        at = (*command(server, data, "run"), *one_by_one)
        process = start(*at, cwd=tmp_path, env=server.environment())
        wait_for_calls(server, 15, process)
        process.kill()
        process.communicate()
        time.sleep(0.4)  # what had been sent arrives
        lost = len(server.chats()) - recorded(tmp_path / "run")
        look(*at, cwd=tmp_path, status=1)
        assert len(server.chats()) == len(topics) * 6 + lost == recorded(tmp_path / "run") + lost
        look(*at, "--retry-failed", cwd=tmp_path, status=1)
        assert len(server.chats()) == (len(topics) + 1) * 6 + lost


def test_a_run_killed_while_its_ledger_is_created_starts_over(tmp_path: Path) -> None:
    data = write_data(tmp_path, 2)
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


def test_a_second_interrupt_abandons_the_calls_in_flight_which_count_as_spent(tmp_path: Path) -> None:
    data = write_data(tmp_path, 40)
    with StandIn("hang") as server:
        at = (*command(server, data, "run"), "--mode", "edit", "--budget-tokens", 100_000)
        process = start(*at, cwd=tmp_path, env=server.environment())
        wait_for_calls(server, CONCURRENCY // 2, process)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # it waits for the calls in flight
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3, err
        assert "in flight will finish first; Ctrl-C again abandons them" in err
        assert "Traceback" not in err
        assert recorded(tmp_path / "run") == len(server.chats())
        forecast = look(*at, "--dry-run", cwd=tmp_path).stdout
    # In the worst case, each reply has a thousand tokens.
    spent = re.search(r"Spent.*?([\d,]+) tokens", forecast)
    assert spent, forecast
    assert int(spent[1].replace(",", "")) >= 1000 * CONCURRENCY // 2


def hang_up(process: subprocess.Popen[str]) -> None:
    """Close the reading ends of a process's output."""
    for stream in (process.stdout, process.stderr):
        assert stream
        stream.close()


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_ends_a_run_as_an_interrupt_does(
    sent: signal.Signals, server: StandIn, tmp_path: Path
) -> None:
    data = write_data(tmp_path, 60)
    process = start(*command(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 40, process)
    hang_up(process)
    process.send_signal(sent)
    assert process.wait(60) == 3
    assert recorded(tmp_path / "run") == len(server.chats())


def test_a_run_continues_if_its_output_is_not_read(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path, 20)
    chatty = "import runners.progress as p; p.IN_LOG = 0.1; from runners.cli import main; main()"
    monkeypatch.setattr(program, "COMMAND", [sys.executable, "-c", chatty])
    process = start(*command(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 20, process)
    hang_up(process)
    assert process.wait(60) == 0
    assert recorded(tmp_path / "run") == len(server.chats())
    assert len(exported(tmp_path / "run", tmp_path)) == 20


# The data


@pytest.mark.parametrize("change", ["cut", "other", "gone"])
def test_a_run_stops_if_its_data_changes(change: str, server: StandIn, tmp_path: Path) -> None:
    whole = "".join(json.dumps(record) + "\n" for record in records(150))
    data, run = tmp_path / "data.jsonl", tmp_path / "run"
    data.write_text(whole, encoding="utf-8")
    at = (*command(server, data, run), "--mode", "edit")
    process = start(*at, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 1, process)
    if change == "cut":
        os.truncate(data, whole.index("\n", len(whole) // 2) + 1)  # each remaining line is a record
    elif change == "other":
        data.write_text(whole.replace("number", "letter"), encoding="utf-8")
    else:
        data.unlink()  # an open file stays readable
    _, err = process.communicate(timeout=300)
    assert process.returncode == (0 if change == "gone" else 3), err
    assert ("was modified during the run" in err) == (change != "gone")
    recorded(run)
    data.write_text(whole, encoding="utf-8")
    look(*at, cwd=tmp_path)
    with closing(sqlite3.connect(run / "ledger.sqlite")) as connection:
        others = connection.execute("SELECT count(*) FROM samples WHERE record LIKE '%letter%'")
        assert others.fetchone() == (0,)
    assert len(exported(run, tmp_path)) == 150


def test_data_that_becomes_unreadable_stops_the_run(server: StandIn, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    lines = [json.dumps(record) for record in records(4_000)]
    data.write_text("\n".join(lines))
    one_pass = (*command(server, data, "run"), "--mode", "edit")
    process = start(*one_pass, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 20, process)
    with data.open("r+b") as file:
        file.seek(200_000)
        file.write(b"\n{]\n")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 3, err
    assert "data.jsonl" in err.splitlines()[-1]
    assert "Traceback" not in err
    recorded(tmp_path / "run")


def test_a_run_keeps_the_prompts_it_began_with(server: StandIn, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "prompts" / "default", pack)
    server.order("latency:seconds=0.1")
    at = (*command(server, write_data(tmp_path, 200), "run"), "--mode", "edit", "--prompts", pack)
    process = start(*at, cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 1, process)
    editor = (pack / "editor.jinja").read_text(encoding="utf-8")
    (pack / "editor.jinja").write_text("{% call user_message() %} half written", encoding="utf-8")
    time.sleep(1.2)  # Studio's interval for checking the pack
    (pack / "editor.jinja").write_text(editor.replace("{% endcall", "Rhyme. {% endcall"), encoding="utf-8")
    asked = len(server.chats())
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert len(server.chats()) > asked
    assert not any(b"Rhyme" in request.raw for request in server.chats())
    assert "texts of the prompts" in look(*at, cwd=tmp_path, status=2).stderr


# The ledger


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_run_whose_ledger_disappears_stops_at_once(how: str, server: StandIn, tmp_path: Path) -> None:
    data, run = write_data(tmp_path, 40), tmp_path / "run"
    process = start(*command(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, 40, process)
    if how == "moved":
        run.rename(tmp_path / "elsewhere")
    else:
        (run / "ledger.sqlite").unlink()
    asked = len(server.chats())
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "was moved or deleted while the run wrote to it" in err
    assert len(server.chats()) - asked <= 2 * IN_FLIGHT
    assert not (run / "ledger.sqlite").exists()
    if how == "deleted":
        lost = look(*command(server, data, "run"), cwd=tmp_path, status=2).stderr
        assert "run has lost its ledger.sqlite" in lost
    else:
        (tmp_path / "elsewhere").rename(run)
        assert recorded(run) >= asked - IN_FLIGHT
        look(*command(server, data, "run"), cwd=tmp_path)
        assert len(exported(run, tmp_path)) == 40
        assert len(server.chats()) - recorded(run) <= 3 * IN_FLIGHT


@pytest.mark.parametrize("released", [True, False])
def test_a_run_waits_for_a_locked_ledger_and_then_stops(
    released: bool, server: StandIn, tmp_path: Path
) -> None:
    data = write_data(tmp_path, 30)
    expected, asked = undisturbed(server, data, tmp_path)
    before = len(server.chats())
    process = start(*command(server, data, "run"), cwd=tmp_path, env=server.environment())
    wait_for_calls(server, before + 30, process)
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        if released:
            time.sleep(2)
            assert process.poll() is None
            holder.execute("ROLLBACK")
        _, err = process.communicate(timeout=60)
    assert process.returncode == (0 if released else 3), err
    assert ("database is locked" in err) == (not released)
    assert "Traceback" not in err
    lost = len(server.chats()) - before - recorded(tmp_path / "run")
    assert lost <= (0 if released else IN_FLIGHT)
    look(*command(server, data, "run"), cwd=tmp_path)
    assert exported(tmp_path / "run", tmp_path) == expected
    assert (requests(server, before) - asked).total() == lost


# One sample


async def test_a_sample_needs_only_its_record_settings_and_recorded_calls(
    server: StandIn, tmp_path: Path
) -> None:
    (sample, *_) = open_data(write_data(tmp_path, 2)).samples()
    settings = Settings.model_validate({"model": "openai:gpt-4o-mini", "base_url": server.base_url("openai")})
    outcomes, new_records = [], []
    replies: dict[tuple[object, ...], str] = {}

    def address(call: Call, request: str) -> tuple[object, ...]:
        return (call.sample, call.mode, call.exchange, call.round, call.step, call.asked, request)

    for _ in range(2):
        made: list[CallRecord] = []

        async def record(new: CallRecord, made: list[CallRecord] = made) -> None:
            made.append(new)

        def recall(call: Call, request: str, known: dict[Any, str] = replies) -> str | None:
            return known.get(address(call, request))

        keys, limits = Keys(server.environment()), Limits(concurrency=4)
        async with Gateway(settings, limits, keys, record=record, recall=recall) as gateway:

            def speak(call: Call, settings: Settings, gateway: Gateway = gateway) -> Awaitable[str]:
                return gateway.ask(call)

            mode = MODES["evolve"]
            graphs = exchange_graph(mode, speak), conversation_graph(mode, speak)
            outcomes.append(await evolve_sample(sample, *graphs, settings))
        new_records.append(made)
        replies = {address(new.call, new.request): new.reply for new in made}
    assert len(new_records[0]) == len(server.chats()) >= 8
    assert new_records[1] == []
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0]["rounds"]
