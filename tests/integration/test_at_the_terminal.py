"""What people meet at the terminal: help, completion, progress, and what to do next."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.limits.rate_limiter import WaitReason
from runners.engine import Tally
from runners.progress import describe, fitting
from tests.conftest import look
from tests.program import EXAMPLES, ROOT, records, write
from tests.terminal import on_a_terminal

DATA = EXAMPLES / "alpaca_en.json"


def test_the_help_of_evolve_is_in_groups_and_begins_with_examples(tmp_path: Path) -> None:
    text = look("evolve", "--help", cwd=tmp_path).stdout
    groups = re.split(r"^(\w+):\n", text, flags=re.MULTILINE)[1:]
    by_group = dict(zip(groups[::2], groups[1::2], strict=True))
    assert list(by_group) == ["Examples", "Data", "Models", "Method", "Limits", "Run"]
    for group, option in (
        *(("Data", "--format"), ("Data", "--stop"), ("Models", "--model"), ("Models", "--max-tokens")),
        *(("Method", "--mode"), ("Method", "--max-rounds"), ("Limits", "--budget"), ("Run", "--output")),
    ):
        assert f"{option} " in by_group[group], (group, option)
    assert len(re.findall(r"^  coevol evolve .*-o ", by_group["Examples"], re.MULTILINE)) >= 2

    for group in ("Examples", "Data"):
        assert all(len(line) <= 80 for line in by_group[group].splitlines() if "coevol" in line)
    assert "--format FORMAT" in by_group["Data"] and "docs/data.md" in by_group["Data"]
    assert "argues for the response" in " ".join(by_group["Method"].split())


@pytest.mark.parametrize("command", ["check", "trial"])
def test_the_help_of_other_commands_with_many_options_is_in_groups(command: str, tmp_path: Path) -> None:
    text = look(command, "--help", cwd=tmp_path).stdout
    groups = re.findall(r"^(\w+):$", text, flags=re.MULTILINE)
    assert [group for group in ("Models", "Method", "Run") if group in groups] == ["Models", "Method", "Run"]


def test_a_command_that_is_nearly_one_is_named(tmp_path: Path) -> None:
    refused = look("evolv", "data.json", cwd=tmp_path, status=2)
    assert "No such command 'evolv'. Did you mean 'evolve'?" in refused.stderr


@pytest.mark.parametrize("when", ["before", "in"])
def test_an_interrupt_before_the_first_call_is_said_in_one_line(when: str, tmp_path: Path) -> None:
    # The interpreter is interrupted where it would load click, or where the command is loaded.
    module = {"before": "click", "in": "runners.evolve"}[when]
    program = f"""
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from runners.cli import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, "evolve", DATA, "-o", "run"],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 3
    assert ended.stderr.strip() == "coevol: interrupted; the same command goes on"


