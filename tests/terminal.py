"""A terminal, and texts that would command it."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.program import ROOT

COMMANDING = (
    "\x1b]52;c;b3duZWQ=\x07",  # writes to the clipboard
    "\x1b[5;35mblink\x1b[2J",
    "\x9b3;1Hc1\x85\u0080",
    "\u202egnp.exe\u202c\u2066\u200e\u200f\u061c",
    "over\rwritten\x08\x7f\x0b\x0c\x1f",
    "a\u2028b\u2029c",
    "zero\u200bwidth\ufeff\u2060\u00ad\U000e0041",
)
"""Texts of each kind that must not reach a terminal as they are."""

HOSTILE = "⟪" + " ".join(COMMANDING) + "⟫"

HONEST = (
    "你好，世界 مرحبا بالعالم می\u200cخواهم 👨\u200d👩\u200d👧 ❤️ naïve "
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
)
"""What is to be read as it is."""

_OURS = re.compile(r"\x1b\[(?:\d{1,3}(?:;\d{1,3})*)?m|\r?\x1b\[(?:2K|1A|\?25[lh])|\r(?=\n)")
"""The codes of rich: styles, and those of a display that is drawn again."""

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0041]"
)

_SCRIPT = """
import json, sys
from runners.cli import main
for words in json.loads(sys.argv.pop()):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as ended:
        print(f"\\nended {ended.code}", flush=True)
"""


def on_a_terminal(
    *commands: Sequence[object],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    before: str = "",
    becomes: bool = False,
) -> list[str]:
    """Run commands one after the other on a terminal; return what each wrote, its status at the end.

    `before` is Python code that runs first; `becomes` says that the only command becomes another program.
    """
    ours, theirs = pty.openpty()
    given = json.dumps([[str(word) for word in words] for words in commands])
    environment = {"TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": str(ROOT), **(env or {})}
    process = subprocess.Popen(
        [sys.executable, "-c", before + _SCRIPT, given],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=os.environ | environment,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    process.wait(timeout=60)
    if becomes:
        return [written.decode()]
    parts = re.split(r"(?<=\nended \d)\r\n", written.decode())
    assert parts.pop() == "" and len(parts) == len(commands), written.decode()[-3000:]
    return parts


def commands_in(written: str) -> list[str]:
    """Return what in a terminal's input is a command, or hides something, and is not ours."""
    assert "\x1b[5;35m" not in written
    return _CONTROL.findall(_OURS.sub("", written))
