"""Checks in processes of their own: what they decide, and that nothing they do hangs or leaks."""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nodes import checks
from nodes.checks import Candidate, Checks, CheckUnusable, Outcome, require_check

COMMAND = """
import json, os, socket, sys, time
record = json.load(sys.stdin)
match record["do"]:
    case "compare": sys.exit(0 if record["response"] == record["reference"] else 1)
    case "say": print(json.dumps([record, dict(os.environ), os.getcwd()]), file=open(record["to"], "w"))
    case "explain": print("much\\nit is 72", file=sys.stderr); sys.exit(1)
    case "status": print("no such unit", file=sys.stderr); sys.exit(3)
    case "raise": os.kill(os.getpid(), 9)
    case "eat": bytearray(64 << 30)
    case "write":
        with open("big", "wb", buffering=0) as file:
            for _ in range(100): file.write(bytes(1 << 20))
    case "flood":
        for _ in range(200): sys.stderr.write("x" * (1 << 20))
    case "spin":
        while True: pass
    case "hang":
        for _ in range(3):
            if not os.fork():
                os.setsid()
                time.sleep(600)
        print(os.getpid(), file=sys.stderr, flush=True)
        time.sleep(600)
    case "call":
        try: socket.create_connection(("127.0.0.1", record["port"]), 2)
        except OSError: sys.exit(1)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "check.py").write_text(COMMAND, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    monkeypatch.setattr(checks, "SECONDS", 2)
    monkeypatch.setattr(checks, "LARGEST_FILE", 8 << 20)
    return f"{sys.executable} -S check.py"


def check(check: str, response: str, *references: str, **record: Any) -> Outcome | None:
    async def checked() -> Outcome | None:
        with Checks() as made:
            return await made(check, Candidate(response, references, {"id": "a", **record}))

    return asyncio.run(checked())


def test_a_command_is_given_the_record_and_says_whether_it_agrees(command: str, tmp_path: Path) -> None:
    assert check(command, "72", "72", do="compare") == Outcome(agrees=True)
    assert check(command, "71", "72", do="compare") == Outcome(agrees=False)
    assert check(command, "71", "72", do="explain") == Outcome(agrees=False, remark="it is 72")
    assert check(command, "7 \ud800", "72", "73", do="say", to=str(tmp_path / "said"), n=[1]) == Outcome(True)
    given, environment, folder = json.loads((tmp_path / "said").read_text())
    assert given["response"][:2] == "7 "
    assert (given["reference"], given["n"], given["id"]) == (["72", "73"], [1], "a")
    assert check(command, "72", do="say", to=str(tmp_path / "said")) == Outcome(agrees=True)
    assert json.loads((tmp_path / "said").read_text())[0]["reference"] is None
    assert "OPENAI_API_KEY" not in environment
    assert environment["HOME"] == folder != str(tmp_path)
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("do", "remark"),
    [
        ("status", "status 3: no such unit"),
        ("raise", "ended by SIGKILL"),
        ("spin", "ended"),
        ("hang", "ended"),
    ],
)
def test_a_command_that_fails_comes_to_no_result(command: str, do: str, remark: str) -> None:
    began = time.monotonic()
    outcome = check(command, "72", "72", do=do)
    assert outcome
    assert outcome.agrees is None
    assert outcome.remark.startswith(remark)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("do", ["eat", "write", "flood"])
def test_a_command_has_limits(command: str, do: str) -> None:
    outcome = check(command, "72", "72", do=do)
    assert outcome
    assert not outcome.agrees


def test_a_command_has_no_network(command: str) -> None:
    if not isolates():
        pytest.skip("namespaces are not allowed here")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert check(command, "72", do="call", port=server.getsockname()[1]) == Outcome(agrees=False)


def test_nothing_that_a_command_starts_outlives_it(command: str, tmp_path: Path) -> None:
    if not isolates():
        pytest.skip("namespaces are not allowed here")
    check(command, "72", do="hang")
    assert not [program for program, _ in running() if str(tmp_path) in program]


def isolates() -> bool:
    """Whether a process may have namespaces of its own here."""
    own = Path("/proc/self/ns/net")
    show = [sys.executable, "-S", "-c", f"import os; print(os.readlink('{own}'))"]
    sandbox = Path(checks.__file__).with_name("sandbox.py")
    words = [sys.executable, "-I", "-S", sandbox, *"00000", *show]
    shown = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    return own.exists() and shown not in ("", str(own.readlink()))


def running() -> list[tuple[str, int]]:
    """Return the command of each process, and its parent."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            found.append(((folder / "cmdline").read_text(), int(parent)))
        except OSError:
            continue
    return found


def test_a_command_that_cannot_be_used(command: str, tmp_path: Path) -> None:
    for wrong, why in (
        ("nosuch", "'nosuch' is not found"),
        ("check.py", "is a file: begin with its interpreter"),
        ("'", "nor a command"),
        (" ", "is not found"),
    ):
        with pytest.raises(CheckUnusable, match=why):
            require_check(wrong)
    require_check(command)

    async def tried(do: str) -> None:
        with Checks() as made:
            await made.try_out(command, Candidate("72", (), {"id": "first", "do": do}))

    asyncio.run(tried("explain"))
    with pytest.raises(CheckUnusable, match="record first with its own response: status 3: no such unit"):
        asyncio.run(tried("status"))
    with pytest.raises(CheckUnusable, match="not in Studio"):
        asyncio.run(Checks(commands=False)(command, Candidate("72", (), {"id": "a"})))


MATH = [
    ("The answer is $\\frac{\\sqrt{2}}{2}$.", "\\frac{1}{\\sqrt{2}}", True),
    ("\\boxed{(x+1)^2}", "x^2+2x+1", True),
    ("\\boxed{\\{2, 1\\}}", "\\{1,2\\}", True),
    ("所以他们一共有 $\\dfrac{3}{4}$ 千克。", "0.75", True),
    ("答案：$\\frac{1}{2}$", "50\\%", True),
    ("So\n#### 72 dollars in 5 days", "\\frac{144}{2}", True),
    ("Answer: $[1, 2)$", "(1,2]", False),
    ("\\boxed{9^9^9^9}", "4", False),
    ("\\boxed{" + "\\frac{1}{" * 50 + "1" + "}" * 51, "4", False),
    ("Paris", "4", False),
]


def test_math_compares_values_and_survives_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("math_verify")
    monkeypatch.setattr(checks, "_MATH_CPU", 1)

    async def compare() -> None:
        with Checks() as made:
            await made.try_out("math", None)
            for draft, reference, agrees in MATH:
                outcome = await made("math", Candidate(draft, [reference], {}))
                assert outcome
                assert bool(outcome.agrees) is agrees, draft
            hangs = await made("math", Candidate("\\boxed{9^{9^{9^9}}}", ["9^{9^{9^8}}"], {}))
            assert hangs
            assert not hangs.agrees
            again = await made("math", Candidate("\\boxed{\\frac{2}{4}}", ["0.5"], {}))
            assert again == Outcome(agrees=True)

    asyncio.run(compare())
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY  # only the worker's is lower
    assert not [program for program, parent in running() if parent == os.getpid() and "worker" in program]