def test_the_shell_completes_without_loading_commands(tmp_path: Path) -> None:
    def completed(words: str) -> list[str]:
        count = str(len(words.split()) - (not words.endswith(" ")))
        env = {"_COEVOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        return look(cwd=tmp_path, env=env).stdout.split()

    assert completed("coevol ev") == ["plain,evolve"]
    assert {"plain,view", "plain,completion"} <= set(completed("coevol "))
    assert "plain,--max-rounds" in completed("coevol evolve data.json --max-r")
    assert "plain,refine" in completed("coevol evolve data.json --mode re")
    assert completed("coevol evolve da") == ["file,da"]
    for words, offered in {
        "evolve d --verdict ": {"compare", "score"},
        "evolve d --guards o": {"on", "off"},
        "evolve d --thinking o": {"on", "off"},
        "evolve d --service-tier ": {"flex", "priority", "default"},
        "evolve d --model v": {"vllm:"},
        "evolve d --model judge=o": {"judge=openai:"},
        "evolve d --model ed": {"editor="},
        "evolve d --prompts c": {"classic"},
        "evolve d --check ": {"exact", "math"},
        "trial d --arms edit,ref": {"edit,refine"},
    }.items():
        assert set(completed(f"coevol {words}")) == {f"plain,{word}" for word in offered}, words
    assert completed("coevol evolve d --prompts my") == ["file,my"]
    assert completed("coevol show none ") == []


def test_the_ids_of_a_run_are_completed(tmp_path: Path) -> None:
    ids = ["train-1", "train-2", "other", "two words", "\x1b[2J"]
    some = [record | {"id": name} for record, name in zip(records(5), ids, strict=True)]
    words = ("evolve", write(tmp_path / "data.json", some), "-o", "run", "--mode", "edit", "--no-clean")
    look(*words, "--guards", "off", cwd=tmp_path)
    env = {"_COEVOL_COMPLETE": "bash_complete", "COMP_WORDS": "coevol show run ", "COMP_CWORD": "3"}
    assert look(cwd=tmp_path, env=env).stdout.split() == ["plain,train-1", "plain,train-2", "plain,other"]
    env |= {"COMP_WORDS": "coevol show run t"}
    assert look(cwd=tmp_path, env=env).stdout.split() == ["plain,train-1", "plain,train-2"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_by_one_command(shell: str, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "SHELL": f"/bin/{shell}", "XDG_CONFIG_HOME": ""}
    rc = tmp_path / f".{shell}rc"
    rc.write_text("alias a=b")
    for _ in range(2):  # the second time changes nothing
        look("completion", "--install", cwd=tmp_path, env=env)
    if shell == "fish":
        assert "_COEVOL_COMPLETE" in (tmp_path / ".config/fish/completions/coevol.fish").read_text()
        return
    alias, line = rc.read_text().splitlines()
    file = tmp_path / ".config" / "coevol" / f"completion.{shell}"
    assert alias == "alias a=b" and f"source {file}" in line
    assert file.read_text() == look("completion", shell, cwd=tmp_path).stdout
    if shell == "bash" and shutil.which("bash"):
        asked = ["bash", "--norc", "-c", f"{line}; complete -p coevol"]
        assert "_coevol_completion" in subprocess.run(asked, capture_output=True, text=True).stdout


def test_which_shell_is_asked_where_it_is_unknown(tmp_path: Path) -> None:
    refused = look("completion", cwd=tmp_path, env={"SHELL": ""}, status=2)
    assert "which shell? coevol completion bash|zsh|fish" in refused.stderr


def test_a_run_ends_with_what_to_do_next(tmp_path: Path) -> None:
    ended = look("evolve", DATA, "-o", "my run", "--stop", 2, cwd=tmp_path)
    first, *commands = ended.stdout.splitlines()
    assert first == "Next:" and commands[0] == "  coevol view 'my run'"
    # What was played by rules is said again, where it is still in sight.
    assert ended.stderr.splitlines()[-1].startswith("rehearsal: ")
    assert "--model PROVIDER:NAME" in ended.stderr.splitlines()[-1]


def test_drafts_that_will_not_fit_are_counted_before_the_run(tmp_path: Path) -> None:
    some = records(4)
    some[1]["output"] = "many words " * 400
    some[3]["output"] = "请写一句话。" * 400
    words = ("evolve", write(tmp_path / "data.json", some), "-o", "run", "--dry-run")
    notice = "50.0 % of the 4 records have a response of more than 300 tokens"
    assert notice in look(*words, "--max-tokens", 300, cwd=tmp_path).stderr
    assert "have a response" not in look(*words, "--max-tokens", 3000, cwd=tmp_path).stderr
    # Of the part that is worked on.
    assert "100.0 % of the 1 records" in look(*words, "--max-tokens", 300, "--start", 3, cwd=tmp_path).stderr


@pytest.mark.parametrize("width", [50, 130])
def test_progress_is_a_bar_and_one_line_that_fits(width: int, tmp_path: Path) -> None:
    words = ("evolve", DATA, "-o", "run", "--mode", "evolve")
    (written,) = on_a_terminal(words, cwd=tmp_path, env={"COLUMNS": str(width)})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    bars = [line for line in re.split(r"[\r\n]+", plain) if "━" in line]
    assert bars and all(len(line) <= width for line in bars), bars
    assert re.search(r"\d/12 samples", bars[-1])


@pytest.mark.parametrize("width", [60, 90])
def test_a_limit_that_a_run_waits_for_is_on_the_line(width: int, tmp_path: Path) -> None:
    words = ("evolve", DATA, "-o", "run", "--stop", 3, "--mode", "edit", "--rpm", 40)
    (written,) = on_a_terminal(words, cwd=tmp_path, env={"COLUMNS": str(width)})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain) if " waiting (" in line]
    assert lines and all(len(line) <= width for line in lines)
    assert re.search(r"\d/3 samples · \d waiting \([^…]*--rpm[^…]*\)", lines[0]), lines


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_a_run_waits_for_is_seen_at_any_width(width: int) -> None:
    until = time.time() + 60
    waiting = [WaitReason(52, "rate limit of openai:gpt-5.4", until)]
    tally = Tally(samples=640, modes=["evolve"])
    parts = describe(tally, 12, waiting)
    assert parts[0] == "0/640 samples" and parts[1].startswith(
        "52 waiting (rate limit of openai:gpt-5.4 until "
    )
    shown = fitting(parts, 2, width)
    needed = " · ".join(parts[:2])
    assert shown.startswith(needed)
    assert len(shown) <= max(width, len(needed))
    # What does not fit is left out as a whole.
    assert set(shown.split(" · ")) <= set(parts)
    assert (shown == needed) == (width < 100)
    assert fitting(parts, 2, 500) == " · ".join(parts)


def test_a_narrow_terminal_cuts_no_number(tmp_path: Path) -> None:
    look("evolve", DATA, "-o", "run", cwd=tmp_path)
    numbers = numbers_of(look("stats", "run", cwd=tmp_path).stdout)
    assert {"204", "78,068", "1.37×"} <= set(numbers)
    for width in (30, 80):
        (written,) = on_a_terminal(["stats", "run"], cwd=tmp_path, env={"COLUMNS": str(width)})
        assert "…" not in written
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.partition("\nended")[0])
        assert numbers_of(plain) == numbers
    assert max(map(len, plain.splitlines())) <= 80


def numbers_of(stats: str) -> list[str]:
    return sorted(re.findall(r"(?<!\S)[\d,.]+×?(?!\S)", stats.partition("Results")[2]))
