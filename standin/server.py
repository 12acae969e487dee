"""The stand-in as a running server, in a thread of the process that asks for it."""

import socket
import threading
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from standin.app import TRANSPORT, App, Request
from standin.faults import Fault
from standin.options import Options


class StandIn:
    """A server that stands in for the model providers, while the context lasts.

    Args:
        *faults: what goes wrong: `Fault`s, or texts such as `429:rate=0.3,seed=7`.
        port: where it listens on 127.0.0.1; 0 takes a free port.
        **options: those of `standin.options.Options`.
    """

    def __init__(self, *faults: Fault | str, port: int = 0, **options: Any) -> None:
        ordered = tuple(Fault.parse(fault) if isinstance(fault, str) else fault for fault in faults)
        self.options = Options(faults=ordered, **options)
        self.app = App(self.options)
        self.port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The server's own address."""
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, provider: str) -> str:
        """What a client of a provider is given as its base URL."""
        return self.url + self.app.provider(provider).base_url

    def key(self, provider: str) -> str:
        """The key that a provider accepts."""
        return self.app.provider(provider).key

    def environment(self) -> dict[str, str]:
        """The environment variables in which coevol looks for the keys."""
        return {variable: self.key(provider) for provider, variable in KEY_VARIABLES.items()}

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in order of arrival."""
        return list(self.app.requests)

    def chats(self, provider: str = "") -> list[Request]:
        """The chat requests so far (to one provider), in order of arrival."""
        return [r for r in self.app.requests if r.chat and provider in ("", r.provider)]

    def order(self, *faults: Fault | str) -> None:
        """Put these faults in the place of those ordered before; none at all for fair weather."""
        self.app.order(tuple(Fault.parse(f) if isinstance(f, str) else f for f in faults))

    def start(self) -> Self:
        """Listen. What was recorded before is kept."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = Server(self.app)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        if not self._server.wait_until_ready(10):
            raise RuntimeError(f"the stand-in did not start on port {self.port}")
        return self

    def stop(self) -> None:
        """Close all connections and stop listening; `start` begins again on the same port."""
        if self._server and self._thread:
            self._server.force_exit = self._server.should_exit = True
            self._thread.join(10)
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
}


class Server(uvicorn.Server):
    """uvicorn, set up for this application."""

    def __init__(self, app: App) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="error",
                backlog=8192,
                timeout_keep_alive=600,
                timeout_graceful_shutdown=1,
            )
        )
        self._ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, without waiting for anybody."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether the server listens within so many seconds."""
        return self._ready.wait(seconds)


class _Protocol(HttpToolsProtocol):
    """HTTP, with the transport within reach of faults that close it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[Any, Any] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions
