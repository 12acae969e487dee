"""A run with a prompt pack that takes too much work on some records."""

import asyncio
import json
import shutil
from pathlib import Path

from graph.settings import Settings
from prompts.pack import load_pack
from runners.api import arun, load_run
from tests.program import coevol


def test_only_the_samples_fail_that_it_cannot_show(tmp_path: Path) -> None:
    pack = Path(shutil.copytree(load_pack("default").folder, tmp_path / "pack"))
    system = pack / "_system.jinja"
    squared = "{% for a in instruction %}{% for b in instruction %}{% endfor %}{% endfor %}\n"
    system.write_text(squared + system.read_text(encoding="utf-8"), encoding="utf-8")
    records = [
        {"id": str(number), "instruction": "Why? " * (1_000 if number == 1 else 1), "output": "So."}
        for number in range(3)
    ]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(records), encoding="utf-8")
    settings = Settings(prompts=str(pack), max_rounds=1)
    asyncio.run(arun(data, tmp_path / "run", settings, notify=lambda _: None))
    rows = [*load_run(tmp_path / "run").samples()]
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["failure_kind"] == "no prompt"
    assert "_system.jinja, line 1: this takes more work than a prompt may" in rows[1]["reason"]


def test_a_command_refuses_it_at_the_start(tmp_path: Path) -> None:
    pack = Path(shutil.copytree(load_pack("default").folder, tmp_path / "pack"))
    (pack / "_system.jinja").write_text("\n{% for a in range(99999) %}{{ system * 99999 }}{% endfor %}")
    (tmp_path / "data.json").write_text('[{"instruction": "Why?", "output": "So."}]')
    ended = coevol("evolve", "data.json", "-o", "run", "--prompts", pack, cwd=tmp_path, status=2)
    assert "_system.jinja, line 2: this takes more work than a prompt may" in ended.stderr
    assert not (tmp_path / "run").exists()
