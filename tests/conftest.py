"""Runs that several tests look at (none of them changes one), a quick way to look, and a disk of its own."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from runners.cli import main
from samples.sample import Sample
from standin import StandIn
from tests.program import EXAMPLES
from tests.vllm_server import VllmServer, require_vllm

# No test speaks TLS, and each HTTP client takes 20 ms to load the system's certificates.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

FAILING: list[dict[str, Any]] = [
    {
        "id": "middle",
        "source": "test",
        "conversations": [
            {"from": "human", "value": "Name a fruit."},
            {"from": "gpt", "value": "Apple."},
            {"from": "human", "value": "Name a withheld vegetable."},
            {"from": "gpt", "value": "Carrot."},
            {"from": "human", "value": "Name a tree."},
            {"from": "gpt", "value": "Oak."},
        ],
    },
    {"id": "tool", "conversations": [{"from": "function_call", "value": "{}"}], "tools": "[]"},
    {
        "id": "\x1b]0;owned\x07[bold]x[/bold]",
        "conversations": [
            {
                "from": "human",
                "value": "Say \x1b[31mred\x1b[0m, [bold]not bold[/bold], \u202eno\u202c :smile:.",
            },
            {"from": "gpt", "value": "\x9b2J\rred\x00"},
        ],
    },
]
"""A conversation whose second exchange fails, a record that is skipped, and texts to command a terminal."""


HOSTILE = """# <script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2"> <svg onload="window.hacked = 3"></svg> {{ constructor }}
<iframe srcdoc="<script>parent.hacked = 4</script>"></iframe><style>body { display: none }</style>
[click](javascript:window.hacked=5) [data](data:text/html,<script>window.hacked=6</script>)
<a href="javascript:1">a</a>
![picture](http://192.0.2.1/spy.png) </div></template><script>window.hacked = 7</script>

```mermaid
graph TD; A["<img src=x onerror='window.hacked = 8'>"]; click A "javascript:window.hacked=9"
```

<div class="fixed inset-0" style="position: fixed" onclick="window.hacked = 10">over all</div>
"""
"""A text that would do harm to a page if it could."""


def look(
    *words: object, cwd: Path, env: Mapping[str, str] | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `coevol` in this process, which takes a fraction of the time of a separate one."""
    streams = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in streams)
    given, sys.argv = sys.argv, ["coevol", *map(str, words)]
    try:
        with (
            pytest.MonkeyPatch.context() as environment,
            chdir(cwd),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            for name, value in (env or {}).items():
                environment.setenv(name, value)
            main()
    finally:
        sys.argv = given
    output, errors = (stream.getvalue().decode() for stream in streams)
    assert ended.value.code == status, errors
    return subprocess.CompletedProcess(["coevol", *map(str, words)], status, output, errors)


def evolved(run: Path) -> list[tuple[Sample, list[dict[str, Any]]]]:
    """The samples of a run with their outcome in mode evolve, skipped ones left out."""
    found = Ledger.open(run / "ledger.sqlite").samples()
    return [(sample, by_mode["evolve"].outcome) for sample, by_mode in found if "evolve" in by_mode]


@pytest.fixture(scope="session")
def modes_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The English Alpaca examples in modes edit and evolve, rehearsed."""
    folder = tmp_path_factory.mktemp("modes")
    words = ("--mode", "edit", "--mode", "evolve", "-o", "run")
    look("evolve", EXAMPLES / "alpaca_en.json", *words, cwd=folder)
    return folder / "run"


@pytest.fixture(scope="session")
def failing_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of `FAILING`; the judge always prefers the draft."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "data.json").write_text(json.dumps(FAILING), encoding="utf-8")
    with StandIn("content_filter:word=withheld", wins=1.0) as server:
        words = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "-o", "run")
        bounds = ("--history-window", 1, "--max-rounds", 2)
        look("evolve", "data.json", *words, *bounds, cwd=folder, env=server.environment(), status=1)
    return folder / "run"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1,200 KiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.fixture(scope="session")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples that would do harm if they could, in scripts of all directions, and one of 1 MB."""
    folder = tmp_path_factory.mktemp("odd")
    records = [
        {
            "id": "<script>window.hacked = 11</script>",
            "instruction": HOSTILE,
            "input": HOSTILE,
            "output": HOSTILE,
            "system": HOSTILE,
        },
        {"id": '"><img src=x onerror="window.hacked = 12">', "instruction": "", "output": HOSTILE},
        {"instruction": "请写一句话。", "output": "今天天气很好。"},
        {"instruction": "قل شيئا", "output": "مرحبا بك في العالم\n\n- الأول\n- الثاني"},
        {"instruction": "Write much.", "output": "many words " * 95_000},
    ]
    (folder / "odd.json").write_text(json.dumps(records))
    run = folder / "<img src=x onerror=window.hacked=13>"
    modes = ("--mode", "evolve", "--mode", "edit")
    look("evolve", folder / "odd.json", "-o", run, "--rehearsal-wins", 1, *modes, cwd=folder)
    return run


@pytest.fixture(scope="session")
def vllm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VllmServer, VllmServer]]:
    """Two vLLM servers, started at the same time; only the first is waited for."""
    require_vllm()
    with ExitStack() as running:
        first, second = (VllmServer(tmp_path_factory.mktemp("vllm") / "log") for _ in range(2))
        running.callback(first.stop)
        running.callback(second.stop)
        yield first.wait(), second
