"""The stand-in server in its own process, so that its work does not count as the client's."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.program import Usage, coevol
from standin import StandIn

MODEL = "openai:gpt-4o-mini"


class Endpoint:
    """A stand-in that runs while the context lasts, with the stand-in's options."""

    def __init__(self, **options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, options), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.base_url, self.environment = self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Killed, not stopped: replies still due do not matter.
        self._process.kill()
        self._process.join()

    @property
    def options(self) -> tuple[str, ...]:
        """The options with which `coevol` uses this endpoint."""
        return "--model", MODEL, "--base-url", self.base_url

    @property
    def reached(self) -> bool:
        """Whether any request has arrived."""
        self._pipe.send("reached?")
        return bool(self._pipe.recv())


def first_call(data: Path, run: Path, *, cwd: Path) -> Usage:
    """Measure from the start of the command until a request reaches the endpoint, then kill the program."""
    with Endpoint(latency=60.0) as endpoint:
        used = coevol(
            *("evolve", data, "-o", run, *endpoint.options),
            cwd=cwd,
            env=endpoint.environment,
            until=lambda: endpoint.reached,
        )
        if not endpoint.reached:
            raise RuntimeError(f"no call was made:\n{used.output}")
    return used


def _serve(pipe: Connection, options: dict[str, Any]) -> None:
    with StandIn(keep=False, **options) as server:
        pipe.send((server.base_url("openai"), server.environment()))
        while pipe.recv():
            pipe.send(bool(server.app.most_in_work))
