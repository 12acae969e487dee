"""Real vLLM servers with a tiny model, for tests.

They need vLLM in an environment of its own, `.venv-vllm`, and a chat model for 4,096 tokens or more in
`.venv-vllm/tiny`. Random weights do; token 1 has to end a reply.
"""

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.program import COMMAND, ROOT

VLLM = ROOT / ".venv-vllm"

MODEL = VLLM / "tiny"

START = 300.0
"""Seconds that a server may take to start; it takes about 30 where it has two processors to itself."""


class VllmServer:
    """A server that `coevol serve` starts with the model `tiny`, in separate processes."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
        path = {"PATH": f"{VLLM}/bin{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *COMMAND,
                    *("serve", str(MODEL), "--port", str(self.port), "--"),
                    *("--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "4096"),
                    *("--block-size", "32", "--enforce-eager"),
                ],
                env=os.environ | settings | path,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> Self:
        """Return once the server is up."""
        ends = time.monotonic() + START
        while not self._is_healthy():
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < ends, self._log.read_text()[-3000:]
            time.sleep(0.5)
        return self

    def output(self) -> list[str]:
        return self._log.read_text().splitlines()

    def replies(self) -> int:
        """Return how many replies the server gave since its start; 0 if it is not up."""
        with suppress(URLError, OSError):
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                page = answer.read().decode()
            found = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", page, re.MULTILINE)
            return int(sum(map(float, found)))
        return 0

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def _is_healthy(self) -> bool:
        url = f"http://127.0.0.1:{self.port}/health"
        with suppress(URLError, OSError), urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
        return False
