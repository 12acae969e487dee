"""`coevol serve` where no model is loaded: what it refuses, and what it fetches from a hub."""

import json
import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import look
from tests.llama_server import free_port
from tests.program import coevol

NO_MODEL = b"GGUF" + b"\0" * 60
"""Begins as the format demands, and llama.cpp refuses it."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"

FILES = {
    "owner/one-GGUF": ["README.md", "one.Q8_0.gguf"],
    "owner/many-GGUF": ["many-Q4_K_M.gguf", "many-Q8_0.gguf", "mmproj.gguf"],
    "owner/parts-GGUF": ["large-00001-of-00002.gguf", "large-00002-of-00002.gguf"],
    "owner/large-GGUF": ["large-Q5_K_M.gguf", "large-Q8_0.gguf"],
    "owner/plain": ["model.safetensors"],
}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download needs."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        known = {f"/api/models/{name}/tree/main": name for name in FILES}
        if name := known.get(path):
            listed = [{"type": "file", "path": file, "size": 64, "oid": "0"} for file in FILES[name]]
            self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
            return
        owner, name, _, _, file = [*path.strip("/").split("/", 4), "", "", "", "", ""][:5]
        if file in FILES.get(f"{owner}/{name}", ()):
            self._send(200, NO_MODEL, {"ETag": '"abc"', "X-Repo-Commit": COMMIT})
        else:
            missing = "EntryNotFound" if f"{owner}/{name}" in FILES else "RepoNotFound"
            self._send(404, b"", {"X-Error-Code": missing, "X-Repo-Commit": COMMIT})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(hub: str, model: str, folder: Path) -> str:
    """Serve a file of the hub, which fails; return what was printed."""
    ended = coevol("serve", model, "--port", free_port(), cwd=folder, env=at(hub, folder), status=2)
    return ended.stdout + ended.stderr


def at(hub: str, folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1"}


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("hf:owner/one-GGUF", "one.Q8_0.gguf"),
        ("hf:owner/many-GGUF", "many-Q4_K_M.gguf"),
        ("hf:owner/many-GGUF/many-Q8_0.gguf", "many-Q8_0.gguf"),
    ],
)
def test_a_file_of_the_hub_is_fetched(hub: str, tmp_path: Path, model: str, file: str) -> None:
    output = fetch(hub, model, tmp_path)
    (path,) = (tmp_path / "cache").rglob(f"snapshots/{COMMIT}/{file}")
    assert path.read_bytes() == NO_MODEL
    assert f"llama.cpp loads {path}" in output
    assert f"llama.cpp cannot serve {path}" in output


def test_all_parts_of_a_model_are_fetched(hub: str, tmp_path: Path) -> None:
    output = fetch(hub, "hf:owner/parts-GGUF", tmp_path)
    first, second = sorted((tmp_path / "cache").rglob(f"snapshots/{COMMIT}/*.gguf"))
    assert second.name == "large-00002-of-00002.gguf"
    assert f"llama.cpp cannot serve {first}" in output


def test_what_was_fetched_needs_no_hub(hub: str, tmp_path: Path) -> None:
    model = "hf:owner/one-GGUF/one.Q8_0.gguf"
    fetch(hub, model, tmp_path)
    assert "llama.cpp loads" in fetch(f"http://127.0.0.1:{free_port()}", model, tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hf:owner", "write hf:OWNER/REPO or hf:OWNER/REPO/FILE.gguf"),
        ("hf:owner/none", "there is no such repository"),
        ("hf:owner/none/one.gguf", "HF_TOKEN"),
        ("hf:owner/one-GGUF/two.gguf", "owner/one-GGUF has no such file"),
        ("hf:owner/plain", "look for a repository whose name ends in -GGUF"),
        (
            "hf:owner/large-GGUF",
            "name one: hf:owner/large-GGUF/large-Q5_K_M.gguf, hf:owner/large-GGUF/large-Q8_0.gguf",
        ),
        ("hf:owner/a..b", "cannot be fetched"),
    ],
)
def test_what_the_hub_does_not_have(hub: str, tmp_path: Path, model: str, message: str) -> None:
    output = fetch(hub, model, tmp_path)
    assert message in output
    assert output.count("Error: ") == 1


def test_a_hub_that_cannot_be_reached(hub: str, tmp_path: Path) -> None:
    # Refused connections would be tried again for half a minute.
    offline = at(hub, tmp_path) | {"HF_HUB_OFFLINE": "1"}
    for model in ("hf:owner/one-GGUF/one.Q8_0.gguf", "hf:owner/one-GGUF"):
        refused = coevol("serve", model, "--port", free_port(), cwd=tmp_path, env=offline, status=2).stderr
        assert f"{model} cannot be fetched from {hub}: " in refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.gguf"], "there is no file none.gguf"),
        (["owner/repo/none.gguf"], "to fetch it from the Hugging Face hub: hf:owner/repo/none.gguf"),
        (["folder.gguf"], "folder.gguf cannot be read: Is a directory"),
        (["empty.gguf"], "empty.gguf is not a GGUF file"),
        (["model.safetensors"], "model.safetensors is not a GGUF file"),
        (["model.gguf"], "llama.cpp cannot serve model.gguf"),
        (["model.gguf", "--", "--dtype", "float32"], "options after -- are for vLLM"),
        (["model.gguf", "--context", "100"], "100 is not in the range x>=2048"),
        (["owner/model", "--slots", "4"], "owner/model is served by vLLM"),
    ],
)
def test_what_cannot_be_served(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "model.gguf").write_bytes(NO_MODEL)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    refused = look("serve", "--port", free_port(), *words, cwd=tmp_path, status=2).stderr
    assert message in refused
    assert refused.count("Error: ") == 1


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(NO_MODEL)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = look("serve", "model.gguf", "--port", port, cwd=tmp_path, status=2).stderr
    assert f"--port {port} cannot be used: Address already in use" in refused


def test_a_gguf_file_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(NO_MODEL)
    with pytest.MonkeyPatch.context() as missing:
        missing.setitem(sys.modules, "xllamacpp", None)
        refused = look("serve", "model.gguf", cwd=tmp_path, status=2).stderr
    assert "run `pip install -e '.[local]'`" in refused
