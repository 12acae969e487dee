"""A server that redirects everything to another, which notes what arrives there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Redirecting(NamedTuple):
    """Both servers."""

    url: str
    other: str
    arrived: list[str]
    """The requests that the other server had."""


@contextmanager
def redirecting(status: int, location: str = "") -> Iterator[Redirecting]:
    """Run both. `location` is sent instead of the other server's address."""
    arrived: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            arrived.append(f"{self.command} {self.path} {self.headers} {body!r}")
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class First(Other):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("location", location or f"http://127.0.0.1:{other.server_port}{self.path}")
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET

    other, first = (ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Other, First))
    for server in (other, first):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        ours, others = (f"http://127.0.0.1:{server.server_port}" for server in (first, other))
        yield Redirecting(ours, others, arrived)
    finally:
        for server in (other, first):
            server.shutdown()
            server.server_close()
