"""A real model on this machine, from start to end: python examples/local.py MODEL RUN [OPTIONS OF EVOLVE].

Serves MODEL (a GGUF file, or hf:OWNER/REPO/FILE.gguf) with `coevol serve`, evolves three example records into
the folder RUN as that suggests, shows what came of it, and ends the server. `make demo-local` runs it.
"""

import shlex
import socket
import subprocess
import sys
from pathlib import Path

COEVOL = str(Path(sys.executable).with_name("coevol"))
DATA = Path(__file__).with_name("alpaca_en.json")
LIMITS = ("--stop", "3", "--max-rounds", "1", "--max-tokens", "300")
SUGGESTION = "In another terminal: "


def main(model: str, run: str, *options: str) -> int:
    """Serve a model, evolve with it, end it; return an exit status."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [COEVOL, "serve", model, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:  # noqa: S603
        try:
            for line in server.stdout or ():
                print(line, end="", flush=True)
                if line.startswith(SUGGESTION):
                    return evolve(shlex.split(line.removeprefix(SUGGESTION)), run, options)
            return server.wait()
        finally:
            server.terminate()


def evolve(suggested: list[str], run: str, options: tuple[str, ...]) -> int:
    """Run the suggested command on fewer records, and show what came of it."""
    words = [
        {"examples/alpaca_en.json": str(DATA), "runs/local": run}.get(word, word) for word in suggested[1:]
    ]
    status = coevol(*words, *LIMITS, *options)
    if status not in (0, 1):  # 1: some samples failed
        return status
    return coevol("stats", run) or coevol("show", run, "leap-years")


def coevol(*words: str) -> int:
    """Print a command, run it and return its exit status."""
    print("$", shlex.join(["coevol", *words]), flush=True)
    return subprocess.run([COEVOL, *words]).returncode  # noqa: S603 - the commands above


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(3)
