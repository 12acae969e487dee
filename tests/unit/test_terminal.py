"""What may be printed: one function decides, one module prints."""

import ast
import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from runners.console import SafeConsole
from runners.terminal import guard, say_json
from samples.printable import printable
from tests.program import ROOT
from tests.terminal import COMMANDING, HONEST, commands_in

PACKAGES = ("graph", "ledger", "models", "nodes", "prompts", "reporting", "runners", "samples", "viewer")
PROGRAMS = {"nodes/math_worker.py", "nodes/sandbox.py"}
"""Programs of their own, whose output a program reads."""

PRINTERS = {"runners/terminal.py", "runners/console.py", "runners/interrupted.py", *PROGRAMS}

PRINTING = {
    "print", "Console", "click.echo", "click.secho", "click.prompt", "click.confirm", "click.progressbar",
    "click.get_text_stream", "click.get_binary_stream", "sys.stdout", "sys.stderr", "sys.__stdout__",
    "sys.__stderr__", "os.write", "rich.print", "traceback.print_exc", "traceback.print_exception",
    "pprint", "logging.basicConfig", "logging.StreamHandler",
}  # fmt: skip


def test_nothing_is_printed_around_the_one_module() -> None:
    found = []
    for file in [ROOT / "coevol.py", *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))]:
        where = file.relative_to(ROOT).as_posix()
        if where in PRINTERS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in PRINTING:
                found.append(f"{where}:{node.lineno}: {ast.unparse(node)}")
    assert not found


@pytest.mark.parametrize("text", COMMANDING)
def test_what_commands_a_terminal_is_escaped(text: str) -> None:
    assert not commands_in(printable(text))
    assert "\\" in printable(text)
    assert printable(printable(text)) == printable(text)


@given(st.text())
def test_any_text_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert not commands_in(shown)
    shown.encode()


@pytest.mark.parametrize(
    "text", [HONEST, "हिन्दी क्\u200dष", "ภาษา\u200bไทย", "1️⃣ #️⃣ ☎︎", "葛\U000e0100城", "a\tb\n", "ᠮᠣᠩ\u180bᠭᠣᠯ"]
)
def test_writing_and_emoji_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text", ["pay\u200dpal", "\u200c", "a\ufe0f", "❤\ufe0f\ufe0e", "🏴\U000e0078\U000e007f", "世\u200b界"]
)
def test_what_is_not_seen_is_shown_where_no_writing_needs_it(text: str) -> None:
    assert printable(text) != text


def guarded(monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False) -> io.StringIO:
    """Standard streams, guarded, into one text."""
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setattr(sys, "stderr", written)
    guard()
    return written


def test_what_libraries_write_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = guarded(monkeypatch)
    for text in COMMANDING:
        print(text)
        print(text, file=sys.stderr)
        sys.stderr.writelines([text])
        logging.StreamHandler().emit(logging.LogRecord("x", 40, "f", 1, text, (), None))
        sys.__excepthook__(ValueError, ValueError(text), None)
    assert len(written.getvalue()) > 800
    assert not commands_in(written.getvalue())


def test_only_a_progress_bar_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    written = guarded(monkeypatch, terminal=True)
    for part in ("\r 10 %", "\r\x1b 20 %", "\r\n", "label: ", "\rhidden", "\n", "\rbar", " more", "\r", "\r"):
        sys.stderr.write(part)
    assert written.getvalue() == "\r 10 %\r\\x1b 20 %\r\nlabel: \\rhidden\n\rbar more\r\r"


def test_a_console_writes_its_own_codes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    written = guarded(monkeypatch, terminal=True)
    for text in COMMANDING[:6]:
        SafeConsole().print(Text(text, "bold red"))
        SafeConsole().print(f"[link=http://x]{text}")
    assert "\x1b[1;31m" in written.getvalue()
    assert not commands_in(written.getvalue())


def test_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    written = guarded(monkeypatch)
    value = {text: [text] for text in (*COMMANDING, HONEST)}
    say_json(value)
    assert json.loads(written.getvalue()) == value
    assert written.getvalue().isascii() and "\x7f" not in written.getvalue()
