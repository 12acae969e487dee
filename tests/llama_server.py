"""A real, small chat model behind llama.cpp's server, for tests.

It needs an instruct model made for 4,096 to 32,768 tokens as a GGUF file, `.real-model/small.gguf`. One of
135 million parameters does: the tests hold whatever the model says.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.program import COMMAND, ROOT

GGUF = ROOT / ".real-model" / "small.gguf"


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


class LlamaServer:
    """A server that `coevol serve` starts in a process of its own, which is up within the `with` block."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.port = free_port()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        # llama.cpp's threads wait for each other at each step; next to other tests, one thread is faster.
        words = ("serve", str(GGUF), "--port", str(self.port), "--context", "4096", "--threads", "1")
        with self._log.open("w") as errors:
            self._process = subprocess.Popen(
                [*COMMAND, *words],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        assert self._process.stdout
        self.output = []
        for line in self._process.stdout:
            self.output.append(line.rstrip("\n"))
            if line.startswith("In another terminal: "):
                return self
        self.stop()
        raise AssertionError(self.output + self._log.read_text().splitlines()[-20:])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> tuple[int, str]:
        """Press Ctrl+C; return the exit status and what was said on standard error."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        return status, self._log.read_text()
