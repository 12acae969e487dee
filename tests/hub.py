"""A local server that answers as the Hugging Face Hub does, as far as downloading a data set needs it."""

import hashlib
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves one data set, a mapping of paths to contents, at `endpoint` until it is closed."""

    def __init__(self, repo: str, files: Mapping[str, bytes], revisions: tuple[str, ...] = ("main",)) -> None:
        self.repo, self.files, self.revisions = repo, files, (*revisions, SHA)
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and authorization."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_POST = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append((request.command, path, request.headers.get("Authorization")))
        api, resolve = f"/api/datasets/{self.repo}", f"/datasets/{self.repo}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            if path != api and path.removeprefix(f"{api}/revision/") not in self.revisions:
                return _send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            names = [{"rfilename": name} for name in self.files]
            facts = {
                "_id": "1",
                "id": self.repo,
                "sha": SHA,
                "siblings": names,
                "private": False,
                "gated": False,
            }
            return _json(request, facts | {"tags": [], "downloads": 0, "likes": 0, "disabled": False})
        if path.startswith(f"{api}/tree/"):
            folder = path.removeprefix(f"{api}/tree/").partition("/")[2]
            return _json(request, self._entries(f"{folder}/" if folder else ""))
        if path.startswith(f"{api}/paths-info/"):
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
            return _json(request, [entry for entry in self._entries("") if entry["path"] in wanted])
        revision, _, name = (
            path.removeprefix(resolve).partition("/") if path.startswith(resolve) else ("",) * 3
        )
        if revision not in self.revisions or name not in self.files:
            code = (
                "EntryNotFound"
                if revision in self.revisions
                else "RevisionNotFound"
                if name
                else "RepoNotFound"
            )
            return _send(request, 404, b"{}", {"X-Error-Code": code, "X-Repo-Commit": SHA})
        content = self.files[name]
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return _send(request, 200, content, {"ETag": etag, "X-Repo-Commit": SHA, "Accept-Ranges": "none"})

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name, content in self.files.items():
            if name.startswith(folder):
                found.append(
                    {
                        "type": "file",
                        "path": name,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                )
        folders = {name.rpartition("/")[0] for name in self.files if name.startswith(folder)} - {
            "",
            folder.rstrip("/"),
        }
        return found + [
            {"type": "directory", "path": each, "size": 0, "oid": "0"} for each in sorted(folders)
        ]


def _json(request: BaseHTTPRequestHandler, value: Any) -> None:
    _send(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
