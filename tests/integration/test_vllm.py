"""Runs against real vLLM servers with a tiny model, whose text is noise and whose protocol is real.

Two servers for the whole file, started with `coevol serve`; most tests need one. Left to itself the model
never ends a reply, so each is cut off at `--max-tokens`; `ENDING` makes it end.
"""

import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ledger.ledger import Ledger
from tests.program import DATA, coevol, start

KIT = DATA.parent / "vllm-cpu" / "setup"
START = 300.0
"""Seconds that the server may take to start; it takes about 80 where it has two processors to itself."""

ENDING = ("--extra-body", json.dumps({"min_tokens": 12, "logit_bias": {"1": 100}}))
"""Makes the tiny model end each reply after twelve tokens: its token 1 is the end."""


class Served:
    """A vLLM server that serves the model `tiny`, in processes of its own."""

    def __init__(self, built: str, log: Path) -> None:
        self._built, self._log = built, log
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
        path = {"PATH": f"{self._built}/venv/bin{os.pathsep}{os.environ['PATH']}"}
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from runners.cli import main; main()"),
                    *("serve", f"{self._built}/tiny", "--port", str(self.port), "--"),
                    *("--served-model-name", "tiny"),
                    *("--dtype", "float32", "--max-model-len", "4096", "--block-size", "32"),
                ],
                env=os.environ | settings | path,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> Self:
        """Return once it is up."""
        ends = time.monotonic() + START
        while not _healthy(self.port):
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < ends, self._log.read_text()[-3000:]
            time.sleep(0.5)
        return self

    def said(self) -> list[str]:
        return self._log.read_text().splitlines()

    def replies(self) -> int:
        """How many replies it gave since it was started; 0 where it is not up."""
        with suppress(URLError, OSError):
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                page = answer.read().decode()
            found = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", page, re.MULTILINE)
            return int(sum(map(float, found)))
        return 0

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two servers, which start at once; only the first is waited for."""
    if not KIT.exists():
        pytest.skip("there is no kit for a server here")
    built = subprocess.run([KIT], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    with ExitStack() as running:
        logs = [tmp_path_factory.mktemp("vllm") / "log" for _ in range(2)]
        first, second = (Served(built, log) for log in logs)
        running.callback(first.stop)
        running.callback(second.stop)
        yield first.wait(), second


@pytest.fixture(scope="session")
def vllm(servers: tuple[Served, Served]) -> str:
    """The base URL of a vLLM server that serves the model `tiny`."""
    server, _ = servers
    said, port = server.said(), server.port
    built, served = shlex.split(said[0])[0].removesuffix("/venv/bin/vllm"), f"http://127.0.0.1:{port}/v1"
    assert shlex.split(said[0])[:7] == [
        f"{built}/venv/bin/vllm", "serve", f"{built}/tiny", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    assert f"--model vllm:tiny --base-url {served}" in said[1]
    return served


def _healthy(port: int) -> bool:
    with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def evolve(
    vllm: str,
    folder: Path,
    *options: object,
    model: str = "tiny",
    data: Path | None = None,
    status: int = 0,
) -> str:
    """What `coevol evolve` says of a run over the server, into `run` in this folder."""
    words = ("--model", f"vllm:{model}", "--base-url", vllm, "--max-tokens", 64, *options)
    path = data or DATA / "alpaca_en_300.json"
    return coevol("evolve", path, "-o", "run", *words, cwd=folder, status=status).stderr


def results(folder: Path) -> list[Any]:
    ledger = Ledger.open(folder / "run" / "ledger.sqlite")
    return [result for _, by_mode in ledger.samples() for result in by_mode.values()]


def calls(folder: Path, columns: str) -> list[Any]:
    with sqlite3.connect(folder / "run" / "ledger.sqlite") as ledger:
        return ledger.execute(f"SELECT {columns} FROM calls ORDER BY number").fetchall()


def test_drafts_that_never_end_are_failures_and_are_on_record(vllm: str, tmp_path: Path) -> None:
    said = evolve(vllm, tmp_path, "--stop", 3, status=1)
    assert "3 failed" in said
    assert [result.status for result in results(tmp_path)] == ["failed"] * 3
    for result in results(tmp_path):
        assert result.reason.startswith("truncated: ")
        assert "Raise --max-tokens" in result.reason
        (exchange,) = result.outcome
        assert exchange["response"] == exchange["original"]
    made = calls(tmp_path, "step, finish_reason, output_tokens, failure IS NOT NULL")
    assert {(finish, tokens) for _, finish, tokens, _ in made} == {("length", 64)}
    assert Counter(step for step, *_, failed in made if failed) == {"editor": 3}


def test_twenty_records_are_evolved(vllm: str, tmp_path: Path) -> None:
    evolve(vllm, tmp_path, "--stop", 20, "--concurrency", 8, *ENDING)
    found = results(tmp_path)
    assert [result.status for result in found] == ["done"] * 20
    # The model writes noise, but its verdicts are held to their form.
    rounds = [round_ for result in found for round_ in result.outcome[0]["rounds"]]
    assert all(round_["forward"]["points"] and round_["reversed"]["points"] for round_ in rounds)
    made = calls(tmp_path, "step, finish_reason, attempts, input_tokens, output_tokens, cached_tokens")
    assert {row[1:3] for row in made} == {("stop", 1)}
    assert all(asked > 0 and said > 0 for *_, asked, said, _ in made)
    # The server says of every reply how much of the prompt it had in its cache, in blocks of 32 tokens; the
    # free debate begins with the whole opening.
    assert all(cached is not None and cached % 32 == 0 for *_, cached in made)
    free = [row for row in made if row[0] in ("positive_free", "critical_free")]
    assert all(cached > asked / 2 for *_, asked, _, cached in free)

    coevol("export", "run", "-o", "better.json", cwd=tmp_path)
    before = json.loads((DATA / "alpaca_en_300.json").read_text(encoding="utf-8"))[:20]
    after = json.loads((tmp_path / "better.json").read_text(encoding="utf-8"))
    responses = [result.outcome[0]["response"] for result in found]
    assert [record["output"] for record in after] == responses
    assert [{**record, "output": ""} for record in after] == [{**record, "output": ""} for record in before]
    assert "20" in coevol("stats", "run", cwd=tmp_path).stdout

    again = evolve(vllm, tmp_path, "--stop", 20, *ENDING)
    assert " 0 calls" in again


def test_what_does_not_fit_the_context_costs_its_sample_alone(vllm: str, tmp_path: Path) -> None:
    long = {"instruction": "Shorten this.", "input": "", "output": "many words " * 4000}
    short = {"instruction": "Name a fruit.", "input": "", "output": "Apple."}
    data = tmp_path / "data.json"
    data.write_text(json.dumps([short, long, short]), encoding="utf-8")
    said = evolve(vllm, tmp_path, *ENDING, data=data, status=1)
    assert "1 failed" in said
    assert [result.status for result in results(tmp_path)] == ["done", "failed", "done"]
    assert results(tmp_path)[1].reason.startswith("too long: ")


def test_a_debate_that_does_not_fit_the_context_is_shortened(vllm: str, tmp_path: Path) -> None:
    # Debaters end after 600 tokens of noise: four speeches are too much beside pack and record.
    speeches = json.dumps({"min_tokens": 600, "logit_bias": {"1": 100}})
    words = ("--extra-body", f"positive={speeches}", "--extra-body", f"critical={speeches}")
    evolve(vllm, tmp_path, "--stop", 2, "--max-rounds", 1, *ENDING, *words, "--max-tokens", 700)
    assert [result.status for result in results(tmp_path)] == ["done"] * 2
    made = calls(tmp_path, "step, shortened_to, attempts, input_tokens")
    assert {attempts for _, _, attempts, _ in made} == {1}
    advisors = [row for row in made if row[0] == "advisor"]
    assert len(advisors) == 2
    assert all(to and 3000 < tokens <= 4096 - 700 for _, to, _, tokens in advisors)
    assert "the debate was shortened" in coevol("stats", "run", cwd=tmp_path).stdout


def test_a_model_that_is_not_served_stops_the_run(vllm: str, tmp_path: Path) -> None:
    said = evolve(vllm, tmp_path, "--stop", 20, model="tinier", status=3)
    assert said.count("coevol: stopped: ") == 1
    assert "vllm:tinier" in said
    assert "Check the model's name" in said


def test_a_check_tells_what_the_server_is(vllm: str, tmp_path: Path) -> None:
    said = coevol("check", "--model", "vllm:tiny", "--base-url", vllm, *ENDING, cwd=tmp_path).stdout
    assert "4,096 tokens" in said


def test_of_two_replicas_one_is_killed_in_the_middle(servers: tuple[Served, Served], tmp_path: Path) -> None:
    first, second = servers[0], servers[1].wait()
    before = first.replies()

    def kill() -> None:
        while second.replies() < 20:
            time.sleep(0.05)
        second.kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    two = ("--base-url", second.base_url, "--concurrency", 16)
    said = evolve(first.base_url, tmp_path, "--stop", 24, *two, *ENDING)
    killer.join()
    assert [result.status for result in results(tmp_path)] == ["done"] * 24
    assert f"vllm 127.0.0.1:{second.port} down since" in said
    made = calls(tmp_path, "attempts, failure")
    assert {failure for _, failure in made} == {None}
    # What was in flight there was asked again, of the other one.
    assert 1 < max(attempts for attempts, _ in made) <= 4
    assert len(made) - 60 <= first.replies() - before < len(made)


@pytest.mark.long
def test_a_replica_that_is_started_again_is_given_work(
    servers: tuple[Served, Served], tmp_path: Path
) -> None:
    first, second = servers
    second.stop()
    second.start()
    words = ("evolve", DATA / "alpaca_en_300.json", "-o", "run", "--model", "vllm:tiny", *ENDING)
    two = ("--base-url", first.base_url, "--base-url", second.base_url)
    run = start(*words, *two, "--max-tokens", 64, "--concurrency", 4, cwd=tmp_path)
    second.wait()
    while second.replies() < 10:
        assert run.poll() is None, "the run is over, and no work came"
        time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 3, said
    assert {result.status for result in results(tmp_path)} == {"done"}


def test_without_vllm_serve_says_what_to_install(tmp_path: Path) -> None:
    refused = coevol("serve", "tiny", cwd=tmp_path, env={"PATH": str(tmp_path)}, status=2)
    assert "vllm is not installed: pip install 'coevol[vllm]'" in refused.stderr
