"""What a command says that is interrupted before it has anything to say it with."""

import sys
from typing import NoReturn

INTERRUPTED = "coevol: interrupted; the same command goes on"


def end_at_once() -> NoReturn:
    """End the process as an interrupted command ends."""
    sys.stderr.write(f"{INTERRUPTED}\n")
    sys.exit(3)
