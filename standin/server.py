"""Run the stand-in server, in a thread of this process or in a separate process."""

import asyncio
import socket
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import uvicorn

from standin.app import App, Request
from standin.faults import Fault
from standin.options import Options

BACKLOG = 8192
"""Connections waiting to be accepted; a client may open thousands at once."""

KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "glm": "ZHIPUAI_API_KEY",
    "ernie": "QIANFAN_API_KEY",
    "vllm": "VLLM_API_KEY",
}
"""The environment variable of each provider's key, as in `models.keys`."""


class StandIn:
    """A context manager that runs a server imitating the model providers.

    Args:
        *faults: faults to inject, as `Fault` or as text such as `429:rate=0.3,seed=7`.
        port: the port on 127.0.0.1; 0 picks a free one.
        own_process: run in a separate process, which takes no CPU time from this one. `requests` then holds
            finished requests only, and `order` is not available.
        **options: fields of `standin.options.Options`.
    """

    def __init__(
        self, *faults: Fault | str, port: int = 0, own_process: bool = False, **options: Any
    ) -> None:
        self.options = Options(faults=_parsed(faults), **options)
        self.app = App(self.options)
        self.port = port
        self._own_process = own_process
        self._running: _Thread | _Process | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, provider: str) -> str:
        """Return the base URL for clients of a provider."""
        return self.url + self.app.provider(provider).base_url

    def key(self, provider: str) -> str:
        """Return the key that a provider accepts."""
        return self.app.provider(provider).key

    def environment(self) -> dict[str, str]:
        """Return the environment variables from which coevol reads the keys."""
        return {variable: self.key(provider) for provider, variable in KEY_VARIABLES.items()}

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in order of arrival."""
        separate = self._running.requests() if isinstance(self._running, _Process) else []
        return self.app.requests + separate

    def chats(self, provider: str = "") -> list[Request]:
        """Return the chat requests so far (to one provider, if given), in order of arrival."""
        return [r for r in self.requests if r.chat and provider in ("", r.provider)]

    def order(self, *faults: Fault | str) -> None:
        """Replace the faults to inject; without arguments, inject none."""
        if self._own_process:
            raise RuntimeError("faults are fixed when the stand-in runs in its own process")
        self.app.order(_parsed(faults))

    def start(self) -> Self:
        """Start listening; requests recorded earlier are kept."""
        if self._own_process:
            self._running = _Process(self.port, self.options)
            self.port = self._running.port
        else:
            listener = listen(self.port)
            self.port = listener.getsockname()[1]
            self._running = _Thread(self.app, listener)
        return self

    def stop(self) -> None:
        """Reset all connections and stop listening; `start` reuses the port."""
        if self._running:
            self.app.requests += self._running.stop()
            self._running = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _parsed(faults: tuple[Fault | str, ...]) -> tuple[Fault, ...]:
    return tuple(Fault.parse(fault) if isinstance(fault, str) else fault for fault in faults)


class _Thread:
    def __init__(self, app: App, listener: socket.socket) -> None:
        self._server = Server(app)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        if not self._server.ready.wait(10):
            raise RuntimeError("the stand-in did not start within 10 seconds")

    def stop(self) -> list[Request]:
        self._server.stop()
        self._thread.join(10)
        return []


_FLAGS = {
    "requests_per_second": "--rps",
    "tokens_per_minute": "--tpm",
    "max_queued": "--max-num-queued-reqs",
}


class _Process:
    def __init__(self, port: int, options: Options) -> None:
        self._folder = TemporaryDirectory(prefix="standin-")
        self._log = Path(options.log or self._folder.name) / ("" if options.log else "requests.jsonl")
        self._start = self._log.stat().st_size if self._log.exists() else 0
        arguments = [f"--port={port}", f"--log={self._log.absolute()}"]
        for field in fields(options):
            value = getattr(options, field.name)
            if field.name == "faults":
                arguments += [f"--fault={fault}" for fault in value]
            elif field.name not in ("log", "keep") and value != field.default:
                arguments.append(f"{_FLAGS.get(field.name, '--' + field.name.replace('_', '-'))}={value}")
        self._process = subprocess.Popen(  # noqa: S603 - runs this package
            [sys.executable, "-m", "standin", *arguments],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - narrows the type
        first = self._process.stdout.readline()
        if "http://" not in first:
            self.stop()
            raise RuntimeError("the stand-in did not start; see its error output above")
        self.port = int(first.partition("127.0.0.1:")[2].partition(";")[0])

    def requests(self) -> list[Request]:
        if not self._log.exists():
            return []
        with self._log.open("rb") as log:
            log.seek(self._start)
            found = [Request.from_line(line.decode()) for line in log if line.endswith(b"\n")]
        return sorted(found, key=lambda request: request.number)

    def stop(self) -> list[Request]:
        self._process.terminate()
        self._process.wait(10)
        requests = self.requests()
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()
        return requests


class Server(uvicorn.Server):
    """uvicorn, configured for this application."""

    def __init__(self, app: App) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="error",
                backlog=BACKLOG,
                timeout_keep_alive=600,
                timeout_graceful_shutdown=1,
            )
        )
        app.connections = self.server_state.connections
        self.ready = threading.Event()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop at once; may be called from another thread."""
        self.force_exit = self.should_exit = True
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start and set `ready`."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Run until stopped; uvicorn alone would notice that up to 0.1 seconds later."""
        looking, stopped = (
            asyncio.ensure_future(super().main_loop()),
            asyncio.ensure_future(self._stopped.wait()),
        )
        await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        stopped.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without waiting for clients."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if not self.force_exit:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        # The connections close, and the tasks that wait for them end.
        await asyncio.sleep(0.01)
