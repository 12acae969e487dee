"""A local server that answers as the Hugging Face Hub does, as far as a data set that is read or uploaded
needs it."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import yaml

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves one data set, a mapping of paths to contents, at `endpoint` until it is closed."""

    def __init__(
        self, repo: str, files: Mapping[str, bytes] | None, revisions: tuple[str, ...] = ("main",)
    ) -> None:
        """`files` is None where there is no such data set yet."""
        self.repo, self.revisions = repo, revisions
        self.files: dict[str, bytes] = dict(files or {})
        self.exists, self.private, self.sha = files is not None, False, SHA
        self.token: str | None = None
        """The only token that is known; None: any is."""
        self.refusals: dict[str, int] = {}
        """A status by a part of the path: requests there are refused with it."""
        self.stored: dict[str, bytes] = {}
        """What was sent to Git LFS, by its SHA-256."""
        self.commits = 0
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and authorization."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

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
        body = _body(request)
        given = request.headers.get("Authorization")
        self.requests.append((request.command, path, given))
        refused = next((status for part, status in self.refusals.items() if part in path), None)
        if refused is None and self.token and given not in (None, f"Bearer {self.token}"):
            refused = 401
        if refused is not None:
            said = json.dumps({"error": f"refused\nwith {refused}"})
            return _send(request, refused, said.encode(), {"Content-Type": "application/json"})
        if not self._write(request, path, body):
            self._read(request, path, body)

    def _write(self, request: BaseHTTPRequestHandler, path: str, body: bytes) -> bool:
        """Answer a request that belongs to an upload; return whether it is one."""
        api = f"/api/datasets/{self.repo}"
        if path == "/api/repos/create":
            if self.exists:
                _send(request, 409, b'{"error": "You already created this dataset repo"}')
                return True
            self.exists, self.private = True, json.loads(body).get("visibility") == "private"
            self.files = {".gitattributes": b"*.parquet filter=lfs\n"}
            _json(request, {"url": f"{self.endpoint}/datasets/{self.repo}"})
        elif path == "/api/validate-yaml":
            _json(request, {"errors": [], "warnings": []})
        elif path.startswith(f"{api}/preupload/"):
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".parquet") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            _json(request, {"files": modes})
        elif path == f"/datasets/{self.repo}.git/info/lfs/objects/batch":
            objects = []
            for each in json.loads(body)["objects"]:
                actions = {"upload": {"href": f"{self.endpoint}/lfs/{each['oid']}"}}
                objects.append(each | ({} if each["oid"] in self.stored else {"actions": actions}))
            _json(request, {"objects": objects, "transfer": "basic"})
        elif path.startswith("/lfs/"):
            assert hashlib.sha256(body).hexdigest() == path.removeprefix("/lfs/")
            self.stored[path.removeprefix("/lfs/")] = body
            _send(request, 200, b"")
        elif path.startswith(f"{api}/commit/"):
            self._commit(request, [json.loads(line) for line in body.splitlines()])
        else:
            return False
        return True

    def _commit(self, request: BaseHTTPRequestHandler, lines: list[dict[str, Any]]) -> None:
        if lines[0]["value"].get("parentCommit") not in (None, self.sha):
            return _send(request, 412, b'{"error": "another commit came first"}')
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    self.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    self.files[value["path"]] = self.stored[value["oid"]]
                case "deletedFile":
                    del self.files[value["path"]]
        self.commits += 1
        self.sha = hashlib.sha1(f"{self.sha} {self.commits}".encode()).hexdigest()
        url = f"{self.endpoint}/datasets/{self.repo}/commit/{self.sha}"
        return _json(request, {"success": True, "commitOid": self.sha, "commitUrl": url})

    def _read(self, request: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        api, resolve = f"/api/datasets/{self.repo}", f"/datasets/{self.repo}/resolve/"
        revisions = (*self.revisions, self.sha)
        if not self.exists:
            return _send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if path == api or path.startswith(f"{api}/revision/"):
            if path != api and path.removeprefix(f"{api}/revision/") not in revisions:
                return _send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            names = [{"rfilename": name} for name in self.files]
            facts = {
                "_id": "1",
                "id": self.repo,
                "sha": self.sha,
                "siblings": names,
                "private": self.private,
                "gated": False,
            }
            # As the Hub: the front matter of the card, where it has one.
            head = re.match(r"---\r?\n(.*?)\r?\n---", self.files.get("README.md", b"").decode(), re.DOTALL)
            if head:
                facts["cardData"] = yaml.safe_load(head[1])
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
        if revision not in revisions or name not in self.files:
            code = (
                "EntryNotFound" if revision in revisions else "RevisionNotFound" if name else "RepoNotFound"
            )
            return _send(request, 404, b"{}", {"X-Error-Code": code, "X-Repo-Commit": self.sha})
        content = self.files[name]
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        headers = {"ETag": etag, "X-Repo-Commit": self.sha, "Accept-Ranges": "none"}
        return _send(request, 200, content, headers)

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


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts = []
    while size := int(request.rfile.readline(), 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)


def _json(request: BaseHTTPRequestHandler, value: Any) -> None:
    _send(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
