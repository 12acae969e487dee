"""What people meet at the terminal: help, completion, progress, and what to do next."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import look
from tests.program import EXAMPLES, records, write
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
