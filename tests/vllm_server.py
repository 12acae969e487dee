"""Real vLLM servers with a tiny model, for tests.

They need vLLM in an environment of its own, `.venv-vllm`, and a chat model for 4,096 tokens or more in
`.venv-vllm/tiny`. Random weights do; token 1 has to end a reply.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.program import COMMAND, ROOT

VLLM = ROOT / ".venv-vllm"

MODEL = VLLM / "tiny"

START = 300.0
"""Seconds that a server may take to start; it takes about 30 where it has two processors to itself."""


def require_vllm() -> None:
    """Skip a test where there is no vLLM, but not in CI."""
    if not MODEL.exists():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"there is no vLLM in {MODEL.parent}: see tests/vllm_server.py")


def reward_model(folder: Path) -> Path:
    """Write the model `tiny` as one for sequence classification with one label, its head random."""
    shutil.copytree(MODEL, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["LlamaForSequenceClassification"], "num_labels": 1}
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (folder / "config.json").write_text(json.dumps(config))
    # A file of safetensors: the length of a JSON header, which says where each tensor is, and the tensors.
    weights = (folder / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(weights[:8], "little")
    header, data = json.loads(weights[8:end]), weights[end:]
    begin, stop = header.pop("lm_head.weight")["data_offsets"]
    size, drawn = config["hidden_size"], random.Random(0)
    head = struct.pack(f"<{size}f", *(drawn.gauss(0, 1) for _ in range(size)))
    for name, tensor in header.items():
        if name != "__metadata__":
            moved = stop - begin if tensor["data_offsets"][0] >= stop else 0
            tensor["data_offsets"] = [offset - moved for offset in tensor["data_offsets"]]
    rest = data[:begin] + data[stop:]
    header["score.weight"] = {
        "dtype": "F32",
        "shape": [1, size],
        "data_offsets": [len(rest), len(rest) + 4 * size],
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + rest + head)
    return folder


class VllmServer:
    """A server that `coevol serve` starts with a model, as `tiny`, in separate processes."""

    def __init__(self, log: Path, model: Path = MODEL) -> None:
        self._log = log
        self._model = model
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
                    *("serve", str(self._model), "--port", str(self.port), "--"),
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
